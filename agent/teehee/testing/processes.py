"""The three real processes, started for a test and ended with it."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teehee.evidence import leaf
from teehee.supervisor import plan as plans
from teehee.supervisor.supervisor import Supervisor
from teehee.wire.client import Client

Json = Any


@dataclass(slots=True)
class Running:
    """A running agent: its supervisor, its terminal's door, its vault's public door."""

    supervisor: Supervisor
    door: Client
    public: Client
    told: list[str]  # what the supervisor had to say

    @property
    def folder(self) -> Path:
        return self.supervisor.plan.folder.path

    @property
    def sockets(self) -> Path:
        return self.supervisor.plan.folder.sockets

    @property
    def url(self) -> str:
        return self.supervisor.url

    @property
    def agent(self) -> Json:
        return self.supervisor.identities[0]

    def kill(self, name: str) -> None:
        """`kill -9` of one real process."""
        child = getattr(self.supervisor, name)
        os.kill(child.pid, signal.SIGKILL)

    async def leaves(self, agent: str = "") -> list[leaf.Leaf]:
        """The whole action log of an agent (the first one, when not named), parsed."""
        asked = {"agent": agent or self.agent["agent"], "limit": 1000}
        found: list[leaf.Leaf] = []
        while page := (await self.public.call("leaves", {**asked, "start": len(found)}))["leaves"]:
            found += [leaf.parse(text.encode()) for text in page]
        return found

    async def say(self, text: str, *, id: str, room: str = "main", wait: float = 20.0) -> Json:
        """Says something at the terminal's door and acknowledges what comes back."""
        message = {"text": text, "id": id, "room": room, "wait": wait}
        told = await self.door.call("say", message, patience=wait + 20)
        if told["messages"]:
            await self.door.call("seen", {"ids": [m["id"] for m in told["messages"]]})
        return told


@contextlib.asynccontextmanager
async def running(
    data: Path, characters: Sequence[str] = (), *, failpoint: str = "", mind_prefix: Sequence[str] = (), **options: Json
) -> AsyncIterator[Running]:
    """Starts vault, gate and mind for `characters` in the folder `data`."""
    told: list[str] = []
    options.setdefault("port", free_port())
    options.setdefault("ollama_url", "off")  # one on this machine would answer in the classic brain's place
    options.setdefault("local_model", "off")  # so would weights in its cache
    plan = await asyncio.to_thread(plans.make, list(characters), {"data": str(data), **options}, failpoint)
    async with Supervisor(plan, told.append, mind_prefix=mind_prefix) as supervisor:
        sockets = plan.folder.sockets
        async with Client(sockets / "terminal.sock") as door, Client(sockets / "vault-public.sock") as public:
            yield Running(supervisor, door, public, told)


def free_port() -> int:
    """A loopback port nobody has, below those the system hands out: a killed gate finds it free when it comes back."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port between 20000 and 32000")
