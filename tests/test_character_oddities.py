"""Every odd shape seen in public character files, as a small file of our own: what the loader makes of it."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyjson5
import pytest

import eliza_oracle
from character_files import lost
from eliza_oracle import Oracle
from teehee.character import Reading, convert, export, read, reads
from teehee.errors import ConfigError

pytestmark = eliza_oracle.MAY_INSTALL

Json = Any
FOLDER = Path(__file__).parent / "vectors" / "characters"
EXPECTED: dict[str, Json] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
GOOD = [name for name, expected in EXPECTED.items() if "characters" in expected]
BAD = [name for name, expected in EXPECTED.items() if "error" in expected]
VALIDATORS = {"A": "v0.1.6", "B": "v0.25.9", "C": "v1.7.2", "D": "v2-strict"}
WORDS = ("lamp", "tide", "spoon", "knot", "crab", "oath", "crumb", "fog", "limpet", "abacus", "harbour", "toast")


@pytest.fixture(scope="module")
def validators() -> Iterator[Oracle]:
    with eliza_oracle.validators() as oracle:
        yield oracle


def raw(file: str) -> list[Json]:
    """The values in a file, as whatever reads it would have them; what the file extends is not merged."""
    text = (FOLDER / file).read_text(encoding="utf-8-sig")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = pyjson5.decode(text)
    return value if isinstance(value, list) else [value]


def summary(reading: Reading) -> dict[str, Json]:
    character = reading.character
    return {
        "name": character.name,
        "id": character.id,
        "era": character.era,
        "conversations": len(character.message_examples),
        "lines": sum(map(len, character.message_examples)),
        "plugins": list(character.plugins),
        "clients": list(character.clients),
        "provider": character.model_provider,
        "knowledge": len(character.knowledge),
        "ignored": list(reading.ignored),
    }


def flags(validators: Oracle, value: Json) -> str:
    """The letters of the validators that take `value`."""
    return "".join(
        letter for letter, era in VALIDATORS.items() if validators.ask({"era": era, "character": value})["ok"]
    )


def test_every_file_has_its_expectation() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"README.md", "expected.json"}

    assert files == set(EXPECTED)


@pytest.mark.parametrize("file", GOOD)
def test_an_odd_file_is_read_as_expected(file: str) -> None:
    readings = read(FOLDER / file)

    expected = EXPECTED[file]["characters"]
    assert [summary(reading) for reading in readings] == [
        {key: value for key, value in character.items() if key != "says"} for character in expected
    ]
    for reading, character in zip(readings, expected, strict=True):
        account = "\n".join((*reading.changes, *reading.warnings))
        assert [words for words in character["says"] if words not in account] == [], account


@pytest.mark.parametrize("file", GOOD)
def test_an_odd_file_is_written_back_whole(file: str) -> None:
    for value, reading in zip(raw(file), read(FOLDER / file), strict=True):
        written = export(reading.character)

        if not value.get("extends"):  # else its lists are longer than it wrote
            assert lost(value, written) == []
        assert value.keys() <= written.keys()
        assert export(reads(json.dumps(written), file)[0].character) == written


@pytest.mark.parametrize("file", BAD)
def test_what_is_no_character_is_refused_in_one_sentence(file: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(FOLDER / file)

    message, hint = str(caught.value), caught.value.hint
    assert message.startswith(f"character {str(FOLDER / file)!r}: ")
    assert "\n" not in message + hint
    assert [words for words in EXPECTED[file]["error"] if words not in message] == [], message
    assert [words for words in EXPECTED[file]["hint"] if words not in hint] == [], hint


@pytest.mark.parametrize("file", EXPECTED)
def test_the_real_validators_take_the_file_or_not_as_the_table_says(validators: Oracle, file: str) -> None:
    try:
        value = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    except json.JSONDecodeError:  # Eliza reads strict JSON without a byte order mark
        assert EXPECTED[file]["flags"] == ""
        return

    assert flags(validators, value) == EXPECTED[file]["flags"]


def test_knowledge_of_a_megabyte_in_one_object_is_read() -> None:
    knowledge = {
        f"shelf {n}": {"title": prose(5, n), "pages": [prose(70, n), prose(70, n + 5_000)]} for n in range(1, 1200)
    }
    text = json.dumps(plain("Long Shelf") | {"knowledge": knowledge})
    assert len(text) > 1_000_000

    [reading] = reads(text, "x.json")

    character = reading.character
    assert len(character.knowledge) == 2 * len(knowledge)  # a title, and the pages in one
    assert character.knowledge[0].text == f"shelf 1.title: {prose(5, 1)}"
    assert "$.knowledge: an object with 1199 keys read as 2398 texts" in reading.changes
    assert export(character)["knowledge"] == knowledge
    assert reads(json.dumps(convert(character, "v1")), "x.json")[0].character.knowledge == character.knowledge


def test_a_classic_file_of_43_kilobytes_is_read(validators: Oracle) -> None:
    value = plain("Longer Lamp") | {
        "lore": [prose(20, n) for n in range(80)],
        "messageExamples": [
            [{"user": f"{{{{user{k}}}}}", "content": {"text": prose(15, 100 * n + k)}} for k in range(1, 5)]
            for n in range(60)
        ],
    }
    assert 40_000 < len(json.dumps(value)) < 46_000
    assert flags(validators, value) == "AB"

    [reading] = reads(json.dumps(value), "x.json")

    assert (len(reading.character.lore), len(reading.character.message_examples)) == (80, 60)
    assert export(reading.character) == value


def plain(name: str) -> dict[str, Json]:
    value: dict[str, Json] = json.loads((FOLDER / "plain-v0.json").read_text(encoding="utf-8"))
    return value | {"name": name}


def prose(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))
