"""A node that is slow, short of memory, garbled or gone: what is read stays true, or nothing is."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app_world import COMPOSE, NOBODY, World, fresh
from chain_oracle import MAY_INSTALL, between
from teehee.cli import chain as nodes
from teehee.cli.chain import NodeRefused
from teehee.errors import ConfigError, Unavailable
from teehee.evidence import governance

Json = Any
pytestmark = MAY_INSTALL


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with fresh() as made:
        yield made


def blocks(question: Json) -> range:
    asked = question["params"][0]
    return range(int(asked["fromBlock"], 16), int(asked["toBlock"], 16) + 1)


def error(message: str, code: int = -32000) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}


def test_a_node_with_short_ranges_and_no_memory_gives_the_same(world: World) -> None:
    app = world.locked()
    world.chain.ask("anvil_mine", hex(100))
    latest = int(world.chain.ask("eth_blockNumber"), 16)
    asked: list[range] = []

    def change(question: Json, ask: Callable[[], Json]) -> Json:
        if question["method"] == "eth_getLogs":
            asked.append(blocks(question))
            return error("query exceeds max block range 20") if len(asked[-1]) > 20 else ask()
        if question["method"] == "eth_getCode" and int(question["params"][1], 16) < latest:
            return error("missing trie node")
        return ask()

    with between(world.chain, change) as url:
        found = world.read(app, url)

    assert found == world.read(app)
    assert [block for some in asked if len(some) <= 20 for block in some] == [*range(latest + 1)]
    assert len(asked) < latest / 5


Change = Callable[[Json, Callable[[], Json]], Any]


def only(method: str, answer: Any) -> Change:
    return lambda question, ask: answer() if question["method"] == method else ask()


def drip() -> Iterator[bytes]:
    while True:
        time.sleep(0.05)
        yield b" "


def cut() -> Iterator[bytes]:
    yield b'{"jsonrpc":"2.0","id":1,"result":['


def moved(answer: Json, change: Callable[[Json], object]) -> Json:
    change(answer["result"])
    return answer


def with_logs(change: Callable[[Json], object]) -> Change:
    return lambda question, ask: moved(ask(), change) if question["method"] == "eth_getLogs" else ask()


def replaced() -> Change:
    """The block has another hash when it is asked for again."""
    return lambda question, ask: (
        moved(ask(), lambda block: block.update(hash="0x" + "99" * 32))
        if question["method"] == "eth_getBlockByNumber" and question["params"][0] != "latest"
        else ask()
    )


BAD: dict[str, tuple[Change, type[Exception], str]] = {
    "no JSON": (lambda *_: b"<html>", Unavailable, "expected JSON-RPC"),
    "no JSON-RPC": (lambda *_: {"ok": True}, Unavailable, "with a result"),
    "deep JSON": (lambda *_: b"[" * 100_000, Unavailable, "expected JSON-RPC"),
    "too much": (lambda *_: iter([b" " * (1 << 20)] * 20), Unavailable, "more than 16 MiB"),
    "a byte at a time": (lambda *_: drip(), Unavailable, "slower than"),
    "down": (lambda *_: (503, b""), Unavailable, "answers 503"),
    "a wrong key": (lambda *_: (401, b"no"), ConfigError, "answers 401"),
    "a chain id that is none": (only("eth_chainId", lambda: {"result": "31337"}), Unavailable, "expected a quantity"),
    "no block": (only("eth_getBlockByNumber", lambda: {"result": None}), Unavailable, "has no block"),
    "code that is none": (only("eth_getCode", lambda: {"result": 7}), Unavailable, "expected some bytes"),
    "a slot too short": (only("eth_getStorageAt", lambda: {"result": "0x01"}), Unavailable, "expected 32 bytes"),
    "gone in the middle of the scan": (only("eth_getLogs", lambda: cut()), Unavailable, "expected JSON-RPC"),
    "no events at all": (only("eth_getLogs", lambda: error("limit exceeded")), Unavailable, "no events of block"),
    "too many questions": (
        only("eth_call", lambda: error("rate limit")),
        NodeRefused,
        "refuses eth_call: 'rate limit'",
    ),
    "events that are none": (only("eth_getLogs", lambda: {"result": [7]}), Unavailable, "expected an event"),
    "an event twice": (with_logs(lambda logs: logs.append(logs[-1])), Unavailable, "each once"),
    "events of another": (with_logs(lambda logs: logs[0].update(address=NOBODY)), Unavailable, "got another"),
    "events that were taken back": (with_logs(lambda logs: logs[0].update(removed=True)), Unavailable, "got another"),
    "another block under the same number": (replaced(), Unavailable, "was replaced while it was read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_node_is_told_and_nothing_of_it_believed(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, kind, says = BAD[name]
    app = world.locked()
    monkeypatch.setattr(nodes, "ANSWER_SECONDS", 0.5)

    with between(world.chain, change) as url, pytest.raises(kind, match=says) as caught:
        world.read(app, f"{url}/v2/secret-key")

    assert "secret-key" not in str(caught.value)


async def test_a_node_that_fails_ends_the_check_with_its_own_code(world: World) -> None:
    app, first = world.locked(), iter([True])
    gone = only("eth_getLogs", cut)

    with between(world.chain, gone) as url:
        done = await world.verify(app, url=url)
    with between(world.chain, lambda _, ask: (429, b"") if next(first, False) else ask()) as url:
        again = await world.verify(app, url=url)

    assert (done.code, done.out) == (4, "")
    assert "what to do: ask again later, or name another node" in done.err
    assert again.json["rung"] == 4, "one refusal for haste is no end"


def test_a_history_that_is_not_whole_is_no_history(world: World) -> None:
    app = world.locked()
    without = with_logs(lambda logs: logs.pop(0))

    with between(world.chain, without) as url:
        found = world.read(app, url)

    assert found.upgrades == ()
    machine = governance.Machine(app_id=app[2:], compose_hash=COMPOSE, provider="")
    with pytest.raises(Exception, match="its history is not whole") as caught:
        governance.check(found, machine, governance.Asked(), 0)
    assert "governance.4" in str(caught.value)
