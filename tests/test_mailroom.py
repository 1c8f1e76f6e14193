"""The mailroom wakes whoever waits for a reply, and writes down what was handed over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from teehee.gate.mailroom import Answer, Mailroom, parse_due
from teehee.testing import until
from teehee.wire.client import Client
from teehee.wire.messages import Effect, Ended
from teehee.wire.server import Server

Json = Any
AGENT, SOURCE, ROOM = "a-1", "web", "dm:web:1"


def effect(seq: int = 1, *, event: str = "e-1", room: str = ROOM, agent: str = AGENT, state: str = "due") -> Effect:
    return Effect(f"id-{seq}", seq, agent, SOURCE, event, 0, "web.reply", room, f"text {seq}", seq, 1_000, state, "00")


@dataclass
class Ledger:
    """A stand-in for the vault's gate socket: it keeps effects and writes down outcomes."""

    path: Path
    effects: list[Effect] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        methods: dict[str, Callable[[dict[str, Json]], Json | Awaitable[Json]]] = {
            "effect.due": lambda _: told(self.effects),
            "effect.for_event": lambda asked: told(e for e in self.effects if e.event == asked["event"]),
            "effect.in_room": self.in_room,
            "effect.outcome": self.outcome,
        }
        server = Server("gate", self.path, methods, lambda *_, **__: None)
        await server.start()
        try:
            yield
        finally:
            await server.close()

    def in_room(self, asked: dict[str, Json]) -> Json:
        self.asked.set()
        after = asked.get("after", 0)
        here = [e for e in self.effects if e.room == asked["room"]]
        return told(e for e in here if e.seq > after) | {"seen": [e.id for e in here if e.seq <= after]}

    def outcome(self, ended: dict[str, Json]) -> Json:
        self.outcomes.append(f"{ended['id']} {ended['state']}")
        return {"new": True}


def told(effects: Any) -> dict[str, Json]:
    return {"effects": [e.to_json() for e in effects]}


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(tmp_path / "vault-gate.sock")
    async with ledger.open():
        yield ledger


@pytest.fixture
async def mailroom(ledger: Ledger) -> AsyncIterator[Mailroom]:
    async with Client(ledger.path) as vault:
        yield Mailroom(vault)


async def test_whoever_expects_an_answer_gets_it(mailroom: Mailroom) -> None:
    expected = mailroom.expect(AGENT, SOURCE, "e-1")

    mailroom.due([effect(1), effect(2, event="e-2"), replace(effect(3), part=1)])

    assert await expected == Answer((effect(1), replace(effect(3), part=1)))


async def test_everybody_who_waits_for_one_answer_gets_it(mailroom: Mailroom) -> None:
    twice = [mailroom.expect(AGENT, SOURCE, "e-1") for _ in range(2)]

    mailroom.due([effect()])

    assert await asyncio.gather(*twice) == [Answer((effect(),))] * 2


@pytest.mark.parametrize("other", [("a-2", SOURCE, "e-1"), (AGENT, "terminal", "e-1"), (AGENT, SOURCE, "e-2")], ids=str)
async def test_an_answer_wakes_nobody_else(mailroom: Mailroom, other: tuple[str, str, str]) -> None:
    expected = mailroom.expect(*other)

    mailroom.due([effect()])

    assert not expected.done()
    expected.cancel()


async def test_a_turn_without_words_wakes_with_its_code(mailroom: Mailroom) -> None:
    expected = mailroom.expect(AGENT, SOURCE, "e-1")

    mailroom.ended(Ended(AGENT, SOURCE, "e-1", "ignored"))

    assert await expected == Answer(ended="ignored")


async def test_who_stops_waiting_leaves_nothing_behind(mailroom: Mailroom) -> None:
    given_up, patient = mailroom.expect(AGENT, SOURCE, "e-1"), mailroom.expect(AGENT, SOURCE, "e-1")

    given_up.cancel()
    await asyncio.sleep(0)
    mailroom.due([effect()])

    assert (await patient).effects == (effect(),)
    assert not mailroom._events


async def test_what_the_ledger_holds_for_an_event_is_asked_there(mailroom: Mailroom, ledger: Ledger) -> None:
    ledger.effects = [effect(1), effect(2, event="e-2")]

    assert await mailroom.answered(AGENT, SOURCE, "e-2") == (effect(2, event="e-2"),)


async def test_a_pull_gives_at_once_what_is_there(mailroom: Mailroom, ledger: Ledger) -> None:
    ledger.effects = [effect(1), effect(2), effect(3, room="dm:web:2")]

    assert await mailroom.pull(AGENT, ROOM, 1, 30.0) == (effect(2),)


async def test_a_pull_waits_for_what_comes(mailroom: Mailroom, ledger: Ledger) -> None:
    pulling = asyncio.ensure_future(mailroom.pull(AGENT, ROOM, 0, 30.0))
    await ledger.asked.wait()

    ledger.effects = [effect()]
    mailroom.due([effect()])

    assert await pulling == (effect(),)


async def test_a_pull_is_not_stirred_by_another_room(mailroom: Mailroom, ledger: Ledger) -> None:
    pulling = asyncio.ensure_future(mailroom.pull(AGENT, ROOM, 0, 0.05))
    await ledger.asked.wait()

    mailroom.due([effect(room="dm:web:2"), effect(agent="a-2")])

    assert await pulling == ()
    assert not mailroom._rooms


async def test_a_cursor_settles_what_lies_before_it(mailroom: Mailroom, ledger: Ledger) -> None:
    ledger.effects = [effect(1), effect(2), effect(3)]

    await mailroom.pull(AGENT, ROOM, 2, 0.0)
    await mailroom.settle()

    assert ledger.outcomes == ["id-1 delivered", "id-2 delivered"]


async def test_a_confirmation_returns_once_the_outcomes_are_written(mailroom: Mailroom, ledger: Ledger) -> None:
    await mailroom.confirm(["id-1", "id-2"])

    assert ledger.outcomes == ["id-1 delivered", "id-2 delivered"]


async def test_an_outcome_waits_for_a_vault_that_is_away(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "vault-gate.sock")
    async with Client(ledger.path) as vault:
        mailroom = Mailroom(vault)

        mailroom.handed_over(["id-1"])
        async with ledger.open():
            await mailroom.settle()

            assert ledger.outcomes == ["id-1 delivered"]


async def test_what_a_stopped_agent_said_wakes_nobody(mailroom: Mailroom) -> None:
    mailroom.stop(AGENT)
    expected = mailroom.expect(AGENT, SOURCE, "e-1")

    mailroom.due([effect()])

    assert not expected.done()
    expected.cancel()


async def test_whoever_waits_for_a_stopped_agent_is_told(mailroom: Mailroom) -> None:
    expected, other = mailroom.expect(AGENT, SOURCE, "e-1"), mailroom.expect("a-2", SOURCE, "e-1")

    mailroom.stop(AGENT)

    assert await expected == Answer(ended="stopped")
    assert not other.done()
    other.cancel()


async def test_what_was_held_back_is_due_once_the_agent_resumes(mailroom: Mailroom, ledger: Ledger) -> None:
    mailroom.stop(AGENT)
    expected = mailroom.expect(AGENT, SOURCE, "e-1")
    ledger.effects = [effect()]

    await mailroom.resume(AGENT)

    assert (await expected).effects == (effect(),)


async def test_settling_ends_when_every_report_has(mailroom: Mailroom, ledger: Ledger) -> None:
    mailroom.handed_over(["id-1"])

    await mailroom.settle()
    await until(lambda: not mailroom._reports)

    assert ledger.outcomes == ["id-1 delivered"]


def test_a_push_is_parsed_strictly() -> None:
    assert parse_due(told([effect()])) == (effect(),)
