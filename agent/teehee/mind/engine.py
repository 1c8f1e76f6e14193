"""The local model's engine: a child process of the mind's that is started, warmed, asked and brought back."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from teehee.errors import TeeheeError, Unavailable
from teehee.log import get_logger
from teehee.mind import failures, llama
from teehee.mind.models import Hear, unheard
from teehee.mind.prompt import Chat
from teehee.mind.stream import Words, content
from teehee.wire import boot, paths

Json = Any
Warm = Callable[[], Awaitable[None]]
URL = "http://llama/v1/chat/completions"
LOAD_SECONDS = 120.0  # of a cold disk
FIRST_PAUSE, LAST_PAUSE = 0.5, 60.0
CALM_SECONDS = 60.0
log = get_logger()


class Engine:
    """One model in a child process: it crashes, hangs and takes its memory there.

    It is started when somebody first wants it warm. `is_warm` says that all who did have been called since its start.
    One call at a time: a second one would only halve the first one's speed.
    """

    def __init__(self, sockets: Path, brain: boot.Brain, session: aiohttp.ClientSession) -> None:
        self.sockets = sockets
        self.brain = brain
        self.session = session
        self.is_warm = False
        self.process: asyncio.subprocess.Process | None = None
        self.keeper: asyncio.Task[None] | None = None
        self._warmers: list[Warm] = []
        self._turn = asyncio.Lock()

    async def ask(self, slot: int, chat: Chat, hear: Hear = unheard, *, seconds: float = 0.0, **options: Json) -> str:
        """What the model says to `chat`. Raises Unavailable when it is away, AskAgain for an answer of no use.

        One that takes longer than `seconds` (0: the model's timeout) is taken to hang, and its process is ended.
        """
        streams = hear is not unheard
        asked = {"messages": chat, "id_slot": slot, "cache_prompt": True, "stream": streams, **options}
        async with self._turn:
            try:
                async with asyncio.timeout(seconds or self.brain.timeout_seconds):
                    return await self._post(asked, Words(hear) if streams else None)
            except TimeoutError:
                self.kill()
                raise failures.slow() from None
            except (aiohttp.ClientError, OSError) as error:
                self.is_warm = False
                told = f"the local model is away: {type(error).__name__}"
                raise Unavailable(told, code="model-down", retry_after=2.0) from None

    def warm_with(self, warm: Warm) -> None:
        """Has `warm` called after each start, and sees to it that the child runs from now on."""
        self._warmers.append(warm)
        if self.keeper is None:
            self.keeper = asyncio.ensure_future(self.keep())

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def keep(self) -> None:
        """Keeps the child up until cancelled, with a growing pause while it keeps ending."""
        pause = FIRST_PAUSE
        while True:
            begun = time.monotonic()
            try:
                await self.start()
                for warm in self._warmers:
                    await warm()
                self.is_warm = True
                log.info("model_warm", model=self.brain.model, seconds=round(time.monotonic() - begun, 1))
                await self._running().wait()
                log.warning("model_ended", model=self.brain.model, code=self._running().returncode)
            except TeeheeError as error:
                log.warning("model_out", model=self.brain.model, reason=str(error), hint=error.hint)
            finally:
                self.is_warm = False
                self.kill()
            await self._running().wait()
            pause = FIRST_PAUSE if time.monotonic() - begun > CALM_SECONDS else min(pause * 2, LAST_PAUSE)
            await asyncio.sleep(pause)

    async def start(self) -> None:
        """Starts the child and waits until the model is loaded. Raises Unavailable with the engine's reason."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", "teehee.mind.llama",
            str(self.sockets), self.brain.weights, str(self.brain.threads),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                line = await self.process.stdout.readline()
        except TimeoutError:
            line = b""
        told = json.loads(line) if line else {"error": "it ended before it was loaded"}
        if "error" in told:
            raise Unavailable(
                f"{self.brain.weights} does not load: {told['error']}", code="model-down",
                hint="`teehee model test` tries it; `teehee model list` looks at the file",
            )  # fmt: skip

    async def _post(self, asked: Json, words: Words | None) -> str:
        async with self.session.post(URL, json=asked) as answer:
            if answer.status != 200:
                raise failures.of_status(answer.status, (await answer.read()).decode("utf-8", "replace"))
            if words is None:
                return content(await answer.read())
            async for data in answer.content.iter_any():
                words.feed(data)
            return words.whole()

    def _running(self) -> asyncio.subprocess.Process:
        assert self.process is not None
        return self.process


@contextlib.asynccontextmanager
async def open_engine(sockets: Path, brain: boot.Brain) -> AsyncIterator[Engine]:
    """An engine whose child is not started yet; it ends with the context."""
    connector = aiohttp.UnixConnector(paths.short(sockets / llama.SOCKET), force_close=True)  # it ends idle ones
    untimed = aiohttp.ClientTimeout(total=None)  # `ask` bounds every call
    async with aiohttp.ClientSession(connector=connector, timeout=untimed, trust_env=False) as session:
        engine = Engine(sockets, brain, session)
        try:
            yield engine
        finally:
            if engine.keeper is not None:
                engine.keeper.cancel()
                await asyncio.wait([engine.keeper])
            engine.kill()
            if engine.process is not None:
                await engine.process.wait()
