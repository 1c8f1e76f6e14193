"""An endpoint on loopback that says what it is told to: answers, failures, delays, garbage.

It is OpenAI-shaped below `url`; below `root` Anthropic's and Ollama's own ways are there as well.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

from teehee.testing.wires import ALL, LITTLE, Used, Wire, completion

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

    pieces: Iterable[str | bytes]
    pause_seconds: float = 0.0
    cut_after: int | None = None
    finish_reason: str | None = "stop"
    done: bool = True


@dataclass(frozen=True, slots=True)
class Reset:
    """No answer at all: the connection is reset."""


Script = str | Raw | Streamed | Reset
Speak = Callable[[Json], Script | Awaitable[Script]]


def block(text: str, actions: str = "REPLY", **tags: str) -> str:
    """A well-formed response block."""
    more = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags.items())
    return f"<response><thought>t</thought><actions>{actions}</actions>{more}<text>{text}</text></response>"


def heard(request: Json) -> str:
    """The message a prompt asks an answer to."""
    content = request["messages"][-1]["content"]
    told = content if isinstance(content, str) else "".join(block["text"] for block in content)
    received: str = told.rsplit("# Received Message\n", 1)[-1]
    return received.partition("\n\n")[0].partition(": ")[2]


def echo(request: Json) -> Script:
    """Repeats the received message in a well-formed block."""
    return block(f"heard: {heard(request)}")


class ScriptedModel:
    """`async with ScriptedModel([...]) as model:` answers from the list, then as `speak` says.

    A text is streamed, a word a piece and `pause_seconds` before each, when the request asks for a stream.
    `usage` gives the (prompt, completion) tokens told for a request. `requests` keeps every request body, `headers`
    every request's headers. `port` 0 is any that is free.
    """

    def __init__(
        self,
        script: list[Script] | None = None,
        *,
        speak: Speak = echo,
        port: int = 0,
        pause_seconds: float = 0.0,
        usage: Callable[[Json], Used] = lambda asked: LITTLE,
    ) -> None:
        self.usage = usage
        self.script = list(script or [])
        self.speak = speak
        self.requests: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.port = port
        self.pause_seconds = pause_seconds
        self._runner: web.AppRunner | None = None
        self.root = ""
        self.url = ""
        self.hung_up = 0  # streams that nobody listened to any more
        self.tags: list[str] = []  # the models an Ollama says it has
        self.recordings: list[Json] = []  # what was to be transcribed: the form's fields, and the request's headers
        self.hears: Script = "I hear you."  # what is said in every recording

    async def __aenter__(self) -> "ScriptedModel":
        app = web.Application(client_max_size=16 << 20)
        for path in ALL:
            app.router.add_post(path, self._complete)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        host, self.port = self._runner.addresses[0][:2]
        self.root = f"http://{host}:{self.port}"
        self.url = f"{self.root}/v1"
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

    async def _tags(self, request: web.Request) -> web.Response:
        return web.json_response({"models": [{"name": name, "model": name} for name in self.tags]})

    async def _transcribe(self, request: web.Request) -> web.Response:
        """https://platform.openai.com/docs/api-reference/audio/createTranscription"""
        form = await request.post()
        told = {name: value.file.read() if isinstance(value, web.FileField) else value for name, value in form.items()}
        self.recordings.append(told | {"headers": dict(request.headers)})
        if isinstance(self.hears, Raw):
            return web.Response(body=self.hears.body, status=self.hears.status, headers=dict(self.hears.headers))
        return web.json_response({"text": self.hears, "usage": {"type": "duration", "seconds": 3}})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        wire = ALL[request.path]
        asked = await request.json()
        self.requests.append(asked)
        self.headers.append(dict(request.headers))
        said = self.script.pop(0) if self.script else self.speak(asked)
        if isinstance(said, Awaitable):
            said = await said
        if isinstance(said, Reset):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(said, Raw):
            if said.delay_seconds:
                await asyncio.sleep(said.delay_seconds)
            return web.Response(body=said.body, status=said.status, headers=dict(said.headers))
        if isinstance(said, str) and asked.get("stream", wire.streams_unasked):
            said = Streamed(words(said), self.pause_seconds)
        used = self.usage(asked)
        if not isinstance(said, Streamed):
            return web.json_response(wire.whole(said, used))
        try:
            return await _stream(request, wire, said, used)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up += 1
            raise


async def _stream(request: web.Request, wire: Wire, said: Streamed, used: Used) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"content-type": wire.content_type})
    await answer.prepare(request)
    await answer.write(wire.begin)
    for number, piece in enumerate(said.pieces):
        if said.pause_seconds:
            await asyncio.sleep(said.pause_seconds)
        if number == said.cut_after:
            assert request.transport is not None
            request.transport.abort()
            return answer
        await answer.write(piece if isinstance(piece, bytes) else wire.piece(piece))
    if said.finish_reason:
        await answer.write(wire.end(said.finish_reason, used))
    if said.done:
        await answer.write(wire.done)
    await answer.write_eof()
    return answer


def words(text: str) -> list[str]:
    """The text in pieces as a model gives it, about a word each; joined again they are the text."""
    return re.findall(r"\s*\S+\s*$|\s*\S+|\s+", text)


def completion_bytes(text: str) -> bytes:
    return json.dumps(completion(text)).encode()
