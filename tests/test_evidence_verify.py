"""`verify`: a good bundle reaches its rung, and every way of spoiling it is named by its own code."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from dev_machine import ASKED, KEY_ID, NOW, Machine
from fuzzing import fuzzed
from teehee.evidence import (
    anchors,
    bundle,
    checkpoint,
    eventlog,
    keychain,
    merkle,
    mrconfig,
    verify,
)
from teehee.evidence.verdict import CODES
from teehee.evidence.verify import Evidence, Terms
from teehee.tee.simulator import Simulator

Json = Any
SEED, OTHER_SEED = bytes(range(32)), bytes(32)
BY_FIXTURE = {"Q4"}  # our own PKI knows one TCB level only; the published quotes have others


def good(**how: Any) -> Evidence:
    return GOOD.evidence(**how)


def machine(**how: Any) -> Machine:
    return Machine(Simulator(SEED, **how))


GOOD = machine()
TERMS = Terms(now=NOW, dev_root=GOOD.simulator.root_der, asked=ASKED)


def codes(evidence: Evidence, terms: Terms = TERMS) -> list[str]:
    return [reject.code for reject in verify.verify(evidence, terms).rejects]


def test_a_good_bundle_reaches_rung_two_under_its_own_root_only() -> None:
    verdict = verify.verify(GOOD.evidence(), TERMS)

    assert (verdict.rung, verdict.trust, verdict.rejects) == (2, "dev", ())
    assert [step.number for step in verdict.steps if step.outcome == "not checked"] == [17]
    assert verdict.now_holds
    assert "the developer whose root signed this" in verdict.residual[0]
    assert verify.verify(GOOD.evidence(), Terms(now=NOW)).rung == 0
    assert verify.verify(GOOD.evidence(), replace(TERMS, dev_root=Simulator(OTHER_SEED).root_der)).rung == 0


def events_with(change: Callable[[list[Json]], object]) -> list[Json]:
    events = GOOD.simulator.machine.quoted_log()
    change(events)
    return events


def runtime(name: str, payload: str = "") -> Json:
    return {"imr": 3, "event_type": eventlog.RUNTIME_EVENT, "event": name, "event_payload": payload, "digest": ""}


def named(events: list[Json], name: str) -> int:
    return next(at for at, event in enumerate(events) if event["event"] == name)


def swapped(events: list[Json]) -> None:
    one, other = named(events, "app-id"), named(events, "compose-hash")
    events[one], events[other] = events[other], events[one]


def with_key(purpose: str, **changes: Any) -> Evidence:
    good = GOOD.evidence()
    return replace(good, keys={**good.keys, purpose: replace(good.keys[purpose], **changes)})


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def edited_log(change: Callable[[list[Json]], object]) -> Evidence:
    """The log edited, the quote as it was."""
    return replace(GOOD.evidence(), event_log=json.dumps(events_with(change)).encode())


def leaky() -> Machine:
    compose = json.loads(GOOD.simulator.machine.app_compose)
    compose["public_logs"] = True
    compose["docker_compose_file"] += "      - /var/run/docker.sock:/var/run/docker.sock\n"
    return machine(app_compose=json.dumps(compose).encode())


SPOILT: dict[str, tuple[str, Callable[[], Evidence], Terms]] = {
    "a quote cut short": ("Q1", lambda: replace(good(), quote=good().quote[:700]), TERMS),
    "a quote of SGX": ("Q2", lambda: replace(good(), quote=of_sgx()), TERMS),
    "a byte of the body": ("Q3", lambda: replace(good(), quote=flipped(good().quote, 70)), TERMS),
    "the debug bit": ("Q5", lambda: machine(fault="debug").evidence(), TERMS),
    "collateral that has run out": ("Q6", lambda: replace(good(), as_of=NOW + 40 * 86_400), TERMS),
    "collateral of another time": ("Q6", lambda: machine(fault="stale-collateral").evidence(), TERMS),
    "an event left out": ("E1", lambda: edited_log(lambda e: e.pop()), TERMS),
    "an event put in": ("E1", lambda: edited_log(lambda e: e.append(runtime("mine", "00"))), TERMS),
    "a log that is no log": ("E1", lambda: replace(good(), event_log=b"{}"), TERMS),
    "a digest of another payload": (
        "E2",
        lambda: edited_log(lambda e: e[named(e, "app-id")].update(digest="ab" * 48)),
        TERMS,
    ),
    "a system event after ready": ("E3", lambda: machine(fault="forged-late-event").evidence(), TERMS),
    "two compose hashes": ("E3", lambda: machine(fault="duplicate-compose-hash").evidence(), TERMS),
    "an unknown event before ready": (
        "E3",
        lambda: good(events=events_with(lambda e: e.insert(named(e, "app-id"), runtime("mine", "00")))),
        TERMS,
    ),
    "events in no known order": ("E4", lambda: good(events=events_with(swapped)), TERMS),
    "a newline more in the app-compose": (
        "C1",
        lambda: replace(good(), app_compose=GOOD.simulator.machine.app_compose + b"\n"),
        TERMS,
    ),
    "another compose hash before boot": ("C2", lambda: good(mrconfigid=mrconfig.v1(bytes(32))), TERMS),
    "no compose hash before boot": ("C2", lambda: good(mrconfigid=bytes(48)), TERMS),
    "an app-compose that lets people in": ("C3", lambda: leaky().evidence(), TERMS),
    "another firmware": ("O1", lambda: good(mrtd=b"\x01" * 48), TERMS),
    "a development image": ("O2", lambda: machine(fault="dev-os").evidence(), TERMS),
    "no key provider": ("K1", lambda: machine(provider="none").evidence(), TERMS),
    "a chain of another app": ("K2", lambda: with_key("evm", link0=good().keys["solana"].link0), TERMS),
    "a signature turned over": ("K2", lambda: with_key("evm", link0=high_s(good().keys["evm"].link0)), TERMS),
    "another KMS than the known one": ("K3", good, replace(TERMS, kms_root=b"\x02" + b"\x11" * 32)),
    "no KMS behind the app": ("K4", lambda: with_key("evm", link1=""), TERMS),
    "a statement edited": (
        "R1",
        lambda: replace(good(), statement=GOOD.statement(GOOD.keys(), nonce="00").encode()),
        TERMS,
    ),
    "a statement of another app": ("R1", lambda: good(app_id="00" * 20), TERMS),
    "a statement that says tdx": ("R1", lambda: good(trust="tdx"), TERMS),
    "no answer to the nonce": ("R2", good, replace(TERMS, nonce=b"mine")),
    "a statement too old": ("R2", good, replace(TERMS, now=NOW + 1000, max_age_seconds=999)),
    "a key nobody vouches for": ("R3", lambda: with_key("evm", public="02" + "11" * 32), TERMS),
    "a wallet of somebody else": ("R3", lambda: good(addresses={"evm": "0x" + "0" * 40}), TERMS),
    "a checkpoint of another tree": ("L1", lambda: replace(good(), checkpoint=other_head()), TERMS),
    "a checkpoint of another key": ("L1", lambda: replace(good(), checkpoint=other_key()), TERMS),
    "an app contract of another app": ("G1", lambda: governed(app="0x" + "00" * 20), TERMS),
    "an app contract nobody knows": ("G2", lambda: governed(implementation_code_hash="00" * 32), TERMS),
    "a root nobody trusts": ("D1", good, Terms(now=NOW)),
}


def governed(**changes: Any) -> Evidence:
    return replace(good(), contract=GOOD.governance(**changes))


def of_sgx() -> bytes:
    good = GOOD.evidence().quote
    return good[:4] + bytes(4) + good[8:]


def high_s(link: str) -> str:
    data = bytes.fromhex(link)
    s = keychain.ORDER - int.from_bytes(data[32:64])
    return (data[:32] + s.to_bytes(32) + bytes([data[64] ^ 1])).hex()


def other_head() -> str:
    head = checkpoint.Checkpoint(f"teehee/{KEY_ID}", 1, merkle.leaf_hash(b"x"))
    return checkpoint.sign(head, head.origin, GOOD.log_key())


def other_key() -> str:
    head = checkpoint.Checkpoint(f"teehee/{KEY_ID}", 0, merkle.root([]))
    return checkpoint.sign(head, head.origin, Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_spoilt_is_named_by_its_code_and_no_other(name: str) -> None:
    code, spoil, terms = SPOILT[name]

    assert codes(spoil(), terms) == [code]


def test_every_code_has_a_way_to_be_reached() -> None:
    assert {code for code, _, _ in SPOILT.values()} | BY_FIXTURE == set(CODES)


def test_a_locked_contract_lifts_only_an_agent_that_is_closed() -> None:
    leaking = leaky()

    closed = verify.verify(governed(), TERMS)
    open_ = verify.verify(replace(leaking.evidence(), contract=leaking.governance()), TERMS)
    silent = verify.verify(replace(governed(), statement=None), TERMS)

    assert [found.rung for found in (closed, open_, silent)] == [4, 1, 0]
    assert [step.outcome for step in (closed.steps[16], open_.steps[16], silent.steps[16])] == ["held"] * 3
    assert "whoever may log in" in str(open_.residual)


@pytest.mark.parametrize("missing", ["event_log", "app_compose", "collateral", "statement", "checkpoint"])
def test_what_is_missing_is_not_checked_and_never_a_pass(missing: str) -> None:
    nothing: Any = "" if missing == "checkpoint" else None
    evidence = replace(GOOD.evidence(), **{missing: nothing})

    verdict = verify.verify(evidence, TERMS)

    assert (verdict.rung, verdict.rejects) == (0, ())
    assert len([step for step in verdict.steps if step.outcome == "not checked"]) > 1


def test_many_nonces_under_one_quote_are_each_answered() -> None:
    nonces = [bytes([number]) for number in range(5)]
    hashes = [merkle.leaf_hash(nonce) for nonce in nonces]
    good = GOOD.evidence(nonce=merkle.root(hashes).hex())

    def node(level: int, at: int) -> bytes:
        return merkle.root(hashes[at << level : (at + 1) << level])

    path = merkle.inclusion_proof(3, 5, node)
    proof = {"nonce": nonces[3].hex(), "index": 3, "count": 5, "path": [node.hex() for node in path]}

    assert codes(replace(good, nonce=proof), replace(TERMS, nonce=nonces[3])) == []
    assert codes(replace(good, nonce=proof), replace(TERMS, nonce=nonces[2])) == ["R2"]
    assert codes(replace(good, nonce={**proof, "index": 2}), replace(TERMS, nonce=nonces[3])) == ["R2"]


def test_a_published_simulators_root_is_refused_under_intels_root() -> None:
    assert anchors.refused_keys()
    assert codes(GOOD.evidence(), replace(TERMS, kms_root=next(iter(anchors.refused_keys())))) == ["K3"]


def test_now_and_then_are_told_apart() -> None:
    later = verify.verify(GOOD.evidence(), replace(TERMS, now=NOW + 60 * 86_400))

    assert (later.rung, later.now_holds) == (2, False)


def test_a_bundle_says_the_same_as_its_parts() -> None:
    file = GOOD.bundle()

    read = bundle.parse(file.encode())

    assert read == file
    assert verify.of_bundle(read) == GOOD.evidence()


@fuzzed(200)
@given(
    st.binary(max_size=400), st.integers(0, 4000), st.sampled_from(["quote", "event_log", "collateral", "statement"])
)
def test_no_evidence_raises(noise: bytes, at: int, part: str) -> None:
    good = GOOD.evidence()
    held: bytes = getattr(good, part)

    spoilt: Any = held[:at] + noise + held[at + len(noise) :]

    verdict = verify.verify(replace(good, **{part: spoilt}), TERMS)

    assert verdict.rung == 0 or not verdict.rejects
