"""The way in: every event is witnessed by the vault and kept by the mind before its sender is told so."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from teehee.errors import ConfigError, Unavailable
from teehee.gate.metrics import Counts
from teehee.log import get_logger
from teehee.wire import failpoints
from teehee.wire.client import Client
from teehee.wire.messages import UNANSWERED, Event

Json = Any
ARRIVAL_SECONDS = 0.02
log = get_logger()


class Keeps(Protocol):
    """Somebody in the gate who remembers whose an event was."""

    def note(self, event: Event) -> None: ...

    def forget(self, agent: str, principal: str) -> None: ...


class Doorway:
    """Hands an inbound event to vault and mind at the same time and waits for both commits.

    Those who `keep` something of it are told of each before the mind is, and of everybody who is forgotten.
    """

    def __init__(
        self,
        vault: Client,
        mind: Client,
        agents: frozenset[str],
        keep: Sequence[Keeps] = (),
        counts: Counts | None = None,
    ) -> None:
        self.keep = keep
        self.vault = vault
        self.mind = mind
        self.agents = agents
        self.counts = counts or Counts()
        self.closed = False  # draining: what is in flight may finish, nothing new comes in
        self._arriving: Counter[tuple[str, str]] = Counter()  # events on their way, by (agent, principal)
        self._leaving: set[tuple[str, str]] = set()  # who is being forgotten: nothing of theirs comes in meanwhile

    async def receive(self, event: Event) -> bool:
        """True when the event is new, False when it was known. Raises Unavailable when either stays away.

        Safe to repeat: (agent, source, event) is unique on both sides.
        """
        if event.agent not in self.agents:
            raise ConfigError(f"no agent {event.agent!r} runs here")
        if self.closed:
            raise Unavailable("this agent is stopping and takes no new messages", code="stopping")
        person = (event.agent, event.principal)
        if person in self._leaving:
            raise Unavailable("you are being forgotten just now; say it again in a moment", code="forgetting")
        self._arriving[person] += 1
        try:
            return await self._keep(event)
        finally:
            self._arriving[person] -= 1
            if not self._arriving[person]:
                del self._arriving[person]

    async def forget(self, agent: str, principal: str) -> Json:
        """Has mind and vault forget a person; gives the receipt of it, {} when nothing was kept of them.

        `principal` is who asked, as their own connector knows them: nobody else's word counts. Safe to repeat.
        """
        person = (agent, principal)
        if person in self._leaving:
            raise Unavailable("you are being forgotten already", code="forgetting")
        self._leaving.add(person)
        try:
            while self._arriving[person]:  # noqa: ASYNC110 - rare, and over in milliseconds
                await asyncio.sleep(ARRIVAL_SECONDS)  # an event in the air is taken down with the rest
            who = {"agent": agent, "principal": principal}
            await self.mind.call("person.forget", who)
            for keeper in self.keep:
                keeper.forget(agent, principal)
            return await self.vault.call("person.forget", who)
        finally:
            self._leaving.discard(person)

    async def _keep(self, event: Event) -> bool:
        failpoints.hit("gate.event.received")
        for keeper in self.keep:
            keeper.note(event)
        fresh = event.kind not in UNANSWERED and self.counts.came(event.agent, event.source, event.event)
        witness = {
            "agent": event.agent,
            "source": event.source,
            "event": event.event,
            "principal": event.principal,
            "room": event.room,
            "kind": event.kind,
            "digest": hashlib.sha256(event.text.encode()).hexdigest(),
        }
        _, accepted = await asyncio.gather(
            self.vault.call("event.witness", witness), self.mind.call("event.accept", event.to_json())
        )
        failpoints.hit("gate.event.witnessed")
        if accepted["new"]:
            self.counts.add("teehee_messages", event.agent, event.source)
        elif fresh:
            self.counts.known(event.agent, event.source, event.event)
        log.debug("event_accepted", source=event.source, room=event.room, new=accepted["new"])
        return bool(accepted["new"])
