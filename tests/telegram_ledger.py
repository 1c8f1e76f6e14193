"""What the processes have on disk about Telegram's updates, read from their files while they run."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from teehee.testing.telegram_server.updates import Updates

Json = Any
EXTRA = ("-stale", "-quota", "-forgotten")  # what code says about an update is an event of its own


def rows(file: Path, question: str, *values: Json) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10.0)) as db:
        return db.execute(question, values).fetchall()


def update_of(event: str) -> int:
    """The number of the update that an event's id was made of."""
    return int(event.split("-")[1])


def witnessed(folder: Path) -> Counter[int]:
    """How many events the vault has for each update."""
    return _counted(rows(folder / "vault.db", "SELECT event FROM events WHERE source='telegram'"))


def kept(folder: Path, state: str = "%") -> Counter[int]:
    """How many rows the mind's inbox has for each update, of those that stand so."""
    question = "SELECT event FROM inbox WHERE source='telegram' AND state LIKE ?"
    return _counted(rows(folder / "mind.db", question, state))


def _counted(found: list[tuple[Any, ...]]) -> Counter[int]:
    return Counter(update_of(event) for (event,) in found if not event.endswith(EXTRA))


def effects(folder: Path) -> Counter[str]:
    """How many effects stand how: due, sending, delivered, failed, unknown, expired."""
    return Counter(dict(rows(folder / "vault.db", "SELECT state, COUNT(*) FROM effects GROUP BY state")))


class Watched(Updates):
    """A bot's updates; `early` are those that were confirmed while vault or mind did not have them yet."""

    def __init__(self, clock: Callable[[], float], folder: Path) -> None:
        super().__init__(clock)
        self.folder = folder
        self.early: list[int] = []
        self.confirmed: list[int] = []

    def confirm(self) -> None:
        update = self.waiting[0]
        self.confirmed.append(update.id)
        like = f"%-{update.id}-%"
        for file, table in (("vault.db", "events"), ("mind.db", "inbox")):
            if not rows(self.folder / file, f"SELECT 1 FROM {table} WHERE event LIKE ?", like):
                self.early.append(update.id)
        super().confirm()
