"""Eliza's deterministic ids: the published vectors, and the published packages asked about anything else."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eliza_oracle
from teehee import ids
from teehee.ids import create_unique_uuid, string_to_uuid

pytestmark = eliza_oracle.MAY_INSTALL
AGENT = "b850bc30-45f8-0041-a00a-83df46d8555d"


@pytest.fixture(scope="module")
def oracle() -> Iterator[eliza_oracle.Oracle]:
    with eliza_oracle.ids() as oracle:
        yield oracle


def test_the_published_vector() -> None:
    assert string_to_uuid("Eliza") == AGENT


@pytest.mark.parametrize(
    "text",
    ["", " ", "Ada", "ä", "日本語", "🎲", "a b", "-_.!~*'()", "%41", "A:B", "12345", "C3-PO", "e\u0301", "\0", "\\"],
)  # fmt: skip
def test_every_era_derives_the_id_we_derive(oracle: eliza_oracle.Oracle, text: str) -> None:
    answer = oracle.ask({"text": text, "agent_id": AGENT})

    assert {answer["v0.1.6"], answer["v0.25.9"], answer["v1.7.2"]} == {string_to_uuid(text)}
    assert answer["unique"] == create_unique_uuid(AGENT, text)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_has_the_id_eliza_gives_it(oracle: eliza_oracle.Oracle, text: str) -> None:
    answer = oracle.ask({"text": text, "agent_id": AGENT})

    assert answer["v1.7.2"] == answer["v0.25.9"] == string_to_uuid(text)
    assert answer["unique"] == create_unique_uuid(AGENT, text)


def test_a_uuid_and_the_agent_itself_stay_what_they_are() -> None:
    assert string_to_uuid(AGENT.upper()) == AGENT.upper()
    assert create_unique_uuid(AGENT, AGENT) == AGENT
    assert string_to_uuid(7) == string_to_uuid("7")


def test_half_an_emoji_has_an_id_too() -> None:
    assert string_to_uuid("\ud83d") == string_to_uuid("?")


def test_the_ids_of_0_x_are_put_together_as_its_clients_do(oracle: eliza_oracle.Oracle) -> None:
    room = ids.v0_room_id(-1001234, AGENT)

    assert ids.v0_user_id(42) == oracle.ask({"text": "42"})["v0.25.9"]
    assert room == oracle.ask({"text": f"-1001234-{AGENT}"})["v0.25.9"]
    assert ids.v0_message_id(room, 7) == oracle.ask({"text": f"{room}-7"})["v0.25.9"]
    assert ids.v0_direct_room_id(AGENT) == oracle.ask({"text": f"default-room-{AGENT}"})["v0.25.9"]
