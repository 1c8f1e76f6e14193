"""From what Telegram told to the event that vault and mind keep, and back from an event's id to where a reply goes.

An event's id is `<bot>-<update>-<message>`, and for commands `-<user>` after it: what a reply needs follows from it.
"""

from dataclasses import dataclass, replace
from typing import Any

from teehee.connector import Event
from teehee_telegram.inbound import Inbound, Me
from teehee_telegram.media import line
from teehee_telegram.updates import words

Json = Any
SOURCE = "telegram"
ROOM_TYPES = {"private": "DM"}  # every other chat is Eliza's GROUP (plugin-telegram 1.6)
FORGOTTEN = "-forgotten"  # ends the id of the event by which somebody is told that they are
QUOTED = 500  # characters of a message that is answered


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message goes: the chat, the topic in it, the message it answers, the one person who may see it."""

    chat: int
    thread: int | None = None
    reply_to: int = 0
    user: int = 0

    @property
    def is_group(self) -> bool:
        return self.chat < 0


def place(room: str, event: str) -> Place:
    """The place that a room and the id of the answered event stand for. Raises ValueError for what is none of ours."""
    source, _, where = room.partition(":")
    if source != SOURCE:
        raise ValueError(f"{room[:64]!r} is no room of Telegram's")
    chat, _, thread = where.partition("/")
    _, _, message, *rest = event.split("-")
    user = int(rest[0]) if rest and rest[0].isdecimal() else 0
    return Place(int(chat), int(thread) if thread else None, int(message), user)


def event_of(agent: str, inbound: Inbound, kind: str, me: Me, text: str | None = None, suffix: str = "") -> Event:
    """The event for an update that was judged to be of this kind."""
    return Event(
        agent=agent,
        source=SOURCE,
        event=f"{me.id}-{inbound.update_id}-{inbound.message_id}{suffix}",
        principal=inbound.principal,
        room=inbound.room,
        kind=kind,
        text=words(inbound) if text is None else text,
        at=inbound.at,
        name=inbound.sender.name,
        room_type=ROOM_TYPES.get(inbound.chat.type, "GROUP"),
        message=f"{inbound.chat.id}-{inbound.message_id}" if inbound.message_id else "",
        content=_content(inbound),
    )


def _content(inbound: Inbound) -> dict[str, Json]:
    """What Eliza's Content has beside the text; the words of whoever is answered are under `quote`, with whose."""
    told: dict[str, Json] = {}
    if inbound.chat.type != "private":
        told |= {"world": str(inbound.chat.id), "room": inbound.chat.title}
    if reply := inbound.reply_to:
        if not reply.is_external:
            told["inReplyTo"] = f"{inbound.chat.id}-{reply.message_id}"
        if reply.sender and not reply.is_me:
            told["quote"] = {
                "of": f"{SOURCE}:{reply.sender.id}",
                "name": reply.sender.name,
                "text": (reply.quote or reply.text)[:QUOTED],
            }
    if files := [
        {"id": one.file_id, "kind": one.kind, "title": line(one), "name": one.name, "mime": one.mime, "size": one.size}
        for one in inbound.attachments
        if one.file_id
    ]:
        told["attachments"] = files
    if inbound.moved:
        told["from"] = f"{SOURCE}:{inbound.moved.old}"
    return told


def reworded(event: Event, text: str, content: dict[str, Json]) -> Event:
    """The event with other words."""
    return replace(event, text=text, content=content)


def about(event: Event, suffix: str) -> Event:
    """A command's event of its own for what code has to say afterwards: same place, same person, no words."""
    return replace(event, event=f"{event.event}{suffix}", text="", content={})
