"""One turn: the model is asked once, what may be shown is submitted once, and each ending has its code."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from minds import ADA, NOON_MS, ScriptedBrain, agent, event, mind
from teehee.errors import AskAgain, Unavailable
from teehee.mind import models
from teehee.mind import turn as turns
from teehee.plugin import Provided, Result, Turn, action, evaluator, provider
from teehee.testing import until
from teehee.testing.scripted_model import block
from teehee.wire.messages import Event


async def test_a_reply_is_submitted_into_the_room_of_its_event(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi there")))) as up:
        effects = await up.run()

        assert [effect.text for effect in effects] == ["hi there"]
        assert up.vault.submissions == [
            {
                "agent": ADA.id,
                "source": "terminal",
                "event": "e-1",
                "parts": [{"verb": "terminal.reply", "room": "terminal:main", "text": "hi there"}],
            }
        ]


async def test_the_answer_is_journaled_beside_its_row(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi there")))) as up:
        await up.run()
        await until(lambda: up.row()[2] is not None)

        assert up.row() == ("open", "", block("hi there"))


async def test_a_journaled_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("asked again"))
    async with mind(tmp_path, agent(brain)) as up:
        effects = await up.run(answer=block("from before"))

    assert [effect.text for effect in effects] == ["from before"]
    assert brain.prompts == []


async def test_what_is_committed_already_is_not_said_anew(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("once"))
    async with mind(tmp_path, agent(brain)) as up:
        first = await up.run()
        up.desk.recent.reopened.add("e-1")

        again = await turns.run(up.desk, up.agent, up.store.open_rows([ADA.id])[0])

    assert again == first
    assert len(brain.prompts) == 1
    assert len(up.vault.submissions) == 1


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        pytest.param("no block", "there was no <response>", id="no block"),
        pytest.param(AskAgain("it was empty"), "it was empty", id="nothing"),
        pytest.param(AskAgain("it was far too long"), "it was far too long", id="too long"),
        pytest.param(block('{"a": 1, "b": [2, 3], "c": {}}'), "cannot be shown to a person (json)", id="raw JSON"),
        pytest.param(block("hi", parameters="[1]"), "<parameters> must hold a JSON object", id="bad parameters"),
        pytest.param(block("", actions="UNHEARD_OF"), "no words", id="an unknown action and no words"),
    ],
)
async def test_an_unfit_answer_is_asked_again_with_the_reason(
    tmp_path: Path, first: str | Exception, reason: str
) -> None:
    brain = ScriptedBrain(first, block("better"))
    async with mind(tmp_path, agent(brain)) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["better"]
    assert brain.reasons[0] == ""
    assert reason in brain.reasons[1]
    assert f"Your last answer could not be used: {brain.reasons[1]}" in brain.prompts[1]


async def test_an_answer_unfit_twice_ends_the_turn(tmp_path: Path) -> None:
    brain = ScriptedBrain("no block")
    async with mind(tmp_path, agent(brain)) as up:
        with pytest.raises(turns.Ending, match="model-unfit"):
            await up.run()

    assert len(brain.prompts) == 2
    assert up.vault.submissions == []


@pytest.mark.parametrize(
    ("rule", "code"),
    [("base.stopped", "stopped"), ("base.rate-cap", "refused"), ("base.text-too-long", "refused")],
)
async def test_a_refusal_ends_the_turn_with_a_code(tmp_path: Path, rule: str, code: str) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        up.vault.refuse = rule
        with pytest.raises(turns.Ending, match=code):
            await up.run()

    assert len(up.vault.submissions) == 1


async def test_an_event_not_witnessed_yet_is_waited_for(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        up.vault.refuse, up.vault.refuse_times = "base.event-not-witnessed", 2

        effects = await up.run()

    assert [effect.text for effect in effects] == ["hi"]
    assert len(up.vault.submissions) == 3


async def test_a_model_that_is_away_leaves_the_turn_for_later(tmp_path: Path) -> None:
    async with mind(tmp_path, agent(ScriptedBrain(Unavailable("away", code="model-down")))) as up:
        with pytest.raises(Unavailable, match="away"):
            await up.run()

        assert up.row() == ("open", "", None)


async def test_ignore_without_words_is_a_silence(tmp_path: Path) -> None:
    brain = ScriptedBrain(block("", actions="IGNORE"))
    async with mind(tmp_path, agent(brain)) as up:
        with pytest.raises(turns.Ending, match="ignored"):
            await up.run()

    assert len(brain.prompts) == 1


@pytest.mark.parametrize("actions", ["IGNORE", "NONE", "REPLY,IGNORE", "UNHEARD_OF"])
async def test_words_beside_an_action_that_says_nothing_are_said(tmp_path: Path, actions: str) -> None:
    brain = ScriptedBrain(block("but I do speak", actions=actions))
    async with mind(tmp_path, agent(brain)) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["but I do speak"]
    assert len(brain.prompts) == 1


async def test_an_action_that_says_nothing_runs_once(tmp_path: Path) -> None:
    watered: list[str] = []

    @action("WATER")
    async def water(turn: Turn) -> Result:
        watered.append(turn.message.id)
        return Result()

    brain = ScriptedBrain(block("", actions="WATER"), block("Watered.", actions="WATER"))
    async with mind(tmp_path, agent(brain, actions=[water])) as up:
        with contextlib.suppress(turns.Ending):  # said nothing or asked for words: the water runs once
            await up.run()

    assert len(watered) == 1


async def test_each_action_with_words_is_a_part(tmp_path: Path) -> None:
    @action("SING")
    async def sing(turn: Turn) -> Result:
        return Result("La la.")

    async with mind(tmp_path, agent(ScriptedBrain(block("Listen:", actions="REPLY,SING")), actions=[sing])) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["Listen:", "La la."]


async def test_the_words_of_an_action_pass_the_last_mile_too(tmp_path: Path) -> None:
    @action("DUMP")
    async def dump(turn: Turn) -> Result:
        return Result('{"rows": [1, 2], "next": null}')

    async with mind(tmp_path, agent(ScriptedBrain(block("Here:", actions="REPLY,DUMP")), actions=[dump])) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["Here:"]


@pytest.mark.parametrize("fault", ["raises", "returns None", "does not fit, loudly"])
@pytest.mark.parametrize("actions", ["REPLY,BROKEN", "BROKEN,REPLY"])
async def test_a_broken_action_takes_no_other_with_it(tmp_path: Path, fault: str, actions: str) -> None:
    def fits(turn: Turn) -> bool:
        if fault == "does not fit, loudly":
            raise KeyError("fits")
        return True

    @action("BROKEN", fits=fits)
    async def broken(turn: Turn) -> Result:
        if fault == "raises":
            raise KeyError("broken")
        return None  # type: ignore[return-value]  # what a careless plugin does

    brain = ScriptedBrain(block("still here", actions=actions))
    async with mind(tmp_path, agent(brain, actions=[broken])) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["still here"]


async def test_an_action_whose_fitting_fails_does_not_silence_the_classic_brain(tmp_path: Path) -> None:
    def fits(turn: Turn) -> bool:
        raise KeyError("fits")

    @action("BROKEN", fits=fits)
    async def broken(turn: Turn) -> Result:
        return Result("never")

    async with mind(tmp_path, agent(models.Classic(ADA), actions=[broken])) as up:
        effects = await up.run()

    assert len(effects) == 1


async def test_a_turn_whose_only_action_fails_ends_as_failed(tmp_path: Path) -> None:
    @action("BROKEN")
    async def broken(turn: Turn) -> Result:
        raise KeyError("broken")

    async with mind(tmp_path, agent(ScriptedBrain(block("", actions="BROKEN")), actions=[broken])) as up:
        with pytest.raises(turns.Ending, match="failed"):
            await up.run()


@pytest.mark.parametrize("told", [None, 7, Provided("text", {"n": 7})], ids=repr)
async def test_a_provider_that_tells_no_text_takes_no_turn_with_it(tmp_path: Path, told: object) -> None:
    @provider("BROKEN")
    async def broken(turn: Turn) -> str:
        return told  # type: ignore[return-value]  # what a careless plugin does

    async with mind(tmp_path, agent(ScriptedBrain(block("still here")), providers=[broken])) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["still here"]


async def test_an_action_reads_what_the_providers_told(tmp_path: Path) -> None:
    @provider("WEATHER")
    async def weather(turn: Turn) -> Provided:
        return Provided("It rains.", {"sky": "grey"})

    @action("LOOK_UP")
    async def look_up(turn: Turn) -> Result:
        return Result(f"{turn.state.texts['WEATHER']} {turn.state.values['sky']}")

    brain = ScriptedBrain(block("", actions="LOOK_UP"))
    async with mind(tmp_path, agent(brain, actions=[look_up], providers=[weather])) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["It rains. grey"]


async def test_a_provider_the_model_names_is_asked_and_the_model_asked_again(tmp_path: Path) -> None:
    @provider("ALMANAC", dynamic=True)
    async def almanac(turn: Turn) -> str:
        return "Frost is due on Friday."

    brain = ScriptedBrain(block("", providers="ALMANAC"), block("Mind the frost."))
    async with mind(tmp_path, agent(brain, providers=[almanac])) as up:
        effects = await up.run()

    assert [effect.text for effect in effects] == ["Mind the frost."]
    assert ["Frost is due" in prompt for prompt in brain.prompts] == [False, True]


async def test_chance_and_time_follow_the_message(tmp_path: Path) -> None:
    def seen(turn: Turn) -> tuple[object, ...]:
        return turn.now.timestamp() * 1000, turn.random.random(), turn.sample.random()

    async with mind(tmp_path, agent(ScriptedBrain(block("hi")))) as up:
        one, same, other = (seen(turns.begin(up.desk, up.agent, said)) for said in (event(), event(), event(id="e-2")))

    assert one == same
    assert one[0] == NOON_MS
    assert one[1] != other[1]
    assert one[2] == other[2]


async def test_an_action_and_an_evaluator_remember_side_by_side(tmp_path: Path) -> None:
    @action("NOTE")
    async def note(turn: Turn) -> Result:
        await turn.remember("from the action")
        return Result("Noted.")

    @evaluator("REFLECT")
    async def reflect(turn: Turn) -> None:
        await turn.remember("from the evaluator")

    brain = ScriptedBrain(block("", actions="NOTE"))
    async with mind(tmp_path, agent(brain, actions=[note], evaluators=[reflect])) as up:
        await up.accept(event())
        await up.answered("e-1")
        up.vault.deliver("e-1")
        room = turns.message_of(event()).room_id
        await until(lambda: up.row()[0] == "done")
        await until(lambda: len(up.store.latest(room, "facts", 10)) == 2, seconds=2)

        assert [memory.content["text"] for memory in up.store.latest(room, "facts", 10)] == [
            "from the evaluator",
            "from the action",
        ]


@pytest.mark.parametrize(
    ("names", "same"),
    [
        pytest.param(lambda e: e, True, id="the same event"),
        pytest.param(lambda e: event(id="e-2"), False, id="another event"),
        pytest.param(lambda e: event(room="terminal:attic"), True, id="its id does not hang on the room"),
    ],
)
async def test_a_message_is_called_by_its_event(names: Callable[[Event], Event], same: bool) -> None:
    one, other = turns.message_of(event()), turns.message_of(names(event()))

    assert (one.id == other.id) is same
