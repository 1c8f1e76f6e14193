"""The vault's life in one event loop: four sockets, what each may ask, and doors that open only for an owner."""

import asyncio
import contextlib
import io
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raw_peer import connected
from teehee.errors import ConfigError, Unavailable
from teehee.supervisor.owner import Owner
from teehee.vault import doors
from teehee.vault.server import serve
from teehee.wire import boot, child, frames
from teehee.wire.client import Client
from vaults import config, configure, intents, reply, vault_at, verified, witness

Json = Any
METHODS = {
    "owner": {"request"},
    "mind": {"agents", "effect.submit", "effect.for_event", "effect.settled"},
    "gate": {
        "event.witness", "effect.due", "effect.for_event", "effect.in_room", "effect.outcome", "secret.get",
        "secret.rotate",
    },
    "public": {"agents", "checkpoint", "leaves", "consistency", "receipt", "statement", "bundle"},
}  # fmt: skip
EVERY = sorted(set().union(*METHODS.values()) | {"configure", "stop", "secret.set", "sign", "__init__", "push"})


@dataclass
class Served:
    folder: Path
    life: child.Life
    owner: Owner
    task: asyncio.Task[None]

    def socket(self, role: str) -> Path:
        return self.folder / "run" / f"vault-{role}.sock"

    def sockets(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "run").iterdir())

    async def configure(self, *names: str) -> Json:
        async with Client(self.socket("owner")) as link:
            return await self.owner.ask(link, "configure", configure(config(name) for name in names or ["Ada"]))


class ToldLife(child.Life):
    """A life that keeps what it tells its supervisor."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.is_ready = asyncio.Event()
        self.facts: Json = None

    def ready(self, **facts: Json) -> None:
        self.facts = facts
        self.is_ready.set()


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    """The vault's own `serve`, until the test is done with it."""
    (folder / "run").mkdir(exist_ok=True)
    owner, life = Owner(folder / "owner-key"), ToldLife()
    task = asyncio.create_task(serve(boot.VaultBoot(str(folder), str(folder / "run"), (owner.public.hex(),)), life))
    try:
        async with asyncio.timeout(10):
            await asyncio.wait([task, asyncio.ensure_future(life.is_ready.wait())], return_when="FIRST_COMPLETED")
        yield Served(folder, life, owner, task)
    finally:
        life.stop()
        await task


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as one:
        yield one


async def test_only_the_owners_door_is_open_until_an_owner_configures(served: Served) -> None:
    before = served.sockets()
    await served.configure()

    assert before == ["vault-owner.sock"]
    assert served.sockets() == ["vault-gate.sock", "vault-mind.sock", "vault-owner.sock", "vault-public.sock"]


async def test_a_configuration_that_fails_opens_no_door(served: Served) -> None:
    async with Client(served.socket("owner")) as link:
        with pytest.raises(Exception, match="unknown key 'allow_all'"):
            await served.owner.ask(link, "configure", configure([config("Ada", allow_all=True)]))

    assert served.sockets() == ["vault-owner.sock"]


async def test_every_door_is_for_this_user_only(served: Served) -> None:
    await served.configure()

    modes = {role: stat.S_IMODE(served.socket(role).stat().st_mode) for role in METHODS}

    assert modes == dict.fromkeys(METHODS, 0o600)


async def test_the_vault_says_how_far_it_is_to_be_trusted(served: Served) -> None:
    told = await served.configure()

    assert isinstance(served.life, ToldLife)
    assert served.life.facts == {"trust": "dev"}
    assert told["trust"] == "dev"


@pytest.mark.parametrize("role", sorted(METHODS))
async def test_a_door_has_the_methods_of_its_role_and_no_others(served: Served, role: str) -> None:
    await served.configure()

    has = set()
    for method in EVERY:
        async with connected(served.socket(role)) as peer:
            told = await peer.ask(method, {"nonsense": True})
        if told.get("error", {}).get("code") != frames.NO_METHOD:
            has.add(method)

    assert has == METHODS[role]


async def test_the_four_doors_lead_to_one_vault(served: Served) -> None:
    await served.configure()

    async with (
        Client(served.socket("gate")) as gate,
        Client(served.socket("mind")) as mind,
        Client(served.socket("public")) as public,
    ):
        await gate.call("event.witness", witness())
        (effect,) = (await mind.call("effect.submit", reply()))["effects"]
        due = (await gate.call("effect.due"))["effects"]
        leaves = await verified(public.call, "agent-ada")

    assert due == [effect]
    assert [one.type for one in leaves] == ["genesis", "intent"]


async def test_configuring_again_keeps_the_doors_and_opens_an_epoch(served: Served) -> None:
    await served.configure("Ada")
    async with Client(served.socket("public")) as public:
        await public.call("agents")
        told = await served.configure("Ada", "Eve")
        known = (await public.call("agents"))["agents"]

    assert [one["epoch"] for one in told["agents"]] == [2, 1]
    assert [one["name"] for one in known] == ["Ada", "Eve"]


async def test_whoever_subscribes_at_a_door_hears_what_that_role_is_told_and_nothing_else(served: Served) -> None:
    await served.configure()

    async with connected(served.socket("mind")) as mind, connected(served.socket("public")) as public:
        for peer in (mind, public):
            await peer.ask("subscribe")
        async with Client(served.socket("gate")) as gate:
            await gate.call("event.witness", witness())
            (effect,) = (await mind.ask("effect.submit", reply()))["result"]["effects"]
            await gate.call("effect.outcome", {"id": effect["id"], "state": "delivered"})
        settled = await mind.read()
        last = await public.ask("agents")

    assert (settled["method"], settled["params"]["id"]) == ("effect.settled", effect["id"])
    assert mind.pushed == []
    assert "result" in last
    assert public.pushed == []


async def test_a_stopped_vault_leaves_no_socket_and_a_whole_store(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.configure()

    assert served.sockets() == []
    assert not (tmp_path / "vault.db-wal").exists()
    with contextlib.closing(sqlite3.connect(tmp_path / "vault.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_what_waits_when_a_vault_closes_is_committed_and_told(tmp_path: Path) -> None:
    faults: list[Json] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
    async with vault_at(tmp_path, config("Ada")) as vault:
        await vault.gate("event.witness", witness())
        waiting = asyncio.ensure_future(vault.submit(reply()))
        await asyncio.sleep(0)  # it is asked now, and not yet committed
    async with asyncio.timeout(5):
        (effect,) = await waiting

    assert faults == []
    async with vault_at(tmp_path, config("Ada")) as vault:
        assert intents(await vault.verified()) == [effect["id"]]


async def test_what_is_asked_of_a_closed_vault_is_told_so(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        await vault.gate("event.witness", witness())

    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await vault.submit(reply())


async def test_a_vault_that_starts_ends_what_nobody_came_for(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        (old,) = await vault.answered("e1")
        vault.core.db.execute("UPDATE effects SET at=at-?", (doors.EXPIRY_MS + 1000,))

    async with serving(tmp_path) as served:
        await served.configure("Ada")
        async with Client(served.socket("gate")) as gate:
            due = await gate.call("effect.due")
        async with Client(served.socket("public")) as public:
            receipt = await public.call("receipt", {"effect": old["id"]})

    assert due == {"effects": []}
    assert receipt["state"] == "expired"


async def test_a_caller_learns_what_to_do_about_another_seed(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")):
        pass
    (tmp_path / "developer-seed").write_bytes(b"another seed of thirty-two bytes")

    with pytest.raises(ConfigError, match="this data folder was born with guest API v0") as caught:
        async with vault_at(tmp_path):
            pass

    assert "restore the right one" in caught.value.hint


async def test_a_store_of_a_newer_release_does_not_start(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "vault.db")) as db:
        db.execute("PRAGMA user_version=999")
    (tmp_path / "run").mkdir()

    with pytest.raises(ConfigError, match="the vault's store is at version 999"):
        await serve(boot.VaultBoot(str(tmp_path), str(tmp_path / "run"), ()), ToldLife())

    assert list((tmp_path / "run").iterdir()) == []


# -- the public door


@pytest.mark.parametrize("nonce", ["zz", "f", "FF", "00" * 65, "é"])
async def test_a_nonce_of_another_shape_is_malformed(served: Served, nonce: str) -> None:
    await served.configure()

    async with connected(served.socket("public")) as peer:
        told = await peer.ask("statement", {"agent": "agent-ada", "nonce": nonce})

    assert told["error"]["code"] == frames.BAD_PARAMS
    assert "nonce" in told["error"]["message"]


async def test_a_follower_can_check_that_the_log_only_grew(served: Served) -> None:
    await served.configure()
    async with Client(served.socket("public")) as public, connected(served.socket("public")) as peer:
        told = await public.call("consistency", {"agent": "agent-ada", "old": 0, "new": 1})
        refused = await peer.ask("consistency", {"agent": "agent-ada", "old": 1, "new": 99})

    assert told == {"proof": []}
    assert refused["error"]["data"] == {"rule": "log.no-such-size"}


async def test_nobody_gets_more_leaves_at_once_than_a_page_holds(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for _ in range(3):
            await served.configure("Ada")
        async with Client(served.socket("public")) as public:
            for limit in (-1, 0):
                asked = {"agent": "agent-ada", "limit": limit}
                assert (await public.call("leaves", asked))["leaves"] == []
            assert len((await public.call("leaves", {"agent": "agent-ada", "limit": 2**53}))["leaves"]) == 3


async def test_a_receipt_of_nothing_is_refused(served: Served) -> None:
    await served.configure()
    async with connected(served.socket("public")) as peer:
        told = await peer.ask("receipt", {"effect": "0b1c5a52-6ff2-4a67-9d3b-0c4f7a1f6f10"})

    assert told["error"]["data"] == {"rule": "log.no-such-effect"}


async def test_a_call_to_a_vault_that_is_not_configured_waits_and_says_so(served: Served) -> None:
    async with Client(served.socket("mind")) as mind:
        with pytest.raises(Unavailable, match=r"vault-mind did not answer 'effect\.submit'"):
            await mind.call("effect.submit", reply(), patience=0.1)
