"""The state of a turn: stable providers asked once a day, the others each time, a failing one left out."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from teehee.mind import state
from teehee.mind.state import StateComposer
from teehee.plugin import Provided, Provider, Turn, provider
from teehee.testing import fake_turn


def counting(
    name: str, *, stable: bool = False, dynamic: bool = False, private: bool = False, position: int = 0
) -> Provider:
    """A provider that tells how often it was asked."""
    asked = 0

    @provider(name, stable=stable, dynamic=dynamic, private=private, position=position)
    async def count(turn: Turn) -> str:
        nonlocal asked
        asked += 1
        return f"{name} {asked}"

    return count


async def test_providers_stand_in_order_of_position() -> None:
    composer = StateComposer([counting("LATE", position=9), counting("EARLY", position=-9), counting("MIDDLE")])

    told = await composer.fresh(fake_turn())

    assert list(told.texts) == ["EARLY", "MIDDLE", "LATE"]


async def test_a_stable_provider_is_asked_once_for_a_room_and_day() -> None:
    composer, turn = StateComposer([counting("BIO", stable=True)]), fake_turn()
    tomorrow = replace(turn, now=turn.now + timedelta(days=1))
    elsewhere = replace(turn, message=replace(turn.message, room_id="other"))

    told = [(await composer.stable(t)).texts["BIO"] for t in (turn, turn, tomorrow, elsewhere, turn)]

    assert told == ["BIO 1", "BIO 1", "BIO 2", "BIO 3", "BIO 1"]


async def test_another_provider_is_asked_every_time() -> None:
    composer = StateComposer([counting("TIME"), counting("BIO", stable=True)])

    told = [(await composer.fresh(fake_turn())).texts for _ in range(2)]

    assert told == [{"TIME": "TIME 1"}, {"TIME": "TIME 2"}]


async def test_a_dynamic_provider_is_asked_only_by_name() -> None:
    composer = StateComposer([counting("ALMANAC", dynamic=True), counting("TIME")])

    unnamed = await composer.fresh(fake_turn())
    named = await composer.fresh(fake_turn(), ["ALMANAC", "UNHEARD_OF"])

    assert list(unnamed.texts) == ["TIME"]
    assert list(named.texts) == ["TIME", "ALMANAC"]
    assert composer.offers(["ALMANAC"])
    assert not composer.offers(["TIME", "UNHEARD_OF"])


async def test_a_private_provider_is_not_told_unasked() -> None:
    composer = StateComposer([counting("HIDDEN", private=True), counting("HIDDEN_STABLE", private=True, stable=True)])

    assert (await composer.fresh(fake_turn())).texts == {}
    assert (await composer.stable(fake_turn())).texts == {}


async def test_values_of_providers_are_joined() -> None:
    @provider("A")
    async def one(turn: Turn) -> Provided:
        return Provided("text a", {"a": "1"})

    @provider("B")
    async def two(turn: Turn) -> Provided:
        return Provided(values={"b": "2"})

    told = await StateComposer([one, two]).fresh(fake_turn())

    assert told.texts == {"A": "text a", "B": ""}
    assert told.values == {"a": "1", "b": "2"}


async def test_providers_are_asked_side_by_side() -> None:
    together = asyncio.Barrier(2)

    @provider("A")
    async def one(turn: Turn) -> str:
        await together.wait()
        return "a"

    told = await StateComposer([one, replace(one, name="B")]).fresh(fake_turn())

    assert told.texts == {"A": "a", "B": "a"}


@pytest.mark.parametrize("fault", ["raises", "hangs", "returns None", "returns a number"])
async def test_a_provider_that_fails_is_left_out_and_named(
    fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "PROVIDER_SECONDS", 0.05)  # the real patience is five seconds

    @provider("BROKEN")
    async def broken(turn: Turn) -> str:
        if fault == "raises":
            raise KeyError("broken")
        if fault == "hangs":
            await asyncio.Event().wait()
        return None if fault == "returns None" else 7  # type: ignore[return-value] # as careless plugins do

    told = await StateComposer([broken, counting("TIME")]).fresh(fake_turn())

    assert told.texts == {"BROKEN": "", "TIME": "TIME 1"}
    assert "BROKEN" in capsys.readouterr().out


async def test_a_stable_provider_that_failed_is_asked_again() -> None:
    asked = 0

    @provider("BIO", stable=True)
    async def recovers(turn: Turn) -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise OSError("not yet")
        return "who I am"

    composer = StateComposer([recovers])

    assert (await composer.stable(fake_turn())).texts == {"BIO": ""}
    assert (await composer.stable(fake_turn())).texts == {"BIO": "who I am"}


async def test_only_the_latest_rooms_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "KEPT", 2)  # five hundred rooms take long to fill
    composer, turn = StateComposer([counting("BIO", stable=True)]), fake_turn()
    rooms = [replace(turn, message=replace(turn.message, room_id=room)) for room in "abc"]

    told = [(await composer.stable(t)).texts["BIO"] for t in (*rooms, rooms[2], rooms[0])]

    assert told == ["BIO 1", "BIO 2", "BIO 3", "BIO 3", "BIO 4"]
