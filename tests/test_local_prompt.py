"""What the local model is asked: short prompts, their static part first, and who is asked at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_cast import WREN, roll, send
from teehee.mind import local, local_prompt
from teehee.plugin import Line, Spoken
from teehee.supervisor import brains
from teehee.supervisor import plan as plans


def test_the_static_part_is_the_same_from_turn_to_turn() -> None:
    assert local_prompt.persona(WREN) == local_prompt.persona(WREN)
    assert local_prompt.routing(WREN, [roll, send]) == local_prompt.routing(WREN, [roll, send])


def test_examples_are_real_turns_that_end_with_the_character() -> None:
    system, *examples = local_prompt.persona(WREN)

    assert system["role"] == "system"
    assert [item["role"] for item in examples] == ["user", "assistant"] * (len(examples) // 2)
    assert examples[1]["content"].startswith("Hello, and mind the step")
    assert "{{" not in str(examples)


def test_an_action_is_shown_by_its_own_examples_first() -> None:
    shown = replace(roll, examples=((Line("{{name1}}", "luck?"), Line("Wren", "", actions=("ROLL_DICE",))),))
    chat = local_prompt.routing(WREN, [shown])
    pairs = [(a["content"], b["content"]) for a, b in zip(chat[1::2], chat[2::2], strict=True)]

    assert ("luck?", "ROLL_DICE") in pairs
    assert ("throw the die please", "ROLL_DICE") in pairs
    assert ("hello there", "REPLY") in pairs


def test_the_past_moves_on_in_steps_so_that_turns_share_their_beginning() -> None:
    lines = [Spoken("Sam", f"{n:03} " + "x" * 60, n % 2 == 0) for n in range(40)]
    begins = [local_prompt._latest(lines[:count])[0].text for count in range(5, 40)]

    assert all(sum(map(local_prompt._size, local_prompt._latest(lines[:n]))) <= local_prompt.RECENT for n in range(40))
    assert len(set(begins)) < len(begins) / 3


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 5000, "🦀" * 5000])
def test_a_long_message_is_cut_between_characters(text: str) -> None:
    cut = local_prompt.clipped(text, local_prompt.MESSAGE)

    assert len(cut.encode()) <= local_prompt.MESSAGE
    assert cut[:-1] == text[: len(cut) - 1]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Wren: Mind the step.", "Mind the step."),
        ('"Mind the step."', "Mind the step."),
        ("Short and without an end", "Short and without an end"),
        ("A sentence. " * 40 + "and one that was cut", ("A sentence. " * 40).strip()),
    ],
)
def test_only_the_words_are_said(said: str, meant: str) -> None:
    assert local.spoken(said, "Wren") == meant


def test_wild_names_never_reach_the_grammar() -> None:
    assert local_prompt.grammar(["REPLY", "ROLL_DICE"]) == 'root ::= "REPLY" | "ROLL_DICE"'


# -- who is chosen at the start


def test_named_settings_come_before_the_local_model(tmp_path: Path) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    here = {"local_model": str(tmp_path / "own.gguf")}
    named = plans.make(["wren"], {**here, "model_url": "http://127.0.0.1:9/v1", "model": "m"}).agents[0].choice
    classic = plans.make(["wren"], {**here, "model_provider": "classic"}).agents[0].choice
    found = plans.make(["wren"], here).agents[0].choice
    after = plans.make(
        ["wren"], {**here, "model_url": "http://127.0.0.1:9/v1", "model": "m", "model_fallbacks": "local, classic"}
    )

    assert (named.shown, classic.shown, found.shown) == ("m", "classic", "own (local)")
    assert after.agents[0].choice.shown == "m, then own, classic"


def test_no_rule_lets_the_local_model_out(tmp_path: Path) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    plan = plans.make(["wren"], {"local_model": str(tmp_path / "own.gguf")})

    assert brains.rules("wren", plan.agents[0].choice, plan.run.settings) == []
