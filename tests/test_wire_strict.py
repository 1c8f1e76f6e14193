"""Strict parsing: a message becomes exactly its dataclass, or the sentence says which key is wrong."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.wire import strict
from teehee.wire.messages import Part, Submission
from teehee.wire.strict import Malformed

Json = Any

PART = {"verb": "web.reply", "room": "r", "text": "hello"}
SUBMISSION = {"agent": "a", "source": "web", "event": "e", "parts": [PART]}


@dataclass(frozen=True, slots=True)
class Everything:
    """One field of every kind that the wire carries."""

    text: str = ""
    whole: int = 0
    number: float = 0.0
    flag: bool = False
    maybe: str | None = None
    words: tuple[str, ...] = ()
    caps: Mapping[str, int] = field(default_factory=dict)
    open: Any = None


@dataclass(frozen=True, slots=True)
class Bag:
    things: frozenset[str]


def refused(says: str, value: Json, kind: type = Submission) -> None:
    with pytest.raises(Malformed) as caught:
        strict.parse(kind, value)
    assert says in str(caught.value)


def test_a_message_of_the_right_shape_becomes_its_dataclass() -> None:
    parsed = strict.parse(Submission, SUBMISSION)

    assert parsed == Submission("a", "web", "e", (Part("web.reply", "r", "hello"),))


def test_what_is_left_out_gets_its_default() -> None:
    parsed = strict.parse(Everything, {})

    assert parsed == Everything()


def test_an_unknown_key_is_named_beside_the_known_ones() -> None:
    refused("params: unknown key 'owner'; known are agent, source, event", {**SUBMISSION, "owner": True})


def test_a_missing_key_is_named() -> None:
    refused("params: missing key 'agent'", {key: value for key, value in SUBMISSION.items() if key != "agent"})


def test_a_fault_deep_inside_is_named_by_its_path() -> None:
    refused(
        "params.parts[1].text: expected a string, got null",
        {**SUBMISSION, "parts": [PART, {**PART, "text": None}]},
    )


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("text", 1, "params.text: expected a string, got a number (1)"),
        ("text", ["x"], "params.text: expected a string, got a list"),
        ("whole", "1", "params.whole: expected a whole number, got a string"),
        ("whole", 1.0, "params.whole: expected a whole number, got a number (1.0)"),
        ("whole", True, "params.whole: expected a whole number, got a boolean"),
        ("number", "1", "params.number: expected a number, got a string"),
        ("number", False, "params.number: expected a number, got a boolean"),
        ("flag", 1, "params.flag: expected true or false, got a number (1)"),
        ("maybe", 1, "params.maybe: expected a string, got a number (1)"),
        ("words", "word", "params.words: expected a list, got a string"),
        ("words", {"0": "x"}, "params.words: expected a list, got an object"),
        ("words", ["x", None], "params.words[1]: expected a string, got null"),
        ("caps", [], "params.caps: expected an object, got a list"),
        ("caps", {"x.post": "3"}, "params.caps.x.post: expected a whole number, got a string"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: Json, says: str) -> None:
    refused(says, {key: value}, Everything)


@pytest.mark.parametrize("value", [None, [], "{}", 1, True])
def test_what_is_no_object_is_refused(value: Json) -> None:
    refused("params: expected an object", value)


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 10**400], ids=["above", "below", "huge"])
def test_a_whole_number_beyond_what_json_carries_is_refused(value: int) -> None:
    refused("params.whole: beyond what JSON carries exactly", {"whole": value}, Everything)


@pytest.mark.parametrize("value", [2**53, -(2**53), 0])
def test_a_whole_number_that_json_carries_is_taken(value: int) -> None:
    assert strict.parse(Everything, {"whole": value}).whole == value


@pytest.mark.parametrize(
    "value", [10**400, float("nan"), float("inf"), float("-inf")], ids=["huge", "nan", "inf", "-inf"]
)
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    refused("params.number: ", {"number": value}, Everything)


def test_a_lone_surrogate_is_refused_in_a_text() -> None:
    refused("params.text: a lone surrogate is not text", {"text": "a\ud800b"}, Everything)


def test_a_lone_surrogate_is_refused_in_a_key_of_a_mapping() -> None:
    refused("params.caps: a lone surrogate is not text", {"caps": {"\udfff": 1}}, Everything)


def test_a_text_is_taken_up_to_its_limit_and_no_further() -> None:
    longest = "ä" * strict.TEXT_LIMIT

    assert strict.parse(Everything, {"text": longest}).text == longest
    refused("params.text: 65537 characters, at most 65536 are taken", {"text": longest + "ä"}, Everything)


def test_a_list_is_taken_up_to_its_limit_and_no_further() -> None:
    longest = ["x"] * strict.LIST_LIMIT

    assert len(strict.parse(Everything, {"words": longest}).words) == strict.LIST_LIMIT
    refused("params.words: 10001 items, at most 10000 are taken", {"words": [*longest, "x"]}, Everything)


def test_a_list_of_objects_has_a_limit_of_its_own() -> None:
    def submission(number: int) -> dict[str, Json]:
        return {**SUBMISSION, "parts": [PART] * number}

    assert len(strict.parse(Submission, submission(strict.OBJECTS_LIMIT)).parts) == strict.OBJECTS_LIMIT
    refused("params.parts: 1001 items, at most 1000 are taken", submission(1001), Submission)


def test_a_fault_repeats_little_of_what_was_sent() -> None:
    with pytest.raises(Malformed) as unknown:
        strict.parse(Submission, {"k" * 50_000: 1})
    with pytest.raises(Malformed) as number:
        strict.parse(Submission, {**SUBMISSION, "agent": int("9" * 4000)})

    assert len(str(unknown.value)) < 300
    assert len(str(number.value)) < 300


def test_null_is_taken_where_it_is_allowed_and_only_there() -> None:
    assert strict.parse(Everything, {"maybe": None}).maybe is None
    refused("params.text: expected a string, got null", {"text": None}, Everything)


def test_a_field_that_json_cannot_carry_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="wire messages cannot hold"):
        strict.parse(Bag, {"things": []})


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SUBMISSIONS = st.builds(
    Submission,
    agent=TEXT, source=TEXT, event=TEXT, key=TEXT, label=TEXT,
    parts=st.lists(st.builds(Part, verb=TEXT, room=TEXT, text=TEXT), max_size=3).map(tuple),
)  # fmt: skip
ANYTHING: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*Everything.__dataclass_fields__, "unknown"])


@given(SUBMISSIONS)
def test_what_was_written_is_read_back_the_same(submission: Submission) -> None:
    assert strict.parse(Submission, asdict(submission)) == submission


@given(ANYTHING | st.dictionaries(FIELDS, ANYTHING, max_size=4))
def test_any_json_is_either_the_message_or_malformed(value: Json) -> None:
    try:
        parsed = strict.parse(Everything, value)
    except Malformed:
        return

    assert type(parsed) is Everything
