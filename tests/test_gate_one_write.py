"""Answers in one piece: one read for the client, and still whole, in order, and streamed where they stream."""

import asyncio
from pathlib import Path
from typing import Any

from teehee.gate.app import _listen
from teehee.wire import paths

REQUEST = b"GET %s HTTP/1.1\r\nhost: x\r\n%s\r\n"
BIG = b"x" * (8 << 20)


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": BIG if scope["path"] == "/big" else b"hello"})


async def read(folder: Path, path: bytes, more: bytes = b"", times: int = 1) -> list[bytes]:
    """What single reads of a client give."""
    async with _listen(answers, paths.bind(folder / "x.sock")):
        reader, writer = await asyncio.open_unix_connection(str(folder / "x.sock"))
        writer.write(REQUEST % (path, more))
        found = [await reader.read(1 << 16) for _ in range(times)] if times else [await reader.read(-1)]
        writer.close()
    return found


async def test_head_and_body_are_one_read(tmp_path: Path) -> None:
    (found,) = await read(tmp_path, b"/")

    assert found.startswith(b"HTTP/1.1 200 OK\r\n")
    assert found.endswith(b"5\r\nhello\r\n0\r\n\r\n")


async def test_a_stream_leaves_as_it_is_sent(tmp_path: Path) -> None:
    first, second = await read(tmp_path, b"/stream", times=2)

    assert first.endswith(b"5\r\nfirst\r\n")
    assert second == b"5\r\nhello\r\n0\r\n\r\n"


async def test_a_connection_closes_after_its_last_byte(tmp_path: Path) -> None:
    (found,) = await read(tmp_path, b"/big", b"connection: close\r\n", times=0)

    assert found.count(b"x") == len(BIG)
    assert found.endswith(b"0\r\n\r\n")
