"""Events that begin no turn: what people said to one another, what they changed or felt, where a room has moved."""

from teehee import ids
from teehee.plugin import Message
from teehee.store.mind_store import Memory, MindStore
from teehee.wire.messages import EDIT, HEARD, MOVED, REACTION, Event


def keep(store: MindStore, event: Event, message: Message) -> None:
    """What such an event changes in memory, inside the caller's transaction."""
    if event.kind == HEARD:
        remember(store, event, message)
    elif event.kind == EDIT:
        store.edit(message.id, event.agent, event.source, event.message, event.text)
    elif event.kind == REACTION:
        store.meet(message.agent_id, message.room_id, message.entity_id, event)
        store.remember(_memory(event, message, "reactions", f"{message.id}/{event.event}"))
    elif event.kind == MOVED:
        store.move(moved_from(event), message.room_id, event.room)


def remember(store: MindStore, event: Event, message: Message) -> None:
    """Who spoke where, and the words, inside the caller's transaction."""
    store.meet(message.agent_id, message.room_id, message.entity_id, event)
    store.remember(_memory(event, message, "messages", message.id))


def moved_from(event: Event) -> str:
    """The id of the room that goes on under another."""
    return ids.create_unique_uuid(event.agent, ids.platform_base(str(event.content.get("from", ""))))


def _memory(event: Event, message: Message, kind: str, name: str) -> Memory:
    content = {
        **event.content,
        "text": event.text,
        "source": event.source,
        "name": message.name,
        "channelType": event.room_type,
    }
    memory = name if kind == "messages" else ids.string_to_uuid(name)
    return Memory(memory, kind, event.at, content, message.entity_id, event.agent, message.room_id)
