"""The simulator's web server: small HTTP/1.1, good enough for every dstack SDK, on a Unix socket or a loopback port."""

import asyncio
import contextlib
import json
import os
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

Json = Any

HEAD_LIMIT = 16 << 10
LINGER_SECONDS = 1.0  # for a client whose question is not read
BODY_LIMIT = 1 << 20
REQUEST = re.compile(rb"(GET|POST) (/[\x21-\x7e]*) HTTP/1\.[01]")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
LENGTH = re.compile(rb"[0-9]{1,10}")
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 413: "Payload Too Large"}
# What an agent's web server says of a path it has nothing at: a page, not JSON, and that is how clients tell.
NO_SUCH_PAGE = b"<!DOCTYPE html><title>404 Not Found</title><h1>404: Not Found</h1>"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: JSON, or a page where `page` is set. `cut` sends only half of it and hangs up."""

    status: int
    body: bytes
    page: bool = False
    cut: bool = False


def json_reply(status: int, value: Json) -> Reply:
    return Reply(status, json.dumps(value, separators=(",", ":")).encode())


Handler = Callable[[str, dict[str, Json]], Awaitable[Reply]]


class Web:
    """Listens until closed; one handler answers every question, as (path, fields)."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._servers: list[asyncio.Server] = []
        self._socket: Path | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def listen_at(self, path: Path) -> None:
        """Binds a Unix socket for this user only; what a killed process left there is replaced."""
        self._servers.append(await asyncio.start_unix_server(self._talk, sock=_bind(path), limit=HEAD_LIMIT))
        self._socket = path

    async def listen_on(self, port: int) -> int:
        """Binds a port of this machine, any free one for 0, and says which."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", port, limit=HEAD_LIMIT)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._servers.clear()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            self._socket = None

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        try:
            while await self._exchange(reader, writer):
                pass
        except (EOFError, ConnectionError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # a client that leaves, or talks no HTTP, is answered by the end of the connection
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One question and its answer; says whether the connection lives on."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        request = REQUEST.fullmatch(first)
        if request is None:
            return False
        headers = {field[1].lower(): field[2] for line in lines if (field := FIELD.fullmatch(line))}
        length = headers.get(b"content-length", b"0")
        if not LENGTH.fullmatch(length) or b"transfer-encoding" in headers:
            await _write(writer, json_reply(400, {"error": "expected a Content-Length"}), lives=False)
            return False
        if int(length) > BODY_LIMIT:
            await _write(writer, json_reply(413, {"error": "payload too large"}), lives=False)
            await _let_finish(reader)
            return False
        body = await reader.readexactly(int(length))
        lives = headers.get(b"connection", b"").lower() != b"close"
        reply = await self._answer(request[1], request[2].decode(), headers, body)
        await _write(writer, reply, lives=lives and not reply.cut)
        return lives and not reply.cut

    async def _answer(self, verb: bytes, target: str, headers: dict[bytes, bytes], body: bytes) -> Reply:
        path, _, query = target.partition("?")
        if verb == b"GET":
            return await self._handler(unquote(path), dict(parse_qsl(query, keep_blank_values=True)))
        if body and not headers.get(b"content-type", b"").lower().startswith(b"application/json"):
            return json_reply(400, {"error": "this simulator speaks JSON only, not protobuf"})
        try:
            question = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            return json_reply(400, {"error": f"Failed to parse the request: {error}"})
        if type(question) is not dict:
            return json_reply(400, {"error": "Failed to parse the request: expected an object"})
        return await self._handler(unquote(path), question)


def _bind(path: Path) -> socket.socket:
    if path.is_socket():
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(os.fspath(path))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(mask)
    return listening


async def _let_finish(reader: asyncio.StreamReader) -> None:
    """Reads on for a moment: a client cut off while it sends never sees the answer that is waiting for it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(HEAD_LIMIT):
                pass


async def _write(writer: asyncio.StreamWriter, reply: Reply, *, lives: bool) -> None:
    kind = "text/html; charset=utf-8" if reply.page else "application/json"
    head = (
        f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Error')}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(reply.body)}\r\nServer: teehee-simulator\r\n"
    )
    head += "\r\n" if lives else "Connection: close\r\n\r\n"
    writer.write(head.encode() + (reply.body[: len(reply.body) // 2] if reply.cut else reply.body))
    await writer.drain()
