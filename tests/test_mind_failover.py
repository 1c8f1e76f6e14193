"""Fail-over: the next model answers while the first is away, stays for a while, and the first is tried again."""

import asyncio
from dataclasses import dataclass, field

import pytest

from teehee.errors import ActionFailed, AskAgain, TeeheeError, Unavailable
from teehee.mind import models
from teehee.mind.failover import STAY_SECONDS, Failover, Member
from teehee.plugin import State, Turn
from teehee.testing import fake_turn

AWAY = Unavailable("away", code="model-down")


@dataclass
class Actor:
    """Says its name, in two pieces, or fails after `said_first`."""

    name: str
    failing: TeeheeError | None = None
    said_first: str = ""
    asked: int = 0

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: models.Hear) -> str:
        self.asked += 1
        if self.said_first:
            hear(self.said_first)
        if self.failing is not None:
            raise self.failing
        hear(self.name)
        return self.name


@dataclass
class Stage:
    actors: tuple[Actor, ...]
    now: float = 1000.0
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        members = [Member(actor.name, actor, 5.0) for actor in self.actors]
        self.brain = Failover(members, lambda: self.now)

    async def ask(self) -> str:
        self.heard.clear()
        return await self.brain.answer(fake_turn(), State(), State(), "", self.heard.append)


def stage(*failing: TeeheeError | None) -> Stage:
    return Stage(tuple(Actor(f"model-{number}", error) for number, error in enumerate(failing)))


async def test_the_first_answers_while_it_can() -> None:
    on = stage(None, None)

    assert [await on.ask() for _ in range(3)] == ["model-0"] * 3
    assert on.actors[1].asked == 0


@pytest.mark.parametrize(
    "code", ["model-down", "model-slow", "model-busy", "model-denied", "model-quota", "model-gone"]
)
async def test_the_next_answers_when_it_is_away_and_stays(code: str) -> None:
    on = stage(Unavailable("away", code=code), None)

    assert [await on.ask() for _ in range(3)] == ["model-1"] * 3
    assert on.actors[0].asked == 1


async def test_after_a_while_the_first_is_tried_again() -> None:
    on = stage(AWAY, None)
    await on.ask()

    on.now += STAY_SECONDS
    still_away = await on.ask()
    on.actors[0].failing = None
    on.now += STAY_SECONDS - 1
    not_yet = await on.ask()
    on.now += 1

    assert (still_away, not_yet, await on.ask()) == ("model-1", "model-1", "model-0")
    assert on.actors[0].asked == 3


async def test_the_one_that_stays_may_fail_too_and_the_list_goes_round() -> None:
    on = stage(AWAY, None, AWAY)
    await on.ask()
    on.actors[0].failing, on.actors[1].failing = None, AWAY

    assert await on.ask() == "model-0"
    assert [actor.asked for actor in on.actors] == [2, 2, 1]


async def test_when_all_are_away_the_first_ones_reason_counts() -> None:
    on = stage(Unavailable("limit", code="model-busy", retry_after=7.0), AWAY)

    with pytest.raises(Unavailable) as caught:
        await on.ask()

    assert (caught.value.code, caught.value.retry_after) == ("model-busy", 7.0)


async def test_an_answer_of_the_wrong_form_stays_with_its_model() -> None:
    on = stage(AskAgain("it was empty"), None)

    with pytest.raises(AskAgain):
        await on.ask()

    assert on.actors[1].asked == 0


async def test_a_request_one_will_not_take_goes_on_and_changes_nothing_for_the_next() -> None:
    on = stage(ActionFailed("too long", code="model-too-long"), None)

    assert await on.ask() == "model-1"
    on.actors[0].failing = None
    assert await on.ask() == "model-0"


async def test_words_of_two_models_are_never_mixed_in_what_is_heard() -> None:
    on = stage(AWAY, None)
    on.actors[0].said_first = "half a line"

    whole = await on.ask()

    assert (whole, on.heard) == ("model-1", ["half a line"])


async def test_a_model_that_hangs_is_given_up_for_the_next() -> None:
    class Hanging(Actor):
        async def answer(self, *_: object) -> str:
            await asyncio.Event().wait()
            raise AssertionError("unreachable: nobody sets the event")

    members = [Member("hanging", Hanging("hanging"), 0.05), Member("next", Actor("next"), 5.0)]

    assert await Failover(members).answer(fake_turn(), State(), State(), "", models.unheard) == "next"
