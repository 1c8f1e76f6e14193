"""Defects that other TEE agents were published with, each as a claim about ours under the defect's own name.

The numbers are those of our list of them; later parts of the product add theirs here.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dev_machine import NOW, Machine
from teehee.errors import ConfigError
from teehee.evidence import eventlog, verify
from teehee.evidence.verdict import Verdict
from teehee.evidence.verify import Evidence, Terms
from teehee.tee.client import Client
from teehee.tee.simulator import Simulator
from vaults import config, simulated, vault_at

Json = Any
GOOD = Machine(Simulator(bytes(range(32))))
TERMS = Terms(now=NOW, dev_root=GOOD.simulator.root_der)


def verdict(evidence: Evidence, terms: Terms = TERMS) -> Verdict:
    return verify.verify(evidence, terms)


def codes(evidence: Evidence, terms: Terms = TERMS) -> list[str]:
    return [reject.code for reject in verdict(evidence, terms).rejects]


@pytest.mark.parametrize("endpoint", ["http://tee.example:8090", "https://10.0.0.7/", "http://192.168.1.2:8090"])
def test_r1_a_key_is_never_asked_of_another_host(endpoint: str) -> None:
    """A vendor's plugin sent the salt to a machine of the vendor's, and took the key it answered."""
    with pytest.raises(ConfigError, match=r"expected http://127\.0\.0\.1:PORT or the path of a Unix socket"):
        Client(endpoint)


async def test_r2_no_two_agents_share_a_wallet_because_they_share_a_salt(tmp_path: Path) -> None:
    """Wallets followed from app and salt alone, so every agent of an app had the same two."""
    async with simulated(tmp_path) as (_, guest), vault_at(
        tmp_path, config("Ada"), config("Eve"), guest=guest
    ) as vault:  # fmt: skip
        said = [
            json.loads((await vault.public("statement", {"agent": agent}))["statement"])["addresses"]
            for agent in ("agent-ada", "agent-eve")
        ]

    assert not set(said[0].values()) & set(said[1].values())


async def test_r3_what_was_hashed_into_the_quote_is_published_with_it(tmp_path: Path) -> None:
    """Report data were hashes of messages that nobody could see, so a quote was bound to nothing."""
    async with simulated(tmp_path) as (_, guest), vault_at(tmp_path, config("Ada"), guest=guest) as vault:
        given = await vault.public("bundle", {"agent": "agent-ada"})

    hashed = hashlib.sha512(b"teehee/statement/v1\x00" + given["statement"].encode()).hexdigest()
    assert given["quote"][568 * 2 : 632 * 2] == hashed


def test_r12_the_identity_of_the_quoting_enclave_is_checked() -> None:
    """The enclave that signs quotes was not compared with Intel's word on it."""
    told = GOOD.simulator.collateral(NOW)
    identity = json.loads(told["qe_identity"])
    identity["mrsigner"] = "00" * 32
    told["qe_identity"] = json.dumps(identity)

    assert codes(replace(GOOD.evidence(), collateral=json.dumps(told).encode())) == ["Q3"]


def test_r12_collateral_of_the_agents_choice_is_believed_for_its_signatures_only() -> None:
    """Whoever was checked named the server that said whether they were up to date."""
    other = Simulator(bytes(32)).collateral(NOW)

    assert codes(replace(GOOD.evidence(), collateral=json.dumps(other).encode())) == ["Q3"]


def test_r13_a_machine_in_debug_mode_is_refused() -> None:
    """Debug machines, whose memory their operator reads, passed."""
    assert codes(Machine(Simulator(bytes(range(32)), fault="debug")).evidence()) == ["Q5"]


def test_r28_a_log_that_replays_says_nothing_of_another_compose_file() -> None:
    """The log led to the quote, and nobody looked whether the compose file shown was the one in it."""
    compose = json.loads(GOOD.simulator.machine.app_compose)
    other = json.dumps({**compose, "name": "harmless"}).encode()

    assert codes(replace(GOOD.evidence(), app_compose=other)) == ["C1"]


def test_r32_a_quote_of_another_time_does_not_carry_this_statement() -> None:
    """The quote in the file was not the one that had been registered."""
    earlier = GOOD.evidence(issued_at=NOW * 1000 - 1)

    assert codes(replace(GOOD.evidence(), quote=earlier.quote)) == ["R1"]


@pytest.mark.parametrize("part", ["collateral", "event_log", "app_compose", "statement", "keys", "checkpoint"])
def test_r36_a_step_that_was_not_taken_is_no_pass(part: str) -> None:
    """A check that was skipped for want of evidence counted as one that held."""
    empty: Json = {} if part == "keys" else "" if part == "checkpoint" else None

    found = verdict(replace(GOOD.evidence(), **{part: empty}))

    assert found.rung == 0
    assert [step for step in found.steps if step.outcome == "not checked"]


def test_r41_a_second_compose_hash_is_refused_before_and_after_boot() -> None:
    """Readers took the last compose-hash event, or the first, of a log to which an app could add."""
    assert codes(Machine(Simulator(bytes(range(32)), fault="duplicate-compose-hash")).evidence()) == ["E3"]

    late = {"imr": 3, "event_type": eventlog.RUNTIME_EVENT, "event": "compose-hash", "digest": ""}
    events = [*GOOD.simulator.machine.quoted_log(), {**late, "event_payload": "00" * 32}]

    assert codes(GOOD.evidence(events=events)) == ["E3"]


def test_r42_a_digest_of_the_other_version_is_refused() -> None:
    """A log was taken whose digests were made by another version's rule than its events say."""
    events = GOOD.simulator.machine.quoted_log()
    at = next(number for number, event in enumerate(events) if event["event"] == "app-id")
    said = {"name": "app-id", "payload": events[at]["event_payload"], "type": eventlog.RUNTIME_EVENT}
    second = hashlib.sha384(json.dumps(said, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
    events[at]["digest"] = second

    assert codes(replace(GOOD.evidence(), event_log=json.dumps(events).encode())) == ["E2"]
