"""Budgets: reserved and spent never pass the cap, in whatever order things happen."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teehee import commit
from teehee.errors import Refused
from teehee.vault import budget, schema

MINUTE = budget.MINUTE_MS


@contextlib.contextmanager
def opened(path: Path | str = ":memory:") -> Iterator[sqlite3.Connection]:
    db = commit.open_database(Path(path), what="store")
    try:
        commit.migrate(db, schema.MIGRATIONS, what="store")
        yield db
    finally:
        db.close()


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with opened() as one:
        yield one


def counts(db: sqlite3.Connection, name: str = "replies/room") -> list[tuple[int, int, int]]:
    """(cap, reserved, spent) of every window, oldest first."""
    asked = "SELECT cap, reserved, spent FROM budgets WHERE name=? ORDER BY time_window"
    return db.execute(asked, (name,)).fetchall()


def reserve(
    db: sqlite3.Connection, at: int = 0, *, cap: int = 2, name: str = "replies/room", key_id: str = "ada"
) -> str:
    return budget.reserve(db, key_id, name, cap, at)


def test_a_cap_is_reserved_up_to_its_last_unit(db: sqlite3.Connection) -> None:
    reserve(db)
    reserve(db)

    with pytest.raises(Refused, match="the cap of 2 for 'replies' is used up in this window") as caught:
        reserve(db)

    assert caught.value.rule == "base.rate-cap"
    assert counts(db) == [(2, 2, 0)]


@pytest.mark.parametrize("cap", [0, -1])
def test_a_cap_of_nothing_gives_nothing(db: sqlite3.Connection, cap: int) -> None:
    with pytest.raises(Refused) as caught:
        reserve(db, cap=cap)

    assert caught.value.rule == "base.rate-cap"
    assert counts(db) == []


def test_what_was_spent_does_not_come_back(db: sqlite3.Connection) -> None:
    for _ in range(2):
        budget.settle(db, "ada", reserve(db), spent=True)

    with pytest.raises(Refused):
        reserve(db)
    assert counts(db) == [(2, 0, 2)]


def test_what_was_given_back_may_be_reserved_again(db: sqlite3.Connection) -> None:
    first = reserve(db)
    reserve(db)
    budget.settle(db, "ada", first, spent=False)

    reserve(db)

    assert counts(db) == [(2, 2, 0)]


def test_a_new_window_begins_with_its_whole_cap(db: sqlite3.Connection) -> None:
    for at in (0, MINUTE - 1, MINUTE, 2 * MINUTE - 1):
        reserve(db, at)

    with pytest.raises(Refused):
        reserve(db, 2 * MINUTE - 1)
    assert counts(db) == [(2, 2, 0), (2, 2, 0)]


def test_a_late_outcome_settles_the_window_it_was_reserved_in(db: sqlite3.Connection) -> None:
    early = reserve(db, 0)
    reserve(db, MINUTE)

    budget.settle(db, "ada", early, spent=True)

    assert counts(db) == [(2, 0, 1), (2, 1, 0)]


def test_closed_windows_are_swept_when_a_new_one_opens(db: sqlite3.Connection) -> None:
    budget.settle(db, "ada", reserve(db, 0), spent=True)
    reserve(db, MINUTE)

    assert counts(db) == [(2, 1, 0)]


def test_the_cap_of_a_window_is_fixed_at_its_first_use(db: sqlite3.Connection) -> None:
    reserve(db, cap=1)

    with pytest.raises(Refused):
        reserve(db, cap=100)
    assert counts(db) == [(1, 1, 0)]


def test_rooms_and_agents_have_budgets_of_their_own(db: sqlite3.Connection) -> None:
    for name in ("replies/one", "replies/two", "replies/a/b"):
        for key_id in ("ada", "eve"):
            budget.settle(db, key_id, reserve(db, cap=1, name=name, key_id=key_id), spent=True)

    assert db.execute("SELECT COUNT(*), SUM(reserved), SUM(spent) FROM budgets").fetchone() == (6, 0, 6)


def test_nothing_is_settled_twice(db: sqlite3.Connection) -> None:
    reference = reserve(db)
    budget.settle(db, "ada", reference, spent=True)

    with pytest.raises(sqlite3.IntegrityError):
        budget.settle(db, "ada", reference, spent=True)


@pytest.mark.parametrize("change", ["reserved=3", "spent=3", "reserved=2, spent=1", "cap=0", "reserved=-1", "spent=-1"])
def test_the_table_itself_takes_no_row_beyond_its_cap(db: sqlite3.Connection, change: str) -> None:
    reserve(db)

    with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
        db.execute(f"UPDATE budgets SET {change}")


STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "spend", "give back", "minute"]), st.integers(0, 1), st.integers(0, 30)),
    max_size=80,
)


@settings(deadline=None)
@given(st.integers(0, 4), STEPS)
def test_reserved_and_spent_never_pass_the_cap(cap: int, steps: list[tuple[str, int, int]]) -> None:
    """I3, against a model that counts what was let through and not given back, by room and window."""
    with opened() as db:
        now, held = 0, Counter[tuple[int, str]]()
        open_references: list[tuple[str, tuple[int, str]]] = []
        for kind, room, number in steps:
            name = f"replies/{room}"
            if kind == "minute":
                now += MINUTE
            elif kind == "reserve":
                window = (now // MINUTE, name)
                try:
                    open_references.append((reserve(db, now + number, cap=cap, name=name), window))
                    held[window] += 1
                except Refused:
                    assert held[window] == cap
                assert held[window] <= cap
            elif open_references:
                reference, window = open_references.pop(number % len(open_references))
                budget.settle(db, "ada", reference, spent=kind == "spend")
                held[window] -= kind == "give back"

            over = db.execute("SELECT COUNT(*) FROM budgets WHERE reserved + spent > cap").fetchone()
            assert over == (0,)
        (reserved,) = db.execute("SELECT COALESCE(SUM(reserved), 0) FROM budgets").fetchone()
        assert reserved == len(open_references)
