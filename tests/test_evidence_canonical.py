"""Canonical JSON: one byte form, strict reading, and the records that are written in it."""

import json
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import VerificationError
from teehee.evidence.canonical import Record, canonical, loads, loads_canonical, named, text, whole

# RFC 8785 §3.2.3: these keys, in the order they are given, and the order their values must come out.
RFC_KEYS = r"""{
  "\u20ac": "Euro Sign",
  "\r": "Carriage Return",
  "\ufb33": "Hebrew Letter Dalet With Dagesh",
  "1": "One",
  "\ud83d\ude00": "Emoji: Grinning Face",
  "\u0080": "Control",
  "\u00f6": "Latin Small Letter O With Diaeresis"
}"""
RFC_ORDER = [
    "Carriage Return",
    "One",
    "Control",
    "Latin Small Letter O With Diaeresis",
    "Euro Sign",
    "Emoji: Grinning Face",
    "Hebrew Letter Dalet With Dagesh",
]
# RFC 8785 §3.2.2, without its numbers.
RFC_STRING = (
    rb'{"string": "\u20ac$\u000F\u000aA' + rb"'" + rb'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}'
)
RFC_STRING_CANONICAL = '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-(2**53), 2**53)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def refused(step: str, says: str, data: bytes, limit: int = 10_000) -> None:
    with pytest.raises(VerificationError) as caught:
        loads(data, limit=limit)
    assert caught.value.step == step
    assert says in str(caught.value)


def by_the_rfc(value: Any) -> str:
    """RFC 8785 §3.2 written out, character by character."""
    match value:
        case None | True | False:
            return {None: "null", True: "true", False: "false"}[value]
        case int():
            return str(value)
        case str():
            return '"' + "".join(escaped(c) for c in value) + '"'
        case list():
            return "[" + ",".join(by_the_rfc(item) for item in value) + "]"
    keys = sorted(value, key=lambda key: [int.from_bytes(u) for u in code_units(key)])
    return "{" + ",".join(f"{by_the_rfc(key)}:{by_the_rfc(value[key])}" for key in keys) + "}"


def code_units(key: str) -> list[bytes]:
    raw = key.encode("utf-16-be")
    return [raw[i : i + 2] for i in range(0, len(raw), 2)]


def escaped(character: str) -> str:
    short = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    if character in short:
        return short[character]
    return f"\\u{ord(character):04x}" if character < " " else character


# Writing


def test_the_key_order_is_the_one_of_the_rfc() -> None:
    value = loads(RFC_KEYS.encode(), limit=1000)

    assert list(loads(canonical(value), limit=1000).values()) == RFC_ORDER


def test_strings_are_written_as_in_the_rfc() -> None:
    assert canonical(loads(RFC_STRING, limit=1000)).decode() == RFC_STRING_CANONICAL


def test_nested_objects_are_sorted_too() -> None:
    value = {
        "1": {"f": {"f": "hi", "F": 5}, "\n": 56},
        "10": {},
        "": "empty",
        "a": {},
        "111": [{"e": "yes", "E": "no"}],
        "A": {},
    }

    assert canonical(value) == (
        b'{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}'
    )


def test_an_astral_key_sorts_by_its_surrogates_at_any_depth() -> None:
    assert canonical({"\uffff": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\uffff":1}'.encode()
    assert canonical([{"a": {"\uffff": 1, "\U00010000": 2, "z": 3}}]) == (
        '[{"a":{"z":3,"\U00010000":2,"\uffff":1}}]'.encode()
    )
    assert canonical([{"\U0001f600": 0}, {"\uffff": 1, "\U00010000": (2,)}]) == (
        '[{"\U0001f600":0},{"\U00010000":[2],"\uffff":1}]'.encode()
    )


def test_delete_and_line_separator_are_not_escaped() -> None:
    assert canonical("\x7f\u2028\u00e9/") == '"\x7f\u2028é/"'.encode()


def test_integers_reach_to_two_to_the_53() -> None:
    assert canonical([2**53, -(2**53), 0]) == b"[9007199254740992,-9007199254740992,0]"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**53 + 1, "$: an integer beyond"),
        ({"a": [0, -(2**53) - 1]}, "$['a'][1]: an integer beyond"),
        (1.0, "$: a float; write an integer"),
        ({"price": 0.1}, "$['price']: a float"),
        (float("nan"), "$: a float"),
        ("\ud800", "a lone surrogate U+D800"),
        ({"\udfff": 1}, "a lone surrogate U+DFFF"),
        ({"\udfff": 1, "\U0001f600": 2}, "a lone surrogate U+DFFF"),
        (["\ud83d\ude00"], "a lone surrogate U+D83D"),
    ],
    ids=str,
)
def test_json_outside_the_subset_is_not_written(value: object, says: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is checked below
        canonical(value)
    assert says in str(caught.value)


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"bytes", "$: bytes is not JSON"),
        ({"a": {1, 2}}, "$['a']: set is not JSON"),
        ({1: "a"}, "$: a key of type int"),
        ({None: "a"}, "$: a key of type NoneType"),
        ([{True: "a"}], "$[0]: a key of type bool"),
        ([Colour.RED], "$[0]: Colour is not JSON"),
        ({Colour.RED: 1}, "$: a key of type Colour"),
    ],
    ids=str,
)
def test_what_is_not_json_is_not_written(value: object, says: str) -> None:
    with pytest.raises(TypeError) as caught:
        canonical(value)
    assert says in str(caught.value)


def test_a_refusal_to_write_tells_where_and_not_what() -> None:
    with pytest.raises(ValueError, match=r"^\$\['seed'\]") as caught:
        canonical({"seed": 1234567.25})
    assert "1234567" not in str(caught.value)


def test_a_value_that_holds_itself_is_not_written() -> None:
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(ValueError, match="nested more than 32 deep"):
        canonical(loop)


@given(VALUES)
def test_any_value_is_written_by_the_rfc_and_read_back(value: Any) -> None:
    data = canonical(value)

    assert data == by_the_rfc(value).encode()
    assert loads_canonical(data, limit=len(data)) == value


# Reading


@pytest.mark.parametrize(
    ("step", "says", "data"),
    [
        ("json.2", "expected UTF-8, got another byte at 1", b'"\xff"'),
        ("json.2", "got another byte at 1", b'"\xed\xa0\x80"'),
        ("json.2", "got another byte at 0", '"a"'.encode("utf-16")),
        ("json.3", "at most 32 levels of nesting, got more", b"[" * 33 + b"]" * 33),
        ("json.3", "at most 32 levels", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        ("json.4", "character 0: Expecting value", b""),
        ("json.4", "character 0: Expecting value", b"\xef\xbb\xbf{}"),
        ("json.4", "Extra data", b"{} {}"),
        ("json.4", "Expecting", b"{'a':1}"),
        ("json.4", "character", b"[1,]"),
        ("json.4", "character", b'{"a":1,}'),
        ("json.4", "Invalid control character", b'"a\nb"'),
        ("json.4", "Invalid \\escape", b'"\\x41"'),
        ("json.4", "Unterminated string", b'"abc'),
        ("json.4", "character", b"01"),
        ("json.4", "character", b"+1"),
        ("json.4", "Expecting value", b"\x0c1"),
        ("json.5", "got 'a' twice", b'{"a":1,"a":1}'),
        ("json.5", "got 'a' twice", b'{"b":{"a":1,"\\u0061":2}}'),
        ("json.6", "expected an integer, got 1.0", b"[1.0]"),
        ("json.6", "expected an integer, got 1e3", b'{"a":1e3}'),
        ("json.6", "expected an integer, got NaN", b"NaN"),
        ("json.6", "expected an integer, got -Infinity", b"-Infinity"),
        ("json.6", "within ±2^53, got 9007199254740993", b"9007199254740993"),
        ("json.6", "within ±2^53, got -9007199254740993", b"-9007199254740993"),
        ("json.6", "within ±2^53, got 9999", b"9" * 9000),
        ("json.7", "lone surrogate U+D800", b'"\\ud800"'),
        ("json.7", "lone surrogate U+DC00", b'{"\\uDC00":1}'),
        ("json.7", "lone surrogate U+DE00", b'["\\ude00\\ud83d"]'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bytes_outside_the_subset_are_refused_by_step(step: str, says: str, data: bytes) -> None:
    refused(step, says, data, limit=1_000_000)


def test_oversize_is_refused_before_anything_is_read() -> None:
    refused("json.1", "at most 3 bytes, got 4", b"\xff" * 4, limit=3)
    assert loads(b"123", limit=3) == 123


def test_thirty_two_levels_are_read_and_brackets_in_strings_do_not_count() -> None:
    deepest = b"[" * 32 + b"]" * 32
    strings = json.dumps(["[" * 50, '"[{' * 20, "\\", "]" * 50]).encode()

    assert canonical(loads(deepest, limit=100)) == deepest
    assert loads(strings, limit=1000) == json.loads(strings)
    refused("json.4", "Unterminated", b'["' + b"[" * 50)
    refused("json.3", "at most 32 levels", b'["",' + b"[" * 40)


def test_a_pair_of_escapes_is_one_character() -> None:
    assert loads(b'"\\ud83d\\uDE00"', limit=100) == "\U0001f600"


def test_spaces_and_any_key_order_are_read_but_are_not_canonical() -> None:
    assert loads(b' { "b" : 1 , "a" : 2 } ', limit=100) == {"a": 2, "b": 1}

    for data in (b'{"b":1,"a":2}', b'{"a": 1}', b"1 ", b"-0", b'"\\u0041"', b'"\\/"', b'"\\u000A"'):
        with pytest.raises(VerificationError) as caught:
            loads_canonical(data, limit=100)
        assert caught.value.step == "json.8"


def test_a_non_canonical_form_is_refused_with_the_place() -> None:
    with pytest.raises(VerificationError, match=r"step json\.8: expected canonical JSON, got other bytes from 5 on"):
        loads_canonical(b'{"a": 1}', limit=100)
    with pytest.raises(VerificationError, match="from 1 on"):
        loads_canonical(b"1\n", limit=100)


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0d8e19.-tnN ', max_size=60).map(str.encode))
def test_noise_is_refused_or_is_json(noise: bytes) -> None:
    try:
        value = loads(noise, limit=50)
    except VerificationError:
        return
    assert json.loads(noise) == value


# Records


@dataclass(frozen=True, slots=True)
class Visit(Record):
    name: Annotated[str, text("one lower-case word", "[a-z]+")]
    times: Annotated[int, whole]
    marks: Annotated[Mapping[str, str], named(text("a letter", "[a-z]"), text("a digit", "[0-9]"))]


ADA = {"name": "ada", "times": 3, "marks": {"a": "1"}}


def test_a_record_is_read_from_its_members_and_gives_them_back() -> None:
    visit = Visit.read(ADA)

    assert visit == Visit("ada", 3, {"a": "1"})
    assert visit.members() == ADA
    assert canonical(visit.members()) == b'{"marks":{"a":"1"},"name":"ada","times":3}'


def test_a_record_does_not_change_with_what_it_was_made_from() -> None:
    marks = {"a": "1"}
    visit = Visit("ada", 3, marks)

    marks["b"] = "2"
    visit.members()["marks"]["c"] = "3"

    assert visit.marks == {"a": "1"}
    with pytest.raises(TypeError):
        visit.marks["d"] = "4"  # type: ignore[index]  # that it cannot be done is the point
    with pytest.raises(FrozenInstanceError):
        visit.times = 4  # type: ignore[misc]  # as above


@pytest.mark.parametrize(
    ("step", "says", "members"),
    [
        ("record.1", "Visit: expected a JSON object, got a list", []),
        ("record.1", "got 'ada'", "ada"),
        ("record.2", "expected no key 'age'", {**ADA, "age": 1}),
        ("record.3", "expected the key 'marks', it is missing", {"name": "ada", "times": 3}),
        ("record.4", "name: expected one lower-case word, got 'Ada'", {**ADA, "name": "Ada"}),
        ("record.4", "name: expected one lower-case word, got 'ada\\n'", {**ADA, "name": "ada\n"}),
        ("record.4", "name: expected one lower-case word, got 7", {**ADA, "name": 7}),
        ("record.4", f"got '{'A' * 64}'... (99 characters)", {**ADA, "name": "A" * 99}),
        ("record.4", "times: expected a whole number from 0 to 2^53, got -1", {**ADA, "times": -1}),
        ("record.4", "times: expected a whole number from 0 to 2^53, got True", {**ADA, "times": True}),
        ("record.4", "times: expected a whole number from 0 to 2^53, got '3'", {**ADA, "times": "3"}),
        ("record.4", "times: expected a whole number from 0 to 2^53, got a NoneType", {**ADA, "times": None}),
        (
            "record.4",
            "times: expected a whole number from 0 to 2^53, got 9007199254740993",
            {**ADA, "times": 2**53 + 1},
        ),
        ("record.4", "marks: expected an object of at most 64 entries, got a list", {**ADA, "marks": []}),
        ("record.4", "marks, name: expected a letter, got 'ab'", {**ADA, "marks": {"ab": "1"}}),
        ("record.4", "marks['a']: expected a digit, got 'x'", {**ADA, "marks": {"a": "x"}}),
    ],
)
def test_members_that_do_not_fit_are_refused_by_key(step: str, says: str, members: object) -> None:
    with pytest.raises(VerificationError) as caught:
        Visit.read(members)
    assert caught.value.step == step
    assert says in str(caught.value)


def test_a_record_with_a_value_that_does_not_fit_is_not_made() -> None:
    with pytest.raises(ValueError, match="times: expected a whole number"):
        Visit("ada", -1, {})
