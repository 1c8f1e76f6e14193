"""Does the vault's store hold what it signed? Asked cheaply at every start, and leaf by leaf on request."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from teehee import database
from teehee.errors import VerificationError
from teehee.evidence import checkpoint, merkle
from teehee.vault.actionlog import ActionLog

WHAT = "vault's store"
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Logged:
    """One agent's log as a store holds it. `root` is in hex."""

    key_id: str
    name: str
    size: int
    root: str
    epoch: int


@dataclass(frozen=True, slots=True)
class _Record:
    key_id: str
    name: str
    number: int
    log_key: str
    epoch: int

    def head(self, note: str) -> checkpoint.Checkpoint:
        """What a kept note says, if this log's key signed it."""
        return checkpoint.verify(note, checkpoint.vkey(f"teehee/{self.key_id}", bytes.fromhex(self.log_key)))


def signed(db: sqlite3.Connection) -> list[Logged]:
    """Every log, after a look whether the last checkpoint signed over it still holds. Reads a few rows of each.

    Raises ConfigError when one does not: leaves were lost, or others put in their place.
    """
    return _each(db, _check_last)


def leaf_by_leaf(db: sqlite3.Connection) -> list[Logged]:
    """The same from the leaves themselves: every stored hash, and every checkpoint that is kept."""
    return _each(db, _check_all)


def _each(db: sqlite3.Connection, check: Callable[[ActionLog, _Record], None]) -> list[Logged]:
    log = ActionLog(db)
    try:
        records = [
            _Record(*row) for row in db.execute("SELECT key_id, name, log, log_key, epoch FROM identities ORDER BY log")
        ]
        for record in records:
            check(log, record)
        return [Logged(r.key_id, r.name, log.size(r.number), log.root(r.number).hex(), r.epoch) for r in records]
    except (sqlite3.DatabaseError, VerificationError, ValueError) as error:
        raise database.damaged(database.file_of(db), WHAT, error) from error


def _check_last(log: ActionLog, record: _Record) -> None:
    size = log.size(record.number)
    for _, note in _notes(log.db, record, "DESC LIMIT 1"):
        head = record.head(note)
        if head.size > size:
            raise _short(record, head.size, size)
        if log.root_at(record.number, head.size) != head.root:
            raise _other(record, head.size)


def _check_all(log: ActionLog, record: _Record) -> None:
    heads = {size: record.head(note) for size, note in _notes(log.db, record)}
    tree = merkle.Frontier()
    for index, data in enumerate(_leaves(log, record.number)):
        for level, at, hashed in tree.append(merkle.leaf_hash(data)):
            if log.node(record.number, level, at) != hashed:
                raise VerificationError("store.2", f"the hash of level {level} at {at} is not that of its leaves")
        head = heads.pop(index + 1, None)
        if head is not None and head.root != tree.root():
            raise _other(record, index + 1)
    if tree.size != log.size(record.number):
        raise VerificationError("store.5", f"a leaf of {record.name!r} is gone")
    if heads.keys() - {0}:
        raise _short(record, max(heads), tree.size)


def _notes(db: sqlite3.Connection, record: _Record, order: str = "") -> Iterator[tuple[int, str]]:
    yield from db.execute(f"SELECT size, note FROM checkpoints WHERE key_id=? ORDER BY size {order}", (record.key_id,))


def _leaves(log: ActionLog, number: int) -> Iterator[bytes]:
    start = 0
    while page := log.leaves(number, start, PAGE):
        yield from page
        start += len(page)


def _short(record: _Record, signed: int, held: int) -> VerificationError:
    return VerificationError("store.3", f"{signed} leaves of {record.name!r} were signed, {held} are here")


def _other(record: _Record, size: int) -> VerificationError:
    return VerificationError("store.4", f"the first {size} leaves of {record.name!r} are not the ones that were signed")
