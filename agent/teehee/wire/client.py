"""Calls another process, through its restarts: every method we have is safe to send twice."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from teehee.errors import TeeheeError, Unavailable
from teehee.wire import frames, paths

Json = Any
Notify = Callable[[str, dict[str, Json]], None]

PATIENCE = 30.0  # seconds a call waits for its peer to come back
ANSWER_LIMIT = 32 << 20  # bytes in one answer
FIRST_DELAY, LAST_DELAY = 0.01, 0.5


class Client:
    """A connection that comes back by itself.

    `call` resends what was in flight when the peer died, so a peer's methods must be idempotent.
    `on_connect` runs after every (re)connection, before waiting calls go out; `on_notify` gets pushes.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_connect: Callable[["Client"], Awaitable[None]] | None = None,
        on_notify: Notify | None = None,
    ) -> None:
        self.path = path
        self.on_connect = on_connect
        self.on_notify = on_notify
        self._ids = itertools.count(1)
        self._link: _Link | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Client":
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    @property
    def is_up(self) -> bool:
        """Is there a connection just now?"""
        return self._link is not None

    async def call(self, method: str, params: dict[str, Json] | None = None, *, patience: float = PATIENCE) -> Json:
        """The peer's result. Raises Unavailable when it stays away, Refused when a rule says no."""
        line_id = next(self._ids)
        line = frames.encode({"jsonrpc": "2.0", "id": line_id, "method": method, "params": params or {}})
        until = asyncio.get_running_loop().time() + patience
        try:
            while True:
                link = self._link
                if link is None:
                    async with asyncio.timeout_at(until):
                        await self._up.wait()
                    continue
                try:
                    return await link.send(line_id, line, until)
                except ConnectionError:
                    continue
        except TimeoutError:
            raise Unavailable(f"{self.path.stem} did not answer {method!r} in {patience:g} s", code="peer") from None

    async def call_now(self, method: str, *, patience: float) -> Json:
        """The peer's result over the connection there is just now.

        Raises Unavailable, code `away` when there is none or it breaks, `silent` when no answer comes.
        """
        link = self._link
        try:
            if link is None:
                raise ConnectionError
            async with asyncio.timeout(patience):
                return await _Direct(link, self._ids).call(method)
        except ConnectionError:
            raise Unavailable(f"no connection to {self.path.stem}", code="away") from None
        except TimeoutError:
            raise Unavailable(f"{self.path.stem} did not answer in {patience:g} s", code="silent") from None

    async def _keep(self) -> None:
        delay = FIRST_DELAY
        loop = asyncio.get_running_loop()
        while True:
            try:
                _, link = await loop.create_unix_connection(lambda: _Link(self.on_notify), paths.short(self.path))
            except OSError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_DELAY)
                continue
            delay = FIRST_DELAY
            await self._connected(link)

    async def _connected(self, link: "_Link") -> None:
        try:
            if self.on_connect is not None:
                async with asyncio.timeout(PATIENCE):
                    await self.on_connect(_Direct(link, self._ids))
            self._link = link
            self._up.set()
            await link.closed.wait()
        except (ConnectionError, TimeoutError, TeeheeError):
            await asyncio.sleep(FIRST_DELAY)
        finally:
            self._link = None
            self._up.clear()
            link.transport.close()


class _Direct(Client):
    """The client handed to `on_connect`: this very connection, no waiting for another."""

    def __init__(self, link: "_Link", ids: "itertools.count[int]") -> None:
        self._only, self._ids = link, ids

    async def call(self, method: str, params: dict[str, Json] | None = None, *, patience: float = PATIENCE) -> Json:
        line_id = next(self._ids)
        line = frames.encode({"jsonrpc": "2.0", "id": line_id, "method": method, "params": params or {}})
        return await self._only.send(line_id, line)


class _Link(asyncio.Protocol):
    """One connection's life: futures by request id."""

    transport: asyncio.Transport

    def __init__(self, on_notify: Notify | None) -> None:
        self.on_notify = on_notify
        self.waiting: dict[int, asyncio.Future[Json]] = {}
        self.closed = asyncio.Event()
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but class

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the peer went away"))
        self.waiting.clear()

    async def send(self, line_id: int, line: bytes, until: float | None = None) -> Json:
        """The answer's result. Raises ConnectionError, TimeoutError at `until` of the loop's clock, or its error."""
        if self.closed.is_set() or self.transport.is_closing():
            await asyncio.sleep(FIRST_DELAY)
            raise ConnectionError("the peer went away")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Json] = loop.create_future()
        self.waiting[line_id] = future
        self.transport.write(line)
        late = (
            None if until is None else loop.call_at(until, _time_out, future)
        )  # a `timeout` block costs four times this
        try:
            message = await future
        finally:
            self.waiting.pop(line_id, None)
            if late is not None:
                late.cancel()
        if "error" in message:
            frames.raise_failure(message["error"])
        return message.get("result")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if b"\n" not in data:
            if len(self.buffer) > ANSWER_LIMIT:  # the peer is not one of ours any more
                self.transport.abort()
            return
        *lines, rest = self.buffer.split(b"\n")
        self.buffer = rest
        for line in lines:
            self.line_received(bytes(line))

    def line_received(self, line: bytes) -> None:
        message = frames.decode(line)
        if "method" in message:
            if self.on_notify is not None:
                self.on_notify(message["method"], message["params"])
            return
        future = self.waiting.get(message.get("id"))
        if future is not None and not future.done():
            future.set_result(message)


def _time_out(future: "asyncio.Future[Json]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())
