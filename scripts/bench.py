"""Measures the three real processes with a model that answers at once; prints one line of JSON.

What is counted: wall time at a client of the web API, CPU of vault, gate and mind together (/proc/<pid>/stat),
their proportional memory (PSS), the prompts the model got, the bytes on disk. The model and the client run in
processes of their own and are not counted, though they share the machine.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Json = Any
TICKS = os.sysconf("SC_CLK_TCK")
TEEHEE = str(Path(sys.executable).with_name("teehee"))
WORDS = "The harbour light is on and all is well."
ANSWER = f"<response><thought>ok</thought><actions>REPLY</actions><text>{WORDS}</text></response>"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


# -- the model: answers every request at once, and counts


class Model(asyncio.Protocol):
    """One connection to the fake model; `seen` collects the requests of all."""

    seen: list[bytes]
    transport: asyncio.WriteTransport
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": ANSWER}}]}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    def __init__(self, seen: list[bytes]) -> None:
        self.seen = seen
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
            self.seen.append(self.buffer[end + 4 : size])
            self.buffer = self.buffer[size:]
            self.transport.write(self.answer_to(self.seen[-1]))

    def answer_to(self, request: bytes) -> bytes:
        return self.answer


# -- the client: one keep-alive connection per room


class Visitor:
    """Posts messages and waits for their answers, on one connection."""

    def __init__(self, port: int, slug: str, room: str) -> None:
        self.port, self.slug, self.room = port, slug, room
        self.token = secrets.token_urlsafe(32)
        self.number = 0

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)

    async def say(self, text: str) -> float:
        """Seconds until the answer was here."""
        self.number += 1
        name = f"{self.room}-{self.number}"
        message = {"text": text, "id": name, "room": self.room, "wait": 30}
        body = json.dumps(message).encode()
        head = (
            f"POST /api/chat/{self.slug}/messages HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer {self.token}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        start = time.perf_counter()
        self.writer.write(head.encode() + body)
        given = await self.reader.readuntil(b"\r\n\r\n")
        found = LENGTH.search(given)
        told = json.loads(await self.reader.readexactly(int(found[1]) if found else 0))
        if told.get("state") != "answered":
            raise SystemExit(f"bench: expected an answer, got {told}")
        return time.perf_counter() - start


# -- the agent: started as a person would


class Agent:
    """`teehee run` without a terminal, in a folder of its own."""

    def __init__(self, folder: Path, model: str, characters: list[str]) -> None:
        environment = {
            **os.environ,
            "TEEHEE_DATA": str(folder),
            "TEEHEE_MODEL_URL": model,
            "TEEHEE_MODEL": "fake",
            "TEEHEE_REPLIES_PER_MINUTE": "10000000",
            "TEEHEE_PORT": "0",
            "TEEHEE_LOG_LEVEL": "info",
        }
        self.process = subprocess.Popen(
            [TEEHEE, "run", *characters], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )

    def url(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://[\w.:]+", line):
                return found[0]
        raise SystemExit("bench: teehee run did not start")

    def children(self) -> dict[str, int]:
        """pids of vault, gate and mind."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
                line = (path / "cmdline").read_text()
            except (OSError, ProcessLookupError):
                continue
            if parent == self.process.pid:
                name = next(n for n in ("vault", "gate", "mind") if f"teehee.{n}" in line or f"/{n}/__main__" in line)
                found[name] = int(path.name)
        return found

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_mb(pid: int) -> float:
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def fdatasync_rate(folder: Path, tries: int = 300) -> float:
    with open(folder / "probe", "wb") as file:
        start = time.perf_counter()
        for _ in range(tries):
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
        return tries / (time.perf_counter() - start)


def python_rate(tries: int = 3) -> float:
    """Millions of additions a second in a plain loop, the best of some tries: how fast this machine is just now."""
    best = 0.0
    for _ in range(tries):
        start, total = time.perf_counter(), 0
        for number in range(2_000_000):
            total += number
        best = max(best, 2 / (time.perf_counter() - start))
    return round(best, 1)


async def loaded(agent: Agent, work: Callable[[], Awaitable[int]]) -> Json:
    """Messages per second and CPU per message and process while `work` runs; it gives the number of messages."""
    pids = agent.children()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    start = time.perf_counter()
    count = await work()
    wall = time.perf_counter() - start
    await asyncio.sleep(0.3)  # outcomes on their way belong to their messages
    spent = {name: (cpu_seconds(pid) - before[name]) * 1000 / count for name, pid in pids.items()}
    return {
        "messages": count,
        "per_second": round(count / wall, 1),
        "cpu_ms_per_message": round(sum(spent.values()), 3),
        "cpu_ms": {name: round(value, 3) for name, value in spent.items()},
    }


def prompts(seen: list[bytes]) -> Json:
    """Size of the prompts and how much of each repeats the beginning of the one before."""
    texts = ["\n".join(m["content"] for m in json.loads(body)["messages"]) for body in seen]
    shares = [shared(before, text) / len(text) for before, text in itertools.pairwise(texts)]
    return {
        "characters_max": max(map(len, texts)),
        "characters_median": int(statistics.median(map(len, texts))),
        "same_prefix_share_median": round(statistics.median(shares), 3),
        "same_prefix_share_min": round(min(shares), 3),
    }


def shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


async def start_to_reply(folder: Path, model: str) -> float:
    """Seconds from `teehee run` in a fresh folder to the first answer at a client."""
    start = time.perf_counter()
    agent = Agent(folder, model, [])
    url = agent.url()
    visitor = Visitor(int(url.rsplit(":", 1)[1]), SLUG, "first")
    await visitor.open()
    await visitor.say("hello")
    took = time.perf_counter() - start
    agent.stop()
    return took


SLUG = "wren"
FILES = 1000


def characters(folder: Path) -> Json:
    """How long checking files takes: the whole command, and per file once it is imported."""
    from teehee.character import read, write

    own = Path(__file__).parents[1] / "characters"
    paths = [folder / f"{number}.json" for number in range(FILES)]
    for path, text in zip(paths, itertools.cycle([p.read_bytes() for p in sorted(own.glob("*.json"))])):
        path.write_bytes(text)
    big = folder / "big.json"
    facts = {f"k{number}": {"q": f"question {number}", "a": WORDS * 3} for number in range(7000)}
    big.write_text(json.dumps({"name": "Big", "knowledge": facts}))

    def seconds(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        return round(time.perf_counter() - started, 3)

    command = [TEEHEE, "character", "check", *map(str, paths)]
    return {
        "thousand_files_seconds": seconds(lambda: [read(path) for path in paths]),
        "thousand_files_command_seconds": seconds(
            lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        ),
        "megabytes_of_knowledge": round(big.stat().st_size / 1e6, 2),
        "knowledge_seconds": seconds(lambda: read(big)),
        "convert_seconds": seconds(lambda: write.convert(read(big)[0].character, "v1")),
    }


def model_clients() -> Json:
    """What a call costs a mind by each client, measured apart."""
    command = [sys.executable, str(Path(__file__).with_name("bench_models.py"))]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


async def first_words(folder: Path, tries: int) -> Json:
    """Milliseconds from a message to the first words of its streamed answer, and to the whole, over the web API."""
    import aiohttp

    from teehee.testing import ScriptedModel

    first, whole = [], []
    async with ScriptedModel(speak=lambda _: ANSWER) as model, aiohttp.ClientSession() as http:
        agent = Agent(folder, model.url, [])
        base = f"{agent.url()}/api/chat/{SLUG}"
        headers = {"authorization": f"Bearer {secrets.token_urlsafe(32)}"}
        for number in range(tries):
            message = {"text": "is the light on?", "id": str(number), "wait": 30}
            async with http.get(f"{base}/signals", params={"id": str(number)}, headers=headers) as signals:
                start = time.perf_counter()
                posting = asyncio.ensure_future(http.post(f"{base}/messages", json=message, headers=headers))
                async for line in signals.content:
                    if line.startswith(b"event: writing"):
                        first.append((time.perf_counter() - start) * 1000)
                        break
                (await posting).release()
            whole.append((time.perf_counter() - start) * 1000)
        agent.stop()
    return {
        "tries": tries,
        "seen": len(first),
        "first_ms": {"median": round(statistics.median(first), 1), "max": round(max(first), 1)},
        "whole_ms_median": round(statistics.median(whole), 1),
    }


async def bench(options: argparse.Namespace) -> Json:
    import bench_telegram  # it builds on this file

    seen: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: Model(seen), "127.0.0.1", 0)
    model = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    result: Json = {}
    with tempfile.TemporaryDirectory(prefix="teehee-bench-") as name:
        base = Path(name)
        result["fdatasync_per_second"] = round(fdatasync_rate(base))
        result["python_million_additions_per_second"] = python_rate()
        (base / "characters").mkdir()
        result["characters"] = characters(base / "characters")
        result["model_clients"] = model_clients()
        starts = [await start_to_reply(base / f"start{i}", model) for i in range(options.starts + 1)][1:]
        middle = round(statistics.median(starts), 3)
        result["start_to_first_reply_seconds"] = {"median": middle, "max": round(max(starts), 3)}

        result["streamed_answer"] = await first_words(base / "stream", 50)

        (base / "telegram").mkdir()
        result["telegram"] = await bench_telegram.speed(base / "telegram", 100)

        agent = Agent(base / "load", model, [])
        port = int(agent.url().rsplit(":", 1)[1])
        await asyncio.sleep(1.0)
        idle = {name: round(pss_mb(pid), 1) for name, pid in agent.children().items()}
        result["idle_pss_mb"] = {"total": round(sum(idle.values()), 1), **idle}

        alone = Visitor(port, SLUG, "alone")
        await alone.open()
        seen.clear()
        times: list[float] = []

        async def one_room() -> int:
            for number in range(options.messages):
                times.append(await alone.say(f"message {number}: is the light on tonight, and who keeps it?"))
            return int(options.messages)

        result["one_room"] = await loaded(agent, one_room)
        tenth = max(len(times) // 10, 1)
        result["one_room"]["p50_ms_first_tenth"] = round(statistics.median(times[:tenth]) * 1000, 2)
        result["one_room"]["p50_ms_last_tenth"] = round(statistics.median(times[-tenth:]) * 1000, 2)
        result["model_calls_per_message"] = round(len(seen) / options.messages, 3)
        result["prompt"] = prompts(seen)
        files = [path.stat().st_size for path in (base / "load").rglob("*") if path.is_file()]
        result["disk_mb_after_one_room"] = round(sum(files) / 1e6, 2)

        visitors = [Visitor(port, SLUG, f"room-{i}") for i in range(options.rooms)]
        for visitor in visitors:
            await visitor.open()

        async def talk(visitor: Visitor, count: int) -> None:
            for number in range(count):
                await visitor.say(f"message {number}: what did you write in the book today?")

        async def many_rooms() -> int:
            await asyncio.gather(*(talk(visitor, options.each) for visitor in visitors))
            return int(options.rooms * options.each)

        result["many_rooms"] = {"rooms": options.rooms, **await loaded(agent, many_rooms)}
        agent.stop()

        ten = []
        character = json.loads((Path(__file__).parents[1] / "characters" / f"{SLUG}.json").read_text())
        for number in range(10):
            path = base / f"agent{number}.json"
            path.write_text(json.dumps({**character, "name": f"{character['name']} {number}"}))
            ten.append(str(path))
        agent = Agent(base / "ten", model, ten)
        agent.url()
        await asyncio.sleep(1.0)
        result["ten_agents_pss_mb"] = round(sum(pss_mb(pid) for pid in agent.children().values()), 1)
        agent.stop()
    server.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=1000, help="messages into one room (default 1000)")
    parser.add_argument("--rooms", type=int, default=50, help="rooms at the same time (default 50)")
    parser.add_argument("--each", type=int, default=60, help="messages into each of them (default 60)")
    parser.add_argument("--starts", type=int, default=5, help="counted fresh starts (default 5)")
    print(json.dumps(asyncio.run(bench(parser.parse_args()))))  # noqa: T201 - the one line this is for


if __name__ == "__main__":
    main()
