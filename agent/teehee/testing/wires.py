"""How providers put an answer on the wire, whole and as a stream: OpenAI's way, Anthropic's and Ollama's."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = Any
Used = tuple[int, int]  # tokens of prompt and completion
LITTLE: Used = (1, 1)
WHEN = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Wire:
    """`whole` answers at once; a stream is `begin`, `piece` for each, `end` with the reason and usage, and `done`."""

    path: str
    content_type: str
    streams_unasked: bool  # whether a request that says nothing of streams gets one
    whole: Callable[[str, Used], Json]
    begin: bytes
    piece: Callable[[str], bytes]
    end: Callable[[str, Used], bytes]
    done: bytes


def completion(text: str, used: Used = LITTLE) -> Json:
    """A chat completion as an OpenAI-shaped endpoint gives it."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "scripted", "object": "chat.completion", "created": 0, "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _openai_usage(used),
    }  # fmt: skip


def _openai_usage(used: Used) -> Json:
    return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}


def _openai_end(reason: str, used: Used) -> bytes:
    """The last event, and one more for who asked for usage; others pass over it."""
    told = json.loads(chunk({}).removeprefix(b"data: ")) | {"choices": [], "usage": _openai_usage(used)}
    return chunk({}, reason) + b"data: " + json.dumps(told).encode() + b"\n\n"


def chunk(delta: Json, finish_reason: str | None = None) -> bytes:
    """One event of a streamed chat completion."""
    value = {
        "id": "scripted", "object": "chat.completion.chunk", "created": 0, "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }  # fmt: skip
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _message(content: list[Json], stop_reason: str | None, used: Used = LITTLE) -> Json:
    return {
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": "scripted", "content": content,
        "stop_reason": stop_reason, "stop_sequence": None, "usage": {"input_tokens": used[0], "output_tokens": used[1]},
    }  # fmt: skip


def event(kind: str, **value: Json) -> bytes:
    """One event of Anthropic's stream."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **value}).encode())


def _anthropic_end(reason: str, used: Used) -> bytes:
    told = {"stop_reason": {"stop": "end_turn", "length": "max_tokens"}.get(reason, reason), "stop_sequence": None}
    stopped = event("content_block_stop", index=0)
    return stopped + event("message_delta", delta=told, usage={"input_tokens": used[0], "output_tokens": used[1]})


def line(content: str, **more: Json) -> bytes:
    """One line of Ollama's stream."""
    value = {"model": "scripted", "created_at": WHEN, "message": {"role": "assistant", "content": content}}
    return json.dumps({**value, "done": False, **more}).encode() + b"\n"


def _ollama_end(reason: str, used: Used) -> Json:
    return {"done": True, "done_reason": reason, "prompt_eval_count": used[0], "eval_count": used[1]}


OPENAI = Wire(
    path="/v1/chat/completions",
    content_type="text/event-stream",
    streams_unasked=False,
    whole=completion,
    begin=b"",
    piece=lambda text: chunk({"content": text}),
    end=_openai_end,
    done=b"data: [DONE]\n\n",
)
ANTHROPIC = Wire(
    path="/v1/messages",
    content_type="text/event-stream",
    streams_unasked=False,
    whole=lambda text, used: _message([{"type": "text", "text": text}], "end_turn", used),
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
    whole=lambda text, used: json.loads(line(text, **_ollama_end("stop", used))),
    begin=b"",
    piece=line,
    end=lambda reason, used: line("", **_ollama_end(reason, used)),
    done=b"",
)
ALL = {wire.path: wire for wire in (OPENAI, ANTHROPIC, OLLAMA)}
