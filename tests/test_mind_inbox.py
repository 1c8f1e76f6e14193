"""The inbox: accepted means kept, rooms take turns in order and side by side, and what was left open is taken up."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from minds import AGENT, ScriptedBrain, agent, event, mind
from teehee.errors import Unavailable
from teehee.mind import inbox as inboxes
from teehee.mind import turn as turns
from teehee.plugin import Turn, evaluator
from teehee.testing import until
from teehee.testing.scripted_model import block
from teehee.wire.messages import Ended
from teehee.wire.strict import Malformed


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries at once: the real pauses go from half a second to a minute."""
    monkeypatch.setattr(inboxes, "BACKOFF", (0.01,))


async def test_an_accepted_message_is_on_disk_before_its_sender_is_told(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    brain.gate.clear()
    async with mind(tmp_path, agent(brain)) as up:
        new = await up.accept(event("keep me"))

        with sqlite3.connect(f"file:{tmp_path}/mind.db?mode=ro", uri=True) as other:
            kept = other.execute("SELECT body FROM inbox").fetchall()
            remembered = other.execute("SELECT content FROM memories WHERE type='messages'").fetchall()
        other.close()

    assert new
    assert "keep me" in str(kept)
    assert "keep me" in str(remembered)


async def test_a_message_is_answered_once_however_often_it_comes(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    async with mind(tmp_path, agent(brain)) as up:
        told = await asyncio.gather(*(up.accept(event()) for _ in range(3)))
        await up.answered("e-1")
        again = await up.accept(event())

    assert sorted([*told, again]) == [False, False, False, True]
    assert len(brain.prompts) == 1


async def test_a_message_for_nobody_here_is_refused(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        with pytest.raises(Malformed, match="no agent 'b' in this mind"):
            await up.inbox.accept(event().to_json() | {"agent": "b"})


async def test_a_room_takes_its_turns_in_order(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    async with mind(tmp_path, agent(brain)) as up:
        await asyncio.gather(*(up.accept(event(f"message {n}", id=f"e-{n}")) for n in range(5)))
        await up.answered(*(f"e-{n}" for n in range(5)))

        assert [submission["event"] for submission in up.vault.submissions] == [f"e-{n}" for n in range(5)]
    for number, prompt in enumerate(brain.prompts):
        assert prompt.endswith(f"# Received Message\nSam: message {number}")
        assert [f"Sam: message {n}\nAda: hi" in prompt for n in range(5)] == [n < number for n in range(5)]
        assert prompt.count("Sam: message") == number + 1


async def test_rooms_do_not_wait_for_one_another(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    brain.gate.clear()
    async with mind(tmp_path, agent(brain)) as up:
        for number in range(5):
            await up.accept(event(id=f"e-{number}", room=f"terminal:{number}"))

        await until(lambda: len(brain.prompts) == 5)


async def test_only_so_many_rooms_are_answered_at_a_time(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    brain.gate.clear()
    async with mind(tmp_path, agent(brain), parallel=2) as up:
        for number in range(5):
            await up.accept(event(id=f"e-{number}", room=f"terminal:{number}"))
        await until(lambda: len(brain.prompts) == 2)
        waiting = len(brain.prompts)

        brain.gate.set()
        await up.answered(*(f"e-{n}" for n in range(5)))

    assert waiting == 2
    assert len(brain.prompts) == 5


async def test_a_turn_without_words_is_ended_and_told(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("", actions="IGNORE")))) as up:
        await up.accept(event())
        await until(lambda: up.told != [])

        assert up.told == [Ended(AGENT, "terminal", "e-1", "ignored")]
        assert up.row()[:2] == ("ended", "ignored")


async def test_a_turn_that_breaks_ends_alone(tmp_path: Path) -> None:
    brain = ScriptedBrain(KeyError("a mistake of ours"), block("hi"))
    async with mind(tmp_path, agent(brain)) as up:
        await up.accept(event(id="e-1"))
        await up.accept(event(id="e-2"))
        await up.answered("e-1", "e-2")

        assert [ended.code for ended in up.told] == ["failed"]
        assert up.vault.texts("e-2") == ["hi"]


async def test_a_model_that_is_away_is_waited_for_and_told_once_each_try(tmp_path: Path) -> None:
    away = Unavailable("away", code="model-down", retry_after=0.0)
    async with mind(tmp_path, agent(ScriptedBrain(away, away, block("at last")))) as up:
        await up.accept(event())
        await up.answered("e-1")

        assert up.told == [Ended(AGENT, "terminal", "e-1", "model-down", final=False)] * 2
        assert up.vault.texts() == ["at last"]


async def test_a_message_behind_a_postponed_one_keeps_its_place(tmp_path: Path) -> None:
    away = Unavailable("away", code="model-down", retry_after=0.0)
    async with mind(tmp_path, agent(ScriptedBrain(away, away, block("hi")))) as up:
        await up.accept(event(id="e-1"))
        await up.accept(event(id="e-2"))
        await up.answered("e-1", "e-2")

        assert list(up.vault.effects) == ["e-1", "e-2"]


async def test_a_store_that_takes_no_write_for_a_while_stops_no_room_for_good(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("", actions="IGNORE"))
    brain.gate.clear()
    async with mind(tmp_path, agent(brain)) as up:
        await up.accept(event())
        await until(lambda: brain.prompts != [])
        up.store.db.execute("PRAGMA busy_timeout=0")
        with sqlite3.connect(tmp_path / "mind.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            brain.gate.set()
            await until(lambda: "later" in [ended.code for ended in up.told])
            other.execute("ROLLBACK")
        other.close()

        await up.answered("e-1")

        assert up.row()[:2] == ("ended", "ignored")


async def test_what_an_earlier_life_left_open_is_answered_first_and_in_order(tmp_path: Path) -> None:
    stuck = ScriptedBrain(block("never"))
    stuck.gate.clear()
    async with mind(tmp_path, agent(stuck)) as up:
        for number in range(3):
            await up.accept(event(f"message {number}", id=f"e-{number}"))

    brain = ScriptedBrain(block("hi"))
    async with mind(tmp_path, agent(brain)) as up:
        await up.accept(event("message 3", id="e-3"))
        await up.answered("e-3")

        assert list(up.vault.effects) == ["e-0", "e-1", "e-2", "e-3"]
    assert brain.prompts[0].count("Sam: message") == 1
    assert brain.prompts[3].count("Sam: message") == 4


async def test_a_repeated_old_message_stays_part_of_the_past(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        await up.accept(event("remember me", id="e-1"))
        await up.answered("e-1")
        up.vault.deliver("e-1")
        await until(lambda: up.row("e-1")[0] == "done")

    brain = ScriptedBrain(block("hi"))
    async with mind(tmp_path, agent(brain)) as up:
        await up.accept(event("remember me", id="e-1"))
        await up.accept(event("and now?", id="e-2"))
        await up.answered("e-2")

    assert "Sam: remember me\nAda: hi" in brain.prompts[0]


async def test_an_event_that_was_never_witnessed_is_taken_up_when_it_comes_again(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        await up.store.commit.run(lambda: up.store.accept(event()))
        await up.store.commit.run(lambda: up.store.close_row(1, "ended", "unwitnessed"))

        assert await up.accept(event())
        await up.answered("e-1")

        assert up.vault.texts() == ["hi"]


async def test_a_reply_is_remembered_once_it_is_delivered(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        room = turns.message_of(event()).room_id
        await up.accept(event())
        await up.answered("e-1")
        before = [memory.content["text"] for memory in up.store.latest(room, "messages", 10)]

        up.vault.deliver("e-1")
        await until(lambda: up.row()[0] == "done")
        after = up.store.latest(room, "messages", 10)

    assert before == ["hello"]
    assert (after[0].content["text"], after[0].entity_id) == ("hi", AGENT)
    assert after[0].content["inReplyTo"] == turns.message_of(event()).id


@pytest.mark.parametrize("state", ["failed", "expired", "unknown"])
async def test_a_reply_that_did_not_arrive_is_not_remembered(tmp_path: Path, state: str) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        await up.accept(event())
        await up.answered("e-1")

        up.vault.deliver("e-1", state)
        await until(lambda: up.row()[0] == "done")

        assert up.store.count(turns.message_of(event()).room_id, "messages") == 1


async def test_an_outcome_told_while_the_mind_was_away_is_caught_up_with(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        await up.accept(event())
        await up.answered("e-1")
        up.vault.effects["e-1"] = delivered = [e for e in up.vault.effects["e-1"]]

    async with mind(tmp_path, agent(ScriptedBrain(block("again")))) as up:
        up.vault.effects["e-1"] = delivered
        await until(lambda: "e-1" in up.vault.effects and up.row()[0] == "open")
        up.vault.deliver("e-1")
        await until(lambda: up.row()[0] == "done")

        assert up.store.count(turns.message_of(event()).room_id, "messages") == 2


async def test_evaluators_see_what_was_delivered_and_a_failing_one_stops_no_other(tmp_path: Path) -> None:
    seen: list[str] = []

    @evaluator("BROKEN")
    async def broken(turn: Turn) -> None:
        raise KeyError("broken")

    @evaluator("NOTE")
    async def note(turn: Turn) -> None:
        seen.append(f"{turn.message.text} -> {turn.reply}")

    async with mind(tmp_path, agent(ScriptedBrain(block("hi")), evaluators=[broken, note])) as up:
        await up.accept(event())
        await up.answered("e-1")
        up.vault.deliver("e-1")
        await until(lambda: seen != [])

    assert seen == ["hello -> hi"]


async def test_a_plugin_is_told_of_a_delivered_message(tmp_path: Path) -> None:
    heard: list[str] = []

    async def sent(facts: object) -> None:
        assert isinstance(facts, dict)
        heard.append(facts["text"])

    async with mind(tmp_path, agent(ScriptedBrain(block("hi")), events={"MESSAGE_SENT": (sent,)})) as up:
        await up.accept(event())
        await up.answered("e-1")
        up.vault.deliver("e-1")
        await until(lambda: heard != [])

    assert heard == ["hi"]


async def test_closing_leaves_a_slow_turn_open_for_the_next_start(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    brain.gate.clear()
    async with mind(tmp_path, agent(brain)) as up:
        await up.accept(event())
        await until(lambda: len(brain.prompts) == 1)

        await up.inbox.close(0.05)

        assert up.row() == ("open", "", None)


async def test_a_message_tells_how_it_stands(tmp_path: Path) -> None:
    question = {"agent": AGENT, "source": "terminal", "event": "e-1"}
    async with mind(tmp_path, agent(ScriptedBrain(block("hi", actions="REPLY,NONE")))) as up:
        unknown = up.inbox.show(question)
        await up.accept(event())
        await up.answered("e-1")
        await until(lambda: up.row()[2] is not None)

        assert unknown == {"state": "unknown", "code": "", "actions": []}
        assert up.inbox.show(question) == {"state": "open", "code": "", "actions": ["REPLY", "NONE"]}


async def test_an_unreadable_answer_tells_no_actions(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain("no block"))) as up:
        await up.accept(event())
        await up.answered("e-1")

        shown = up.inbox.show({"agent": AGENT, "source": "terminal", "event": "e-1"})

    assert shown == {"state": "ended", "code": "model-unfit", "actions": []}


async def test_the_history_of_a_room_is_what_people_said(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        for number in range(3):
            await up.accept(event(f"message {number}", id=f"e-{number}", at=1_000 + number))
            await up.answered(f"e-{number}")
            up.vault.deliver(f"e-{number}")
            await until(lambda: up.row(f"e-{number}")[0] == "done")  # noqa: B023 - awaited within the turn of the loop

        told = up.inbox.history({"agent": AGENT, "source": "terminal", "room": "terminal:main", "limit": 2})
        elsewhere = up.inbox.history({"agent": AGENT, "source": "terminal", "room": "terminal:attic"})

    assert [line["text"] for line in told] == ["message 1", "message 2"]
    assert [line["at"] for line in told] == [1_001, 1_002]
    assert elsewhere == []
