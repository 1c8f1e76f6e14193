"""A peer on a Unix socket that keeps to no protocol: it writes any bytes it likes and reads lines back."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from teehee.wire import paths

Json = Any
SECONDS = 10.0  # how long an answer may take before a test fails
LIMIT = 64 << 20


class RawPeer:
    """One connection. Everything that arrives and is no answer is kept in `pushed`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.pushed: list[Json] = []
        self._ids = itertools.count(1)

    async def write(self, data: bytes) -> None:
        """Writes bytes; what a peer that went away makes of them is seen by reading."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def send(self, message: Json) -> None:
        await self.write(json.dumps(message).encode() + b"\n")

    async def read(self) -> Json:
        """The next line that arrives; None when the other side has closed."""
        async with asyncio.timeout(SECONDS):
            try:
                line = await self.reader.readline()
            except ConnectionError:
                return None
        return json.loads(line) if line else None

    async def answer(self) -> Json:
        """The next line that is no push."""
        while (message := await self.read()) is not None and "method" in message:
            self.pushed.append(message)
        return message

    async def ask(self, method: str, params: Json = None, **more: Json) -> Json:
        """One request and its whole answer, error or not."""
        identity = next(self._ids)
        await self.send({"jsonrpc": "2.0", "id": identity, "method": method, "params": params or {}, **more})
        return await self.answer()

    async def is_closed(self) -> bool:
        """Waits until the other side has closed, reading over whatever it still says."""
        while await self.read() is not None:
            pass
        return True


@contextlib.asynccontextmanager
async def connected(path: Path) -> AsyncIterator[RawPeer]:
    """A raw connection to the socket at `path`."""
    reader, writer = await asyncio.open_unix_connection(paths.short(path), limit=LIMIT)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
