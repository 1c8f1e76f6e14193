"""Who the agents are: minted once, kept through renames and restarts, never shared, checked at every start."""

import json
from pathlib import Path
from typing import Any

import pytest

from teehee.errors import ConfigError, Refused
from teehee.evidence import leaf
from teehee.wire.strict import Malformed
from vaults import PACKAGE, Vault, config, configure, reply, rule_of, vault_at, verified, witness

Json = Any


async def agents(vault: Vault) -> list[Json]:
    return list((await vault.public("agents"))["agents"])


async def only(vault: Vault) -> Json:
    (one,) = await agents(vault)
    return one


async def test_an_agent_is_born_with_a_key_and_a_genesis_leaf(tmp_path: Path) -> None:
    async with vault_at(tmp_path) as vault:
        told = await vault.owner("configure", configure([config("Ada")]))
        (genesis,) = await vault.verified()

    (born,) = told["agents"]
    assert (born["name"], born["agent"], born["epoch"], born["minted"]) == ("Ada", "agent-ada", 1, True)
    assert born["origin"] == f"teehee/{born['key_id']}"
    assert isinstance(genesis, leaf.Genesis)
    assert (genesis.agent, genesis.package) == (born["key_id"], PACKAGE)
    assert set(genesis.keys) == {"log", "evm", "solana"}
    assert genesis.keys["log"] == born["log_key"]


async def test_an_agent_keeps_its_key_and_opens_a_new_epoch_at_every_start(tmp_path: Path) -> None:
    seen = []
    for _ in range(3):
        async with vault_at(tmp_path, config("Ada")) as vault:
            seen.append(await only(vault))
            leaves = await vault.verified()

    assert len({(one["key_id"], one["log_key"]) for one in seen}) == 1
    assert [one["epoch"] for one in seen] == [1, 2, 3]
    assert [type(one) for one in leaves] == [leaf.Genesis, leaf.Epoch, leaf.Epoch]
    assert [one.epoch for one in leaves] == [1, 2, 3]


async def test_only_the_start_that_bore_an_agent_says_so(tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        async with vault_at(tmp_path) as vault:
            told.append((await vault.owner("configure", configure([config("Ada")])))["agents"][0]["minted"])

    assert told == [True, False]


async def test_a_rename_keeps_the_key_the_log_and_the_id(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada", slot="one.json")) as vault:
        before = await only(vault)
        await vault.answered("e1", "hello")

    async with vault_at(tmp_path, config("Eve", slot="one.json")) as vault:
        after = await only(vault)
        leaves = await vault.verified()

    assert after["name"] == "Eve"
    for name in ("key_id", "log_key", "origin", "agent"):
        assert after[name] == before[name]
    assert [type(one) for one in leaves] == [leaf.Genesis, leaf.Intent, leaf.Epoch]


async def test_a_namesake_of_an_earlier_start_gets_a_key_of_its_own(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada", slot="one.json")) as vault:
        first = await only(vault)

    async with vault_at(tmp_path, config("Ada", slot="two.json")) as vault:
        second = await only(vault)

    for name in ("key_id", "log_key", "origin", "agent"):
        assert first[name] != second[name]


async def test_two_namesakes_of_one_start_get_keys_and_logs_of_their_own(tmp_path: Path) -> None:
    twins = (config("Ada", slot="one.json"), config("Ada", slot="two.json"))
    async with vault_at(tmp_path, *twins) as vault:
        one, two = await agents(vault)
        for name in ("key_id", "log_key", "origin", "agent", "log"):
            assert one[name] != two[name]
        await vault.gate("event.witness", witness(agent=two["agent"]))
        await vault.submit(reply(agent=two["agent"]))

        assert len(await vault.verified(one["agent"])) == 1
        assert len(await vault.verified(two["agent"])) == 2


async def test_namesakes_find_their_own_again(tmp_path: Path) -> None:
    one, two = config("Ada", slot="one.json"), config("Ada", slot="two.json")
    async with vault_at(tmp_path, one, two) as vault:
        before = {agent["slot"]: agent["key_id"] for agent in await agents(vault)}

    async with vault_at(tmp_path, two, one) as vault:
        after = {agent["slot"]: agent["key_id"] for agent in await agents(vault)}

    assert after == before


async def test_an_agent_that_is_not_configured_now_can_do_nothing(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        (effect,) = await vault.answered("e1", "a private word")

    async with vault_at(tmp_path, config("Eve")) as vault:
        asked = {"agent": "agent-ada", "source": "web", "event": "e1"}
        refusals = [
            await rule_of(vault.gate("event.witness", witness("e2"))),
            await rule_of(vault.mind("effect.submit", reply("e1"))),
            await rule_of(vault.mind("effect.for_event", asked)),
            await rule_of(vault.public("checkpoint", {"agent": "agent-ada"})),
        ]
        settled = await vault.mind("effect.settled", {"effects": [effect["id"]]})
        due = await vault.gate("effect.due")

    assert refusals == ["base.agent-unknown"] * 4
    assert settled == {"settled": []}
    assert due == {"effects": []}


async def test_recall_knows_everyone_again_without_a_new_epoch(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada"), config("Eve")) as vault:
        before = await agents(vault)

    async with vault_at(tmp_path) as vault:
        await vault.owner("recall")
        after = await agents(vault)

        assert len(await vault.verified("agent-ada")) == 1

    facts = ("agent", "key_id", "log_key", "epoch", "name", "policy_hash")
    assert sorted([one[f] for f in facts] for one in after) == sorted([one[f] for f in facts] for one in before)


async def test_a_folder_with_another_seed_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")):
        pass
    (tmp_path / "developer-seed").write_bytes(b"another seed of thirty-two bytes")

    with pytest.raises(ConfigError) as caught:
        async with vault_at(tmp_path):
            pass

    assert str(caught.value).startswith("this data folder was born with guest API v0 and channel key ")
    assert "restore the right one" in caught.value.hint


@pytest.mark.parametrize("purpose", ["log", "evm", "solana"])
async def test_a_key_that_is_not_the_recorded_one_is_refused(tmp_path: Path, purpose: str) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        keys = vault.core.identities.public_keys((await only(vault))["key_id"])
        changed = json.dumps({**keys, purpose: "ab" * 33})
        await vault.core.commit.run(lambda: vault.core.db.execute("UPDATE identities SET keys=?, log_key=?", (
            changed, "ab" * 33 if purpose == "log" else keys["log"],
        )))  # fmt: skip

    async with vault_at(tmp_path) as vault:
        for order in (vault.owner("configure", configure([config("Ada")])), vault.owner("recall")):
            with pytest.raises(ConfigError) as caught:
                await order
            assert str(caught.value).startswith(f"the {purpose} key of 'Ada' derived now is {keys[purpose][:16]}…")
            assert "restore the right one, or start anew" in caught.value.hint


async def test_an_identity_record_that_was_altered_is_refused(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        vault.core.db.execute("UPDATE identities SET log_key=?", ("0" * 64,))

    async with vault_at(tmp_path) as vault:
        with pytest.raises(ConfigError, match=r"its identity record says 0000000000000000…"):
            await vault.owner("configure", configure([config("Ada")]))


async def test_a_changed_policy_rules_and_shows_in_the_next_leaves(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        await vault.answered("e1", "one", "two")
        before = await only(vault)

    async with vault_at(tmp_path, config("Ada", parts_per_reply=1)) as vault:
        await vault.gate("event.witness", witness("e2"))
        refusal = await rule_of(vault.submit(reply("e2", "one", "two")))
        await vault.submit(reply("e2", "one"))
        after = await only(vault)
        policies = [one.policy for one in await vault.verified() if isinstance(one, leaf.Intent)]

    assert refusal == "base.too-many-parts"
    assert before["policy_hash"] != after["policy_hash"]
    assert policies == [before["policy_hash"]] * 2 + [after["policy_hash"]]


async def test_a_changed_policy_is_a_leaf_and_an_unchanged_one_is_none(tmp_path: Path) -> None:
    for limit in (4000, 4000, 100):
        async with vault_at(tmp_path, config("Ada", text_limit=limit)) as vault:
            known, leaves = await only(vault), await vault.verified()

    assert [one.type for one in leaves] == ["genesis", "epoch", "epoch", "policy"]
    assert isinstance(leaves[-1], leaf.Policy)
    assert leaves[-1].policy == known["policy_hash"]


async def test_a_policy_with_an_unknown_rule_configures_nobody(tmp_path: Path) -> None:
    async with vault_at(tmp_path) as vault:
        with pytest.raises(Malformed, match="policy: unknown key 'allow_all'"):
            await vault.owner("configure", configure([config("Ada"), config("Eve", allow_all=True)]))

        assert await agents(vault) == []
        assert await rule_of(vault.gate("event.witness", witness())) == "base.agent-unknown"


async def test_a_failed_configuration_leaves_the_one_before_it_in_force(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada", parts_per_reply=1)) as vault:
        before = await agents(vault)
        wider = [config("Ada", parts_per_reply=4), config("Eve", allow_all=True)]
        with pytest.raises(Malformed):
            await vault.owner("configure", configure(wider))
        await vault.gate("event.witness", witness())

        assert await agents(vault) == before
        assert await rule_of(vault.submit(reply("e1", "one", "two"))) == "base.too-many-parts"


async def test_one_slot_configured_twice_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async with vault_at(tmp_path) as vault:
        with pytest.raises(Refused, match=r"'ada\.json' is configured twice"):
            await vault.owner("configure", configure([config("Ada", slot="ada.json"), config("Eve", slot="ada.json")]))

        assert await agents(vault) == []


async def test_an_agents_log_can_be_checked_by_anyone(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada"), config("Eve")) as vault:
        await vault.answered("e1", "hello", agent="agent-ada")

        assert len(await verified(vault.public, "agent-ada")) == 2
        assert len(await verified(vault.public, "agent-eve")) == 1
