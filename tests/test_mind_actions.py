"""Actions: found by Eliza's rules, their arguments checked before any runs, a failing one alone in its failure."""

import asyncio

import pytest
from pydantic import BaseModel, Field

from teehee.errors import ActionFailed, AskAgain
from teehee.mind import actions
from teehee.mind.respond import Decision
from teehee.plugin import Action, Result, Turn, action
from teehee.testing import fake_turn


class Sides(BaseModel):
    sides: int = Field(default=6, ge=2, description="faces on the die")


class Recorder:
    """Makes actions that note their runs."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def named(self, name: str, *similes: str, says: str = "", fails: Exception | None = None) -> Action:
        @action(name, similes=similes)
        async def run(turn: Turn) -> Result:
            self.ran.append(name)
            if fails is not None:
                raise fails
            return Result(says)

        return run

    def dice(self) -> Action:
        @action("ROLL_DICE", similes=("FLIP_COIN",))
        async def roll(turn: Turn, ask: Sides) -> Result:
            self.ran.append(f"ROLL_DICE {ask.sides}")
            return Result(f"of {ask.sides}")

        return roll


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def turn_with(*offered: Action) -> Turn:
    turn = fake_turn()
    turn.actions = offered
    return turn


@pytest.mark.parametrize("written", ["ROLL_DICE", "roll_dice", "RollDice", "ROLLDICE", "FLIP_COIN", "flipcoin"])
def test_an_action_is_found_by_name_or_simile(recorder: Recorder, written: str) -> None:
    dice = recorder.dice()

    assert actions.find([recorder.named("REPLY"), dice], written) is dice


def test_a_name_comes_before_a_simile(recorder: Recorder) -> None:
    simile, name = recorder.named("FIRST", "WAVE"), recorder.named("WAVE")

    assert actions.find([simile, name], "WAVE") is name


def test_an_unknown_name_finds_nothing(recorder: Recorder) -> None:
    assert actions.find([recorder.dice()], "ROLL") is None


async def test_actions_run_in_the_order_they_were_named(recorder: Recorder) -> None:
    turn = turn_with(*(recorder.named(name, says=name.lower()) for name in ("ONE", "TWO", "THREE")))

    results = await actions.run(turn, Decision(actions=("THREE", "ONE", "UNHEARD_OF")))

    assert recorder.ran == ["THREE", "ONE"]
    assert [result.text for result in results] == ["three", "one"]


async def test_words_beside_unknown_actions_are_said(recorder: Recorder) -> None:
    results = await actions.run(turn_with(recorder.dice()), Decision("hello", ("UNHEARD_OF",)))

    assert [result.text for result in results] == ["hello"]


async def test_arguments_come_as_their_model(recorder: Recorder) -> None:
    decision = Decision(actions=("ROLL_DICE",), parameters={"ROLL_DICE": {"sides": 20}})

    await actions.run(turn_with(recorder.dice()), decision)

    assert recorder.ran == ["ROLL_DICE 20"]


async def test_arguments_are_found_under_the_simile_that_was_named(recorder: Recorder) -> None:
    decision = Decision(actions=("FLIP_COIN",), parameters={"FLIP_COIN": {"sides": 2}})

    await actions.run(turn_with(recorder.dice()), decision)

    assert recorder.ran == ["ROLL_DICE 2"]


async def test_wrong_arguments_are_asked_again_before_anything_runs(recorder: Recorder) -> None:
    decision = Decision("t", ("REPLY", "ROLL_DICE"), parameters={"ROLL_DICE": {"sides": 1}})

    with pytest.raises(AskAgain, match=r"parameters for ROLL_DICE: sides: .*greater than or equal to 2"):
        await actions.run(turn_with(recorder.named("REPLY", says="t"), recorder.dice()), decision)

    assert recorder.ran == []


@pytest.mark.parametrize("fault", [KeyError("k"), ActionFailed("no luck"), TimeoutError()], ids=repr)
async def test_a_failing_action_leaves_the_others_their_run(recorder: Recorder, fault: Exception) -> None:
    turn = turn_with(recorder.named("BROKEN", fails=fault), recorder.named("FINE", says="fine"))

    results = await actions.run(turn, Decision(actions=("BROKEN", "FINE")))

    assert [result.text for result in results] == ["fine"]


async def test_when_nothing_worked_the_reasons_are_told(recorder: Recorder) -> None:
    turn = turn_with(recorder.named("ONE", fails=KeyError("k")), recorder.named("TWO", fails=ActionFailed("no luck")))

    with pytest.raises(ActionFailed, match="ONE failed: KeyError; no luck"):
        await actions.run(turn, Decision(actions=("ONE", "TWO")))


async def test_an_action_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "ACTION_SECONDS", 0.05)  # the real patience is half a minute

    @action("HANG")
    async def hang(turn: Turn) -> Result:
        await asyncio.Event().wait()
        return Result("never")

    with pytest.raises(ActionFailed, match="HANG failed: TimeoutError"):
        await actions.run(turn_with(hang), Decision(actions=("HANG",)))


async def test_an_action_that_does_not_fit_does_nothing() -> None:
    @action("NIGHT_ONLY", fits=lambda turn: turn.now.hour > 20)
    async def night(turn: Turn) -> Result:
        return Result("good night")

    results = await actions.run(turn_with(night), Decision("t", ("NIGHT_ONLY",)))

    assert [result.text for result in results if result.text] == []


@pytest.mark.parametrize(
    ("decision", "loud"),
    [
        (Decision(actions=("IGNORE",)), ()),
        (Decision(actions=("NONE",)), ()),
        (Decision(actions=("IGNORE", "NONE")), ()),
        (Decision("words", ("IGNORE",)), ("REPLY",)),
        (Decision("words", ("REPLY", "IGNORE")), ("REPLY",)),
        (Decision(actions=("WATER", "NONE")), ("WATER",)),
        (Decision("words", ("REPLY",)), ("REPLY",)),
    ],
    ids=str,
)
def test_ignore_and_none_count_for_nothing_beside_words_or_deeds(decision: Decision, loud: tuple[str, ...]) -> None:
    assert actions.audible(decision).actions == loud
