"""Who may change an agent's code: the state of its app contract at one block, and what that state is worth.

Nothing is read here. A snapshot is as honest as the node that gave it; what it means is judged by terms of whoever
checks: which chain, which contracts' code they know, how long a change must be public before it can happen.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from teehee.errors import VerificationError
from teehee.evidence import anchors, canonical
from teehee.evidence.canonical import Record, Shape, text, whole
from teehee.evidence.leaf import Count, Digest, DigestOrNone

Json = Any
FORMAT = "teehee/governance/v1"
MAX_FILE_BYTES = 4 << 20
MAX_ROWS = 10_000
DAY_SECONDS = 86_400
NOTICE_SECONDS = 7 * DAY_SECONDS
ANNOUNCED, LOCKED = 3, 4
NOBODY = "0x" + "0" * 40

Address = Annotated[str, text("an address in lower case, 0x first", r"0x[0-9a-f]{40}")]
AddressOrNone = Annotated[str, text("an address in lower case, 0x first, or nothing", r"(?:0x[0-9a-f]{40})?")]
Bytes = Annotated[str, text("at most 64 KiB in lower-case hex", r"(?:[0-9a-f]{2}){0,65536}")]


def _flag(value: Json, where: str) -> Json:
    if type(value) is not bool:
        raise ValueError(f"{where}: expected true or false")
    return value


def _flag_or_none(value: Json, where: str) -> Json:
    return value if value is None else _flag(value, where)


def _seconds(value: Json, where: str) -> Json:
    return value if value is None else whole(value, where)


def _hashes(value: Json, where: str) -> Json:
    if not isinstance(value, list | tuple) or len(value) > MAX_ROWS:
        raise ValueError(f"{where}: expected an array of at most {MAX_ROWS} hashes")
    shape: Shape = text("64 lower-case hex digits", r"[0-9a-f]{64}")
    return tuple(shape(item, f"{where}[{at}]") for at, item in enumerate(value))


def _rows(kind: type[Record]) -> Shape:
    def check(value: Json, where: str) -> Json:
        if not isinstance(value, list | tuple) or len(value) > MAX_ROWS:
            raise ValueError(f"{where}: expected an array of at most {MAX_ROWS} entries")
        return tuple(_row(kind, row, f"{where}[{at}]") for at, row in enumerate(value))

    return check


def _row(kind: type[Record], value: Json, where: str) -> Record:
    if isinstance(value, kind):
        return value
    try:
        return kind.read(value)
    except VerificationError as error:
        raise ValueError(f"{where}: {error}") from None


@dataclass(frozen=True, slots=True)
class Upgrade(Record):
    """The proxy was given this implementation (`Upgraded`)."""

    block: Count
    implementation: Address


@dataclass(frozen=True, slots=True)
class Change(Record):
    """A compose hash was allowed, or no longer (`ComposeHashAdded`, `ComposeHashRemoved`)."""

    block: Count
    compose_hash: Digest
    allowed: Annotated[bool, _flag]


@dataclass(frozen=True, slots=True)
class Announced(Record):
    """A call that the timelock may make from second `ready_at` on, announced `notice` seconds before."""

    target: Address
    data: Bytes
    notice: Count
    ready_at: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Governance(Record):
    """What one node said of an app contract at one block; empty or null is what the contracts there do not have.

    `owner_code_hash` is empty for a plain key, `owner_delay` is `getMinDelay()` in seconds; `history` is every change
    since creation in its order, `allowed` those of its hashes that `allowedComposeHashes` says yes to; `kms…` is of the
    key service's contract, `registered` whether it knows the app.
    """

    format: Annotated[str, text(f"{FORMAT!r}", re.escape(FORMAT))]
    chain_id: Count
    block: Count
    block_hash: Digest
    block_time: Count
    app: Address
    app_code_hash: DigestOrNone = ""
    implementation: AddressOrNone = ""
    implementation_code_hash: DigestOrNone = ""
    upgrades: Annotated[tuple[Upgrade, ...], _rows(Upgrade)] = ()
    owner: AddressOrNone = ""
    owner_code_hash: DigestOrNone = ""
    owner_delay: Annotated[int | None, _seconds] = None
    pending_owner: AddressOrNone = ""
    announced: Annotated[tuple[Announced, ...], _rows(Announced)] = ()
    history: Annotated[tuple[Change, ...], _rows(Change)] = ()
    allowed: Annotated[tuple[str, ...], _hashes] = ()
    allow_any_device: Annotated[bool | None, _flag_or_none] = None
    require_tcb_up_to_date: Annotated[bool | None, _flag_or_none] = None
    kms: AddressOrNone = ""
    kms_ca: Bytes = ""
    kms_k256: Bytes = ""
    registered: Annotated[bool | None, _flag_or_none] = None

    def members(self) -> dict[str, Json]:
        """The fields as JSON, rows and all."""
        found = Record.members(self)
        for name in ("upgrades", "announced", "history"):
            found[name] = [row.members() for row in found[name]]
        return {**found, "allowed": list(self.allowed)}

    def encode(self) -> bytes:
        """The canonical bytes of the file."""
        return canonical.canonical(self.members())


def parse(data: bytes) -> Governance:
    """The snapshot in `data`, in any formatting. Raises VerificationError at steps json.1 to json.7, record.1 to 4."""
    return Governance.read(canonical.loads(data, limit=MAX_FILE_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What whoever checks asks for, and knows.

    `rung` is the rung that must be reached, `notice_seconds` how long a change must be public before it can happen;
    `known` are (role, code hash) beside the listed ones, role one of proxy, implementation, timelock; `kms` the key
    service's contract on that chain, beside the listed ones; `accepted` are further compose hashes they have read.
    """

    chain_id: int = 0
    rung: int = 0
    notice_seconds: int = NOTICE_SECONDS
    known: frozenset[tuple[str, str]] = frozenset()
    kms: str = ""
    accepted: frozenset[str] = frozenset()

    def knows(self, role: str, code_hash: str) -> bool:
        """Is this the hash of code that is known in that role?"""
        return bool(code_hash) and (
            (role, code_hash) in self.known
            or any((item.role, item.code_hash) == (role, code_hash) for item in anchors.known_codes())
        )

    def knows_kms(self, chain_id: int, contract: str) -> bool:
        """Is this a known key service's contract?"""
        name = f"eip155:{chain_id}:{contract}"
        return bool(contract) and (contract == self.kms or any(name == item.contract for item in anchors.kms_anchors()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the evidence says of the machine; `provider` is its KMS's CA, `kms_root` the key behind its keys, in hex."""

    app_id: str
    compose_hash: str
    provider: str
    kms_root: str = ""


@dataclass(frozen=True, slots=True)
class Worth:
    """4 is locked, 3 announced, 0 neither; `says` answers the question in a line, `powers` name who may change what."""

    rung: int
    says: str
    powers: tuple[str, ...] = field(default=())


def check(found: Governance, machine: Machine, asked: Asked, now: int) -> Worth:
    """What the governance of the machine's app is worth at second `now`.

    1. The snapshot is of the chain that was asked for.
    2. It is of the machine's app, and there is a contract.
    3. That contract is a known proxy.
    4. It never had but one implementation: another might have written anything without a trace.
    5. That implementation is known.
    6. The contract answers as its events say.
    7. The compose hash that was booted is allowed.
    8. Where a rung was asked for, the governance is worth it.
    """
    if asked.chain_id and found.chain_id != asked.chain_id:  # 1
        raise _fault(1, f"expected chain {asked.chain_id}, got a snapshot of chain {found.chain_id}")
    if found.app != f"0x{machine.app_id}":  # 2
        raise _fault(2, f"the machine's app is 0x{machine.app_id}, the snapshot is of {found.app}")
    if not found.app_code_hash:
        raise _fault(2, f"app {found.app} has no contract on chain {found.chain_id}")
    _check_code(found, asked)  # 3, 4, 5
    allowed = _rebuilt(found.history)
    if allowed != set(found.allowed):  # 6
        odd = sorted(allowed ^ set(found.allowed))
        raise _fault(6, f"events and answers of the contract differ on {len(odd)} compose hashes, such as {odd[0]}")
    if machine.compose_hash not in allowed:  # 7
        raise _fault(7, f"the compose hash that was booted, {machine.compose_hash}, is not allowed by {found.app}")
    worth = _worth(found, machine, asked, now)
    if min(asked.rung, LOCKED) >= ANNOUNCED and worth.rung < min(asked.rung, LOCKED):  # 8
        reasons = "; ".join(worth.powers) or worth.says
        raise _fault(8, f"rung {min(asked.rung, LOCKED)} was asked for, but: {reasons}"[:1_000])
    return worth


def facts(found: Governance) -> dict[str, Json]:
    """What a verdict tells of a snapshot: all of it but the format."""
    return {name: value for name, value in found.members().items() if name != "format"}


def _fault(step: int, message: str) -> VerificationError:
    return VerificationError(f"governance.{step}", message)


def _check_code(found: Governance, asked: Asked) -> None:
    if not asked.knows("proxy", found.app_code_hash):  # 3
        raise _fault(3, f"contract {found.app} is no known proxy: its code has hash {found.app_code_hash}")
    if len(found.upgrades) != 1:  # 4
        times = f"{len(found.upgrades)} times" if found.upgrades else "never, so its history is not whole"
        raise _fault(4, f"expected one implementation since creation, got Upgraded {times}")
    if found.upgrades[0].implementation != found.implementation:
        first = found.upgrades[0].implementation
        raise _fault(4, f"the implementation is {found.implementation or 'none'}, events name {first}")
    if not asked.knows("implementation", found.implementation_code_hash):  # 5
        told = found.implementation_code_hash or "none"
        raise _fault(5, f"implementation {found.implementation} is not known: its code has hash {told}")


def _rebuilt(history: tuple[Change, ...]) -> set[str]:
    last: Mapping[str, bool] = {change.compose_hash: change.allowed for change in history}
    return {compose_hash for compose_hash, allowed in last.items() if allowed}


def _worth(found: Governance, machine: Machine, asked: Asked, now: int) -> Worth:
    rung, says, *against = _owner(found, asked, now)
    against += _pending_owner(found)
    against += _key_service(found, machine, asked)
    for compose_hash in sorted({change.compose_hash for change in found.history}):
        if compose_hash != machine.compose_hash and compose_hash not in asked.accepted:
            when = "is" if compose_hash in found.allowed else "was once"
            against.append(f"compose file {compose_hash} {when} allowed too and gets the same keys: read it as well")
    if against:
        return Worth(0, says, tuple(against))
    return Worth(rung, says, tuple(_telling(found)) if rung == ANNOUNCED else ())


def _owner(found: Governance, asked: Asked, now: int) -> list[Any]:
    """[rung, who the owner is, the power of one who may act without notice]."""
    if found.owner == NOBODY:
        return [LOCKED, "nobody: the contract has no owner"]
    may = "may allow another compose file at once, which gets the same keys"
    if not found.owner_code_hash:
        who = f"{found.owner or 'an unknown owner'} (a plain key)"
        return [0, f"{who}, at once", f"{who} {may}"]
    if not asked.knows("timelock", found.owner_code_hash) or found.owner_delay is None:
        who = f"{found.owner} (a contract of unknown code, hash {found.owner_code_hash})"
        return [0, f"{who}, perhaps at once", f"{who} {may}"]
    notice, wanted = span(found.owner_delay), span(asked.notice_seconds)
    who = f"{found.owner} (a timelock of {notice})"
    if found.owner_delay < asked.notice_seconds:
        short = f"{who} may allow another compose file after less than the {wanted} you ask for"
        return [0, f"{who}, {notice} after saying so", short]
    against = [
        f"{_call(found, call)}: announced {span(call.notice)} ahead, less than the {wanted} you ask for"
        for call in found.announced if call.notice < asked.notice_seconds
    ]  # fmt: skip
    if now > found.block_time + found.owner_delay:
        against.append(f"{who} may have acted since the snapshot, which is older than its delay")
    return [ANNOUNCED, f"{who}, {notice} after saying so", *against]


def _pending_owner(found: Governance) -> list[str]:
    if found.pending_owner in ("", NOBODY):
        return []
    return [f"{found.pending_owner}, to whom the contract was offered, may take it and change the code at once"]


def _key_service(found: Governance, machine: Machine, asked: Asked) -> list[str]:
    """The contract binds nobody but a key service that asks it, and hears no other."""
    if not found.kms:
        return ["the key service is not shown to ask this contract: name its contract on this chain"]
    if not asked.knows_kms(found.chain_id, found.kms):
        return [f"whoever made {found.kms}, a key service nobody knows"]
    if not found.registered:
        return [f"the key service {found.kms} does not know this app, so it does not ask its contract"]
    if not machine.provider or found.kms_ca != machine.provider:
        return ["the key service of this machine, which is another than the contract's and need not ask it"]
    if machine.kms_root and found.kms_k256 != machine.kms_root:
        return ["the key service behind the agent's keys, which is another than the contract's"]
    return []


def _telling(found: Governance) -> list[str]:
    """What a timelock may do, and what it has announced."""
    notice = span(found.owner_delay or 0)
    may = f"{found.owner} (a timelock) may allow another compose file {notice} after announcing it (CallScheduled)"
    return [may, *(f"announced: {_call(found, call)} from {_day(call.ready_at)} on" for call in found.announced)]


def _call(found: Governance, call: Announced) -> str:
    whom = {found.app: "the app contract", found.owner: "the timelock"}.get(call.target, call.target)
    return f"call of {whom} with 0x{call.data[:136]}{'…' if len(call.data) > 136 else ''}"


def span(seconds: int) -> str:
    """Seconds as people say them."""
    if seconds % DAY_SECONDS or not seconds:
        return f"{seconds} s"
    days = seconds // DAY_SECONDS
    return f"{days} day{'s' if days > 1 else ''}"


def _day(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"
