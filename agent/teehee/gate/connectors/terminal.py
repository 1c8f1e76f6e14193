"""The terminal connector: chat, ask and run speak to it over a Unix socket only this user can open."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from teehee.gate.accounts import Accounts
from teehee.gate.alarms import Alarms
from teehee.gate.conversation import Conversation, Guest, shown
from teehee.wire import strict
from teehee.wire.client import Client
from teehee.wire.server import Handler

Json = Any
Params = dict[str, Json]
SOURCE = "terminal"
WATCH_LIMIT = 30.0  # seconds
ROOM_SHAPE = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Say:
    """`wait` is how many seconds to wait for the answer; 0 returns once the message is kept."""

    text: str
    id: str
    agent: str = ""
    room: str = "main"
    wait: float = 60.0


@dataclass(frozen=True, slots=True)
class Pull:
    """`wait` is how many seconds to wait when there is nothing yet."""

    agent: str = ""
    room: str = "main"
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Watch:
    """The message watched, and the number of the last signal seen."""

    id: str
    agent: str = ""
    room: str = "main"
    after: int = 0
    wait: float = 10.0


@dataclass(frozen=True, slots=True)
class About:
    id: str
    agent: str = ""
    room: str = "main"


@dataclass(frozen=True, slots=True)
class Named:
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    agent: str = ""
    room: str = "main"


@dataclass(frozen=True, slots=True)
class Why:
    """`id` is a message's, an event's or an effect's; empty for the agent's latest turn."""

    id: str = ""
    agent: str = ""
    room: str = "main"


@dataclass(frozen=True, slots=True)
class Seen:
    """Ids of messages now on the screen: their outcome is written."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Costs:
    """How many days are asked for, today among them."""

    days: int = 1


class TerminalConnector:
    """Delivery is exactly once: a message is shown by id and settled by the terminal's own word."""

    def __init__(
        self,
        conversation: Conversation,
        public: Client,
        url: str,
        trust: str,
        spent: Callable[[int], Json],
        alarms: Alarms,
        accounts: Accounts,
    ) -> None:
        self.conversation = conversation
        self.public = public
        self.url = url
        self.trust = trust
        self.began = time.time()
        self.spent = spent
        self.alarms = alarms
        self.held = accounts
        # The socket's mode lets in this user only, so this is who speaks.
        self.principal = f"terminal:{os.getuid()}"

    def methods(self) -> dict[str, Handler]:
        return {
            "accounts": self.accounts,
            "agents": self.agents,
            "say": self.say,
            "pull": self.pull,
            "signal": self.signal,
            "seen": self.seen,
            "about": self.about,
            "receipt": self.receipt,
            "history": self.history,
            "forget": self.forget,
            "status": self.status,
            "replay": self.replay,
            "why": self.why,
            "costs": self.costs,
        }

    def agents(self, params: Params) -> Json:
        return [asdict(face) | {"url": self.url} for face in self.conversation.faces.values()]

    async def accounts(self, params: Params) -> Json:
        """Who holds what of each agent's accounts, or of one's."""
        named = strict.parse(Named, params).agent
        faces = [self.conversation.face(named)] if named else list(self.conversation.faces.values())
        return [
            {"agent": face.slug, "name": face.name, "trust": self.trust, "accounts": await self.held.of(face.agent)}
            | {"alarms": self.alarms.of(face.name)}
            for face in faces
        ]

    async def say(self, params: Params) -> Json:
        said = strict.parse(Say, params)
        face = self.conversation.face(said.agent)
        return await self.conversation.say(face, self._guest(said.room), said.text, said.id, said.wait)

    async def pull(self, params: Params) -> Json:
        asked = strict.parse(Pull, params)
        face = self.conversation.face(asked.agent)
        return [shown(e) for e in await self.conversation.unseen(face, self._guest(asked.room), asked.wait)]

    async def signal(self, params: Params) -> Json:
        """How the turn about a message stands: thinking, writing with a draft, or ended."""
        asked = strict.parse(Watch, params)
        face, guest = self.conversation.face(asked.agent), self._guest(asked.room)
        return asdict(await self.conversation.signal(face, guest, asked.id, asked.after, min(asked.wait, WATCH_LIMIT)))

    async def seen(self, params: Params) -> Json:
        """Returns once the outcomes are written, so that a receipt asked for next shows them."""
        await self.conversation.mailroom.confirm(strict.parse(Seen, params).ids)
        return {}

    async def about(self, params: Params) -> Json:
        asked = strict.parse(About, params)
        face = self.conversation.face(asked.agent)
        return asdict(await self.conversation.about(face, self._guest(asked.room), asked.id))

    async def history(self, params: Params) -> Json:
        """What was said last in a room and is settled, oldest first; what is still due comes by `pull`."""
        asked = strict.parse(Past, params)
        face, guest = self.conversation.face(asked.agent), self._guest(asked.room)
        said = [
            {"at": line.at, "who": "you", "id": "", "text": line.text}
            for line in await self.conversation.history(face, guest)
        ]
        for effect in await self.conversation.latest(face, guest):
            if effect.state != "due":
                said.append({"at": effect.at, "who": "agent", "id": effect.id, "text": effect.text})
        return sorted(said, key=lambda line: (line["at"], line["who"] != "you"))

    async def forget(self, params: Params) -> Json:
        """Forgets whoever this terminal belongs to, in all of their rooms here; gives the receipt of it."""
        asked = strict.parse(Named, params)
        return await self.conversation.forget(self.conversation.face(asked.agent), self._guest("main"))

    async def status(self, params: Params) -> Json:
        """How an agent stands; asks the vault only, so it works whatever the mind or its model do."""
        face = self.conversation.face(strict.parse(Named, params).agent)
        today = await self.conversation.mailroom.vault.call("agent.today", {"agent": face.agent})
        signed = await self.public.call("checkpoint", {"agent": face.agent})
        return {
            **asdict(face),
            **today,
            "url": self.url,
            "trust": self.trust,
            "up_seconds": int(time.time() - self.began),
            "checkpoint": signed["checkpoint"],
            "origin": signed["origin"],
            "log_key": signed["key"],
            "accounts": await self.held.of(face.agent),
            "alarms": self.alarms.of(face.name),
        }

    async def receipt(self, params: Params) -> Json:
        return await self.public.call("receipt", params)

    async def why(self, params: Params) -> Json:
        """What an answer was made of, step by step; this user may ask about any room."""
        asked = strict.parse(Why, params)
        return await self.conversation.why_of(self.conversation.face(asked.agent), self._guest(asked.room), asked.id)

    async def replay(self, params: Params) -> Json:
        """Runs a turn again, dry; this user may ask about any room."""
        asked = strict.parse(Why, params)
        return await self.conversation.replay(self.conversation.face(asked.agent), self._guest(asked.room), asked.id)

    def costs(self, params: Params) -> Json:
        """Needs no model, so it answers when every cap is reached."""
        return self.spent(strict.parse(Costs, params).days)

    def _guest(self, room: str) -> Guest:
        if not ROOM_SHAPE.fullmatch(room):
            raise strict.Malformed("room: expected 1 to 64 of a-z, 0-9 and -")
        return Guest(SOURCE, self.principal, f"terminal:{room}", name="you")
