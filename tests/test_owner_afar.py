"""An owner elsewhere: whoever carries the order can neither read, alter nor repeat it, and a stop is quick."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from teehee.cli import afar
from teehee.errors import Refused, VerificationError
from teehee.supervisor.owner import Owner
from teehee.testing import Running, running, teehee
from teehee.testing.processes import free_port
from teehee.wire import channel
from vaults import Vault, config, rule_of, vault_at

Json = Any
TOKEN = "xoxb-a-token-nobody-on-the-way-may-read"


@dataclass
class Carrier:
    """Somebody between an owner and the gate, who keeps what passes and may change it."""

    gate: str
    url: str
    asked: list[bytes] = field(default_factory=list)
    answered: list[bytes] = field(default_factory=list)
    flips: str = ""  # which way it alters: "request" or "answer"

    async def bundle(self, request: web.Request) -> web.Response:
        async with httpx.AsyncClient() as http:
            return web.Response(body=(await http.get(f"{self.gate}/bundle.json")).content)

    async def owner(self, request: web.Request) -> web.Response:
        self.asked.append(await request.read())
        status, answer = await self.post(flipped(self.asked[-1]) if self.flips == "request" else self.asked[-1])
        self.answered.append(answer)
        return web.Response(status=status, body=flipped(answer) if self.flips == "answer" else answer)

    async def post(self, data: bytes) -> tuple[int, bytes]:
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{self.gate}/owner", content=data)
            return answer.status_code, answer.content


def flipped(data: bytes) -> bytes:
    return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]


@contextlib.asynccontextmanager
async def carried(agent: Running) -> AsyncIterator[Carrier]:
    carrier = Carrier(agent.url, f"http://127.0.0.1:{free_port()}")
    app = web.Application()
    app.add_routes([web.get("/bundle.json", carrier.bundle), web.post("/owner", carrier.owner)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", int(carrier.url.rsplit(":", 1)[1])).start()
        yield carrier
    finally:
        await runner.cleanup()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", ["wren"]) as up:
        yield up


async def there(agent: Running, url: str = "") -> afar.Elsewhere:
    """The agent, as its owner knows it who is elsewhere."""
    async with httpx.AsyncClient() as http:
        said = json.loads((await http.get(f"{agent.url}/bundle.json")).json()["statement"])
    return afar.Elsewhere(url or agent.url, said["app_id"], dev_root=agent.folder / "dev-root.pem")


async def vault_of(agent: Running, url: str = "", key: Path | None = None) -> afar.Vault:
    return await asyncio.to_thread(afar.Vault, await there(agent, url), key or agent.folder / "owner-key")


async def ask(vault: afar.Vault, method: str, params: Json = None) -> Json:
    return await asyncio.to_thread(vault.ask, method, params or {})


async def last(agent: Running) -> str:
    return (await agent.leaves())[-1].type


# -- the order


async def test_an_owner_elsewhere_stops_and_resumes_by_address(agent: Running, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copyfile(agent.folder / "owner-key", mine / "owner-key")
    meant: list[object] = ["--url", agent.url, "--app-id", (await there(agent)).app_id, "--data", mine]
    meant += ["--dev-root", agent.folder / "dev-root.pem"]

    stopped = await teehee("stop", *meant, "--agent", "wren")
    told = await agent.say("hello", id="1")
    state = await teehee("owner", *meant)
    again = await teehee("stop", *meant)
    resumed = await teehee("resume", *meant)

    assert (stopped.code, stopped.out) == (0, "stopped: Wren\n"), stopped.err
    assert told["state"] == "stopped"
    assert "Wren · stopped · epoch 1 · 2 leaves" in state.out
    assert again.out == "nothing to do: already stopped\n"
    assert resumed.out == "resumed: Wren\n"
    assert [one.type for one in await agent.leaves()] == ["genesis", "stop", "resume"]
    assert (await agent.say("hello", id="2"))["state"] == "answered"


async def test_a_stop_from_afar_takes_less_than_a_second_while_the_mind_hangs(agent: Running) -> None:
    os.kill(agent.supervisor.mind.pid, signal.SIGSTOP)
    try:
        waiting = asyncio.create_task(agent.say("hello", id="1", wait=30))
        vault = await vault_of(agent)
        began = time.monotonic()
        told = await ask(vault, "stop")
        took = time.monotonic() - began

        assert told == {"changed": ["Wren"]}
        assert took < 1.0
        assert await last(agent) == "stop"
    finally:
        os.kill(agent.supervisor.mind.pid, signal.SIGCONT)
    assert (await waiting)["messages"] == []


async def test_a_secret_set_from_afar_is_nowhere_on_the_way(agent: Running) -> None:
    async with carried(agent) as carrier:
        vault = await vault_of(agent, carrier.url)
        assert await ask(vault, "secret.set", {"name": "wren/TOKEN", "value": TOKEN}) == {
            "version": 1, "changed": True, "before": "",
        }  # fmt: skip
        names = await ask(vault, "secret.names")

    passed = b"".join([*carrier.asked, *carrier.answered])
    owner = Owner(agent.folder / "owner-key").public
    for plain in (TOKEN.encode(), b"secret", b"TOKEN", b"wren", b"seq", b"version", owner, owner.hex().encode()):
        assert plain not in passed
    assert "wren/TOKEN" in [one["name"] for one in names["secrets"]]
    assert len({len(data) for data in carrier.asked}) == 1, "a length tells what was asked"
    logs = b"".join(path.read_bytes() for path in agent.supervisor.plan.folder.logs.iterdir())
    assert TOKEN.encode() not in logs


async def test_the_command_hands_a_secret_over_by_address(agent: Running, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copyfile(agent.folder / "owner-key", mine / "owner-key")
    bot_token = "7000000001:" + "C" * 35
    async with carried(agent) as carrier:
        meant: list[object] = ["--url", carrier.url, "--app-id", (await there(agent)).app_id, "--data", mine]
        meant += ["--dev-root", agent.folder / "dev-root.pem"]
        done = await teehee("secrets", "set", "telegram", *meant, stdin=bot_token)
        nobody = await teehee("secrets", "set", "telegram", *meant, "--agent", "eve", stdin=bot_token)
        listed = await teehee("secrets", "list", "--json", *meant)

    assert done.code == 0, done.err
    assert done.out == "TELEGRAM_BOT_TOKEN: version 1, sealed in the vault; the gate takes it up within seconds\n"
    assert [(one["name"], one["giver"]) for one in listed.json] == [("wren/TELEGRAM_BOT_TOKEN", "owner")]
    assert (nobody.code, "name one with --agent: wren" in nobody.err) == (2, True)
    assert bot_token.encode() not in b"".join([*carrier.asked, *carrier.answered])


# -- whoever carries it


async def test_an_order_altered_on_its_way_is_refused_and_nothing_happens(agent: Running) -> None:
    async with carried(agent) as carrier:
        vault = await vault_of(agent, carrier.url)
        carrier.flips = "request"
        with pytest.raises(Refused) as caught:
            await ask(vault, "stop")

    assert caught.value.rule == "owner.not-sealed"
    assert await last(agent) == "genesis"


async def test_an_altered_answer_is_not_believed(agent: Running) -> None:
    async with carried(agent) as carrier:
        vault = await vault_of(agent, carrier.url)
        carrier.flips = "answer"
        with pytest.raises(VerificationError, match="not the vault's"):
            await ask(vault, "status")


async def test_an_order_counts_once_however_often_it_is_carried(agent: Running) -> None:
    async with carried(agent) as carrier:
        vault = await vault_of(agent, carrier.url)
        await ask(vault, "stop")
        await ask(vault, "resume")
        repeated = [await carrier.post(data) for data in carrier.asked]
        carrier.post = _old(carrier.answered[0])  # type: ignore[method-assign] # it hands out what it kept
        with pytest.raises(VerificationError):  # the answer to one order is none to another
            await ask(vault, "stop")

    assert [status for status, _ in repeated] == [200, 200]
    assert [one.type for one in await agent.leaves()] == ["genesis", "stop", "resume"]


def _old(answer: bytes) -> Any:
    async def post(data: bytes) -> tuple[int, bytes]:
        return 200, answer

    return post


# -- who is heard, and who is told


async def test_a_stranger_who_seals_well_is_not_heard(agent: Running, tmp_path: Path) -> None:
    Owner(tmp_path / "stranger-key")
    vault = await vault_of(agent, key=tmp_path / "stranger-key")

    assert await rule_of(ask(vault, "stop")) == "owner.key-unknown"
    assert await rule_of(ask(vault, "status")) == "owner.key-unknown"
    assert await last(agent) == "genesis"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"app_id": "0" * 40}, "expected 0000"),
        ({"dev_root": None}, "D1"),
    ],
)
async def test_nothing_is_sent_to_what_does_not_hold_or_is_another_app(agent: Running, wrong: Json, says: str) -> None:
    async with carried(agent) as carrier:
        meant = replace(await there(agent, carrier.url), **wrong)
        with pytest.raises(VerificationError, match=says):
            await asyncio.to_thread(afar.Vault, meant, agent.folder / "owner-key")

    assert carrier.asked == []


async def test_who_is_meant_must_be_said_and_a_key_be_there(agent: Running, tmp_path: Path) -> None:
    anybody = await teehee("stop", "--url", agent.url, "--data", agent.folder)
    keyless = await teehee("stop", "--url", agent.url, "--data", tmp_path / "nothing")
    made = await teehee("owner", "--data", tmp_path / "nothing")

    assert (anybody.code, keyless.code) == (2, 2)
    assert "--app-id" in anybody.err
    assert "`teehee owner` makes one" in keyless.err
    assert made.out.strip() == Owner(tmp_path / "nothing/owner-key").public.hex()


async def test_what_is_too_long_is_refused_by_the_gate(agent: Running) -> None:
    async with httpx.AsyncClient() as http:
        long = await http.post(f"{agent.url}/owner", content=bytes(channel.MOST_BYTES + 1))
        noise = await http.post(f"{agent.url}/owner", content=bytes(channel.MOST_BYTES))
        empty = await http.post(f"{agent.url}/owner")

    assert (long.status_code, long.json()["error"]["code"]) == (400, "bad-request")
    assert {noise.json()["error"]["code"], empty.json()["error"]["code"]} == {"owner.not-sealed"}


async def test_a_flood_is_cut_off_at_the_gate_and_the_owner_is_heard_after_it(agent: Running) -> None:
    vault = await vault_of(agent)
    async with httpx.AsyncClient() as http:
        codes = [r.status_code for r in await asyncio.gather(*(http.post(f"{agent.url}/owner") for _ in range(100)))]
    await asyncio.sleep(1.0)

    assert 40 <= codes.count(503) < 100
    assert await ask(vault, "stop") == {"changed": ["Wren"]}


# -- at the vault


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with vault_at(tmp_path, config("Ada")) as one:
        yield one


async def relayed(vault: Vault, envelope: Json) -> Json:
    """What the vault answers inside."""
    key = await vault.core.ring.channel_key()
    sealed, exchange = channel.request(json.dumps(envelope).encode(), key, X25519PrivateKey.generate())
    told = await vault.gate("owner.relay", {"sealed": sealed.hex()})
    return json.loads(channel.unseal(exchange.answering, bytes.fromhex(told["sealed"])))


async def test_a_request_signed_for_another_vault_or_another_way_is_refused(vault: Vault) -> None:
    here = (await vault.core.ring.channel_key()).hex()
    owner = vault.owner_key
    refused = [await relayed(vault, owner.signed("stop", {}, to=to)) for to in ("", "ab" * 32)]
    local = vault.ask("owner", "request", owner.signed("stop", {}, to=here))

    assert [one["error"]["data"]["rule"] for one in refused] == ["owner.another-vault"] * 2
    assert await rule_of(local) == "owner.another-vault"
    assert "result" in await relayed(vault, owner.signed("stop", {}, to=here))


@pytest.mark.parametrize("method", ["configure", "recall", "backup.key", "restored"])
async def test_what_rules_a_vault_is_not_asked_from_afar(vault: Vault, method: str) -> None:
    here = (await vault.core.ring.channel_key()).hex()
    told = await relayed(vault, vault.owner_key.signed(method, {}, to=here))

    assert told["error"]["data"]["rule"] == "owner.method-unknown"


@pytest.mark.parametrize("envelope", [None, [], "x", {}, {"body": "{}", "key": "", "signature": ""}])
async def test_a_sealed_request_that_is_none_is_told_so_inside(vault: Vault, envelope: Json) -> None:
    assert "error" in await relayed(vault, envelope)


# -- the channel


def test_each_way_has_a_key_of_its_own_and_each_request_another() -> None:
    vault, texts = X25519PrivateKey.generate(), []
    keys = set()
    for _ in range(2):
        sealed, exchange = channel.request(b"{}", vault.public_key().public_bytes_raw(), X25519PrivateKey.generate())
        keys |= {exchange.asking, exchange.answering}
        texts.append(sealed)

    assert len(keys) == 4
    assert texts[0] != texts[1]


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"", bytes(31)])
def test_a_key_that_makes_every_exchange_the_same_is_refused(point: bytes) -> None:
    own = X25519PrivateKey.generate()
    with pytest.raises(channel.NotSealed):
        channel.agree(own, point, asker=point, vault=own.public_key().public_bytes_raw())


@given(st.binary(min_size=1, max_size=700).filter(lambda text: not text.endswith(b" ")), st.data())
def test_not_a_bit_of_a_request_can_be_altered(text: bytes, data: st.DataObject) -> None:
    vault = X25519PrivateKey.generate()
    public = vault.public_key().public_bytes_raw()
    sealed, _ = channel.request(text, public, X25519PrivateKey.generate())
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    altered = bytearray(sealed)
    altered[place // 8] ^= 1 << place % 8

    assert opened(vault, sealed).rstrip(b" ") == text
    with pytest.raises(channel.NotSealed):
        opened(vault, bytes(altered))


def opened(vault: X25519PrivateKey, sealed: bytes) -> bytes:
    asker = sealed[: channel.KEY_BYTES]
    exchange = channel.agree(vault, asker, asker=asker, vault=vault.public_key().public_bytes_raw())
    return channel.unseal(exchange.asking, sealed[channel.KEY_BYTES :])
