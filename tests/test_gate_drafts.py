"""Signals at the gate: only of turns in progress, only the newest, bounded whatever a mind sends."""

import asyncio

import pytest

from teehee.errors import Unavailable
from teehee.gate import drafts
from teehee.gate.drafts import ENDED, THINKING, WRITING, Drafts, Signal
from teehee.wire.messages import Draft

KEY = ("ada", "web", "e1")


def said(text: str, event: str = "e1") -> Draft:
    return Draft("ada", "web", event, text)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between drafts: the one test about it sets its own."""
    monkeypatch.setattr(drafts, "PAUSE_SECONDS", 0.0)


async def test_a_turn_thinks_then_writes_then_ends() -> None:
    turns = Drafts()
    turns.begin(KEY)
    first = await turns.next(KEY, 0, 1)
    turns.hear(said("well"))
    second = await turns.next(KEY, first.number, 1)
    turns.end(KEY)
    third = await turns.next(KEY, second.number, 1)

    assert [(s.state, s.text) for s in (first, second, third)] == [(THINKING, ""), (WRITING, "well"), (ENDED, "")]


async def test_who_waits_is_woken() -> None:
    turns = Drafts()
    turns.begin(KEY)
    waiting = asyncio.create_task(turns.next(KEY, 1, 5))
    await asyncio.sleep(0)
    turns.hear(said("well"))

    assert (await waiting).text == "well"


async def test_a_slow_watcher_gets_the_newest_draft_only() -> None:
    turns = Drafts()
    turns.begin(KEY)
    for number in range(100):
        turns.hear(said(f"draft {number}"))

    assert (await turns.next(KEY, 1, 1)).text == "draft 99"


@pytest.mark.parametrize("event", ["never came in", "over"])
async def test_a_draft_of_a_turn_that_is_not_running_is_dropped(event: str) -> None:
    turns = Drafts()
    turns.begin(("ada", "web", "over"))
    turns.end(("ada", "web", "over"))

    turns.hear(said("psst", event))

    assert (await turns.next(("ada", "web", event), 99, 0.01)).text == ""


async def test_a_draft_longer_than_any_message_is_dropped() -> None:
    turns = Drafts()
    turns.begin(KEY)
    turns.hear(said("x" * (drafts.TEXT_LIMIT + 1)))

    assert (await turns.next(KEY, 0, 1)).state == THINKING


async def test_a_mind_that_sends_too_fast_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "PAUSE_SECONDS", 60.0)
    turns = Drafts()
    turns.begin(KEY)
    for number in range(1000):
        turns.hear(said(f"draft {number}"))

    assert await turns.next(KEY, 0, 1) == Signal(2, WRITING, "draft 0")


async def test_a_draft_that_is_taken_back_is_taken_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "PAUSE_SECONDS", 60.0)
    turns = Drafts()
    turns.begin(KEY)
    turns.hear(said("never mind"))
    turns.hear(said(""))

    assert (await turns.next(KEY, 2, 1)).state == THINKING


async def test_turns_and_watchers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "TURNS", 10)
    monkeypatch.setattr(drafts, "WATCHERS", 2)
    turns = Drafts()
    for number in range(100):
        turns.begin(("ada", "web", str(number)))
    newest = ("ada", "web", "99")
    watching = [asyncio.create_task(turns.next(newest, 1, 5)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await turns.next(newest, 1, 5)

    assert len(turns._turns) == 10
    for task in watching:
        task.cancel()
    await asyncio.wait(watching)
    turns.hear(said("room again", "99"))
    assert (await turns.next(newest, 1, 1)).text == "room again"


async def test_an_owners_stop_ends_every_draft_of_the_agent() -> None:
    turns = Drafts()
    turns.begin(KEY)
    turns.begin(("eve", "web", "e1"))
    turns.hear(said("half a sen"))

    turns.end_agent("ada")

    assert (await turns.next(KEY, 0, 1)).state == ENDED
    assert (await turns.next(("eve", "web", "e1"), 0, 1)).state == THINKING
