"""The inbox: every event is a row first; rooms take turns in order, side by side with other rooms."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from teehee import ids
from teehee.errors import AskAgain, Unavailable
from teehee.log import get_logger
from teehee.mind import attached, notes, overheard, respond, saying, why
from teehee.mind import replay as replays
from teehee.mind import turn as turns
from teehee.mind.afterwards import Afterwards
from teehee.mind.agent import Agent
from teehee.plugin import Spoken
from teehee.store import forgetting
from teehee.store.mind_store import MindStore, Row
from teehee.store.turn_records import Record
from teehee.wire import failpoints, strict
from teehee.wire.messages import CHOICE, EDIT, HEARD, MESSAGE, MOVED, SCHEDULE, Draft, Effect, Ended, Event
from teehee.wire.server import Handler

Json = Any
TURNS = (MESSAGE, CHOICE, SCHEDULE)  # kinds of events that begin a turn
BACKOFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds between tries while a model is away
log = get_logger()


class Inbox:
    """Accepts events durably and runs their turns.

    `tell` lets the gate know of turns that end without words, `show_draft` of words that are still being written.
    """

    def __init__(
        self,
        desk: turns.Desk,
        agents: Mapping[str, Agent],
        afterwards: Afterwards,
        tell: Callable[[Ended], None],
        parallel: int,
        show_draft: Callable[[Draft], None] = lambda draft: None,
    ) -> None:
        self.desk = desk
        self.store: MindStore = desk.store
        self.agents = agents
        self.afterwards = afterwards
        self.tell = tell
        self.show_draft = show_draft
        self._slots = asyncio.Semaphore(parallel)
        self._queues: dict[str, deque[Row]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._tries: dict[int, int] = {}  # row -> how often its turn was postponed
        self._closing = False

    def methods(self) -> dict[str, Handler]:
        """What the gate may ask."""
        return {
            "event.accept": self.accept,
            "health": self.health,
            "person.forget": self.forget,
            "room.history": self.history,
            "turn.find": self.find,
            "turn.replay": self.replay,
            "turn.show": self.show,
            "turn.why": self.why,
            "turn.words": self.words,
        }

    async def health(self, params: dict[str, Json]) -> Json:
        """How the mind is doing, and what it has counted since it started: [name, labels, number]."""
        waiting: Counter[str] = Counter()
        for queue in self._queues.values():
            waiting.update(row.event.agent for row in queue)
        return {
            "agents": list(self.agents),
            "vault": self.desk.vault.is_up,
            "disk": await self.store.commit.healthy(),
            "waiting": waiting,
            "counts": [[name, labels, number] for (name, *labels), number in self.desk.records.tally.items()],
        }

    # -- in

    def accept(self, params: dict[str, Json]) -> Awaitable[Json]:
        """The gate's `event.accept`: on disk before it is answered, then in its room's queue."""
        event = strict.parse(Event, params)
        if event.agent not in self.agents:
            raise strict.Malformed(f"no agent {event.agent[:64]!r} in this mind")

        def write() -> int | None:
            seq = self._keep(event)
            failpoints.hit("mind.inbox.before-commit")
            return seq

        def told(seq: int | None) -> Json:
            failpoints.hit("mind.inbox.after-commit")
            if seq is not None and event.kind in TURNS:
                self._enqueue(Row(seq, event, accepted=notes.now_ms()))
            elif seq is not None:
                self._overheard(event)
            return {"new": seq is not None}

        return self.store.commit.run(write, told)

    def _keep(self, event: Event) -> int | None:
        message = turns.message_of(event)
        seq = self.store.accept(event)
        if seq is None:
            return None
        if event.kind not in TURNS:
            overheard.keep(self.store, event, message)
            self.store.close_row(seq, "ended", event.kind)
        elif event.kind == SCHEDULE:
            self.store.meet(message.agent_id, message.room_id, message.entity_id, event)
        else:
            self.desk.recent.waiting.add(message.id)
            overheard.remember(self.store, event, message)
        return seq

    def _overheard(self, event: Event) -> None:
        """What is held in memory follows what is on disk."""
        message, recent = turns.message_of(event), self.desk.recent
        if event.kind == HEARD:
            recent.add(message.room_id, message.agent_id, Spoken(message.name, message.text, own=False))
        elif event.kind == EDIT:
            self._reword(event)
            recent.forget([message.room_id])
        elif event.kind == MOVED:
            recent.forget([message.room_id, overheard.moved_from(event)])
            self.store.forget_known()

    def _reword(self, edit: Event) -> None:
        """A message that still waits for its turn is answered as it reads now."""
        for row in self._queues.get(f"{edit.agent}/{edit.room}", ()):
            event = row.event
            if (event.source, event.message, event.principal) == (edit.source, edit.message, edit.principal):
                row.event = replace(event, text=edit.text)

    async def recover(self) -> None:
        """Takes up again what an earlier life of this process left open."""
        rows = self.store.open_rows(tuple(self.agents))
        for row in rows:
            self.desk.recent.waiting.add(turns.message_of(row.event).id)
            self.desk.recent.reopened.add(row.event.event)
        for row in rows:
            self._enqueue(row)
        if rows:
            log.info("inbox_recovered", rows=len(rows))

    # -- forgetting

    async def forget(self, params: dict[str, Json]) -> Json:
        """The gate's `person.forget`: returns once nothing of that person is left in memory or in any file."""
        person = strict.parse(_Person, params)
        for room in list(self._queues):
            if room.startswith(f"{person.agent}/") and any(_is_of(row, person) for row in self._queues[room]):
                await self._drop(room, person)
        await self.afterwards.forget(person.agent, person.principal)
        entity = ids.create_unique_uuid(person.agent, ids.platform_base(person.principal))

        def destroy() -> forgetting.Gone:
            gone = forgetting.forget(self.store, person.agent, person.principal, entity)
            self.desk.records.forget(gone.rooms)
            return gone

        gone = await self.store.commit.run(destroy)
        self.store.truncate()
        turns.message_of.cache_clear()
        self.desk.recent.forget(gone.rooms)
        if person.agent in self.agents:
            self.agents[person.agent].state.forget(gone.rooms)
        log.info("person_forgotten", memories=gone.memories, messages=gone.messages)
        return {"memories": gone.memories, "messages": gone.messages}

    async def _drop(self, room: str, person: "_Person") -> None:
        """Takes this person's messages out of a room's queue, and ends the turn if it is about one of them."""
        queue, worker = self._queues[room], self._workers[room]
        if _is_of(queue[0], person):
            worker.cancel()
            await asyncio.wait({worker})
        for row in [row for row in queue if _is_of(row, person)]:
            queue.remove(row)
            self._unmark(row)
        if worker.done() and queue:
            self._serve(room, queue)
        elif worker.done():
            self._queues.pop(room, None)

    # -- the rooms

    def _enqueue(self, row: Row) -> None:
        room = f"{row.event.agent}/{row.event.room}"
        queue = self._queues.get(room)
        if queue is not None:
            queue.append(row)
            return
        self._serve(room, deque([row]))

    def _serve(self, room: str, queue: deque[Row]) -> None:
        self._queues[room] = queue
        self._workers[room] = asyncio.get_running_loop().create_task(self._work(room, queue))

    async def _work(self, room: str, queue: deque[Row]) -> None:
        while queue and not self._closing:
            async with self._slots:
                pause = await self._turn(queue[0])
            if pause is None:
                queue.popleft()
            else:
                await asyncio.sleep(pause)
        del self._queues[room], self._workers[room]

    async def _turn(self, row: Row) -> float | None:
        """Runs a row's turn; None when it has ended, else the seconds to wait before it is tried again."""
        agent = self.agents[row.event.agent]
        try:
            code = await self._run(agent, row)
            if code:
                await self._end(row, code)
        except Unavailable as away:
            return self._postpone(row, away)
        return None

    async def _run(self, agent: Agent, row: Row) -> str:
        """Runs the turn; "" when its reply is committed, else the code it ended with."""
        try:
            self._said(agent, row, await turns.run(self.desk, agent, row, self._showing(row.event)))
        except turns.Ending as ending:
            return ending.code
        except Unavailable:
            raise
        except Exception:  # the turn's supervisor: whatever a turn raises ends that turn alone
            log.exception("turn_failed", room=row.event.room)
            return "failed"
        return ""

    def _showing(self, event: Event) -> Callable[[str], None]:
        return lambda text: self.show_draft(Draft(event.agent, event.source, event.event, text))

    def _said(self, agent: Agent, row: Row, effects: list[Effect]) -> None:
        self._heard(row)
        message = turns.message_of(row.event)
        for effect in effects:
            if saying.in_words(agent.answering(effect.source), effect.verb):
                self.desk.recent.add(message.room_id, message.agent_id, turns.spoken(agent, effect))
        self.afterwards.expect(row, effects)
        log.debug("reply_committed", agent=agent.character.name, source=row.event.source, parts=len(effects))

    async def _end(self, row: Row, code: str) -> None:
        def write() -> None:
            self.store.close_row(row.seq, "ended", code)
            self.desk.records.finish(self.store, self.agents[row.event.agent], row, code, {})

        await self.store.commit.run(write)
        self.desk.records.close(row)
        self._heard(row)
        self.tell(Ended(row.event.agent, row.event.source, row.event.event, code))
        log.info("turn_ended", code=code, source=row.event.source)

    def _postpone(self, row: Row, away: Unavailable) -> float:
        tries = self._tries.get(row.seq, 0)
        self._tries[row.seq] = tries + 1
        self.desk.recent.reopened.add(row.event.event)  # an intent may have been committed before this went wrong
        code = away.code if away.code.startswith("model-") else "later"
        self.tell(Ended(row.event.agent, row.event.source, row.event.event, code, final=False))
        asked = min(away.retry_after, BACKOFF[-1]) if tries or away.code == "model-busy" else 0.0
        pause = max(BACKOFF[min(tries, len(BACKOFF) - 1)], asked)
        log.warning("turn_postponed", code=away.code, reason=str(away), hint=away.hint, again_in=pause)
        return pause

    def _heard(self, row: Row) -> None:
        """The message is past now: later turns see it among what was said."""
        message = turns.message_of(row.event)
        if row.event.kind == SCHEDULE:
            return self._unmark(row)
        said = attached.later(row.event.text, row.event.content)
        self.desk.recent.add(message.room_id, message.agent_id, Spoken(message.name, said, own=False))
        self._unmark(row)

    def _unmark(self, row: Row) -> None:
        self._tries.pop(row.seq, None)
        self.desk.recent.waiting.discard(turns.message_of(row.event).id)
        self.desk.recent.reopened.discard(row.event.event)

    async def close(self, seconds: float) -> None:
        """Finishes the turns that are running, or gives up on them after `seconds`: their rows stay open."""
        self._closing = True
        if self._workers:
            _, late = await asyncio.wait(self._workers.values(), timeout=seconds)
            for worker in late:
                worker.cancel()

    def show(self, params: dict[str, Json]) -> Json:
        """The gate's `turn.show`: how a message stands and which actions were chosen for it."""
        asked = strict.parse(_Asked, params)
        state, code, answer = self.store.row_state(asked.agent, asked.source, asked.event)
        try:
            actions = respond.parse(answer or "").actions
        except AskAgain:
            actions = ()
        return {"state": state, "code": code, "actions": list(actions)}

    def why(self, params: dict[str, Json]) -> Json:
        """The gate's `turn.why`: what an answer was made of."""
        asked = strict.parse(_Asked, params)
        state, code, _ = self.store.row_state(asked.agent, asked.source, asked.event)
        found = self._record(asked)
        return {"state": state, "code": code, "recorded": found is not None} | (why.told(found) if found else {})

    def words(self, params: dict[str, Json]) -> Json:
        """The gate's `turn.words`: what was said in a turn, for traces that are to carry it."""
        asked = strict.parse(_Asked, params)
        found, event = self._record(asked), self.store.event_of(asked.agent, asked.source, asked.event)
        return {"input": [event.text] if event else [], "output": (found.came.get("texts") or []) if found else []}

    def find(self, params: dict[str, Json]) -> Json:
        """The gate's `turn.find`: the event whose turn has one of these names, or the agent's latest."""
        asked = strict.parse(_Names, params)
        found = self.store.turns.find(asked.agent, asked.names[:8])
        return {"found": found is not None, "source": found[0] if found else "", "event": found[1] if found else ""}

    async def replay(self, params: dict[str, Json]) -> Json:
        """The gate's `turn.replay`: does the recorded turn come out the same again?"""
        asked = strict.parse(_Asked, params)
        found, event = self._record(asked), self.store.event_of(asked.agent, asked.source, asked.event)
        if found is None or event is None:
            return {"replayed": False, "reason": "no record of it is kept", "same": False, "differences": []}
        return await replays.replay(self.agents[asked.agent], found, event)

    def _record(self, asked: "_Asked") -> Record | None:
        if asked.agent not in self.agents:
            return None
        event = (asked.agent, asked.source, asked.event)
        return self.desk.records.found(self.store, self.agents[asked.agent], event)

    def history(self, params: dict[str, Json]) -> Json:
        """The gate's `room.history`: what people said in a room, oldest first."""
        asked = strict.parse(_History, params)
        message = turns.message_of(
            Event(asked.agent, asked.source, "", "", asked.room, "message", "", time.time_ns() // 1_000_000)
        )
        found = self.store.latest(message.room_id, "messages", 2 * min(asked.limit, 200))
        said = [
            {"at": m.created_at, "text": str(m.content.get("text", ""))} for m in found if m.entity_id != asked.agent
        ]
        return said[: asked.limit][::-1]


def _is_of(row: Row, person: "_Person") -> bool:
    return (row.event.agent, row.event.principal) == (person.agent, person.principal)


@dataclass(frozen=True, slots=True)
class _Person:
    agent: str
    principal: str


@dataclass(frozen=True, slots=True)
class _Asked:
    agent: str
    source: str
    event: str


@dataclass(frozen=True, slots=True)
class _Names:
    agent: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _History:
    agent: str
    source: str
    room: str
    limit: int = 50
