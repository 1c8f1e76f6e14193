"""The last look at a text: what reaches a person, what is mended first, and what never does."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teehee.lastmile import CREDENTIAL, Verdict, check

VECTORS = sorted((Path(__file__).parent / "vectors" / "lastmile").glob("*.json"))
CASES = [
    pytest.param(case, id=f"{file.stem}: {case['name']}")
    for file in VECTORS
    for case in json.loads(file.read_text(encoding="utf-8"))
]
# What hostile or broken texts are made of; long runs of any of these must not cost more than their length.
FRAGMENTS = (
    *("<", "</", "<think>", "</think>", "<thi<think>", "<think ", "<response><text>", "</response>", "<parameter "),
    *("<|", "```", "```json\n", "`", "{", "[", '{"', '{"a":', '[{"a":[', '{"name":"a",', '"text": ', '"type":"', "{{"),
    *("eyJ", "eyJaaaaaaaaaa.", "sk-", "://", "://a:bbbb", "12345678:AA", "key is ", "▁", "◁", "AB_", "REPLY, ", "a("),
    *("f(a=", "Thought:\n", "Human: ", "# ", "### ", "\n  at a (b", "error ", "failed: ", "limit: 1,", "Error", "."),
    *("-", '"', "1", "\x1b[", "\r", "\n", " ", "\u202e", "\u200d", "\U000e0041", "\U0001f3f4", "\ud800"),
)


@pytest.mark.parametrize("case", CASES)
def test_the_corpus_holds(case: dict[str, Any]) -> None:
    verdict = check(case["text"], instructions=case.get("instructions", ()))

    assert verdict == expected(case)


def expected(case: dict[str, Any]) -> Verdict:
    match case["expect"]:
        case "pass":
            return Verdict(case["text"], "", False)
        case "repair":
            return Verdict(case["shown"], case["rule"], False)
        case _:
            return Verdict("", case["rule"], True)


def test_the_corpus_is_as_large_as_promised() -> None:
    kinds = [param.values[0]["expect"] for param in CASES]  # type: ignore[index]  # pytest says object

    assert kinds.count("pass") >= 50
    assert len(kinds) - kinds.count("pass") >= 60


def test_no_key_in_the_corpus_looks_real_to_a_secret_scanner() -> None:
    for file in VECTORS:
        assert not CREDENTIAL.search(file.read_text(encoding="utf-8")), file.name


def test_the_prompt_is_known_only_by_its_own_lines() -> None:
    line = "You are Ada, and you answer in one sentence, never two."

    assert check(line).text == line
    assert check(f"Well: {line}", instructions=["", line]).rule == "prompt-echo"


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=8)), max_size=30).map("".join))
def test_any_text_gets_a_verdict_that_checking_again_keeps(text: str) -> None:
    first = check(text)
    second = check(first.text)

    assert (first.text == "") if first.refused else first.text
    assert second == (Verdict("", "empty", True) if first.refused else Verdict(first.text, "", False))


@settings(deadline=None)
@given(st.text())
def test_a_clean_text_is_shown_as_it_is(text: str) -> None:
    verdict = check(text)

    assert verdict.rule or verdict.text == text


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_megabyte_of_a_hostile_fragment_takes_linear_time(fragment: str) -> None:
    text = "a" + fragment * (1_000_000 // max(1, len(fragment)))

    started = time.process_time()
    check(text)

    assert time.process_time() - started < 8  # 0.1-1 s as it is; a backtracking pattern would take hours


@pytest.mark.parametrize(("head", "tail"), [("{", "}"), ("[", "]"), ("f(", ")"), ("```json\n", ""), ("<think>", "")])
def test_a_megabyte_inside_a_wrapper_takes_linear_time(head: str, tail: str) -> None:
    text = head + '{"a":[' * 160_000 + tail

    started = time.process_time()
    check(text)

    assert time.process_time() - started < 8
