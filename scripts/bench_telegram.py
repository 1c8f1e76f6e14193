"""Measures the agent on Telegram: real processes, a simulated Telegram in its own, a model that answers at once.

`python scripts/bench_telegram.py often|load|speed`; each prints one line of JSON, and ends with an error when an
update was lost, handled twice, or a limit of Telegram's was broken.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import Agent, Model, cpu_seconds, fdatasync_rate, pss_mb, python_rate

from teehee.testing.telegram_server import TelegramProcess, telegram_process
from teehee.testing.telegram_server.process import act

Json = Any
WORD = re.compile(rb"word[0-9]{7}")
WORD_TEXT = re.compile(r"word[0-9]{7}")
NO_QUOTA = {
    f"TELEGRAM_{name}": "1000000" for name in ("USER_PER_MINUTE", "USER_PER_HOUR", "CHAT_PER_MINUTE", "CHAT_PER_HOUR")
} | {"TELEGRAM_STALE_SECONDS": "86400"}  # the lane is about delivery: nobody is put off
AT_ONCE = 200
FEW_WAIT = 4_000  # updates that may wait at Telegram before more are made
REPLIES_PER_SECOND = 25  # what the flood control surely lets through


class Wrong(Exception):
    """An update was lost or handled twice, an answer doubled, a limit broken."""


class Echo(Model):
    """A model that repeats the last word<number> of a prompt, at once; it keeps no request."""

    def answer_to(self, request: bytes) -> bytes:
        self.seen.clear()
        found = WORD.findall(request)
        text = f"<response><thought>ok</thought><actions>REPLY</actions><text>{found[-1].decode()}</text></response>"
        body = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


@dataclass
class Stage:
    """An agent that listens to a simulated Telegram."""

    telegram: TelegramProcess
    crowd: "Crowd"
    agent: Agent
    folder: Path

    async def world(self, verb: str, **named: Json) -> Json:
        return await self.telegram.do("world", verb, **named)

    def cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.agent.children().items()}

    def pss(self) -> dict[str, float]:
        return {name: round(pss_mb(pid), 1) for name, pid in self.agent.children().items()}


@contextlib.asynccontextmanager
async def staged(folder: Path, rooms: int) -> AsyncIterator[Stage]:
    """A simulated Telegram with a crowd, a model, and Ada with her bot, listening."""
    server = await asyncio.get_running_loop().create_server(lambda: Echo([]), "127.0.0.1", 0)
    model = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with telegram_process() as telegram:
        crowd = Crowd(telegram, random.Random(7))
        await crowd.gather(rooms)
        file = folder / "ada.json"
        ada = {
            "name": "Ada", "bio": ["Ada keeps a lighthouse."], "plugins": ["@elizaos/plugin-telegram"],
            "settings": {"TELEGRAM_API_ROOT": telegram.url, **NO_QUOTA},
            "secrets": {"TELEGRAM_BOT_TOKEN": telegram.token},
        }  # fmt: skip
        file.write_text(json.dumps(ada))
        agent = Agent(folder / "data", model, [str(file)])
        stage = Stage(telegram, crowd, agent, folder / "data")
        try:
            await asyncio.to_thread(agent.url)
            await listening(stage)
            yield stage
        finally:
            agent.stop()
            server.close()


async def listening(stage: Stage) -> None:
    while not any(call["method"] == "setmycommands" for call in await stage.world("calls")):  # noqa: ASYNC110
        await asyncio.sleep(0.1)


# -- people who write


@dataclass
class Crowd:
    """So many rooms with people in them, a tenth of the rooms private. `when` says when each word was said."""

    telegram: TelegramProcess
    random: random.Random
    privates: list[tuple[int, int]] = field(default_factory=list)  # person, chat
    groups: list[tuple[int, int]] = field(default_factory=list)
    when: dict[str, float] = field(default_factory=dict)
    said: list[tuple[int, int, str, int]] = field(default_factory=list)  # person, chat, text, message; the last few
    number: int = 0

    async def gather(self, rooms: int) -> None:
        """Everybody comes in; what the bot would hear of that is dropped."""
        people = [one["user"] for one in await self._done([act("world", "user", f"P{n}") for n in range(rooms)])]
        count = max(rooms // 10, 1)
        chats = await self._done([act("world", "private", {"user": one}) for one in people[:count]])
        self.privates = list(zip(people, [one["chat"] for one in chats], strict=False))
        acts = [act("world", "supergroup", f"G{n}", {"user": one}) for n, one in enumerate(people[count:])]
        chats = await self._done(acts)
        self.groups = list(zip(people[count:], [one["chat"] for one in chats], strict=True))
        await self.telegram.do("world", "set", privacy=False)
        drop = {"drop_pending_updates": "true"}
        async with self.telegram.session.get(
            f"{self.telegram.base_url}{self.telegram.token}/deleteWebhook", params=drop
        ) as answer:
            assert answer.status == 200

    async def _done(self, acts: list[Json]) -> list[Json]:
        return (await self.telegram.do_all(acts)).results

    async def speaks(self, count: int, addressed: float, edited: float = 0.0) -> int:
        """So many messages and edits, a share of them for the agent; gives how many updates wait now."""
        acts, words = [], []
        places: list[tuple[int, int, str] | None] = []
        for _ in range(count):
            if self.said and self.random.random() < edited:
                person, chat, text, message = self.random.choice(self.said)
                acts.append(act({"user": person}, "edits", {"chat": chat}, message, f"{text} Or was it?"))
                places.append(None)
                continue
            self.number += 1
            word = f"word{self.number:07d}"
            if is_asked := self.random.random() < addressed:
                words.append(word)
            rooms = self.privates if is_asked and self.random.random() < 0.1 else self.groups
            person, chat = self.random.choice(rooms)
            text = f"{'@teehee_bot ' if is_asked and chat < 0 else ''}what of {word}?"
            acts.append(act({"user": person}, "says", {"chat": chat}, text))
            places.append((person, chat, text))
        done = await self.telegram.do_all(acts)
        self.when |= dict.fromkeys(words, done.at)
        made = zip(places, done.results, strict=True)
        self.said = [(*place, message["message_id"]) for place, message in made if place][-50:] or self.said
        return done.waiting


# -- what came of it


def events(folder: Path, file: str, table: str) -> Counter[int]:
    """Rows for each update; what code says about one of itself is not counted."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / file}?mode=ro", uri=True, timeout=30.0)) as db:
        found = db.execute(f"SELECT event FROM {table} WHERE source='telegram'").fetchall()
    return Counter(int(event.split("-")[1]) for (event,) in found if event.count("-") == 2)


def effects(folder: Path) -> Counter[str]:
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'vault.db'}?mode=ro", uri=True, timeout=30.0)) as db:
        return Counter(dict(db.execute("SELECT state, COUNT(*) FROM effects GROUP BY state").fetchall()))


async def settled(stage: Stage, crowd: Crowd, seconds: float) -> None:
    """Returns when every update is confirmed and every answer has left."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        waiting = (await stage.telegram.do_all([])).waiting
        states = effects(stage.folder)
        if not waiting and sum(states.values()) - states["due"] - states["sending"] >= len(crowd.when):
            return
        await asyncio.sleep(0.5)
    raise Wrong(f"not settled in {seconds:g} s: {waiting} updates wait, effects {dict(states)}")


async def verdict(stage: Stage, crowd: Crowd) -> Json:
    """What was handled and delivered; raises Wrong when anything was lost, doubled or over a limit."""
    given = {int(number): times for number, times in (await stage.world("given")).items()}
    once = dict.fromkeys(given, 1)
    sent = [one for one in await stage.world("sent")]
    said = Counter(found[0] for one in sent if (found := WORD_TEXT.search(one["text"])))
    breaches = Counter(one["limit"] for one in await stage.world("breaches"))
    states = effects(stage.folder)
    wrong = {
        "rows of the vault": Counter(events(stage.folder, "vault.db", "events")) != once,
        "rows of the mind": Counter(events(stage.folder, "mind.db", "inbox")) != once,
        "answers": said != Counter(dict.fromkeys(crowd.when, 1)),
        "outcomes": dict(states) != {"delivered": len(crowd.when)},
        "limits": bool(breaches),
    }
    late = sorted(
        (one["at"] - crowd.when[found[0]]) * 1000
        for one in sent
        if (found := WORD_TEXT.search(one["text"])) and found[0] in crowd.when
    )
    told = {
        "updates": len(given), "deliveries": sum(given.values()), "most_deliveries": max(given.values()),
        "addressed": len(crowd.when), "answered_once": sum(1 for count in said.values() if count == 1),
        "effects": dict(states), "breaches": dict(breaches),
        "ms_to_delivered": {"p50": round(late[len(late) // 2], 1), "p95": round(late[len(late) * 95 // 100], 1)},
    }  # fmt: skip
    if any(wrong.values()):
        raise Wrong(f"wrong: {[name for name, is_wrong in wrong.items() if is_wrong]}; {json.dumps(told)}")
    return told


def spent(before: dict[str, float], after: dict[str, float], updates: int) -> Json:
    each = {name: (after[name] - before[name]) * 1000 / updates for name in before}
    return {"cpu_ms_per_update": round(sum(each.values()), 3), "cpu_ms": {n: round(v, 3) for n, v in each.items()}}


# -- the lanes


async def often(folder: Path, updates: int, rooms: int, addressed: float = 0.02) -> Json:
    """Updates given 1 to 5 times, out of order, with gaps in their numbers, some of them edits."""
    async with staged(folder, rooms) as stage:
        crowd = stage.crowd
        await stage.world("set", twist={"repeat": 0.5, "times": 4, "shuffle": True, "gaps": True})
        idle, before, start = stage.pss(), stage.cpu(), time.monotonic()
        for made in range(0, updates, AT_ONCE):
            waiting = await crowd.speaks(min(AT_ONCE, updates - made), addressed, edited=0.1)
            while waiting > FEW_WAIT:
                await asyncio.sleep(0.2)
                waiting = (await stage.telegram.do_all([])).waiting
        await settled(stage, crowd, 60 + updates / 50 + len(crowd.when) / REPLIES_PER_SECOND)
        wall, cpu = time.monotonic() - start, spent(before, stage.cpu(), updates)
        return {
            **await verdict(stage, crowd),
            "seconds": round(wall, 1),
            **cpu,
            "idle_pss_mb": idle,
            "pss_mb": stage.pss(),
        }


async def load(folder: Path, rooms: int, per_second: int, seconds: float, addressed: float) -> Json:
    """So many updates a second from so many rooms."""
    async with staged(folder, rooms) as stage:
        crowd = stage.crowd
        idle = stage.pss()
        before, start, made = stage.cpu(), time.monotonic(), 0
        most_waiting = 0
        while (now := time.monotonic() - start) < seconds:
            if (count := int(now * per_second) - made) > 0:
                most_waiting = max(most_waiting, await crowd.speaks(count, addressed))
                made += count
            await asyncio.sleep(0.05)
        fed = time.monotonic() - start
        await settled(stage, crowd, 60 + made / 50 + len(crowd.when) / REPLIES_PER_SECOND)
        wall, cpu = time.monotonic() - start, spent(before, stage.cpu(), made)
        return {
            "rooms": rooms, "per_second": round(made / fed, 1), **await verdict(stage, crowd), **cpu,
            "most_waiting_at_telegram": most_waiting, "seconds_until_all_was_said": round(wall, 1),
            "idle_pss_mb": idle, "pss_mb": stage.pss(),
        }  # fmt: skip


async def speed(folder: Path, messages: int) -> Json:
    """One message in each of so many private chats, one after the other, no limit near."""
    async with staged(folder, 10 * messages) as stage:
        crowd = stage.crowd
        idle, before, syncs = stage.pss(), stage.cpu(), []
        for person, chat in crowd.privates:
            crowd.number += 1
            word = f"word{crowd.number:07d}"
            done = await stage.telegram.do_all([act({"user": person}, "says", {"chat": chat}, f"what of {word}?")])
            crowd.when[word] = done.at
            await asyncio.sleep(0.1)
            syncs.append(1000 / fdatasync_rate(folder, 1))
        await settled(stage, crowd, 60)
        cpu = spent(before, stage.cpu(), messages)
        found = await verdict(stage, crowd)
        sync = statistics.median(syncs)
        return {
            "messages": messages, "ms_to_delivered": found["ms_to_delivered"], "fdatasync_ms_median": round(sync, 2),
            "wanted_ms": round(15 + 6 * sync, 1), **cpu, "idle_pss_mb": {"total": round(sum(idle.values()), 1), **idle},
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("lane", choices=["often", "load", "speed"])
    parser.add_argument("--updates", type=int, default=100_000, help="of the lane `often`")
    parser.add_argument("--rooms", type=int, default=1000)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--addressed", type=float, default=0.1, help="share of updates that ask for an answer")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="teehee-bench-") as name:
        folder = Path(name)
        lanes = {
            "often": lambda: often(folder, given.updates, given.rooms),
            "load": lambda: load(folder, given.rooms, given.per_second, given.seconds, given.addressed),
            "speed": lambda: speed(folder, 100),
        }
        machine = {"fdatasync_per_second": round(fdatasync_rate(folder)), "python_million_additions": python_rate()}
        machine["load_average"] = os.getloadavg()[0]
        found = asyncio.run(lanes[given.lane]())
        sys.stdout.write(json.dumps({given.lane: found, **machine}) + "\n")


if __name__ == "__main__":
    main()
