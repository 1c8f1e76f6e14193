"""The mind's own HTTP client: one server, connections that serve again, and no answer taken for whole that is cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teehee.mind import way_out
from teehee.mind.way_out import WayOut
from teehee.testing import until

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\ncontent-length: 5\r\n\r\nhello"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Peer:
    """What stands where the gate would: answers every request with `answer`, and keeps what it saw."""

    def __init__(self) -> None:
        self.answer = [WHOLE]
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.go, self.on = asyncio.Event(), asyncio.Event()  # for all it says; for what comes after a piece
        self.go.set()
        self.on.set()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(size))
                for piece in self.answer:
                    await self.go.wait()
                    writer.write(piece)
                    await writer.drain()
                    await self.on.wait()
        self.open -= 1
        writer.close()


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    found = Peer()
    server = await asyncio.start_unix_server(found.serve, tmp_path / "gate.sock")
    yield found
    for writer in found.writers:
        writer.close()
    server.close()


@pytest.fixture
def way(tmp_path: Path, peer: Peer) -> WayOut:
    return WayOut(tmp_path / "gate.sock")


async def whole(way: WayOut, body: bytes = b"{}") -> bytes:
    pieces = []
    async with way.post("/egress/m/chat/completions", {"accept": "any"}, body) as answer:
        while piece := await answer.read():
            pieces.append(piece)
    return b"".join(pieces)


async def test_a_connection_serves_again(way: WayOut, peer: Peer) -> None:
    said = [await whole(way, body) for body in (b"one", b"two", b"three")]

    assert said == [b"hello"] * 3
    assert peer.connections == 1
    assert peer.requests[1] == (
        b"POST /egress/m/chat/completions HTTP/1.1\r\nhost: gate\r\naccept: any\r\ncontent-length: 3\r\n\r\ntwo"
    )


async def test_status_and_headers_come_first(way: WayOut, peer: Peer) -> None:
    async with way.post("/", {}, b"") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert answer.headers["content-length"] == "5"


async def test_a_stream_is_read_as_it_comes(way: WayOut, peer: Peer) -> None:
    peer.answer = [STREAM + b"2\r\nhe\r\n", b"3\r\nllo\r\n", b"0\r\n\r\n"]
    peer.on.clear()
    async with way.post("/", {}, b"") as answer:
        first = await answer.read()
        peer.on.set()
        rest = b""
        while piece := await answer.read():
            rest += piece

    assert (first, rest) == (b"he", b"llo")
    assert await whole(way) == b"hello"
    assert peer.connections == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\n", WHOLE[:-1], STREAM + b"2\r\nhe\r\n", b"no HTTP at all\r\n\r\n"],
    ids=["nothing", "half a head", "half a body", "half a stream", "no HTTP"],
)
async def test_an_answer_that_is_cut_is_none(way: WayOut, peer: Peer, answer: bytes) -> None:
    peer.answer = [answer]
    asking = asyncio.ensure_future(whole(way))
    await until(lambda: len(peer.requests) == 1)
    peer.writers[0].close()

    with pytest.raises(ConnectionError):
        await asking


async def test_who_leaves_before_the_end_hangs_up(way: WayOut, peer: Peer) -> None:
    peer.answer = [STREAM + b"2\r\nhe\r\n"]
    async with way.post("/", {}, b"") as answer:
        assert await answer.read() == b"he"
    await until(lambda: peer.open == 0)

    peer.answer = [WHOLE]
    assert await whole(way) == b"hello"
    assert peer.connections == 2


async def test_a_connection_that_ended_meanwhile_is_not_asked_again(way: WayOut, peer: Peer) -> None:
    await whole(way)
    peer.writers[0].close()
    await until(lambda: peer.open == 0)

    assert await whole(way) == b"hello"
    assert peer.connections == 2


async def test_a_connection_the_gate_will_close_is_not_kept(way: WayOut, peer: Peer) -> None:
    peer.answer = [WHOLE.replace(b"200 OK\r\n", b"200 OK\r\nconnection: close\r\n")]
    await whole(way)
    await whole(way)

    assert peer.connections == 2


async def test_a_gate_that_is_away_is_an_error_at_once(tmp_path: Path) -> None:
    with way_out.opened(tmp_path) as way, pytest.raises(OSError):  # noqa: PT011 - whichever of them
        await whole(way)


async def test_only_so_many_ask_at_once(way: WayOut, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_out, "AT_ONCE", 3)
    few = WayOut(way.socket)
    peer.go.clear()
    asking = [asyncio.ensure_future(whole(few)) for _ in range(9)]
    await until(lambda: len(peer.requests) == 3)
    await asyncio.sleep(0.05)
    seen = len(peer.requests)
    peer.go.set()

    assert await asyncio.gather(*asking) == [b"hello"] * 9
    assert (seen, peer.connections) == (3, 3)


async def test_an_answer_nobody_reads_is_held_back(way: WayOut, peer: Peer) -> None:
    size = 64 * way_out.READ_AHEAD
    peer.answer = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, b"x" * size]
    async with way.post("/", {}, b"") as answer:
        await asyncio.sleep(0.2)
        waiting = len(answer._body)
        read = 0
        while piece := await answer.read():
            read += len(piece)

    assert waiting <= 4 * way_out.READ_AHEAD
    assert read == size
