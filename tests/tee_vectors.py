"""The quotes, event logs and other evidence in `vectors/tee`, as bytes, and what is expected of each."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from teehee.errors import VerificationError
from teehee.evidence import attestation, eventlog
from teehee.evidence.eventlog import Event

TEE = Path(__file__).parent / "vectors" / "tee"
EXPECTED: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads((TEE / "expected.json").read_text())["quotes"]
}
TDX = [name for name, entry in EXPECTED.items() if "td" in entry]
LOGGED = [name for name, entry in EXPECTED.items() if "event_log" in entry]
ATTESTED = ["simHEAD", "lite-att"]


def read(path: str) -> bytes:
    return (TEE / path).read_bytes()


def read_json(path: str) -> Any:
    return json.loads(read(path))


def attestation_bytes(name: str) -> bytes:
    path = EXPECTED[name]["quote_file"]
    return read(path) if path.endswith(".bin") else bytes.fromhex(read_json(path)["attestation"])


def quote_bytes(name: str) -> bytes:
    path, encoding = EXPECTED[name]["quote_file"], EXPECTED[name]["quote_encoding"]
    if name in ATTESTED:
        return attestation.parse(attestation_bytes(name)).quote_bytes
    if encoding == "raw":
        return read(path)
    if encoding == "hex-text":
        return bytes.fromhex(read(path).decode().strip())
    return bytes(read_json(path)) if encoding == "json-byte-array" else bytes.fromhex(read_json(path)["quote"])


def entries(name: str) -> Any:
    """The event log as JSON."""
    log = EXPECTED[name]["event_log"]
    found = read_json(log["file"]) if log["field"] == "$" else read_json(log["file"])[log["field"]]
    return json.loads(found) if isinstance(found, str) else found


def events(name: str) -> tuple[Event, ...]:
    if name in ATTESTED:
        return attestation.parse(attestation_bytes(name)).events
    return eventlog.read(entries(name))


def refused(step: str, says: str, check: Callable[..., object], *arguments: object, **named: object) -> None:
    with pytest.raises(VerificationError) as caught:
        check(*arguments, **named)
    assert caught.value.step == step, caught.value
    assert says in str(caught.value)


def parsed_or_refused(check: Callable[..., object], *arguments: object) -> None:
    """Passes if `check` does, or if it raises VerificationError and says where, in few words."""
    said = "a step", ""
    try:
        check(*arguments)
    except VerificationError as error:
        said = error.step, str(error)
    assert said[0]
    assert len(said[1]) < 2_000
