"""A recorded turn run again: same inputs and answers, same decision; nothing real happens, and a difference is told."""

import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from minds import AGENT, Mind, ScriptedBrain, agent, event, mind
from teehee.errors import ActionFailed
from teehee.mind.agent import Agent
from teehee.plugin import Action, Evaluator, Provider, Result, Turn, action, evaluator, provider
from teehee.testing import until
from teehee.testing.scripted_model import block

Json = Any
TURNS = 100


class Roll(BaseModel):
    sides: int = Field(default=6, ge=2, le=100)


@action("ROLL_DICE")
async def roll(turn: Turn, ask: Roll) -> Result:
    face = turn.random.randint(1, ask.sides)
    await turn.remember(f"{face} of {ask.sides}", table="dice", data={"face": face})
    return Result(f"🎲 {face}")


@action("COUNT_ROLLS")
async def total(turn: Turn) -> Result:
    rolls = await turn.recall(table="dice", limit=50)
    return Result(f"{len(rolls)} rolls, {sum(r.data['face'] for r in rolls)} in all; luck {turn.sample.random():.6f}")


@action("DRAW_LOTS")
async def lots(turn: Turn) -> Result:
    said = [line.text for line in turn.recent]
    return Result(
        turn.random.choice(said or ["nobody"])
        + f" at {turn.now:%H:%M}: {turn.state.texts['LUCK']} {turn.state.values['senderName']}"
    )


@action("EXPLODE")
async def explode(turn: Turn) -> Result:
    raise RuntimeError("boom")


@provider("LUCK")
async def luck(turn: Turn) -> str:
    """Differs each time it is asked, and draws from the turn's chance: a replay may not ask it."""
    return f"{turn.random.random()} {time.perf_counter_ns()}"


@provider("ALMANAC", dynamic=True)
async def almanac(turn: Turn) -> str:
    return f"{time.perf_counter_ns()}"


@evaluator("REFLECT")
async def reflect(turn: Turn) -> None:
    await turn.remember(f"said {turn.reply}", table="dice", data={"face": 0})


ACTIONS: tuple[Action, ...] = (roll, total, lots, explode)
PROVIDERS: tuple[Provider, ...] = (luck, almanac)
JUDGES: tuple[Evaluator, ...] = (reflect,)


def answers(number: int) -> list[str]:
    """What the model says in a turn, of every kind there is."""
    chance = random.Random(number)
    sides = chance.randint(2, 100)
    return chance.choice(
        [
            [block(f"plain {number}")],
            [block("", actions="ROLL_DICE", parameters=f'{{"ROLL_DICE": {{"sides": {sides}}}}}')],
            [block("let us see", actions="REPLY,ROLL_DICE,ROLL_DICE")],
            [block("", actions="COUNT_ROLLS")],
            [block("", actions="ROLL_DICE,DRAW_LOTS")],
            [block("", actions="IGNORE")],
            [block("oh", actions="REPLY,EXPLODE")],
            [block("", actions="EXPLODE")],
            ["no block at all", block("", actions="DRAW_LOTS")],
            [block("", providers="ALMANAC"), block("consulted", actions="REPLY,DRAW_LOTS")],
            ["no block", "none again"],
            [block("", actions="ROLL_DICE", parameters='{"ROLL_DICE": {"sides": 1}}'), block("", actions="ROLL_DICE")],
        ]
    )


def dice(brain: ScriptedBrain) -> Agent:
    return replace(
        agent(brain, actions=ACTIONS, providers=PROVIDERS, evaluators=JUDGES), package="p-1", plugins=("dice",)
    )


async def take(up: Mind, brain: ScriptedBrain, number: int) -> None:
    brain.answers = [*answers(number), "never asked for"]
    id = f"e-{number}"
    await up.accept(event(f"message {number}", id=id, room=f"terminal:{number % 3}", at=1_767_268_800_000 + number))
    await up.answered(id)
    if id in up.vault.effects:
        up.vault.deliver(id)
    await until(lambda: up.row(id)[0] != "open")


async def replayed(up: Mind, id: str) -> Json:
    return await up.inbox.replay({"agent": AGENT, "source": "terminal", "event": id})


def everything(up: Mind) -> tuple[Json, ...]:
    """All that a replay may not change."""
    tables = ("memories", "inbox", "turns", "turn_states", "participants")
    rows = [up.store.db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables]
    return (*rows, len(up.vault.submissions), up.desk.records.tally.copy(), dict(up.desk.records.open))


async def test_a_hundred_recorded_turns_replay_to_equal_decisions(tmp_path: Path) -> None:
    brain = ScriptedBrain("")
    async with mind(tmp_path, dice(brain)) as up:
        for number in range(TURNS):
            await take(up, brain, number)
        kinds = {up.row(f"e-{n}")[:2] for n in range(TURNS)}
        before, asked = everything(up), len(brain.prompts)
        told = [await replayed(up, f"e-{number}") for number in range(TURNS)]

        assert [(one["replayed"], one["differences"]) for one in told] == [(True, [])] * TURNS
        assert all(one["same"] for one in told)
        assert everything(up) == before
        assert len(brain.prompts) == asked
    assert {("done", ""), ("ended", "ignored"), ("ended", "failed"), ("ended", "model-unfit")} <= kinds


async def test_a_replay_holds_after_a_restart(tmp_path: Path) -> None:
    brain = ScriptedBrain("")
    async with mind(tmp_path, dice(brain)) as up:
        for number in range(12):
            await take(up, brain, number)
    async with mind(tmp_path, dice(brain)) as up:
        told = [await replayed(up, f"e-{number}") for number in range(12)]

    assert [one["differences"] for one in told] == [[]] * 12


async def test_a_turn_that_is_not_closed_yet_replays_as_well(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("", actions="ROLL_DICE"))
    async with mind(tmp_path, dice(brain)) as up:
        await up.accept(event())
        await up.answered("e-1")

        assert (await replayed(up, "e-1"))["same"]


async def test_a_turn_that_still_thinks_cannot_be_replayed(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("hi"))
    brain.gate.clear()
    async with mind(tmp_path, dice(brain)) as up:
        await up.accept(event())
        await until(lambda: bool(brain.prompts))
        told = await replayed(up, "e-1")
        brain.gate.set()
        await up.answered("e-1")

    assert (told["replayed"], told["reason"]) == (False, "it has not come to an end")


async def test_an_action_that_changed_since_is_told_with_both_outcomes(tmp_path: Path) -> None:
    @action("ROLL_DICE")
    async def loaded(turn: Turn) -> Result:
        return Result("🎲 7")

    async with mind(tmp_path, dice(ScriptedBrain(block("", actions="ROLL_DICE")))) as up:
        await take(up, ScriptedBrain(""), 1)
    before = agent(ScriptedBrain(""), actions=[loaded], providers=PROVIDERS)
    async with mind(tmp_path, replace(before, package="p-2", plugins=("dice", "more"))) as up:
        told = await replayed(up, "e-1")

    found = {one["what"]: one for one in told["differences"]}
    assert not told["same"]
    assert found["texts"]["now"] == ["🎲 7"]
    assert found["texts"]["recorded"] != ["🎲 7"]
    assert found["remembered"]["now"] == []
    assert (told["package_changed"], told["plugins_changed"]) == (True, True)


async def test_an_action_that_takes_chance_from_elsewhere_is_found_out(tmp_path: Path) -> None:
    @action("CHEAT")
    async def cheat(turn: Turn) -> Result:
        return Result(f"{time.perf_counter_ns()}")

    async with mind(tmp_path, agent(ScriptedBrain(block("", actions="CHEAT")), actions=[cheat])) as up:
        await up.accept(event())
        await up.answered("e-1")
        told = await replayed(up, "e-1")

    assert [one["what"] for one in told["differences"]] == ["texts"]


async def test_an_action_that_reads_what_it_did_not_read_then_is_found_out(tmp_path: Path) -> None:
    tables = ["dice", "elsewhere"]

    @action("LOOK")
    async def look(turn: Turn) -> Result:
        return Result(f"{len(await turn.recall(table=tables[0]))} here")

    async with mind(tmp_path, agent(ScriptedBrain(block("", actions="LOOK")), actions=[look])) as up:
        await up.accept(event())
        await up.answered("e-1")
        tables.reverse()
        told = await replayed(up, "e-1")

    assert {one["what"] for one in told["differences"]} == {"actions", "texts"}


class Rate:
    """A plugin's running service."""

    asked = 0


async def test_a_running_service_is_not_touched_and_named(tmp_path: Path) -> None:
    rate = Rate()

    @action("ASK_RATE")
    async def ask(turn: Turn) -> Result:
        turn.service(Rate).asked += 1
        return Result(f"asked {turn.service(Rate).asked} times")

    of = replace(agent(ScriptedBrain(block("", actions="ASK_RATE")), actions=[ask]), services={Rate: rate})
    async with mind(tmp_path, of) as up:
        await up.accept(event())
        await up.answered("e-1")
        told = await replayed(up, "e-1")

    assert rate.asked == 1
    assert told["services_left_out"] == ["Rate"]
    assert not told["same"]


async def test_a_plugins_settings_are_there_in_a_replay(tmp_path: Path) -> None:
    @action("ASK_SIDES")
    async def ask(turn: Turn) -> Result:
        return Result(f"{turn.service(Roll).sides} sides")

    of = replace(agent(ScriptedBrain(block("", actions="ASK_SIDES")), actions=[ask]), services={Roll: Roll(sides=20)})
    async with mind(tmp_path, of) as up:
        await up.accept(event())
        await up.answered("e-1")

        assert (await replayed(up, "e-1"))["same"]


async def test_a_journaled_answer_of_an_earlier_life_replays(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("not asked"))
    async with mind(tmp_path, dice(brain)) as up:
        await up.store.commit.run(
            lambda: up.store.journal(up.store.accept(event()) or 0, block("", actions="ROLL_DICE"))
        )
        await up.inbox.recover()
        await up.answered("e-1")
        told = await replayed(up, "e-1")

    assert (told["same"], brain.prompts) == (True, [])


@pytest.mark.parametrize("id", ["e-9", ""])
async def test_what_was_never_recorded_cannot_be_replayed(tmp_path: Path, id: str) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        assert await replayed(up, id) == {
            "replayed": False, "reason": "no record of it is kept", "same": False, "differences": [],
        }  # fmt: skip


async def test_a_refusal_of_the_model_replays_to_the_same_end(tmp_path: Path) -> None:
    refusal = ActionFailed("the model answered 400", code="model-refused")
    async with mind(tmp_path, dice(ScriptedBrain(refusal))) as up:
        await up.accept(event())
        await up.answered("e-1")
        told = await replayed(up, "e-1")

        assert up.row()[:2] == ("ended", "model-refused")
    assert (told["replayed"], told["differences"]) == (True, [])
