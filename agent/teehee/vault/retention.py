"""What the vault lets go of, and when. Leaves of a log, and that an event was answered, are never dropped."""

from teehee import database
from teehee.vault.core import Core
from teehee.wire.boot import Keep

ROWS = 500  # to a commit, so that nobody waits long behind one
NOTES_KEPT = 1000  # signed checkpoints of one log; any other can be signed anew, with the same bytes
BUDGET_MS = 2 * 86_400_000  # no window of replies is as long


class Retention:
    """Looks, now and then, for what has had its time."""

    def __init__(self, core: Core, keep: Keep) -> None:
        self.core = core
        self.keep = keep
        self._told = 0  # effects up to here have been looked at for good

    async def forget(self) -> None:
        """Drops what is older than it may be, some rows to a commit."""
        now = self.core.now_ms()
        if self.keep.journal_ms:
            while await self.core.commit.run(lambda: self._events(now - self.keep.journal_ms)) == ROWS:
                database.give_back(self.core.db)
        if self.keep.text_ms:
            before, looked_at = now - self.keep.text_ms, -1
            while looked_at != self._told:
                looked_at = self._told
                self._told = await self.core.commit.run(lambda: self._words(before))
        await self.core.commit.run(lambda: self._notes(now))
        database.give_back(self.core.db)

    def _events(self, before: int) -> int:
        """What was witnessed. A message that is answered stays answered: its effect's id follows from it."""
        return self.core.db.execute(
            "DELETE FROM events WHERE (agent, source, event) IN"
            " (SELECT agent, source, event FROM events WHERE at<? ORDER BY at LIMIT ?)",
            (before, ROWS),
        ).rowcount

    def _words(self, before: int) -> int:
        """Words, with the salt and the digest by which they could be guessed; gives the last row that is done with."""
        rows = self.core.db.execute(
            "SELECT seq, at, state IN ('due', 'sending') FROM effects WHERE seq>? ORDER BY seq LIMIT ?",
            (self._told, ROWS),
        ).fetchall()
        old = [seq for seq, at, is_open in rows if at < before and not is_open]
        self.core.db.executemany(
            "UPDATE effects SET payload=x'', salt=x'', digest='' WHERE seq=? AND salt!=x''", [(seq,) for seq in old]
        )
        first_kept = next((seq for seq, at, is_open in rows if at >= before or is_open), None)
        if first_kept is not None:
            return int(first_kept) - 1
        return int(rows[-1][0]) if rows else self._told

    def _notes(self, now: int) -> None:
        """Checkpoints nobody needs kept, and the windows of replies long past."""
        db = self.core.db
        for (key_id,) in db.execute("SELECT key_id FROM identities").fetchall():
            db.execute(
                "DELETE FROM checkpoints WHERE key_id=:key AND state='signed' AND size<"
                " (SELECT size FROM checkpoints WHERE key_id=:key ORDER BY size DESC LIMIT 1 OFFSET :kept)"
                " AND size NOT IN (SELECT log_size FROM statements WHERE key_id=:key)",
                {"key": key_id, "kept": NOTES_KEPT - 1},
            )
        db.execute(
            "DELETE FROM budgets WHERE reserved=0 AND name LIKE 'replies/%' AND time_window<?", (now - BUDGET_MS,)
        )
