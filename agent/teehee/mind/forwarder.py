"""A loopback port in the mind that leads to the gate's socket, for clients that know only plain base URLs."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from teehee.wire import paths

HEAD_LIMIT, HEAD_SECONDS = 64 << 10, 10.0
PIECE = 64 << 10


@dataclass(frozen=True, slots=True)
class Way:
    """Where the port is, and the word every connection has to say in its first request: as a key it goes no further."""

    url: str
    word: str


@contextlib.asynccontextmanager
async def open_forwarder(sockets: Path) -> AsyncIterator[Way]:
    """Forwards connections to the gate until it is left; one that does not say the word leads nowhere."""
    gate, word = paths.short(paths.socket_in(sockets, "gate")), secrets.token_urlsafe(24)
    open_now: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this = asyncio.current_task()
        assert this is not None
        open_now.add(this)
        try:
            await _forward(reader, writer, str(gate), word.encode())
        except asyncio.CancelledError:
            pass  # by us, below: asyncio would log it as an accident
        finally:
            open_now.discard(this)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=HEAD_LIMIT)
    try:
        yield Way(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", word)
    finally:
        server.close()
        for task in open_now:
            task.cancel()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: str, word: bytes) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):  # TimeoutError too
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        if word not in head:
            return
        from_gate, to_gate = await asyncio.open_unix_connection(gate)
        to_gate.write(head)
        pipes = [asyncio.ensure_future(_pipe(reader, to_gate)), asyncio.ensure_future(_pipe(from_gate, writer))]
        try:  # one side gone, the other is not wanted any more: the gate gives up the call to the provider
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            to_gate.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(PIECE):
            sink.write(data)
            await sink.drain()
