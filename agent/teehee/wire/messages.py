"""The messages themselves: what the gate witnesses, what the mind asks for, what left and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any

DELIVERED, FAILED, UNKNOWN, EXPIRED = "delivered", "failed", "unknown", "expired"
OUTCOMES = frozenset({DELIVERED, FAILED, UNKNOWN, EXPIRED})
# What kinds of events there are: who may answer them is policy (vault/policy.py). Those not named here have no answer.
MESSAGE, CHOICE, SCHEDULE = "message", "choice", "schedule"  # the mind answers
COMMAND = "command"  # the gate answers, in code
HEARD, EDIT, REACTION, MOVED = UNANSWERED = "heard", "edit", "reaction", "moved"  # remembered only
ANYONE, ASKER, OWNER = "anyone", "asker", "owner"  # who may press a button
ABOUT = "x-teehee-message"  # the header that says for which message the mind asks a model


def flat(message: Any) -> dict[str, Json]:
    """A message of plain fields as JSON; `dataclasses.asdict` would copy every string on the hot path."""
    return {name: getattr(message, name) for name in message.__slots__}


@dataclass(frozen=True, slots=True)
class Witness:
    """The gate saw this event arrive; only such a row can give the mind a right to answer.

    `event` is the platform's own id, unique per agent and source. `principal` is a numeric platform id or a
    key hash, never a display name. `digest` is the hex SHA-256 of the event's text.
    """

    agent: str
    source: str
    event: str
    principal: str
    room: str
    kind: str
    digest: str


@dataclass(frozen=True, slots=True)
class Event:
    """An inbound event as the mind receives it. `at` is milliseconds since 1970, by the gate's clock."""

    agent: str
    source: str
    event: str
    principal: str
    room: str
    kind: str
    text: str
    at: int
    name: str = ""  # a display name: data for the prompt, never authority
    room_type: str = "DM"  # Eliza's ChannelType
    message: str = ""  # the platform's own name of the message, where an event is about one that may come again
    content: Mapping[str, Json] = field(default_factory=dict, hash=False)  # more of Eliza's Content

    def to_json(self) -> dict[str, Json]:
        told = flat(self)
        if not self.content:
            del told["content"]
        return told


@dataclass(frozen=True, slots=True)
class Part:
    """One platform call the mind asks for. `choices` are buttons under the text, `who` may press them."""

    verb: str
    room: str
    text: str
    choices: tuple[str, ...] = ()
    who: str = ASKER


@dataclass(frozen=True, slots=True)
class Submission:
    """All that one turn wants to leave, as one intent per part, committed together or not at all.

    `event` is empty for an unprompted post, which then needs its own `key`. `label` is where the mind says
    the words come from; it can lower trust only.
    """

    agent: str
    source: str
    event: str
    parts: tuple[Part, ...]
    key: str = ""
    label: str = "stranger"


@dataclass(frozen=True, slots=True)
class Effect:
    """A committed intent: what may leave, its place in the log, how it stands.

    `salt` (hex) opens the leaf's commitments: whoever has it and the text can check that this was said.
    """

    id: str
    seq: int
    agent: str
    source: str
    event: str
    part: int
    verb: str
    room: str
    text: str
    leaf: int
    at: int
    state: str
    salt: str
    choices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return flat(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the gate's delivery of one effect ended; `detail` is a short code for people who look it up.

    `reference` is the platform's name of what was sent, so that people can ask for the receipt of it.
    """

    id: str
    state: str
    detail: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What the mind is told of an outcome."""

    id: str
    seq: int
    agent: str
    source: str
    event: str
    state: str

    def to_json(self) -> dict[str, Json]:
        return flat(self)


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that ended with nothing to deliver, so that nobody waits: `code` is one of `notices.NOTICES`."""

    agent: str
    source: str
    event: str
    code: str
    final: bool = True

    def to_json(self) -> dict[str, Json]:
        return flat(self)


@dataclass(frozen=True, slots=True)
class Draft:
    """What the answer to an event reads while it is still being written; "" takes it back. It is not said yet."""

    agent: str
    source: str
    event: str
    text: str

    def to_json(self) -> dict[str, Json]:
        return flat(self)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One agent as its owner configures it. `slot` names its place across renames (its file, its service).

    `salt` is Eliza's WALLET_SECRET_SALT: an agent that has one gets the wallets Eliza's TEE plugin would give it.
    """

    slot: str
    agent: str
    name: str
    package: str
    policy: Mapping[str, Json] = field(default_factory=dict)
    salt: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Configure:
    """What the owner tells the vault at every start."""

    agents: tuple[AgentConfig, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an agent is, pinned at genesis: neither a rename nor a namesake moves its keys."""

    slot: str
    agent: str
    name: str
    key_id: str
    origin: str
    log_key: str
    policy_hash: str
    epoch: int
    stopped: bool
    log: int  # this vault's own number for the agent's log
    minted: bool = False
    package: str = ""  # hash of the character as it was admitted
