"""Sealed secrets: platform tokens and model keys, handed to the gate and to nobody else."""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from teehee.errors import Refused
from teehee.vault.seal import Seal

Giver = Literal["start", "owner", "gate", ""]


@dataclass(frozen=True, slots=True)
class Kept:
    """What may be told of a secret: who gave this value first, and when (ms); no giver where that was not recorded.

    `start` is whoever starts the agents, by environment or character file; `owner` said it to the vault while they
    ran; `gate` got it from the platform, and no person was shown it.
    """

    name: str
    version: int
    giver: Giver = ""
    at: int = 0


class Secrets:
    """Named, versioned, sealed for their own row and version, as is where each comes from."""

    def __init__(self, db: sqlite3.Connection, seal: Seal) -> None:
        self.db = db
        self.seal = seal

    def kept(self) -> list[Kept]:
        """All of them, by name."""
        names = self.db.execute("SELECT name FROM secrets ORDER BY name").fetchall()
        return [one for (name,) in names if (one := self.about(name)) is not None]

    def about(self, name: str) -> Kept | None:
        """What may be told of one; None when there is none."""
        row = self.db.execute("SELECT version, origin FROM secrets WHERE name=?", (name,)).fetchone()
        if row is None:
            return None
        version, origin = row
        if origin is None:
            return Kept(name, version)
        giver, at = self.seal.open("secrets", _origin_of(name), version, origin).decode().split(" ")
        return Kept(name, version, giver, int(at))  # type: ignore[arg-type]  # sealed here, so it is one of them

    def get(self, name: str) -> tuple[int, str]:
        """(version, value). Raises Refused when there is none."""
        row = self.db.execute("SELECT version, sealed FROM secrets WHERE name=?", (name,)).fetchone()
        if row is None:
            raise Refused("secret.unknown", f"no secret {name[:64]!r} is kept here")
        return row[0], self.seal.open("secrets", name, row[0], row[1]).decode()

    def put(self, name: str, value: str, giver: Giver, at: int) -> int:
        """Keeps `value`, inside the caller's transaction; gives its version. The same value keeps its version."""
        known = self.about(name)
        version = 1 if known is None else known.version + 1
        if known is not None and self.get(name)[1] == value:
            if giver == "gate" or known.giver in ("start", "owner"):
                return known.version
            version = known.version  # a person turns out to know it
        sealed = self.seal.seal("secrets", name, version, value.encode())
        origin = self.seal.seal("secrets", _origin_of(name), version, f"{giver} {at}".encode())
        self.db.execute(
            "INSERT OR REPLACE INTO secrets (name, version, sealed, origin) VALUES (?,?,?,?)",
            (name, version, sealed, origin),
        )
        return version

    def rotate(self, name: str, version: int, value: str, at: int) -> int:
        """Replaces version `version` by `value`: compare and swap, so two refreshers cannot lose a token.

        Version 0: there must be none yet. Raises Refused.
        """
        known = self.about(name)
        if known is None and version:
            raise Refused("secret.unknown", f"no secret {name[:64]!r} is kept here")
        current = 0 if known is None else known.version
        if current != version:
            raise Refused("secret.version", f"{name[:64]!r} is at version {current}, not {version}")
        return self.put(name, value, "gate", at)


def _origin_of(name: str) -> str:
    return f"{name}\norigin"
