"""Events that begin no turn: remembered, changed, moved, and never answered."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minds import AGENT, NOON_MS, Mind, ScriptedBrain, agent, mind
from teehee import ids
from teehee.store import forgetting
from teehee.testing import until
from teehee.wire.messages import Event

Json = Any
GROUP, SAM, KIM = "telegram:-100", "telegram:7", "telegram:8"
ROOM = ids.create_unique_uuid(AGENT, "-100")
SAYS = "<response><text>Noted.</text></response>"


def event(text: str, number: int, kind: str = "heard", principal: str = SAM, **more: Json) -> Event:
    given: dict[str, Json] = {"name": "Sam", "room_type": "GROUP", "message": f"-100-{number}"} | more
    return Event(AGENT, "telegram", f"1-{number}-{number}", principal, GROUP, kind, text, NOON_MS + number, **given)


def prompts(ada: Mind) -> list[str]:
    assert isinstance(ada.agent.brain, ScriptedBrain)
    return ada.agent.brain.prompts


def lines(ada: Mind, kind: str = "messages", room: str = ROOM) -> list[str]:
    return [str(memory.content["text"]) for memory in reversed(ada.store.latest(room, kind, 50))]


async def test_what_people_say_to_one_another_is_remembered_and_not_answered(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(event("the wind is up", 1))

        assert prompts(ada) == []
        assert lines(ada) == ["the wind is up"]
        assert ada.store.row_state(AGENT, "telegram", "1-1-1")[:2] == ("ended", "heard")


async def test_the_agent_knows_what_was_said_before_it_was_asked(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(event("the wind is up", 1))
        await ada.accept(event("@ada, shall we sail?", 2, "message", KIM))
        await until(lambda: bool(prompts(ada)))

        assert "the wind is up" in prompts(ada)[0]


async def test_an_edit_changes_what_is_remembered(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(event("the wind is uo", 1))
        await ada.accept(replace(event("the wind is up", 2, "edit"), message="-100-1"))
        await ada.accept(event("so?", 3, "message"))
        await until(lambda: bool(prompts(ada)))

        assert lines(ada)[0] == "the wind is up"
        assert "wind is uo" not in prompts(ada)[0]


async def test_a_message_edited_before_its_turn_is_answered_as_it_reads_now(tmp_path: Path) -> None:
    brain = ScriptedBrain(SAYS)
    brain.gate.clear()
    async with mind(tmp_path, agent(brain)) as ada:
        await ada.accept(event("first", 1, "message"))
        await ada.accept(event("how is the wnd?", 2, "message"))
        await ada.accept(replace(event("how is the wind?", 3, "edit"), message="-100-2"))
        brain.gate.set()
        await until(lambda: len(brain.prompts) == 2)

        assert "how is the wind?" in brain.prompts[1]
        assert "wnd" not in brain.prompts[1]


async def test_an_edit_of_something_never_heard_changes_nothing(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(replace(event("late", 1, "edit"), message="-100-99"))

        assert lines(ada) == []


async def test_a_reaction_is_remembered_apart_from_the_talk(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(event("the wind is up", 1))
        await ada.accept(replace(event("👍", 2, "reaction", KIM), message="-100-1"))

        assert (lines(ada), lines(ada, "reactions")) == (["the wind is up"], ["👍"])


async def test_a_group_that_moved_keeps_its_past(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(event("the wind is up", 1))
        moved = replace(event("", 2, "moved"), room="telegram:-200", content={"from": GROUP})
        await ada.accept(moved)
        await ada.accept(replace(event("and now?", 3, "message"), room="telegram:-200"))
        await until(lambda: bool(prompts(ada)))

        assert "the wind is up" in prompts(ada)[0]
        assert lines(ada) == []
        assert lines(ada, room=ids.create_unique_uuid(AGENT, "-200"))[0] == "the wind is up"


async def test_nobody_is_remembered_as_saying_what_a_schedule_asks_for(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(event("Write something for this room.", 1, "schedule"))
        await until(lambda: bool(prompts(ada)))

        assert lines(ada) == []


async def test_ids_are_those_eliza_gives(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(replace(event("hi", 1), room=f"{GROUP}/5", content={"world": "-100", "room": "Sailors"}))
        room = ada.store.db.execute("SELECT id, world_id, name FROM rooms").fetchone()
        (entity,) = ada.store.db.execute("SELECT id FROM entities").fetchone()

        assert room == (ids.create_unique_uuid(AGENT, "-100-5"), ids.create_unique_uuid(AGENT, "-100"), "Sailors")
        assert entity == ids.create_unique_uuid(AGENT, "7")


async def test_forgetting_takes_a_persons_words_out_of_what_others_quoted(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        await ada.accept(event("my boat is called Quill", 1))
        quote = {"quote": {"of": SAM, "text": "my boat is called Quill"}}
        await ada.accept(replace(event("lovely name", 2, principal=KIM), content=quote))
        entity = ids.create_unique_uuid(AGENT, "7")
        await ada.store.commit.run(lambda: forgetting.forget(ada.store, AGENT, SAM, entity))
        everything = "\n".join(str(row) for table in ("memories", "inbox") for row in _rows(ada, table))

        assert "Quill" not in everything
        assert "lovely name" in everything


async def test_a_quote_of_somebody_never_met_there_is_gone_from_the_record_of_the_turn_too(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        quote = {"quote": {"of": SAM, "name": "Sam", "text": "my boat is called Quill"}}
        await ada.accept(event("what does that mean?", 1, "message", KIM, content=quote))
        await ada.answered("1-1-1")
        ada.vault.deliver("1-1-1")
        await until(lambda: bool(ada.store.db.execute("SELECT 1 FROM turns WHERE came IS NOT NULL").fetchall()))
        entity = ids.create_unique_uuid(AGENT, "7")

        gone = await ada.store.commit.run(lambda: forgetting.forget(ada.store, AGENT, SAM, entity))

        assert gone.rooms == (ROOM,)
        assert _rows(ada, "turns") == []
        assert "Quill" not in str(_rows(ada, "inbox"))


def _rows(ada: Mind, table: str) -> list[Json]:
    return ada.store.db.execute(f"SELECT * FROM {table}").fetchall()


@pytest.mark.parametrize("kind", ["heard", "edit", "reaction", "moved"])
async def test_the_same_event_again_changes_nothing(tmp_path: Path, kind: str) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(SAYS))) as ada:
        told = [await ada.accept(event("hello", 1, kind, content={"from": "telegram:-5"})) for _ in range(2)]

        assert told == [True, False]
