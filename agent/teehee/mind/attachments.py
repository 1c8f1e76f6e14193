"""Reads what people send with a message, before its turn thinks: fetched once, read once, kept beside the words.

Whatever fails becomes words of its own; a turn neither ends nor waits for ever because of what a stranger sent.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from teehee import ids
from teehee.log import get_logger
from teehee.mind import attached, documents, models, notes, senses
from teehee.mind.agent import Agent
from teehee.mind.files import WORDS, Files, Unread
from teehee.plugin import Message
from teehee.store.mind_store import MindStore, Row
from teehee.wire.messages import MESSAGE, Event

Json = Any
Thing = Mapping[str, Json]
MOST = 4  # things read in one turn; the rest stay the lines that stand for them
SECONDS = 60.0  # for all of them
LARGEST = 20_000_000  # bytes; the gate gives out no more
log = get_logger()


@dataclass(slots=True)
class _Reading:
    """One turn's reading. `left` is how many things it may still take up, `until` when it has to be done."""

    files: Files
    agent: Agent
    event: Event
    message: str  # on whose behalf models are asked
    until: float
    left: int = MOST

    async def all(self, things: Sequence[Thing]) -> list[Thing]:
        """The things, with what could be read of them."""
        return [await self._one(thing) for thing in things]

    async def _one(self, thing: Thing) -> Thing:
        if _is_done(thing) or not self._is_wanted(thing) or not self.left:
            return thing
        self.left -= 1
        plain = {name: value for name, value in thing.items() if name not in ("unread", "again")}
        try:
            async with asyncio.timeout_at(self.until):
                return plain | await self._read(thing)
        except TimeoutError:
            return plain | {"unread": WORDS["slow"], "again": True}
        except Unread as unread:
            log.info("attachment_unread", kind=thing.get("kind"), why=str(unread))
            return plain | {"unread": str(unread)} | ({"again": True} if unread.for_now else {})
        except Exception:  # what a stranger sent does not end their turn, whatever a reader makes of it
            log.exception("attachment_failed", kind=thing.get("kind"))
            return plain | {"unread": str(Unread())}

    async def _read(self, thing: Thing) -> dict[str, Json]:
        if thing.get("size", 0) > LARGEST:
            raise Unread(WORDS["too-large"])
        content = await self.files.fetch(self.event.agent, self.event.source, str(thing["id"]))
        notes.now().read("attachments", [str(thing["id"])], None)
        if self.agent.eyes is not None and _is_picture(thing):
            return {"description": await senses.describe(self.agent.eyes, content, self.message)}
        if self.agent.ears is not None and thing.get("kind") == attached.VOICE:
            return {"text": await senses.transcribe(self.agent.ears, content, self.message)}
        return {"text": await documents.words(content)}

    def _is_wanted(self, thing: Thing) -> bool:
        """Is it something that is read here?"""
        if not thing.get("id"):
            return False
        if _is_picture(thing):
            return self.agent.eyes is not None
        if thing.get("kind") == attached.VOICE:
            return self.agent.ears is not None
        name, mime = str(thing.get("name", "")), str(thing.get("mime", ""))
        return thing.get("kind") == "document" and documents.is_readable(name, mime)


async def read(files: Files | None, store: MindStore, agent: Agent, row: Row, message: Message) -> bool:
    """Reads what came with a row's message, and with the one it replies to, into the row's event, and keeps it.

    True when the room's past reads differently for it. Raises Unavailable when it cannot be kept.
    """
    event = row.event
    if files is None or event.kind != MESSAGE or isinstance(agent.brain, models.Classic):
        return False
    own, theirs = attached.things(event.content), _replied(store, event, message)
    if not own and not theirs:
        return False
    reading = _Reading(files, agent, event, message.id, asyncio.get_running_loop().time() + SECONDS)
    own_read, theirs_read = await reading.all(own), await reading.all(theirs)
    if reading.left < MOST:
        await store.commit.run(lambda: _keep(store, row.seq, message, own_read, theirs_read))
    row.event = replace(row.event, content=_content(row.event.content, own_read, theirs_read))
    return theirs_read != theirs


def _content(content: Mapping[str, Json], own: Sequence[Thing], theirs: Sequence[Thing]) -> Mapping[str, Json]:
    told = {**content, "attachments": own} if own else {**content}
    if theirs:
        told["quote"] = {**content["quote"], "attachments": theirs}
    return told


def _replied(store: MindStore, event: Event, message: Message) -> list[Thing]:
    """What came with the message that this one replies to, as far as it is remembered in this room."""
    name = event.content.get("inReplyTo")
    if not name or not isinstance(event.content.get("quote"), Mapping):
        return []
    memory = store.memory(_id(event.agent, name))
    return attached.things(memory.content) if memory is not None and memory.room_id == message.room_id else []


def _keep(store: MindStore, seq: int, message: Message, own: Sequence[Thing], theirs: Sequence[Thing]) -> None:
    """Beside the message in its room's memory, and in the inbox, where a turn begun again finds it."""
    if own:
        store.attach(message.id, seq, own)
    if theirs:
        quote = message.content["quote"]
        store.attach_quoted(_id(message.agent_id, message.content["inReplyTo"]), seq, str(quote.get("of")), theirs)


def _id(agent: str, name: Json) -> str:
    return ids.create_unique_uuid(agent, str(name))


def _is_done(thing: Thing) -> bool:
    return bool(thing.get("text") or thing.get("description")) or ("unread" in thing and not thing.get("again"))


def _is_picture(thing: Thing) -> bool:
    kind, mime = thing.get("kind"), str(thing.get("mime", ""))
    return kind == "photo" or (kind == "document" and mime.startswith("image/"))
