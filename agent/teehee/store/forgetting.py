"""Forgetting a person in the mind: what they said, what was said to them, what was learnt of them."""

import json
from dataclasses import dataclass

from teehee.store.mind_store import MindStore


@dataclass(frozen=True, slots=True)
class Gone:
    """How many memories and messages are no more, and in which rooms."""

    memories: int
    messages: int
    rooms: tuple[str, ...]


def forget(store: MindStore, agent_id: str, principal: str, entity_id: str) -> Gone:
    """Deletes every row about a person, inside the caller's commit; of a room of their own, everything."""
    db = store.db
    rooms = [room for (room,) in db.execute("SELECT room_id FROM participants WHERE entity_id=?", (entity_id,))]
    seqs = _memories_of(store, agent_id, entity_id, rooms)
    db.executemany("DELETE FROM memories WHERE seq=?", [(seq,) for seq in seqs])
    quoted = _unquote(store, agent_id, principal)
    store.turns.forget(entity_id, quoted)
    messages = db.execute(
        "DELETE FROM inbox WHERE agent=? AND json_extract(body, '$.principal')=?", (agent_id, principal)
    ).rowcount
    for room in _own(store, entity_id, rooms):
        db.execute("DELETE FROM rooms WHERE id=?", (room,))
    db.execute("DELETE FROM participants WHERE entity_id=?", (entity_id,))
    db.execute("DELETE FROM entities WHERE id=?", (entity_id,))
    store.forget_known()
    return Gone(len(seqs), messages, tuple({*rooms, *quoted}))


def _unquote(store: MindStore, agent_id: str, principal: str) -> list[str]:
    """Takes this person's words out of what others said in reply to them; the rooms where that was.

    They need not have been met there: a bot may see a message only where somebody replies to it.
    """
    rooms = store.db.execute(
        "SELECT DISTINCT room_id FROM memories WHERE agent_id=? AND json_extract(content, '$.quote.of')=?",
        (agent_id, principal),
    ).fetchall()
    store.db.execute(
        "UPDATE memories SET content=json_remove(content, '$.quote') WHERE agent_id=?"
        " AND json_extract(content, '$.quote.of')=?",
        (agent_id, principal),
    )
    store.db.execute(
        "UPDATE inbox SET body=json_remove(body, '$.content.quote') WHERE agent=?"
        " AND json_extract(body, '$.content.quote.of')=?",
        (agent_id, principal),
    )
    return [room for (room,) in rooms]


def _own(store: MindStore, entity_id: str, rooms: list[str]) -> list[str]:
    """Those of the rooms in which nobody else was met."""
    question = "SELECT 1 FROM participants WHERE room_id=? AND entity_id<>? LIMIT 1"
    return [room for room in rooms if store.db.execute(question, (room, entity_id)).fetchone() is None]


def _memories_of(store: MindStore, agent_id: str, entity_id: str, rooms: list[str]) -> set[int]:
    """Everything in a room of their own; in shared ones what they said, what is about them, and answers to them."""
    own = set(_own(store, entity_id, rooms))
    found = {seq for (seq,) in store.db.execute("SELECT seq FROM memories WHERE entity_id=?", (entity_id,))}
    for room in rooms:
        rows = store.db.execute("SELECT seq, id, entity_id, content FROM memories WHERE room_id=?", (room,)).fetchall()
        said = {memory for _, memory, entity, _ in rows if entity == entity_id}
        for seq, _, entity, content in rows:
            answers = entity == agent_id and json.loads(content).get("inReplyTo") in said
            if room in own or answers:
                found.add(seq)
    return found
