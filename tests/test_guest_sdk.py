"""dstack's own clients, as published, find in our simulator the guest agent they were written for."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import dcap_qvl  # type: ignore[import-untyped] # it ships stubs without the marker
import pytest

import guest_sdk_oracle
from eliza_oracle import OracleError
from guest_sdk_oracle import Sdk
from teehee.evidence import attestation
from teehee.tee.simulator import Simulator

pytestmark = guest_sdk_oracle.MAY_INSTALL

Json = Any
SEED = bytes(range(32))
NOW = 1_790_000_000
TAGGED = b"a tagged statement".ljust(64, b"\x00")


def status(simulator: Simulator, quote: str) -> str:
    """What the strictest policy says of a quote, under this simulator's root."""
    collateral = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(simulator.collateral(NOW)))
    verifier = dcap_qvl.QuoteVerifier(simulator.root_der)
    claims = verifier.verify_with_policy(bytes.fromhex(quote), collateral, NOW, dcap_qvl.QuotePolicy.strict(NOW))
    return str(json.loads(claims.to_json())["tcb"]["status"])


@pytest.fixture(scope="module")
def python_sdk() -> Iterator[Sdk]:
    with guest_sdk_oracle.python_sdk() as sdk:
        yield sdk


@pytest.fixture(scope="module")
def npm_sdk() -> Iterator[Sdk]:
    with guest_sdk_oracle.npm_sdk() as sdk:
        yield sdk


@pytest.fixture(params=["port", "socket"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Simulator, str]]:
    async with Simulator(SEED) as simulator:
        path = tmp_path / "d.sock" if request.param == "socket" else None
        yield simulator, await simulator.listen(socket=path)


@pytest.mark.parametrize("client", ["DstackClient", "AsyncDstackClient"])
async def test_the_python_clients_are_answered(python_sdk: Sdk, served: tuple[Simulator, str], client: str) -> None:
    simulator, endpoint = served

    async def ask(method: str, then: str = "", **given: Json) -> Json:
        return await asyncio.to_thread(lambda: python_sdk.ask(client, endpoint, method, then=then, **given))

    assert (await ask("version"))["version"] == "0.5.11"
    assert await ask("is_reachable") is True

    for algorithm in ("secp256k1", "ed25519"):
        key = await ask("get_key", path="a", purpose="p", algorithm=algorithm)
        given = simulator.keys.by_path("a", "p", algorithm)
        assert key == {"key": given.secret.hex(), "signature_chain": [link.hex() for link in given.chain]}

    quote = await ask("get_quote", then="replay_rtmrs", report_data={"hex": TAGGED.hex()})
    assert status(simulator, quote["quote"]) == "UpToDate"
    assert quote["report_data"] == TAGGED.hex()
    assert list(quote["replay_rtmrs"].values()) == [rtmr.hex() for rtmr in simulator.machine.rtmrs]

    attested = attestation.parse(bytes.fromhex((await ask("attest", report_data="hello"))["attestation"]))
    assert attested.report_data == b"hello".ljust(64, b"\x00")

    info = await ask("info")
    assert info["app_id"] == simulator.machine.app_id.hex()
    assert hashlib.sha256(info["tcb_info"]["app_compose"].encode()).hexdigest() == info["compose_hash"]

    wished: Json = {"subject": "x", "alt_names": ["x.example"], "usage_ra_tls": True, "not_after": NOW + 10**9}
    certified = await ask("get_tls_key", **wished)
    assert len(certified["certificate_chain"]) == 3

    for algorithm in ("secp256k1", "ed25519", "secp256k1_prehashed"):
        signed = await ask("sign", algorithm=algorithm, data={"hex": "ab" * 32})
        raw: Json = {name: {"hex": signed[name]} for name in ("signature", "public_key")}
        assert (await ask("verify", algorithm=algorithm, data={"hex": "ab" * 32}, **raw))["valid"] is True
        assert (await ask("verify", algorithm=algorithm, data={"hex": "ac" * 32}, **raw))["valid"] is False

    with pytest.raises(OracleError, match=r"400.*EmitEvent"):
        await ask("emit_event", event="mine", payload="x")
    with pytest.raises(OracleError, match=r"400.*Unsupported algorithm"):
        await ask("get_key", path="a", algorithm="rsa")


@pytest.mark.parametrize("client", ["TappdClient", "AsyncTappdClient"])
async def test_the_python_tappd_clients_are_answered(
    python_sdk: Sdk, served: tuple[Simulator, str], client: str
) -> None:
    simulator, endpoint = served

    async def ask(method: str, **given: Json) -> Json:
        return await asyncio.to_thread(lambda: python_sdk.ask(client, endpoint, method, **given))

    derived = await ask("derive_key", path="a")
    assert derived_value(derived["key"]) == int.from_bytes(simulator.keys.by_path("a", "", "").secret)

    quote = await ask("tdx_quote", report_data="hello", hash_algorithm="sha512")
    assert report_of(quote["quote"]) == hashlib.sha512(b"app-data:hello").digest()

    raw = await ask("tdx_quote", report_data="hello", hash_algorithm="raw")
    assert report_of(raw["quote"]) == b"hello".rjust(64, b"\x00")  # this client fills up on the left

    with pytest.raises(OracleError, match="invalid content length"):
        await ask("tdx_quote", report_data="hello")  # and without a hash it says raw, but fills up nothing

    assert (await ask("info"))["instance_id"] == simulator.machine.instance_id.hex()


async def test_the_npm_clients_are_answered(npm_sdk: Sdk, served: tuple[Simulator, str]) -> None:
    simulator, endpoint = served

    async def ask(method: str, *given: Json, client: str = "DstackClient", then: str = "") -> Json:
        return await asyncio.to_thread(lambda: npm_sdk.ask(client, endpoint, method, *given, then=then))

    assert (await ask("version"))["version"] == "0.5.11"
    assert await ask("isReachable") is True
    assert await ask("isReachable", client="TappdClient") is True

    for algorithm in ("secp256k1", "ed25519"):
        key = await ask("getKey", "a", "p", algorithm)
        given = simulator.keys.by_path("a", "p", algorithm)
        assert key["key"] == {"hex": given.secret.hex()}
        assert key["signature_chain"] == [{"hex": link.hex()} for link in given.chain]

    quote = await ask("getQuote", {"hex": TAGGED.hex()}, then="replayRtmrs")
    assert status(simulator, quote["quote"]) == "UpToDate"
    assert quote["replayRtmrs"] == [rtmr.hex() for rtmr in simulator.machine.rtmrs]

    attested = attestation.parse(bytes.fromhex((await ask("attest", "hello"))["attestation"]))
    assert attested.report_data == b"hello".ljust(64, b"\x00")

    info = await ask("info")
    assert info["tcb_info"]["compose_hash"] == simulator.machine.compose_hash.hex()

    certified = await ask("getTlsKey", {"subject": "x", "altNames": ["x.example"], "usageRaTls": True})
    assert len(certified["certificate_chain"]) == 3

    signed = await ask("sign", "secp256k1", "hello")
    assert (await ask("verify", "secp256k1", "hello", signed["signature"], signed["public_key"]))["valid"] is True

    assert await ask("emitEvent", "mine", "x") is None  # refused, but this client reads no status and no error

    derived = await ask("deriveKey", "a", client="TappdClient")
    assert derived_value(derived["key"]) == int.from_bytes(simulator.keys.by_path("a", "", "").secret)
    tagged = await ask("tdxQuote", "hello", client="TappdClient")
    assert report_of(tagged["quote"]) == hashlib.sha512(b"app-data:hello").digest()


@pytest.mark.parametrize("method", ["version", "get_key"])
async def test_a_client_that_wants_ed25519_of_an_old_agent_gives_up(python_sdk: Sdk, method: str) -> None:
    given: Json = {} if method == "version" else {"path": "a", "algorithm": "ed25519"}
    async with Simulator(SEED, era="0.5.5") as simulator:
        endpoint = await simulator.listen()
        with pytest.raises(OracleError, match=r"404|OS version too old"):
            await asyncio.to_thread(lambda: python_sdk.ask("DstackClient", endpoint, method, **given))


def derived_value(pem: str) -> int:
    der = base64.b64decode("".join(pem.strip().split("\n")[1:-1]))
    assert len(der) == 138
    return int.from_bytes(der[36:68])


def report_of(quote: str) -> bytes:
    return bytes(dcap_qvl.Quote.parse(bytes.fromhex(quote)).report.report_data)
