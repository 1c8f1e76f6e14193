"""The `teehee` command as people run it: in a process of its own, in an environment that is told."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any
COMMAND = Path(sys.executable).parent / "teehee"
SECONDS = 50.0
NO_MODEL = {"TEEHEE_OLLAMA_URL": "off", "TEEHEE_LOCAL_MODEL": "off"}
# What a fresh shell has, and no model of this machine; nothing of the caller's environment steers a test.
FRESH = {"PATH": os.defpath, "HOME": str(Path.home()), "LANG": "C.UTF-8", **NO_MODEL}


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        return json.loads(self.out)


async def teehee(
    *arguments: object, environment: Mapping[str, str] | None = None, stdin: str = "", seconds: float = SECONDS
) -> Ended:
    """Runs `teehee ARGUMENTS` to its end, in a fresh shell's environment and what is given."""
    async with started(*arguments, environment=environment) as process:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def started(
    *arguments: object, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`teehee ARGUMENTS`, running; it is ended with the context, kindly first."""
    process = await asyncio.create_subprocess_exec(
        *command_line(*arguments), env=FRESH | dict(environment or {}),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.communicate()


def command_line(*arguments: object) -> list[str]:
    """`teehee ARGUMENTS`, to be started by other means."""
    return [str(COMMAND), *map(str, arguments)]
