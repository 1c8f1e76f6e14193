"""The server as a process of its own, for tests that kill what talks to it or run for long."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

Json = Any
START_SECONDS = 20.0


@dataclass(slots=True)
class TelegramProcess:
    """A running server: where it is, the first bot's token and id, and its control endpoint."""

    url: str
    token: str
    bot_id: int
    session: aiohttp.ClientSession

    @property
    def base_url(self) -> str:
        return f"{self.url}/bot"

    @property
    def file_url(self) -> str:
        return f"{self.url}/file/bot"

    async def do(self, on: Json, verb: str, *args: Json, **named: Json) -> Json:
        """One thing done there, such as `do({"user": id}, "says", {"chat": id}, "hello")`; raises LookupError."""
        return (await self._control(act(on, verb, *args, **named)))["result"]

    async def do_all(self, acts: list[Json]) -> "Done":
        """Many things (see `act`) done there in one go; raises LookupError."""
        told = await self._control(acts)
        return Done(told["results"], told["at"], told["waiting"])

    async def _control(self, asked: Json) -> Json:
        async with self.session.post(f"{self.url}/control", json=asked) as answer:
            told = await answer.json()
        if "error" in told:
            raise LookupError(told["error"])
        return told


@dataclass(frozen=True, slots=True)
class Done:
    """What came of many acts: their results, when they began (seconds since 1970), how many updates wait now."""

    results: list[Json]
    at: float
    waiting: int


def act(on: Json, verb: str, *args: Json, **named: Json) -> Json:
    """One thing to be done in the server's process."""
    return {"on": on, "do": verb, "args": args, "with": named}


@contextlib.asynccontextmanager
async def telegram_process(
    *, port: int = 0, username: str = "teehee_bot", token: str = ""
) -> AsyncIterator[TelegramProcess]:
    """Starts the server in a process, and ends it with the block."""
    module = "teehee.testing.telegram_server"
    options = ["--port", str(port), "--username", username, "--token", token]
    command = [sys.executable, "-m", module, *options]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            told = json.loads(await child.stdout.readline())
        async with aiohttp.ClientSession() as session:
            yield TelegramProcess(told["url"], told["token"], told["bot"], session)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()
