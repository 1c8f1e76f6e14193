"""Reads dstack's VersionedAttestation: the quote and the event log inside what `Attest` answers.

    00 ...     SCALE: 00 version, 00 TDX, quote, event log, runtime events, report data (64 bytes), config
    80-8f ...  MessagePack: {version, platform: {kind, data: {quote, event_log}}, stack: {kind, data: {config, ...}}}

It comes as SCALE unless an event of the log is of version 2, which SCALE has no place for. Only plain TDX is read;
the other platforms' evidence is refused by name. The event log becomes the JSON list that `GetQuote` would have given.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from teehee.tee.guest import REPORT_BYTES, GuestError

Json = Any

EVENT_LIMIT = 10_000
DEPTH_LIMIT = 16


@dataclass(frozen=True, slots=True)
class Attestation:
    """What an attestation holds. `config` is the machine's vm_config."""

    quote: bytes
    event_log: bytes
    report_data: bytes
    config: str


def read(data: bytes) -> Attestation:
    """The attestation these bytes are. Raises GuestError when they are none, or one of another platform."""
    try:
        if data[:1] == b"\x00":
            return _read_scale(_Bytes(data))
        return _read_msgpack(_Bytes(data))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise GuestError(f"the guest agent talks nonsense: its attestation does not parse ({error})") from None


class _Bytes:
    """Bytes taken from the front, or ValueError when there are not as many."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError(f"{size} bytes expected at {self.at}, {len(self.data) - self.at} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def end(self) -> None:
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes are left over")


# -- SCALE


def _read_scale(rest: _Bytes) -> Attestation:
    if rest.take(2) != b"\x00\x00":
        raise ValueError("the version is not 0 or the platform is not TDX")
    quote = _scale_bytes(rest)
    events = [_scale_event(rest) for _ in range(_scale_count(rest))]
    for _ in range(_scale_count(rest)):  # the runtime events once more, without their digests
        _scale_bytes(rest), _scale_bytes(rest)
    report_data, config = rest.take(REPORT_BYTES), _scale_bytes(rest).decode()
    rest.end()
    return Attestation(quote, json.dumps(events).encode(), report_data, config)


def _scale_event(rest: _Bytes) -> dict[str, Json]:
    imr, kind, digest = rest.number(4), rest.number(4), _scale_bytes(rest).hex()
    name, payload = _scale_bytes(rest).decode(), _scale_bytes(rest).hex()
    return {"imr": imr, "event_type": kind, "digest": digest, "event": name, "event_payload": payload}


def _scale_count(rest: _Bytes) -> int:
    """A compact number: its two lowest bits say in how many bytes it comes."""
    first = rest.number(1)
    if first & 3 == 3:
        raise ValueError("a number beyond what an attestation has")
    more = (0, 1, 3)[first & 3]
    return (first | rest.number(more) << 8) >> 2


def _scale_bytes(rest: _Bytes) -> bytes:
    return rest.take(_scale_count(rest))


# -- MessagePack


def _read_msgpack(rest: _Bytes) -> Attestation:
    whole = _msgpack(rest, DEPTH_LIMIT)
    rest.end()
    if whole["version"] != 1:
        raise ValueError(f"version {whole['version']!r}, expected 1")
    platform, stack = whole["platform"], whole["stack"]["data"]
    if platform["kind"] != "tdx":
        raise ValueError(f"platform {platform['kind']!r}, only tdx is read")
    report_data, config = _octets(stack["report_data"]), stack["config"]
    if len(report_data) != REPORT_BYTES or type(config) is not str:
        raise ValueError("report data or config of another form")
    events = platform["data"]["event_log"]
    if type(events) is not list or len(events) > EVENT_LIMIT:
        raise ValueError("an event log of another form")
    log = json.dumps([_msgpack_event(event) for event in events]).encode()
    return Attestation(_octets(platform["data"]["quote"]), log, report_data, config)


def _msgpack_event(event: dict[str, Json]) -> dict[str, Json]:
    """An event as JSON has it: bytes in hex; `version` and `preimage` only where they are."""
    whole = {name: event[name] for name in ("imr", "event_type")}
    whole |= {"digest": _octets(event["digest"]).hex(), "event": event["event"]}
    whole |= {"event_payload": _octets(event["event_payload"]).hex()}
    whole |= {name: event[name] for name in ("version", "preimage") if name in event}
    if any(type(value) not in (int, str) for value in whole.values()):
        raise ValueError("an event of another form")
    return whole


def _octets(value: Json) -> bytes:
    """Bytes, which Rust's serializer writes as a list of numbers unless it is told better."""
    if type(value) is bytes:
        return value
    if type(value) is not list:
        raise ValueError("expected bytes")
    return bytes(value)


def _msgpack(rest: _Bytes, depth: int) -> Json:
    if depth == 0:
        raise ValueError(f"nested more than {DEPTH_LIMIT} deep")
    kind = rest.take(1)[0]
    if kind < 0x80:
        return kind
    if kind < 0x90:
        return _msgpack_map(rest, kind & 15, depth)
    if kind < 0xA0:
        return [_msgpack(rest, depth - 1) for _ in range(kind & 15)]
    if kind < 0xC0:
        return rest.take(kind & 31).decode()
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind not in _SIZED:
        raise ValueError(f"a value of kind {kind:#04x}, which no attestation has")
    read_as, width = _SIZED[kind]
    return read_as(rest, int.from_bytes(rest.take(width)), depth)


def _msgpack_map(rest: _Bytes, size: int, depth: int) -> dict[str, Json]:
    whole: dict[str, Json] = {}
    for _ in range(size):
        name = _msgpack(rest, depth - 1)
        if type(name) is not str or name in whole:
            raise ValueError("a map with a key twice, or one that is no text")
        whole[name] = _msgpack(rest, depth - 1)
    return whole


def _msgpack_list(rest: _Bytes, size: int, depth: int) -> list[Json]:
    if size > len(rest.data):  # before anything is made of it
        raise ValueError(f"a list of {size} items in {len(rest.data)} bytes")
    return [_msgpack(rest, depth - 1) for _ in range(size)]


_SIMPLE = {0xC0: None, 0xC2: False, 0xC3: True}
_SIZED: dict[int, tuple[Callable[[_Bytes, int, int], Json], int]] = {
    **{0xC4 + i: (lambda rest, size, depth: rest.take(size), 1 << i) for i in range(3)},
    **{0xCC + i: (lambda rest, number, depth: number, 1 << i) for i in range(4)},
    **{0xD9 + i: (lambda rest, size, depth: rest.take(size).decode(), 1 << i) for i in range(3)},
    **{0xDC + i: (_msgpack_list, 2 << i) for i in range(2)},
    **{0xDE + i: (_msgpack_map, 2 << i) for i in range(2)},
}
