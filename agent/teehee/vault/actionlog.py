"""The action log: one append-only Merkle tree per agent, kept in the same database as what it tells of.

Leaves and the hashes of complete subtrees are rows, appended in order; the right edge of each tree is cached and
reloaded whenever a transaction was undone.
"""

import sqlite3

from teehee.errors import Refused, VerificationError
from teehee.evidence import checkpoint, leaf, merkle
from teehee.vault.keyring import LogKey
from teehee.wire.messages import Identity

LOG_SHIFT, LEVEL_SHIFT = 46, 40  # a row's place is log << 46 | level << 40 | index: one integer, appended in order


class ActionLog:
    """Appends leaves inside the caller's transaction; proves them afterwards. A log is called by its number."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._edges: dict[int, merkle.Frontier] = {}

    def forget_edges(self) -> None:
        """Drops the cached edges: rows they were built from may have been undone."""
        self._edges.clear()

    def append(self, log: int, entry: leaf.Leaf) -> int:
        """Adds a leaf, gives its index. To be called inside a transaction."""
        edge = self._edge(log)
        index = edge.size
        data = entry.encode()
        self.db.execute("INSERT INTO leaves VALUES (?,?)", (_place(log, 0, index), data))
        for level, at, hashed in edge.append(merkle.leaf_hash(data)):
            self.db.execute("INSERT INTO nodes VALUES (?,?)", (_place(log, level, at), hashed))
        return index

    def size(self, log: int) -> int:
        return self._edge(log).size

    def root(self, log: int) -> bytes:
        return self._edge(log).root()

    def root_at(self, log: int, size: int) -> bytes:
        """The root this log had at an earlier size, from stored hashes. Raises VerificationError when some are gone."""
        nodes = [(level, self.node(log, level, index)) for level, index in merkle.edge(size)]
        return merkle.Frontier(size, nodes).root()

    def leaves(self, log: int, start: int, limit: int) -> list[bytes]:
        if not 0 <= start < self.size(log) or limit < 1:
            return []
        first = _place(log, 0, start)
        rows = self.db.execute(
            "SELECT leaf FROM leaves WHERE place>=? AND place<? ORDER BY place", (first, min(first + limit, _end(log)))
        )
        return [data for (data,) in rows]

    def leaf(self, log: int, index: int) -> bytes:
        row = self.db.execute("SELECT leaf FROM leaves WHERE place=?", (_place(log, 0, index),)).fetchone()
        if row is None:
            raise Refused("log.no-such-leaf", f"the log has {self.size(log)} leaves, none at {index}")
        return bytes(row[0])

    def inclusion(self, log: int, index: int) -> list[bytes]:
        """The audit path of a leaf in the tree as it stands."""
        self.leaf(log, index)
        return merkle.inclusion_proof(index, self.size(log), lambda level, i: self.node(log, level, i))

    def consistency(self, log: int, old: int, new: int) -> list[bytes]:
        if not 0 <= old <= new <= self.size(log):
            raise Refused("log.no-such-size", f"expected 0 <= old <= new <= {self.size(log)}")
        return merkle.consistency_proof(old, new, lambda level, i: self.node(log, level, i))

    def checkpoint(self, identity: Identity, key: LogKey) -> str:
        """The signed note for the tree as it stands; the same size always gets the same note."""
        size = self.size(identity.log)
        row = self.db.execute(
            "SELECT note FROM checkpoints WHERE key_id=? AND size=?", (identity.key_id, size)
        ).fetchone()
        if row is not None:
            return str(row[0])
        note = self.signed(identity, key, size, self.root(identity.log))
        self.keep(identity, size, note)
        return note

    def signed(self, identity: Identity, key: LogKey, size: int, root: bytes) -> str:
        """The signed note for a tree of this size and root."""
        return checkpoint.sign(checkpoint.Checkpoint(identity.origin, size, root), identity.origin, key.private)

    def keep(self, identity: Identity, size: int, note: str) -> None:
        """Stores a note; of two for one size the first stays."""
        self.db.execute(
            "INSERT OR IGNORE INTO checkpoints (key_id, size, note) VALUES (?,?,?)", (identity.key_id, size, note)
        )

    def note_at(self, identity: Identity, size: int) -> str:
        """The signed note kept for this size; "" when there is none."""
        row = self.db.execute(
            "SELECT note FROM checkpoints WHERE key_id=? AND size=?", (identity.key_id, size)
        ).fetchone()
        return "" if row is None else str(row[0])

    def _edge(self, log: int) -> merkle.Frontier:
        if log not in self._edges:
            (last,) = self.db.execute(
                "SELECT MAX(place) FROM leaves WHERE place>=? AND place<?", (_place(log, 0, 0), _end(log))
            ).fetchone()
            size = 0 if last is None else last - _place(log, 0, 0) + 1
            nodes = [(level, self.node(log, level, index)) for level, index in merkle.edge(size)]
            self._edges[log] = merkle.Frontier(size, nodes)
        return self._edges[log]

    def node(self, log: int, level: int, index: int) -> bytes:
        """The stored hash of a complete subtree. Raises VerificationError when it is gone."""
        if level == 0:
            return merkle.leaf_hash(self.leaf(log, index))
        row = self.db.execute("SELECT hash FROM nodes WHERE place=?", (_place(log, level, index),)).fetchone()
        if row is None:
            raise VerificationError("store.1", f"the hash of level {level} at {index} is gone")
        return bytes(row[0])


def _place(log: int, level: int, index: int) -> int:
    return log << LOG_SHIFT | level << LEVEL_SHIFT | index


def _end(log: int) -> int:
    return _place(log, 1, 0)
