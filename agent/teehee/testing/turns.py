"""A turn without an agent: hand it to an action or provider and look at what comes back."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from teehee.plugin import Character, Knowledge, Message, Recall, Turn

Json = Any
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class _ListMemory:
    """Remembers in a list; searches by shared words."""

    def __init__(self, known: Sequence[Knowledge]) -> None:
        self.known = known
        self.rows: list[tuple[str, Recall]] = []

    async def remember(self, text: str, table: str, data: Mapping[str, Json]) -> None:
        self.rows.append((table, Recall(text, data, NOON)))

    async def recall(self, table: str, limit: int) -> list[Recall]:
        return [recall for name, recall in reversed(self.rows) if name == table][:limit]

    async def search(self, text: str, limit: int) -> list[Knowledge]:
        words = set(text.lower().split())
        near = [item for item in self.known if words & set(item.text.lower().split())]
        return sorted(near, key=lambda item: -len(words & set(item.text.lower().split())))[:limit]


def fake_turn(text: str = "hello", *, seed: int = 0, name: str = "Sam", character: Character | None = None) -> Turn:
    """A turn at noon of 2026-01-01 whose chance follows `seed`."""
    agent = "00000000-0000-0000-0000-000000000001"
    message = Message("m", "e", "r", agent, text, name, "test", "DM", NOON)
    who = character or Character(agent, "Testa")
    return Turn(
        message=message,
        character=who,
        now=NOON,
        random=random.Random(seed),
        sample=random.Random(seed),
        memory=_ListMemory(who.knowledge),
    )
