"""Where replies wait to be pulled: the ledger keeps them, this wakes whoever is waiting.

Nothing is stored here. A client names the last sequence number it has; what it gets after that comes from the
vault, so a restart of the gate loses nothing and a repeated pull shows nothing twice.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from teehee.errors import TeeheeError
from teehee.gate.drafts import Drafts
from teehee.gate.metrics import Counts
from teehee.log import get_logger
from teehee.wire import failpoints, strict
from teehee.wire.client import Client
from teehee.wire.messages import DELIVERED, Effect, Ended

Json = Any
Key = tuple[str, str, str]  # agent, source, event
Room = tuple[str, str]  # agent, room
log = get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one event so far: effects to show, or the code of a turn that ended without."""

    effects: tuple[Effect, ...] = ()
    ended: str = ""


class Mailroom:
    """Wakes waiters when the vault says something is due, and reports what was handed over."""

    def __init__(self, vault: Client, counts: Counts | None = None) -> None:
        self.vault = vault
        self.counts = counts or Counts()
        self.stopped: set[str] = set()
        self.drafts = Drafts()
        self.couriers: dict[Room, Callable[[Sequence[Effect]], None]] = {}  # by (agent, source)
        self._events: dict[Key, set[asyncio.Future[Answer]]] = defaultdict(set)
        self._rooms: dict[Room, set[asyncio.Future[None]]] = defaultdict(set)
        self._reports: set[asyncio.Task[None]] = set()

    # -- what vault and mind tell

    def due(self, effects: Sequence[Effect]) -> None:
        """Committed effects may be handed over now."""
        if not effects:
            return
        failpoints.hit("gate.effect.received")
        by_event: dict[Key, list[Effect]] = defaultdict(list)
        for effect in effects:
            by_event[effect.agent, effect.source, effect.event].append(effect)
        for key, group in by_event.items():
            self.drafts.end(key)
            if key[0] not in self.stopped:
                self.counts.answered(*key)
                self._wake(key, Answer(tuple(group)))
                self._stir((key[0], group[0].room))
                if courier := self.couriers.get(key[:2]):
                    courier(group)

    def ended(self, ended: Ended) -> None:
        """A turn ended with nothing to show, or will be tried again later."""
        key = (ended.agent, ended.source, ended.event)
        self.counts.ended(*key, ended.code, final=ended.final)
        if ended.final:
            self.drafts.end(key)
        else:
            self.drafts.pause(key)
        self._wake(key, Answer(ended=ended.code))

    def stop(self, agent: str) -> None:
        """An owner stopped this agent: nothing of it is handed over, whoever waits is told."""
        self.stopped.add(agent)
        self.drafts.end_agent(agent)
        for key in [key for key in self._events if key[0] == agent]:
            self._wake(key, Answer(ended="stopped"))

    async def resume(self, agent: str) -> None:
        """The agent may speak again: what was held back is due now."""
        self.stopped.discard(agent)
        self.due(parse_due(await self.vault.call("effect.due")))

    def _wake(self, key: Key, answer: Answer) -> None:
        for future in self._events.pop(key, ()):
            if not future.done():
                future.set_result(answer)

    def _stir(self, room: Room) -> None:
        for future in self._rooms.pop(room, ()):
            if not future.done():
                future.set_result(None)

    # -- what clients ask

    def expect(self, agent: str, source: str, event: str) -> "asyncio.Future[Answer]":
        """A future for the answer to an event; ask before handing the event in, so that none is missed."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        key = (agent, source, event)
        self._events[key].add(future)
        future.add_done_callback(lambda done: self._drop(self._events, key, done))
        return future

    async def answered(self, agent: str, source: str, event: str) -> tuple[Effect, ...]:
        """What the ledger holds for an event already."""
        found = await self.vault.call("effect.for_event", {"agent": agent, "source": source, "event": event})
        return _effects(found)

    async def pull(self, agent: str, room: str, after: int, wait_seconds: float) -> tuple[Effect, ...]:
        """What the room is told after `after`; waits up to `wait_seconds` when there is nothing yet.

        A client that names `after` has everything up to it, so what is still open there is settled now.
        """
        return await self._look({"agent": agent, "room": room, "after": after}, wait_seconds)

    async def latest(self, agent: str, room: str) -> tuple[Effect, ...]:
        """The last of what the room was or is to be told, oldest first."""
        return _effects(await self.vault.call("effect.in_room", {"agent": agent, "room": room, "latest": True}))

    async def unseen(self, agent: str, room: str, wait_seconds: float) -> tuple[Effect, ...]:
        """What the room was not told yet, for a client that says itself what it has shown."""
        return await self._look({"agent": agent, "room": room, "open_only": True}, wait_seconds)

    async def _look(self, question: dict[str, Json], wait_seconds: float) -> tuple[Effect, ...]:
        key = (question["agent"], question["room"])
        stirred: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rooms[key].add(stirred)
        try:
            found = await self.vault.call("effect.in_room", question)
            self.handed_over(found["seen"])
            if not found["effects"] and wait_seconds > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_seconds):
                        await stirred
                found = await self.vault.call("effect.in_room", question)
            return _effects(found)
        finally:
            self._drop(self._rooms, key, stirred)

    def handed_over(self, effects: Iterable[str]) -> None:
        """These effects are with their client: writes their outcomes, through whatever comes."""
        for effect in effects:
            self.spawn(self._report(effect))

    async def confirm(self, effects: Iterable[str]) -> None:
        """The client's own word that it has shown these: returns when their outcomes are written."""
        await asyncio.gather(*(self._report(effect) for effect in effects))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` to its end; `settle` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report(self, effect: str) -> None:
        failpoints.hit("gate.effect.handed-over")
        try:
            await self.vault.call("effect.outcome", {"id": effect, "state": DELIVERED})
        except TeeheeError as error:  # it stays due: the next pull of this client settles it
            log.warning("outcome_not_written", effect=effect, error=str(error))
            return
        self.counts.add("teehee_outcomes", DELIVERED)
        failpoints.hit("gate.outcome.reported")

    async def quiet(self, seconds: float) -> None:
        """Waits until nobody waits for an answer any more, at most so many seconds."""
        if waiting := [future for futures in self._events.values() for future in futures]:
            await asyncio.wait(waiting, timeout=seconds)

    async def settle(self) -> None:
        """Waits for outcomes on their way."""
        if self._reports:
            await asyncio.wait(self._reports, timeout=5.0)

    @staticmethod
    def _drop(table: dict[Any, set[Any]], key: Any, future: Any) -> None:
        waiting = table.get(key)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del table[key]


def _effects(found: Json) -> tuple[Effect, ...]:
    return tuple(strict.parse(Effect, item, "effect") for item in found["effects"])


def parse_due(params: Json) -> tuple[Effect, ...]:
    """The effects inside an `effect.due` push."""
    return _effects(params)
