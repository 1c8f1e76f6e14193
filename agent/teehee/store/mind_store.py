"""Every question the mind asks of its database, each a function; writes run inside the caller's group commit."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teehee import commit, compact, ids
from teehee.store import schema, search
from teehee.store.turn_records import TurnRecords
from teehee.wire import strict
from teehee.wire.messages import Event

Json = Any


@dataclass(slots=True)
class Row:
    """An inbox row: an accepted event and, once there is one, the model's answer as it was journaled."""

    seq: int
    event: Event
    answer: str | None = None
    accepted: int = 0  # when, in milliseconds since 1970; 0 when an earlier life of the process did


@dataclass(frozen=True, slots=True)
class Memory:
    """Eliza's Memory: `type` is the table it belongs to, `created_at` milliseconds, `content` Eliza's Content."""

    id: str
    type: str
    created_at: int
    content: Mapping[str, Json]
    entity_id: str
    agent_id: str
    room_id: str


class MindStore:
    """The mind's database. `commit.run(operation)` gives a future that holds after the fsync."""

    def __init__(self, path: Path) -> None:
        self.db: sqlite3.Connection = commit.open_database(path, what="mind's store")
        commit.migrate(self.db, schema.MIGRATIONS, what="mind's store")
        self.commit = commit.GroupCommit(self.db, on_undo=self.forget_known)
        self.turns = TurnRecords(self.db)
        self._known: set[tuple[str, str]] = set()  # (room, entity) pairs whose rows are there

    def truncate(self) -> None:
        """Empties the write-ahead log, which holds pages as they were before."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self.commit.close()
        self.truncate()
        self.db.close()

    def forget_known(self) -> None:
        """Drops what is remembered of which rows are there."""
        self._known.clear()
        self.turns.forget_known()

    # -- the inbox

    def accept(self, event: Event) -> int | None:
        """Keeps an event; its row's number, or None when it is known. An ended row for want of a witness reopens."""
        done = self.db.execute(
            "INSERT OR IGNORE INTO inbox (agent, source, event, body, at) VALUES (?,?,?,?,?)",
            (event.agent, event.source, event.event, _text(event.to_json()), event.at),
        )
        if done.rowcount == 1:
            return done.lastrowid
        row = self.db.execute(
            "UPDATE inbox SET state='open', code='' WHERE agent=? AND source=? AND event=? AND state='ended'"
            " AND code='unwitnessed' RETURNING seq",
            (event.agent, event.source, event.event),
        ).fetchone()
        return None if row is None else int(row[0])

    def journal(self, seq: int, answer: str) -> None:
        self.db.execute("UPDATE inbox SET answer=? WHERE seq=?", (answer, seq))

    def close_row(self, seq: int, state: str, code: str = "") -> None:
        self.db.execute("UPDATE inbox SET state=?, code=? WHERE seq=?", (state, code, seq))

    def open_rows(self, agents: Sequence[str]) -> list[Row]:
        """What was accepted and has no end yet, oldest first."""
        rows = self.db.execute("SELECT seq, body, answer FROM inbox WHERE state='open' ORDER BY seq")
        found = [Row(seq, strict.parse(Event, json.loads(body)), answer) for seq, body, answer in rows]
        return [row for row in found if row.event.agent in agents]

    def row_state(self, agent: str, source: str, event: str) -> tuple[str, str, str | None]:
        """(state, code, journaled answer) of a row; ("unknown", "", None) when there is none."""
        row = self.db.execute(
            "SELECT state, code, answer FROM inbox WHERE agent=? AND source=? AND event=?", (agent, source, event)
        ).fetchone()
        return tuple(row) if row is not None else ("unknown", "", None)

    def event_of(self, agent: str, source: str, event: str) -> Event | None:
        """The event as it was accepted; None when it never was."""
        row = self.db.execute(
            "SELECT body FROM inbox WHERE agent=? AND source=? AND event=?", (agent, source, event)
        ).fetchone()
        return None if row is None else strict.parse(Event, json.loads(row[0]))

    def forget_settled(self, before: int, limit: int = 500) -> int:
        """Drops settled rows of before that moment, with their answers and records, the oldest first; how many went."""
        (last,) = self.db.execute(
            "SELECT MAX(seq) FROM (SELECT seq, at FROM inbox ORDER BY seq LIMIT ?) WHERE at<?", (limit, before)
        ).fetchone()
        gone = self.db.execute("DELETE FROM inbox WHERE seq<=? AND state!='open'", (last or 0,)).rowcount
        if gone:
            self.turns.follow(last)
        return gone

    # -- who and where

    def meet(self, agent_id: str, room_id: str, entity_id: str, event: Event) -> None:
        """Makes sure that room, entity and participation have their rows."""
        if (room_id, entity_id) in self._known:
            return
        self.db.execute(
            "INSERT OR IGNORE INTO rooms (id, agent_id, source, type, channel_id, world_id, name, created_at)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (
                room_id,
                agent_id,
                event.source,
                event.room_type,
                event.room,
                self._world(agent_id, event),
                str(event.content.get("room", "")),
                event.at,
            ),
        )
        self.db.execute(
            "INSERT INTO entities (id, agent_id, names, created_at) VALUES (?,?,?,?)"
            " ON CONFLICT (id) DO UPDATE SET names=excluded.names",
            (entity_id, agent_id, json.dumps([event.name or event.principal]), event.at),
        )
        self.db.execute(
            "INSERT OR IGNORE INTO participants (entity_id, room_id, agent_id, created_at) VALUES (?,?,?,?)",
            (entity_id, room_id, agent_id, event.at),
        )
        if len(self._known) > 50_000:
            self._known.clear()
        self._known.add((room_id, entity_id))

    def _world(self, agent_id: str, event: Event) -> str | None:
        world = event.content.get("world")
        return ids.create_unique_uuid(agent_id, str(world)) if world else None

    def settle_in(self, agent_id: str, name: str, at: int) -> None:
        """The agent's own row."""
        self.db.execute(
            "INSERT INTO agents VALUES (?,?,?) ON CONFLICT (id) DO UPDATE SET name=excluded.name", (agent_id, name, at)
        )

    # -- memories

    def remember(self, memory: Memory) -> None:
        """Stores a memory; the same id again changes nothing."""
        self.db.execute(
            "INSERT OR IGNORE INTO memories (id, type, created_at, content, entity_id, agent_id, room_id)"
            " VALUES (?,?,?,?,?,?,?)",
            (memory.id, memory.type, memory.created_at, _text(dict(memory.content)),
             memory.entity_id, memory.agent_id, memory.room_id),
        )  # fmt: skip

    def edit(self, memory: str, agent: str, source: str, message: str, text: str) -> None:
        """A message reads differently now: where it is remembered, and where its turn is still to come."""
        self.db.execute("UPDATE memories SET content=json_set(content, '$.text', ?) WHERE id=?", (text, memory))
        self.db.execute(
            "UPDATE inbox INDEXED BY inbox_open SET body=json_set(body, '$.text', ?)"
            " WHERE state='open' AND agent=? AND source=? AND json_extract(body, '$.message')=? AND answer IS NULL",
            (text, agent, source, message),
        )

    def memory(self, id: str) -> Memory | None:
        """One memory; None when it is not kept, or not any more."""
        row = self.db.execute(
            "SELECT id, type, created_at, content, entity_id, agent_id, room_id FROM memories WHERE id=?", (id,)
        ).fetchone()
        if row is None:
            return None
        memory, kind, at, content, entity, agent, room = row
        return Memory(memory, kind, at, json.loads(content), entity, agent, room)

    def attach(self, memory: str, seq: int, things: Sequence[Mapping[str, Json]]) -> None:
        """What was read of the things attached to a message: in its memory and in the inbox."""
        told = self._attach(memory, things)
        update = "UPDATE inbox SET body=json_set(body, '$.content.attachments', json(?)) WHERE seq=?"
        self.db.execute(update, (told, seq))

    def attach_quoted(self, memory: str, seq: int, of: str, things: Sequence[Mapping[str, Json]]) -> None:
        """The same of the message that the inbox's quotes; nothing when its author was forgotten meanwhile."""
        self.db.execute(
            "UPDATE inbox SET body=json_set(body, '$.content.quote.attachments', json(?))"
            " WHERE seq=? AND json_extract(body, '$.content.quote.of')=?",
            (self._attach(memory, things), seq, of),
        )

    def _attach(self, memory: str, things: Sequence[Mapping[str, Json]]) -> str:
        told = json.dumps([dict(one) for one in things], ensure_ascii=False)
        update = "UPDATE memories SET content=json_set(content, '$.attachments', json(?)) WHERE id=?"
        self.db.execute(update, (told, memory))
        return told

    def move(self, old: str, new: str, channel: str) -> None:
        """A room goes on under another id."""
        self.db.execute("UPDATE OR IGNORE rooms SET id=?, channel_id=? WHERE id=?", (new, channel, old))
        self.db.execute("DELETE FROM rooms WHERE id=?", (old,))
        self.db.execute("UPDATE OR IGNORE participants SET room_id=? WHERE room_id=?", (new, old))
        self.db.execute("DELETE FROM participants WHERE room_id=?", (old,))
        for table in ("memories", "turns"):
            self.db.execute(f"UPDATE {table} SET room_id=? WHERE room_id=?", (new, old))

    def latest(self, room_id: str, kind: str, limit: int) -> list[Memory]:
        """The last `limit` memories of a room, newest first."""
        rows = self.db.execute(
            "SELECT id, type, created_at, content, entity_id, agent_id, room_id FROM memories"
            " WHERE room_id=? AND type=? ORDER BY seq DESC LIMIT ?",
            (room_id, kind, limit),
        )
        return [
            Memory(memory, kind, at, json.loads(content), entity, agent, room)
            for memory, kind, at, content, entity, agent, room in rows
        ]

    def count(self, room_id: str, kind: str) -> int:
        (number,) = self.db.execute(
            "SELECT COUNT(*) FROM memories WHERE room_id=? AND type=?", (room_id, kind)
        ).fetchone()
        return int(number)

    def crowded(self, most: int) -> list[tuple[str, str, int]]:
        """(room, type, how many too many) where more than `most` memories of one type are kept; knowledge is exempt."""
        rows = self.db.execute(
            "SELECT room_id, type, COUNT(*) FROM memories WHERE type!='knowledge' GROUP BY room_id, type"
            " HAVING COUNT(*)>?",
            (most,),
        )
        return [(room, kind, number - most) for room, kind, number in rows]

    def forget_oldest(self, room_id: str, kind: str, number: int) -> None:
        """Drops a room's oldest memories of one type."""
        self.db.execute(
            "DELETE FROM memories WHERE seq IN"
            " (SELECT seq FROM memories WHERE room_id=? AND type=? ORDER BY seq LIMIT ?)",
            (room_id, kind, number),
        )

    # -- knowledge

    def rebuild_words(self) -> int:
        """Makes the full-text index anew from the memories it is over; how many fragments it holds."""
        self.db.execute("DROP TABLE knowledge_words")
        self.db.execute(schema.KNOWLEDGE_WORDS)
        rows = self.db.execute(
            "INSERT INTO knowledge_words (rowid, agent_id, text)"
            " SELECT seq, agent_id, json_extract(content, '$.text') FROM memories WHERE type='knowledge'"
        )
        return rows.rowcount

    def keep_knowledge(self, agent_id: str, fragments: Mapping[str, Mapping[str, Json]], at: int) -> tuple[int, int]:
        """Makes the agent's knowledge be exactly `fragments` (content by id); gives (added, removed)."""
        rows = self.db.execute("SELECT id, seq FROM memories WHERE agent_id=? AND type='knowledge'", (agent_id,))
        held = {memory: seq for memory, seq in rows}
        for memory in held.keys() - fragments.keys():
            self.db.execute("DELETE FROM memories WHERE seq=?", (held[memory],))
            self.db.execute("DELETE FROM knowledge_words WHERE rowid=?", (held[memory],))
        added = [memory for memory in fragments if memory not in held]
        for memory in added:
            self.remember(Memory(memory, "knowledge", at, fragments[memory], agent_id, agent_id, agent_id))
            (seq,) = self.db.execute("SELECT seq FROM memories WHERE id=?", (memory,)).fetchone()
            words = (seq, agent_id, fragments[memory]["text"])
            self.db.execute("INSERT INTO knowledge_words (rowid, agent_id, text) VALUES (?,?,?)", words)
        return len(added), len(held.keys() - fragments.keys())

    def search_knowledge(self, agent_id: str, text: str, limit: int) -> list[Mapping[str, Json]]:
        """The fragments of the agent's knowledge that share most with the words of `text`, best first (BM25)."""
        if not (words := search.query(text)):
            return []
        rows = self.db.execute(
            "SELECT content FROM knowledge_words JOIN memories ON seq = knowledge_words.rowid"
            " WHERE knowledge_words MATCH ? AND knowledge_words.agent_id=? ORDER BY rank LIMIT ?",
            (words, agent_id, limit),
        )
        return [json.loads(content) for (content,) in rows]


def _text(value: Json) -> str:
    return compact.encode(value).decode()
