"""`teehee verify --chain-rpc`: each state of an app contract on a real chain gets its own verdict."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app_world import DAY, NOBODY, OTHER, SEED, World, fresh
from chain_oracle import MAY_INSTALL, call, published
from dev_machine import Machine
from teehee.evidence import anchors, governance
from teehee.evidence.keccak import keccak256
from teehee.tee.simulator import Simulator
from teehee.testing import teehee

Json = Any
pytestmark = MAY_INSTALL


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with fresh() as made:
        yield made


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
