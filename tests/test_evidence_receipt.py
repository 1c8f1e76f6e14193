"""Receipts: what one proves, and that nothing in it can be changed."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teehee.errors import VerificationError
from teehee.evidence import receipt
from teehee.vault.core import Core
from teehee.vault.public_door import PublicDoor
from teehee.wire.boot import VaultBoot
from teehee.wire.messages import AgentConfig, Effect, Outcome, Part, Submission, Witness

Json = Any
AGENT = "00000000-0000-0000-0000-00000000000a"
TEXT = "The light is on."


class Said:
    """A real vault in which three things were said and delivered; the second is looked at."""

    def __init__(self, core: Core, effect: Effect, found: Json) -> None:
        self.core, self.effect, self.receipt = core, effect, found


@pytest.fixture
async def said(tmp_path: Path) -> AsyncIterator[Said]:
    core = await Core.open(VaultBoot(str(tmp_path), str(tmp_path), ()))
    config = AgentConfig("slot", AGENT, "Wren", "0" * 64)
    (agent,) = await core.identities.admit([config])
    await core.commit.run(lambda: core.identities.write(agent, config))
    effects = [await _say(core, f"event{number}") for number in range(3)]
    found = await PublicDoor(core).receipt({"effect": effects[1].id})
    yield Said(core, effects[1], found)
    core.close()


async def _say(core: Core, event: str) -> Effect:
    def act() -> Effect:
        core.ledger.witness(Witness(AGENT, "web", event, "p", "room", "message", "0" * 64), 1)
        effects, _ = core.ledger.submit(Submission(AGENT, "web", event, (Part("web.reply", "room", TEXT),)), 2)
        core.ledger.settle(Outcome(effects[0].id, "delivered"), 3)
        return effects[0]

    return await core.commit.run(act)


async def test_a_receipt_shows_intent_outcome_and_words(said: Said) -> None:
    checked = receipt.verify(said.receipt, text=TEXT, salt=said.effect.salt)

    assert checked.effect == said.effect.id
    assert checked.state == "delivered"
    assert (checked.intent_index, checked.outcome_index, checked.size) == (2, 3, 6)


async def test_other_words_do_not_open_the_commitment(said: Said) -> None:
    with pytest.raises(VerificationError, match=r"receipt\.4"):
        receipt.verify(said.receipt, text="The light is off.", salt=said.effect.salt)


@pytest.mark.parametrize("part", ["origin", "key", "checkpoint", "effect"])
async def test_a_changed_part_is_refused(said: Said, part: str) -> None:
    forged = copy.deepcopy(said.receipt)
    old = forged[part]
    forged[part] = ("0" if old[0] != "0" else "1") + old[1:]

    with pytest.raises(VerificationError):
        receipt.verify(forged)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("part", ["leaf", "index", "proof"])
async def test_a_changed_leaf_index_or_path_is_refused(said: Said, number: int, part: str) -> None:
    forged = copy.deepcopy(said.receipt)
    item = forged["leaves"][number]
    changed = {
        "leaf": item["leaf"].replace('"at":', '"at":1'),
        "index": item["index"] + 1,
        "proof": item["proof"][:-1],
    }
    item[part] = changed[part]

    with pytest.raises(VerificationError):
        receipt.verify(forged)


async def test_the_outcome_of_another_effect_is_refused(said: Said) -> None:
    other = await PublicDoor(said.core).receipt({"effect": (await _say(said.core, "event9")).id})
    mine = await PublicDoor(said.core).receipt({"effect": said.effect.id})
    mine["leaves"][1] = other["leaves"][1]

    with pytest.raises(VerificationError, match=r"receipt\.3"):
        receipt.verify(mine)


@pytest.mark.parametrize("part", ["effect", "origin", "key", "checkpoint", "leaves"])
async def test_a_receipt_that_lacks_a_part_is_refused(said: Said, part: str) -> None:
    forged = copy.deepcopy(said.receipt)
    del forged[part]

    with pytest.raises(VerificationError, match="malformed"):
        receipt.verify(forged)
