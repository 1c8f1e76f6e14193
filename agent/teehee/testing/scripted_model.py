"""An OpenAI-shaped endpoint on loopback that says what it is told to: answers, failures, delays, garbage."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
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


Script = str | Raw
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

    `requests` keeps every request body, `headers` every request's headers. `port` 0 is any that is free.
    """

    def __init__(self, script: list[Script] | None = None, *, speak: Speak = echo, port: int = 0) -> None:
        self.script = list(script or [])
        self.speak = speak
        self.requests: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.port = port
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

    async def _complete(self, request: web.Request) -> web.Response:
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
        return web.json_response(completion(said))


def completion(text: str) -> Json:
    """A chat completion as an OpenAI-shaped endpoint gives it."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "scripted", "object": "chat.completion", "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def completion_bytes(text: str) -> bytes:
    return json.dumps(completion(text)).encode()
