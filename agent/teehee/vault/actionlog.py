"""The action log: one append-only Merkle tree per agent, kept in the same database as what it tells of.

Leaves and the hashes of complete subtrees are rows; the right edge of each tree is cached and reloaded
whenever a transaction was undone.
"""

import sqlite3

from teehee.errors import Refused
from teehee.evidence import checkpoint, leaf, merkle
from teehee.vault.keyring import LogKey


class ActionLog:
    """Appends leaves inside the caller's transaction; proves them afterwards."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._edges: dict[str, merkle.Frontier] = {}

    def forget_edges(self) -> None:
        """Drops the cached edges: rows they were built from may have been undone."""
        self._edges.clear()

    def append(self, key_id: str, entry: leaf.Leaf) -> int:
        """Adds a leaf, gives its index. To be called inside a transaction."""
        edge = self._edge(key_id)
        index = edge.size
        data = entry.encode()
        hashed = merkle.leaf_hash(data)
        self.db.execute("INSERT INTO leaves VALUES (?,?,?,?)", (key_id, index, data, hashed))
        completed = edge.append(hashed)
        if completed:
            self.db.executemany("INSERT INTO nodes VALUES (?,?,?,?)", [(key_id, *node) for node in completed])
        return index

    def size(self, key_id: str) -> int:
        return self._edge(key_id).size

    def root(self, key_id: str) -> bytes:
        return self._edge(key_id).root()

    def leaves(self, key_id: str, start: int, limit: int) -> list[bytes]:
        rows = self.db.execute(
            "SELECT leaf FROM leaves WHERE key_id=? AND idx>=? ORDER BY idx LIMIT ?", (key_id, start, limit)
        )
        return [data for (data,) in rows]

    def leaf(self, key_id: str, index: int) -> bytes:
        row = self.db.execute("SELECT leaf FROM leaves WHERE key_id=? AND idx=?", (key_id, index)).fetchone()
        if row is None:
            raise Refused("log.no-such-leaf", f"the log has {self.size(key_id)} leaves, none at {index}")
        return bytes(row[0])

    def inclusion(self, key_id: str, index: int) -> list[bytes]:
        """The audit path of a leaf in the tree as it stands."""
        self.leaf(key_id, index)
        return merkle.inclusion_proof(index, self.size(key_id), lambda level, i: self._node(key_id, level, i))

    def consistency(self, key_id: str, old: int, new: int) -> list[bytes]:
        if not 0 <= old <= new <= self.size(key_id):
            raise Refused("log.no-such-size", f"expected 0 <= old <= new <= {self.size(key_id)}")
        return merkle.consistency_proof(old, new, lambda level, i: self._node(key_id, level, i))

    def checkpoint(self, key_id: str, origin: str, key: LogKey) -> str:
        """The signed note for the tree as it stands; the same size always gets the same note."""
        size = self.size(key_id)
        row = self.db.execute("SELECT note FROM checkpoints WHERE key_id=? AND size=?", (key_id, size)).fetchone()
        if row is not None:
            return str(row[0])
        note = checkpoint.sign(checkpoint.Checkpoint(origin, size, self.root(key_id)), origin, key.private)
        self.db.execute("INSERT INTO checkpoints (key_id, size, note) VALUES (?,?,?)", (key_id, size, note))
        return note

    def _edge(self, key_id: str) -> merkle.Frontier:
        if key_id not in self._edges:
            (last,) = self.db.execute("SELECT MAX(idx) FROM leaves WHERE key_id=?", (key_id,)).fetchone()
            size = 0 if last is None else last + 1
            nodes = [(level, self._node(key_id, level, index)) for level, index in merkle.edge(size)]
            self._edges[key_id] = merkle.Frontier(size, nodes)
        return self._edges[key_id]

    def _node(self, key_id: str, level: int, index: int) -> bytes:
        if level == 0:
            row = self.db.execute("SELECT hash FROM leaves WHERE key_id=? AND idx=?", (key_id, index)).fetchone()
        else:
            row = self.db.execute(
                "SELECT hash FROM nodes WHERE key_id=? AND level=? AND idx=?", (key_id, level, index)
            ).fetchone()
        return bytes(row[0])
