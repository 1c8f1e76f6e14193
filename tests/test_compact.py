"""Compact JSON says what the standard library says, and refuses or mends what has no place in a row or a request."""

import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from teehee import compact

Json = Any
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(SCALARS | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@fuzzed()
@given(VALUES)
def test_what_is_written_is_read_back_the_same_here_and_by_the_standard_library(value: Json) -> None:
    written = compact.encode(value)

    assert compact.decode(written) == value
    assert json.loads(written) == value


@given(VALUES)
def test_what_the_standard_library_wrote_is_read(value: Json) -> None:
    assert compact.decode(json.dumps(value).encode()) == value


@dataclass
class Thing:
    name: str = "x"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("half \ud83d", b'"half ?"', id="half a surrogate pair"),
        pytest.param({"\ud83d": 1}, b'{"?":1}', id="half a pair in a key"),
        pytest.param(2**70, str(2**70).encode(), id="a whole number past 64 bits"),
        pytest.param({1: "one"}, b'{"1":"one"}', id="a key that is a number"),
        pytest.param((1, [2]), b"[1,[2]]", id="a tuple"),
        pytest.param(math.nan, b"null", id="not a number"),
        pytest.param("雨 🌧", '"雨 🌧"'.encode(), id="beyond ASCII"),
    ],
)
def test_odd_values_have_one_form(value: Json, written: bytes) -> None:
    assert compact.encode(value) == written


@pytest.mark.parametrize("value", [Thing(), {1, 2}, b"bytes", object])
def test_what_is_no_json_is_refused_or_stood_for(value: Json) -> None:
    with pytest.raises(TypeError):
        compact.encode({"value": value})

    assert compact.decode(compact.encode({"value": value}, repr)) == {"value": repr(value)}


def test_nesting_is_written_as_deep_as_it_can_be_and_no_deeper() -> None:
    deep: Json = []
    for _ in range(500):
        deep = [deep]
    assert compact.encode(deep) == b"[" * 501 + b"]" * 501

    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        compact.encode(deep)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b'"\\ud83d"',
        b"\xff",
        b'"\xed\xa0\xbd"',
        b"\xef\xbb\xbf{}",
        b"[" * 9999,
    ],
)
def test_what_is_no_strict_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"column \d+"):
        compact.decode(data)
