"""The vault's parts, put together once and shared by its doors."""

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from teehee import commit
from teehee.errors import ConfigError
from teehee.tee.guest import DeveloperGuest, Era
from teehee.vault import integrity, schema
from teehee.vault.actionlog import ActionLog
from teehee.vault.identities import Identities
from teehee.vault.keyring import KeyRing, LogKey
from teehee.vault.ledger import Ledger
from teehee.vault.machine import Machine, wake
from teehee.vault.people import People
from teehee.vault.seal import Seal
from teehee.vault.secrets import Secrets
from teehee.vault.statements import Statements
from teehee.wire import boot
from teehee.wire.messages import Identity


class Core:
    """Keys, store, log, ledger and the one writer to them all."""

    def __init__(self, db: sqlite3.Connection, ring: KeyRing, seal: Seal, machine: Machine) -> None:
        self.db = db
        self.ring = ring
        self.machine = machine
        self.log = ActionLog(self.db)
        self.identities = Identities(self.db, ring, seal)
        self.secrets = Secrets(self.db, seal)
        self.people = People(self.db, seal)
        self.ledger = Ledger(self.db, self.log, self.identities, seal, self.people)
        self.commit = commit.GroupCommit(self.db, on_undo=self._reread)
        self._last_ms = 0
        self.statements = Statements(self.db, ring, machine, self.log, self.identities, self.commit.run, self.now_ms)

    @classmethod
    async def open(cls, settings: boot.VaultBoot) -> "Core":
        """The vault over its data folder, on the guest agent it is given. Raises ConfigError when they do not fit."""
        db = open_store(Path(settings.data))
        try:
            machine = await _machine(db, settings)
            ring = KeyRing(machine.guest, machine.trust)
            root = await ring.seal_root()
            epoch = _pin(db, machine, (await ring.channel_key()).hex())
        except BaseException:
            db.close()
            raise
        return cls(db, ring, Seal(root, epoch), machine)

    def now_ms(self) -> int:
        """Milliseconds since 1970, never going back while this process lives."""
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return self._last_ms

    def _reread(self) -> None:
        self.log.forget_edges()
        self.identities.reread()
        self.people.reread()

    def proof(self, identity: Identity, key: LogKey, leaves: Mapping[str, int]) -> dict[str, Any]:
        """These leaves of an agent's log by kind, each with its audit path to one signed checkpoint.

        To be called inside a transaction: the checkpoint is kept.
        """
        return {
            "origin": identity.origin,
            "key": identity.log_key,
            "trust": self.ring.trust,
            "checkpoint": self.log.checkpoint(identity, key),
            "leaves": [
                {
                    "type": kind,
                    "index": index,
                    "leaf": self.log.leaf(identity.log, index).decode(),
                    "proof": [node.hex() for node in self.log.inclusion(identity.log, index)],
                }
                for kind, index in leaves.items()
            ],
        }

    def truncate(self) -> None:
        """Empties the write-ahead log, which holds pages as they were before."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Commits what waits, then closes; what is asked later is told that this vault is stopping."""
        self.commit.close()
        self.truncate()
        self.db.close()


def open_store(data: Path) -> sqlite3.Connection:
    """The vault's database in the folder `data`, at its newest form, holding what it signed last."""
    db = commit.open_database(data / "vault.db", what="vault's store")
    try:
        commit.migrate(db, schema.MIGRATIONS, what="vault's store")
        integrity.signed(db)
    except BaseException:
        db.close()
        raise
    return db


async def _machine(db: sqlite3.Connection, settings: boot.VaultBoot) -> Machine:
    if not settings.guest:
        return Machine(DeveloperGuest(Path(settings.data) / "developer-seed"))
    row = db.execute("SELECT era FROM machine").fetchone()
    pinned = cast(Era, row[0] if row else settings.era) or None
    return await wake(settings.guest, pinned)


def _pin(db: sqlite3.Connection, machine: Machine, channel_key: str) -> int:
    """Records API and channel key at genesis, and opens the vault's next epoch, which it gives.

    Raises ConfigError when API or key are not those of the record.
    """
    row = db.execute("SELECT era, channel_key FROM machine").fetchone()
    if row is None:
        genesis = (machine.api.era, machine.api.version, channel_key)
        db.execute("INSERT INTO machine (one, era, version, channel_key) VALUES (1,?,?,?)", genesis)
    elif row != (machine.api.era, channel_key):
        raise ConfigError(
            f"this data folder was born with guest API {row[0]} and channel key {row[1][:16]}…, this machine has "
            f"{machine.api.era} and {channel_key[:16]}…",
            hint="it belongs to another app or seed; restore the right one, or start with a new data folder",
        )
    (epoch,) = db.execute("UPDATE machine SET epoch = epoch + 1 RETURNING epoch").fetchone()
    db.commit()
    return int(epoch)
