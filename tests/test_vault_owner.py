"""The owner's channel: only a signed and numbered request counts, each number once; a stop is a leaf."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teehee.errors import Refused, TeeheeError, Unavailable
from teehee.evidence import leaf
from teehee.supervisor.owner import Owner
from teehee.tee.guest import Algorithm, DeveloperGuest, Key
from teehee.vault.core import Core, open_store
from teehee.vault.keyring import KeyRing
from teehee.vault.machine import Machine
from teehee.vault.owner import OwnerDesk
from teehee.vault.seal import Seal
from teehee.wire import owner as wire
from teehee.wire.strict import Malformed
from vaults import Vault, config, configure, envelope, reply, rule_of, vault_at, witness

Json = Any
LATER = 2**52  # a sequence number beyond what the clock gives


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with vault_at(tmp_path, config("Ada"), config("Eve")) as one:
        yield one


async def send(vault: Vault, params: Json) -> Json:
    return await vault.ask("owner", "request", params)


async def stopped(vault: Vault) -> dict[str, bool]:
    return {one["name"]: one["stopped"] for one in (await vault.public("agents"))["agents"]}


async def last_leaf(vault: Vault, agent: str) -> str:
    leaves = (await vault.public("leaves", {"agent": agent, "limit": 1000}))["leaves"]
    return leaf.parse(leaves[-1].encode()).type


# -- who is heard


async def test_a_signed_and_numbered_request_is_heard(vault: Vault) -> None:
    told = await send(vault, envelope(vault.owner_key, LATER, "secret.names", {}))

    assert told == {"secrets": []}


async def test_a_stranger_who_signs_well_is_not_heard(vault: Vault, tmp_path: Path) -> None:
    stranger = Owner(tmp_path / "stranger-key")

    assert await rule_of(send(vault, envelope(stranger, LATER, "stop", {}))) == "owner.key-unknown"


async def test_a_strangers_signature_under_the_owners_name_is_refused(vault: Vault, tmp_path: Path) -> None:
    forged = envelope(Owner(tmp_path / "stranger-key"), LATER, "stop", {}) | {"key": vault.owner_key.public.hex()}

    assert await rule_of(send(vault, forged)) == "owner.signature"


async def test_a_request_altered_on_its_way_is_refused(vault: Vault) -> None:
    signed = envelope(vault.owner_key, LATER, "stop", {"agents": ["agent-ada"]})
    altered = signed | {"body": signed["body"].replace("agent-ada", "agent-eve")}

    assert await rule_of(send(vault, altered)) == "owner.signature"


@pytest.mark.parametrize("signature", ["", "00", "zz", "00" * 64, "00" * 65, "é"], ids=range(6))
async def test_a_signature_that_is_none_is_refused(vault: Vault, signature: str) -> None:
    signed = envelope(vault.owner_key, LATER, "stop", {}) | {"signature": signature}

    assert await rule_of(send(vault, signed)) == "owner.signature"


async def test_what_the_owner_signed_for_another_purpose_is_no_request(vault: Vault) -> None:
    signed = envelope(vault.owner_key, LATER, "stop", {})
    bare = vault.owner_key._key.sign(signed["body"].encode()).hex()

    assert await rule_of(send(vault, signed | {"signature": bare})) == "owner.signature"


@pytest.mark.parametrize("key", ["", "zz", "0" * 64, "é"])
async def test_a_key_that_is_no_owners_is_refused(vault: Vault, key: str) -> None:
    signed = envelope(vault.owner_key, LATER, "stop", {}) | {"key": key}

    assert await rule_of(send(vault, signed)) == "owner.key-unknown"


async def test_the_owners_key_is_taken_in_one_spelling_only(vault: Vault) -> None:
    signed = envelope(vault.owner_key, LATER, "stop", {})
    spelled = signed | {"key": f" {signed['key'].upper()}"}

    assert await rule_of(send(vault, spelled)) == "owner.key-unknown"


async def test_a_vault_without_owners_hears_nobody(vault: Vault) -> None:
    desk = OwnerDesk(vault.core.db, frozenset())

    with pytest.raises(Refused) as caught:
        desk.check_signature(wire.Envelope(**envelope(vault.owner_key, 1, "stop", {})))

    assert caught.value.rule == "owner.key-unknown"


# -- each number once


async def test_a_request_counts_once(vault: Vault) -> None:
    signed = envelope(vault.owner_key, LATER, "stop", {})
    await send(vault, signed)

    assert await rule_of(send(vault, signed)) == "owner.replayed"


async def test_an_older_number_comes_too_late(vault: Vault) -> None:
    await send(vault, envelope(vault.owner_key, LATER + 5, "stop", {}))

    assert await rule_of(send(vault, envelope(vault.owner_key, LATER + 4, "resume", {}))) == "owner.replayed"
    assert await stopped(vault) == {"Ada": True, "Eve": True}


async def test_a_replayed_resume_does_not_undo_a_stop(vault: Vault) -> None:
    resume = envelope(vault.owner_key, LATER, "resume", {})
    await send(vault, resume)
    await send(vault, envelope(vault.owner_key, LATER + 1, "stop", {}))

    assert await rule_of(send(vault, resume)) == "owner.replayed"
    assert await stopped(vault) == {"Ada": True, "Eve": True}


async def test_of_two_requests_with_one_number_one_counts(vault: Vault) -> None:
    told = await asyncio.gather(
        send(vault, envelope(vault.owner_key, LATER, "stop", {})),
        send(vault, envelope(vault.owner_key, LATER, "resume", {})),
        return_exceptions=True,
    )

    assert told[0] == {"changed": ["Ada", "Eve"]}
    assert isinstance(told[1], Refused)
    assert told[1].rule == "owner.replayed"


async def test_numbers_are_remembered_through_a_restart(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        signed = envelope(vault.owner_key, LATER, "stop", {})
        await send(vault, signed)

    async with vault_at(tmp_path) as vault:
        assert await rule_of(send(vault, signed)) == "owner.replayed"


async def test_a_number_that_json_does_not_carry_is_refused(vault: Vault) -> None:
    with pytest.raises(Malformed, match=r"body\.seq: beyond what JSON carries exactly"):
        await send(vault, envelope(vault.owner_key, 2**63, "stop", {}))


# -- what is asked


async def test_a_request_for_what_owners_cannot_ask_is_refused(vault: Vault) -> None:
    refused = rule_of(send(vault, envelope(vault.owner_key, LATER, "effect.submit", {})))

    assert await refused == "owner.method-unknown"


@pytest.mark.parametrize(
    "body", ["", "stop", "[]", "{}", '{"seq":1}', '{"seq":"1","method":"stop","params":{}}', "[" * 9999]
)
async def test_a_signed_body_of_another_shape_is_refused_and_no_crash(vault: Vault, body: str) -> None:
    key = vault.owner_key
    signature = key._key.sign(wire.signed_bytes(body)).hex()

    with pytest.raises(TeeheeError):
        await send(vault, {"body": body, "key": key.public.hex(), "signature": signature})


@pytest.mark.parametrize(
    "body", [None, 1, {"seq": 1}, ["stop"], "\ud800"], ids=["null", "number", "object", "list", "surrogate"]
)
async def test_a_body_that_is_no_text_is_refused_and_no_crash(vault: Vault, body: Json) -> None:
    signed = envelope(vault.owner_key, LATER, "stop", {})

    with pytest.raises(TeeheeError):
        await send(vault, signed | {"body": body})


async def test_an_owner_is_not_cut_short_by_many_secrets(vault: Vault) -> None:
    secrets = {f"ada/KEY_{number}": "x" * 1000 for number in range(100)}

    told = await vault.owner("configure", {"agents": [], "secrets": secrets})

    assert told["agents"] == []
    assert len((await vault.owner("secret.names"))["secrets"]) == 100


# -- the brake


async def test_a_stopped_agent_says_nothing_until_it_is_resumed(vault: Vault) -> None:
    await vault.gate("event.witness", witness("e1"))
    told = await vault.owner("stop", {"agents": ["agent-ada"]})
    refusal = await rule_of(vault.submit(reply("e1")))
    await vault.owner("resume", {"agents": ["agent-ada"]})
    effects = await vault.submit(reply("e1"))

    assert told == {"changed": ["Ada"]}
    assert refusal == "base.stopped"
    assert len(effects) == 1


async def test_a_stop_and_a_resume_are_leaves_that_name_who_and_by_which_request(vault: Vault) -> None:
    await send(vault, envelope(vault.owner_key, LATER, "stop", {"agents": ["agent-ada"]}))
    await send(vault, envelope(vault.owner_key, LATER + 1, "resume", {"agents": ["agent-ada"]}))

    _, stop, resume = await vault.verified("agent-ada")

    assert isinstance(stop, leaf.Stop)
    assert isinstance(resume, leaf.Resume)
    assert (stop.by, stop.seq) == (vault.owner_key.public.hex(), LATER)
    assert (resume.by, resume.seq) == (vault.owner_key.public.hex(), LATER + 1)


async def test_a_stop_of_one_agent_leaves_the_others_alone(vault: Vault) -> None:
    await vault.owner("stop", {"agents": ["agent-eve"]})

    assert len(await vault.answered("e1", agent="agent-ada")) == 1
    assert len(await vault.verified("agent-eve")) == 2


async def test_a_stop_that_names_nobody_stops_all(vault: Vault) -> None:
    told = await vault.owner("stop")

    assert told == {"changed": ["Ada", "Eve"]}
    assert await stopped(vault) == {"Ada": True, "Eve": True}


async def test_stopping_twice_is_one_leaf(vault: Vault) -> None:
    await vault.owner("stop")
    told = await vault.owner("stop")

    assert told == {"changed": []}
    assert [one.type for one in await vault.verified()] == ["genesis", "stop"]


async def test_what_was_due_when_the_agent_was_stopped_is_held_back_and_kept(vault: Vault) -> None:
    (effect,) = await vault.answered("e1", "hello")
    await vault.owner("stop")
    held = await vault.gate("effect.due")
    room = await vault.gate("effect.in_room", {"agent": "agent-ada", "room": "room", "open_only": True})
    await vault.owner("resume")
    due = await vault.gate("effect.due")

    assert held == {"effects": []}
    assert room["effects"] == []
    assert due == {"effects": [effect]}


async def test_the_gate_is_told_of_a_stop_and_of_its_end(vault: Vault) -> None:
    await vault.owner("stop", {"agents": ["agent-ada"]})
    await vault.owner("resume", {"agents": ["agent-ada"]})

    assert vault.pushed == [
        ("gate", "agent.stopped", {"agent": "agent-ada"}),
        ("gate", "agent.resumed", {"agent": "agent-ada"}),
    ]


async def test_a_stop_outlives_a_restart(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        await vault.owner("stop")

    async with vault_at(tmp_path, config("Ada")) as vault:
        await vault.gate("event.witness", witness())

        assert await rule_of(vault.submit(reply())) == "base.stopped"


async def test_no_intent_stands_behind_a_stop_even_in_the_same_commit(vault: Vault) -> None:
    async def hear_and_answer() -> list[Json]:
        await vault.gate("event.witness", witness("e2"))
        return await vault.submit(reply("e2"))

    await vault.gate("event.witness", witness("e1"))
    _, *answers = await asyncio.gather(
        vault.owner("stop"), vault.submit(reply("e1")), hear_and_answer(), return_exceptions=True
    )

    assert [one.type for one in await vault.verified()] == ["genesis", "stop"]
    assert [one.rule for one in answers if isinstance(one, Refused)] == ["base.stopped"] * 2


async def test_a_stop_stands_though_a_configuration_shares_its_commit(vault: Vault) -> None:
    async def stop_right_behind() -> Json:
        await vault.gate("event.witness", witness("e1"))  # shares its commit with the number of the configuration
        return await vault.owner("stop", {"agents": ["agent-ada"]})

    await asyncio.gather(vault.owner("configure", configure([config("Ada"), config("Eve")])), stop_right_behind())

    assert [one.type for one in await vault.verified()] == ["genesis", "epoch", "stop"]
    assert (await stopped(vault))["Ada"]
    assert await rule_of(vault.submit(reply("e1"))) == "base.stopped"


async def test_a_stop_stands_though_a_configuration_was_under_way(tmp_path: Path) -> None:
    class SlowGuest(DeveloperGuest):
        """Takes its time over a key, as a guest agent behind a socket does."""

        slow = False
        asked, go = asyncio.Event(), asyncio.Event()

        async def get_key(self, name: str, algorithm: Algorithm) -> Key:
            if self.slow:
                self.asked.set()
                await self.go.wait()
            return await super().get_key(name, algorithm)

    guest = SlowGuest(tmp_path / "developer-seed")
    ring = KeyRing(guest)
    vault = Vault(
        Core(open_store(tmp_path), ring, Seal(await ring.seal_root(), 1), Machine(guest)), Owner(tmp_path / "owner-key")
    )
    with contextlib.closing(vault.core):
        await vault.owner("configure", configure([config("Ada")]))
        guest.slow = True
        configuring = asyncio.ensure_future(vault.owner("configure", configure([config("Ada"), config("Eve")])))
        await guest.asked.wait()
        await vault.owner("stop", {"agents": ["agent-ada"]})
        guest.go.set()
        await configuring

        assert await stopped(vault) == {"Ada": True, "Eve": False}
        assert await rule_of(vault.answered("e1")) == "base.stopped"


async def test_a_policy_rules_over_what_stands_behind_it_even_in_the_same_commit(vault: Vault) -> None:
    async def answer_right_behind() -> list[Json]:
        await vault.gate("event.witness", witness("e1"))
        return await vault.submit(reply("e1", "one", "two"))

    tighter = configure([config("Ada", parts_per_reply=1), config("Eve")])
    _, answer = await asyncio.gather(vault.owner("configure", tighter), answer_right_behind(), return_exceptions=True)

    assert isinstance(answer, Refused)
    assert answer.rule == "base.too-many-parts"
    assert [one.type for one in await vault.verified()] == ["genesis", "epoch", "policy"]


async def test_two_configurations_at_once_are_two_epochs(vault: Vault) -> None:
    wanted = configure([config("Ada"), config("Eve")])

    told = await asyncio.gather(vault.owner("configure", wanted), vault.owner("configure", wanted))

    assert [[one["epoch"] for one in each["agents"]] for each in told] == [[2, 2], [3, 3]]
    assert [one.epoch for one in await vault.verified()] == [1, 2, 3]


async def test_a_configuration_that_found_the_disk_full_has_not_happened(vault: Vault) -> None:
    before = await vault.public("agents")
    (pages,) = vault.core.db.execute("PRAGMA page_count").fetchone()
    vault.core.db.execute(f"PRAGMA max_page_count={pages}")
    wider = configure([config("Ada", parts_per_reply=2)], {"ada/KEY": "x" * 60_000})
    with pytest.raises(Unavailable):
        await vault.owner("configure", wider)
    vault.core.db.execute(f"PRAGMA max_page_count={pages + 1000}")

    assert await vault.public("agents") == before
    assert len(await vault.answered("e1", "one", "two", "three")) == 3
    assert [one.type for one in await vault.verified()] == ["genesis", *["intent"] * 3]


async def test_orders_that_share_a_commit_count_in_their_order(vault: Vault) -> None:
    orders = [("stop", "resume")[number % 2] for number in range(9)]

    told = await asyncio.gather(*(vault.owner(order, {"agents": ["agent-ada"]}) for order in orders))

    assert told == [{"changed": ["Ada"]}] * 9
    assert [one.type for one in await vault.verified()] == ["genesis", *orders]
    assert (await stopped(vault))["Ada"]


async def test_an_agent_named_twice_is_stopped_once(vault: Vault) -> None:
    told = await vault.owner("stop", {"agents": ["agent-ada", "agent-ada"]})

    assert told == {"changed": ["Ada"]}
    assert [one.type for one in await vault.verified()] == ["genesis", "stop"]


async def test_a_stop_that_names_one_who_is_not_here_stops_nobody(vault: Vault) -> None:
    assert await rule_of(vault.owner("stop", {"agents": ["agent-ada", "agent-nobody"]})) == "base.agent-unknown"

    assert await stopped(vault) == {"Ada": False, "Eve": False}
    assert len(await vault.answered("e1", "hello")) == 1
    assert [one.type for one in await vault.verified()] == ["genesis", "intent"]


async def test_a_stop_that_found_the_disk_full_has_not_happened_and_can_be_asked_again(vault: Vault) -> None:
    (pages,) = vault.core.db.execute("PRAGMA page_count").fetchone()
    vault.core.db.execute(f"PRAGMA max_page_count={pages}")
    failed = 0
    for number in range(60):
        try:
            await vault.owner(("stop", "resume")[number % 2], {"agents": ["agent-ada"]})
        except Unavailable:
            failed += 1

        assert (await stopped(vault))["Ada"] == (await last_leaf(vault, "agent-ada") == "stop")
    vault.core.db.execute(f"PRAGMA max_page_count={pages + 1000}")
    await vault.owner("stop")

    assert failed
    assert await stopped(vault) == {"Ada": True, "Eve": True}
    assert [(await vault.verified(agent))[-1].type for agent in ("agent-ada", "agent-eve")] == ["stop", "stop"]


# -- backups


async def test_a_backup_has_a_key_of_its_own_that_every_life_of_the_vault_gives_its_owner_again(tmp_path: Path) -> None:
    one, other = {"salt": "1a" * 32}, {"salt": "2b" * 32}
    async with vault_at(tmp_path) as vault:
        first = await vault.owner("backup.key", one)
        second = await vault.owner("backup.key", other)
        roots = [await vault.core.ring.seal_root(), *(await vault.core.ring.backup_key(bytes(32)))]
    async with vault_at(tmp_path) as vault:
        again = await vault.owner("backup.key", one)

    assert first == again
    told = {first["key"], first["check"], second["key"], second["check"]}
    assert len(told) == 4
    assert not told & {root.hex() for root in roots}


@pytest.mark.parametrize("salt", ["", "1a", "1A" * 32, "zz" * 32, "1a" * 33])
async def test_a_backups_salt_is_32_bytes(vault: Vault, salt: str) -> None:
    with pytest.raises(Malformed, match="salt: expected 32 bytes in lower-case hex"):
        await vault.owner("backup.key", {"salt": salt})


async def test_nobody_but_the_owner_may_ask_for_a_backups_key(vault: Vault, tmp_path: Path) -> None:
    stranger = envelope(Owner(tmp_path / "stranger-key"), LATER, "backup.key", {"salt": "1a" * 32})

    assert await rule_of(send(vault, stranger)) == "owner.key-unknown"
    assert not any("backup.key" in methods for methods in vault.methods.values())


async def test_a_restored_log_says_so_in_an_epoch_past_all_that_are_known(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada"), config("Eve")) as vault:
        await vault.answered("e1", "hello")
        (ada,) = [one for one in (await vault.public("agents"))["agents"] if one["name"] == "Ada"]
        root = vault.core.log.root(ada["log"]).hex()
        told = await vault.owner("restored", {"taken": 5, "epochs": {ada["key_id"]: 40}, "vault_epoch": 9})
        last, of_eve = [(await vault.verified(agent))[-1] for agent in ("agent-ada", "agent-eve")]
        held = vault.core.db.execute("SELECT epoch, state FROM epochs WHERE key_id=? ORDER BY epoch", (ada["key_id"],))
        epochs = held.fetchall()
    async with vault_at(tmp_path, config("Ada")) as vault:
        after = (await vault.verified())[-1]
        (vault_epoch,) = vault.core.db.execute("SELECT epoch FROM machine").fetchone()

    assert [one["epoch"] for one in told["agents"]] == [41, 2]
    assert isinstance(last, leaf.Restored)
    assert (last.epoch, last.size, last.root, last.taken) == (41, 2, root, 5)
    assert isinstance(of_eve, leaf.Restored)
    assert (of_eve.epoch, of_eve.size) == (2, 1)
    assert epochs == [(1, "lost"), (41, "held")]
    assert (after.type, after.epoch) == ("epoch", 42)
    assert vault_epoch == 10
