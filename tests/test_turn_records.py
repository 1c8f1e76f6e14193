"""What a turn leaves behind: enough to say why, written with its row, bounded, and gone with whoever is forgotten."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minds import ADA, AGENT, Mind, ScriptedBrain, agent, event, mind
from teehee.errors import AskAgain, Unavailable
from teehee.mind import record
from teehee.mind import turn as turns
from teehee.plugin import Provided, Result, Turn, action, provider
from teehee.store import turn_records
from teehee.testing import until
from teehee.testing.scripted_model import block
from teehee.wire.messages import Event

Json = Any


async def said(up: Mind, text: str = "hello", *, id: str = "e-1", room: str = "terminal:main") -> None:
    """A whole turn, to its end."""
    await up.accept(event(text, id=id, room=room))
    await up.answered(id)
    if id in up.vault.effects:
        up.vault.deliver(id)
    await until(lambda: up.row(id)[0] != "open")


def why(up: Mind, id: str = "e-1") -> Json:
    return up.inbox.why({"agent": AGENT, "source": "terminal", "event": id})


def count(up: Mind, table: str = "turns") -> int:
    (number,) = up.store.db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    return int(number)


@provider("FACTS_READ")
async def reads(turn: Turn) -> str:
    return " ".join(recall.text for recall in await turn.recall(table="notes"))


@action("NOTE")
async def note(turn: Turn) -> Result:
    await turn.remember("noted", table="notes")
    return Result("Noted.")


async def test_why_tells_what_an_answer_was_made_of(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("", actions="NOTE"))
    async with mind(tmp_path, agent(brain, actions=[note], providers=[reads])) as up:
        await said(up)
        await said(up, "again", id="e-2")
        told = why(up, "e-2")

    asked = {one["name"]: one for one in told["providers"]}
    assert (told["state"], told["code"], told["recorded"], told["attempts"]) == ("done", "", True, 1)
    assert (asked["CHARACTER"]["how"], asked["FACTS_READ"]["how"]) == ("kept", "asked")
    assert asked["FACTS_READ"]["chars"] == len("noted")
    assert [(m["by"], m["from"], m["count"]) for m in told["memories"]] == [("FACTS_READ", "notes", 1)]
    assert {"name": "MESSAGE", "chars": 5, "stable": False} in told["prompt"]
    assert [call["why"] for call in told["calls"]] == ["first"]
    assert told["decision"] == {"actions": ["NOTE"], "providers": []}
    assert [(a["name"], a["how"]) for a in told["actions"]] == [("NOTE", "done")]
    assert told["policy"]["verdict"] == "allowed"
    assert [(e["id"], e["state"]) for e in told["effects"]] == [("e-2/0", "delivered")]
    assert [step["step"] for step in told["steps"]] == [
        "said", "accepted", "begun", "asked the model", "decided", "committed", "closed",
    ]  # fmt: skip


async def test_why_tells_sizes_and_no_words(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("canary-answer")))) as up:
        await said(up, "canary-question")
        told = why(up)

    assert "canary" not in str(told)


async def test_why_knows_a_turn_that_is_still_open(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    brain.gate.clear()
    async with mind(tmp_path, agent(brain)) as up:
        await up.accept(event())
        await until(lambda: bool(brain.prompts))
        thinking = why(up)
        brain.gate.set()
        await up.answered("e-1")
        answered = why(up)

    assert (thinking["state"], thinking["recorded"], thinking["policy"], thinking["effects"]) == ("open", True, {}, [])
    assert (answered["state"], answered["effects"][0]["state"]) == ("open", "due")


async def test_why_knows_nothing_of_what_was_never_said(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        assert why(up, "e-9") == {"state": "unknown", "code": "", "recorded": False}
        assert up.inbox.why({"agent": "another", "source": "terminal", "event": "e-1"})["recorded"] is False


async def test_why_tells_the_rule_that_said_no(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        up.vault.refuse = "base.room-mismatch"
        await said(up)
        told = why(up)

    assert told["code"] == "refused"
    assert told["policy"] == {"verdict": "refused", "rule": "base.room-mismatch", "reason": "the rule says no"}
    assert told["effects"] == []


async def test_why_tells_each_attempt_and_consultation(tmp_path: Path) -> None:
    @provider("ALMANAC", dynamic=True)
    async def almanac(turn: Turn) -> str:
        return "Frost is due on Friday."

    brain = ScriptedBrain(block("", providers="ALMANAC"), "no block", block("Mind the frost."))
    async with mind(tmp_path, agent(brain, providers=[almanac])) as up:
        await said(up)
        told = why(up)

    assert [call["why"] for call in told["calls"]] == ["first", "consult", "again"]
    assert told["attempts"] == 2
    assert told["reasons"] == ["there was no <response>…</response> block in it"]
    assert ("ALMANAC", len("Frost is due on Friday.")) in [(p["name"], p["chars"]) for p in told["prompt"]]


async def test_why_tells_what_failed_by_name(tmp_path: Path) -> None:
    @provider("BROKEN")
    async def broken(turn: Turn) -> str:
        raise RuntimeError("secret detail")

    @action("EXPLODE")
    async def explode(turn: Turn) -> Result:
        raise RuntimeError("secret detail")

    brain = ScriptedBrain(block("hi", actions="REPLY,EXPLODE,UNHEARD_OF"))
    async with mind(tmp_path, agent(brain, actions=[explode], providers=[broken])) as up:
        await said(up)
        told = why(up)

    assert ("BROKEN", "failed") in [(p["name"], p["how"]) for p in told["providers"]]
    assert {(a["name"], a["how"]) for a in told["actions"]} == {
        ("REPLY", "done"), ("EXPLODE", "failed"), ("UNHEARD_OF", "unknown"),
    }  # fmt: skip
    assert "secret detail" not in str(told)


async def test_a_turn_that_was_put_off_is_recorded_as_it_went_in_the_end(tmp_path: Path) -> None:
    brain = ScriptedBrain(Unavailable("away", code="model-down"), block("back again"))
    async with mind(tmp_path, agent(brain)) as up:
        await said(up)
        told = why(up)

    assert [call["error"] for call in told["calls"]] == [""]
    assert told["state"] == "done"


async def test_an_unfit_call_is_counted_and_told(tmp_path: Path) -> None:
    brain = ScriptedBrain(AskAgain("it was empty"), block("better"))
    async with mind(tmp_path, agent(brain)) as up:
        await said(up)
        told = why(up)
        counts = (await up.inbox.health({}))["counts"]

    assert [call["error"] for call in told["calls"]] == ["unfit", ""]
    assert ["teehee_model_calls", [AGENT, "unfit"], 1] in counts
    assert ["teehee_model_calls", [AGENT, "ok"], 1] in counts


async def test_what_went_in_survives_a_death_before_the_outcome(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        await up.run()
        await until(lambda: up.row()[2] is not None)
        up.desk.records.open.clear()  # what a process that dies takes along
        told = why(up)

    assert (told["state"], told["recorded"]) == ("open", True)
    assert "CHARACTER" in [one["name"] for one in told["providers"]]


async def test_a_turn_taken_up_again_with_its_journaled_answer_is_recorded_too(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("asked again"))
    async with mind(tmp_path, agent(brain)) as up:
        up.store.db.execute("BEGIN")
        seq = up.store.accept(event())
        assert seq is not None
        up.store.journal(seq, block("from before"))
        up.store.db.execute("COMMIT")
        await up.inbox.recover()
        await up.answered("e-1")
        up.vault.deliver("e-1")
        await until(lambda: up.row()[0] == "done")
        told = why(up)

    assert (brain.prompts, told["calls"]) == ([], [])
    assert told["effects"][0]["id"] == "e-1/0"
    assert "accepted" not in [step["step"] for step in told["steps"]]


async def test_a_record_costs_no_transaction_of_its_own(tmp_path: Path) -> None:
    begun: list[str] = []
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        up.store.db.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
        await said(up)

        assert len(begun) == 3
        assert count(up) == 1


async def test_a_day_of_a_room_shares_one_stable_state(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        for number in range(5):
            await said(up, id=f"e-{number}")

        assert (count(up), count(up, "turn_states")) == (5, 1)


async def test_only_the_last_records_of_an_agent_are_kept(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        for number in range(6):
            await said(up, id=f"e-{number}", room=f"terminal:{number}")
        up.store.turns.prune(AGENT, 2)
        up.store.turns.prune("another", 0)

        assert [why(up, f"e-{n}")["recorded"] for n in range(6)] == [False] * 4 + [True] * 2
        assert count(up, "turn_states") <= 2
        assert up.row("e-0")[0] == "done"


async def test_records_are_pruned_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_records, "KEPT", 3)  # a thousand turns would only take longer
    monkeypatch.setattr(turn_records, "PRUNE_EVERY", 4)
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        for number in range(16):
            await said(up, id=f"e-{number}")

        assert 3 <= count(up) <= 3 + 4


async def test_whoever_is_forgotten_takes_the_records_of_their_rooms_along(tmp_path: Path) -> None:
    def by(principal: str, id: str, room: str) -> Event:
        return replace(event(id=id, room=room), principal=principal)

    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        for one in (
            by("sam", "e-1", "terminal:one"),
            by("kim", "e-2", "terminal:one"),
            by("kim", "e-3", "terminal:two"),
        ):
            await up.accept(one)
            await up.answered(one.event)
            up.vault.deliver(one.event)
        await until(lambda: {up.row(f"e-{n}")[0] for n in (1, 2, 3)} == {"done"})
        sam = turns.message_of(by("sam", "e-1", "terminal:one")).entity_id
        await up.store.commit.run(lambda: up.store.turns.forget(sam))

        assert [why(up, id)["recorded"] for id in ("e-1", "e-2", "e-3")] == [False, False, True]
        assert count(up, "turn_states") == 1


async def test_a_turn_that_thinks_while_somebody_of_its_room_is_forgotten_leaves_no_record(tmp_path: Path) -> None:
    def by(principal: str, id: str) -> Event:
        return replace(event(f"{principal} speaks", id=id, room="terminal:one"), principal=principal)

    brain = ScriptedBrain(block("hi"))
    async with mind(tmp_path, agent(brain)) as up:
        await said_by(up, by("sam", "e-1"))
        brain.gate.clear()
        await up.accept(by("kim", "e-2"))
        await until(lambda: len(brain.prompts) == 2)
        await up.inbox.forget({"agent": AGENT, "principal": "sam"})
        brain.gate.set()
        await up.answered("e-2")
        up.vault.deliver("e-2")
        await until(lambda: up.row("e-2")[0] == "done")

        assert "sam speaks" in brain.prompts[1]
        assert not why(up, "e-2")["recorded"]
        assert (count(up), count(up, "turn_states")) == (0, 0)


async def said_by(up: Mind, told: Event) -> None:
    await up.accept(told)
    await up.answered(told.event)
    up.vault.deliver(told.event)
    await until(lambda: up.row(told.event)[0] == "done")


async def test_a_record_goes_with_the_row_of_its_message(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        await said(up, id="e-1")
        await up.accept(event(id="e-2"))
        await up.answered("e-2")
        gone = await up.store.commit.run(lambda: up.store.forget_settled(event().at + 1))

        assert gone == 1
        assert [why(up, id)["recorded"] for id in ("e-1", "e-2")] == [False, True]
        assert count(up) == 1


async def test_a_value_that_is_no_json_costs_neither_journal_nor_reply(tmp_path: Path) -> None:
    loop: dict[str, Json] = {}
    loop["itself"] = loop

    @provider("ODD")
    async def odd(turn: Turn) -> Provided:
        return Provided("odd", {"loop": loop, "bytes": b"1"})

    async with mind(tmp_path, agent(ScriptedBrain(block("hi")), providers=[odd])) as up:
        await said(up)
        told = why(up)

    assert up.vault.texts() == ["hi"]
    assert ("ODD", "asked") in [(p["name"], p["how"]) for p in told["providers"]]


async def test_a_record_past_its_limit_is_cut_to_its_facts(tmp_path: Path) -> None:
    @provider("HUGE")
    async def huge(turn: Turn) -> str:
        return "canary " * turn_records.LIMIT

    async with mind(tmp_path, agent(ScriptedBrain(block("hi")), providers=[huge])) as up:
        await said(up)
        (size,) = up.store.db.execute("SELECT MAX(LENGTH(made)) FROM turns").fetchone()
        told = why(up)

    assert size < 4096
    assert ("HUGE", 7 * turn_records.LIMIT) in [(p["name"], p["chars"]) for p in told["providers"]]


async def test_a_turn_is_found_by_event_by_effect_and_as_the_latest(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        nobody = up.inbox.find({"agent": AGENT})
        await said(up, id="e-1")
        await said(up, id="e-2")

        def found(*names: str) -> str:
            return str(up.inbox.find({"agent": AGENT, "names": list(names)})["event"])

        assert nobody == {"found": False, "source": "", "event": ""}
        assert [found("e-1"), found("nothing", "e-1/0"), found(), found("e-1/"), found("%")] == [
            "e-1",
            "e-1",
            "e-2",
            "",
            "",
        ]
        assert up.inbox.find({"agent": "another"})["found"] is False


async def test_answers_nobody_fetches_do_not_pile_up_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "OPEN_KEPT", 3)
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        for number in range(8):
            await up.accept(event(id=f"e-{number}"))
            await up.answered(f"e-{number}")
        await until(lambda: len(up.desk.records.open) <= 4)
        waiting = why(up, "e-0")
        up.vault.deliver("e-0")
        await until(lambda: up.row("e-0")[0] == "done")

        assert (waiting["state"], waiting["effects"][0]["state"]) == ("open", "due")
        assert why(up, "e-0")["decision"] == {"actions": ["REPLY"], "providers": []}
        assert (await up.inbox.replay({"agent": AGENT, "source": "terminal", "event": "e-0"}))["same"]


def test_a_store_of_the_last_release_takes_records(tmp_path: Path) -> None:
    from teehee.store import schema
    from teehee.store.mind_store import MindStore

    database = sqlite3.connect(tmp_path / "mind.db")
    for migration in schema.MIGRATIONS[:2]:
        database.executescript(migration)
    database.execute("PRAGMA user_version=2")
    database.close()

    store = MindStore(tmp_path / "mind.db")
    place = turn_records.Place(1, AGENT, "room", "entity", 7)
    store.accept(event())
    store.turns.keep(place, {"package": "p"}, "digest", turn_records.pack({"texts": {}}) or b"")
    store.turns.finish(1, {"code": ""}, ["effect"])

    assert store.turns.of_event(AGENT, "terminal", "e-1") == turn_records.Record(
        place, {"package": "p"}, {"texts": {}}, {"code": ""}
    )
    assert store.turns.find(AGENT, ["effect"]) == ("terminal", "e-1")
    assert ADA.id == AGENT
    store.close()
