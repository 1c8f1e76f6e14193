"""The base policy: what may leave when nobody has said more. Pure: facts in, a refusal or nothing out.

Every rule has a public name; a refusal carries it, so that anyone can look up why.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from teehee.errors import Refused
from teehee.evidence import canonical
from teehee.wire import strict
from teehee.wire.messages import ANYONE, ASKER, CHOICE, COMMAND, MESSAGE, OWNER, SCHEDULE, Part, Submission

REPLY_VERBS = {"web": ("web.reply",), "terminal": ("terminal.reply",)}  # an event's source decides the verbs
VALUE_PREFIXES = ("evm.", "solana.")
LABELS = ("memory", "stranger", "principal", "owner")  # from least to most trusted
ANSWERS = {"mind": (MESSAGE, CHOICE, SCHEDULE), "gate": (COMMAND,)}  # who may answer which kinds of events
MOST_CHOICES, LONGEST_CHOICE = 8, 40
SOURCE = re.compile(r"[a-z][a-z0-9_]{1,31}")
PRINCIPAL = re.compile(r"[a-z]{1,32}:[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What an agent may do. The defaults let it talk, and nothing else.

    `verbs` are message verbs of plugins by the source whose events they answer. `owners` are platform ids of people
    who may stop the agent from there.
    """

    replies_per_room_minute: int = 60
    parts_per_reply: int = 4
    text_limit: int = 4000
    posts_per_day: Mapping[str, int] = field(default_factory=dict)  # verb -> cap; empty: never unprompted
    verbs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    owners: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        return hashlib.sha256(canonical.canonical(asdict(self))).hexdigest()

    def answering(self, source: str) -> tuple[str, ...]:
        """The verbs that may answer an event of this source."""
        return REPLY_VERBS.get(source) or self.verbs.get(source, ())

    def knows(self, verb: str) -> bool:
        return verb in self.posts_per_day or any(
            verb in verbs for verbs in (*REPLY_VERBS.values(), *self.verbs.values())
        )


def parse(value: Any) -> Policy:
    """A policy from its JSON form. Raises Malformed for unknown keys, and for verbs that are not their source's own."""
    policy: Policy = strict.parse(Policy, value, "policy")
    for source, verbs in policy.verbs.items():
        if not SOURCE.fullmatch(source) or source in REPLY_VERBS or f"{source}." in VALUE_PREFIXES:
            raise strict.Malformed(f"policy.verbs: {source[:32]!r} is no source of a plugin's")
        if any(not verb.startswith(f"{source}.") for verb in verbs):
            raise strict.Malformed(f"policy.verbs.{source}: its verbs begin with '{source}.'")
    for owner in policy.owners:
        if not PRINCIPAL.fullmatch(owner):
            raise strict.Malformed(f"policy.owners: expected a platform id such as 'telegram:1234', got {owner[:64]!r}")
    return policy


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What the vault knows of the event an intent wants to answer."""

    room: str
    answered: bool
    principal: str = ""
    kind: str = MESSAGE
    is_quiet: bool = False  # the chat's own people asked for silence there


def check(
    policy: Policy, submission: Submission, event: Witnessed | None, *, stopped: bool, by: str = "mind"
) -> None:  # fmt: skip
    """Raises Refused with the first rule that says no. `by` is the process that asks."""
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
        _check_reply(policy, submission, event, by)
    else:
        _check_post(policy, submission)


def rule_of(submission: Submission) -> str:
    """The rule that lets a submission through which `check` has not refused."""
    return "base.reply" if submission.event else "base.scheduled-post"


def may_press(policy: Policy, who: str, principal: str, asker: str) -> bool:
    """May this person press a button that is there for `who`?"""
    return who == ANYONE or (who == ASKER and principal == asker) or (who == OWNER and principal in policy.owners)


def _check_label(label: str) -> None:
    if label not in LABELS:
        raise Refused("base.label-unknown", f"no label {label[:32]!r}; known are {', '.join(LABELS)}")
    if LABELS.index(label) > LABELS.index("stranger"):
        raise Refused("base.label-raised", f"the mind may lower trust, not raise it to {label!r}")


def _check_part(policy: Policy, part: Part) -> None:
    if part.verb.startswith(VALUE_PREFIXES):
        raise Refused("base.value-verb", f"no value verb is granted, so {part.verb[:64]!r} is denied")
    if not policy.knows(part.verb):
        raise Refused("base.verb-unknown", f"no verb {part.verb[:64]!r} in this policy")
    if not part.text.strip():
        raise Refused("base.empty", "a part without text says nothing")
    if len(part.text) > policy.text_limit:
        raise Refused("base.text-too-long", f"{len(part.text)} characters, at most {policy.text_limit}")
    if len(part.choices) > MOST_CHOICES or any(not 0 < len(label.strip()) <= LONGEST_CHOICE for label in part.choices):
        raise Refused("base.choices", f"at most {MOST_CHOICES} choices, of 1 to {LONGEST_CHOICE} characters each")
    if part.who not in (ANYONE, ASKER, OWNER):
        raise Refused("base.choices", f"nobody {part.who[:32]!r} may choose; known are {ANYONE}, {ASKER}, {OWNER}")


def _check_reply(policy: Policy, submission: Submission, event: Witnessed | None, by: str) -> None:
    if event is None:
        raise Refused("base.event-not-witnessed", "nobody witnessed the event this wants to answer")
    if event.answered:
        raise Refused("base.already-answered", "this event has its answer")
    if event.kind not in ANSWERS[by]:
        raise Refused("base.kind", f"the {by} does not answer an event of kind {event.kind[:32]!r}")
    if event.is_quiet and by == "mind":
        raise Refused("base.quiet-chat", "an admin of this chat asked for silence there")
    for part in submission.parts:
        if part.verb not in policy.answering(submission.source):
            raise Refused(
                "base.verb-source", f"{part.verb[:64]!r} does not answer events of {submission.source[:32]!r}"
            )
        if part.room != event.room:
            raise Refused("base.room-mismatch", "a reply goes into the room of its event and no other")
        if event.kind == SCHEDULE and part.verb not in policy.posts_per_day:
            raise Refused("base.unprompted", f"no schedule in the character allows {part.verb[:64]!r} unprompted")


def _check_post(policy: Policy, submission: Submission) -> None:
    if not submission.key:
        raise Refused("base.key-missing", "an unprompted post needs a key of its own, so that it is posted once")
    for part in submission.parts:
        if part.verb not in policy.posts_per_day:
            raise Refused("base.unprompted", f"no schedule in the character allows {part.verb[:64]!r} unprompted")
