"""VersionedAttestation: SCALE read to the byte, MessagePack within limits, and no platform but TDX."""

import struct
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it comes without types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import ATTESTED, EXPECTED, attestation_bytes, parsed_or_refused, quote_bytes, refused
from teehee.evidence import attestation, eventlog
from teehee.evidence.attestation import Attestation
from teehee.evidence.eventlog import Event

HEAD = attestation_bytes("simHEAD")
PARSED = attestation.parse(HEAD)


def compact(length: int) -> bytes:
    mode = 0 if length < 1 << 6 else 1 if length < 1 << 14 else 2
    return (length << 2 | mode).to_bytes((1, 2, 4)[mode], "little")


def sized(data: bytes) -> bytes:
    return compact(len(data)) + data


def scale(
    given: Attestation, *, runtime_events: list[Event] | None = None, platform: int = 0, config: bytes = b""
) -> bytes:
    """The SCALE bytes, written as dstack writes them."""
    said = [item for item in given.events if item.imr == 3] if runtime_events is None else runtime_events
    entries = [
        struct.pack("<II", item.imr, item.event_type)
        + sized(item.digest)
        + sized(item.name.encode())
        + sized(item.payload)
        for item in given.events
    ]
    again = [sized(item.name.encode()) + sized(item.payload) for item in said]
    logs = compact(len(entries)) + b"".join(entries) + compact(len(again)) + b"".join(again)
    return (
        bytes([0, platform])
        + sized(given.quote_bytes)
        + logs
        + given.report_data
        + sized(config or given.config.encode())
    )


def members(given: Attestation = PARSED, *, version: int = 1, bytes_as: Any = bytes) -> dict[str, Any]:
    """The MessagePack map, as serde writes it: bytes as an array where no attribute says otherwise."""
    log = [
        {
            **{"imr": item.imr, "event_type": item.event_type, "digest": item.digest, "event": item.name},
            **{"event_payload": item.payload},
        }
        for item in given.events
    ]
    again = [{"event": item.name, "payload": item.payload} for item in given.events if item.imr == 3]
    data = {"report_data": bytes_as(given.report_data), "runtime_events": again, "config": given.config}
    return {
        "version": version,
        "platform": {"kind": "tdx", "data": {"quote": bytes_as(given.quote_bytes), "event_log": log}},
        "stack": {"kind": "dstack", "data": data},
    }


def packed(value: Any) -> bytes:
    found: bytes = msgpack.packb(value)
    return found


# Real attestations


@pytest.mark.parametrize("name", ATTESTED)
def test_an_attestation_decodes_to_the_byte(name: str) -> None:
    data = attestation_bytes(name)

    parsed = attestation.parse(data)

    assert parsed.version == 0
    assert parsed.report_data.hex() == EXPECTED[name]["td"]["report_data"]
    assert parsed.quote.td.mrtd.hex() == EXPECTED[name]["td"]["mrtd"]
    assert parsed.config.startswith('{"')
    if name == "simHEAD":  # the other leaves digests of runtime events away
        assert scale(parsed) == data


def test_an_attestation_holds_the_quote_that_is_published_beside_it() -> None:
    assert attestation.parse(attestation_bytes("lite-att")).quote_bytes == quote_bytes("lite")


def test_its_events_lead_to_the_registers_of_its_quote() -> None:
    assert eventlog.check_replay(PARSED.events, PARSED.quote.td.rtmrs) == (0, 1, 2, 3)


# MessagePack


@pytest.mark.parametrize("bytes_as", [bytes, list])
def test_version_1_says_the_same_as_version_0(bytes_as: Any) -> None:
    again = attestation.parse(packed(members(bytes_as=bytes_as)))

    assert again.version == 1
    assert (again.quote, again.events, again.report_data, again.config) == (
        *(PARSED.quote, PARSED.events),
        *(PARSED.report_data, PARSED.config),
    )


def test_version_1_carries_events_of_version_2() -> None:
    value = members()
    log, again = value["platform"]["data"]["event_log"], value["stack"]["data"]["runtime_events"]
    for item in (*(entry for entry in log if entry["imr"] == 3), *again):
        item["version"] = 2
        item.pop("digest", None)

    assert {item.version for item in attestation.parse(packed(value)).events if item.imr == 3} == {2}


def test_a_pod_brings_the_preimage_of_its_report_data() -> None:
    value = members()
    value["stack"]["kind"] = "dstack-pod"
    value["stack"]["data"]["report_data_payload"] = "{}"

    assert attestation.parse(packed(value)).report_data_payload == "{}"


# Malformed, each by its defect


def changed(*path: str, to: Any) -> bytes:
    value: Any = members()
    at = value
    for key in path[:-1]:
        at = at[key]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return packed(value)


LOG = ("platform", "data", "event_log")
END = len(HEAD) - len(sized(PARSED.config.encode()))
MALFORMED: dict[str, tuple[str, str, bytes]] = {
    "empty": ("attestation.1", "0 bytes", b""),
    "too_large": ("attestation.1", "262145 bytes", b"\0" * 262_145),
    "json": ("attestation.1", "from 7b on", b"{}"),
    "array": ("attestation.1", "from 93 on", packed([1, 2, 3])),
    "version_1_of_scale": ("attestation.1", "from 01 on", b"\x01" + HEAD[1:]),
    "no_platform": ("attestation.2", "expected 1 bytes", b"\0"),
    "cut_in_the_quote": ("attestation.2", "expected", HEAD[:2_000]),
    "cut_in_the_config": ("attestation.2", "expected", HEAD[:-1]),
    "length_not_shortest": ("attestation.2", "shortest form", b"\0\0" + (5 << 2 | 2).to_bytes(4, "little") + bytes(5)),
    "length_of_a_big_number": ("attestation.2", "under 2^30", b"\0\0\x03" + bytes(8)),
    "length_of_a_gigabyte": ("attestation.2", "1073741823 bytes", b"\0\0\xfe\xff\xff\xff"),
    "million_events": (
        "attestation.2",
        "at most 1024",
        b"\0\0" + sized(b"q") + (1_000_000 << 2 | 2).to_bytes(4, "little"),
    ),
    "name_not_utf8": ("attestation.2", "expected UTF-8", HEAD.replace(b"app-id", b"app\xff\xffd", 1)),
    "no_messagepack": ("attestation.3", "expected MessagePack", b"\x81\xc1"),
    "half_a_map": ("attestation.3", "expected MessagePack", packed(members())[:-1]),
    "key_twice": ("attestation.3", "one twice", b"\x82" + packed("version") + b"\1" + packed("version") + b"\1"),
    "key_of_bytes": ("attestation.3", "keys that are texts", packed({b"version": 1})),
    "key_of_bytes_in_an_entry": ("attestation.3", "keys that are texts", changed(*LOG, to=[{"imr": 3, b"event": 0}])),
    "key_of_a_number": ("attestation.3", "expected MessagePack", packed({1: 1})),
    "text_not_utf8": ("attestation.3", "expected MessagePack", b"\x81\xa1\xff\x01"),
    "deep": ("attestation.3", "expected MessagePack", b"\x81\xa1a" * 2_000 + b"\x01"),
    "array_of_a_gigabyte": ("attestation.3", "expected MessagePack", b"\x81\xa1a\xdd\x3f\xff\xff\xff"),
    "extension": ("attestation.3", "expected MessagePack", b"\x81\xa1a\xc7\x04\x05abcd"),
    "one_key_short": ("attestation.4", "a map of version, platform, stack", changed("stack", to=...)),
    "one_key_more": ("attestation.4", "a map of version, platform, stack", changed("note", to=1)),
    "version_2": ("attestation.4", "expected version 1, got 2", changed("version", to=2)),
    "version_true": ("attestation.4", "expected version 1, got True", changed("version", to=True)),
    "quote_in_hex": ("attestation.4", "expected bytes, got a str", changed("platform", "data", "quote", to="00")),
    "quote_of_big_numbers": ("attestation.4", "expected bytes", changed("platform", "data", "quote", to=[256])),
    "quote_of_truths": ("attestation.4", "expected bytes", changed("platform", "data", "quote", to=[True])),
    "log_of_a_text": ("attestation.4", "at most 1024 events, got a str", changed(*LOG, to="")),
    "log_too_long": ("attestation.4", "at most 1024", changed(*LOG, to=[0] * 1_025)),
    "entry_of_a_number": ("eventlog.2", "expected an object", changed(*LOG, to=[7])),
    "entry_without_name": ("eventlog.2", "expected keys", changed(*LOG, to=[{"imr": 3}])),
    "config_of_bytes": ("attestation.4", "expected a text", changed("stack", "data", "config", to=b"")),
    "stack_of_another_kind": ("attestation.4", "dstack or dstack-pod", changed("stack", "kind", to="bare")),
    "gcp": ("attestation.5", "got 'gcp-tdx'", scale(PARSED, platform=1)),
    "sev_snp": ("attestation.5", "got 'sev-snp'", scale(PARSED, platform=3)),
    "platform_9": ("attestation.5", "got 'number 9'", scale(PARSED, platform=9)),
    "sev_snp_in_messagepack": ("attestation.5", "got 'sev-snp'", changed("platform", "kind", to="sev-snp")),
    "bytes_behind": ("attestation.6", "got 1 bytes", HEAD + b"\0"),
    "bytes_behind_messagepack": ("attestation.6", "got more", packed(members()) + b"\0"),
    "no_quote": ("quote.1", "got 3", changed("platform", "data", "quote", to=b"abc")),
    "runtime_event_missing": ("attestation.8", "got others", scale(PARSED, runtime_events=[])),
    "runtime_events_more": ("attestation.8", "got others", scale(PARSED, runtime_events=list(PARSED.events))),
    "other_report_data": ("attestation.9", "the report data of the quote", HEAD[: END - 64] + b"\1" * 64 + HEAD[END:]),
    "short_report_data": ("attestation.9", "the report data", changed("stack", "data", "report_data", to=bytes(32))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_attestation_is_refused_by_name(name: str) -> None:
    step, says, data = MALFORMED[name]

    refused(step, says, attestation.parse, data)


def test_an_event_with_another_digest_is_refused() -> None:
    digest = next(item.digest for item in PARSED.events if item.name == "app-id")

    refused("eventlog.5", "not of this payload", attestation.parse, HEAD.replace(digest, bytes(48)))


# What went wrong elsewhere


def test_r32_a_quote_with_other_report_data_than_said_is_refused() -> None:
    """One value said it was about a key, the quote within was about another."""
    said = changed("stack", "data", "report_data", to=b"\1" * 64)

    refused("attestation.9", "the report data of the quote", attestation.parse, said)


def test_r36_a_platform_that_is_not_understood_is_refused() -> None:
    """Evidence of another platform went through where only TDX was checked."""
    for kind in ("gcp-tdx", "nitro-enclave", "sev-snp", "aws-nitro-tpm", "", "TDX", 0, None):
        refused("attestation.5", "expected platform tdx", attestation.parse, changed("platform", "kind", to=kind))


# Anything at all


@fuzzed()
@given(st.data())
def test_a_mutated_attestation_is_parsed_or_refused(data: st.DataObject) -> None:
    mutated = bytearray(data.draw(st.sampled_from([HEAD, packed(members()), packed(members(bytes_as=list))])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=5))

    parsed_or_refused(attestation.parse, bytes(mutated))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 300) | st.floats() | st.binary(max_size=4) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["event", "imr", "kind", "data"]), inner)
    ),
    max_leaves=8,
)
PLACES = [
    ("version",),
    ("platform",),
    ("platform", "data"),
    LOG,
    ("stack",),
    ("stack", "data"),
    ("stack", "data", "config"),
]


@fuzzed()
@given(ANYTHING, st.sampled_from(PLACES), st.binary(max_size=60))
def test_any_value_in_any_place_is_parsed_or_refused(value: Any, place: tuple[str, ...], noise: bytes) -> None:
    parsed_or_refused(attestation.parse, changed(*place, to=value))
    parsed_or_refused(attestation.parse, changed(*LOG, to=[value]))
    parsed_or_refused(attestation.parse, b"\0" + noise)
    parsed_or_refused(attestation.parse, b"\x83" + noise)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "hostile",
    [
        b"\0\0" + sized(b"") + compact(1_024) + b"\0" * 260_000,
        b"\0\0" + sized(b"") + compact(0) + compact(1_024) + (sized(b"n" * 60) + sized(b"p" * 60)) * 2_000,
        b"\x81\xa1a" + b"\x91" * 262_000,
        b"\xdf\xff\xff\xff\xff" + b"\xa0" * 262_000,
        packed({"x": [0] * 16_000, "y": [0] * 16_000}),
    ],
)
def test_a_hostile_attestation_takes_no_time(hostile: bytes) -> None:
    for _ in range(20):
        parsed_or_refused(attestation.parse, hostile[:262_144])
