"""What `convert` writes for an era, the validator published for that era takes: 0.25.9, 1.7.2 and 2.0.0-alpha.537."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import eliza_oracle
from character_files import ERAS, files
from eliza_oracle import Oracle
from teehee.character import Character, convert, load, loads

pytestmark = eliza_oracle.MAY_INSTALL

Json = Any
HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "vectors" / "characters" / "expected.json").read_text(encoding="utf-8"))
FIXTURES = [
    *(HERE / "vectors" / "characters" / name for name, expected in EXPECTED.items() if "characters" in expected),
    *sorted((HERE.parent / "characters").glob("*.json")),
]
GENERATED = settings(
    max_examples=300, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
VALIDATORS = {"v0": "v0.25.9", "v1": "v1.7.2", "v2": "v2-strict"}
# What 0.1.6 has words for; 0.25.9 has more.
OLD_CLIENTS = {"discord", "direct", "twitter", "telegram", "farcaster", "lens", "auto", "slack"}
NEW_PROVIDERS = {
    *("lmstudio", "mistral", "nvidia", "nineteen_ai", "livepeer", "letzai", "deepseek", "infera", "bedrock"),
    *("atoma", "secret_ai", "nearai"),
}


@pytest.fixture(scope="module")
def validators() -> Iterator[Oracle]:
    with eliza_oracle.validators() as oracle:
        yield oracle


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("path", FIXTURES, ids=[path.name for path in FIXTURES])
def test_a_file_converted_to_an_era_is_valid_there(validators: Oracle, path: Path, era: str) -> None:
    for character in load(path):
        assert errors(validators, character, era) == []


@pytest.mark.parametrize("era", ERAS)
def test_whatever_is_written_is_valid_in_every_era(validators: Oracle, era: str) -> None:
    @GENERATED
    @given(files(era))
    def check(raw: Json) -> None:
        [character] = loads(json.dumps(raw), "x.json")

        assert {target: errors(validators, character, target) for target in ERAS} == {target: [] for target in ERAS}

    check()


@pytest.mark.parametrize("path", FIXTURES, ids=[path.name for path in FIXTURES])
def test_what_elizaos_2_writes_of_a_converted_file_is_the_character_again(validators: Oracle, path: Path) -> None:
    """Its loader moves every setting it has no field for into `settings.extra`, ours among them."""
    for character in load(path):
        parsed = validators.ask({"era": "v2-strict", "character": convert(character, "v2")})["parsed"]

        [again] = loads(json.dumps(parsed), "x.json")

        assert (again.lore, again.bio, again.clients) == (character.lore, character.bio, character.clients)


def errors(validators: Oracle, character: Character, era: str) -> list[str]:
    """What the validators of `era` find wrong with the character written for it."""
    written = convert(character, era)
    answer = validators.ask({"era": VALIDATORS[era], "character": written})
    found = [f"{VALIDATORS[era]}: {error}" for error in answer["errors"]]
    assert answer["ok"] == (not found)
    return found + (errors_of_the_first(validators, written) if era == "v0" else [])


def errors_of_the_first(validators: Oracle, written: dict[str, Json]) -> list[str]:
    """What 0.1.6 finds wrong beyond what it has no words for, and what it ought to find and does not."""
    unsaid = {
        "clients": not set(written["clients"]) <= OLD_CLIENTS,
        "modelProvider": written["modelProvider"] in NEW_PROVIDERS,
        "knowledge": any(not isinstance(item, str) for item in written["knowledge"]),
    }
    found = validators.ask({"era": "v0.1.6", "character": written})["errors"]
    fields = {error.split(".")[0].split(":")[0] for error in found}
    missed = {field for field, is_unsaid in unsaid.items() if is_unsaid} - fields
    return [
        *(f"v0.1.6: {error}" for error in found if not unsaid.get(error.split(".")[0].split(":")[0])),
        *(f"v0.1.6 takes {written[field]!r} as {field}" for field in sorted(missed)),
    ]
