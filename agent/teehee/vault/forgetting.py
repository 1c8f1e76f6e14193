"""Forgetting a person: their key, their rows and what they were told go; the log keeps that it was so.

What stays of an effect is what the log shows anyway: its id, its leaves, when, and how it ended.
"""

import os
from dataclasses import dataclass

from teehee.evidence import leaf
from teehee.vault.ledger import OPEN, Ledger
from teehee.wire.messages import EXPIRED, Outcome


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was destroyed, and the leaf that says so; `salt` opens its commitment to the person."""

    leaf: int
    salt: bytes
    effects: int


def forget(ledger: Ledger, agent: str, principal: str, at: int) -> Forgotten | None:
    """Forgets `principal` at one agent, inside the caller's transaction; None when nothing is kept of them."""
    identity = ledger.identities.get(agent).identity
    rooms = _own_rooms(ledger, agent, principal)
    effects = _effects(ledger, agent, principal, ledger.people.known(identity.key_id, principal))
    for effect, state in effects:
        if state in OPEN:
            ledger.settle(Outcome(effect, EXPIRED, "forgotten"), at)
        ledger.db.execute(
            "UPDATE effects SET event='', room='', payload=x'', digest='', salt=x'', budget='', person=NULL,"
            " reference='', forgotten_at=? WHERE id=?",
            (at, effect),
        )
    gone = ledger.db.execute("DELETE FROM events WHERE agent=? AND principal=?", (agent, principal)).rowcount
    for room in rooms:
        ledger.db.execute("DELETE FROM budgets WHERE key_id=? AND name=?", (identity.key_id, f"replies/{room}"))
    mine = "SELECT id FROM effects WHERE agent=?"
    ledger.db.execute(f"DELETE FROM choices WHERE principal=? AND effect IN ({mine})", (principal, agent))
    ledger.people.destroy(identity.key_id, principal)
    if not gone and not effects:
        return None
    salt = os.urandom(16)
    person = leaf.commit("person", salt, principal.encode())
    entry = leaf.Forget(agent=identity.key_id, at=at, epoch=identity.epoch, effects=len(effects), person=person)
    return Forgotten(ledger.log.append(identity.log, entry), salt, len(effects))


def _effects(ledger: Ledger, agent: str, principal: str, person: int | None) -> list[tuple[str, str]]:
    """(id, state) of everything that answered this person: sealed under their key, or an answer to their event.

    Events are let go of after a time, and before people had keys there was no mark: each finds what the other misses.
    """
    return ledger.db.execute(
        "SELECT id, state FROM effects WHERE agent=?1 AND forgotten_at IS NULL AND (person=?2 OR EXISTS (SELECT 1 FROM"
        " events WHERE agent=?1 AND source=effects.source AND event=effects.event AND principal=?3))",
        (agent, person, principal),
    ).fetchall()


def _own_rooms(ledger: Ledger, agent: str, principal: str) -> list[str]:
    """The rooms in which nobody but this person was heard."""
    rows = ledger.db.execute(
        "SELECT room FROM events WHERE agent=? GROUP BY room HAVING MIN(principal)=? AND MAX(principal)=?",
        (agent, principal, principal),
    )
    return [room for (room,) in rows]
