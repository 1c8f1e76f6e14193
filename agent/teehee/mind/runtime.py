"""The mind's life: agents opened, inbox recovered, the gate let in."""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

from teehee import ids, registry
from teehee.character import codec
from teehee.log import configure, get_logger
from teehee.mind import models
from teehee.mind.afterwards import Afterwards
from teehee.mind.agent import Agent, open_agent
from teehee.mind.files import GateFiles
from teehee.mind.inbox import Inbox
from teehee.mind.recent import Recent
from teehee.mind.retention import keep_house
from teehee.mind.turn import Desk
from teehee.store.mind_store import MindStore
from teehee.wire import boot, child, failpoints, paths, strict
from teehee.wire.client import Client
from teehee.wire.messages import Draft, Ended, Settled
from teehee.wire.server import Server

Json = Any
STOP_SECONDS = 5.0
EVENT = ("agent", "source", "event")
log = get_logger()


async def serve(settings: boot.MindBoot, life: child.Life) -> None:
    """Runs the mind until it is told to stop; running turns are finished or left for the next start."""
    configure("mind", settings.log_level)
    failpoints.arm(settings.failpoint, Path(settings.data) / "failpoints")
    if settings.plugin_path:
        sys.path.append(settings.plugin_path)
    sockets = Path(settings.sockets)
    async with contextlib.AsyncExitStack() as stack:
        store = MindStore(Path(settings.data) / "mind.db")
        stack.callback(store.close)
        connect = await stack.enter_async_context(models.endpoints(sockets, settings.agents))
        agents = await _agents(stack, settings, connect)
        await store.commit.run(lambda: _settle_in(store, agents))
        await store.commit.run(lambda: keep_knowledge(store, agents))

        def hear(method: str, params: Json) -> None:
            if method == "effect.settled":
                afterwards.heard(strict.parse(Settled, params))

        async def catch_up(link: Client) -> None:
            await link.call("subscribe")
            await afterwards.catch_up(link)

        vault = Client(paths.socket_in(sockets, "vault-mind"), on_connect=catch_up, on_notify=hear)
        desk = Desk(store, Recent(store), vault, GateFiles(sockets))
        afterwards = Afterwards(desk, agents)
        stack.push_async_callback(afterwards.close)
        await stack.enter_async_context(vault)

        def tell(ended: Ended) -> None:
            server.push("turn.ended", ended.to_json())

        def show_draft(draft: Draft) -> None:
            server.push("turn.draft", draft.to_json())

        inbox = Inbox(desk, agents, afterwards, tell, settings.rooms_in_parallel, show_draft)
        server = Server("gate", paths.socket_in(sockets, "mind"), inbox.methods(), log.info)
        if settings.traced:
            desk.records.told = lambda ended: server.push("turn.closed", dict(zip(EVENT, ended, strict=True)))
        await inbox.recover()
        await server.start()
        stack.push_async_callback(server.close)
        sweeping = asyncio.get_running_loop().create_task(keep_house(store, settings.keep))
        stack.push_async_callback(_ended, sweeping)
        life.ready(agents={agent.character.name: type(agent.brain).__name__ for agent in agents.values()})
        await life.stopping.wait()
        await inbox.close(STOP_SECONDS)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def _agents(
    stack: contextlib.AsyncExitStack, settings: boot.MindBoot, connect: models.Connect
) -> dict[str, Agent]:
    found = registry.installed(settings.plugin_path)
    agents = {}
    for booted in settings.agents:
        character = codec.from_json(booted.character)
        opening = open_agent(booted, character, found, connect)
        agents[booted.agent] = await stack.enter_async_context(opening)
    return agents


def _settle_in(store: MindStore, agents: dict[str, Agent]) -> None:
    for agent in agents.values():
        store.settle_in(agent.id, agent.character.name, time.time_ns() // 1_000_000)


def keep_knowledge(store: MindStore, agents: dict[str, Agent]) -> None:
    """Puts each agent's knowledge where it can be searched; what is there already stays."""
    for agent in agents.values():
        fragments = {}
        for item in (item for item in agent.character.knowledge if item.text):
            fragment = ids.string_to_uuid(f"{agent.id}/{item.source}/{item.position}/{item.text}")
            fragments[fragment] = {"text": item.text, "source": item.source, "position": item.position}
        added, removed = store.keep_knowledge(agent.id, fragments, time.time_ns() // 1_000_000)
        if added or removed:
            log.info("knowledge_changed", agent=agent.character.name, added=added, removed=removed)
