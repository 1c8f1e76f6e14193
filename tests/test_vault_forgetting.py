"""Forgetting a person in the vault: their key and rows go, the log stays whole and says so."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teehee.errors import VerificationError
from teehee.evidence import leaf, receipt
from vaults import Vault, config, reply, rule_of, vault_at, witness

Json = Any
SAM, KIM = "web:sam-canary-4b1f", "web:kim-canary-9c2e"


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with vault_at(tmp_path, config("Ada"), config("Eve")) as one:
        yield one


async def talk(
    vault: Vault, event: str, principal: str, room: str, *texts: str, agent: str = "agent-ada"
) -> list[Json]:
    """Somebody says something and is answered; gives the effects."""
    await vault.gate("event.witness", witness(event, principal=principal, room=room, agent=agent))
    return await vault.submit(reply(event, *(texts or ("hello",)), room=room, agent=agent))


async def forget(vault: Vault, principal: str, agent: str = "agent-ada") -> Json:
    return await vault.gate("person.forget", {"agent": agent, "principal": principal})


def raw(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.glob("vault.db*")))


async def told(vault: Vault, room: str, agent: str = "agent-ada") -> list[str]:
    found = await vault.gate("effect.in_room", {"agent": agent, "room": room})
    return [effect["text"] for effect in found["effects"]]


async def test_nothing_of_a_forgotten_person_is_left_in_any_file(vault: Vault, tmp_path: Path) -> None:
    for number in range(40):
        (effect, *_) = await talk(vault, f"event-canary-{number}", SAM, f"dm:{SAM}", f"words-canary-{number} " * 40)
        if number % 2:
            await vault.gate("effect.outcome", {"id": effect["id"], "state": "delivered"})
    assert b"sam-canary" in raw(tmp_path)

    await forget(vault, SAM)

    assert b"canary" not in raw(tmp_path)
    assert (tmp_path / "vault.db-wal").stat().st_size == 0


async def test_an_answer_is_sealed_under_a_key_of_its_person_which_goes(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room", "for sam")
    (cell,) = vault.core.db.execute("SELECT payload FROM effects").fetchone()
    (person,) = vault.core.db.execute("SELECT person FROM people WHERE principal=?", (SAM,)).fetchone()
    effect = (await vault.gate("effect.for_event", {"agent": "agent-ada", "source": "web", "event": "e1"}))["effects"][
        0
    ]
    opened = vault.core.people.seal(person).open("effects", effect["id"], 1, cell)

    await forget(vault, SAM)

    assert opened == b"for sam"
    assert vault.core.db.execute("SELECT COUNT(*) FROM people").fetchone() == (0,)


async def test_others_in_the_same_room_keep_their_answers(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "lobby", "to sam")
    await talk(vault, "e2", KIM, "lobby", "to kim")

    await forget(vault, SAM)

    assert await told(vault, "lobby") == ["to kim"]


async def test_a_person_met_after_another_was_forgotten_gets_a_key_of_their_own(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "a", "to sam")
    await forget(vault, SAM)

    await talk(vault, "e2", KIM, "b", "to kim")

    assert await told(vault, "b") == ["to kim"]


async def test_one_agent_forgets_and_the_other_does_not(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room", "from ada")
    await talk(vault, "e1", SAM, "room", "from eve", agent="agent-eve")

    await forget(vault, SAM)

    assert await told(vault, "room") == []
    assert await told(vault, "room", "agent-eve") == ["from eve"]


async def test_the_log_goes_on_verifying_and_says_that_somebody_was_forgotten(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room", "one", "two")
    before = await vault.verified()

    await forget(vault, SAM)

    after = await vault.verified()
    expired, last = after[len(before) : -1], after[-1]
    assert after[: len(before)] == before
    assert [(entry.type, getattr(entry, "detail", "")) for entry in expired] == [("outcome", "forgotten")] * 2
    assert isinstance(last, leaf.Forget)
    assert last.effects == 2


async def test_an_old_receipt_says_forgotten_and_still_verifies(vault: Vault) -> None:
    (effect,) = await talk(vault, "e1", SAM, "room", "said to sam")
    await vault.gate("effect.outcome", {"id": effect["id"], "state": "delivered"})
    before = await vault.public("receipt", {"effect": effect["id"]})

    await forget(vault, SAM)

    after = await vault.public("receipt", {"effect": effect["id"]})
    assert (before["forgotten_at"], after["forgotten_at"] > 0) == (0, True)
    assert receipt.verify(after, text="said to sam", salt=effect["salt"]).state == "delivered"


async def test_the_person_gets_a_receipt_that_only_they_can_open(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room")

    given = await forget(vault, SAM)

    index = receipt.verify_forgotten(given)
    assert isinstance((await vault.verified())[index], leaf.Forget)
    for wrong in ({"person": KIM}, {"salt": "00" * 16}):
        with pytest.raises(VerificationError) as caught:
            receipt.verify_forgotten({**given, **wrong})
        assert caught.value.step == "receipt.4"


async def test_a_receipt_of_an_answer_is_none_of_forgetting(vault: Vault) -> None:
    (effect,) = await talk(vault, "e1", SAM, "room")
    found = await vault.public("receipt", {"effect": effect["id"]})

    with pytest.raises(VerificationError) as caught:
        receipt.verify_forgotten({**found, "person": SAM, "salt": effect["salt"]})

    assert caught.value.step == "receipt.3"


async def test_forgetting_a_stranger_or_twice_leaves_no_leaf(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room")
    await forget(vault, SAM)
    before = await vault.verified()

    assert await forget(vault, SAM) == {}
    assert await forget(vault, KIM) == {}
    assert await vault.verified() == before


async def test_what_was_due_to_them_is_not_delivered_any_more(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room", "on its way")

    await forget(vault, SAM)

    assert (await vault.gate("effect.due"))["effects"] == []


async def test_a_turn_that_was_under_way_can_say_nothing_any_more(vault: Vault) -> None:
    await vault.gate("event.witness", witness("e1", principal=SAM))

    await forget(vault, SAM)

    assert await rule_of(vault.submit(reply("e1"))) == "base.event-not-witnessed"


async def test_a_message_sent_again_after_forgetting_is_not_answered_twice(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room", "once")
    await forget(vault, SAM)
    await vault.gate("event.witness", witness("e1", principal=SAM))

    assert await rule_of(vault.submit(reply("e1", "twice"))) == "base.forgotten"


async def test_only_the_gate_may_ask_for_it(vault: Vault) -> None:
    offered = {role for role, methods in vault.methods.items() if "person.forget" in methods}

    assert offered == {"gate"}


async def test_forgetting_that_fails_half_way_leaves_everything(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    await talk(vault, "e1", SAM, "room", "still here")

    def fail(*_: object) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(vault.core.people, "destroy", fail)  # a fault at the last step, which no input can bring about
    with pytest.raises(RuntimeError):
        await forget(vault, SAM)

    assert await told(vault, "room") == ["still here"]


async def test_a_room_of_their_own_keeps_no_budget_row(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "dm:sam")
    await talk(vault, "e2", SAM, "lobby")
    await talk(vault, "e3", KIM, "lobby")

    await forget(vault, SAM)

    names = [name for (name,) in vault.core.db.execute("SELECT name FROM budgets")]
    assert names == ["replies/lobby"]


async def test_what_was_sealed_before_people_had_keys_is_forgotten_too(vault: Vault) -> None:
    (effect,) = await talk(vault, "e1", SAM, "room", "old words")
    old = vault.core.ledger.seal.seal("effects", effect["id"], 1, b"old words")
    vault.core.db.execute("UPDATE effects SET person=NULL, payload=?", (old,))
    assert await told(vault, "room") == ["old words"]

    await forget(vault, SAM)

    assert await told(vault, "room") == []
    assert vault.core.db.execute("SELECT payload FROM effects").fetchone() == (b"",)


async def test_what_answered_events_long_let_go_of_is_forgotten_too(vault: Vault) -> None:
    await talk(vault, "e1", SAM, "room", "said long ago")
    vault.core.db.execute("DELETE FROM events")

    given = await forget(vault, SAM)

    assert given["effects"] == 1
    assert await told(vault, "room") == []
