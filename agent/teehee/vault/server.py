"""The vault's life: four sockets, and which of them decides what may be asked at all."""

import asyncio
from pathlib import Path
from typing import Any

from teehee.errors import TeeheeError
from teehee.vault.core import Core
from teehee.vault.doors import Doors
from teehee.vault.log import log
from teehee.vault.owner import OwnerDesk
from teehee.vault.owner_door import OwnerDoor
from teehee.vault.platform_door import PlatformDoor
from teehee.vault.public_door import PublicDoor
from teehee.vault.relay import Relay
from teehee.vault.retention import Retention
from teehee.wire import boot, child, failpoints, paths, strict
from teehee.wire.messages import Configure
from teehee.wire.server import Server

Json = Any

PEERS = {"mind": 4, "gate": 4, "owner": 8, "public": 32}  # connections at once


async def serve(settings: boot.VaultBoot, life: child.Life) -> None:
    """Runs the vault until it is told to stop."""
    failpoints.arm(settings.failpoint, Path(settings.data) / "failpoints")
    core = await Core.open(settings)
    servers: dict[str, Server] = {}

    def push(role: str, method: str, params: dict[str, Json]) -> None:
        if server := servers.get(f"mind {params['agent']}" if settings.isolated and role == "mind" else role):
            server.push(method, params)

    async def open_doors() -> None:
        await _expire(doors)  # before anyone can ask what is due
        for agent in core.identities.agents if settings.isolated else ():
            if f"mind {agent}" not in servers:
                folder = paths.of_mind(Path(settings.sockets), agent)
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                path = paths.socket_in(folder, "vault-mind")
                servers[f"mind {agent}"] = Server("mind", path, doors.mind(agent), log, most=PEERS["mind"], only=agent)
        for role, server in list(servers.items()):
            if role != "owner":
                await server.start()
        if settings.guest:
            core.statements.refresh_soon()

    doors = Doors(core, push)
    desk = OwnerDesk(core.db, frozenset(settings.owner_keys))
    measured = None if settings.measured is None else strict.parse(Configure, settings.measured, "measured")
    owner = OwnerDoor(core, desk, push, open_doors, is_measured=measured is not None)
    roles = {
        "owner": owner.methods(),
        **({} if settings.isolated else {"mind": doors.mind()}),
        "gate": doors.gate() | PlatformDoor(core, push).methods() | Relay(core.ring, owner).methods(),
        "public": PublicDoor(core).methods(),
    }
    for role, methods in roles.items():
        path = paths.socket_in(Path(settings.sockets), f"vault-{role}")
        servers[role] = Server(role, path, methods, log, most=PEERS[role])
    try:
        await servers["owner"].start()
        if measured is not None:
            await owner.configure(measured)
        life.ready(trust=core.ring.trust)
        retention = Retention(core, settings.keep)
        while not await _within(settings.keep.pause_seconds, life.stopping):
            await _sweep(doors, retention)
            if settings.guest:
                await core.statements.refresh()
    finally:
        for server in servers.values():
            await server.close()
        await core.statements.close()
        core.close()


async def _sweep(doors: Doors, retention: Retention) -> None:
    await _expire(doors)
    try:
        await retention.forget()
    except TeeheeError as error:
        log("sweep_failed", error=str(error))


async def _expire(doors: Doors) -> None:
    try:
        await doors.expire()
    except TeeheeError as error:  # a full disk must not end the vault: it goes on answering reads
        log("sweep_failed", error=str(error))


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Is `event` set before `seconds` have passed?"""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
