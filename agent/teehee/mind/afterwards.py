"""After the words: nothing is called said before its outcome is known; then it is remembered and judged."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from teehee.errors import Unavailable
from teehee.log import get_logger
from teehee.mind import saying
from teehee.mind import turn as turns
from teehee.mind.agent import Agent
from teehee.store.mind_store import Memory, MindStore, Row
from teehee.wire import failpoints, strict
from teehee.wire.client import Client
from teehee.wire.messages import DELIVERED, Effect, Settled

Json = Any
EVALUATOR_SECONDS = 30.0
log = get_logger()


@dataclass(slots=True)
class _Open:
    """A turn whose effects are on their way."""

    row: Row
    effects: dict[str, Effect]
    settled: dict[str, str] = field(default_factory=dict)


class Afterwards:
    """Keeps the turns that wait for outcomes; closes each once all of its effects have one."""

    def __init__(self, desk: turns.Desk, agents: Mapping[str, Agent]) -> None:
        self.desk = desk
        self.store: MindStore = desk.store
        self.agents = agents
        self._by_effect: dict[str, _Open] = {}
        self._early: dict[str, str] = {}  # outcomes that came before the turn knew its effects
        self._tasks: dict[asyncio.Task[None], Row] = {}

    def expect(self, row: Row, effects: list[Effect]) -> None:
        """These effects are committed; their outcomes will be told."""
        open_turn = _Open(row, {effect.id: effect for effect in effects})
        for effect in effects:
            self._by_effect[effect.id] = open_turn
            state = self._early.pop(effect.id, None)
            if effect.state not in ("due", "sending"):
                state = effect.state
            if state is not None:
                self._settle(effect.id, state)

    def heard(self, settled: Settled) -> None:
        """The vault tells an outcome."""
        if settled.id in self._by_effect:
            self._settle(settled.id, settled.state)
        elif settled.agent in self.agents:
            self._early[settled.id] = settled.state
            if len(self._early) > 10_000:
                self._early.pop(next(iter(self._early)))

    async def catch_up(self, vault: Client) -> None:
        """Asks for outcomes that were told while nobody listened."""
        waiting = list(self._by_effect)
        for start in range(0, len(waiting), 500):
            told = await vault.call("effect.settled", {"effects": waiting[start : start + 500]})
            for item in told["settled"]:
                self.heard(strict.parse(Settled, item, "settled"))

    async def forget(self, agent: str, principal: str) -> None:
        """Drops what waits for its outcome or is being judged of this person's messages."""

        def theirs(row: Row) -> bool:
            return (row.event.agent, row.event.principal) == (agent, principal)

        for effect in [effect for effect, waiting in self._by_effect.items() if theirs(waiting.row)]:
            del self._by_effect[effect]
        running = [task for task, row in self._tasks.items() if theirs(row)]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _settle(self, effect: str, state: str) -> None:
        open_turn = self._by_effect.pop(effect)
        open_turn.settled[effect] = state
        if len(open_turn.settled) == len(open_turn.effects):
            task = asyncio.get_running_loop().create_task(self._finish(open_turn))
            self._tasks[task] = open_turn.row
            task.add_done_callback(self._tasks.pop)

    async def _finish(self, done: _Open) -> None:
        """Remembers what was delivered, ends the row, lets the evaluators see it."""
        agent = self.agents[done.row.event.agent]
        delivered = [e for e in done.effects.values() if done.settled[e.id] == DELIVERED]

        def write() -> None:
            for effect in delivered:
                if saying.in_words(agent.answering(effect.source), effect.verb):
                    self.store.remember(_memory(agent, done.row, effect))
            self.store.close_row(done.row.seq, "done")
            self.desk.records.finish(self.store, agent, done.row, "", done.settled)
            failpoints.hit("mind.outcome.before-commit")

        try:
            await self.store.commit.run(write)
        except Unavailable as error:  # the row stays open and is taken up again at the next start
            log.warning("outcome_not_kept", reason=str(error))
            return
        failpoints.hit("mind.outcome.after-commit")
        self.desk.records.close(done.row)
        if delivered and (agent.evaluators or agent.events):
            await self._judge(agent, done, delivered)

    async def _judge(self, agent: Agent, done: _Open, delivered: list[Effect]) -> None:
        turn = turns.begin(self.desk, agent, done.row.event, part="after")
        turn.reply = "\n".join(effect.text for effect in delivered)
        for evaluator in agent.evaluators:
            try:
                if evaluator.fits is None or evaluator.fits(turn):
                    async with asyncio.timeout(EVALUATOR_SECONDS):
                        await evaluator.handler(turn)
            except Exception as error:  # an evaluator's failure is its own
                log.warning("evaluator_failed", evaluator=evaluator.name, error=f"{type(error).__name__}: {error}")
        await emit(agent, "MESSAGE_SENT", {"message": turn.message, "text": turn.reply})

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)


async def emit(agent: Agent, name: str, facts: Mapping[str, Json]) -> None:
    """Tells an agent's plugins of an event, one after the other; a failing handler is logged."""
    for handler in agent.events.get(name, ()):
        try:
            async with asyncio.timeout(EVALUATOR_SECONDS):
                await handler(facts)
        except Exception as error:  # a handler's failure is its own
            log.warning("event_handler_failed", name=name, error=f"{type(error).__name__}: {error}")


def _memory(agent: Agent, row: Row, effect: Effect) -> Memory:
    message = turns.message_of(row.event)
    content = {"text": effect.text, "name": agent.character.name, "source": effect.source, "inReplyTo": message.id}
    return Memory(effect.id, "messages", effect.at, content, agent.id, agent.id, message.room_id)
