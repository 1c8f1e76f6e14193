"""The oracles answer as the published packages do: each era knows its own characters, ids and templates."""

from collections.abc import Iterator

import pytest

import eliza_oracle
from eliza_oracle import Json, Oracle, OracleError

pytestmark = eliza_oracle.MAY_INSTALL

CLASSIC = {
    "name": "Ada",
    "modelProvider": "openai",
    "clients": ["telegram"],
    "plugins": [],
    "bio": ["first", "second", "third", "fourth"],
    "lore": ["born on a train"],
    "messageExamples": [[{"user": "{{user1}}", "content": {"text": "hi"}}, {"user": "Ada", "content": {"text": "yo"}}]],
    "postExamples": ["a post"],
    "topics": ["trains"],
    "adjectives": ["wry"],
    "style": {"all": ["short"], "chat": ["warm"], "post": ["bold"]},
}
MODERN = {
    "name": "Ada",
    "bio": ["first", "second", "third", "fourth"],
    "messageExamples": [[{"name": "{{name1}}", "content": {"text": "hi"}}, {"name": "Ada", "content": {"text": "yo"}}]],
    "topics": ["trains"],
    "plugins": ["@elizaos/plugin-bootstrap"],
    "style": {"all": ["short"], "chat": ["warm"]},
}


@pytest.fixture(scope="module")
def validators() -> Iterator[Oracle]:
    with eliza_oracle.validators() as oracle:
        yield oracle


@pytest.fixture(scope="module")
def ids() -> Iterator[Oracle]:
    with eliza_oracle.ids() as oracle:
        yield oracle


@pytest.fixture(scope="module")
def templates() -> Iterator[Oracle]:
    with eliza_oracle.templates() as oracle:
        yield oracle


@pytest.mark.parametrize("era", ["v0.1.6", "v0.25.9"])
def test_a_classic_character_is_one_of_its_own_era_only(validators: Oracle, era: str) -> None:
    assert validators.ask({"era": era, "character": CLASSIC})["ok"]

    newer = validators.ask({"era": "v1.7.2", "character": CLASSIC})
    assert not newer["ok"]
    assert newer["errors"][-1] == '(top): Unrecognized keys: "modelProvider", "clients", "lore"'


@pytest.mark.parametrize("era", ["v0.1.6", "v0.25.9"])
def test_a_modern_character_is_none_of_the_classic_eras(validators: Oracle, era: str) -> None:
    assert validators.ask({"era": "v1.7.2", "character": MODERN})["ok"]

    older = validators.ask({"era": era, "character": MODERN})
    assert not older["ok"]
    assert "messageExamples.0.0.user: Required" in older["errors"]


@pytest.mark.parametrize(
    ("era", "character"),
    [("v0.1.6", CLASSIC), ("v0.25.9", CLASSIC), ("v1.7.2", MODERN), ("v2", MODERN), ("v2-strict", MODERN)],
)
def test_what_is_broken_is_named_by_its_path(validators: Oracle, era: str, character: dict[str, Json]) -> None:
    broken = character | {"style": {"all": ["short"], "chat": ["warm", 7], "post": []}}

    answer = validators.ask({"era": era, "character": broken})

    assert not answer["ok"]
    assert [error.split(":")[0] for error in answer["errors"]] == ["style.chat.1"]


def test_the_v2_loader_drops_what_the_v2_schema_rejects(validators: Oracle) -> None:
    loaded = validators.ask({"era": "v2", "character": MODERN | {"lore": ["born on a train"]}})
    strict = validators.ask({"era": "v2-strict", "character": MODERN | {"lore": ["born on a train"]}})

    assert "lore" not in loaded["parsed"]
    assert strict["errors"] == ['(top): Unrecognized key: "lore"']


def test_every_era_gives_a_name_the_same_id(ids: Oracle) -> None:
    answer = ids.ask({"text": "Eliza"})

    assert answer == dict.fromkeys(("v0.1.6", "v0.25.9", "v1.7.2"), "b850bc30-45f8-0041-a00a-83df46d8555d")


def test_an_agent_is_its_own_unique_id(ids: Oracle) -> None:
    agent = ids.ask({"text": "Eliza"})["v1.7.2"]

    assert ids.ask({"text": agent, "agent_id": agent})["unique"] == agent
    assert ids.ask({"text": "Bob", "agent_id": agent})["unique"] == ids.ask({"text": f"Bob:{agent}"})["v1.7.2"]


@pytest.mark.parametrize(
    ("era", "state"),
    [("v0.25.9", {"agentName": "<Ada>"}), ("v1.7.2", {"values": {"agentName": "<Ada>"}})],
)
def test_a_template_is_filled_unescaped_and_the_unknown_is_left_out(
    templates: Oracle, era: str, state: dict[str, Json]
) -> None:
    answer = templates.ask({"era": era, "template": "I am {{agentName}}{{nobody}}.", "state": state})

    assert answer == {"text": "I am <Ada>."}


def test_the_character_provider_repeats_itself_under_one_seed() -> None:
    with eliza_oracle.providers() as oracle:
        question = {"provider": "CHARACTER", "character": MODERN, "room_type": "DM", "seed": 1}

        first, again = oracle.ask(question), oracle.ask(question)

    assert first == again
    assert first["values"]["bio"].startswith("# About Ada\n")
    assert first["values"]["directions"] == "# Message Directions for Ada\nshort\nwarm\n"


def test_a_classic_state_is_composed_from_what_the_question_says() -> None:
    with eliza_oracle.states() as oracle:
        state = oracle.ask(
            {"character": CLASSIC, "message": {"content": {"text": "who?"}}, "knowledge": [" Trains run. "], "seed": 1}
        )["state"]

    assert state["lore"] == "born on a train"
    assert state["knowledge"] == "Trains run."
    assert len(state["bio"].split()) == 3


def test_what_a_package_throws_is_an_error_here(validators: Oracle) -> None:
    with pytest.raises(OracleError, match="unknown era 'v9'"):
        validators.ask({"era": "v9", "character": MODERN})


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_a_missing_tool_skips_unless_tools_are_required(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("TEEHEE_REQUIRE_TOOLS", required)

    with pytest.raises(outcome, match="needs no-such-program"):
        eliza_oracle.tool("no-such-program")
