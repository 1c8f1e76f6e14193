"""Frames: one line is one strict JSON-RPC 2.0 message, and an error arrives as what it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import ConfigError, Refused, TeeheeError, Unavailable
from teehee.wire import frames
from teehee.wire.frames import BadFrame, Request
from teehee.wire.strict import Malformed

Json = Any


def refused(code: int, line: bytes) -> str:
    with pytest.raises(BadFrame) as caught:
        frames.decode_request(line)
    assert caught.value.code == code
    return str(caught.value)


def sent(error: Exception) -> Json:
    """`error` as the other side reads it off the wire."""
    return json.loads(frames.failure(7, error))["error"]


def arrived(error: Exception) -> TeeheeError:
    with pytest.raises(TeeheeError) as caught:
        frames.raise_failure(sent(error))
    return caught.value


def test_a_request_is_read() -> None:
    line = b'{"jsonrpc":"2.0","id":1,"method":"effect.submit","params":{"agent":"a"}}'

    assert frames.decode_request(line) == Request(1, "effect.submit", {"agent": "a"})


def test_params_may_be_left_out() -> None:
    assert frames.decode_request(b'{"jsonrpc":"2.0","id":"x","method":"due"}') == Request("x", "due", {})


def test_a_request_without_an_id_is_a_notification() -> None:
    assert frames.decode_request(b'{"jsonrpc":"2.0","method":"due"}').id is None


def test_a_batch_is_refused() -> None:
    says = refused(frames.INVALID, b'[{"jsonrpc":"2.0","id":1,"method":"due"}]')

    assert "batches are not taken" in says


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="no JSON"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"due"', id="cut off"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"due"} {}', id="two values"),
        pytest.param(b'\xff\xfe{"jsonrpc":"2.0"}', id="no UTF-8"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"due","params":{"a":"\xed\xa0\x80"}}', id="surrogate bytes"),
        pytest.param(b"[" * 200_000, id="nested without end"),
        pytest.param(b'{"a":' * 200_000, id="objects nested without end"),
        pytest.param(b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"due"}', id="a number of 5,000 digits"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"due","params":{"a":NaN}}', id="NaN"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"due","params":{"a":-Infinity}}', id="infinity"),
    ],
)
def test_a_line_that_is_no_json_is_refused(line: bytes) -> None:
    refused(frames.PARSE, line)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        pytest.param(frames.INVALID, b"null", id="null"),
        pytest.param(frames.INVALID, b'"due"', id="a string"),
        pytest.param(frames.INVALID, b"{}", id="an empty object"),
        pytest.param(frames.INVALID, b'{"id":1,"method":"due"}', id="no version"),
        pytest.param(frames.INVALID, b'{"jsonrpc":2.0,"id":1,"method":"due"}', id="a version that is a number"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"1.0","id":1,"method":"due"}', id="an older version"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":1}', id="no method"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":1,"method":""}', id="an empty method"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":1,"method":["due"]}', id="a method that is a list"),
        pytest.param(
            frames.INVALID, b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 65 + b'"}', id="a method of 65 characters"
        ),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":1,"method":"due","role":"owner"}', id="another key"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":true,"method":"due"}', id="an id that is a boolean"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":1.5,"method":"due"}', id="an id that is a fraction"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":{},"method":"due"}', id="an id that is an object"),
        pytest.param(frames.INVALID, b'{"jsonrpc":"2.0","id":1,"result":{}}', id="an answer"),
        pytest.param(frames.BAD_PARAMS, b'{"jsonrpc":"2.0","id":1,"method":"due","params":[]}', id="params as a list"),
        pytest.param(frames.BAD_PARAMS, b'{"jsonrpc":"2.0","id":1,"method":"due","params":null}', id="params of null"),
    ],
)
def test_json_that_is_no_request_is_refused(code: int, line: bytes) -> None:
    refused(code, line)


def test_a_message_is_one_line_whatever_it_says() -> None:
    line = frames.encode({"text": "one\ntwo\r\n\u2028three\x00"})

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"text": "one\ntwo\r\n\u2028three\x00"}


def test_a_lone_surrogate_never_breaks_an_answer() -> None:
    line = frames.result("\ud800", {"text": "\udfff"})

    assert json.loads(line.decode()) == {"jsonrpc": "2.0", "id": "?", "result": {"text": "?"}}


def test_a_refusal_arrives_with_its_rule_and_its_reason() -> None:
    error = arrived(Refused("base.already-answered", "this event has its answer"))

    assert isinstance(error, Refused)
    assert error.rule == "base.already-answered"
    assert error.reason == "this event has its answer"


def test_an_unavailability_arrives_with_its_code_and_its_patience() -> None:
    error = arrived(Unavailable("the disk is full", code="disk", retry_after=2.5))

    assert isinstance(error, Unavailable)
    assert (error.code, error.retry_after, str(error)) == ("disk", 2.5, "the disk is full")


@pytest.mark.parametrize("error", [Malformed("params: missing key 'agent'"), BadFrame(frames.NO_METHOD, "no 'x' here")])
def test_a_fault_in_form_arrives_as_malformed(error: TeeheeError) -> None:
    came = arrived(error)

    assert isinstance(came, Malformed)
    assert str(came) == str(error)


def test_a_fault_that_a_person_must_mend_arrives_as_one() -> None:
    error = arrived(ConfigError("the log key derived now is another", hint="restore the right data folder"))

    assert isinstance(error, ConfigError)
    assert str(error) == "the log key derived now is another"


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("x", hint="restore the right data folder"),
        Refused("secret.unknown", "x", hint="restore the right data folder"),
        Unavailable("x", code="disk", hint="restore the right data folder"),
    ],
)
def test_what_to_do_arrives_with_the_error(error: TeeheeError) -> None:
    assert arrived(error).hint == "restore the right data folder"


def test_an_error_that_is_not_ours_tells_nothing() -> None:
    told = sent(KeyError("SECRET-CANARY"))

    assert told == {"code": frames.INTERNAL, "message": "internal error; the log has it"}


def test_a_long_sentence_is_cut() -> None:
    assert len(sent(Malformed("x" * 100_000))["message"]) == 2000


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_line_is_a_request_or_a_bad_frame(line: bytes) -> None:
    try:
        request = frames.decode_request(line)
    except BadFrame:
        return

    assert 0 < len(request.method) <= 64


JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "x"])


@given(st.dictionaries(KEYS, st.just("2.0") | st.just("due") | JSON, max_size=5))
def test_any_object_is_a_strict_request_or_a_bad_frame(message: Json) -> None:
    try:
        request = frames.decode_request(json.dumps(message).encode())
    except BadFrame:
        return

    assert message.keys() <= {"jsonrpc", "id", "method", "params"}
    assert message["jsonrpc"] == "2.0"
    assert (request.method, request.params) == (message["method"], message.get("params", {}))
    assert request.id == message.get("id")
