"""The base policy: what may leave when nobody has said more. Pure: facts in, a refusal or nothing out.

Every rule has a public name; a refusal carries it, so that anyone can look up why.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from teehee.errors import Refused
from teehee.evidence import canonical
from teehee.wire import strict
from teehee.wire.messages import Part, Submission

REPLY_VERBS = {"web": "web.reply", "terminal": "terminal.reply"}  # an event's source decides the verb
VALUE_PREFIXES = ("evm.", "solana.")
LABELS = ("memory", "stranger", "principal", "owner")  # from least to most trusted


@dataclass(frozen=True, slots=True)
class Policy:
    """What an agent may do. The defaults let it talk, and nothing else."""

    replies_per_room_minute: int = 60
    parts_per_reply: int = 4
    text_limit: int = 4000
    posts_per_day: Mapping[str, int] = field(default_factory=dict)  # verb -> cap; empty: never unprompted

    @property
    def hash(self) -> str:
        return hashlib.sha256(canonical.canonical(asdict(self))).hexdigest()


def parse(value: Any) -> Policy:
    """A policy from its JSON form; unknown keys are refused."""
    return strict.parse(Policy, value, "policy")


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What the vault knows of the event an intent wants to answer."""

    room: str
    answered: bool


def check(policy: Policy, submission: Submission, event: Witnessed | None, *, stopped: bool) -> None:
    """Raises Refused with the first rule that says no."""
    if stopped:
        raise Refused("base.stopped", "this agent was stopped by its owner")
    _check_label(submission.label)
    if not submission.parts:
        raise Refused("base.empty", "a submission needs at least one part")
    if len(submission.parts) > policy.parts_per_reply:
        raise Refused("base.too-many-parts", f"{len(submission.parts)} parts, at most {policy.parts_per_reply}")
    for part in submission.parts:
        _check_part(policy, part)
    if submission.event:
        _check_reply(submission, event)
    else:
        _check_post(policy, submission)


def rule_of(submission: Submission) -> str:
    """The rule that lets a submission through which `check` has not refused."""
    return "base.reply" if submission.event else "base.scheduled-post"


def _check_label(label: str) -> None:
    if label not in LABELS:
        raise Refused("base.label-unknown", f"no label {label[:32]!r}; known are {', '.join(LABELS)}")
    if LABELS.index(label) > LABELS.index("stranger"):
        raise Refused("base.label-raised", f"the mind may lower trust, not raise it to {label!r}")


def _check_part(policy: Policy, part: Part) -> None:
    if part.verb.startswith(VALUE_PREFIXES):
        raise Refused("base.value-verb", f"no value verb is granted, so {part.verb[:64]!r} is denied")
    if part.verb not in REPLY_VERBS.values() and part.verb not in policy.posts_per_day:
        raise Refused("base.verb-unknown", f"no verb {part.verb[:64]!r} in this policy")
    if not part.text.strip():
        raise Refused("base.empty", "a part without text says nothing")
    if len(part.text) > policy.text_limit:
        raise Refused("base.text-too-long", f"{len(part.text)} characters, at most {policy.text_limit}")


def _check_reply(submission: Submission, event: Witnessed | None) -> None:
    if event is None:
        raise Refused("base.event-not-witnessed", "nobody witnessed the event this wants to answer")
    if event.answered:
        raise Refused("base.already-answered", "this event has its answer")
    for part in submission.parts:
        if part.verb != REPLY_VERBS.get(submission.source):
            raise Refused(
                "base.verb-source", f"{part.verb[:64]!r} does not answer events of {submission.source[:32]!r}"
            )
        if part.room != event.room:
            raise Refused("base.room-mismatch", "a reply goes into the room of its event and no other")


def _check_post(policy: Policy, submission: Submission) -> None:
    if not submission.key:
        raise Refused("base.key-missing", "an unprompted post needs a key of its own, so that it is posted once")
    for part in submission.parts:
        if part.verb not in policy.posts_per_day:
            raise Refused("base.unprompted", f"no schedule in the character allows {part.verb[:64]!r} unprompted")
