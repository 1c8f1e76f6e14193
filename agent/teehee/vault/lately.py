"""What left in the last minute or so, for platforms whose limits count it: read off the end of the signed log."""

import asyncio

from teehee.evidence import leaf
from teehee.vault.core import Core
from teehee.wire.messages import EXPIRED

PIECE = 500  # leaves that are read before others have their turn
MOST = 6_000  # leaves in all: a minute of the busiest bot that pays nothing, with room; what they tell fits on one line
Gone = tuple[str, str, int]  # room, event, milliseconds since 1970


async def gone(core: Core, agent: str, source: str, since: int) -> list[Gone]:
    """What left by `source` since then, or was tried, oldest first. What is on its way counts as gone just now."""
    log, now = core.identities.get(agent).identity.log, core.now_ms()
    marked = core.db.execute(
        "SELECT room, event FROM effects WHERE state='sending' AND agent=? AND source=? ORDER BY seq", (agent, source)
    )
    found = [(str(room), str(event), now) for room, event in marked]
    end = core.log.size(log)
    stop = max(0, end - MOST)
    while end > stop:
        start = max(stop, end - PIECE)
        entries = [leaf.parse(data) for data in core.log.leaves(log, start, end - start)]
        found[:0] = _gone(core, source, [entry for entry in entries if entry.at >= since])
        end = start if entries[0].at >= since else stop
        await asyncio.sleep(0)
    return found


def _gone(core: Core, source: str, entries: list[leaf.Leaf]) -> list[Gone]:
    found = []
    for entry in entries:
        if isinstance(entry, leaf.Outcome) and entry.state != EXPIRED:
            asked = "SELECT room, event FROM effects WHERE id=? AND source=?"
            if row := core.db.execute(asked, (entry.effect, source)).fetchone():
                found.append((str(row[0]), str(row[1]), entry.at))
    return found
