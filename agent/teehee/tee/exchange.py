"""One question to a guest agent: a JSON POST over a Unix socket or loopback, and its answer, bounded in size and time.

Every question has its own connection, so none is ever found half-closed. What the answer says by its status is for
`client`; here a peer that is slow or goes away is Unavailable, and one that does not speak HTTP is a GuestError.
"""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from teehee.errors import ConfigError, Unavailable
from teehee.tee.guest import GuestError

Json = Any

ANSWER_SECONDS = 30.0  # a first quote under load takes several
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 2.0
HEAD_LIMIT = 16 << 10
BODY_LIMIT = 8 << 20  # an app-compose may have 256 KiB, and comes escaped twice beside its event log
PATH_LIMIT = 107  # bytes in the name of a Unix socket
LOOPBACK = ("127.0.0.1", "localhost", "::1")

STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
LENGTH = re.compile(rb"[0-9]{1,10}")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a guest agent listens: a Unix socket (`path`), or a port of this machine."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.path or f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: any status, any body."""

    status: int
    body: bytes


def endpoint(text: str) -> Endpoint:
    """The endpoint of `/path/to.sock` or `http://127.0.0.1:PORT`; only this machine is ever asked for keys."""
    if not text.startswith(("http:", "https:")):
        if not text or "\x00" in text or len(os.fsencode(text)) > PATH_LIMIT:
            raise ConfigError(f"guest agent {text[:200]!r}: expected a socket's path of 1 to {PATH_LIMIT} bytes")
        return Endpoint(path=text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host not in LOOPBACK or not port or text.rstrip("/") != f"http://{_bracketed(host)}:{port}":
        raise ConfigError(
            f"guest agent {text[:200]!r}: expected http://127.0.0.1:PORT or the path of a Unix socket",
            hint="keys are asked of this machine only; forward a remote simulator to a local port",
        )
    return Endpoint(host=host, port=port)


async def ask(where: Endpoint, target: str, question: dict[str, Json], seconds: float = ANSWER_SECONDS) -> Answer:
    """Posts `question` to `target` and reads the whole answer.

    Raises Unavailable when nobody listens, the peer is slow or goes away before its answer is whole, and GuestError
    when what comes is no HTTP or too long.
    """
    body = json.dumps(question).encode()
    head = (
        f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(seconds), _connection(where) as (reader, writer):
            writer.write(head.encode() + body)
            await writer.drain()
            return await read_answer(reader)
    except TimeoutError:
        raise _unavailable(where, f"did not answer {target} within {seconds:g} s", "guest-slow") from None
    except (EOFError, ConnectionError):
        raise _unavailable(where, f"went away while answering {target}", "guest-gone") from None


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Reads one HTTP/1.1 answer. Raises EOFError when it ends too early, GuestError when it is none."""
    head = await _until(reader, b"\r\n\r\n")
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    status = STATUS.fullmatch(first)
    if status is None or status[1].startswith(b"1"):
        raise GuestError(f"the guest agent does not speak HTTP/1.1: it began with {first[:40]!r}")
    length, chunked = _framing(lines)
    if chunked:
        body = await _read_chunks(reader)
    elif length is not None:
        body = await reader.readexactly(length)
    else:
        body = await _read_to_end(reader)
    return Answer(int(status[1]), body)


@contextlib.asynccontextmanager
async def _connection(where: Endpoint) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            if where.path:
                reader, writer = await asyncio.open_unix_connection(where.path, limit=HEAD_LIMIT)
            else:
                reader, writer = await asyncio.open_connection(where.host, where.port, limit=HEAD_LIMIT)
    except TimeoutError:
        raise _unavailable(where, "does not accept connections", "guest-slow") from None
    except OSError as error:
        raise _unavailable(where, f"cannot be reached: {error.strerror or error}", "guest-absent") from None
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # nothing is left to say, and a peer that hangs must not hold us
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _framing(lines: list[bytes]) -> tuple[int | None, bool]:
    """How the body ends: after so many bytes, in chunks, or with the connection."""
    lengths, encodings = set(), []
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            raise GuestError(f"the guest agent's answer has a malformed header: {line[:60]!r}")
        name = field[1].lower()
        if name == b"content-length":
            lengths.add(field[2])
        elif name == b"transfer-encoding":
            encodings.append(field[2].lower())
    if encodings:
        if encodings != [b"chunked"] or lengths:
            raise GuestError(f"the guest agent's answer is framed in a way we do not take: {encodings[0][:40]!r}")
        return None, True
    if not lengths:
        return None, False
    length = lengths.pop()
    if lengths or not LENGTH.fullmatch(length):
        raise GuestError(f"the guest agent's answer has no clear length: {length[:40]!r}")
    _hold_to_limit(int(length))
    return int(length), False


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await _until(reader, b"\r\n")
        chunk = CHUNK.fullmatch(line.removesuffix(b"\r\n"))
        if chunk is None:
            raise GuestError(f"the guest agent's answer has a malformed chunk: {line[:40]!r}")
        size = int(chunk[1], 16)
        if size == 0:
            break
        _hold_to_limit(len(body) + size)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise GuestError("the guest agent's answer has a chunk of another size than it says")
    trailers = 0
    while (line := await _until(reader, b"\r\n")) != b"\r\n":
        trailers += len(line)
        if trailers > HEAD_LIMIT:
            raise GuestError(f"the guest agent's answer has more than {HEAD_LIMIT} bytes of headers")
    return bytes(body)


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while piece := await reader.read(HEAD_LIMIT):
        _hold_to_limit(len(body) + len(piece))
        body += piece
    return bytes(body)


async def _until(reader: asyncio.StreamReader, end: bytes) -> bytes:
    try:
        return await reader.readuntil(end)
    except asyncio.LimitOverrunError:
        raise GuestError(f"the guest agent's answer has more than {HEAD_LIMIT} bytes of headers") from None


def _hold_to_limit(size: int) -> None:
    if size > BODY_LIMIT:
        raise GuestError(f"the guest agent's answer has {size} bytes or more, at most {BODY_LIMIT} are taken")


def _unavailable(where: Endpoint, what: str, code: str) -> Unavailable:
    return Unavailable(f"the guest agent at {where} {what}", code=code, retry_after=RETRY_SECONDS)


def _bracketed(host: str | None) -> str:
    return f"[{host}]" if host and ":" in host else str(host)
