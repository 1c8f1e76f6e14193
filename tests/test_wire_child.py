"""How a child lives: told everything on stdin, tells one status line, ends with its supervisor."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teehee.testing import until

Json = Any
SECONDS = 20.0
BOOT = {"data": "/data", "sockets": "/run", "owner_keys": ["aa"]}
CHILD = """
from teehee.errors import ConfigError
from teehee.wire import boot, child

async def main(settings, life):
    if settings.data == "/bad":
        raise ConfigError("the data folder is bad", hint="choose another")
    if settings.data == "/crash":
        raise KeyError("a mistake of ours")
    life.ready(data=settings.data, keys=list(settings.owner_keys))
    await life.draining.wait()
    life.ready(draining=True, stopping=life.stopping.is_set())
    await life.stopping.wait()
    life.ready(stopping=True)

child.run(boot.VaultBoot, main)
"""


class Started:
    """A real child process and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    async def tell(self, line: bytes) -> None:
        self.stdin.write(line + b"\n")
        await self.stdin.drain()

    async def says(self) -> Json:
        async with asyncio.timeout(SECONDS):
            return json.loads(await self.stdout.readline())

    async def ends(self) -> int:
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def started(boot: Json = BOOT) -> AsyncIterator[Started]:
    """A child that was handed `boot`; None hands it nothing."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    one = Started(process)
    try:
        if boot is not None:
            await one.tell(json.dumps(boot).encode())
        yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_a_child_gets_its_boot_message_and_says_when_it_is_ready() -> None:
    async with started() as child:
        assert await child.says() == {"ready": {"data": "/data", "keys": ["aa"]}}


async def test_a_child_ends_when_its_supervisor_is_gone() -> None:
    async with started() as child:
        await child.says()
        child.stdin.close()

        assert await child.says() == {"ready": {"draining": True, "stopping": True}}
        assert await child.says() == {"ready": {"stopping": True}}
        assert await child.ends() == 0


async def test_a_child_ends_on_sigterm() -> None:
    async with started() as child:
        await child.says()
        child.process.send_signal(signal.SIGTERM)

        assert await child.ends() == 0


async def test_a_child_that_is_told_to_drain_does_not_stop_yet() -> None:
    async with started() as child:
        await child.says()
        await child.tell(b"drain")
        draining = await child.says()
        child.process.send_signal(signal.SIGTERM)
        stopped = await child.says()

    assert draining == {"ready": {"draining": True, "stopping": False}}
    assert stopped == {"ready": {"stopping": True}}


async def test_a_child_leaves_ctrl_c_to_its_supervisor() -> None:
    async with started() as child:
        await child.says()
        child.process.send_signal(signal.SIGINT)
        await child.tell(b"drain")

        assert await child.says() == {"ready": {"draining": True, "stopping": False}}


async def test_a_word_that_no_child_knows_changes_nothing() -> None:
    async with started() as child:
        await child.says()
        await child.tell(b"stop\n\xff\xff\n\ndrain")

        assert await child.says() == {"ready": {"draining": True, "stopping": False}}


async def test_an_error_that_people_can_mend_is_the_status_line() -> None:
    async with started({**BOOT, "data": "/bad"}) as child:
        said = await child.says()
        code = await child.ends()

    assert said == {"error": "the data folder is bad", "hint": "choose another", "exit": 2}
    assert code == 2


@pytest.mark.parametrize(
    ("boot", "says"),
    [
        (
            {**BOOT, "secret": "x"},
            "boot: unknown key 'secret'; known are data, sockets, owner_keys, failpoint, guest, era, keep, measured,"
            " isolated",
        ),
        ({**BOOT, "owner_keys": "aa"}, "boot.owner_keys: expected a list, got a string"),
        ([], "boot: expected an object, got a list"),
    ],
)
async def test_a_boot_message_of_another_shape_is_told(boot: Json, says: str) -> None:
    async with started(boot) as child:
        said = await child.says()

        assert said["error"] == says
        assert await child.ends() == 1


async def test_a_mistake_of_ours_ends_the_child_and_its_traceback_is_in_its_log() -> None:
    async with started({**BOOT, "data": "/crash"}) as child:
        code = await child.ends()
        said, log = await child.stdout.read(), await child.stderr.read()

    assert (code, said) == (1, b"")
    assert b"KeyError: 'a mistake of ours'" in log


async def test_a_child_that_is_never_booted_ends_with_its_supervisor_and_says_nothing() -> None:
    async with started(None) as child:
        child.stdin.close()
        code = await child.ends()
        said, log = await child.stdout.read(), await child.stderr.read()

    assert (code, said, log) == (0, b"", b"")


async def test_a_child_that_is_told_to_stop_before_its_boot_message_ends_by_itself() -> None:
    """As when another child refused to start: nobody is to wait for it until it is killed."""
    async with started(None) as child:
        await until(lambda: _catches(child.process.pid, signal.SIGTERM))
        child.process.send_signal(signal.SIGTERM)
        code = await child.ends()
        said, log = await child.stdout.read(), await child.stderr.read()

    assert (code, said, log) == (0, b"", b"")


def _catches(pid: int, number: int) -> bool:
    """Has a process a handler for this signal by now?"""
    (mask,) = re.findall(r"SigCgt:\t([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (number - 1) & 1)
