"""Group commit over one sqlite3 connection: everything that waits goes into one fsync.

No timer window: what has queued up while the loop was busy (or in the last fsync) is the group. The commit
runs on the event loop, so one thread owns the connection and there is nothing to lock.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

from teehee import database
from teehee.errors import ConfigError, Unavailable

T = TypeVar("T")
R = TypeVar("R")
Operation = Callable[[], Any]


def open_database(path: Path, *, what: str) -> sqlite3.Connection:
    """The database at `path` in WAL mode with synchronous=FULL.

    Raises ConfigError when it cannot be used, or is damaged.
    """
    try:
        db = sqlite3.connect(path, isolation_level=None, cached_statements=256, timeout=2.0)
        if not db.execute("PRAGMA page_count").fetchone()[0]:
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # comes before anything is in the file
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA journal_size_limit={database.WAL_BYTES}")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        db.execute("PRAGMA secure_delete=ON")
    except sqlite3.Error as error:
        raise ConfigError(
            f"the {what} {str(path)!r} cannot be opened: {error}",
            hint="check that the data folder is writable, has room, and that no other process holds it"
            if isinstance(error, sqlite3.OperationalError)
            else database.RESTORE,
        ) from error
    try:
        database.look_through(db, what=what)
    except ConfigError:
        db.close()
        raise
    return db


def migrate(db: sqlite3.Connection, migrations: tuple[str, ...], *, what: str) -> None:
    """Brings `db` forward, one numbered migration at a time, each in its own transaction.

    What exists already is rehearsed on a copy first, and a copy of it is kept. Raises ConfigError, changing nothing,
    when the rehearsal fails or a newer release wrote it.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise ConfigError(
            f"the {what} is at version {version}, this release knows {len(migrations)}",
            hint="start the newer teehee that wrote it, or choose another data folder",
        )

    def change(at: sqlite3.Connection) -> None:
        for number in range(version, len(migrations)):
            at.executescript(f"BEGIN;\n{migrations[number]}\nPRAGMA user_version={number + 1};\nCOMMIT;")

    if 0 < version < len(migrations):
        database.rehearse(db, len(migrations), change, what=what)
    try:
        change(db)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise
        raise ConfigError(f"the {what} took no write: {error}", hint="free some space in the data folder") from error


class GroupCommit:
    """Runs operations on `db`, many to a transaction.

    `run` gives a future that holds only after the commit is on disk. An operation that raises is undone alone.
    `on_undo` is called when written rows were taken back, so that caches over them are dropped.
    """

    def __init__(self, db: sqlite3.Connection, *, on_undo: Callable[[], None] = lambda: None) -> None:
        self.db = db
        self.on_undo = on_undo
        self.trouble = ""  # why the last write did not reach the disk; "" when it did
        self._waiting: list[_Waiting] = []
        self._closed = False

    async def healthy(self) -> str:
        """ "" when writes reach the disk, else why not: after trouble, a small one is tried."""
        if self.trouble:
            (version,) = self.db.execute("PRAGMA user_version").fetchone()
            with contextlib.suppress(Unavailable):
                await self.run(lambda: self.db.execute(f"PRAGMA user_version={version}"))
        return self.trouble

    @overload
    def run(self, operation: Callable[[], T]) -> "asyncio.Future[T]": ...
    @overload
    def run(self, operation: Callable[[], T], then: Callable[[T], R]) -> "asyncio.Future[R]": ...
    def run(self, operation: Callable[[], T], then: Callable[[T], Any] | None = None) -> "asyncio.Future[Any]":
        """The operation's value once it is on disk, or what `then`, called right after the commit, makes of it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(Unavailable("this process is stopping", code="stopping"))
            return future
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((operation, then, future))
        return future

    def close(self) -> None:
        """Commits what waits; whoever comes later is told that this process is stopping."""
        self._flush()
        self._closed = True

    def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        if not group:
            return
        results: list[tuple[Any, BaseException | None]] = []
        try:
            self.db.execute("BEGIN IMMEDIATE")
            for operation, _, _ in group:
                results.append(self._attempt(operation, alone=len(group) == 1))
            if self.db.in_transaction:
                self.db.execute("COMMIT")
            self.trouble = ""
        except sqlite3.Error as error:
            self._abandon(group, error)
            return
        for (_, then, future), (value, failure) in zip(group, results, strict=True):
            _resolve(future, then, value, failure)

    def _attempt(self, operation: Operation, *, alone: bool) -> tuple[Any, BaseException | None]:
        """The operation's value or failure; a failed one leaves no row, and its neighbours stand."""
        if not alone:
            self.db.execute("SAVEPOINT operation")
        changes = self.db.total_changes
        try:
            value = operation()
        except sqlite3.OperationalError:
            raise  # disk full or an I/O error, which may have undone the transaction: the whole group is in doubt
        except Exception as error:
            self._undo(alone=alone, wrote=self.db.total_changes != changes)
            return None, error
        if not alone:
            self.db.execute("RELEASE operation")
        return value, None

    def _undo(self, *, alone: bool, wrote: bool) -> None:
        if alone:
            self.db.execute("ROLLBACK")
        else:
            self.db.execute("ROLLBACK TO operation")
            self.db.execute("RELEASE operation")
        if wrote:  # a rule that says no before anything is written leaves the caches as they are
            self.on_undo()

    def _abandon(self, group: "list[_Waiting]", error: sqlite3.Error) -> None:
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        self.on_undo()
        self.trouble = str(error)
        told = Unavailable(
            f"the data folder took no write: {error}",
            code="disk",
            hint="free some space in the data folder; everything accepted so far is kept",
        )
        for _, _, future in group:
            if not future.done():
                future.set_exception(told)


_Waiting = tuple[Operation, Callable[[Any], Any] | None, "asyncio.Future[Any]"]


def _resolve(
    future: "asyncio.Future[Any]", then: Callable[[Any], Any] | None, value: Any, failure: BaseException | None
) -> None:
    """Tells whoever waits; `then` runs even when nobody does, for what it tells others."""
    if failure is None and then is not None:
        try:
            value = then(value)
        except Exception as error:  # a fault in what follows is for its own caller; the commit stands
            failure = error
    if future.done():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(value)
