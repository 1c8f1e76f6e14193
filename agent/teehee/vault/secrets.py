"""Sealed secrets: platform tokens and model keys, handed to the gate and to nobody else."""

import sqlite3

from teehee.errors import Refused
from teehee.vault.seal import Seal


class Secrets:
    """Named, versioned, sealed for their own row and version."""

    def __init__(self, db: sqlite3.Connection, seal: Seal) -> None:
        self.db = db
        self.seal = seal

    def names(self) -> list[str]:
        return [name for (name,) in self.db.execute("SELECT name FROM secrets ORDER BY name")]

    def get(self, name: str) -> tuple[int, str]:
        """(version, value). Raises Refused when there is none."""
        row = self.db.execute("SELECT version, sealed FROM secrets WHERE name=?", (name,)).fetchone()
        if row is None:
            raise Refused("secret.unknown", f"no secret {name[:64]!r} is kept here")
        return row[0], self.seal.open("secrets", name, row[0], row[1]).decode()

    def put(self, name: str, value: str) -> int:
        """Keeps `value`, inside the caller's transaction; gives its version. The same value keeps its version."""
        row = self.db.execute("SELECT version FROM secrets WHERE name=?", (name,)).fetchone()
        if row is not None and self.get(name)[1] == value:
            return int(row[0])
        version = 1 if row is None else row[0] + 1
        sealed = self.seal.seal("secrets", name, version, value.encode())
        self.db.execute("INSERT OR REPLACE INTO secrets VALUES (?,?,?)", (name, version, sealed))
        return int(version)

    def rotate(self, name: str, version: int, value: str) -> int:
        """Replaces version `version` by `value`: compare and swap, so two refreshers cannot lose a token."""
        current, _ = self.get(name)
        if current != version:
            raise Refused("secret.version", f"{name!r} is at version {current}, not {version}")
        return self.put(name, value)
