"""Writes dstack's VersionedAttestation, the other side of `attestation`: SCALE, or MessagePack where it must be."""

from typing import Any

from teehee.tee.sim_log import Event

Json = Any


def write(quote: bytes, events: list[Event], report_data: bytes, config: str) -> bytes:
    """An attestation in the form its events ask for: SCALE has no place for those of version 2."""
    if any(event.version == 2 for event in events):
        return _msgpack_attestation(quote, events, report_data, config)
    runtime = [event for event in events if event.imr == 3]
    return b"".join(
        (
            b"\x00\x00",
            _scale(quote),
            _compact(len(events)),
            *map(_scale_event, events),
            _compact(len(runtime)),
            *(_scale(event.name.encode()) + _scale(event.payload) for event in runtime),
            report_data,
            _scale(config.encode()),
        )
    )


def _scale_event(event: Event) -> bytes:
    numbers = event.imr.to_bytes(4, "little") + event.kind.to_bytes(4, "little")
    return numbers + _scale(event.digest) + _scale(event.name.encode()) + _scale(event.payload)


def _scale(data: bytes) -> bytes:
    return _compact(len(data)) + data


def _compact(number: int) -> bytes:
    """A SCALE number; its two lowest bits say in how many bytes it comes."""
    if number < 1 << 6:
        return (number << 2).to_bytes(1, "little")
    if number < 1 << 14:
        return (number << 2 | 1).to_bytes(2, "little")
    return (number << 2 | 2).to_bytes(4, "little")


def _msgpack_attestation(quote: bytes, events: list[Event], report_data: bytes, config: str) -> bytes:
    log = [
        {"imr": event.imr, "event_type": event.kind, "digest": event.digest, "event": event.name,
         "event_payload": event.payload} | _versioned(event, {"preimage": event.preimage().hex()})
        for event in events
    ]  # fmt: skip
    runtime = [{"event": e.name, "payload": e.payload} | _versioned(e, {}) for e in events if e.imr == 3]
    stack = {"report_data": list(report_data), "runtime_events": runtime, "config": config}
    return msgpack(
        {
            "version": 1,
            "platform": {"kind": "tdx", "data": {"quote": list(quote), "event_log": log}},
            "stack": {"kind": "dstack", "data": stack},
        }
    )


def _versioned(event: Event, more: dict[str, Json]) -> dict[str, Json]:
    return {"version": event.version, **more} if event.version > 1 else {}


def msgpack(value: Json) -> bytes:
    """`value` as MessagePack, each part in its shortest form."""
    if isinstance(value, dict):
        items = b"".join(msgpack(name) + msgpack(item) for name, item in value.items())
        return _sized(len(value), 0x80, 16, (0, 0xDE, 0xDF)) + items
    if isinstance(value, list):
        return _sized(len(value), 0x90, 16, (0, 0xDC, 0xDD)) + b"".join(map(msgpack, value))
    if isinstance(value, str):
        return _sized(len(value.encode()), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + value.encode()
    if isinstance(value, bytes):
        return _sized(len(value), 0, 0, (0xC4, 0xC5, 0xC6)) + value
    return _sized(value, 0x00, 128, (0xCC, 0xCD, 0xCE))


def _sized(size: int, short: int, below: int, marks: tuple[int, int, int]) -> bytes:
    """A mark and a size: in one byte when it is below `below`, else in the first of the forms that has room."""
    if size < below:
        return bytes([short | size])
    for width, mark in zip((1, 2, 4), marks, strict=True):
        if mark and size < 1 << 8 * width:
            return bytes([mark]) + size.to_bytes(width)
    raise ValueError(f"{size} is beyond what an attestation has")
