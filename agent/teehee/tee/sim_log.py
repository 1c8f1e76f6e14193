"""The simulator's boot: what is measured into which register, in each release's order and words.

event  = {imr, event_type, digest, event, event_payload [, version, preimage]}, bytes in hex
RTMR   = SHA-384( old RTMR, digest filled up to 48 bytes ), from 48 zero bytes
digest = SHA-384( type as u32 LE ":" name ":" payload ), or in version 2 of canonical {"name","payload","type"}
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Json = Any

RUNTIME = 0x08000001
ZEROS = bytes(48)
SYSTEM = "system-preparing"
# Names of the runtime events in their order; those in brackets are there only when a key service is.
EVENTS = {
    "0.3.6": "rootfs-hash app-id compose-hash ca-cert-hash instance-id",
    "0.4.2": "system-preparing rootfs-hash app-id compose-hash instance-id boot-mr-done key-provider system-ready",
    "0.5.5": "system-preparing app-id compose-hash instance-id boot-mr-done [os-image-hash] key-provider storage-fs "
    "system-ready",
    "0.6.0": "system-preparing app-id compose-hash init-script-hash gpu-policy-hash instance-id boot-mr-done "
    "[os-image-hash] key-provider storage-fs system-ready",
}
EVENTS["0.5.11"] = EVENTS["0.5.5"]
# Register, event type and what is measured: firmware, its tables, kernel, initial file system.
BOOT = (
    (0, 0x8000000B, "td hob"), (0, 0x8000000A, "firmware volume"), (0, 0x80000001, "SecureBoot"),
    (0, 0x80000001, "PK"), (0, 0x80000001, "KEK"), (0, 0x80000001, "db"), (0, 0x80000001, "dbx"), (0, 4, "separator"),
    (0, 10, "acpi-loader"), (0, 10, "acpi-rsdp"), (0, 10, "acpi-tables"), (1, 0x80000003, "kernel"),
    (0, 0x80000002, "BootOrder"), (0, 0x80000002, "Boot0000"), (1, 0x80000007, "Calling EFI Application"),
    (1, 4, "separator"), (2, 6, "command line"), (2, 6, "initial file system"),
    (1, 0x80000007, "Exit Boot Services Invocation"), (1, 0x80000007, "Exit Boot Services Returned with Success"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the event log."""

    imr: int
    kind: int
    digest: bytes
    name: str
    payload: bytes
    version: int = 1

    def preimage(self) -> bytes:
        """What the digest of a runtime event is made of."""
        if self.version == 1:
            return RUNTIME.to_bytes(4, "little") + b":" + self.name.encode() + b":" + self.payload
        form = {"name": self.name, "payload": self.payload.hex(), "type": RUNTIME}
        return json.dumps(form, separators=(",", ":")).encode()

    def entry(self, *, digest: bool = True, payload: bool = True) -> dict[str, Json]:
        """The event as JSON has it, without what an agent leaves out."""
        entry: dict[str, Json] = {
            "imr": self.imr,
            "event_type": self.kind,
            "digest": self.digest.hex() if digest else "",
            "event": self.name,
            "event_payload": self.payload.hex() if payload else "",
        }
        return entry if self.version == 1 else entry | {"version": self.version, "preimage": self.preimage().hex()}


def runtime(name: str, payload: bytes, version: int = 1) -> Event:
    event = Event(3, RUNTIME, b"", name, payload, version)
    return Event(3, RUNTIME, hashlib.sha384(event.preimage()).digest(), name, payload, version)


def boot_events(release: str, flavour: str) -> Iterator[Event]:
    """What firmware and loader measured. A development image differs in its command line only, so in RTMR2 alone."""
    for imr, kind, what in BOOT:
        mark = flavour if what == "command line" else ""
        digest = hashlib.sha384(f"teehee simulator {release} {what} {mark}".encode()).digest()
        is_acpi = kind == 10
        name = what if is_acpi and release.startswith("0.6") else ""
        yield Event(imr, kind, digest, name, b"ACPI DATA" if is_acpi else what.encode())


def runtime_events(era: str, payloads: dict[str, list[bytes]], *, kms: bool, version: int = 1) -> Iterator[Event]:
    """The system's own events in the order of their release; `payloads` holds what is measured under each name."""
    for word in EVENTS[era].split():
        if word.startswith("[") and not kms:
            continue
        name = word.strip("[]")
        for payload in payloads.get(name, [b""]):
            yield runtime(name, payload, version)


def registers(events: Iterable[Event]) -> tuple[bytes, bytes, bytes, bytes]:
    """RTMR0 to RTMR3 after these events."""
    rtmrs = [ZEROS] * 4
    for event in events:
        rtmrs[event.imr] = hashlib.sha384(rtmrs[event.imr] + event.digest.ljust(48, b"\x00")).digest()
    return rtmrs[0], rtmrs[1], rtmrs[2], rtmrs[3]


def until(events: Iterable[Event], name: str) -> Iterator[Event]:
    """The events up to and with the first of this name."""
    for event in events:
        yield event
        if event.name == name:
            return


def whole_log(events: Iterable[Event]) -> list[dict[str, Json]]:
    """The log as `Info` shows it."""
    return [event.entry() for event in events]


def quoted_log(era: str, events: Iterable[Event]) -> list[dict[str, Json]]:
    """The log as it comes with a quote: newer agents leave payloads of boot events out, 0.6 also runtime digests."""
    if era in ("0.3.6", "0.4.2", "0.5.5"):
        return whole_log(events)
    entries = []
    for event in events:
        if event.kind == RUNTIME:
            entries.append(event.entry(digest=era != "0.6.0"))
        else:
            entries.append(event.entry(payload=event.payload == b"ACPI DATA" and era == "0.6.0"))
    return entries
