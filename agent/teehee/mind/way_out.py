"""POST over the gate's Unix socket: the mind's own HTTP client, small because it knows one server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import cast

import httptools

from teehee.wire import paths

AT_ONCE = 64  # requests under way; more wait for one of them
READ_AHEAD = 256 << 10  # bytes of an answer that may lie here unread


class WayOut:
    """Requests to the gate, each on a connection of its own that serves again afterwards."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._free = asyncio.Semaphore(AT_ONCE)
        self._idle: list[Answer] = []

    @contextlib.asynccontextmanager
    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> AsyncIterator["Answer"]:
        """The answer, its head read; left before its end, the gate is hung up on.

        Raises OSError when the gate is away or breaks off.
        """
        async with self._free:
            line = await self._connected()
            try:
                await line.ask(path, headers, body)
                yield line
            finally:
                if line.whole and line.stays:
                    self._idle.append(line)
                else:
                    line.transport.abort()

    async def _connected(self) -> "Answer":
        while self._idle:
            line = self._idle.pop()
            if not (line.lost or line.transport.is_closing()):
                return line
        _, line = await asyncio.get_running_loop().create_unix_connection(Answer, paths.short(self.socket))
        return line

    def close(self) -> None:
        """Ends the connections that wait for a next request."""
        for line in self._idle:
            line.transport.abort()


@contextlib.contextmanager
def opened(sockets: Path) -> Iterator[WayOut]:
    """The way to the gate's socket, and to nothing else."""
    way = WayOut(paths.socket_in(sockets, "gate"))
    try:
        yield way
    finally:
        way.close()


class Answer(asyncio.Protocol):
    """A connection, and the answer that comes over it now."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.whole = False
        self.stays = False  # the connection takes another request after this answer
        self._body = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._begin()

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def ask(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Sends a request and waits for the head of its answer."""
        self._begin()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: gate\r\n{lines}content-length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode("ascii") + body)  # in one piece, for one wake-up over there
        while not self.status:
            await self._more()

    async def read(self) -> bytes:
        """What has come of the body; b"" at its end. Raises ConnectionError when it is cut before."""
        while not (self._body or self.whole):
            await self._more()
        body, self._body = bytes(self._body), bytearray()
        self.transport.resume_reading()
        return body

    async def _more(self) -> None:
        if self.lost:
            raise ConnectionResetError("the gate broke off")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _begin(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status, self.headers, self.whole, self.stays = 0, {}, False, False

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but class

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.lost = True
            self.transport.abort()
        if len(self._body) > READ_AHEAD:
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._wake()

    # -- what the parser tells

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.whole, self.stays = True, self.parser.should_keep_alive()
