"""One exchange, as terminal and web both need it: say something, get what the agent answers, see the past."""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import Any

from teehee.gate.doorway import Doorway
from teehee.gate.drafts import Signal
from teehee.gate.mailroom import Answer, Mailroom
from teehee.wire import notices, strict
from teehee.wire.boot import Face
from teehee.wire.client import Client
from teehee.wire.messages import Effect, Event
from teehee.wire.strict import Malformed

Json = Any

TEXT_LIMIT = 4000  # characters a person may say at once
ID_LIMIT = 128
WAIT_LIMIT = 120.0  # seconds
REPLAY_SECONDS = 120.0  # actions run again, each within its own bound


@dataclass(frozen=True, slots=True)
class Guest:
    """Who speaks and where: `principal` is a key hash or a user id, never a name they chose."""

    source: str
    principal: str
    room: str
    room_type: str = "DM"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """Something a person said, by the mind's account."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """How a message stands, by the mind's account."""

    state: str
    code: str
    actions: tuple[str, ...]


class Conversation:
    """Says and pulls, for any connector whose clients fetch their messages themselves."""

    def __init__(self, doorway: Doorway, mailroom: Mailroom, mind: Client, faces: dict[str, Face]) -> None:
        self.doorway = doorway
        self.mailroom = mailroom
        self.mind = mind
        self.faces = faces

    def face(self, slug: str) -> Face:
        """The agent called `slug`; the only one there is when `slug` is empty."""
        if not slug and len(self.faces) == 1:
            return next(iter(self.faces.values()))
        found = self.faces.get(slug)
        if found is None:
            raise Malformed(f"no agent {slug[:64]!r} runs here; there are {', '.join(sorted(self.faces))}")
        return found

    async def say(self, face: Face, guest: Guest, text: str, message_id: str, wait_seconds: float) -> Json:
        """Accepts a message durably, then waits for its answer. Repeating a message id is harmless.

        Raises Malformed for a text or id that cannot be taken, Unavailable when it could not be kept.
        """
        event = self._event(face, guest, text, message_id)
        key = (event.agent, event.source, event.event)
        expected = self.mailroom.expect(*key)
        self.mailroom.drafts.begin(key)  # before it is handed in: the mind may be quicker than the vault
        try:
            answer = await self._taken(event)
            if answer == Answer() and wait_seconds > 0:
                answer = await _patient(expected, min(wait_seconds, WAIT_LIMIT))
        finally:
            expected.cancel()
        return self._told(face, message_id, answer)

    async def _taken(self, event: Event) -> Answer:
        """Hands an event in; what is known of its answer when it was handed in before."""
        key = (event.agent, event.source, event.event)
        try:
            new = await self.doorway.receive(event)
            answer = Answer() if new else await self._answered(event)
        except BaseException:
            self.mailroom.drafts.drop(key)
            raise
        if answer != Answer():
            self.mailroom.drafts.end(key)
        return answer

    async def signal(self, face: Face, guest: Guest, message_id: str, after: int, seconds: float) -> Signal:
        """How the turn about a message of this guest's stands, once that is newer than `after`."""
        key = (face.agent, guest.source, _event_id(guest, message_id))
        return await self.mailroom.drafts.next(key, after, seconds)

    async def pull(self, face: Face, guest: Guest, after: int, wait_seconds: float) -> list[Effect]:
        """What `guest`'s room was told after the sequence number `after`."""
        return list(await self.mailroom.pull(face.agent, guest.room, after, min(wait_seconds, WAIT_LIMIT)))

    async def latest(self, face: Face, guest: Guest) -> list[Effect]:
        """The last of what `guest`'s room was told, oldest first."""
        return list(await self.mailroom.latest(face.agent, guest.room))

    async def unseen(self, face: Face, guest: Guest, wait_seconds: float) -> list[Effect]:
        """What `guest`'s room has not been told yet."""
        return list(await self.mailroom.unseen(face.agent, guest.room, min(wait_seconds, WAIT_LIMIT)))

    async def about(self, face: Face, guest: Guest, message_id: str) -> Shown:
        """What the mind made of a message: its state and the actions it chose."""
        asked = {"agent": face.agent, "source": guest.source, "event": _event_id(guest, message_id)}
        return strict.parse(Shown, await self.mind.call("turn.show", asked, patience=5.0), "turn")

    async def forget(self, face: Face, guest: Guest) -> Json:
        """Forgets `guest`, everywhere they spoke with this agent; gives the receipt of it, {} if nothing was kept."""
        return await self.doorway.forget(face.agent, guest.principal)

    async def why(self, face: Face, guest: Guest, message_id: str) -> Json:
        """What the answer to a message of this guest's was made of; see docs/operate.md for the shape."""
        return await self.why_event(face, guest.source, _event_id(guest, message_id))

    async def find(self, face: Face, guest: Guest, name: str) -> tuple[str, str]:
        """(source, event) of the turn called `name`: this guest's message id, an event's id, an effect's, or ""
        for the agent's latest. For the operator: any room of the agent's is looked through.

        Raises Malformed when there is none.
        """
        names = [_event_id(guest, name), name] if name else []
        found = await self.mind.call("turn.find", {"agent": face.agent, "names": names}, patience=5.0)
        if not found["found"]:
            raise Malformed(f"no turn {name[:64]!r} is kept" if name else f"{face.name} has had no turn yet")
        return str(found["source"]), str(found["event"])

    async def why_event(self, face: Face, source: str, event: str) -> Json:
        """As `why`, for an event that is known to be the asker's own."""
        return await made_of(self.mailroom.vault, self.mind, {"agent": face.agent, "source": source, "event": event})

    async def why_of(self, face: Face, guest: Guest, name: str) -> Json:
        """As `why`, for the operator: see `find` for what `name` may be."""
        return await self.why_event(face, *await self.find(face, guest, name))

    async def replay(self, face: Face, guest: Guest, name: str) -> Json:
        """Runs a turn again, dry, and tells whether it came out the same; see `find` for what `name` may be."""
        source, event = await self.find(face, guest, name)
        asked = {"agent": face.agent, "source": source, "event": event}
        return asked | await self.mind.call("turn.replay", asked, patience=REPLAY_SECONDS)

    async def history(self, face: Face, guest: Guest, limit: int = 50) -> "list[Said]":
        """The last words said here by people, oldest first, as the mind remembers them."""
        asked = {"agent": face.agent, "source": guest.source, "room": guest.room, "limit": limit}
        found = await self.mind.call("room.history", asked, patience=5.0)
        return [strict.parse(Said, line, "history") for line in found[:limit]]

    async def _answered(self, event: Event) -> Answer:
        """What came of an event that was handed in before."""
        effects = await self.mailroom.answered(event.agent, event.source, event.event)
        if effects:
            return Answer(effects)
        asked = {"agent": event.agent, "source": event.source, "event": event.event}
        shown = strict.parse(Shown, await self.mind.call("turn.show", asked), "turn")
        return Answer(ended=shown.code) if shown.state == "ended" else Answer()

    def _event(self, face: Face, guest: Guest, text: str, message_id: str) -> Event:
        if not text.strip():
            raise Malformed("text: expected something to say")
        if len(text) > TEXT_LIMIT:
            raise Malformed(f"text: {len(text)} characters, at most {TEXT_LIMIT} are taken at once")
        if not 0 < len(message_id) <= ID_LIMIT:
            raise Malformed(f"id: expected 1 to {ID_LIMIT} characters")
        return Event(
            agent=face.agent,
            source=guest.source,
            event=_event_id(guest, message_id),
            principal=guest.principal,
            room=guest.room,
            kind="message",
            text=text,
            at=time.time_ns() // 1_000_000,
            name=guest.name,
            room_type=guest.room_type,
        )

    def _told(self, face: Face, message_id: str, answer: Answer) -> Json:
        told: dict[str, Json] = {"id": message_id, "agent": face.name, "state": "waiting", "messages": []}
        if answer.effects:
            told["state"] = "answered"
            told["messages"] = [shown(effect) for effect in answer.effects]
        elif answer.ended:
            told["state"] = answer.ended
            told["notice"] = notices.sentence(answer.ended, face.name)
        return told


def shown(effect: Effect) -> Json:
    """A reply as clients get it: `seq` is the cursor of the next pull, `id` the receipt's name."""
    return {
        "id": effect.id,
        "seq": effect.seq,
        "text": effect.text,
        "at": effect.at,
        "receipt": {"effect": effect.id, "leaf": effect.leaf, "verb": effect.verb, "salt": effect.salt},
    }


async def made_of(vault: Client, mind: Client, asked: dict[str, Json]) -> Json:
    """What a turn (agent, source, event) was made of, by the mind's account, with the vault's beside it."""
    made = await mind.call("turn.why", asked, patience=5.0)
    return asked | made | {"ledger": await vault.call("event.show", asked, patience=5.0)}


def _event_id(guest: Guest, message_id: str) -> str:
    """Bound to the speaker and the room, so that nobody can take a stranger's message id first."""
    return hashlib.sha256(f"{guest.principal}\n{guest.room}\n{message_id}".encode()).hexdigest()[:32]


async def _patient(expected: "asyncio.Future[Answer]", seconds: float) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            return await expected
    except TimeoutError:
        return Answer()
