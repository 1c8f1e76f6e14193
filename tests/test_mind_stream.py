"""A chat completion in pieces: heard as it comes, given only when it is whole."""

import json

import pytest

from teehee.errors import ActionFailed, AskAgain, TeeheeError, Unavailable
from teehee.mind import stream
from teehee.mind.stream import LIMIT, Words, content
from teehee.testing.scripted_model import completion_bytes
from teehee.testing.wires import chunk

DONE = b"data: [DONE]\n\n"


def heard(*pieces: bytes) -> tuple[str, list[str]]:
    """(the whole, what was heard of it on the way)"""
    said: list[str] = []
    words = Words(said.append)
    for piece in pieces:
        words.feed(piece)
    return words.whole(), said


def test_each_piece_is_heard_and_the_whole_is_given() -> None:
    assert heard(chunk({"content": "one "}), chunk({"content": "two"}), DONE) == ("one two", ["one ", "two"])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_it_does_not_matter_where_the_bytes_are_split(size: int) -> None:
    data = b": hello\r\n\r\n" + chunk({"content": "héllo 🙂 "}) + chunk({"content": "w\nörld"}) + DONE

    whole, said = heard(*(data[i : i + size] for i in range(0, len(data), size)))

    assert whole == "héllo 🙂 w\nörld"
    assert said == ["héllo 🙂 ", "w\nörld"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(chunk({"content": "hi"}) + DONE, id="done and no reason"),
        pytest.param(chunk({"content": "hi"}) + chunk({}, "stop"), id="a reason and no done"),
        pytest.param(chunk({"content": "hi"}, "stop"), id="the reason with the last words"),
        pytest.param((chunk({"content": "hi"}) + DONE).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param((chunk({"content": "hi"}) + DONE).replace(b"data: ", b"data:"), id="no blank behind the colon"),
        pytest.param((chunk({"content": "hi"}) + DONE).rstrip(), id="no line end behind the last event"),
        pytest.param(b": ping\nevent: x\nid: 3\nretry: 9\n\n" + chunk({"content": "hi"}) + DONE, id="other fields"),
        pytest.param(b"\x00\xffgarbage\n<html>\n" + chunk({"content": "hi"}) + DONE, id="garbage between events"),
        pytest.param(chunk({"content": "hi"}) + DONE + chunk({"content": " there"}), id="more behind the end"),
        pytest.param(chunk({"content": "hi"}) + b'data: {"choices": [], "usage": {}}\n\n' + DONE, id="a word on usage"),
        pytest.param(chunk({"role": "assistant", "content": None}) + chunk({"content": "hi"}) + DONE, id="null first"),
    ],
)
def test_what_servers_do_differently_is_read_alike(data: bytes) -> None:
    assert heard(data)[0] == "hi"


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        pytest.param(chunk({"content": "half"}), Unavailable, "model-down", id="cut"),
        pytest.param(chunk({"content": "half"})[:-9], Unavailable, "model-down", id="cut within an event"),
        pytest.param(b"", Unavailable, "model-down", id="nothing at all"),
        pytest.param(b"data: {oops\n\n" + DONE, Unavailable, "model-down", id="no JSON"),
        pytest.param(b"data: [1]\n\n" + DONE, Unavailable, "model-down", id="a list"),
        pytest.param(b'data: {"choices": [7]}\n\n' + DONE, Unavailable, "model-down", id="choices of another shape"),
        pytest.param(chunk({"content": ["a"]}) + DONE, Unavailable, "model-down", id="content of another shape"),
        pytest.param(b"data: " + b"[" * 100_000 + b"\n\n", Unavailable, "model-down", id="deep nesting"),
        pytest.param(b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n', Unavailable, "model-down", id="UTF-8"),
        pytest.param(b'data: {"error": {"message": "boom"}}\n\n', Unavailable, "model-down", id="an error"),
        pytest.param(b'data: {"error": {"code": "slow"}}\n\n', Unavailable, "model-slow", id="the gate gave up"),
        pytest.param(b'data: {"error": "rate_limit_exceeded"}\n\n', Unavailable, "model-busy", id="a rate limit"),
        pytest.param(b'data: {"error": {"code": "insufficient_quota"}}\n\n', Unavailable, "model-quota", id="quota"),
        pytest.param(b'data: {"error": "context_length_exceeded"}\n\n', ActionFailed, "model-too-long", id="too long"),
        pytest.param(chunk({"content": " \n"}) + DONE, AskAgain, "failed", id="blank"),
        pytest.param(chunk({}, "stop") + DONE, AskAgain, "failed", id="empty"),
        pytest.param(chunk({"tool_calls": [{"id": "1"}]}, "tool_calls") + DONE, AskAgain, "failed", id="a tool call"),
        pytest.param(chunk({"content": "x"}, "content_filter") + DONE, AskAgain, "failed", id="a content filter"),
        pytest.param(chunk({"content": "x" * (LIMIT + 1)}) + DONE, AskAgain, "failed", id="far too long"),
        pytest.param(b"data: " + b"x" * (LIMIT + 1), AskAgain, "failed", id="a line without end"),
    ],
)
def test_what_is_no_whole_answer_is_none(data: bytes, kind: type[TeeheeError], code: str) -> None:
    with pytest.raises(kind) as caught:
        heard(data)

    assert type(caught.value) is kind
    assert getattr(caught.value, "code", "") == code


def test_many_small_pieces_are_too_long_together() -> None:
    piece = chunk({"content": "x" * 1000})

    with pytest.raises(AskAgain, match="too long"):
        heard(*[piece] * (LIMIT // 1000 + 1))


def test_an_answer_that_came_in_one_is_read_too() -> None:
    assert content(completion_bytes("hello")) == "hello"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param({"error": {"message": "boom"}}, Unavailable, id="an error under status 200"),
        pytest.param({"choices": [{"message": {"content": None, "tool_calls": [{}]}}]}, AskAgain, id="a tool call"),
        pytest.param({"choices": [{"message": {"content": None}}]}, AskAgain, id="null"),
        pytest.param(
            {"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}, AskAgain, id="a filter"
        ),
        pytest.param({"choices": [{"message": {"content": {}}}]}, Unavailable, id="an object"),
    ],
)
def test_an_answer_in_one_that_will_not_do(body: object, kind: type[TeeheeError]) -> None:
    with pytest.raises(kind) as caught:
        content(json.dumps(body).encode())

    assert type(caught.value) is kind


def test_half_a_surrogate_pair_can_be_written_all_the_same() -> None:
    assert stream.clean("a\ud83d") == "a?"
