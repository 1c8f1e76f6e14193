"""`governance`: what a snapshot of an app contract is worth, and that nothing of another form is a snapshot."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev_machine import ASKED, IMPLEMENTATION, IMPLEMENTATION_HASH, KMS, NOW, OWNER, Machine, code_hash
from fuzzing import fuzzed
from tee_vectors import parsed_or_refused, refused
from teehee.evidence import anchors, governance
from teehee.evidence.governance import Announced, Asked, Change, Governance, Upgrade, Worth
from teehee.tee.simulator import Simulator

Json = Any
DAY = 86_400
OTHER = "77" * 32
SIMULATED = Machine(Simulator(bytes(range(32))))
COMPOSE = SIMULATED.simulator.machine.compose_hash.hex()
MACHINE = governance.Machine(
    app_id=SIMULATED.simulator.machine.app_id.hex(),
    compose_hash=COMPOSE,
    provider=SIMULATED.provider().hex(),
    kms_root=SIMULATED.simulator.anchor.hex(),
)
APP = f"0x{MACHINE.app_id}"
UNDER_TIMELOCK: dict[str, Any] = {"owner": OWNER, "owner_code_hash": code_hash("timelock"), "owner_delay": 7 * DAY}


def worth(asked: Asked = ASKED, now: int = NOW, machine: governance.Machine = MACHINE, **changes: Any) -> Worth:
    return governance.check(SIMULATED.governance(**changes), machine, asked, now)


def test_nobodys_contract_is_locked_and_a_timelocks_announced() -> None:
    assert worth() == Worth(4, "nobody: the contract has no owner", ())
    assert worth(pending_owner="").rung == 4, "older releases know no pending owner"
    assert worth(**UNDER_TIMELOCK) == Worth(
        3, f"{OWNER} (a timelock of 7 days), 7 days after saying so",
        (f"{OWNER} (a timelock) may allow another compose file 7 days after announcing it (CallScheduled)",),
    )  # fmt: skip


def with_(**changes: Any) -> dict[str, Any]:
    return changes


REFUSED = [
    (1, "expected chain 1, got a snapshot of chain 8453", {}, replace(ASKED, chain_id=1)),
    (2, "the snapshot is of 0x00", with_(app="0x" + "00" * 20), ASKED),
    (2, "has no contract on chain 8453", with_(app_code_hash=""), ASKED),
    (3, "is no known proxy", with_(app_code_hash=OTHER), ASKED),
    (3, "is no known proxy", with_(app_code_hash=code_hash("timelock")), ASKED),
    (4, "never, so its history is not whole", with_(upgrades=()), ASKED),
    (4, "Upgraded 2 times", with_(upgrades=[Upgrade(1, IMPLEMENTATION)] * 2), ASKED),
    (4, f"events name {OWNER}", with_(upgrades=[Upgrade(1, OWNER)]), ASKED),
    (4, "the implementation is none", with_(implementation=""), ASKED),
    (5, "is not known", with_(implementation_code_hash=OTHER), ASKED),
    (5, "its code has hash none", with_(implementation_code_hash=""), ASKED),
    (5, "is not known", {}, Asked(kms=KMS)),
    (5, "is not known", {}, replace(ASKED, known=frozenset({("proxy", IMPLEMENTATION_HASH)}))),
    (6, "differ on 1 compose hashes, such as 77", with_(allowed=[COMPOSE, OTHER]), ASKED),
    (6, "differ on 1 compose hashes", with_(allowed=[]), ASKED),
    (7, "is not allowed", with_(history=[Change(1, OTHER, True)], allowed=[OTHER]), ASKED),
    (7, "is not allowed", with_(history=[Change(1, COMPOSE, True), Change(2, COMPOSE, False)], allowed=[]), ASKED),
    (8, "rung 3 was asked for, but: 0x3c", with_(owner=OWNER), replace(ASKED, rung=3)),
    (8, "rung 4 was asked for, but: 0x3c", UNDER_TIMELOCK, replace(ASKED, rung=4)),
    (8, "rung 4 was asked for", with_(owner=OWNER), replace(ASKED, rung=5)),
]


@pytest.mark.parametrize(("step", "says", "changes", "asked"), REFUSED)
def test_what_does_not_hold_is_refused_at_its_step(step: int, says: str, changes: dict[str, Any], asked: Asked) -> None:
    found = SIMULATED.governance(**changes)

    refused(f"governance.{step}", says, governance.check, found, MACHINE, asked, NOW)


def announced(notice: int) -> Announced:
    return Announced(APP, "00" * 4, notice, NOW + 60)


BACK_AND_FORTH = [Change(1, OTHER, True), Change(2, OTHER, False)]
WITHHELD = [
    ("(a plain key) may allow", with_(owner=OWNER)),
    ("an unknown owner (a plain key) may allow", with_(owner="")),
    ("(a contract of unknown code", with_(owner=OWNER, owner_code_hash=OTHER, owner_delay=7 * DAY)),
    ("(a contract of unknown code", with_(owner=OWNER, owner_code_hash=code_hash("proxy"), owner_delay=7 * DAY)),
    ("(a contract of unknown code", {**UNDER_TIMELOCK, "owner_delay": None}),
    ("less than the 7 days", {**UNDER_TIMELOCK, "owner_delay": 7 * DAY - 1}),
    ("announced 604799 s ahead", {**UNDER_TIMELOCK, "announced": [announced(7 * DAY - 1)]}),
    ("to whom the contract was offered", with_(pending_owner=OWNER)),
    ("to whom the contract was offered", {**UNDER_TIMELOCK, "pending_owner": OWNER}),
    ("is allowed too", with_(history=[Change(1, COMPOSE, True), Change(1, OTHER, True)], allowed=[COMPOSE, OTHER])),
    (
        "was once allowed too",
        with_(history=[Change(1, OTHER, True), Change(2, OTHER, False), Change(3, COMPOSE, True)]),
    ),
    ("is not shown to ask this contract", with_(kms="")),
    ("a key service nobody knows", with_(kms=OWNER)),
    ("does not know this app", with_(registered=False)),
    ("does not know this app", with_(registered=None)),
    ("another than the contract's and need not ask it", with_(kms_ca="")),
    ("behind the agent's keys", with_(kms_k256="02" + "11" * 32)),
]


@pytest.mark.parametrize(("says", "changes"), WITHHELD)
def test_what_may_still_change_withholds_the_rung_and_is_named(says: str, changes: dict[str, Any]) -> None:
    found = worth(**changes)

    assert found.rung == 0
    assert [power for power in found.powers if says in power]


def test_a_machine_with_no_key_provider_has_none_that_asks_the_contract() -> None:
    assert worth(machine=replace(MACHINE, provider=""), kms_ca="").rung == 0


def test_a_timelocks_snapshot_lasts_as_long_as_its_delay_and_a_locked_one_for_good() -> None:
    assert worth(now=NOW + 7 * DAY, **UNDER_TIMELOCK).rung == 3
    assert worth(now=NOW + 7 * DAY + 1, **UNDER_TIMELOCK).rung == 0
    assert worth(now=NOW + 1000 * DAY).rung == 4


def test_a_compose_file_that_was_read_is_no_power() -> None:
    history = [Change(1, OTHER, True), Change(1, COMPOSE, True)]

    asked = replace(ASKED, accepted=frozenset({OTHER}))

    assert worth(asked, history=history, allowed=[OTHER, COMPOSE]).rung == 4


def test_a_listed_key_service_is_known_on_its_own_chain_only() -> None:
    listed = next(item.contract for item in anchors.kms_anchors() if item.contract.startswith("eip155:8453:"))
    contract = listed.rpartition(":")[2]

    assert worth(replace(ASKED, kms=""), kms=contract).rung == 4
    assert worth(replace(ASKED, kms=""), kms=contract, chain_id=1).rung == 0


# -- the file

MEMBERS = json.loads(SIMULATED.governance(**UNDER_TIMELOCK, announced=[announced(1)]).encode())
DIFFERENT: list[tuple[str, Json]] = [
    ("format", "teehee/governance/v2"), ("chain_id", -1), ("chain_id", "1"), ("block", True), ("block_hash", "00"),
    ("app", APP.upper()), ("app", ""), ("owner", "0x12"), ("owner_delay", "1"), ("owner_delay", -1), ("upgrades", {}),
    ("upgrades", [{}]), ("history", [{"block": 1, "compose_hash": COMPOSE, "allowed": None}]), ("history", [7]),
    ("announced", [{**MEMBERS["announced"][0], "more": 1}]), ("allowed", ["00"]), ("allowed", COMPOSE),
    ("registered", 1), ("registered", "yes"), ("kms_ca", "0"), ("kms_ca", "00" * 70_000),
    ("allowed", ["00" * 32] * 10_001),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), DIFFERENT)
def test_a_value_of_another_form_is_refused(name: str, value: Json) -> None:
    refused("record.4", f"Governance: {name}", governance.parse, json.dumps({**MEMBERS, name: value}).encode())


def test_every_field_has_to_be_there_and_no_other() -> None:
    for name in MEMBERS:
        fewer = {key: value for key, value in MEMBERS.items() if key != name}
        refused("record.3", repr(name), governance.parse, json.dumps(fewer).encode())
    refused("record.2", "'more'", governance.parse, json.dumps({**MEMBERS, "more": 1}).encode())


def test_a_snapshot_is_read_back_as_it_was() -> None:
    for found in (SIMULATED.governance(), SIMULATED.governance(**UNDER_TIMELOCK, announced=[announced(1)])):
        assert governance.parse(found.encode()) == found
        assert governance.parse(found.encode()).encode() == found.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=80) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)


@fuzzed()
@given(st.binary(max_size=200), st.integers(0, 3000), st.integers(0, 50))
def test_no_bytes_raise_anything_but_a_step(noise: bytes, at: int, cut: int) -> None:
    good = SIMULATED.governance(**UNDER_TIMELOCK).encode()

    parsed_or_refused(governance.parse, good[:at] + noise + good[at + cut :])


@fuzzed()
@given(st.dictionaries(st.sampled_from([*MEMBERS, "more"]), JSON, max_size=3))
def test_no_value_raises_anything_but_a_step_and_what_is_read_can_be_judged(changes: dict[str, Json]) -> None:
    def judged(data: bytes) -> None:
        found = governance.parse(data)
        assert governance.parse(found.encode()) == found
        assert governance.check(found, MACHINE, ASKED, NOW).rung in (0, 3, 4)

    parsed_or_refused(judged, json.dumps({**MEMBERS, **changes}).encode())


# For each field one value that leaves a locked contract locked, and some that must not.
SPOILING: dict[str, list[Any]] = {
    "app": ["0x" + "00" * 20], "app_code_hash": ["", OTHER], "implementation": ["", OWNER],
    "implementation_code_hash": ["", OTHER], "upgrades": [(), (Upgrade(1, "0x" + "99" * 20),)],
    "owner": ["", OWNER], "pending_owner": [OWNER], "history": [(), (Change(1, OTHER, True), Change(2, COMPOSE, True))],
    "allowed": [(), (OTHER,)], "kms": ["", OWNER], "kms_ca": ["", "00"], "kms_k256": ["", "00"],
    "registered": [None, False],
}  # fmt: skip
HARMLESS: dict[str, list[Any]] = {
    "chain_id": [1], "block": [0], "block_time": [0], "owner_delay": [0], "owner_code_hash": [OTHER],
    "announced": [(Announced(APP, "", 0, 0),)], "allow_any_device": [None, False], "require_tcb_up_to_date": [True],
}  # fmt: skip


@fuzzed(200)
@given(st.data())
def test_locked_is_what_has_nothing_against_it_and_nothing_else(data: st.DataObject) -> None:
    every = {**SPOILING, **HARMLESS}
    names = data.draw(st.sets(st.sampled_from([*every]), max_size=4))
    changes = {name: data.draw(st.sampled_from(every[name])) for name in sorted(names)}

    def judged() -> None:
        assert (worth(**changes).rung == 4) == names.isdisjoint(SPOILING)

    if names.isdisjoint(SPOILING):
        judged()
    else:
        parsed_or_refused(judged)


def test_every_field_of_a_snapshot_is_one_or_the_other() -> None:
    assert {*SPOILING, *HARMLESS, "format", "block_hash"} == set(Governance.__dataclass_fields__)
