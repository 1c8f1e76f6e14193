"""Budgets: counted caps, reserved in the same commit as the intent and settled by its outcome."""

import sqlite3

from teehee.errors import Refused

MINUTE_MS = 60_000


def reserve(db: sqlite3.Connection, key_id: str, name: str, cap: int, at: int, length_ms: int = MINUTE_MS) -> str:
    """Takes one unit of `name` in the window holding `at`; gives the reservation's reference.

    Raises Refused when reserved + spent would pass `cap`. A window's cap is fixed at its first use.
    """
    window = at - at % length_ms
    done = db.execute(
        "UPDATE budgets SET reserved=reserved+1 WHERE key_id=? AND name=? AND time_window=? AND reserved+spent<cap",
        (key_id, name, window),
    )
    if done.rowcount == 0:
        _open_window(db, key_id, name, window, cap)
    return f"{window}/{name}"


def _open_window(db: sqlite3.Connection, key_id: str, name: str, window: int, cap: int) -> None:
    """The first reservation of a window; a window that is there already has no room left."""
    known = db.execute("SELECT 1 FROM budgets WHERE key_id=? AND name=? AND time_window=?", (key_id, name, window))
    if cap < 1 or known.fetchone() is not None:
        raise Refused("base.rate-cap", f"the cap of {cap} for {name.split('/')[0]!r} is used up in this window")
    db.execute("DELETE FROM budgets WHERE key_id=? AND name=? AND reserved=0 AND time_window<?", (key_id, name, window))
    db.execute(
        "INSERT INTO budgets (key_id, name, time_window, cap, reserved) VALUES (?,?,?,?,1)", (key_id, name, window, cap)
    )


def settle(db: sqlite3.Connection, key_id: str, reference: str, *, spent: bool) -> None:
    """Ends a reservation: spent for good, or given back."""
    window, _, name = reference.partition("/")
    db.execute(
        "UPDATE budgets SET reserved=reserved-1, spent=spent+? WHERE key_id=? AND name=? AND time_window=?",
        (int(spent), key_id, name, int(window)),
    )
