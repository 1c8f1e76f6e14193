"""Collateral: fetched from a PCCS in its own words, kept, and missing without harm."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote as escaped

import pytest
from aiohttp import web

from teehee.gate import collateral
from teehee.gate.collateral import Collateral
from teehee.tee.simulator import Simulator

Json = Any
SIMULATOR = Simulator(bytes(range(32)))


@dataclass
class Pccs:
    """A provisioning certificate caching service (Intel's PCS API v4) that knows one platform."""

    word: Json
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        word = self.word
        match request.path.rsplit("/", 1)[-1]:
            case "pckcrl":
                chain = {"SGX-PCK-CRL-Issuer-Chain": escaped(word["pck_crl_issuer_chain"])}
                return web.Response(body=bytes.fromhex(word["pck_crl"]), headers=chain)
            case "tcb":
                chain = {"TCB-Info-Issuer-Chain": escaped(word["tcb_info_issuer_chain"])}
                text = f'{{"tcbInfo":{word["tcb_info"]},"signature":"{word["tcb_info_signature"]}"}}'
                return web.Response(text=text, headers=chain)
            case "identity":
                chain = {"SGX-Enclave-Identity-Issuer-Chain": escaped(word["qe_identity_issuer_chain"])}
                text = f'{{"enclaveIdentity":{word["qe_identity"]},"signature":"{word["qe_identity_signature"]}"}}'
                return web.Response(text=text, headers=chain)
            case "rootcacrl":
                return web.Response(text=word["root_ca_crl"])
        return web.Response(status=404)


@asynccontextmanager
async def pccs(word: Json) -> AsyncIterator[Pccs]:
    service = Pccs(word)
    app = web.Application()
    app.router.add_get("/{path:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


def a_quote() -> bytes:
    machine = SIMULATOR.machine
    return SIMULATOR.pki.quote(bytes(64), machine.mrtd, machine.rtmrs, machine.mrconfigid)


async def test_intels_word_is_fetched_once_and_kept() -> None:
    word = SIMULATOR.collateral(int(time.time()))
    async with pccs(word) as service:
        fetched = Collateral("", service.url)
        first = await fetched.of(a_quote())
        again = await fetched.of(a_quote())

    assert json.loads(first[0]) == word
    assert first[1] == service.url
    assert again == first
    assert len(service.asked) == 4


async def test_a_simulators_word_is_never_asked_for() -> None:
    assert await Collateral("{}", "http://127.0.0.1:9").of(a_quote()) == ("{}", "simulator")


@pytest.mark.parametrize("spoil", ["tcb_info", "pck_crl_issuer_chain", "root_ca_crl"])
async def test_a_service_that_talks_nonsense_leaves_the_bundle_without(spoil: str) -> None:
    async with pccs({**SIMULATOR.collateral(int(time.time())), spoil: "{}"}) as service:
        assert await Collateral("", service.url).of(a_quote()) == ("", "")


async def test_a_service_that_is_away_is_not_asked_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    word = SIMULATOR.collateral(int(time.time()))
    async with pccs(word) as service:
        fetched = Collateral("", "http://127.0.0.1:9")
        assert await fetched.of(a_quote()) == ("", "")
        fetched.pccs = service.url
        assert await fetched.of(a_quote()) == ("", "")
        assert service.asked == []

        monkeypatch.setattr(fetched, "_next", 0.0)
        assert (await fetched.of(a_quote()))[1] == service.url


async def test_what_was_fetched_stays_while_the_service_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pccs(SIMULATOR.collateral(int(time.time()))) as service:
        fetched = Collateral("", service.url)
        first = await fetched.of(a_quote())
    monkeypatch.setattr(fetched, "_next", 0.0)
    monkeypatch.setattr(collateral, "FETCH_SECONDS", 2.0)

    assert await fetched.of(a_quote()) == first
