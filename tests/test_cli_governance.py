"""`teehee verify --chain-rpc`: each state of an app contract on a real chain gets its verdict, and no node gets more."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chain_oracle import MAY_INSTALL, Chain, between, call, chain, published
from dev_machine import Machine
from teehee.cli import app_contract
from teehee.cli import chain as nodes
from teehee.cli.chain import Node
from teehee.errors import ConfigError, Unavailable
from teehee.evidence import anchors, governance
from teehee.evidence.keccak import keccak256
from teehee.tee.simulator import Simulator
from teehee.testing import teehee
from teehee.testing.command_line import Ended

Json = Any
SEED = bytes(range(32))
COMPOSE = Machine(Simulator(SEED)).simulator.machine.compose_hash.hex()
OTHER = "77" * 32
DAY = 86_400
NOBODY = "0x" + "0" * 40
pytestmark = MAY_INSTALL


@dataclass
class World:
    """A chain with a key service, where apps are made and checked."""

    chain: Chain
    folder: Path
    codes: dict[str, str] = field(default_factory=dict)
    kms: str = ""

    def __post_init__(self) -> None:
        self.kms = self.key_service(Machine(Simulator(SEED)).provider())

    def key_service(self, ca: bytes) -> str:
        kms = self.chain.deploy("KeyService")
        self.chain.send(kms, "setKeys(bytes,bytes)", Simulator(SEED).anchor, ca)
        return kms

    def app(self, code: str = "TwoStepApp", owner: str = "", compose_hash: str = COMPOSE) -> str:
        if code not in self.codes:
            self.codes[code] = self.chain.deploy(code)
        start = call("start(address,bytes32)", owner or self.chain.accounts[0], compose_hash)
        app = self.chain.deploy("ERC1967Proxy", "constructor(address,bytes)", self.codes[code], start)
        self.chain.send(self.kms, "registerApp(address)", app)
        return app

    def locked(self, code: str = "TwoStepApp") -> str:
        app = self.app(code)
        self.chain.send(app, "renounceOwnership()")
        return app

    def timelock(self, seconds: int) -> str:
        me = self.chain.accounts[0]
        return self.chain.deploy(
            "TimelockController", "constructor(uint256,address[],address[],address)", seconds, [me], [me], NOBODY
        )

    def schedule(self, timelock: str, target: str, data: bytes, delay: int) -> None:
        schedule = "schedule(address,uint256,bytes,bytes32,bytes32,uint256)"
        self.chain.send(timelock, schedule, target, 0, data, bytes(32), bytes(32), delay)

    def execute(self, timelock: str, target: str, data: bytes) -> None:
        self.chain.send(
            timelock, "execute(address,uint256,bytes,bytes32,bytes32)", target, 0, data, bytes(32), bytes(32)
        )

    def machine(self, app: str) -> Machine:
        return Machine(Simulator(SEED, app_id=bytes.fromhex(app[2:])))

    def known(self) -> list[str]:
        hashes = [self.chain.code_hash(address) for address in self.codes.values()]
        return [word for one in hashes for word in ("--known-code", f"implementation={one}")]

    async def verify(self, app: str, *more: object, url: str = "", known: bool = True, kms: str = "") -> Ended:
        """The verdict on an agent whose app this is."""
        machine, file, root = self.machine(app), self.folder / f"{app}.json", self.folder / "root.der"
        file.write_bytes(machine.bundle().encode())
        root.write_bytes(machine.simulator.root_der)
        rpc = () if "--governance" in more else ("--chain-rpc", url or self.chain.url)
        told = self.known() if known else []
        return await teehee(
            "verify", file, "--dev-root", root, "--json", *rpc, "--kms-contract", kms or self.kms, *told, *more
        )

    def read(self, app: str, url: str = "") -> governance.Governance:
        """The snapshot, read in this process by a node that does not wait."""
        return app_contract.read(Node(url or self.chain.url, lambda _: None, pause=0), app, kms=self.kms)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with chain() as up:
        yield World(up, tmp_path_factory.mktemp("bundles"))


def codes(verdict: Json) -> list[str]:
    return [reject["code"] for reject in verdict["rejects"]]


def under(world: World, seconds: int) -> str:
    return world.app(owner=world.timelock(seconds))


def offered(world: World) -> str:
    """Under a timelock that was long enough when it offered the contract to a plain key."""
    app, timelock = world.app(), world.timelock(0)
    world.chain.send(app, "transferOwnership(address)", timelock)
    for target, data in (
        (app, call("acceptOwnership()")),
        (app, call("transferOwnership(address)", world.chain.accounts[1])),
        (timelock, call("updateDelay(uint256)", 7 * DAY)),
    ):
        world.schedule(timelock, target, data, 0)
        world.execute(timelock, target, data)
    return app


def forgetful(world: World) -> str:
    app = world.app("ForgetfulApp")
    world.chain.send(app, "transferOwnership(address)", world.chain.accounts[1])
    world.chain.send(app, "renounceOwnership()")
    return app


def hasty(world: World) -> str:
    """A timelock that announced a new compose file while its delay was nothing, and may act on it at any time."""
    timelock = world.timelock(0)
    app = world.app(owner=timelock)
    world.schedule(timelock, app, call("addComposeHash(bytes32)", OTHER), 0)
    longer = call("updateDelay(uint256)", 7 * DAY)
    world.schedule(timelock, timelock, longer, 0)
    world.execute(timelock, timelock, longer)
    return app


def with_other(world: World, *, removed: bool = False) -> str:
    app = world.app()
    world.chain.send(app, "addComposeHash(bytes32)", OTHER)
    if removed:
        world.chain.send(app, "removeComposeHash(bytes32)", OTHER)
    world.chain.send(app, "renounceOwnership()")
    return app


def delegated(world: World) -> str:
    """Owned by a plain key that runs the code of a timelock, by EIP-7702."""
    key = world.chain.accounts[2]
    world.chain.ask("anvil_setCode", key, f"0xef0100{world.timelock(7 * DAY)[2:]}")
    return world.app(owner=key)


STATES: dict[str, tuple[Callable[[World], str], int, str]] = {
    "a plain key": (lambda w: w.app(), 2, "(a plain key) may allow another compose file at once"),
    "a plain key with the code of a timelock": (delegated, 2, "(a plain key) may allow another compose file at once"),
    "a timelock of two days": (lambda w: under(w, 2 * DAY), 2, "(a timelock of 2 days) may allow another"),
    "a timelock of seven days": (lambda w: under(w, 7 * DAY), 3, "may allow another compose file 7 days after"),
    "a timelock, and the contract offered": (offered, 2, "to whom the contract was offered, may take it"),
    "a timelock that has announced in haste": (hasty, 2, "announced 0 s ahead, less than the 7 days"),
    "a pretended timelock": (lambda w: w.app(owner=w.chain.deploy("PretendedTimelock")), 2, "(a contract of unknown"),
    "nobody": (lambda w: w.locked(), 4, ""),
    "nobody, in an older release": (lambda w: w.locked("OneStepApp"), 4, ""),
    "nobody, and the contract offered": (forgetful, 2, "to whom the contract was offered, may take it"),
    "nobody, and another compose file": (with_other, 2, f"compose file {OTHER} is allowed too"),
    "nobody, and another compose file before": (
        lambda w: with_other(w, removed=True), 2, f"compose file {OTHER} was once allowed too",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
async def test_each_owner_is_worth_its_rung_and_is_named(world: World, name: str) -> None:
    made, rung, power = STATES[name]

    done = await world.verify(made(world))

    verdict = done.json
    assert (done.code, verdict["rung"], codes(verdict)) == (0, rung, []), verdict["rejects"]
    assert verdict["steps"][16]["outcome"] == "held"
    assert any(power in one for one in verdict["residual_powers"])
    general = "whoever may authorise another compose file for this app: it gets the same keys"
    assert general not in verdict["residual_powers"], "somebody is named, or nobody is left"
    assert ("whoever owns the key service's contract" in str(verdict["residual_powers"])) == (rung > 2)


def upgraded(world: World) -> str:
    """There and back again: what runs now is known, what ran in between is not."""
    app = world.app()
    for code in (world.chain.deploy("SilentApp"), world.codes["TwoStepApp"]):
        world.chain.send(app, "upgradeToAndCall(address,bytes)", code, b"")
    world.chain.send(app, "renounceOwnership()")
    return app


def silent(world: World) -> str:
    app = world.app("SilentApp")
    world.chain.send(app, "addComposeHash(bytes32)", OTHER)
    world.chain.send(app, "removeComposeHash(bytes32)", OTHER)
    world.chain.send(app, "slip(bytes32,bool)", OTHER, 1)
    return app


def not_allowed(world: World) -> str:
    return world.app(compose_hash=OTHER)


def own_proxy(world: World) -> str:
    """The app's address is the implementation itself, behind no proxy."""
    return world.chain.deploy("TwoStepApp")


REFUSED: dict[str, tuple[str, Callable[[World], str], tuple[str, ...], str]] = {
    "upgraded twice": ("G2", upgraded, (), "Upgraded 3 times"),
    "changed without a trace": ("G2", silent, (), "differ on 1 compose hashes"),
    "no known proxy": ("G2", own_proxy, (), "no known proxy"),
    "compose hash not allowed": ("G1", not_allowed, (), "is not allowed by"),
    "no contract": ("G1", lambda w: "0x" + "12" * 20, (), "has no contract on chain 31337"),
    "rung 3 of a plain key": ("G1", lambda w: w.app(), ("--rung", "3"), "rung 3 was asked for"),
    "rung 4 of a timelock": ("G1", lambda w: under(w, 7 * DAY), ("--rung", "4"), "rung 4 was asked for"),
    "rung 3 of a timelock that is short": (
        "G1", lambda w: under(w, 7 * DAY), ("--rung", "3", "--timelock", "8"), "less than the 8 days",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_what_does_not_hold_is_rejected_by_one_code(world: World, name: str) -> None:
    code, made, more, says = REFUSED[name]

    done = await world.verify(made(world), *more)

    verdict = done.json
    assert (done.code, codes(verdict), verdict["rung"]) == (5, [code], 2), verdict["rejects"]
    assert says in verdict["rejects"][0]["found"]


async def test_an_implementation_nobody_knows_reaches_no_rung_and_is_told_by_its_hash(world: World) -> None:
    app = world.locked()

    unknown = (await world.verify(app, known=False)).json
    told = unknown["facts"]["governance"]["implementation_code_hash"]
    named = (await world.verify(app, "--known-code", f"implementation={told}", known=False)).json
    as_proxy = (await world.verify(app, "--known-code", f"proxy={told}", known=False)).json

    assert (codes(unknown), unknown["rung"]) == (["G2"], 2)
    assert told in unknown["rejects"][0]["found"]
    assert (codes(named), named["rung"]) == ([], 4)
    assert (codes(as_proxy), as_proxy["rung"]) == (["G2"], 2), "code is known in one role"


async def test_a_compose_file_that_was_read_does_not_stand_in_the_way(world: World) -> None:
    app = with_other(world)

    assert (await world.verify(app, "--accept-compose", OTHER)).json["rung"] == 4


async def test_the_contract_counts_only_where_the_key_service_asks_it(world: World) -> None:
    app, known = world.locked(), world.machine(world.locked()).provider()
    deaf, other = world.key_service(known), world.key_service(b"\x30\x59" + bytes(89))
    world.chain.send(other, "registerApp(address)", app)
    nothing = world.app()

    rungs = {kms: (await world.verify(app, kms=kms)).json for kms in (deaf, other, nothing, world.kms)}

    assert [verdict["rung"] for verdict in rungs.values()] == [2, 2, 2, 4]
    assert "does not know this app" in str(rungs[deaf]["residual_powers"])
    assert "another than the contract's" in str(rungs[other]["residual_powers"])


async def test_what_a_timelock_has_announced_is_told_until_it_is_done(world: World) -> None:
    timelock = world.timelock(7 * DAY)
    app, add = world.app(owner=timelock), call("addComposeHash(bytes32)", OTHER)
    world.schedule(timelock, app, add, 7 * DAY)

    before = (await world.verify(app)).json
    world.chain.warp(7 * DAY + 1)
    world.execute(timelock, app, add)
    after = (await world.verify(app)).json

    assert before["rung"] == 3
    told = [one for one in before["residual_powers"] if one.startswith("announced: ")]
    assert len(told) == 1
    assert f"call of the app contract with 0x{add.hex()} from 20" in told[0]
    assert (after["rung"], after["facts"]["governance"]["announced"]) == (2, [])
    assert f"compose file {OTHER} is allowed too" in str(after["residual_powers"])


async def test_a_snapshot_repeats_the_check_offline(world: World, tmp_path: Path) -> None:
    app, file = world.locked(), tmp_path / "governance.json"

    first = await world.verify(app, "--write-governance", file, "--chain-id", "31337")
    again = await world.verify(app, "--governance", file)
    elsewhere = await world.verify(app, "--governance", file, "--chain-id", "1")
    foreign = await world.verify(world.locked(), "--governance", file)

    assert (first.json["rung"], again.json["rung"]) == (4, 4)
    assert first.json["facts"] | {"age_seconds": 0} == again.json["facts"] | {"age_seconds": 0}
    assert first.json["facts"]["governance"]["owner"] == NOBODY
    assert [codes(done.json) for done in (elsewhere, foreign)] == [["G1"], ["G1"]]
    assert file.read_bytes() == governance.parse(file.read_bytes()).encode()


async def test_people_read_who_it_is_and_as_of_which_block(world: World, tmp_path: Path) -> None:
    app = world.locked()
    await world.verify(app)
    file, root = world.folder / f"{app}.json", world.folder / "root.der"

    done = await teehee(
        "verify", file, "--dev-root", root, "--chain-rpc", world.chain.url, "--kms-contract", world.kms, *world.known()
    )

    assert "✓ 17 who may change the code: nobody: the contract has no owner" in done.out
    assert "rung 4 (locked), trust: dev" in done.out
    assert "app contract: as one node of chain 31337 told it at block " in done.out
    assert f"events of {app}: block " in done.err


async def test_a_node_of_another_chain_is_not_asked_any_further(world: World) -> None:
    done = await world.verify(world.locked(), "--chain-id", "8453")

    assert (done.code, done.out) == (2, "")
    assert "expected a node of chain 8453, this one is of 31337" in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--chain-rpc", "file:///etc/passwd"), "expected an http or https address"),
        (("--chain-rpc", "http://127.0.0.1:9", "--timelock", "0"), "expected 1 to 36500 days"),
        (("--chain-rpc", "http://127.0.0.1:9", "--known-code", "owner=00"), "expected ROLE=HASH"),
        (("--chain-rpc", "http://127.0.0.1:9", "--known-code", "proxy=00"), "expected 64 hex digits"),
        (("--chain-rpc", "http://127.0.0.1:9", "--kms-contract", "0x12"), "expected 40 hex digits"),
        (("--chain-rpc", "http://127.0.0.1:9", "--governance", "absent"), "both given"),
        (("--write-governance", "absent"), "nothing to write"),
        (("--governance", "absent"), "cannot be read"),
    ],
)
async def test_options_that_make_no_sense_are_a_sentence(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    file = tmp_path / "bundle.json"
    file.write_bytes(Machine(Simulator(SEED)).bundle().encode())

    done = await teehee("verify", file, *words)

    assert (done.code, done.out) == (2, "")
    assert says in done.err


# -- nodes that are not what they should be


def log_ranges(question: Json) -> int:
    return int(question["params"][0]["toBlock"], 16) - int(question["params"][0]["fromBlock"], 16) + 1


def error(message: str, code: int = -32000) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}


def test_a_node_with_short_ranges_and_no_memory_gives_the_same(world: World) -> None:
    app = world.locked()
    asked: list[int] = []

    def change(question: Json, ask: Callable[[], Json]) -> Json:
        if question["method"] == "eth_getLogs":
            asked.append(log_ranges(question))
            return error("query exceeds max block range 3") if asked[-1] > 3 else ask()
        if question["method"] == "eth_getCode" and int(question["params"][1], 16) < latest:
            return error("missing trie node")
        return ask()

    latest = int(world.chain.ask("eth_blockNumber"), 16)
    with between(world.chain, change) as url:
        found = world.read(app, url)

    assert found == world.read(app)
    assert len([width for width in asked if width <= 3]) > latest / 3 - 1


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


def test_the_listed_code_is_that_of_the_published_package() -> None:
    listed = {(item.role, item.code_hash) for item in anchors.known_codes()}

    for role, name in (("proxy", "ERC1967Proxy"), ("timelock", "TimelockController")):
        code = bytes.fromhex(published(name)["deployedBytecode"][2:])
        assert (role, keccak256(code).hex()) in listed


def test_nothing_of_a_chain_is_loaded_unless_asked_for() -> None:
    look = (
        "import sys; from teehee.cli.app import build; build(); from teehee.evidence import verify; print(*sys.modules)"
    )

    loaded = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout.split()

    assert "teehee.cli.verify" in loaded
    assert not {"teehee.cli.chain", "teehee.cli.app_contract", "urllib.request"} & set(loaded)
