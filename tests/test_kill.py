"""kill -9, at every durable step of a turn and from outside: nothing is lost, nothing is said twice."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from teehee.evidence import leaf
from teehee.testing import Person, Running, ScriptedModel, TerminalPerson, WebPerson, running, until
from teehee.testing.scripted_model import heard
from teehee.wire.failpoints import ON_PLATFORMS
from teehee.wire.failpoints import STEPS as ALL

Json = Any
ROOMS, MESSAGES = 6, 10
STEPS = ALL[: -len(ON_PLATFORMS)]
SEEN_BY_WEB = [step for step in STEPS if "gate." in step]
PAID_ONCE = STEPS[STEPS.index("mind.journal.after-commit") :]  # from here on the answer is on disk


@pytest.mark.parametrize(
    ("door", "step"),
    [
        *(pytest.param("terminal", step, marks=pytest.mark.long if step in SEEN_BY_WEB else ()) for step in STEPS),
        *(("web", step) for step in SEEN_BY_WEB),
    ],
)
async def test_a_kill_at_this_step_neither_loses_nor_repeats_a_message(tmp_path: Path, door: str, step: str) -> None:
    async with (
        ScriptedModel() as model,
        running(tmp_path, ["wren"], failpoint=step, model_url=model.url) as agent,
        at(door, agent) as person,
    ):
        await person.say("first", id="1")
        await person.hear(1)
        await person.settle()
        await until((tmp_path / "failpoints" / step).exists)
        await person.say("second", id="2")
        texts = await person.hear(2)
        await settled(agent, person, 2)

        assert texts == ["heard: first", "heard: second"]
        assert (await life_of_effects(agent)) == {effect: {"intent": 1, "outcome": 1} for effect in person.shown}
        asked = [heard(request) for request in model.requests]
        assert asked.count("first") <= (1 if step in PAID_ONCE else 2)


@pytest.mark.parametrize("name", ["vault", "gate", "mind"])
async def test_a_process_killed_in_a_burst_loses_and_repeats_nothing(tmp_path: Path, name: str) -> None:
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        people = [TerminalPerson(agent.door, room=f"room-{n}") for n in range(ROOMS)]
        kept: list[str] = []

        async def post(person: TerminalPerson, number: int) -> None:
            await person.say(f"{person.place['room']} {number}", id=str(number))
            kept.append(person.place["room"])

        burst = [asyncio.ensure_future(post(person, n)) for n in range(MESSAGES) for person in people]
        await until(lambda: len(kept) >= ROOMS * MESSAGES // 3)
        agent.kill(name)
        await asyncio.gather(*burst)
        for person in people:
            await person.hear(MESSAGES)
            await settled(agent, person, MESSAGES)

        for person in people:
            said = [f"heard: {person.place['room']} {n}" for n in range(MESSAGES)]
            assert sorted(person.shown.values()) == sorted(said)
        effects = {effect for person in people for effect in person.shown}
        await until(lambda: has_outcomes(agent, effects))
        assert (await life_of_effects(agent)) == {effect: {"intent": 1, "outcome": 1} for effect in effects}
        assert f"the {name} is back" in agent.told


@contextlib.asynccontextmanager
async def at(door: str, agent: Running) -> AsyncIterator[Person]:
    if door == "terminal":
        yield TerminalPerson(agent.door)
        return
    async with aiohttp.ClientSession() as http:
        yield WebPerson(http, agent.url, "wren")


async def settled(agent: Running, person: Person, replies: int) -> None:
    """Acknowledges until every reply on the person's screen has its outcome in the log."""

    async def is_settled() -> bool:
        await person.settle()
        return await has_outcomes(agent, person.shown.keys())

    await until(is_settled)


async def has_outcomes(agent: Running, effects: Any) -> bool:
    outcomes = {entry.effect for entry in await agent.leaves() if isinstance(entry, leaf.Outcome)}
    return outcomes >= set(effects)


async def life_of_effects(agent: Running) -> dict[str, Counter[str]]:
    """How many leaves of each type the log holds for each effect."""
    lives: dict[str, Counter[str]] = {}
    for entry in await agent.leaves():
        if isinstance(entry, leaf.Intent | leaf.Outcome):
            lives.setdefault(entry.effect, Counter())[entry.type] += 1
    return lives
