"""A character file of any era, written back or written for another era, has lost nothing but its secrets."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from character_files import CANARY, ERAS, NUMBER_CANARY, changed, files, json_values, lost, name_values
from fuzzing import EXAMPLES, share
from teehee.character import Character, Line, Reading, convert, export, reads
from teehee.character.model import KEPT
from teehee.character.write import NAME, USER
from teehee.errors import ConfigError

Json = Any
pytestmark = pytest.mark.timeout(60 * max(1, EXAMPLES // 5_000))

FIXTURES = [
    path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parent / "vectors" / "characters").iterdir())
    if path.name not in ("README.md", "expected.json")
]
NOTHING: tuple[Json, ...] = (None, "", [], {})
PARTS = (
    *('"', "'", "{", "}", "[", "]", ",", ":", "\\", "\\ud83d", "\ud83d", "\x00", "null", "NaN", "-", "1e999", "//"),
    *("/*", "*/", "0x", "Infinity", "\ufeff", "\u2028", "9" * 400, "9" * 5000, "[" * 80, '"settings": ', '"name": 5'),
    *('"extends": ["x"]', '"settings": {"characterExtras": ', '{"$era": "v2"}', '"secrets": ', '"__proto__": {}'),
)


def read_one(raw: Json) -> Reading:
    [reading] = reads(json.dumps(raw), "x.json")
    return reading


def load_one(raw: Json) -> Character:
    return read_one(raw).character


# -- written back


@pytest.mark.parametrize("era", ERAS)
def test_export_keeps_every_key_and_every_value(era: str) -> None:
    @share(0.015)
    @given(files(era))
    def check(raw: Json) -> None:
        assert lost(raw, export(load_one(raw))) == []

    check()


@pytest.mark.parametrize("era", ERAS)
def test_an_exported_character_loads_as_the_same_character(era: str) -> None:
    @share(0.015)
    @given(files(era))
    def check(raw: Json) -> None:
        character = load_one(raw)

        assert load_one(export(character)) == character

    check()


# -- written for another era


@pytest.mark.parametrize("era", ERAS)
def test_no_conversion_loses_a_key_that_says_something(era: str) -> None:
    """It is at the root or under `characterExtras`; a null or something empty may go: no validator takes it."""

    @share(0.01)
    @given(files(era))
    def check(raw: Json) -> None:
        character = load_one(raw)

        for target in ERAS:
            written = convert(character, target)
            kept = written.get("settings", {}).get(KEPT, {})
            assert [key for key in raw if raw[key] not in NOTHING and key not in written and key not in kept] == []

    check()


@pytest.mark.parametrize("through", ERAS)
@pytest.mark.parametrize("era", ERAS)
def test_there_and_back_is_the_same_character(era: str, through: str) -> None:
    @share(0.006)
    @given(files(era))
    def check(raw: Json) -> None:
        character = load_one(raw)

        there = load_one(convert(character, through))
        back = load_one(convert(there, era))

        assert told(there) == told(character)
        assert told(back) == told(character)

    check()


def test_what_later_eras_do_not_know_is_where_the_docs_say() -> None:
    raw = {
        "name": "Wren",
        "bio": ["Keeps bees."],
        "lore": ["Was once a bee."],
        "clients": ["telegram"],
        "modelProvider": "openai",
        "messageExamples": [
            [
                {"user": "{{user1}}", "content": {"text": "Hello, {{user2}}?"}},
                {"user": "Wren", "content": {"text": "Bzz, {{user1}}.", "action": "WAVE"}},
            ]
        ],
        "settings": {"secrets": {"OPENAI_API_KEY": CANARY}},
    }
    talk = [
        {"name": "{{name1}}", "content": {"text": "Hello, {{name2}}?"}},
        {"name": "Wren", "content": {"text": "Bzz, {{name1}}.", "actions": ["WAVE"]}},
    ]

    for era in ("v1", "v2"):
        written = convert(load_one(raw), era)
        assert written["bio"] == ["Keeps bees.", "Was once a bee."]
        assert {"@elizaos/plugin-telegram", "@elizaos/plugin-openai"} <= set(written["plugins"])
        assert written["messageExamples"] == ([talk] if era == "v1" else [{"examples": talk}])
        assert written["settings"]["secrets"] == {"OPENAI_API_KEY": ""}
        assert convert(load_one(written), "v0")["messageExamples"] == raw["messageExamples"]


@pytest.mark.timeout(20)
def test_thousands_of_clients_are_converted_at_once() -> None:
    many = [f"client-{n}" for n in range(20_000)]

    written = convert(load_one({"name": "A", "clients": many, "plugins": [f"plugin-{n}" for n in range(20_000)]}), "v1")

    assert len(load_one(written).clients) == 20_000


EDITS: dict[str, tuple[str, Json, set[str]]] = {  # key: its field, what the author writes, what else was in it
    "system": ("system", "Be new.", set()),
    "topics": ("topics", ["new"], set()),
    "postExamples": ("post_examples", ["new", "newer"], set()),
    "bio": ("bio", ["new"], {"bio_is_whole", "lore"}),
    "plugins": ("plugins", ["@elizaos/plugin-new"], {"clients", "model_provider"}),
}
EDIT_ONLY = {"lore", "clients", "modelProvider"}


@pytest.mark.parametrize("target", ERAS)
@pytest.mark.parametrize("key", EDITS)
def test_an_author_who_edits_a_converted_file_is_right(key: str, target: str) -> None:
    field, new, inside = EDITS[key]

    @share(0.004)
    @given(st.one_of(*map(files, ERAS)))
    def check(raw: Json) -> None:
        character = load_one({"lore": ["old"], "clients": ["telegram"], **raw})

        edited = load_one(convert(character, target) | {key: new})

        assert getattr(edited, field) == (tuple(new) if isinstance(new, list) else new)
        if target != "v0":  # which has keys of its own for them
            assert not any(getattr(edited, name) for name in inside)
        assert without(told(edited), field, key, inside) == without(told(character), field, key, inside)

    check()


def without(value: dict[str, Json], field: str, key: str, inside: set[str]) -> dict[str, Json]:
    kept = {name: item for name, item in value["extras"].items() if name != key and name not in EDIT_ONLY}
    return {name: item for name, item in value.items() if name != field and name not in inside} | {"extras": kept}


@pytest.mark.parametrize("target", ERAS)
def test_what_is_filled_into_a_converted_file_is_found(target: str) -> None:
    @share(0.006)
    @given(st.one_of(*map(files, ERAS)), name_values)
    def check(raw: Json, names: Json) -> None:
        raw = in_settings(in_settings(raw, "secrets", names), "avatar", None)
        written = convert(load_one(raw), target)

        inner = written["settings"].get("secrets") or {}
        written["settings"] |= {"secrets": {**inner, "FILLED_KEY": CANARY}, "avatar": "x.png"}

        character = load_one(written)
        assert (character.secrets, character.settings["avatar"]) == ({"FILLED_KEY": CANARY}, "x.png")

    check()


def told(character: Character) -> dict[str, Json]:
    """All a character says, spelled one way. Left out or evened, because a conversion changes it on purpose:

    era, and the setting with which `convert` remembers; `{{user1}}` and `{{name1}}`, which are one placeholder; keys
    that say nothing, which no validator takes; what of a line moved to `content.extras`, because a validator would
    refuse it in its place; the raw spelling of example conversations, which only its own era has use for.
    """
    value = asdict(character)
    del value["era"]
    value["settings"].pop(KEPT, None)
    value["extras"].pop("messageExamples", None)
    value["settings"], value["extras"] = speaking(value["settings"]), speaking(value["extras"])
    value["message_examples"] = [[spelled(line) for line in talk] for talk in character.message_examples]
    return value


def spelled(line: Line) -> Json:
    one = [NAME.sub(r"{{name\1}}", USER.sub(r"{{name\1}}", words)) for words in (line.name, line.text)]
    return [*one, line.actions, sorted(pairs(line.extras))]


def pairs(extras: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for key, value in extras.items():
        if key in ("content", "extras") and isinstance(value, dict):
            yield from pairs(value)
        else:
            yield key, json.dumps(value)


def speaking(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    spoken = {key: speaking(item) for key, item in value.items()}
    return {key: item for key, item in spoken.items() if item not in NOTHING}


# -- secrets


def in_settings(raw: dict[str, Json], key: str, value: Json) -> dict[str, Json]:
    held = raw.get("settings")
    return {**raw, "settings": {**(held if isinstance(held, dict) else {}), key: value}}


DEEP = {"OPENAI_API_KEY": CANARY, "deep": {"a b": [CANARY, {"PIN": NUMBER_CANARY}]}, "ON": True, "NOTHING": None}
PLACES: dict[str, Callable[[dict[str, Json]], dict[str, Json]]] = {
    "settings.secrets": lambda raw: in_settings(raw, "secrets", DEEP),
    "settings.secrets as text": lambda raw: in_settings(raw, "secrets", CANARY),
    "secrets": lambda raw: {**raw, "secrets": DEEP},
    "secrets as list": lambda raw: {**raw, "secrets": [CANARY, [NUMBER_CANARY]]},
    "settings.API_KEY": lambda raw: in_settings(raw, "API_KEY", CANARY),
    "a key with a space": lambda raw: in_settings(raw, "my api key", CANARY),
    "nested": lambda raw: in_settings(raw, "voice", {"elevenlabs": [{"apiKey": CANARY, "tokens": {"token": CANARY}}]}),
    "an url": lambda raw: in_settings(raw, "DATABASE_URL", f"postgres://wren:{CANARY}@tide/wren"),
    "an unknown key": lambda raw: {**raw, "people": [{"password": CANARY}]},
    "what a conversion kept": lambda raw: in_settings(
        {key: value for key, value in raw.items() if key != "secrets"},
        KEPT,
        {"secrets": DEEP, "settings": {"API_KEY": CANARY}},
    ),
}
REPEATED: dict[str, Json] = {
    "bio": [f"Do not tell {CANARY} to anyone."],
    "system": f"The key is {CANARY}",
    "messageExamples": [[{"user": CANARY, "content": {"text": f"it is {CANARY}", CANARY: [CANARY], "action": CANARY}}]],
    "knowledge": [f"{CANARY}!", {"id": CANARY, "path": CANARY, "content": CANARY}],
    "style": {"all": [CANARY], CANARY: {CANARY: CANARY}},
    "plugins": [CANARY, {"name": CANARY}],
    "twitterSpaces": {CANARY: CANARY},
    "modelProvider": CANARY,
    "templates": {CANARY: 1, "replyTemplate": f"{{{{{CANARY}}}}}"},
    f"the {CANARY}": [1],
}


def with_secrets(era: str) -> st.SearchStrategy[tuple[dict[str, Json], str]]:
    """A file with secrets in one or more places, and maybe told elsewhere too; and where."""

    def plant(raw: dict[str, Json], places: set[str], repeated: set[str]) -> tuple[dict[str, Json], str]:
        if places == {"an url"}:  # all of it is the secret; nobody knows which part
            repeated = set()
        raw = {**raw, **{key: REPEATED[key] for key in repeated}}
        for place in sorted(places):
            raw = PLACES[place](raw)
        told = {"topics": [NUMBER_CANARY, f"It is {NUMBER_CANARY}."]} if str(NUMBER_CANARY) in json.dumps(raw) else {}
        return raw | told, ", ".join(sorted(places | repeated))

    return st.builds(
        plant,
        files(era),
        st.sets(st.sampled_from(sorted(PLACES)), min_size=1),
        st.sets(st.sampled_from(sorted(REPEATED))),
    )


def gives_away(text: str) -> bool:
    return CANARY in text or str(NUMBER_CANARY) in text


@pytest.mark.parametrize("era", ERAS)
def test_no_secret_is_written_shown_or_told(era: str) -> None:
    @share(0.01)
    @given(with_secrets(era))
    def check(planted: tuple[Json, str]) -> None:
        raw, places = planted
        reading = read_one(raw)

        written = [export(reading.character), *(convert(reading.character, target) for target in ERAS)]
        again = [convert(load_one(item), target) for item in written for target in ERAS]
        assert not gives_away(json.dumps([written, again], ensure_ascii=False)), places
        assert not gives_away(repr(reading) + repr(reading.character) + str(reading.character)), places
        assert not gives_away(repr((reading.changes, reading.warnings, reading.ignored, reading.origins))), places

    check()


def test_a_secret_keeps_its_name_and_its_place() -> None:
    raw = {"name": "A", "bio": f"I say {CANARY}.", "people": [{"password": CANARY, "age": 9}], "settings": {}}
    for place in ("settings.secrets", "secrets", "settings.API_KEY", "a key with a space", "nested", "an url"):
        raw = PLACES[place](raw)

    for written in (export(load_one(raw)), convert(load_one(raw), "v0")):
        deep = {"OPENAI_API_KEY": "", "deep": {"a b": ["", {"PIN": ""}]}, "ON": "", "NOTHING": ""}
        kept = written["settings"].get(KEPT, {}).get("settings", {})
        assert {**written["settings"], **kept, KEPT: None} == {
            "secrets": deep,
            "API_KEY": "",
            "my api key": "",
            "voice": {"elevenlabs": [{"apiKey": "", "tokens": {"token": ""}}]},
            "DATABASE_URL": "",
            KEPT: None,
        }
        assert (written["secrets"], written["people"]) == (deep, [{"password": "", "age": 9}])
        assert written["bio"] == "I say [secret]."


@pytest.mark.parametrize("era", ERAS)
def test_no_error_of_a_broken_file_tells_a_secret(era: str) -> None:
    @share(0.01)
    @given(with_secrets(era), st.floats(0, 1), st.sampled_from((*PARTS, "")), st.booleans())
    def check(planted: tuple[Json, str], where: float, part: str, cut: bool) -> None:
        text = json.dumps(planted[0])
        place = int(where * len(text))
        broken = text[:place] + part + ("" if cut else text[place:])

        for form in (broken, broken.encode("utf-8", "surrogatepass")):
            assert not gives_away("".join(all_of(refused(form))))

    check()


def refused(text: str | bytes) -> ConfigError | None:
    """The error that `text` is refused with; None when it is a character after all."""
    try:
        reads(text, "x.json")
    except ConfigError as error:
        return error
    return None


def all_of(error: BaseException | None) -> Iterator[str]:
    """Everything an error and the errors behind it carry."""
    while error is not None:
        yield f"{error} {error!r} {error.args!r} {vars(error)!r} {getattr(error, 'hint', '')}"
        yield f"{getattr(error, 'object', '')!r} {getattr(error, 'doc', '')!r}"
        if error.__context__ not in (None, error.__cause__):
            yield from all_of(error.__context__)
        error = error.__cause__


# -- anything at all


def must_load_or_be_refused(text: str | bytes) -> None:
    if error := refused(text):
        assert error.hint
        return
    for reading in reads(text, "x.json"):
        for written in (export(reading.character), *(convert(reading.character, era) for era in ERAS)):
            json.dumps(written, ensure_ascii=False, allow_nan=False).encode()
        "\n".join((repr(reading), *reading.changes, *reading.warnings, *reading.ignored)).encode()


@share(0.12)
@given(json_values | st.lists(json_values, max_size=2) | st.dictionaries(st.text(max_size=9), json_values, max_size=5))
def test_any_json_loads_or_is_refused(value: Json) -> None:
    must_load_or_be_refused(json.dumps(value))
    must_load_or_be_refused(json.dumps({"name": "A", "value": value, "settings": {KEPT: value}}))


odd_values = json_values | st.sampled_from(
    (2**1024 - 1, -(2**1024), 1e308, 2**63, "\ud83d", {"\udc00": "x"}, {"$era": "v1"}, {"examples": [{}]}, {"item": {}})
)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("target", [None, *ERAS])
def test_a_file_with_anything_in_any_place_loads_or_is_refused(era: str, target: str | None) -> None:
    places = st.lists(st.integers(0, 30), min_size=1, max_size=6)

    @share(0.08 / 12)
    @given(files(era), st.lists(st.tuples(places, odd_values, st.booleans()), min_size=1, max_size=3))
    def check(raw: Json, edits: list[tuple[list[int], Json, bool]]) -> None:
        value = raw if target is None else convert(load_one(raw), target)
        for place, new, drop in edits:
            value = changed(value, place, new, drop=drop)
        must_load_or_be_refused(json.dumps(value))

    check()


@share(0.8)
@given(
    st.sampled_from(FIXTURES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), st.sampled_from(PARTS) | st.text(max_size=2)), max_size=3),
    st.booleans(),
)
def test_a_broken_text_loads_or_is_refused(text: str, edits: list[tuple[float, int, str]], as_bytes: bool) -> None:
    for where, length, part in edits:
        place = int(where * len(text))
        text = text[:place] + part + text[place + length :]

    must_load_or_be_refused(text.encode("utf-8", "surrogatepass") if as_bytes else text)
