"""What a turn remembers and recalls: Eliza memories, scoped to its room."""

import itertools
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from teehee import ids
from teehee.mind import notes
from teehee.plugin import Knowledge, Message, Recall
from teehee.store.mind_store import Memory, MindStore

Json = Any


class RoomMemory:
    """Memories of one turn. Ids follow from the message, so a turn run again remembers nothing twice."""

    def __init__(self, store: MindStore, message: Message, part: str) -> None:
        self.store = store
        self.part = part
        self.message = message
        self._numbers = itertools.count()

    async def remember(self, text: str, table: str, data: Mapping[str, Json]) -> None:
        said = self.message
        memory = Memory(
            id=ids.string_to_uuid(f"{said.id}/{self.part}/{table}/{next(self._numbers)}"),
            type=table,
            created_at=time.time_ns() // 1_000_000,
            content={"text": text, "data": dict(data)},
            entity_id=said.entity_id,
            agent_id=said.agent_id,
            room_id=said.room_id,
        )
        notes.now().remembered.append([text, table, dict(data)])
        await self.store.commit.run(lambda: self.store.remember(memory))

    async def recall(self, table: str, limit: int) -> list[Recall]:
        found = self.store.latest(self.message.room_id, table, limit)
        rows = [[str(m.content.get("text", "")), m.content.get("data", {}), m.created_at] for m in found]
        notes.now().read(table, [m.id for m in found], rows)
        return recalled(rows)

    async def search(self, text: str, limit: int) -> list[Knowledge]:
        found = self.store.search_knowledge(self.message.agent_id, text, limit)
        rows: list[list[Json]] = [[str(c["text"]), str(c.get("source", "")), int(c.get("position", 0))] for c in found]
        notes.now().read("knowledge", [f"{source}#{position}" for _, source, position in rows], rows)
        return [Knowledge(*row) for row in rows]


def recalled(rows: list[Json]) -> list[Recall]:
    """Recalls from their plain form: text, data, milliseconds since 1970."""
    return [Recall(text, data, datetime.fromtimestamp(at / 1000, UTC)) for text, data, at in rows]
