"""Checks a receipt: that what left was in a signed, append-only log, and that its words are these.

Steps: 1 the checkpoint's signature holds for the log's key · 2 every leaf is in the signed tree · 3 the first leaf
is the intent of this effect, any other its outcome · 4 the text and salt open the intent's payload commitment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teehee.errors import VerificationError
from teehee.evidence import checkpoint, leaf, merkle

Json = Any


@dataclass(frozen=True, slots=True)
class Checked:
    """What a receipt has shown: the effect, its leaves' indices, how it ended ("" while open), the tree's size."""

    effect: str
    intent_index: int
    outcome_index: int | None
    state: str
    size: int


def verify(receipt: Mapping[str, Json], *, text: str | None = None, salt: str = "") -> Checked:
    """What `receipt` proves. Raises VerificationError naming the step that failed."""
    if missing := {"effect", "origin", "key", "checkpoint", "leaves"} - receipt.keys():
        raise VerificationError("receipt.1", f"the receipt is malformed: it lacks {', '.join(sorted(missing))}")
    head = _signed_head(receipt)
    leaves = [(int(item["index"]), _included(item, head)) for item in receipt["leaves"]]
    intent_index, intent = leaves[0] if leaves else (0, None)
    if not isinstance(intent, leaf.Intent) or intent.effect != receipt["effect"]:
        raise VerificationError("receipt.3", f"the first leaf is not the intent of effect {receipt['effect']!r}")
    outcome_index, outcome = leaves[1] if len(leaves) == 2 else (None, None)
    if len(leaves) > 2 or (outcome is not None and not _ends(outcome, intent, outcome_index, intent_index)):
        raise VerificationError("receipt.3", "the second leaf is not the outcome of this effect")
    if text is not None and leaf.commit("payload", bytes.fromhex(salt), text.encode()) != intent.payload:
        raise VerificationError("receipt.4", "this text and salt do not open the payload commitment")
    state = outcome.state if isinstance(outcome, leaf.Outcome) else ""
    return Checked(intent.effect, intent_index, outcome_index, state, head.size)


def verify_forgotten(receipt: Mapping[str, Json]) -> int:
    """The index of the leaf which says that the person of `receipt` was forgotten.

    Raises VerificationError naming the step that failed: 1 and 2 as above, 3 the leaf is of that kind, 4 the salt opens
    its commitment to this person.
    """
    if missing := {"origin", "key", "checkpoint", "leaves", "person", "salt"} - receipt.keys():
        raise VerificationError("receipt.1", f"the receipt is malformed: it lacks {', '.join(sorted(missing))}")
    head = _signed_head(receipt)
    leaves = [(int(item["index"]), _included(item, head)) for item in receipt["leaves"]]
    index, said = leaves[0] if len(leaves) == 1 else (0, None)
    if not isinstance(said, leaf.Forget):
        raise VerificationError("receipt.3", "the one leaf of this receipt does not say that somebody was forgotten")
    if leaf.commit("person", bytes.fromhex(receipt["salt"]), receipt["person"].encode()) != said.person:
        raise VerificationError("receipt.4", "this person and salt do not open the leaf's commitment")
    return index


def _signed_head(receipt: Mapping[str, Json]) -> checkpoint.Checkpoint:
    try:
        vkey = checkpoint.vkey(receipt["origin"], bytes.fromhex(receipt["key"]))
        return checkpoint.verify(receipt["checkpoint"], vkey)
    except (TypeError, ValueError) as error:
        raise VerificationError("receipt.1", f"the receipt is malformed: {error!r}") from error


def _included(item: Mapping[str, Json], head: checkpoint.Checkpoint) -> leaf.Leaf:
    try:
        data, index = item["leaf"].encode(), item["index"]
        proof = [bytes.fromhex(node) for node in item["proof"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VerificationError("receipt.2", f"the receipt is malformed: {error!r}") from error
    merkle.verify_inclusion(merkle.leaf_hash(data), index, head.size, proof, head.root)
    return leaf.parse(data)


def _ends(outcome: leaf.Leaf, intent: leaf.Intent, outcome_index: int | None, intent_index: int) -> bool:
    return (
        isinstance(outcome, leaf.Outcome)
        and outcome.effect == intent.effect
        and outcome.agent == intent.agent
        and outcome_index is not None
        and outcome_index > intent_index
    )
