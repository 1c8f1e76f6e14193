"""One child process: started with a clean environment, watched, and told apart by what it says at its start."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from teehee.errors import TeeheeError

Json = Any

# All a child's environment holds: no key, no proxy, no path that steers an import.
ENVIRONMENT = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
READY_SECONDS = 20.0
LOG_LIMIT = 8 << 20
SENTENCE_LIMIT = 500  # characters


class CannotStart(TeeheeError):
    """A child ended before it was ready; says what it said, or where its log is."""


def command(name: str) -> list[str]:
    """How `name` is started. The vault: isolated, without site, its two import roots named."""
    source = Path(__file__).parents[2]
    if name == "vault":
        library = Path(str(find_spec("cryptography").origin)).parents[1]  # type: ignore[union-attr] # a dependency
        return [sys.executable, "-I", "-S", str(source / "teehee/vault/__main__.py"), str(source), str(library)]
    return [sys.executable, "-I", "-m", f"teehee.{name}"]


class Child:
    """A process of ours. `start` spawns it, `boot` hands it its message and waits until it is ready."""

    def __init__(self, name: str, logs: Path, prefix: Sequence[str] = (), part: str = "") -> None:
        self.name = name
        self.part = part or name
        self.log_file = logs / f"{name}.log"
        self.prefix = list(prefix)
        self.process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    async def start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.log_file.stat().st_size > LOG_LIMIT:
                self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with open(self.log_file, "ab") as log:  # noqa: ASYNC230 - handed to the child, not written here
            self.process = await asyncio.create_subprocess_exec(
                *self.prefix,
                *command(self.part),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                limit=1 << 20,
            )

    async def boot(self, message: Json) -> Json:
        """Hands over the boot message; gives what the child says when it is ready. Raises CannotStart."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            await process.stdin.drain()
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            raise self._cannot(f"was not ready within {READY_SECONDS:g} s") from None
        if not line:
            raise self._cannot(f"ended with code {await process.wait()} before it was ready")
        return self._status(line)

    def _status(self, line: bytes) -> Json:
        """What a status line says: the facts of being ready, or the reason of not becoming so, raised."""
        try:
            status = json.loads(line)
            if "ready" in status:
                return status["ready"]
            error = CannotStart(status["error"], hint=status["hint"])
            error.exit_code = int(status["exit"])
        except (ValueError, TypeError, KeyError):
            raise self._cannot(f"said {line[:60]!r}, which is no status line") from None
        raise error

    async def sentences(self) -> AsyncIterator[str]:
        """What the child says while it runs, for whoever watches; what is no such line is passed over."""
        stream = self._running().stdout
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
                if not line:
                    return
                said = json.loads(line)["tell"]
            except (ValueError, TypeError, KeyError):  # a line too long is a ValueError, and is dropped
                continue
            if isinstance(said, str):
                yield "".join(c if c.isprintable() else " " for c in said[:SENTENCE_LIMIT])

    def tell(self, word: str) -> None:
        """Sends a command line, such as `drain`."""
        process = self._running()
        if process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(word.encode() + b"\n")

    async def wait(self) -> int:
        return await self._running().wait()

    async def stop(self, seconds: float) -> None:
        """Asks it to end; kills it when it has not after `seconds`."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _running(self) -> asyncio.subprocess.Process:
        if self.process is None:
            raise CannotStart(f"the {self.name} was not started")
        return self.process

    def _cannot(self, what: str) -> CannotStart:
        return CannotStart(f"the {self.name} {what}", hint=f"its log says why: {self.log_file}")
