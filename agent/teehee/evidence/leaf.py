"""The leaves of the action log: what an agent meant to do, what came of it, and who stopped it.

A leaf is one flat object of canonical JSON, shown here on two lines:

    {"agent":"ada-7f3c","at":1767225600000,"detail":"","effect":"0b1c5a52-6ff2-4a67-9d3b-0c4f7a1f6f10","epoch":3,
     "state":"delivered","type":"outcome","v":1}

The log is public and never forgets, so what people said or whom they said it to is not in it: `room`, `event` and
`payload` are salted commitments, and forgetting destroys the salt. That somebody was forgotten is a leaf too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, ClassVar

from teehee.errors import VerificationError
from teehee.evidence import canonical
from teehee.evidence.canonical import Record, named, text, whole

VERSION = 1
MAX_LEAF_BYTES = 32_768
MIN_SALT_BYTES = 16

Count = Annotated[int, whole]
Millis = Annotated[int, whole]
Digest = Annotated[str, text("64 lower-case hex digits", r"[0-9a-f]{64}")]
DigestOrNone = Annotated[str, text("64 lower-case hex digits, or nothing", r"(?:[0-9a-f]{64})?")]
# Part of key paths (teehee/v1/<key id>/...) and of log origins, so no slash, space or plus.
KeyId = Annotated[str, text("a key id of 1 to 64 letters, digits, '.', '_' or '-'", r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")]
Name = text("a name of 1 to 128 letters, digits and any of '._:/-'", r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
# 32 bytes for Ed25519 and X25519, 33 or 65 for secp256k1, 91 for a P-256 key with its algorithm.
PublicKey = text("a public key of 32 to 128 bytes in lower-case hex", r"(?:[0-9a-f]{2}){32,128}")
OwnerName = Annotated[
    str,
    text(
        "an owner's public key in lower-case hex, or the platform id of one the policy names",
        r"(?:[0-9a-f]{2}){32,128}|[a-z]{1,32}:[0-9]{1,20}",
    ),
]
PublicKeys = Annotated[Mapping[str, str], named(Name, PublicKey)]
Uuid = Annotated[str, text("a lower-case UUID", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")]
Verb = Annotated[str, text("a verb such as 'telegram.send_message'", r"(?=.{3,64}\Z)[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+")]
State = Annotated[str, text("'delivered', 'failed', 'unknown' or 'expired'", r"delivered|failed|unknown|expired")]
Detail = Annotated[str, text("at most 64 printable ASCII characters without spaces", r"[!-~]{0,64}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common(Record):
    type: ClassVar[str]

    agent: KeyId
    at: Millis
    epoch: Count

    def encode(self) -> bytes:
        """The bytes that are hashed into the log."""
        return canonical.canonical({"v": VERSION, "type": self.type, **self.members()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent(_Common):
    """The vault has decided to let this effect out. `event` is empty when nobody asked for it."""

    type: ClassVar[str] = "intent"

    effect: Uuid
    verb: Verb
    room: Digest
    event: DigestOrNone
    payload: Digest
    policy: Digest
    budget: Annotated[str, Name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(_Common):
    """What became of the effect; `detail` is a short code, such as the platform's."""

    type: ClassVar[str] = "outcome"

    effect: Uuid
    state: State
    detail: Detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(_Common):
    """An owner halted the agent: by a signed request of this sequence number, or by a witnessed word (0)."""

    type: ClassVar[str] = "stop"

    by: OwnerName
    seq: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(_Common):
    """An owner let the agent go on."""

    type: ClassVar[str] = "resume"

    by: OwnerName
    seq: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(_Common):
    """From here on this policy rules."""

    type: ClassVar[str] = "policy"

    policy: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch(_Common):
    """A new run of the vault took the log over, with these keys and this package."""

    type: ClassVar[str] = "epoch"

    keys: PublicKeys
    package: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis(_Common):
    """The first leaf: the agent is born with these keys and this package."""

    type: ClassVar[str] = "genesis"

    keys: PublicKeys
    package: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget(_Common):
    """A person asked to be forgotten: their key, and what was kept of so many effects, is destroyed.

    `person` is a commitment whose salt was given to them and to nobody else.
    """

    type: ClassVar[str] = "forget"

    effects: Count
    person: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(_Common):
    """The log goes on from a backup taken at `taken`, which held `size` leaves under `root`.

    What was signed after that backup is not in this history: whoever holds such a signature can show it.
    """

    type: ClassVar[str] = "restored"

    size: Count
    root: Digest
    taken: Millis


Leaf = Intent | Outcome | Stop | Resume | Policy | Epoch | Genesis | Restored | Forget

_KINDS: tuple[type[Leaf], ...] = (Intent, Outcome, Stop, Resume, Policy, Epoch, Genesis, Restored, Forget)
_TYPES: dict[str, type[Leaf]] = {cls.type: cls for cls in _KINDS}


def parse(data: bytes) -> Leaf:
    """The leaf these bytes are.

    1. They are canonical JSON (steps json.1 to json.8): an object.
    2. The version is 1.
    3. The type is known.
    4. It has the keys of its type and no others, each with a fitting value (steps record.2 to record.4).
    """
    members = canonical.loads_canonical(data, limit=MAX_LEAF_BYTES)
    if type(members) is not dict:  # 1
        raise VerificationError("leaf.1", f"expected a JSON object, got a {type(members).__name__}")
    version, kind = members.pop("v", None), members.pop("type", None)
    if type(version) is not int or version != VERSION:  # 2
        raise VerificationError("leaf.2", f"'v': expected {VERSION}, got {version!r:.64}")
    if type(kind) is not str or kind not in _TYPES:  # 3
        raise VerificationError("leaf.3", f"'type': expected one of {', '.join(_TYPES)}, got {kind!r:.64}")
    return _TYPES[kind].read(members)  # 4


def commit(label: str, salt: bytes, data: bytes) -> str:
    """The hex commitment to `data`: whoever holds salt and data can open it, nobody can guess it.

    SHA-256 over `teehee/commit/v1`, a zero byte, then label (UTF-8), salt and data, each after its length as 8 bytes,
    big-endian. Raises ValueError for a salt under 16 bytes: a short text could then be found by trying.
    """
    if len(salt) < MIN_SALT_BYTES:
        raise ValueError(f"a salt has at least {MIN_SALT_BYTES} bytes, got {len(salt)}")
    digest = sha256(b"teehee/commit/v1\x00")
    for part in (label.encode(), salt, data):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()
