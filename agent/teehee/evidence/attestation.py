"""dstack's VersionedAttestation: quote, event log and VM configuration in one value, as `Attest` gives it.

Source: dstack-attest attestation.rs and v1.rs. The first byte tells the two forms apart. Version 0 is SCALE:

    00 | platform 00 (TDX) | quote, bytes | [ imr u32, event_type u32, digest, event, payload ] | [ event, payload ]
       | report data, 64 bytes | config, text                      bytes, texts and arrays after their compact length

Version 1 is a MessagePack map; serde writes bytes as an array of numbers in some places, as bytes in others:

    {"version": 1, "platform": {"kind": "tdx", "data": {"quote", "event_log": [{"imr", "event_type", "digest", ...}]}},
     "stack": {"kind": "dstack", "data": {"report_data", "runtime_events": [{"event", "payload"}], "config"}}}

Other platforms than TDX are refused, never taken for good.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgpack  # type: ignore[import-untyped]  # it comes without types

from teehee.errors import VerificationError
from teehee.evidence import eventlog, quote
from teehee.evidence.canonical import Json
from teehee.evidence.eventlog import MAX_EVENTS, Event
from teehee.evidence.quote import MAX_QUOTE_BYTES, Quote

MAX_ATTESTATION_BYTES = 262_144
PLATFORMS = ("tdx", "gcp-tdx", "nitro-enclave", "sev-snp", "aws-nitro-tpm")  # by their SCALE index

_MAPS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
_LIMITS = {
    "max_str_len": MAX_ATTESTATION_BYTES,
    "max_bin_len": MAX_ATTESTATION_BYTES,
    "max_array_len": MAX_QUOTE_BYTES,  # the longest is the quote, number by number
    "max_map_len": 16,
    "max_ext_len": 0,
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attestation:
    """The parts of an attestation, parsed and not verified. `config` is VM configuration in JSON, said by the host."""

    version: int
    quote_bytes: bytes
    quote: Quote
    events: tuple[Event, ...]
    report_data: bytes
    config: str
    report_data_payload: str = ""

    def event_log(self) -> bytes:
        """The events as the JSON list that `GetQuote` gives."""
        entries = [
            {
                "imr": event.imr,
                "event_type": event.event_type,
                "digest": event.digest.hex(),
                "event": event.name,
                "event_payload": event.payload.hex(),
                **({"version": event.version} if event.version != 1 else {}),
            }
            for event in self.events
        ]
        return json.dumps(entries).encode()


def parse(data: bytes) -> Attestation:
    """The attestation these bytes are.

    1. They are at most 256 KiB, and their first byte is that of SCALE (00) or of a MessagePack map.
    2. SCALE: every length is written in the shortest form and has its bytes; texts are UTF-8.
    3. MessagePack: it is one value within the limits, texts are UTF-8, keys are texts, no map has one twice.
    4. MessagePack: every map has the keys of its place, and every value its type; the version is 1.
    5. The platform is TDX.
    6. Nothing follows.
    7. The quote is one (steps quote.1 to quote.11), and each event is sound (eventlog.3 to eventlog.5).
    8. The runtime events are there twice and the same.
    9. The report data is there twice and the same: here and in the quote.
    """
    first = data[:1]
    if len(data) > MAX_ATTESTATION_BYTES or not first or (first != b"\0" and data[0] not in _MAPS):  # 1
        got = f"{len(data)} bytes from {first.hex() or 'nothing'} on"
        raise VerificationError("attestation.1", f"expected 00 or a MessagePack map, at most 256 KiB, got {got}")
    parts = _scale(_Scale(data)) if first == b"\0" else _messagepack(data)  # 2-6
    version, quoted, events, runtime_events, report_data, config, payload = parts
    parsed = quote.parse(quoted)  # 7
    if [(item.name, item.payload, item.version) for item in events if item.imr == 3] != runtime_events:  # 8
        raise VerificationError("attestation.8", "expected the runtime events of the event log, got others")
    if report_data != parsed.td.report_data:  # 9
        expected, got = parsed.td.report_data.hex(), report_data.hex()[:128]
        raise VerificationError("attestation.9", f"expected the report data of the quote, {expected}, got {got}")
    return Attestation(version, quoted, parsed, events, report_data, config, payload)


_Parts = tuple[int, bytes, tuple[Event, ...], list[tuple[str, bytes, int]], bytes, str, str]


def _scale(read: "_Scale") -> _Parts:
    read.take(1)
    platform = read.take(1)[0]
    _check_platform(PLATFORMS[platform] if platform < len(PLATFORMS) else f"number {platform}")  # 5
    quoted = read.octets()
    events = tuple(read.array(read.event))
    runtime_events = read.array(lambda: (read.text(), read.octets(), 1))
    report_data, config = read.take(64), read.text()
    if read.left:  # 6
        raise VerificationError("attestation.6", f"expected nothing behind the config, got {len(read.left)} bytes")
    return 0, quoted, events, runtime_events, report_data, config, ""


class _Scale:
    """SCALE values taken from the front, at step 2."""

    def __init__(self, data: bytes) -> None:
        self.left = memoryview(data)

    def take(self, size: int) -> bytes:
        if len(self.left) < size:
            raise VerificationError("attestation.2", f"expected {size} bytes, got {len(self.left)}")
        taken, self.left = bytes(self.left[:size]), self.left[size:]
        return taken

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def length(self) -> int:
        """A compact number of 6, 14 or 30 bits; the 2 bits before it tell which."""
        mode = self.left[0] & 3 if self.left else 0
        value = int.from_bytes(self.take((1, 2, 4, 1)[mode]), "little") >> 2
        if mode == 3 or value < (0, 1 << 6, 1 << 14)[mode]:
            raise VerificationError("attestation.2", "expected a length under 2^30 in its shortest form, got another")
        return value

    def octets(self) -> bytes:
        return self.take(self.length())

    def text(self) -> str:
        try:
            return self.octets().decode()
        except UnicodeDecodeError as fault:
            raise VerificationError("attestation.2", f"expected UTF-8, got another byte at {fault.start}") from None

    def array(self, item: Callable[[], T]) -> list[T]:
        size = self.length()
        if size > MAX_EVENTS:
            raise VerificationError("attestation.2", f"expected at most {MAX_EVENTS} events, got {size}")
        return [item() for _ in range(size)]

    def event(self) -> Event:
        imr, event_type, digest, name, payload = self.u32(), self.u32(), self.octets(), self.text(), self.octets()
        return eventlog.event(imr, event_type, name, payload, digest)


def _messagepack(data: bytes) -> _Parts:
    try:
        value = msgpack.unpackb(data, object_pairs_hook=_once, strict_map_key=True, **_LIMITS)
    except msgpack.ExtraData:  # 6
        raise VerificationError("attestation.6", "expected nothing behind the map, got more") from None
    except (ValueError, msgpack.UnpackException) as fault:  # 3
        raise VerificationError("attestation.3", f"expected MessagePack, got a fault: {fault!s:.100}") from None
    outer = _members(value, "version", "platform", "stack")
    if type(outer["version"]) is not int or outer["version"] != 1:  # 4
        raise VerificationError("attestation.4", f"expected version 1, got {outer['version']!r:.64}")
    platform, stack = _members(outer["platform"], "kind", "data"), _members(outer["stack"], "kind", "data")
    _check_platform(platform["kind"])  # 5
    evidence = _members(platform["data"], "quote", "event_log")
    keys = ["report_data", "runtime_events", "config"]
    if stack["kind"] == "dstack-pod":
        keys.append("report_data_payload")
    elif stack["kind"] != "dstack":  # 4
        raise VerificationError("attestation.4", f"expected a stack dstack or dstack-pod, got {stack['kind']!r:.64}")
    said = _members(stack["data"], *keys)
    events = eventlog.read([_in_hex(item) for item in _list(evidence["event_log"])])
    runtime_events = [_runtime_event(item) for item in _list(said["runtime_events"])]
    config, payload = _text(said["config"]), _text(said.get("report_data_payload", ""))
    return 1, _octets(evidence["quote"]), events, runtime_events, _octets(said["report_data"]), config, payload


def _once(pairs: list[tuple[Json, Json]]) -> dict[str, Json]:
    members = {key: value for key, value in pairs if type(key) is str}
    if len(members) != len(pairs):  # 3
        raise VerificationError("attestation.3", "expected keys that are texts, each once, got another or one twice")
    return members


def _check_platform(kind: Json) -> None:
    if kind != "tdx":  # 5
        raise VerificationError(
            "attestation.5",
            f"expected platform tdx, got {kind!r:.64}",
            hint="Evidence of other platforms is not understood here, so it counts for nothing.",
        )


def _members(value: Json, *keys: str) -> dict[str, Json]:
    if type(value) is not dict or value.keys() != set(keys):  # 4
        got = sorted(map(str, value)) if type(value) is dict else type(value).__name__
        raise VerificationError("attestation.4", f"expected a map of {', '.join(keys)}, got {got!s:.200}")
    return value


def _list(value: Json) -> list[Json]:
    if type(value) is not list or len(value) > MAX_EVENTS:  # 4
        raise VerificationError("attestation.4", f"expected at most {MAX_EVENTS} events, got a {type(value).__name__}")
    return value


def _text(value: Json) -> str:
    if type(value) is not str:  # 4
        raise VerificationError("attestation.4", f"expected a text, got a {type(value).__name__}")
    return value


def _octets(value: Json) -> bytes:
    if type(value) is list and all(type(number) is int and 0 <= number < 256 for number in value):
        return bytes(value)
    if type(value) is not bytes:  # 4
        raise VerificationError("attestation.4", f"expected bytes, got a {type(value).__name__} of something else")
    return value


def _in_hex(item: Json) -> Json:
    """An entry of the event log as it stands in JSON, so that there is one reader of entries."""
    if type(item) is not dict:
        return item
    return {key: _octets(value).hex() if key in ("digest", "event_payload") else value for key, value in item.items()}


def _runtime_event(item: Json) -> tuple[str, bytes, int]:
    keys = ("event", "payload", "version") if type(item) is dict and "version" in item else ("event", "payload")
    members = _members(item, *keys)
    return _text(members["event"]), _octets(members["payload"]), members.get("version", 1)
