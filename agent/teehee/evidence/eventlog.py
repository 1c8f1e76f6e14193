"""The event log of a dstack machine: what was measured as it booted, replayed into the RTMRs, and what that says.

Source: dstack cc-eventlog (tdx.rs, runtime_events.rs), and its boot code at the tags v0.3.6 to v0.5.11 and before 0.6.

    {"imr":3,"event_type":134217729,"digest":"98bd...","event":"app-id","event_payload":"2911e1f7..."}

An RTMR is 48 zeros first, then SHA-384 of its old value and a digest. Boot events (RTMR0-2) bring their digest along;
a runtime event (RTMR3) says what its digest is over, so it is computed here, never taken from the log:

    version 1    SHA-384( event type, 4 bytes little-endian || ":" || name || ":" || payload )
    version 2    SHA-384( RFC 8785 form of {"name": name, "payload": payload in hex, "type": event type} )

Up to `system-ready` the system speaks. What comes behind it may be anybody's on that machine: shown, never believed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha384

from teehee.errors import VerificationError
from teehee.evidence import canonical
from teehee.evidence.canonical import Json

MAX_LOG_BYTES = 262_144
MAX_EVENTS = 1_024
MAX_NAME_CHARACTERS = 256
MAX_PROVIDER_BYTES = 4_096

RUNTIME_EVENT = 0x08000001
ACPI_DATA = 10  # a lite log keeps the three of these, and nothing else of RTMR0-2
READY = "system-ready"

_TO_BOOT_MR = ("system-preparing", "app-id", "compose-hash", "instance-id", "boot-mr-done")
ERAS: dict[str, tuple[str, ...]] = {
    "0.3": ("rootfs-hash", "app-id", "compose-hash", "ca-cert-hash", "instance-id"),
    "0.4": ("system-preparing", "rootfs-hash?", *_TO_BOOT_MR[1:], "mr-kms?", "key-provider", READY),
    "0.5.1": (*_TO_BOOT_MR, "mr-kms?", "os-image-hash", "key-provider", READY),
    "0.5.5": (*_TO_BOOT_MR, "mr-kms?", "os-image-hash?", "key-provider", "storage-fs", READY),
    "0.6": (
        *("system-preparing", "app-id", "compose-hash", "init-script-hash*", "gpu-policy-hash", "gpu-attestation?"),
        *("instance-id", "boot-mr-done", "os-image-hash?", "key-provider", "storage-fs", READY),
    ),
}
"""In which order releases speak, by the first that did so; `?` is said or not, `*` any number of times.

A release that speaks like an older one is counted to that: 0.5.1 to 0.5.4 without a KMS to 0.4.
"""

PAYLOAD_SIZES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("system-preparing", "boot-mr-done", READY), (0,)),
    **dict.fromkeys(("rootfs-hash", "compose-hash", "ca-cert-hash", "mr-kms", "os-image-hash"), (32,)),
    **dict.fromkeys(("init-script-hash", "gpu-policy-hash"), (32,)),
    **{"app-id": (20,), "instance-id": (0, 20)},
}
STORAGE = ("zfs", "ext4")
KEY_PROVIDERS = ("kms", "local-sgx", "tpm", "none")

_NAMES = frozenset(name.rstrip("?*") for order in ERAS.values() for name in order)
_REPEATED = frozenset(name[:-1] for order in ERAS.values() for name in order if name.endswith("*"))
_ORDERS = {
    era: re.compile("".join(f"(?:{re.escape(name.rstrip('?*'))}\n){name[len(name.rstrip('?*')) :]}" for name in order))
    for era, order in ERAS.items()
}
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True)
class Event:
    """One measurement. Of a runtime event the digest is computed from the rest; boot events have version 1."""

    imr: int
    event_type: int
    name: str
    payload: bytes
    digest: bytes
    version: int = 1


@dataclass(frozen=True, slots=True)
class KeyProvider:
    """Who gave the machine its keys: `kms`, `local-sgx`, `tpm` or `none`, and which one by key or measurement."""

    name: str
    id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What the system said before it was ready; empty is what it did not say. `untrusted` came behind."""

    era: str
    version: int
    app_id: bytes
    compose_hash: bytes
    instance_id: bytes
    key_provider: KeyProvider | None
    os_image_hash: bytes
    rootfs_hash: bytes
    mr_kms: bytes
    storage_fs: str
    init_script_hashes: tuple[bytes, ...]
    gpu_policy_hash: bytes
    gpu_attestation: bytes
    untrusted: tuple[Event, ...]


def parse(text: str | bytes) -> tuple[Event, ...]:
    """The events of a log in JSON, as `GetQuote` gives it: `read` of at most 256 KiB (steps json.1 to json.8)."""
    try:
        data = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as fault:
        raise VerificationError("json.2", f"expected UTF-8, got half a character at {fault.start}") from None
    return read(canonical.loads(data, limit=MAX_LOG_BYTES))


def read(entries: Json) -> tuple[Event, ...]:
    """The events of a log that is JSON already, as `tcb_info` holds it; releases write it in two shapes.

    1. It is an array of at most 1,024 entries.
    2. An entry has imr, event_type, event and event_payload, may have digest, version and preimage, and nothing else.
    3-5. Each event is sound, as in `event`.
    """
    if type(entries) is not list or len(entries) > MAX_EVENTS:  # 1
        raise VerificationError("eventlog.1", f"expected an array of at most {MAX_EVENTS} entries, got other JSON")
    return tuple(_entry(entry, index) for index, entry in enumerate(entries))


def event(
    imr: int, event_type: int, name: str, payload: bytes, digest: bytes, version: int = 1, preimage: bytes | None = None
) -> Event:
    """The event with these parts, whatever form they came in.

    3. RTMR3 takes runtime events only and no other RTMR does; names have at most 256 characters.
    4. The digest of a boot event has 48 bytes.
    5. What a runtime event says it hashes, or hashes to, is what it does; releases from 0.5.7 may leave either away.
    """
    runtime = event_type == RUNTIME_EVENT
    if not 0 <= imr <= 3 or runtime != (imr == 3):  # 3
        raise VerificationError("eventlog.3", f"{name[:64]!r}: expected no type {event_type:#x} in RTMR{imr}")
    if len(name) > MAX_NAME_CHARACTERS or version not in ((1, 2) if runtime else (1,)):  # 3
        raise VerificationError("eventlog.3", f"{name[:64]!r}: expected a short name and version 1 or 2, got {version}")
    if not runtime:
        if len(digest) != 48:  # 4
            raise VerificationError("eventlog.4", f"expected a digest of 48 bytes in RTMR{imr}, got {len(digest)}")
        return Event(imr, event_type, name, payload, digest)
    hashed = _preimage(name, payload, version)
    computed = sha384(hashed).digest()
    if preimage not in (None, hashed):  # 5
        raise VerificationError("eventlog.5", f"{name[:64]!r}: expected preimage {hashed[:96]!r}, got another")
    if digest not in (b"", computed):  # 5
        raise VerificationError(
            "eventlog.5",
            f"{name[:64]!r}: expected digest {computed.hex()}, got {digest.hex()[:96]}: not of this payload",
        )
    return Event(imr, event_type, name, payload, computed, version)


def replay(events: Iterable[Event]) -> tuple[bytes, bytes, bytes, bytes]:
    """The four RTMRs these events lead to."""
    rtmrs = [bytes(48)] * 4
    for item in events:
        rtmrs[item.imr] = sha384(rtmrs[item.imr] + item.digest).digest()
    return rtmrs[0], rtmrs[1], rtmrs[2], rtmrs[3]


def check_replay(events: Sequence[Event], rtmrs: Sequence[bytes]) -> tuple[int, ...]:
    """Check the events against a quote's RTMRs. Returns which of them they lead to; what is not in it is unchecked.

    6. They lead to RTMR3.
    7. They lead to RTMR0, 1 and 2, unless it is a lite log, from which the boot events were taken away.
    """
    computed = replay(events)
    found = tuple(index for index in range(4) if computed[index] == rtmrs[index])
    if 3 not in found:  # 6
        raise VerificationError("eventlog.6", f"RTMR3: expected {rtmrs[3].hex()}, the log gives {computed[3].hex()}")
    boot_events = [item for item in events if item.imr < 3]
    lite = len(boot_events) <= 3 and all((item.imr, item.event_type) == (0, ACPI_DATA) for item in boot_events)
    if len(found) < 4 and not lite:  # 7
        wrong = next(index for index in range(3) if index not in found)
        raise VerificationError(
            "eventlog.7", f"RTMR{wrong}: expected {rtmrs[wrong].hex()}, the log gives {computed[wrong].hex()}"
        )
    return found


def boot(events: Iterable[Event]) -> Boot:
    """What the log says about the machine. To be believed once `check_replay` has passed.

    8. Every runtime event has the same version.
    9. The system is ready at some point (but for 0.3, which does not say so); before that it says nothing unknown and
       nothing twice, and behind that nothing at all: a system's name there is somebody else's.
    10. It says everything in the order of an era.
    11. Each payload has its form; a key provider is one that exists.
    """
    runtime = [item for item in events if item.imr == 3]
    versions = {item.version for item in runtime}
    if len(versions) > 1:  # 8
        raise VerificationError("eventlog.8", "expected one version of runtime events, got versions 1 and 2")
    names = [item.name for item in runtime]
    size = names.index(READY) + 1 if READY in names else len(ERAS["0.3"])
    _check_names(names[:size], names[size:])  # 9
    said = "".join(f"{name}\n" for name in names[:size])
    era = next((era for era, order in _ORDERS.items() if order.fullmatch(said)), None)
    if era is None:  # 10
        raise VerificationError("eventlog.10", f"expected the order of an era, got {', '.join(names[:size])}")
    return _boot(era, runtime[:size], tuple(runtime[size:]))  # 11


def check_compose(boot: Boot, compose_hash: bytes, event_log_version: int) -> None:
    """Check that the log is that of this compose file.

    12. The compose hash is the file's: a log that replays may still be another program's.
    13. The version of the log is the one the file asks for.
    """
    if boot.compose_hash != compose_hash:  # 12
        got = f"the log has {boot.compose_hash.hex()}"
        raise VerificationError(
            "eventlog.12",
            f"expected compose hash {compose_hash.hex()}, {got}",
            hint="The machine booted another file. It goes by bytes: a file that was formatted anew is another one.",
        )
    if boot.version != event_log_version:  # 13
        raise VerificationError("eventlog.13", f"expected a log of version {event_log_version}, got {boot.version}")


def _entry(entry: Json, index: int) -> Event:
    where = f"entry {index}"
    if type(entry) is not dict:  # 2
        raise VerificationError("eventlog.2", f"{where}: expected an object, got a {type(entry).__name__}")
    required, optional = {"imr", "event_type", "event", "event_payload"}, {"digest", "version", "preimage"}
    if required - entry.keys() or entry.keys() - required - optional:  # 2
        raise VerificationError("eventlog.2", f"{where}: expected keys {sorted(required)}, got {sorted(entry)!r:.200}")
    numbers = [entry["imr"], entry["event_type"], entry.get("version", 1)]
    if any(type(number) is not int or not 0 <= number < 2**32 for number in numbers):  # 2
        raise VerificationError("eventlog.2", f"{where}: expected numbers of 32 bits, got {numbers!r:.200}")
    if type(entry["event"]) is not str:  # 2
        raise VerificationError("eventlog.2", f"{where}: expected a name, got a {type(entry['event']).__name__}")
    payload, digest = _unhex(entry["event_payload"], where), _unhex(entry.get("digest", ""), where)
    preimage = _unhex(entry["preimage"], where) if "preimage" in entry else None
    return event(numbers[0], numbers[1], entry["event"], payload, digest, numbers[2], preimage)


def _unhex(value: Json, where: str) -> bytes:
    if type(value) is not str or not _HEX.fullmatch(value):  # 2
        raise VerificationError("eventlog.2", f"{where}: expected lower-case hex, got {value!r:.64}")
    return bytes.fromhex(value)


def _preimage(name: str, payload: bytes, version: int) -> bytes:
    if version == 2:
        return canonical.canonical({"name": name, "payload": payload.hex(), "type": RUNTIME_EVENT})
    return RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload


def _check_names(before: list[str], behind: list[str]) -> None:
    """Step 9."""
    if before[-1:] != [READY] and tuple(before) != ERAS["0.3"]:
        raise VerificationError("eventlog.9", f"expected {READY!r}, got none in {', '.join(before)!r:.200}")
    for name, times in Counter(before).items():
        if name not in _NAMES:
            raise VerificationError("eventlog.9", f"expected system events before {READY!r}, got {name[:64]!r}")
        if times > 1 and name not in _REPEATED:
            raise VerificationError("eventlog.9", f"expected {name!r} once, got it {times} times")
    if late := [name for name in behind if name in _NAMES]:
        raise VerificationError(
            "eventlog.9",
            f"expected no system event once the system was ready, got {late[0]!r}",
            hint="Something on the machine tries to pass for the system.",
        )


def _boot(era: str, system: Sequence[Event], untrusted: tuple[Event, ...]) -> Boot:
    payloads = {item.name: item.payload for item in system}
    for item in system:
        sizes = PAYLOAD_SIZES.get(item.name)
        if sizes is not None and len(item.payload) not in sizes:  # 11
            raise VerificationError("eventlog.11", f"{item.name}: expected {sizes} bytes, got {len(item.payload)}")
    storage = payloads.get("storage-fs", b"")
    if storage and storage not in (b"zfs", b"ext4"):  # 11
        raise VerificationError("eventlog.11", f"storage-fs: expected one of {STORAGE}, got {storage[:64]!r}")
    provider = payloads.get("key-provider")
    return Boot(
        era=era,
        version=system[0].version,
        app_id=payloads["app-id"],
        compose_hash=payloads["compose-hash"],
        instance_id=payloads["instance-id"],
        key_provider=None if provider is None else _key_provider(provider),
        os_image_hash=payloads.get("os-image-hash", b""),
        rootfs_hash=payloads.get("rootfs-hash", b""),
        mr_kms=payloads.get("mr-kms", b""),
        storage_fs=storage.decode(),
        init_script_hashes=tuple(item.payload for item in system if item.name == "init-script-hash"),
        gpu_policy_hash=payloads.get("gpu-policy-hash", b""),
        gpu_attestation=payloads.get("gpu-attestation", b""),
        untrusted=untrusted,
    )


def _key_provider(payload: bytes) -> KeyProvider:
    said = canonical.loads(payload, limit=MAX_PROVIDER_BYTES)
    if type(said) is not dict or said.keys() != {"name", "id"} or said["name"] not in KEY_PROVIDERS:  # 11
        raise VerificationError("eventlog.11", f"key-provider: expected one of {KEY_PROVIDERS}, got {payload[:64]!r}")
    if type(said["id"]) is not str or not _HEX.fullmatch(said["id"]):  # 11
        raise VerificationError("eventlog.11", f"key-provider: expected an id in hex, got {said['id']!r:.64}")
    return KeyProvider(said["name"], bytes.fromhex(said["id"]))
