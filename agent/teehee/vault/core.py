"""The vault's parts, put together once and shared by its doors."""

import time
from pathlib import Path

from teehee import commit
from teehee.tee.guest import DeveloperGuest
from teehee.vault import schema
from teehee.vault.actionlog import ActionLog
from teehee.vault.identities import Identities
from teehee.vault.keyring import KeyRing
from teehee.vault.ledger import Ledger
from teehee.vault.seal import Seal
from teehee.vault.secrets import Secrets
from teehee.wire import boot


class Core:
    """Keys, store, log, ledger and the one writer to them all."""

    def __init__(self, data: Path, ring: KeyRing, root: bytes) -> None:
        self.db = commit.open_database(data / "vault.db", what="vault's store")
        commit.migrate(self.db, schema.MIGRATIONS, what="vault's store")
        self.ring = ring
        self.log = ActionLog(self.db)
        self.identities = Identities(self.db, ring)
        self.secrets = Secrets(self.db, Seal(root))
        self.ledger = Ledger(self.db, self.log, self.identities, Seal(root))
        self.commit = commit.GroupCommit(self.db, on_undo=self._forget)
        self._last_ms = 0

    @classmethod
    async def open(cls, settings: boot.VaultBoot) -> "Core":
        ring = KeyRing(DeveloperGuest(Path(settings.data) / "developer-seed"))
        return cls(Path(settings.data), ring, await ring.seal_root())

    def now_ms(self) -> int:
        """Milliseconds since 1970, never going back while this process lives."""
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return self._last_ms

    def _forget(self) -> None:
        self.log.forget_edges()
        self.identities.reread()

    def close(self) -> None:
        """Commits what waits, then closes; what is asked later is told that this vault is stopping."""
        self.commit.close()
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()
