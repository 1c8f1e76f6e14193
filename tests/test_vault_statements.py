"""Statements: what the agent says under the machine's signature, when it is said anew, and many answered at once."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from teehee.errors import ConfigError, Unavailable
from teehee.evidence import checkpoint, keychain, merkle, quote, statement
from teehee.vault import statements
from vaults import Vault, config, configure, encodings, simulated, vault_at, vault_process

Json = Any


def contents(paths: Iterable[Path]) -> list[bytes]:
    """Of these files, and of all in these folders."""
    every = [inner for path in paths for inner in (path.rglob("*") if path.is_dir() else [path])]
    return [path.read_bytes() for path in every if path.is_file()]


async def told(vault: Vault, nonce: str = "") -> tuple[statement.Statement, Json]:
    answer = await vault.public("statement", {"agent": "agent-ada", "nonce": nonce})
    return statement.parse(answer["statement"].encode()), answer


async def test_a_statement_is_what_the_quote_is_over(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (simulator, guest), vault_at(tmp_path, config("Ada"), guest=guest) as vault:
        said, answer = await told(vault)
        (identity,) = (await vault.public("agents"))["agents"]

    parsed = quote.parse(bytes.fromhex(answer["quote"]))
    assert parsed.td.report_data == said.report_data()
    assert (said.key_id, said.trust) == (identity["key_id"], "dev")
    assert said.app_id == simulator.machine.app_id.hex()
    assert said.compose_hash == simulator.machine.compose_hash.hex()
    assert set(said.keys) == {"log", "evm", "solana", "owner-channel"}
    assert said.addresses["evm"].startswith("0x")
    assert 32 <= len(said.addresses["solana"]) <= 44
    assert (said.log_size, said.previous) == (1, "")


async def test_a_statement_stands_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LEAVES_APART", 3)
    async with simulated(tmp_path) as (_, guest), vault_at(tmp_path, config("Ada"), guest=guest) as vault:
        first, _ = await told(vault)
        again, _ = await told(vault)
        await vault.answered("e1")
        soon, _ = await told(vault)
        await vault.answered("e2")
        await vault.answered("e3")
        later, _ = await told(vault)
        await vault.owner("configure", configure([config("Ada", replies_per_room_minute=7)]))
        changed, _ = await told(vault)

    assert first == again == soon
    assert (later.log_size, later.previous) == (4, first.hash())
    assert changed.previous == later.hash()
    assert changed.policy_hash != later.policy_hash


async def test_the_bundle_holds_a_checkpoint_of_the_very_tree_it_states(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (_, guest), vault_at(tmp_path, config("Ada"), guest=guest) as vault:
        given = await vault.public("bundle", {"agent": "agent-ada"})
        await vault.answered("e1")
        later = await vault.public("bundle", {"agent": "agent-ada"})

    said = statement.parse(given["statement"].encode())
    key = checkpoint.vkey(said.log_origin, bytes.fromhex(said.keys["log"]))
    head = checkpoint.verify(given["checkpoint"], key, origin=said.log_origin)
    assert (head.size, head.root.hex()) == (said.log_size, said.log_root)
    assert later == given
    assert json.loads(given["event_log"])
    assert set(given["keys"]) == {"log", "evm", "solana"}
    assert all(len(key["link0"]) == 130 for key in given["keys"].values())


async def test_many_who_ask_at_once_share_one_quote(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (_, guest), vault_at(tmp_path, config("Ada"), guest=guest) as vault:
        nonces = [f"{number:08x}" for number in range(500)]
        answers = await asyncio.gather(*(told(vault, nonce) for nonce in nonces))
        (kept,) = vault.core.db.execute("SELECT COUNT(*) FROM statements").fetchone()

    roots = {said.nonce for said, _ in answers}
    assert kept == len(roots) == 1
    for nonce, (said, answer) in zip(nonces, answers, strict=True):
        proof = answer["proof"]
        assert proof["nonce"] == nonce
        leaf = merkle.leaf_hash(bytes.fromhex(nonce))
        path = [bytes.fromhex(node) for node in proof["path"]]
        merkle.verify_inclusion(leaf, proof["index"], proof["count"], path, bytes.fromhex(said.nonce))


async def test_ten_thousand_nonces_are_one_quote(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (_, guest), vault_at(tmp_path, config("Ada"), guest=guest) as vault:
        answers = await asyncio.gather(*(told(vault, f"{number:064x}") for number in range(10_000)))
        (kept,) = vault.core.db.execute("SELECT COUNT(*) FROM statements").fetchone()

    assert kept == 1
    assert len({answer["proof"]["index"] for _, answer in answers}) == 10_000


async def test_without_a_quoting_guest_it_says_so(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        with pytest.raises(Unavailable, match="quotes nothing"):
            await told(vault)


async def test_two_agents_of_one_app_never_share_a_key(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (_, guest), vault_at(
        tmp_path, config("Ada"), config("Eve"), guest=guest
    ) as vault:  # fmt: skip
        ada = await vault.public("bundle", {"agent": "agent-ada"})
        eve = await vault.public("bundle", {"agent": "agent-eve"})

    keys = [key["public"] for given in (ada, eve) for key in given["keys"].values()]
    assert len(set(keys)) == 6
    one, other = (statement.parse(given["statement"].encode()) for given in (ada, eve))
    assert not set(one.addresses.values()) & set(other.addresses.values())


async def test_the_api_is_pinned_at_genesis(tmp_path: Path) -> None:
    async with simulated(tmp_path, era="0.6.0") as (_, guest), vault_at(tmp_path, config("Ada"), guest=guest):
        pass

    async with simulated(tmp_path, era="0.5.11") as (_, guest):
        with pytest.raises(ConfigError) as caught:
            async with vault_at(tmp_path, guest=guest):
                pass

    assert "another API gives other keys" in caught.value.hint


@pytest.mark.parametrize("era", ["0.4.2", "0.5.5", "0.5.11", "0.6.0"])
async def test_every_era_of_guest_wakes_a_vault(tmp_path: Path, era: str) -> None:
    async with simulated(tmp_path, era=era) as (simulator, guest):
        for _ in range(2):
            async with vault_at(tmp_path, config("Ada"), guest=guest) as vault:
                said, _ = await told(vault)

    assert said.compose_hash == simulator.machine.compose_hash.hex()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("status-400", "was told to refuse"),
        ("garbage", "talks nonsense"),
        ("forged-late-event", "does not hold"),
        ("duplicate-compose-hash", "does not hold"),
    ],
)
async def test_a_machine_whose_own_evidence_does_not_hold_starts_nothing(
    tmp_path: Path, fault: str, says: str
) -> None:  # fmt: skip
    async with simulated(tmp_path, fault=fault) as (_, guest):
        with pytest.raises(Exception, match=says):
            async with vault_at(tmp_path, config("Ada"), guest=guest):
                pass


async def test_a_vault_says_at_its_start_what_it_is_before_anybody_asks(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (_, guest), vault_process(tmp_path, config("Ada"), guest=guest) as vault:
        for _attempt in range(100):
            with contextlib.closing(sqlite3.connect(tmp_path / "vault.db")) as db:
                (kept,) = db.execute("SELECT COUNT(*) FROM statements").fetchone()
            if kept:
                break
            await asyncio.sleep(0.05)
        answer = await vault.public("statement", {"agent": "agent-ada"})

    assert kept == 1
    assert statement.parse(answer["statement"].encode()).previous == ""


async def test_no_wallet_key_is_written_or_answered_anywhere(tmp_path: Path) -> None:
    async with simulated(tmp_path) as (simulator, guest), vault_process(tmp_path, config("Ada"), guest=guest) as vault:
        (agent,) = (await vault.public("agents"))["agents"]
        names = [
            f"teehee/v1/{agent['key_id']}/{purpose}" for purpose in ("evm/secp256k1", "solana/ed25519", "log/ed25519")
        ]
        names += ["teehee/v1/app/seal/aes-256-gcm-siv", "teehee/v1/app/owner-channel/x25519"]
        secrets = {name: simulator.keys.by_path(name, name, "ed25519").secret for name in names}
        await vault.answered("e1")
        answers = [
            await vault.public(method, {"agent": agent["agent"]}) for method in ("statement", "bundle", "checkpoint")
        ]
        shown = [json.dumps([answers, await vault.public("agents")]).encode(), vault.log_text().encode()]
        shown += contents([Path(f"/proc/{vault.child.pid}/{place}") for place in ("environ", "cmdline")])
        public = bytes.fromhex(answers[1]["keys"]["evm"]["public"])
    shown += contents([tmp_path])

    assert keychain.public_key(secrets[names[0]], "secp256k1") == public
    for name, secret in secrets.items():
        assert not [form for form in encodings(secret) if any(form in place for place in shown)], name


async def test_who_asks_without_end_gets_few_quotes_and_fills_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(statements, "KEPT", 3)
    async with simulated(tmp_path) as (_, guest), vault_at(tmp_path, config("Ada"), guest=guest) as vault:
        loop = asyncio.get_running_loop()
        began, seen = loop.time(), []
        for number in range(6):
            said, _ = await told(vault, f"{number:02x}")
            seen.append(said)
        took = loop.time() - began
        (kept,) = vault.core.db.execute("SELECT COUNT(*) FROM statements").fetchone()

    assert kept == 3
    assert took >= 5 * 0.2
    assert [said.previous for said in seen[1:]] == [said.hash() for said in seen[:-1]]
