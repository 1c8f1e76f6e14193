"""The guest-agent client: every release is asked in its own words, and whatever a peer says ends in a typed error."""

import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import fuzzed
from teehee.errors import ConfigError, TeeheeError, Unavailable, VerificationError
from teehee.evidence import keychain
from teehee.tee import answers, exchange, guest
from teehee.tee.client import SOCKETS, Client, find_socket
from teehee.tee.guest import Api, GuestError
from teehee.tee.sim_machine import ERAS
from teehee.tee.simulator import Simulator

Json = Any
SEED = bytes(range(32))
REPORT_DATA = bytes(range(64))
NAME = "teehee/v1/k1/log/ed25519"
V0, V1 = Api("v0", "0.5.11"), Api("v1", "0.6.0")
GOOD = b'{"version":"1","rev":""}'


@contextlib.asynccontextmanager
async def simulating(**how: Any) -> AsyncIterator[tuple[Simulator, Client]]:
    """A simulator, and a client that has found its API."""
    async with Simulator(SEED, **how) as simulator:
        client = Client(await simulator.listen())
        await client.probe()
        yield simulator, client


@contextlib.asynccontextmanager
async def speaking(*pieces: bytes | float, hangs: bool = False) -> AsyncIterator[str]:
    """A peer that reads a question and says these pieces, waiting where a number stands; then it hangs up, or hangs."""
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                if isinstance(piece, float):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(done.wait(), piece)
                else:
                    writer.write(piece)
                    await writer.drain()
            if hangs:
                await done.wait()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()
        await asyncio.sleep(0.01)  # the peer's own side closes in its own task


def http(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts) + end


def agent(**fields: Json) -> bytes:
    return http(200, json.dumps(fields).encode())


# -- every release in its own words


FOUND = {
    "0.3.6": Api("tappd", ""),
    "0.4.2": Api("v0", ""),
    "0.5.5": Api("v0", ""),
    "0.5.11": Api("v0", "0.5.11"),
    "0.6.0": Api("v1", "0.6.0"),
}


@pytest.mark.parametrize("era", ERAS)
async def test_the_newest_api_that_answers_is_found(era: str) -> None:
    async with Simulator(SEED, era=era) as simulator:
        client = Client(await simulator.listen())

        assert await client.probe() == FOUND[era] == client.api
        assert await client.version() == FOUND[era].version


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("algorithm", ["secp256k1", "ed25519"])
async def test_a_key_is_that_of_its_name_at_every_call(era: str, algorithm: guest.Algorithm) -> None:
    async with simulating(era=era) as (simulator, client):
        first, again = await client.get_key(NAME, algorithm), await client.get_key(NAME, algorithm)
        other = await client.get_key(NAME + "/1", algorithm)

    assert first == again
    assert first.secret != other.secret
    assert first.public == keychain.public_key(first.secret, algorithm)
    root = simulator.keys.root
    if era == "0.6.0":
        assert first.secret == keychain.derive_v1(root, NAME, algorithm)
    elif era != "0.3.6":
        assert first.secret == keychain.derive_v0(root, NAME.encode())


@pytest.mark.parametrize("era", ["0.5.11", "0.6.0"])
@pytest.mark.parametrize("algorithm", ["secp256k1", "ed25519"])
async def test_a_chain_names_app_and_key_service(era: str, algorithm: guest.Algorithm) -> None:
    async with simulating(era=era) as (simulator, client):
        key = await client.get_key(NAME, algorithm)

    assert key.app_root == client.app_root == keychain.public_key(simulator.keys.root, "secp256k1")
    issued = keychain.issued(simulator.machine.app_id, key.app_root)
    assert keychain.recover(issued, key.links[1]) == simulator.anchor


async def test_an_old_agents_chain_is_kept_where_it_names_the_key_and_dropped_where_not() -> None:
    async with simulating(era="0.5.5") as (_, client):
        plain, other = await client.get_key("a", "secp256k1"), await client.get_key("a", "ed25519")

    assert len(plain.links) == 2
    assert (other.links, other.app_root) == ((), b"")
    assert plain.secret == other.secret


@pytest.mark.parametrize("provider", ["local", "none"])
async def test_without_a_key_service_the_second_link_is_empty(provider: str) -> None:
    async with simulating(provider=provider) as (_, client):
        key = await client.get_key(NAME, "ed25519")

    assert [len(link) for link in key.links] == [65, 0]


@pytest.mark.parametrize("era", ERAS)
async def test_a_quote_comes_with_its_log_in_one_form_for_every_release(era: str) -> None:
    async with simulating(era=era) as (simulator, client):
        quoted = await client.get_quote(REPORT_DATA)

    log = json.loads(quoted.event_log)
    assert quoted.quote == simulator.methods.quote(REPORT_DATA)
    assert [event["event"] for event in log if event["imr"] == 3] == [
        event.name for event in simulator.machine.runtime_events
    ]
    assert set(log[-1]) == {"imr", "event_type", "digest", "event", "event_payload"}
    assert quoted.vm_config == ("" if era in ("0.3.6", "0.4.2") else simulator.machine.vm_config)
    assert bool(quoted.attestation) == (era == "0.6.0")


async def test_an_attestation_in_messagepack_is_read_too() -> None:
    compose = b'{"name": "x", "event_log_version": 2}'
    async with simulating(era="0.6.0", app_compose=compose) as (simulator, client):
        quoted = await client.get_quote(REPORT_DATA)

    assert quoted.attestation[0] >= 0x80
    told = [event.entry() for event in simulator.machine.events]
    assert json.loads(quoted.event_log) == [{k: v for k, v in entry.items() if k != "preimage"} for entry in told]


@pytest.mark.parametrize("era", ERAS)
async def test_info_tells_the_app_its_compose_byte_by_byte(era: str) -> None:
    compose = '{ "name": "é",\n "runner": "docker-compose" }'.encode()
    async with simulating(era=era, app_compose=compose) as (simulator, client):
        info = await client.info()

    machine = simulator.machine
    assert (info.app_id, info.instance_id, info.app_name) == (machine.app_id, machine.instance_id, "é")
    assert info.app_compose == compose
    if era != "0.3.6":
        assert info.compose_hash == hashlib.sha256(compose).digest()
        assert json.loads(info.key_provider)["name"] == "kms"


async def test_the_wire_is_the_same_over_a_socket(tmp_path: Path) -> None:
    async with Simulator(SEED) as simulator:
        client = Client(await simulator.listen(socket=tmp_path / "d.sock"), V0)

        key = await client.get_key(NAME, "ed25519")
        assert (await client.get_quote(REPORT_DATA)).quote == simulator.methods.quote(REPORT_DATA)
    assert key.secret == keychain.derive_v0(simulator.keys.root, NAME.encode())


async def test_a_client_is_a_guest_agent() -> None:
    async with simulating() as (_, client):
        agent: guest.GuestAgent = client

        assert (await agent.get_key(NAME, "ed25519")).name == NAME
        assert agent.api.era == "v0"


async def test_many_may_ask_at_once() -> None:
    async with simulating() as (_, client):
        keys = await asyncio.gather(*(client.get_key(f"key {number}", "ed25519") for number in range(50)))

    assert len({key.secret for key in keys}) == 50


# -- what is pinned stays


async def test_a_pinned_v0_gives_the_same_keys_on_a_newer_agent_and_v1_gives_others() -> None:
    app = b"\x07" * 20
    async with simulating(era="0.5.11", app_id=app) as (_, old), simulating(era="0.6.0", app_id=app) as (_, new):
        pinned = Client(str(new.endpoint), old.api)

        assert (await pinned.get_key(NAME, "ed25519")).secret == (await old.get_key(NAME, "ed25519")).secret
        assert (await new.get_key(NAME, "ed25519")).secret != (await old.get_key(NAME, "ed25519")).secret


async def test_an_agent_without_the_pinned_api_is_not_asked_for_another() -> None:
    async with simulating(era="0.5.11") as (_, client):
        pinned = Client(str(client.endpoint), V1)

        for call in (pinned.get_key(NAME, "ed25519"), pinned.get_quote(REPORT_DATA), pinned.info()):
            with pytest.raises(ConfigError, match="does not speak /v1/") as told:
                await call
            assert "other keys" in told.value.hint
        with pytest.raises(ConfigError, match="no longer speaks /v1/"):
            await pinned.version()
        with pytest.raises(ConfigError, match=r"speaks no guest API we know; asked were /v1/$"):
            await pinned.probe("v1")


async def test_a_method_the_agent_lacks_is_named() -> None:
    async with speaking(http(404, b'{"error":"Service not found: GetQuote"}')) as where:
        with pytest.raises(ConfigError, match="has no GetQuote"):
            await Client(where, V0).get_quote(REPORT_DATA)


async def test_before_an_api_is_pinned_nothing_is_asked() -> None:
    client = Client("/nowhere.sock")

    for call in (client.get_key(NAME, "ed25519"), client.get_quote(REPORT_DATA), client.info(), client.version()):
        with pytest.raises(ConfigError, match="no API of the guest agent is pinned"):
            await call


async def test_a_key_under_another_app_is_refused_from_the_first_when_the_app_is_known() -> None:
    async with simulating() as (_, client), simulating(app_id=b"\x07" * 20) as (_, other):
        root = (await client.get_key(NAME, "ed25519")).app_root
        again = Client(str(client.endpoint), client.api, app_root=root)
        stranger = Client(str(other.endpoint), other.api, app_root=root)

        assert (await again.get_key(NAME, "ed25519")).app_root == root
        with pytest.raises(VerificationError, match=r"step guest\.3: .* expected " + root.hex()):
            await stranger.get_key(NAME, "ed25519")


# -- who is there


async def test_where_nobody_listens_it_says_what_to_do(tmp_path: Path) -> None:
    async with speaking() as gone:
        pass
    for where in (str(tmp_path / "dstack.sock"), gone, str(tmp_path)):
        with pytest.raises(ConfigError, match="cannot be reached") as told:
            await Client(where).probe()
        assert "/var/run/dstack.sock" in told.value.hint


def test_the_socket_is_looked_for_where_dstack_puts_it(tmp_path: Path) -> None:
    places = [str(tmp_path / name) for name in ("dstack.sock", "tappd.sock")]
    with pytest.raises(ConfigError, match=r"there is none of .*dstack\.sock, .*tappd\.sock"):
        find_socket(places)
    (tmp_path / "tappd.sock").touch()

    assert find_socket(places) == places[1]
    assert SOCKETS[0] == "/var/run/dstack.sock"


async def test_an_agent_that_goes_away_later_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be reached") as told:
        await Client(str(tmp_path / "dstack.sock"), V0).get_key(NAME, "ed25519")

    assert (told.value.code, told.value.retry_after) == ("guest-absent", exchange.RETRY_SECONDS)


@pytest.mark.parametrize(
    "page",
    [
        b"<h1>404</h1>",
        b"",
        b'{"error":{"code":404,"reason":"Not Found","description":"The requested resource could not be found."}}',
        b'{"error":"no such thing"}',
    ],
)
async def test_a_web_server_that_is_no_agent_is_told_apart(page: bytes) -> None:
    async with speaking(http(404, page)) as where:
        with pytest.raises(ConfigError, match=r"asked were /v1/, /, /prpc/Tappd\.$"):
            await Client(where).probe()


async def test_a_slow_agent_is_waited_for_and_not_taken_for_absent() -> None:
    async with speaking(hangs=True) as where:
        with pytest.raises(Unavailable, match=r"did not answer /v1/Version within 0\.1 s") as told:
            await Client(where, seconds=0.1).probe()

    assert told.value.code == "guest-slow"


@pytest.mark.parametrize(
    "where",
    [
        "",
        "x" * 108,
        "a\x00b",
        "http://127.0.0.1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:x",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://192.168.1.7:8090",
        "http://example.com:8090",
        "https://127.0.0.1:8090",
        "http://127.0.0.1:8090/prpc",
        "http://user@127.0.0.1:8090",
        "http://127.0.0.1:8090?x",
    ],
)
def test_keys_are_asked_of_this_machine_only(where: str) -> None:
    with pytest.raises(ConfigError, match="guest agent "):
        Client(where)


@pytest.mark.parametrize(
    "where", ["/var/run/dstack.sock", "http://127.0.0.1:8090", "http://localhost:1/", "http://[::1]:1"]
)
def test_a_socket_and_a_loopback_port_are_places(where: str) -> None:
    assert str(Client(where).endpoint).strip("/") == where.replace("[::1]", "::1").strip("/")


# -- what the simulator can do wrong


@pytest.mark.parametrize("era", ["0.3.6", "0.5.11", "0.6.0"])
@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        ("slow", Unavailable, "did not answer"),
        ("status-400", GuestError, "refused .*: the simulator was told to refuse"),
        ("garbage", GuestError, "talks nonsense"),
        ("vanish", Unavailable, "went away while answering"),
    ],
)
async def test_a_fault_of_the_wire_has_its_error(era: str, fault: str, error: type[TeeheeError], told: str) -> None:
    async with Simulator(SEED, era=era, fault=fault) as simulator:
        client = Client(await simulator.listen(), FOUND[era], seconds=0.3)

        for call in (client.get_key(NAME, "ed25519"), client.get_quote(REPORT_DATA), client.info()):
            with pytest.raises(error, match=told):
                await call


@pytest.mark.parametrize("era", ["0.5.11", "0.6.0"])
async def test_a_chain_that_another_key_signs_is_refused(era: str) -> None:
    async with simulating(era=era, fault="wrong-chain") as (_, client):
        await client.get_key(NAME, "ed25519")

        with pytest.raises(VerificationError, match=r"step guest\.3"):
            await client.get_key("another", "ed25519")


@pytest.mark.parametrize(
    "fault", ["debug", "dev-os", "stale-collateral", "forged-late-event", "duplicate-compose-hash"]
)
async def test_a_fault_of_the_evidence_reaches_the_verifier_unchanged(fault: str) -> None:
    async with simulating(fault=fault) as (simulator, client):
        quoted = await client.get_quote(REPORT_DATA)

    assert quoted.quote == simulator.methods.quote(REPORT_DATA)
    assert json.loads(quoted.event_log) == simulator.machine.quoted_log()


# -- what a peer can say


@pytest.mark.parametrize(
    "said",
    [
        pytest.param((http(200, GOOD),), id="plain"),
        pytest.param((http(200, GOOD, "Connection: close"),), id="closed after"),
        pytest.param((b"HTTP/1.0 200 OK\r\n\r\n" + GOOD,), id="no length, ends with the connection"),
        pytest.param((b"HTTP/1.1 200\r\nContent-Length: 24\r\n\r\n" + GOOD,), id="no reason"),
        pytest.param(tuple(bytes([byte]) for byte in http(200, GOOD)), id="byte by byte"),
        pytest.param((http(200, GOOD) + b"more than was announced",), id="more than was announced"),
        pytest.param((chunked(GOOD),), id="one chunk"),
        pytest.param((chunked(*(bytes([byte]) for byte in GOOD)),), id="many chunks"),
        pytest.param((chunked(GOOD, end=b"0\r\nX-Trailer: 1\r\n\r\n"),), id="chunks and trailers"),
        pytest.param((chunked().replace(b"0\r\n", b"18;why=not\r\n" + GOOD + b"\r\n0\r\n", 1),), id="chunk extension"),
    ],
)
async def test_what_http_allows_is_read(said: tuple[bytes, ...]) -> None:
    async with speaking(*said) as where:
        assert await Client(where, V0).version() == "1"


async def test_a_connection_that_is_kept_open_is_not_waited_for() -> None:
    async with speaking(http(200, GOOD, "Connection: keep-alive"), hangs=True) as where:
        assert await Client(where, V0, seconds=5.0).version() == "1"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        pytest.param((), "guest-gone", id="nothing"),
        pytest.param((b"HTTP/1.1 200 OK\r\nContent-Le",), "guest-gone", id="half a header"),
        pytest.param((http(200, GOOD[:-9], length=len(GOOD)),), "guest-gone", id="half a body"),
        pytest.param((http(200, GOOD, length=9_999),), "guest-gone", id="a length that is too long"),
        pytest.param((chunked(GOOD, end=b""),), "guest-gone", id="chunks without an end"),
        pytest.param((chunked(GOOD, end=b"0\r\n"),), "guest-gone", id="trailers without an end"),
        pytest.param((chunked(end=b"5\r\n{"),), "guest-gone", id="half a chunk"),
        pytest.param((http(200, b"", length=2), 60.0), "guest-slow", id="a body that never comes"),
        pytest.param((b"HTTP/1.1 200 OK\r\n", 60.0), "guest-slow", id="a header that never ends"),
        pytest.param((chunked(GOOD, end=b""), 60.0), "guest-slow", id="a chunk that never comes"),
        pytest.param((b"HTTP/1.1 200 OK\r\n\r\n{", 60.0), "guest-slow", id="an end that never comes"),
        pytest.param((b"H", 0.1, b"T", 0.1, b"T", 0.1, b"P", 0.1, b"/", 60.0), "guest-slow", id="one byte at a time"),
        pytest.param((http(500, b"oops"),), "guest-failing", id="500"),
        pytest.param((http(503, b'{"error":"busy"}'),), "guest-failing", id="503"),
        pytest.param((b"HTTP/1.1 502 \xe9\r\nContent-Length: 0\r\n\r\n",), "guest-failing", id="502"),
    ],
)
async def test_a_peer_that_is_slow_or_fails_is_worth_another_try(said: tuple[bytes | float, ...], code: str) -> None:
    async with speaking(*said) as where:
        with pytest.raises(Unavailable) as told:
            await Client(where, V0, seconds=0.3).version()

    assert (told.value.code, told.value.retry_after) == (code, exchange.RETRY_SECONDS)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(b"nonsense\r\n\r\n", "does not speak HTTP", id="no HTTP"),
        pytest.param(b"HTTP/2 200\r\n\r\n", "does not speak HTTP", id="another HTTP"),
        pytest.param(b"\r\n\r\n", "does not speak HTTP", id="no status"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", "does not speak HTTP", id="an interim status"),
        pytest.param(b"x" * 70_000, "bytes of headers", id="a header without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", "bytes of headers", id="a long header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}", "malformed header", id="a header without a colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n{}", "malformed header", id="a space in a header's name"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n{}", "malformed header", id="a folded header"),
        pytest.param(http(200, b"", length=-1), "no clear length", id="a negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}", "no clear length", id="a list of lengths"),
        pytest.param(http(200, b"{}", "Content-Length: 3"), "no clear length", id="two lengths"),
        pytest.param(http(200, b"{}", length=exchange.BODY_LIMIT + 1), "at most", id="a length beyond the limit"),
        pytest.param(http(200, b"{}", "Transfer-Encoding: chunked"), "framed in a way", id="a length and chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}", "framed in a way", id="another encoding"),
        pytest.param(chunked(end=b"zz\r\n"), "malformed chunk", id="a chunk's size that is no number"),
        pytest.param(chunked(end=b"2\r\n{}!!0\r\n\r\n"), "another size", id="a chunk longer than it says"),
        pytest.param(chunked(end=b"fffffff\r\n"), "at most", id="a chunk beyond the limit"),
        pytest.param(chunked(end=b"0\r\n" + b"A: b\r\n" * 4_000), "bytes of headers", id="trailers without end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (exchange.BODY_LIMIT + 1), "at most", id="a body beyond the limit"
        ),
        pytest.param(http(200, b""), "no JSON dict", id="nothing"),
        pytest.param(http(200, b"<html>"), "no JSON dict", id="a page"),
        pytest.param(http(200, b'{"version":"1"'), "no JSON dict", id="half an object"),
        pytest.param(http(200, GOOD, length=9), "no JSON dict", id="a length that is too short"),
        pytest.param(http(200, b"[]"), "no JSON dict", id="a list"),
        pytest.param(http(200, b"\xff\xfe"), "no JSON dict", id="no text"),
        pytest.param(http(200, b"[" * 100_000), "no JSON dict", id="nested without end"),
        pytest.param(http(200, b'{"version":' + b"9" * 5_000 + b"}"), "no JSON dict", id="a number without end"),
        pytest.param(agent(rev=""), "expected text in 'version'", id="a field missing"),
        pytest.param(agent(version=7), "expected text in 'version'", id="a field of another type"),
        pytest.param(http(200, b'{"version":"\\ud800"}'), "expected text in 'version'", id="half a surrogate pair"),
        pytest.param(http(400, b'{"error":"no\\nsuch\\u001bthing"}'), "refused Version: no such thing", id="400"),
        pytest.param(http(400, b"<html>"), "refused Version: 400", id="400 with a page"),
        pytest.param(http(413, b'{"error":"payload too large"}'), "refused Version: payload too large", id="413"),
        pytest.param(http(302, b"", "Location: http://example.com/"), "refused Version: 302", id="a redirect"),
        pytest.param(http(204, b""), "refused Version: 204", id="no content"),
    ],
)
async def test_nonsense_and_refusals_are_not_tried_again(said: bytes, told: str) -> None:
    async with speaking(said) as where:
        with pytest.raises(GuestError, match=told) as error:
            await Client(where, V0, seconds=5.0).version()

    assert str(error.value).isprintable()


KEY = {"key": "11" * 32, "signature_chain": ["22" * 65, ""]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        KEY | {"key": "11" * 31},
        KEY | {"key": "1" * 63},
        KEY | {"key": "AA" * 32},
        KEY | {"key": "0x" + "11" * 32},
        KEY | {"key": 7},
        KEY | {"key": "00" * 32},
        KEY | {"key": "ff" * 32},
        KEY | {"signature_chain": []},
        KEY | {"signature_chain": ["22" * 65]},
        KEY | {"signature_chain": ["22" * 65] * 3},
        KEY | {"signature_chain": ["22" * 64, ""]},
        KEY | {"signature_chain": ["", ""]},
        KEY | {"signature_chain": ["22" * 65, "22"]},
        KEY | {"signature_chain": [None, ""]},
        KEY | {"signature_chain": "22" * 130},
    ],
    ids=str,
)
async def test_a_key_in_another_form_is_nonsense(fields: dict[str, Json]) -> None:
    async with speaking(agent(**fields)) as where:
        with pytest.raises(GuestError, match="talks nonsense"):
            await Client(where, V0).get_key(NAME, "secp256k1")


@pytest.mark.parametrize("link", ["ff" * 65, "00" * 65, "11" * 64 + "09", "11" * 32 + "ff" * 32 + "00"])
async def test_a_link_that_nobody_signed_is_refused(link: str) -> None:
    async with speaking(agent(**KEY | {"signature_chain": [link, ""]})) as where:
        with pytest.raises(VerificationError, match=r"step guest\.2"):
            await Client(where, V0).get_key(NAME, "secp256k1")


async def test_the_upper_twin_of_a_link_is_refused() -> None:
    async with simulating() as (_, client):
        key = await client.get_key(NAME, "secp256k1")
    s = keychain.ORDER - int.from_bytes(key.links[0][32:64])
    twin = key.links[0][:32] + s.to_bytes(32) + bytes([key.links[0][64] ^ 1])

    async with speaking(agent(key=key.secret.hex(), signature_chain=[twin.hex(), ""])) as where:
        with pytest.raises(VerificationError, match=r"step guest\.2"):
            await Client(where, V0).get_key(NAME, "secp256k1")


async def test_a_public_key_that_is_another_keys_is_refused() -> None:
    async with speaking(agent(**KEY | {"public_key": "33" * 32})) as where:
        with pytest.raises(VerificationError, match=r"step guest\.1"):
            await Client(where, V1).get_key(NAME, "ed25519")


@pytest.mark.parametrize("pem", ["", "no pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
async def test_a_tappd_key_in_another_form_is_nonsense(pem: str) -> None:
    async with speaking(agent(key=pem, certificate_chain=[])) as where:
        with pytest.raises(GuestError, match="talks nonsense"):
            await Client(where, Api("tappd", "")).get_key(NAME, "ed25519")


async def test_a_quote_over_other_report_data_is_refused() -> None:
    for version in (4, 5):
        quote = Simulator(SEED).pki.quote(bytes(64), bytes(48), (bytes(48),) * 4, version=version)
        async with speaking(agent(quote=quote.hex(), event_log="[]")) as where:
            with pytest.raises(VerificationError, match=r"step guest\.4"):
                await Client(where, V0).get_quote(REPORT_DATA)
        async with speaking(agent(quote=quote.hex(), event_log="[]")) as where:
            assert (await Client(where, V0).get_quote(bytes(64))).quote == quote


@pytest.mark.parametrize(
    "fields",
    [
        {"quote": "", "event_log": "[]"},
        {"quote": "0400" + "00" * 600, "event_log": "[]"},
        {"quote": "0300" + "00" * 2000, "event_log": "[]"},
        {"quote": "0400" + "00" * 2000, "event_log": "{}"},
        {"quote": "0400" + "00" * 2000, "event_log": [1]},
        {"quote": "0400" + "00" * 2000},
    ],
)
async def test_a_quote_in_another_form_is_nonsense(fields: dict[str, Json]) -> None:
    async with speaking(agent(**fields)) as where:
        with pytest.raises(GuestError, match="talks nonsense"):
            await Client(where, V0).get_quote(REPORT_DATA)


@pytest.mark.parametrize("data", [b"", b"x" * 63, b"x" * 65])
async def test_only_64_bytes_are_quoted(data: bytes) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        await Client("/nowhere.sock", V0).get_quote(data)


async def test_an_algorithm_nobody_has_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(ValueError, match="expected secp256k1 or ed25519"):
        await Client("/nowhere.sock", V0).get_key(NAME, "p256")  # type: ignore[arg-type] # on purpose


# -- tappd's traps


async def test_tappd_is_asked_with_a_prefix_that_has_no_colon_of_its_own() -> None:
    async with Simulator(SEED, era="0.3.6") as simulator:
        client = Client(await simulator.listen())
        await client.probe()

        tagged = await client.tdx_quote(b"{}", prefix="mine")
        plain = await client.tdx_quote(b"{}", hash_algorithm="sha256")
        with pytest.raises(ValueError, match="puts the colon after the prefix itself"):
            await client.tdx_quote(b"{}", prefix="mine:")
        with pytest.raises(ValueError, match="invalid hash algorithm"):
            await client.tdx_quote(b"{}", hash_algorithm="md5")

    assert tagged.quote[568:632] == hashlib.sha512(b"mine:{}").digest()
    assert plain.quote[568:632] == hashlib.sha256(b"app-data:{}").digest() + bytes(32)


async def test_tappd_and_v0_share_their_keys_from_0_4_on() -> None:
    async with simulating(era="0.4.2") as (_, client):
        tappd = Client(str(client.endpoint), Api("tappd", ""))

        assert (await tappd.get_key(NAME, "ed25519")).secret == (await client.get_key(NAME, "ed25519")).secret


# -- secrets


async def test_a_key_shows_everything_but_its_secret() -> None:
    async with simulating() as (_, client):
        key = await client.get_key(NAME, "ed25519")

    assert NAME in repr(key)
    assert repr(key.secret) not in repr(key)
    assert key.secret.hex() not in repr(key)


async def test_an_error_repeats_nothing_of_a_key() -> None:
    secret = "5ec2e7" * 10 + "5ec2"
    for fields in (
        KEY | {"key": secret + "00"},
        KEY | {"key": secret, "public_key": "33" * 32},
        KEY | {"key": secret, "signature_chain": [secret, ""]},
    ):
        async with speaking(agent(**fields)) as where:
            with pytest.raises((GuestError, VerificationError)) as told:
                await Client(where, V1).get_key(NAME, "ed25519")
        assert "5ec2" not in str(told.value)


# -- fuzz: only typed errors


def read_answer(data: bytes) -> exchange.Answer:
    async def run() -> exchange.Answer:
        reader = asyncio.StreamReader(limit=exchange.HEAD_LIMIT)
        reader.feed_data(data)
        reader.feed_eof()
        return await exchange.read_answer(reader)

    return asyncio.run(run())


LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.0 404 x", b"HTTP/1.1 99 x", b"Content-Length: 2", b"Content-Length: 99999999999",
        b"content-length:0", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"X: y", b"", b"2", b"{}",
        b"0", b"ffffffff", b"a;b=c", b'{"error":"x"}', b"\x00", b":",
    ]
)  # fmt: skip
SHAPED = st.lists(LINES | st.binary(max_size=20), max_size=12).map(b"\r\n".join)
HEADED = st.binary(max_size=200).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest)


@fuzzed()
@given(st.binary(max_size=400) | SHAPED | HEADED)
def test_any_bytes_are_an_answer_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(GuestError, EOFError):  # `ask` makes Unavailable of an early end
        answer = read_answer(data)
        assert 200 <= answer.status <= 999
        with contextlib.suppress(TeeheeError):
            answers.read(answer, "Version")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=70).map(bytes.hex),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    ["key", "public_key", "signature_chain", "quote", "event_log", "vm_config", "attestation", "app_id", "tcb_info"]
)


@fuzzed()
@given(st.dictionaries(FIELDS, JSON), st.sampled_from(["v0", "v1", "tappd"]), st.integers(0, 2))
def test_any_fields_are_an_answer_or_a_typed_error(fields: dict[str, Json], era: guest.Era, which: int) -> None:
    client = Answering(json.dumps(fields).encode(), Api(era, "1"))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.get_key(NAME, "ed25519"),
        lambda: client.get_quote(REPORT_DATA),
        client.info,
    ]

    async def run() -> None:
        with contextlib.suppress(TeeheeError):
            await calls[which]()

    asyncio.run(run())


class Answering(Client):
    """A client whose peer says one thing to everything, without a wire."""

    def __init__(self, body: bytes, api: Api) -> None:
        super().__init__("/nowhere.sock", api)
        self.body = body

    async def _ask(self, era: guest.Era, method: str, **question: Json) -> dict[str, Json]:
        return answers.read(exchange.Answer(200, self.body), method)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1), st.integers(0, 20_000), st.binary(max_size=8))
async def test_a_changed_attestation_is_nonsense_or_over_what_was_asked(form: int, at: int, other: bytes) -> None:
    compose = json.dumps({"event_log_version": form + 1}).encode()
    whole = Simulator(SEED, era="0.6.0", app_compose=compose).methods.attestation(REPORT_DATA)
    changed = whole[:at] + other + whole[at + len(other) :]
    client = Answering(json.dumps({"attestation": changed.hex()}).encode(), Api("v1", "0.6.0"))

    with contextlib.suppress(GuestError, VerificationError):
        quoted = await client.get_quote(REPORT_DATA)
        assert quoted.quote[568:632] == REPORT_DATA
        assert type(json.loads(quoted.event_log)) is list


@pytest.mark.parametrize("kind", ["sev-snp", "gcp-tdx", "nitro-enclave"])
async def test_evidence_of_another_platform_is_refused_by_name(kind: str) -> None:
    compose = json.dumps({"event_log_version": 2}).encode()
    whole = Simulator(SEED, era="0.6.0", app_compose=compose).methods.attestation(REPORT_DATA)
    other = whole.replace(b"\xa4kind\xa3tdx", b"\xa4kind" + bytes([0xA0 | len(kind)]) + kind.encode(), 1)
    client = Answering(json.dumps({"attestation": other.hex()}).encode(), Api("v1", "0.6.0"))

    with pytest.raises(GuestError, match=f"expected platform tdx, got '{kind}'"):
        await client.get_quote(REPORT_DATA)


# -- where it runs


IMPORTED = """
import sys
sys.path[:0] = sys.argv[1:3]
before = set(sys.modules)
import teehee.tee.client, teehee.tee.guest
print(" ".join(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_the_client_needs_nothing_a_vault_does_not_have() -> None:
    root = Path(guest.__file__).parents[2]
    import cryptography

    packages = Path(str(cryptography.__file__)).parents[1]
    command = [sys.executable, "-I", "-S", "-c", IMPORTED, str(root), str(packages)]
    imported = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    beyond = imported - sys.stdlib_module_names - {"teehee"}
    assert beyond <= {"cryptography", "coincurve", "_libsecp256k1", "cffi", "_cffi_backend", "_openssl"}
    assert imported & {"ctypes", "pickle", "http", "site"} == set()
