import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.character import Character, Knowledge, Line, load, loads
from teehee.character.secrets import strip_secrets
from teehee.errors import ConfigError
from teehee.ids import string_to_uuid

CHARACTERS = Path(__file__).parents[1] / "characters"
V0 = {
    "name": "Snib",
    "clients": ["Direct", "TELEGRAM"],
    "modelProvider": "openai",
    "bio": ["one", 2],
    "lore": ["dug by goblins"],
    "knowledge": ["moths read at night", {"path": "a.md"}, {"directory": "shelf"}],
    "messageExamples": [
        [
            {"user": "{{user1}}", "content": {"text": "Hello"}},
            {"user": "Snib", "content": {"text": "Shh.", "action": "SHUSH"}},
        ]
    ],
    "postExamples": ["Closed."],
    "topics": ["moths"],
    "adjectives": ["gruff"],
    "style": {"all": ["be brief"], "chat": []},
    "settings": {"model": "small", "secrets": {"A_KEY": "from-settings", "B_KEY": "b-value"}},
    "twitterSpaces": {"maxSpeakers": 4},
}
PLUGINS = ["@elizaos/plugin-sql", {"name": "dominos", "package": "@elizaos/plugin-dominos"}]


def one(raw: Any) -> Character:
    [character] = loads(json.dumps(raw), "x.json")
    return character


def refused(text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loads(text, "x.json")
    return caught.value


def test_a_v0_file_becomes_the_one_character() -> None:
    character = one(V0)

    assert character.era == "v0"
    assert character.bio == ("one", "2")
    assert character.lore == ("dug by goblins",)
    assert character.clients == ("direct", "telegram")
    assert character.message_examples == ((Line("{{user1}}", "Hello"), Line("Snib", "Shh.", ("SHUSH",))),)
    assert character.knowledge == (
        Knowledge("moths read at night"),
        Knowledge(path="a.md"),
        Knowledge(directory="shelf"),
    )
    assert character.model_provider == "openai"
    assert character.style.all == ("be brief",)
    assert character.style.post == ()


def test_what_no_field_takes_stays_in_extras() -> None:
    assert one(V0).extras == {
        "twitterSpaces": {"maxSpeakers": 4},
        "style": {"chat": []},
        "clients": ["Direct", "TELEGRAM"],  # read in small letters, written back as they were
    }


def test_a_v1_file_keeps_its_actions_templates_and_plugins() -> None:
    character = one(
        {
            "name": "Moss",
            "bio": "All of it.",
            "messageExamples": [[{"name": "Moss", "content": {"text": "Yes", "actions": ["REPLY", "WATER"]}}]],
            "plugins": PLUGINS,
            "templates": {"replyTemplate": "{{agentName}}", "odd": {"a": 1}},
        }
    )

    assert (character.era, character.bio, character.bio_is_whole) == ("v1", ("All of it.",), True)
    assert character.message_examples[0][0].actions == ("REPLY", "WATER")
    assert character.plugins == ("@elizaos/plugin-sql", "dominos")
    assert character.templates == {"replyTemplate": "{{agentName}}"}
    assert character.extras == {"templates": {"odd": {"a": 1}}, "plugins": PLUGINS}


def test_secrets_are_merged_and_the_root_wins() -> None:
    character = one(V0 | {"secrets": {"A_KEY": "from-root", "EMPTY": "", "deep": {"pin": 1234}}})

    assert character.secrets == {"A_KEY": "from-root", "B_KEY": "b-value", "deep.pin": "1234"}
    assert character.settings == {"model": "small", "secrets": {"A_KEY": "", "B_KEY": ""}}
    assert character.extras["secrets"] == {"A_KEY": "", "EMPTY": "", "deep": {"pin": ""}}
    assert "from-root" not in repr(character)


def test_a_name_alone_is_a_character() -> None:
    character = one({"name": "Eliza"})

    assert character.id == string_to_uuid("Eliza") == "b850bc30-45f8-0041-a00a-83df46d8555d"
    assert character.bio == character.topics == character.style.all == ()


def test_a_given_uuid_is_the_id_and_any_other_id_is_an_extra() -> None:
    given_id = "b850bc30-45f8-0041-a00a-83df46d8555d"

    assert one({"name": "A", "id": given_id}).id == given_id
    assert one({"name": "A", "id": "wren"}).id == string_to_uuid("A")
    assert one({"name": "A", "id": "wren"}).extras == {"id": "wren"}


def test_an_array_gives_several_characters() -> None:
    names = [character.name for character in loads('[{"name": "A"}, {"name": "B"}]', "x.json")]

    assert names == ["A", "B"]


def test_a_byte_order_mark_is_accepted() -> None:
    assert loads(b'\xef\xbb\xbf{"name": "A"}', "x")[0].name == loads('\ufeff{"name": "A"}', "x")[0].name == "A"


def test_an_unreadable_conversation_leaves_the_others_their_numbers() -> None:
    talks = [["just", "words", "here"], [{"user": "A", "content": "plain"}], [["{{user1}}", "hi"]]]

    character = one({"name": "A", "messageExamples": talks})

    assert character.message_examples == ((), (Line("A", "plain"),), (Line("{{user1}}", "hi"),))
    assert character.extras == {"messageExamples": talks}


@pytest.mark.parametrize(
    "talks", [[{"name": "A", "content": {"text": "hi"}}], [{"examples": [{"name": "A", "content": {"text": "hi"}}]}]]
)
def test_flat_and_wrapped_conversations_are_read(talks: list[object]) -> None:
    assert one({"name": "A", "messageExamples": talks}).message_examples == ((Line("A", "hi"),),)


def test_post_examples_may_be_messages() -> None:
    raw = {"name": "A", "postExamples": [{"user": "A", "content": {"text": "a post"}}, "plain"]}

    assert one(raw).post_examples == ("a post", "plain")


def test_knowledge_written_as_an_object_is_read_as_texts_and_kept_as_it_was() -> None:
    character = one({"name": "A", "knowledge": {"moon": {"shape": "round"}, "tides": ["high", "low"]}})

    assert [(item.text, item.source) for item in character.knowledge] == [
        ("moon.shape: round", "moon.shape"),
        ("tides: high; low", "tides"),
    ]
    assert character.extras == {"knowledge": {"moon": {"shape": "round"}, "tides": ["high", "low"]}}


def test_half_an_emoji_does_not_break_the_name() -> None:
    assert loads(r'{"name": "A\ud83d", "x": ["\ude00", "\ud83d\ude00"]}', "x")[0].name == "A\ufffd"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty, expected a JSON object"),
        ("{}", "is an empty object"),
        ("[]", "is an empty list"),
        ("3", "$: expected an object, got a number"),
        ("null", "$: expected an object, got null"),
        ('{"bio": []}', "$.name is missing, expected a string"),
        ('{"name": " "}', "$.name is empty, expected a name"),
        ('{"name": 7}', "$.name: expected a string, got a number"),
        ('{"name": ["A"]}', "$.name: expected a string, got a list"),
        ('{"name": "A",\n "bio": [}', "is not JSON: Expecting value at line 2, column 10"),
        ('{"name": "A", "x": NaN}', "holds a number outside JSON's range"),
        ('{"name": "A", "x": 1e999}', "holds a number outside JSON's range"),
        (f'{{"name": "A", "x": {"9" * 5000}}}', "holds a number outside JSON's range"),
        ('{"$schema": "https://json-schema.org/x", "type": "object", "properties": {}}', "is a JSON schema"),
        (b'{"name": "\xff"}', "is not UTF-8 (byte 10)"),
        ("[" * 100_000, "is nested deeper than 64 levels"),
        ('{"name": "A", "x": ' + "[" * 70 + "]" * 70 + "}", "is nested deeper than 64 levels"),
        (b" " * (4 * 2**20 + 1), "is larger than 4 MB"),
        ("[" + "0," * 200_001 + "0]", "holds more than 200,000 values"),
        ("[" + "0," * 100 + "0]", "is a list of 101, expected 100 characters at most"),
    ],
)
def test_what_is_no_character_is_refused_with_a_hint(text: str | bytes, said: str) -> None:
    error = refused(text)

    assert str(error).startswith("character 'x.json': ")
    assert said in str(error)
    assert error.hint


def test_an_item_of_an_array_is_refused_by_its_number() -> None:
    assert str(refused('[{"name": "A"}, {"name": 1}]')).startswith("character 'x.json[1]': $.name")


@pytest.mark.parametrize(
    "text", ['{"secrets": {"K": "hunter22"},}', '{"secrets": {"K": "hunter22"}}', b'"hunter22\xff']
)
def test_no_error_carries_a_secret(text: str | bytes) -> None:
    error: BaseException | None = refused(text)

    while error is not None:
        assert "hunter22" not in repr(error) + repr(vars(error)) + repr(getattr(error, "object", ""))
        error = error.__cause__ or error.__context__


def test_a_file_is_loaded_and_its_absence_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"name": "A"}', encoding="utf-8")

    assert load(path)[0].name == "A"
    for wrong, said in [(tmp_path / "b.json", "does not exist"), (tmp_path, "is a directory"), (path / "c", "exist")]:
        with pytest.raises(ConfigError, match=said) as caught:
            load(wrong)
        assert caught.value.hint


def test_a_pipe_and_an_impossible_path_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for wrong, said in [(tmp_path / "pipe", "not a regular file"), (Path("a\0b"), "not a usable path")]:
        with pytest.raises(ConfigError, match=said):
            load(wrong)


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.touch()

    def denied(*_: object, **__: object) -> None:  # a mock, because root may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ConfigError, match="cannot be read \\(Permission denied\\)"):
        load(path)


@pytest.mark.parametrize(("name", "era"), [("wren", "v1"), ("snib", "v0"), ("moss", "v1")])
def test_the_characters_we_ship_load_and_hold_no_secret(name: str, era: str) -> None:
    [character] = load(CHARACTERS / f"{name}.json")

    assert (character.name.lower(), character.era) == (name, era)
    assert strip_secrets(character) == (character, {})
    assert not any(character.extras.values())


def test_the_default_character_has_plenty_to_say() -> None:
    [wren] = load(CHARACTERS / "wren.json")
    told = [
        *wren.bio,
        *wren.style.all,
        *wren.style.chat,
        *wren.style.post,
        *(k.text for k in wren.knowledge),
        *wren.topics,
    ]

    assert len(wren.bio) >= 12
    assert len(wren.knowledge) >= 8
    assert len(wren.message_examples) >= 10
    assert 6000 <= sum(map(len, told)) + sum(len(line.text) for talk in wren.message_examples for line in talk) <= 9000
    assert list(wren.templates) == ["replyTemplate"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = [
    *V0,
    *("id", "username", "system", "plugins", "templates", "secrets", "description", "user", "content", "text"),
]


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(), json_values, max_size=8), st.text(min_size=1))
def test_any_object_with_a_name_loads(raw: dict[str, Any], name: str) -> None:
    if name.strip():
        assert one(raw | {"name": name}).name == name


@given(st.text() | st.binary())
def test_any_text_loads_or_is_refused(text: str | bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert loads(text, "x")


def test_more_secrets_than_anyone_keeps_are_refused_by_file() -> None:
    many = {f"KEY_{number}": f"secret-value-{number}" for number in range(501)}

    error = refused(json.dumps({"name": "A", "secrets": many}))

    assert str(error) == "character 'x.json': holds 501 secrets, expected 500 at most"
    assert "vault" in error.hint
