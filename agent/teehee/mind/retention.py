"""What the mind lets go of, and when: settled messages with their answers, and memories past a room's number."""

import asyncio
import time
from functools import partial

from teehee import database
from teehee.errors import Unavailable
from teehee.log import get_logger
from teehee.store.mind_store import MindStore
from teehee.wire.boot import Keep

ROWS = 500  # to a commit, so that no turn waits long behind one
log = get_logger()


async def keep_house(store: MindStore, keep: Keep) -> None:
    """Looks for what has had its time, again and again, until cancelled."""
    while True:
        try:
            await forget(store, keep, time.time_ns() // 1_000_000)
        except Unavailable as error:
            log.warning("sweep_failed", reason=str(error))
        await asyncio.sleep(keep.pause_seconds)


async def forget(store: MindStore, keep: Keep, now: int) -> None:
    """Drops what is past its time as of `now`, milliseconds, some rows to a commit."""
    if keep.journal_ms:
        while await store.commit.run(lambda: store.forget_settled(now - keep.journal_ms, ROWS)):
            database.give_back(store.db)
    for room, kind, too_many in store.crowded(keep.memories) if keep.memories else []:
        for start in range(0, too_many, ROWS):
            await store.commit.run(partial(store.forget_oldest, room, kind, min(ROWS, too_many - start)))
    database.give_back(store.db)
