"""The recent past of a room: what was said, in order, each line once, in a window that moves by steps."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from teehee.mind.recent import LONGEST, ROOMS, STEP, Recent
from teehee.plugin import Spoken
from teehee.store.mind_store import Memory, MindStore

AGENT, ROOM = "agent", "room"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MindStore]:
    opened = MindStore(tmp_path / "mind.db")
    yield opened
    opened.close()


def keep(store: MindStore, number: int, *, room: str = ROOM, by: str = "sam") -> str:
    """A message in the store, as accepted; gives its id."""
    content = {"text": f"line {number}", "name": by.title()}
    store.remember(Memory(f"{room}/{number}", "messages", number, content, by, AGENT, room))
    return f"{room}/{number}"


def texts(recent: Recent, room: str = ROOM) -> list[str]:
    return [line.text for line in recent.lines(room, AGENT)]


def test_an_unknown_room_has_no_past(store: MindStore) -> None:
    assert texts(Recent(store)) == []


def test_a_room_begins_with_what_the_store_remembers(store: MindStore) -> None:
    keep(store, 1)
    keep(store, 2, by=AGENT)

    assert Recent(store).lines(ROOM, AGENT) == [Spoken("Sam", "line 1", False), Spoken("Agent", "line 2", True)]


def test_what_is_added_follows(store: MindStore) -> None:
    keep(store, 1)
    recent = Recent(store)
    recent.lines(ROOM, AGENT)

    recent.add(ROOM, AGENT, Spoken("Ada", "line 2", own=True))

    assert texts(recent) == ["line 1", "line 2"]


def test_rooms_do_not_mix(store: MindStore) -> None:
    keep(store, 1)
    keep(store, 2, room="other")
    recent = Recent(store)

    recent.add("other", AGENT, Spoken("Ada", "line 3", own=True))

    assert texts(recent) == ["line 1"]
    assert texts(recent, "other") == ["line 2", "line 3"]


def test_a_message_that_waits_for_its_turn_is_not_past(store: MindStore) -> None:
    recent = Recent(store)
    keep(store, 1)
    recent.waiting.add(keep(store, 2))

    assert texts(recent) == ["line 1"]


def test_many_waiting_messages_do_not_hide_the_past(store: MindStore) -> None:
    recent = Recent(store)
    for number in range(10):
        keep(store, number)
    for number in range(10, 10 + LONGEST + 8):
        recent.waiting.add(keep(store, number))

    assert texts(recent) == [f"line {number}" for number in range(10)]


@pytest.mark.parametrize("loaded", [True, False], ids=["as they come", "from the store"])
def test_the_window_moves_by_steps_and_shares_its_beginning(store: MindStore, *, loaded: bool) -> None:
    recent = Recent(store)
    recent.lines(ROOM, AGENT)
    windows = []
    for number in range(5 * STEP):
        keep(store, number)
        recent.add(ROOM, AGENT, Spoken("Sam", f"line {number}", own=False))
        windows.append(texts(recent if loaded else Recent(store)))

    moves = [old[0] != new[0] for old, new in pairwise(windows)]
    assert all(window[-1] == f"line {number}" for number, window in enumerate(windows))
    assert max(map(len, windows)) <= LONGEST
    assert min(map(len, windows[STEP:])) >= STEP
    assert sum(moves) <= len(windows) // STEP


def test_the_past_of_many_rooms_is_bounded(store: MindStore) -> None:
    recent = Recent(store)

    for number in range(ROOMS + 100):
        recent.lines(f"room-{number}", AGENT)

    assert len(recent._rooms) == ROOMS


def test_a_room_put_away_is_read_again(store: MindStore) -> None:
    recent = Recent(store)
    keep(store, 1)
    recent.lines(ROOM, AGENT)
    for number in range(ROOMS):
        recent.lines(f"room-{number}", AGENT)
    keep(store, 2)

    assert texts(recent) == ["line 1", "line 2"]
