"""What an answer used is read from every wire format, whole or in pieces; what cannot be believed counts as untold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.gate.usage import ANTHROPIC, OLLAMA, OPENAI, TOKENS_LIMIT, Meter, Usage

Json = Any


def sse(*events: Json) -> bytes:
    return b"".join(b"data: " + (e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n\n" for e in events)


def lines(*values: Json) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def told(wire: str, content: bytes, *, streamed: bool, complete: bool = True, piece: int = 7) -> Usage | None:
    meter = Meter(wire, streamed=streamed)
    for start in range(0, len(content), piece):
        meter.feed(content[start : start + piece])
    return meter.told(complete=complete)


OPENAI_USAGE = {"prompt_tokens": 900, "completion_tokens": 50, "total_tokens": 950}
DELTA = {"choices": [{"index": 0, "delta": {"content": 'the "usage" of words'}}]}
START = {"type": "message_start", "message": {"usage": {"input_tokens": 20, "cache_read_input_tokens": 700,
         "cache_creation_input_tokens": 30, "output_tokens": 1}}}  # fmt: skip
ENDS = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}}
STOP = {"type": "message_stop"}
OLLAMA_LAST = {"model": "m", "done": True, "prompt_eval_count": 26, "eval_count": 298}

WHOLE: dict[str, tuple[str, Json, Usage]] = {
    "openai": (OPENAI, {"choices": [], "usage": OPENAI_USAGE}, Usage(900, 50)),
    "openai with a cache": (
        OPENAI,
        {"usage": OPENAI_USAGE | {"prompt_tokens_details": {"cached_tokens": 800}}},
        Usage(100, 50, 800),
    ),
    "deepseek's name for it": (OPENAI, {"usage": OPENAI_USAGE | {"prompt_cache_hit_tokens": 640}}, Usage(260, 50, 640)),
    "thoughts in the total only": (OPENAI, {"usage": OPENAI_USAGE | {"total_tokens": 1500}}, Usage(900, 600)),
    "embeddings": (OPENAI, {"data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}, Usage(8)),
    "anthropic": (
        ANTHROPIC,
        {"usage": START["message"]["usage"] | {"output_tokens": 40}},  # type: ignore[index] # JSON
        Usage(20, 40, 700, 30),
    ),
    "ollama": (OLLAMA, OLLAMA_LAST, Usage(26, 298)),
    "ollama with the prompt in memory": (OLLAMA, {"done": True, "eval_count": 3}, Usage(0, 3)),
    "ollama's embeddings": (OLLAMA, {"embeddings": [[0.1]], "prompt_eval_count": 5}, Usage(5)),
}
STREAMS: dict[str, tuple[str, bytes, Usage]] = {
    "openai": (OPENAI, sse(DELTA, DELTA, {"choices": [], "usage": OPENAI_USAGE}, b"[DONE]"), Usage(900, 50)),
    "openai, null until the end": (
        OPENAI,
        sse(DELTA | {"usage": None}, {"choices": [], "usage": OPENAI_USAGE}, b"[DONE]"),
        Usage(900, 50),
    ),
    "openai, in every event": (
        OPENAI,
        sse(DELTA | {"usage": OPENAI_USAGE | {"completion_tokens": 1}}, DELTA | {"usage": OPENAI_USAGE}, b"[DONE]"),
        Usage(900, 50),
    ),
    "openai with carriage returns": (
        OPENAI,
        sse({"choices": [], "usage": OPENAI_USAGE}, b"[DONE]").replace(b"\n", b"\r\n"),
        Usage(900, 50),
    ),
    "anthropic": (ANTHROPIC, sse(START, {"type": "ping"}, ENDS, STOP), Usage(20, 40, 700, 30)),
    "ollama": (OLLAMA, lines({"done": False, "message": {"content": "eval_count"}}, OLLAMA_LAST), Usage(26, 298)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_tells_its_usage(name: str) -> None:
    wire, value, usage = WHOLE[name]

    assert told(wire, json.dumps(value).encode(), streamed=False) == usage


@pytest.mark.parametrize("piece", [1, 13, 1 << 20])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_tells_its_usage_however_it_is_cut_into_pieces(name: str, piece: int) -> None:
    wire, content, usage = STREAMS[name]

    assert told(wire, content, streamed=True, piece=piece) == usage


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_said_its_end_counts_though_the_mind_hung_up_then(name: str) -> None:
    wire, content, usage = STREAMS[name]

    assert told(wire, content, streamed=True, complete=False) == usage


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_before_its_end_tells_nothing(name: str) -> None:
    wire, content, _ = STREAMS[name]
    cut = content[: content.rindex(b"[DONE]") if wire == OPENAI else len(content) // 2]

    assert told(wire, cut, streamed=True, complete=False) is None


def test_the_first_half_of_an_anthropic_stream_is_no_usage_even_at_a_clean_end() -> None:
    assert told(ANTHROPIC, sse(START), streamed=True) is None


def test_a_line_without_its_end_still_counts() -> None:
    assert told(OLLAMA, lines(OLLAMA_LAST).rstrip(), streamed=True) == Usage(26, 298)


@pytest.mark.parametrize(
    "odd", [-1, 1.5, True, "12", [], {}, TOKENS_LIMIT + 1, 10**400], ids=lambda value: str(value)[:20]
)
def test_a_number_that_is_none_is_not_believed(odd: Json) -> None:
    answers = [
        (OPENAI, {"usage": {"prompt_tokens": odd, "completion_tokens": 1}}),
        (OPENAI, {"usage": {"prompt_tokens": 1, "completion_tokens": odd}}),
        (ANTHROPIC, {"usage": {"input_tokens": odd, "output_tokens": 1}}),
        (ANTHROPIC, {"usage": {"input_tokens": 1, "output_tokens": odd}}),
        (OLLAMA, {"done": True, "eval_count": odd}),
    ]

    assert [told(wire, json.dumps(value).encode(), streamed=False) for wire, value in answers] == [None] * 5


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"usage": 3}', b"{", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("wire", [OPENAI, ANTHROPIC, OLLAMA])
def test_what_is_no_answer_tells_nothing(wire: str, content: bytes) -> None:
    assert told(wire, content, streamed=False, piece=1 << 20) is None
    assert told(wire, b"data: " + content + b"\n\n", streamed=True, piece=1 << 20) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["usage", "type", "message", "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens",
         "output_tokens", "prompt_tokens_details", "cached_tokens", "done", "eval_count", "prompt_eval_count"]
    ), inner, max_size=6),
)  # fmt: skip


@given(
    wire=st.sampled_from([OPENAI, ANTHROPIC, OLLAMA]),
    parts=st.lists(st.binary(max_size=40) | json_values.map(lambda v: json.dumps(v).encode()), max_size=8),
    streamed=st.booleans(),
    piece=st.integers(1, 50),
    complete=st.booleans(),
)
def test_whatever_comes_the_meter_gives_a_usage_or_nothing(
    wire: str, parts: list[bytes], streamed: bool, piece: int, complete: bool
) -> None:
    content = b"".join(b"data: " * (wire != OLLAMA and streamed) + part + b"\n" for part in parts)

    found = told(wire, content, streamed=streamed, piece=piece, complete=complete)

    assert found is None or min(found.prompt, found.completion, found.cached, found.written) >= 0
