"""Serves one role's methods on one Unix socket: which methods exist is decided by the socket alone."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

from teehee.errors import Refused, TeeheeError, Unavailable
from teehee.wire import frames, paths

Json = Any
Handler = Callable[[dict[str, Json]], "Json | Awaitable[Json]"]
Log = Callable[..., object]

CONNECTIONS = 32  # at once, unless a role needs fewer
LINES_AT_ONCE, BYTES_AT_ONCE = 32, 64 << 10  # of one connection, before other connections and sockets have their turn
IN_FLIGHT = 256  # unanswered requests one connection may have
STRIKES = 20  # malformed lines before the connection is closed
REFUSALS_LOGGED = 50  # a second; a flood is counted, not written out
BACKLOG = 16 << 20  # bytes a slow reader may leave unread before it is dropped


class Server:
    """One socket, one role; with `only` also one agent. Refusals are logged and concern the one connection only."""

    def __init__(
        self,
        role: str,
        path: Path,
        methods: Mapping[str, Handler],
        log: Log,
        *,
        most: int = CONNECTIONS,
        only: str = "",
    ) -> None:
        self.role = role
        self.most = most
        self.only = only
        self.path = path
        self.methods = dict(methods)
        self.log = log
        self.connections: set[Connection] = set()
        self._queue: deque[Connection] = deque()
        self._tasks: set[asyncio.Future[Json]] = set()
        self._second, self._refusals = 0, 0
        self._server: asyncio.Server | None = None

    def only_own(self, params: dict[str, Json]) -> None:
        """Raises Refused when this socket is one agent's and `params` name another."""
        if self.only and (named := params.get("agent", self.only)) != self.only:
            raise Refused("mind.not-yours", f"this socket is agent {self.only[:64]!r}'s, not {str(named)[:64]!r}'s")

    async def start(self) -> None:
        """Binds the socket, readable by this user only. A leftover of a killed process is replaced."""
        if self._server is not None:
            return
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(self), sock=paths.bind(self.path), backlog=256
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.transport.close()
        self.path.unlink(missing_ok=True)

    def push(self, method: str, params: dict[str, Json]) -> None:
        """Sends a notification to every subscribed connection."""
        line = frames.encode({"jsonrpc": "2.0", "method": method, "params": params})
        for connection in self.connections:
            if connection.subscribed:
                connection.write(line)

    def log_refusal(self, **facts: object) -> None:
        """Logs a refusal; past so many a second only their number, so that a flood does not fill the disk."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            if self._refusals > REFUSALS_LOGGED:
                self.log("refusals_not_logged", role=self.role, number=self._refusals - REFUSALS_LOGGED)
            self._second, self._refusals = second, 0
        self._refusals += 1
        if self._refusals <= REFUSALS_LOGGED:
            self.log("request_refused", role=self.role, **facts)

    def take_turn(self, connection: "Connection") -> None:
        """Works for `connection` now, or when those before it had their turn."""
        if self._queue:
            self.wait_turn(connection)
        else:
            connection.work()

    def wait_turn(self, connection: "Connection") -> None:
        """Puts `connection` at the end of the queue, which moves on by one for each round of the loop.

        However many connections a role has, between two turns of it every other socket is heard.
        """
        connection.waits = True
        self._queue.append(connection)
        if len(self._queue) == 1:
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        connection = self._queue[0]
        connection.waits = False
        try:
            connection.work()
        finally:
            self._queue.popleft()
            if self._queue:
                asyncio.get_running_loop().call_soon(self._next_turn)

    def own(self, task: "asyncio.Future[Json]") -> None:
        """Keeps a reference to a running handler until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Connection(asyncio.Protocol):
    """One peer: lines in, answers out, in whatever order the answers are ready."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.subscribed = False
        self.in_flight = 0
        self.strikes = 0
        self.buffer = bytearray()
        self.lines: deque[bytearray] = deque()
        self.waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but class
        if len(self.server.connections) >= self.server.most:
            self.server.log_refusal(method="", error=f"{self.server.most} connections are open already")
            self.transport.close()
            return
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if b"\n" not in data:
            if len(self.buffer) > frames.LINE_LIMIT:
                self.oversized()
            return
        *lines, self.buffer = self.buffer.split(b"\n")
        self.lines.extend(lines)
        if not self.waits:
            self.server.take_turn(self)

    def work(self) -> None:
        """Takes some of the lines that came; the rest, and reading on, wait until others had their turn."""
        size = 0
        for _ in range(LINES_AT_ONCE):
            if not self.lines or size > BYTES_AT_ONCE or self.transport.is_closing():
                break
            line = self.lines.popleft()
            size += len(line)
            if len(line) > frames.LINE_LIMIT:
                self.oversized()
            else:
                self.line_received(bytes(line))
        if self.transport.is_closing():
            self.lines.clear()
        elif self.lines or size > BYTES_AT_ONCE:
            self.transport.pause_reading()
            self.server.wait_turn(self)
        else:
            self.transport.resume_reading()

    def oversized(self) -> None:
        self.refuse(frames.BadFrame(frames.INVALID, f"a message may have {frames.LINE_LIMIT} bytes"))
        self.transport.close()

    def line_received(self, line: bytes) -> None:
        try:
            request = frames.decode_request(line)
            handler = self.server.methods.get(request.method)
            if request.method == "subscribe":
                handler = self.subscribe
            if handler is None:
                no_such = f"the {self.server.role} role has no {request.method!r}"
                raise frames.BadFrame(frames.NO_METHOD, no_such, request.id)
        except frames.BadFrame as error:
            self.refuse(error)
            return
        if self.in_flight >= IN_FLIGHT:
            self.refuse(frames.BadFrame(frames.INVALID, f"{IN_FLIGHT} requests may wait for an answer at once"))
            self.transport.close()
            return
        self.run(request, handler)

    def subscribe(self, params: dict[str, Json]) -> Json:
        self.subscribed = True
        return {}

    def run(self, request: frames.Request, handler: Handler) -> None:
        try:
            self.server.only_own(request.params)
            value = handler(request.params)
        except Exception as error:
            self.answer_failure(request, error)
            return
        if not asyncio.isfuture(value) and not asyncio.iscoroutine(value):
            self.answer(request, value)
            return
        future = asyncio.ensure_future(value)
        self.in_flight += 1
        self.server.own(future)
        future.add_done_callback(lambda done: self.finished(request, done))

    def finished(self, request: frames.Request, done: "asyncio.Future[Json]") -> None:
        self.in_flight -= 1
        if done.cancelled():
            self.answer_failure(request, Unavailable("this process is stopping", code="stopping"))
        elif (error := done.exception()) is not None:
            self.answer_failure(request, error)
        else:
            self.answer(request, done.result())

    def answer(self, request: frames.Request, value: Json) -> None:
        if request.id is not None:
            self.write(frames.result(request.id, value))

    def answer_failure(self, request: frames.Request, error: BaseException) -> None:
        if isinstance(error, TeeheeError):
            self.server.log_refusal(method=request.method, error=str(error))
        else:
            self.server.log(
                "request_failed", role=self.server.role, method=request.method, error=repr(error), exc_info=error
            )
        if request.id is not None:
            self.write(frames.failure(request.id, error if isinstance(error, Exception) else Exception()))

    def refuse(self, error: frames.BadFrame) -> None:
        self.server.log_refusal(method="", error=str(error))
        self.write(frames.failure(error.identity, error))
        self.strikes += 1
        if self.strikes >= STRIKES:
            self.transport.close()

    def write(self, line: bytes) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(line)
        if self.transport.get_write_buffer_size() > BACKLOG:
            self.server.log("slow_reader_dropped", role=self.server.role)
            self.transport.abort()
