"""Measures what a model call costs a mind, by client: the thin one, and LangChain's; prints one line of JSON.

The model answers at once, as a stream of forty words; it, the gate's egress and each mind are processes of their own.
Counted is the CPU time of the mind's process alone, and the time until its first piece is heard.
"""

import argparse
import asyncio
import contextlib
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

Json = Any
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CLIENTS = ("thin", "openai", "anthropic", "ollama")
WARM_UP = 20
ROOMS = 50


class Model(asyncio.Protocol):
    """One connection to a model that answers every request at once, in the way its path asks for."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self.answers = answers
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.buffer[:end])
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self.buffer) < size:
                return
            path = self.buffer.split(b" ", 2)[1]
            self.buffer = self.buffer[size:]
            self.transport.write(self.answers[path])


def answers() -> dict[bytes, bytes]:
    """The whole HTTP answer by path: forty pieces, each an event, each a chunk."""
    from teehee.testing.wires import ALL

    words = ["<response><actions>REPLY</actions><text>", *("word " for _ in range(38)), "</text></response>"]
    found = {}
    for path, wire in ALL.items():
        events = [wire.begin, *map(wire.piece, words), wire.end("stop", (1000, 40)), wire.done]
        body = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events if event) + b"0\r\n\r\n"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {wire.content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        found[path.encode()] = head.encode() + body
    return found


async def serve_model() -> None:
    ready = answers()
    server = await asyncio.get_running_loop().create_server(lambda: Model(ready), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - to the process that started this
    await server.serve_forever()


async def serve_gate(folder: Path, port: int) -> None:
    import uvicorn

    from teehee.gate.egress import Egress
    from teehee.wire.boot import EgressRule

    bases = {name: f"http://127.0.0.1:{port}" + ("/v1" if name in ("thin", "openai") else "") for name in CLIENTS}
    egress = Egress(tuple(EgressRule(name, url, ("POST",), ("",)) for name, url in bases.items()), {})
    await egress.open()
    config = uvicorn.Config(
        egress, uds=str(folder / "gate.sock"), log_config=None, lifespan="off", timeout_keep_alive=75
    )
    await uvicorn.Server(config).serve()


@contextlib.asynccontextmanager
async def opened(client: str, folder: Path) -> AsyncIterator[Any]:
    from teehee.wire.boot import Brain

    if client == "thin":
        from teehee.mind import endpoint, way_out

        with way_out.opened(folder) as way:
            yield endpoint.Endpoint(way, Brain(client, "fake"))
    else:
        from teehee.mind import forwarder, provider

        async with forwarder.open_forwarder(folder) as way:
            yield provider.Provider(Brain(client, "fake", client=client), way)


async def ask_as_a_mind(client: str, folder: Path, calls: int) -> Json:
    from teehee.plugin import State
    from teehee.testing import fake_turn

    turn, stable = fake_turn("is the light on tonight?"), State({"character": "A prompt of some length. " * 400})
    firsts: list[float] = []

    async def ask() -> None:
        begun, first = time.perf_counter(), [0.0]

        def hear(piece: str) -> None:
            first[0] = first[0] or time.perf_counter()

        await brain.answer(turn, stable, State(), "", hear)
        firsts.append((first[0] - begun) * 1000)

    async def room() -> None:
        for _ in range(calls // ROOMS):
            await ask()

    began = time.perf_counter()
    async with opened(client, folder) as brain:
        await ask()
        open_seconds = time.perf_counter() - began
        for _ in range(WARM_UP):
            await ask()
        firsts.clear()
        cpu = time.process_time()
        for _ in range(calls):
            await ask()
        one = (time.process_time() - cpu) * 1000 / calls
        sorted_firsts = sorted(firsts)
        cpu = time.process_time()
        await asyncio.gather(*(room() for _ in range(ROOMS)))
        many = (time.process_time() - cpu) * 1000 / (calls // ROOMS * ROOMS)
    return {
        "cpu_ms_per_call": round(one, 2),
        "cpu_ms_per_call_50_rooms": round(many, 2),
        "first_piece_ms_p50": round(statistics.median(sorted_firsts), 2),
        "first_piece_ms_p99": round(sorted_firsts[int(len(sorted_firsts) * 0.99)], 2),
        "first_answer_seconds": round(open_seconds, 2),
        "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def measure(calls: int) -> Json:
    this = [sys.executable, __file__]
    found: Json = {}
    with tempfile.TemporaryDirectory(prefix="teehee-bench-") as name, contextlib.ExitStack() as stack:
        model = stack.enter_context(subprocess.Popen([*this, "model"], stdout=subprocess.PIPE, text=True))
        stack.callback(model.terminate)
        assert model.stdout is not None
        gate = stack.enter_context(subprocess.Popen([*this, "gate", name, model.stdout.readline().strip()]))
        stack.callback(gate.terminate)
        while not (Path(name) / "gate.sock").exists():
            assert gate.poll() is None, "the gate ended; the lines above say why"
            time.sleep(0.05)
        for client in CLIENTS:
            done = subprocess.run([*this, "mind", client, name, str(calls)], capture_output=True, text=True, check=True)
            found[client] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    import uvloop

    role, *rest = sys.argv[1:] or ["all"]
    if role == "model":
        asyncio.run(serve_model())
    elif role == "gate":
        uvloop.run(serve_gate(Path(rest[0]), int(rest[1])))
    elif role == "mind":
        print(json.dumps(uvloop.run(ask_as_a_mind(rest[0], Path(rest[1]), int(rest[2])))))  # noqa: T201 - its answer
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
        parser.add_argument("--calls", type=int, default=300, help="calls by each client (default 300)")
        print(json.dumps(measure(parser.parse_args().calls)))  # noqa: T201 - the one line this is for


if __name__ == "__main__":
    main()
