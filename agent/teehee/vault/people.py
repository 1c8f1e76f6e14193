"""A key for each person: what an agent said to them is sealed under it, and destroying it forgets all of it at once."""

import os
import sqlite3
from collections import OrderedDict

from teehee.errors import ConfigError
from teehee.vault.seal import Seal

KEY_BYTES = 32
HELD = 1024  # opened keys, the last used


class People:
    """Keys by person, each sealed for its row. To be used inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection, seal: Seal) -> None:
        self.db = db
        self._root = seal
        self._seals: OrderedDict[int, Seal] = OrderedDict()

    def number(self, key_id: str, principal: str) -> int:
        """This vault's number for a person whom the agent of `key_id` answers; with a new key when they are new."""
        row = self.db.execute(
            "SELECT person FROM people WHERE key_id=? AND principal=?", (key_id, principal)
        ).fetchone()
        if row is not None:
            return int(row[0])
        sealed = self._root.seal("people", f"{key_id}/{principal}", 1, os.urandom(KEY_BYTES))
        done = self.db.execute(
            "INSERT INTO people (key_id, principal, sealed) VALUES (?,?,?)", (key_id, principal, sealed)
        )
        return done.lastrowid or 0

    def known(self, key_id: str, principal: str) -> int | None:
        """The number of a person who has a key; None for anyone else."""
        row = self.db.execute(
            "SELECT person FROM people WHERE key_id=? AND principal=?", (key_id, principal)
        ).fetchone()
        return None if row is None else int(row[0])

    def seal(self, person: int) -> Seal:
        """The seal under a person's own key. Raises ConfigError when that key is not there."""
        found = self._seals.get(person)
        if found is None:
            found = self._seals[person] = Seal(self._key(person), self._root.epoch)
            if len(self._seals) > HELD:
                self._seals.popitem(last=False)
        else:
            self._seals.move_to_end(person)
        return found

    def _key(self, person: int) -> bytes:
        row = self.db.execute("SELECT key_id, principal, sealed FROM people WHERE person=?", (person,)).fetchone()
        if row is None:
            raise ConfigError(
                f"the key of person {person} is gone, what is sealed under it is not",
                hint="restore the data folder whole from a backup",
            )
        return self._root.open("people", f"{row[0]}/{row[1]}", 1, row[2])

    def destroy(self, key_id: str, principal: str) -> None:
        """Destroys a person's key: nothing sealed under it can be read again."""
        self.db.execute("DELETE FROM people WHERE key_id=? AND principal=?", (key_id, principal))
        self._seals.clear()  # numbers are given out again

    def reread(self) -> None:
        """Drops what is held: rows it came from may have been undone."""
        self._seals.clear()
