"""How providers put an answer on the wire, whole and as a stream: OpenAI's way, Anthropic's and Ollama's."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = Any
WHEN = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Wire:
    """`whole` answers at once; a stream is `begin`, `piece` for each, `end` with the reason, and `done`."""

    path: str
    content_type: str
    streams_unasked: bool  # whether a request that says nothing of streams gets one
    whole: Callable[[str], Json]
    begin: bytes
    piece: Callable[[str], bytes]
    end: Callable[[str], bytes]
    done: bytes


def completion(text: str) -> Json:
    """A chat completion as an OpenAI-shaped endpoint gives it."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "scripted", "object": "chat.completion", "created": 0, "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def chunk(delta: Json, finish_reason: str | None = None) -> bytes:
    """One event of a streamed chat completion."""
    value = {
        "id": "scripted", "object": "chat.completion.chunk", "created": 0, "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }  # fmt: skip
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _message(content: list[Json], stop_reason: str | None) -> Json:
    return {
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": "scripted", "content": content,
        "stop_reason": stop_reason, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def event(kind: str, **value: Json) -> bytes:
    """One event of Anthropic's stream."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **value}).encode())


def _anthropic_end(reason: str) -> bytes:
    told = {"stop_reason": {"stop": "end_turn", "length": "max_tokens"}.get(reason, reason), "stop_sequence": None}
    stopped = event("content_block_stop", index=0)
    return stopped + event("message_delta", delta=told, usage={"output_tokens": 2})


def line(content: str, **more: Json) -> bytes:
    """One line of Ollama's stream."""
    value = {"model": "scripted", "created_at": WHEN, "message": {"role": "assistant", "content": content}}
    return json.dumps({**value, "done": False, **more}).encode() + b"\n"


OPENAI = Wire(
    path="/v1/chat/completions",
    content_type="text/event-stream",
    streams_unasked=False,
    whole=completion,
    begin=b"",
    piece=lambda text: chunk({"content": text}),
    end=lambda reason: chunk({}, reason),
    done=b"data: [DONE]\n\n",
)
ANTHROPIC = Wire(
    path="/v1/messages",
    content_type="text/event-stream",
    streams_unasked=False,
    whole=lambda text: _message([{"type": "text", "text": text}], "end_turn"),
    begin=event("message_start", message=_message([], None))
    + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + event("ping"),
    piece=lambda text: event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
    end=_anthropic_end,
    done=event("message_stop"),
)
OLLAMA = Wire(
    path="/api/chat",
    content_type="application/x-ndjson",
    streams_unasked=True,
    whole=lambda text: json.loads(line(text, done=True, done_reason="stop")),
    begin=b"",
    piece=line,
    end=lambda reason: line("", done=True, done_reason=reason),
    done=b"",
)
ALL = {wire.path: wire for wire in (OPENAI, ANTHROPIC, OLLAMA)}
