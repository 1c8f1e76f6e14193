"""How a child process lives: boot message in on stdin, a status line out on stdout, stop when stdin ends.

Line 1 of stdin is the boot message; later lines are commands (`drain`). Line 1 of stdout is the status; later ones
are sentences for whoever runs this. The end of stdin means the supervisor is gone, so no child ever outlives it. In a
container stdin is a file with the message alone: the process has no supervisor, and lives until SIGTERM.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import stat
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TextIO, TypeVar

from teehee.errors import TeeheeError
from teehee.wire import strict

Json = Any
T = TypeVar("T")
BOOT_LIMIT = 64 << 20
GARBAGE = 20_000  # objects made between two looks of the collector: a message makes a few hundred


class Life:
    """What a child may ask of its own life: has it been told to drain, or to stop?"""

    def __init__(self, status: TextIO | None = None) -> None:
        self.status = status or sys.stdout
        self.marks: dict[str, str] = {}  # files to write, with their text, once it is ready
        self.is_alone = False  # no supervisor: nobody says `drain`, or stops the others in order
        self.draining = asyncio.Event()
        self.stopping = asyncio.Event()

    def ready(self, **facts: Json) -> None:
        """Tells the supervisor that every socket of this process is open."""
        for path, text in self.marks.items():
            _mark(path, text)
        gc.freeze()  # what a start has built stays; the collector need not walk it again
        gc.set_threshold(GARBAGE)
        _tell(self.status, {"ready": facts})

    def tell(self, sentence: str) -> None:
        """Says something to whoever runs this, by way of the supervisor; not before `ready`."""
        _tell(self.status, {"tell": sentence})

    def stop(self) -> None:
        self.draining.set()
        self.stopping.set()


def run(kind: type[T], main: Callable[[T, Life], Awaitable[None]], runner: "asyncio.Runner | None" = None) -> None:
    """Runs `main` until it is told to stop; an error that people can mend goes out as the status line."""
    leave_no_core()
    status = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is printed in this process, by a plugin say, must not be taken for a status line
    with runner or asyncio.Runner() as loop_runner:
        try:
            loop_runner.run(_live(kind, main, status))
        except TeeheeError as error:
            _tell(status, {"error": str(error), "hint": error.hint, "exit": error.exit_code})
            sys.exit(error.exit_code)


def leave_no_core() -> None:
    """A crash of this process writes no memory to disk: it holds keys, tokens or private words.

    The limit is 1 byte and not 0: a kernel that hands cores to a program minds no limit but this one (core(5)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


async def _live(kind: type[T], main: Callable[[T, Life], Awaitable[None]], status: TextIO) -> None:
    loop = asyncio.get_running_loop()
    life = Life(status)
    loop.add_signal_handler(signal.SIGTERM, life.stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # whoever became this process held it back till now
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
    if stat.S_ISREG(os.fstat(0).st_mode):
        life.is_alone = True
        message = json.loads(_whole_file())
        life.marks = message.pop("marks", {})
        await main(strict.parse(kind, message, "boot"), life)
        return
    reader = asyncio.StreamReader(limit=BOOT_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    message = await _boot_message(reader, life)
    if not message:
        return
    boot = strict.parse(kind, json.loads(message), "boot")
    listener = asyncio.ensure_future(_listen(reader, life))
    try:
        await main(boot, life)
    finally:
        listener.cancel()


async def _boot_message(reader: asyncio.StreamReader, life: Life) -> bytes:
    """Line 1 of stdin; nothing when this process is told to stop, or its supervisor is gone, before it was needed."""
    reading, stopping = asyncio.ensure_future(reader.readline()), asyncio.ensure_future(life.stopping.wait())
    await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
    if reading.done():
        stopping.cancel()
        return reading.result()
    reading.cancel()
    return b""


def _whole_file() -> bytes:
    """The boot message in stdin, which is given up: it may hold secrets."""
    with open(0, "rb", closefd=False) as file:
        message = file.read()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return message


async def _listen(reader: asyncio.StreamReader, life: Life) -> None:
    while line := await reader.readline():
        if line.strip() == b"drain":
            life.draining.set()
    life.stop()


def _mark(path: str, text: str) -> None:
    """Writes a small file, whole or not at all, so that it stays."""
    with open(f"{path}.part", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.part", path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _tell(status: TextIO, told: dict[str, Json]) -> None:
    status.write(json.dumps(told) + "\n")
    status.flush()
