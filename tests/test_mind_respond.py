"""Eliza's response block: read strictly where it counts, forgivingly around it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import AskAgain
from teehee.mind.respond import ANSWER_LIMIT, NAMES_LIMIT, Decision, parse, write

FRAGMENTS = [
    *("<response>", "</response>", "<text>", "</text>", "<parameters>", "</parameters>", "<actions>", "</actions>"),
    *("<", ">", "/", "{", "}", "[", "]", '"', "&", "&lt;", "&#0;", "&#xd800;", "a", "REPLY", ",", "1", " ", "\n", "\0"),
]


def test_a_whole_block_is_read() -> None:
    answer = """<response>
        <thought>They ask for luck.</thought>
        <actions>REPLY, ROLL_DICE</actions>
        <providers>RECENT_ROLLS</providers>
        <parameters>{"ROLL_DICE": {"sides": 20}}</parameters>
        <text>Let me see &amp; roll.</text>
    </response>"""

    assert parse(answer) == Decision(
        text="Let me see & roll.",
        actions=("REPLY", "ROLL_DICE"),
        providers=("RECENT_ROLLS",),
        parameters={"ROLL_DICE": {"sides": 20}},
        thought="They ask for luck.",
    )


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("<response><text>hi</text></response>", id="alone"),
        pytest.param(
            "Sure, here it is:\n<response><text>hi</text></response>\nAnything else?", id="with talk around it"
        ),
        pytest.param("```xml\n<response>\n<text>hi</text>\n</response>\n```", id="in a fence"),
        pytest.param("<think>hm</think><response><text>\n hi \n</text></response>", id="after a thought"),
        pytest.param("<response><actions></actions><text>hi</text></response>", id="with empty actions"),
    ],
)
def test_words_without_actions_are_a_reply(answer: str) -> None:
    assert parse(answer) == Decision(text="hi", actions=("REPLY",))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("reply", ("REPLY",), id="small letters"),
        pytest.param(" REPLY ,IGNORE,, ", ("REPLY", "IGNORE"), id="spaces and commas"),
        pytest.param("REPLY,REPLY", ("REPLY",), id="twice"),
        pytest.param("REPLY, rm -rf /, <b>, 9TH, ÉTÉ", ("REPLY",), id="no names"),
        pytest.param(",".join(f"A{n}" for n in range(20)), tuple(f"A{n}" for n in range(NAMES_LIMIT)), id="too many"),
        pytest.param("X" * 65 + ",REPLY", ("REPLY",), id="a name too long"),
    ],
)
def test_action_names_are_read_as_eliza_does(written: str, read: tuple[str, ...]) -> None:
    assert parse(f"<response><actions>{written}</actions><text>t</text></response>").actions == read


def test_parameters_are_found_under_the_action_whatever_its_case() -> None:
    answer = '<response><actions>ROLL</actions><parameters>{"roll": {"sides": 3}}</parameters></response>'

    assert parse(answer).parameters == {"ROLL": {"sides": 3}}


def test_words_may_speak_of_tags() -> None:
    answer = "<response><text>Close it with &lt;/text&gt;, or </text> if you must.</text></response>"

    assert parse(answer).text == "Close it with </text>, or </text> if you must."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param("", "no <response>", id="nothing"),
        pytest.param("just words", "no <response>", id="plain text"),
        pytest.param("<response><text>cut off", "no <response>", id="cut off"),
        pytest.param("</response><response>", "no <response>", id="inside out"),
        pytest.param("<response></response>", "missing or empty", id="an empty block"),
        pytest.param("<response><text>  </text><actions>,</actions></response>", "missing or empty", id="blank"),
        pytest.param("<response><text>t</text><parameters>{</parameters></response>", "JSON object", id="half JSON"),
        pytest.param("<response><text>t</text><parameters>[1]</parameters></response>", "JSON object", id="a list"),
        pytest.param(
            f"<response><text>t</text><parameters>{'[' * 9_999}</parameters></response>", "JSON object", id="deep JSON"
        ),
        pytest.param("x" * ANSWER_LIMIT + "<response><text>t</text></response>", "no <response>", id="past the limit"),
    ],
)
def test_what_cannot_be_read_is_asked_again_with_the_reason(answer: str, reason: str) -> None:
    with pytest.raises(AskAgain, match=reason):
        parse(answer)


@given(st.text(min_size=1).filter(str.strip))
def test_what_is_written_is_read_back(text: str) -> None:
    assert parse(write(text, ("REPLY", "NONE"))) == Decision(text=text.strip(), actions=("REPLY", "NONE"))


@given(st.lists(st.sampled_from(FRAGMENTS)).map("".join))
def test_any_answer_is_read_or_asked_again(answer: str) -> None:
    with contextlib.suppress(AskAgain):
        assert isinstance(parse(answer), Decision)


@pytest.mark.parametrize(
    ("answer", "text", "actions"),
    [
        ('```json\n{"user": "Snib", "text": "Shh.", "action": "SHUSH"}\n```', "Shh.", ("SHUSH",)),
        ('Here it is:\n```\n{"text": "Shh.", "actions": ["REPLY", "SHUSH"]}\n```\nbye', "Shh.", ("REPLY", "SHUSH")),
        ('{"user": "Snib", "text": " Shh. ", "action": null}', "Shh.", ("REPLY",)),
        ('{"text": "", "action": "IGNORE"}', "", ("IGNORE",)),
    ],
)
def test_the_answer_that_templates_of_0_x_ask_for_is_read(answer: str, text: str, actions: tuple[str, ...]) -> None:
    decision = parse(answer)

    assert (decision.text, decision.actions) == (text, actions)


@pytest.mark.parametrize(
    "answer", ['{"text": 3}', '{"text": ""}', "```{```", "```json\n[]\n```", "```{" * 50_000, "{" * 5000]
)
def test_json_that_says_nothing_is_asked_again(answer: str) -> None:
    with pytest.raises(AskAgain):
        parse(answer)
