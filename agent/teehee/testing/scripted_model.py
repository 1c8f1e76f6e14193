"""An OpenAI-shaped endpoint on loopback that says what it is told to: answers, failures, delays, garbage."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

Json = Any


@dataclass(frozen=True, slots=True)
class Raw:
    """Exactly these bytes, as the whole answer of the endpoint."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """These words as server-sent events, piece by piece, whether the request asked for a stream or not.

    `pause_seconds` passes before each piece; after `cut_after` pieces the connection breaks off. `pieces` may hold
    bytes, which are sent as they are.
    """

    pieces: Sequence[str | bytes]
    pause_seconds: float = 0.0
    cut_after: int | None = None
    finish_reason: str | None = "stop"
    done: bool = True


Script = str | Raw | Streamed
Speak = Callable[[Json], Script | Awaitable[Script]]


def block(text: str, actions: str = "REPLY", **tags: str) -> str:
    """A well-formed response block."""
    more = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags.items())
    return f"<response><thought>t</thought><actions>{actions}</actions>{more}<text>{text}</text></response>"


def heard(request: Json) -> str:
    """The message a prompt asks an answer to."""
    received: str = request["messages"][-1]["content"].rsplit("# Received Message\n", 1)[-1]
    return received.partition("\n\n")[0].partition(": ")[2]


def echo(request: Json) -> Script:
    """Repeats the received message in a well-formed block."""
    return block(f"heard: {heard(request)}")


class ScriptedModel:
    """`async with ScriptedModel([...]) as model:` answers from the list, then as `speak` says.

    A text is streamed, a word a piece and `pause_seconds` before each, when the request asks for a stream.
    `requests` keeps every request body, `headers` every request's headers. `port` 0 is any that is free.
    """

    def __init__(
        self, script: list[Script] | None = None, *, speak: Speak = echo, port: int = 0, pause_seconds: float = 0.0
    ) -> None:
        self.script = list(script or [])
        self.speak = speak
        self.requests: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.port = port
        self.pause_seconds = pause_seconds
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> "ScriptedModel":
        app = web.Application(client_max_size=16 << 20)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        host, self.port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{self.port}/v1"
        return self

    def forget(self) -> None:
        """Starts over: no script, nothing asked yet."""
        self.script.clear()
        self.requests.clear()
        self.headers.clear()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.requests.append(asked)
        self.headers.append(dict(request.headers))
        said = self.script.pop(0) if self.script else self.speak(asked)
        if isinstance(said, Awaitable):
            said = await said
        if isinstance(said, Raw):
            if said.delay_seconds:
                await asyncio.sleep(said.delay_seconds)
            return web.Response(body=said.body, status=said.status, headers=dict(said.headers))
        if isinstance(said, str) and asked.get("stream"):
            said = Streamed(words(said), self.pause_seconds)
        return await _stream(request, said) if isinstance(said, Streamed) else web.json_response(completion(said))


async def _stream(request: web.Request, said: Streamed) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    for number, piece in enumerate(said.pieces):
        if said.pause_seconds:
            await asyncio.sleep(said.pause_seconds)
        if number == said.cut_after:
            assert request.transport is not None
            request.transport.abort()
            return answer
        await answer.write(piece if isinstance(piece, bytes) else chunk({"content": piece}))
    if said.finish_reason:
        await answer.write(chunk({}, said.finish_reason))
    if said.done:
        await answer.write(b"data: [DONE]\n\n")
    await answer.write_eof()
    return answer


def words(text: str) -> list[str]:
    """The text in pieces as a model gives it, about a word each; joined again they are the text."""
    return re.findall(r"\s*\S+\s*$|\s*\S+|\s+", text)


def chunk(delta: Json, finish_reason: str | None = None) -> bytes:
    """One event of a streamed chat completion."""
    value = {
        "id": "scripted", "object": "chat.completion.chunk", "created": 0, "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }  # fmt: skip
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def completion(text: str) -> Json:
    """A chat completion as an OpenAI-shaped endpoint gives it."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "scripted", "object": "chat.completion", "created": 0, "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def completion_bytes(text: str) -> bytes:
    return json.dumps(completion(text)).encode()
