"""Event logs: replayed digest by digest, and believed up to the point where the system was ready."""

import json
from collections.abc import Callable
from hashlib import sha256, sha384
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import ATTESTED, EXPECTED, LOGGED, entries, events, parsed_or_refused, quote_bytes, refused
from teehee.errors import VerificationError
from teehee.evidence import canonical, compose, eventlog, quote
from teehee.evidence.eventlog import ERAS, RUNTIME_EVENT, Event, KeyProvider

RTMRS = {name: quote.parse(quote_bytes(name)).td.rtmrs for name in LOGGED}
NEAR = json.dumps(entries("near"))
PAYLOADS: dict[str, bytes] = {
    **{name: bytes([len(name)]) * sizes[-1] for name, sizes in eventlog.PAYLOAD_SIZES.items()},
    "key-provider": b'{"name":"kms","id":"3059"}',
    "storage-fs": b"zfs",
    "gpu-attestation": b"{}",
}


def runtime(name: str, payload: bytes = b"", version: int = 1) -> Event:
    return eventlog.event(3, RUNTIME_EVENT, name, payload, b"", version)


def booted(*names: str, version: int = 1) -> list[Event]:
    return [runtime(name, PAYLOADS.get(name, b""), version) for name in names]


def spoken(era: str, *, all_of_it: bool = True) -> list[str]:
    return [name.rstrip("?*") for name in ERAS[era] if all_of_it or name[-1] not in "?*"]


READY = spoken("0.5.5", all_of_it=False)


# Real logs


@pytest.mark.parametrize("name", LOGGED)
def test_a_log_leads_to_the_registers_it_is_known_for(name: str) -> None:
    expected = EXPECTED[name]["event_log"]["rtmr_match"]

    replayed = eventlog.check_replay(events(name), RTMRS[name])

    assert [index in replayed for index in range(4)] == expected


@pytest.mark.parametrize("name", LOGGED)
def test_a_log_says_what_it_is_known_for(name: str) -> None:
    said = [item for item in events(name) if item.imr == 3]

    shown = [
        [item.name, f"sha256:{sha256(item.payload).hexdigest()}" if len(item.payload) > 120 else item.payload.hex()]
        for item in said
    ]
    assert shown == EXPECTED[name]["event_log"]["events"]


ERA_OF = {"near": "0.5.5", "simHEAD": "0.5.5", "sim055": "0.4", "quote-report": "0.4", "ex": "0.4"}


@pytest.mark.parametrize("name", LOGGED)
def test_a_boot_is_told_by_its_log(name: str) -> None:
    said = dict(EXPECTED[name]["event_log"]["events"])

    boot = eventlog.boot(events(name))

    assert boot.era == ERA_OF.get(name, "0.5.5")
    assert boot.app_id.hex() == said["app-id"]
    assert boot.compose_hash.hex() == said["compose-hash"]
    assert boot.instance_id.hex() == said["instance-id"]
    assert boot.os_image_hash.hex() == said.get("os-image-hash", "")
    assert boot.rootfs_hash.hex() == said.get("rootfs-hash", "")
    assert boot.storage_fs == bytes.fromhex(said.get("storage-fs", "")).decode()
    assert boot.version == 1


def test_a_key_provider_has_name_and_id() -> None:
    near, simulated = eventlog.boot(events("near")).key_provider, eventlog.boot(events("simHEAD")).key_provider

    mrenclave = "6b5ed02e549a1c30aaa8e3171a045f1f449b0017353ef595e78e39c348c98d01"
    assert near == KeyProvider("local-sgx", bytes.fromhex(mrenclave))
    assert simulated is not None
    assert (simulated.name, simulated.id[:2].hex(), len(simulated.id)) == ("kms", "3059", 91)


def test_what_comes_behind_ready_is_shown_and_not_believed() -> None:
    near, report = eventlog.boot(events("near")), eventlog.boot(events("quote-report"))

    assert [item.name for item in near.untrusted] == ["mpc-image-digest"]
    assert [item.name for item in report.untrusted] == ["LIUM_MINER_HOTKEY"]


def test_both_shapes_of_json_are_read() -> None:
    whole, without_digests = entries("near"), entries("lite")

    assert all(entry["digest"] for entry in whole)
    assert {entry["digest"] for entry in without_digests if entry["imr"] == 3} == {""}
    assert eventlog.parse(json.dumps(whole)) == eventlog.parse(json.dumps(whole).encode()) == eventlog.read(whole)
    assert eventlog.parse(json.dumps(without_digests)) == eventlog.read(without_digests)


# Digests and registers


def test_a_register_grows_by_hashing() -> None:
    one, two = runtime("a"), runtime("b")

    assert eventlog.replay([])[3] == bytes(48)
    assert eventlog.replay([one, two])[3] == sha384(sha384(bytes(48) + one.digest).digest() + two.digest).digest()


def test_a_digest_of_version_1_is_over_type_name_and_payload() -> None:
    assert runtime("app-id", b"\xde\xad").digest == sha384(b"\x01\0\0\x08:app-id:\xde\xad").digest()


def test_a_digest_of_version_2_is_over_canonical_json() -> None:
    form = b'{"name":"compose-hash","payload":"abcd","type":134217729}'

    assert runtime("compose-hash", b"\xab\xcd", 2).digest == sha384(form).digest()


def test_a_preimage_that_is_right_is_taken() -> None:
    name, payload = 'a "name"\n', b"\xff"
    form = canonical.canonical({"name": name, "payload": "ff", "type": RUNTIME_EVENT})

    assert eventlog.event(3, RUNTIME_EVENT, name, payload, sha384(form).digest(), 2, form) == runtime(name, payload, 2)


@pytest.mark.parametrize("name", [name for name in LOGGED if name not in ATTESTED])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_changed_boot_event_leads_elsewhere(name: str, index: int) -> None:
    log = entries(name)
    found = next(entry for entry in log if entry["imr"] == index)
    found["digest"] = "00" + found["digest"][2:]

    refused("eventlog.7", f"RTMR{index}", eventlog.check_replay, eventlog.read(log), RTMRS[name])


def test_a_left_out_runtime_event_leads_elsewhere() -> None:
    for index, item in enumerate(events("near")):
        shorter = [*events("near")[:index], *events("near")[index + 1 :]]
        step = "eventlog.6" if item.imr == 3 else "eventlog.7"
        refused(step, "the log gives", eventlog.check_replay, shorter, RTMRS["near"])


def test_two_runtime_events_that_changed_places_lead_elsewhere() -> None:
    log = list(events("near"))
    log[-1], log[-2] = log[-2], log[-1]

    refused("eventlog.6", "RTMR3", eventlog.check_replay, log, RTMRS["near"])


# Malformed entries, each by its defect


def entry(**changes: Any) -> dict[str, Any]:
    good = {"imr": 3, "event_type": RUNTIME_EVENT, "digest": "", "event": "app-id", "event_payload": "00"}
    return {key: value for key, value in {**good, **changes}.items() if value is not ...}


MALFORMED: dict[str, tuple[str, str, Any]] = {
    "an_object": ("eventlog.1", "expected an array", {}),
    "too_many": ("eventlog.1", "at most 1024", [entry()] * 1_025),
    "a_text": ("eventlog.2", "entry 0: expected an object", ["app-id"]),
    "no_payload": ("eventlog.2", "expected keys", [entry(event_payload=...)]),
    "unknown_key": ("eventlog.2", "expected keys", [entry(note="")]),
    "imr_in_words": ("eventlog.2", "32 bits", [entry(imr="3")]),
    "imr_true": ("eventlog.2", "32 bits", [entry(imr=True)]),
    "imr_negative": ("eventlog.2", "32 bits", [entry(imr=-1)]),
    "imr_4": ("eventlog.3", "RTMR4", [entry(imr=4)]),
    "type_too_large": ("eventlog.2", "32 bits", [entry(event_type=2**32)]),
    "name_null": ("eventlog.2", "expected a name", [entry(event=None)]),
    "name_too_long": ("eventlog.3", "short name", [entry(event="x" * 257)]),
    "payload_in_base64": ("eventlog.2", "lower-case hex, got 'AQ=='", [entry(event_payload="AQ==")]),
    "payload_upper_case": ("eventlog.2", "lower-case hex", [entry(event_payload="AB")]),
    "payload_half_a_byte": ("eventlog.2", "lower-case hex", [entry(event_payload="a")]),
    "digest_null": ("eventlog.2", "lower-case hex", [entry(digest=None)]),
    "preimage_null": ("eventlog.2", "lower-case hex", [entry(preimage=None)]),
    "runtime_event_in_rtmr2": ("eventlog.3", "in RTMR2", [entry(imr=2)]),
    "boot_event_in_rtmr3": ("eventlog.3", "in RTMR3", [entry(event_type=13)]),
    "boot_event_of_version_2": ("eventlog.3", "got 2", [entry(imr=0, event_type=13, version=2)]),
    "version_3": ("eventlog.3", "got 3", [entry(version=3)]),
    "boot_event_without_digest": ("eventlog.4", "48 bytes in RTMR0, got 0", [entry(imr=0, event_type=13)]),
    "boot_event_with_short_digest": ("eventlog.4", "got 32", [entry(imr=0, event_type=13, digest="00" * 32)]),
    "digest_of_another_payload": ("eventlog.5", "not of this payload", [entry(digest="11" * 48)]),
    "digest_cut": ("eventlog.5", "not of this payload", [entry(digest=runtime("app-id", b"\0").digest.hex()[:-2])]),
    "preimage_of_another_name": ("eventlog.5", "another", [entry(preimage=b"\1\0\0\10:app:\0".hex())]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_entry_is_refused_by_name(name: str) -> None:
    step, says, log = MALFORMED[name]

    refused(step, says, eventlog.read, log)
    refused(step, says, eventlog.parse, json.dumps(log))


def test_an_entry_given_twice_or_half_is_refused() -> None:
    refused("json.5", "'imr' twice", eventlog.parse, '[{"imr":3,"imr":0}]')
    refused("json.4", "expected JSON", eventlog.parse, NEAR[:-1])
    refused("json.1", "at most 262144", eventlog.parse, " " * 262_145)
    refused("json.2", "half a character", eventlog.parse, '["\ud800"]')


# What the system says, and in which order


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("all_of_it", [True, False])
def test_every_era_is_understood(era: str, version: int, all_of_it: bool) -> None:
    boot = eventlog.boot(booted(*spoken(era, all_of_it=all_of_it), version=version))

    assert (boot.era, boot.version) == (era, version)
    assert (boot.app_id, boot.compose_hash) == (b"\x06" * 20, b"\x0c" * 32)


def test_init_scripts_may_be_several() -> None:
    names = spoken("0.6")
    names.insert(3, "init-script-hash")

    assert len(eventlog.boot(booted(*names)).init_script_hashes) == 2


WRONG_NAMES: dict[str, tuple[str, str, list[str]]] = {
    "nothing": ("eventlog.9", "expected 'system-ready'", []),
    "never_ready": ("eventlog.9", "expected 'system-ready'", READY[:-1]),
    "unknown_before_ready": ("eventlog.9", "got 'launch-hook'", [*READY[:3], "launch-hook", *READY[3:]]),
    "app_id_twice": ("eventlog.9", "'app-id' once, got it 2 times", [*READY[:2], *READY[1:]]),
    "ready_twice": ("eventlog.9", "got 'system-ready'", [*READY, "system-ready"]),
    "late_app_id": ("eventlog.9", "got 'app-id'", [*READY, "app-id"]),
    "late_key_provider": ("eventlog.9", "got 'key-provider'", [*READY, "hello", "key-provider"]),
    "late_event_of_another_era": ("eventlog.9", "got 'gpu-policy-hash'", [*READY, "gpu-policy-hash"]),
    "late_in_0_3": ("eventlog.9", "got 'compose-hash'", [*spoken("0.3"), "compose-hash"]),
    "no_app_id": ("eventlog.10", "order of an era", [name for name in READY if name != "app-id"]),
    "no_key_provider": ("eventlog.10", "order of an era", [name for name in READY if name != "key-provider"]),
    "compose_before_app": ("eventlog.10", "order of an era", [READY[0], READY[2], READY[1], *READY[3:]]),
    "key_provider_before_done": ("eventlog.10", "order of an era", [*READY[:4], READY[5], READY[4], *READY[6:]]),
    "rootfs_in_0_5_5": ("eventlog.10", "order of an era", [READY[0], "rootfs-hash", *READY[1:]]),
    "scripts_without_gpu_policy": ("eventlog.10", "order of an era", [*READY[:3], "init-script-hash", *READY[3:]]),
}


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_wrong_sequence_is_refused_by_name(name: str) -> None:
    step, says, names = WRONG_NAMES[name]

    refused(step, says, eventlog.boot, booted(*names))


WRONG_PAYLOADS: dict[str, tuple[str, str, bytes]] = {
    "app-id": ("eventlog.11", "app-id: expected (20,) bytes, got 32", bytes(32)),
    "compose-hash": ("eventlog.11", "compose-hash", bytes(31)),
    "instance-id": ("eventlog.11", "instance-id", bytes(1)),
    "boot-mr-done": ("eventlog.11", "boot-mr-done", b"x"),
    "storage-fs": ("eventlog.11", "storage-fs: expected one of", b"btrfs"),
    "key-provider": ("eventlog.11", "key-provider: expected one of", b'{"name":"pkcs11","id":""}'),
}


@pytest.mark.parametrize("name", WRONG_PAYLOADS)
def test_a_payload_of_another_form_is_refused(name: str) -> None:
    step, says, payload = WRONG_PAYLOADS[name]
    log = [runtime(name, payload) if item.name == name else item for item in booted(*READY)]

    refused(step, says, eventlog.boot, log)


@pytest.mark.parametrize(
    "payload",
    [b"{}", b"[]", b'{"name":"kms","id":"","x":1}', b'{"name":"kms","id":7}', b'{"name":["kms"],"id":""}', b"x"],
)
def test_a_key_provider_of_another_form_is_refused(payload: bytes) -> None:
    log = [runtime("key-provider", payload) if item.name == "key-provider" else item for item in booted(*READY)]

    with pytest.raises(VerificationError):
        eventlog.boot(log)


# What went wrong elsewhere


def test_r28_a_log_that_replays_may_be_another_programs() -> None:
    """Logs were replayed and then not compared with the compose file: any program's log leads to some RTMR3."""
    boot, file = eventlog.boot(events("simHEAD")), compose.compose_hash(b"{}")

    refused("eventlog.12", "expected compose hash", eventlog.check_compose, boot, file, 1)
    eventlog.check_compose(boot, boot.compose_hash, 1)


def test_r36_registers_that_were_not_replayed_are_not_among_the_replayed() -> None:
    """A tool counted what it had skipped as passed. A lite log says nothing of RTMR0-2, and neither do we."""
    lite = eventlog.check_replay(events("lite-att"), RTMRS["lite-att"])
    without_boot = [item for item in events("near") if item.imr == 3]

    assert lite == (3,)
    assert eventlog.check_replay(without_boot, RTMRS["near"]) == (3,)


def test_r36_half_a_boot_log_is_not_a_lite_log() -> None:
    half = [item for item in events("near") if item.imr != 1]

    refused("eventlog.7", "RTMR1", eventlog.check_replay, half, RTMRS["near"])


def test_r41_a_second_compose_hash_after_boot_is_refused() -> None:
    """Whoever can write to RTMR3 later named another compose file; readers took the last one, or the first."""
    log = [*events("near"), runtime("compose-hash", bytes(32))]

    refused("eventlog.9", "no system event once the system was ready", eventlog.boot, log)


def test_r41_nor_one_during_boot() -> None:
    log = [*booted(*READY[:3]), runtime("compose-hash", bytes(32)), *booted(*READY[3:])]

    refused("eventlog.9", "'compose-hash' once", eventlog.boot, log)


def test_r42_a_digest_of_the_other_version_is_refused() -> None:
    """A log of version 2 was taken with digests of version 1, so names and payloads could be cut elsewhere."""
    for version in (1, 2):
        digest = runtime("app-id", bytes(20), 3 - version).digest
        said = (3, RUNTIME_EVENT, "app-id", bytes(20), digest, version)
        refused("eventlog.5", "not of this payload", eventlog.event, *said)


def test_r42_versions_are_not_mixed_and_are_those_of_the_compose_file() -> None:
    mixed = [*booted(*READY[:3]), *booted(*READY[3:], version=2)]
    boot = eventlog.boot(booted(*READY))

    refused("eventlog.8", "versions 1 and 2", eventlog.boot, mixed)
    refused("eventlog.13", "version 2, got 1", eventlog.check_compose, boot, boot.compose_hash, 2)


def test_r42_a_name_that_is_cut_elsewhere_is_no_system_event() -> None:
    """Version 1 has a colon between name and payload, so `a` and `b:c` hash like `a:b` and `c`."""
    whole, cut = runtime("compose-hash", b"x:y"), runtime("compose-hash:x", b"y")

    assert whole.digest == cut.digest
    refused("eventlog.9", "got 'compose-hash:x'", eventlog.boot, [*booted(*READY[:2]), cut, *booted(*READY[3:])])


# Anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**33) | st.text(max_size=8) | st.sampled_from(["00", "app-id"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*entry(), "version"]), inner),
    max_leaves=12,
)


@fuzzed()
@given(JSON | st.lists(JSON.map(lambda value: entry(event_payload=value))) | st.lists(JSON.map(lambda v: entry(imr=v))))
def test_any_json_is_read_or_refused(value: Any) -> None:
    parsed_or_refused(eventlog.read, value)


@fuzzed()
@given(st.data())
def test_a_mutated_log_is_parsed_or_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(NEAR)))
    mutated = NEAR[:at] + data.draw(st.text(max_size=4)) + NEAR[at + data.draw(st.integers(0, 4)) :]

    parsed_or_refused(lambda: eventlog.boot(eventlog.parse(mutated)))


NAMES = st.lists(st.sampled_from(sorted({name for era in ERAS for name in spoken(era)} | {"x"})), max_size=14)


@fuzzed()
@given(NAMES, st.sampled_from(list(ERAS)))
def test_any_sequence_is_an_eras_or_refused(extra: list[str], era: str) -> None:
    parsed_or_refused(eventlog.boot, booted(*extra))
    parsed_or_refused(eventlog.boot, booted(*spoken(era), *extra))


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "hostile",
    [
        lambda: "[" * 262_144,
        lambda: "[" + "0," * 131_000 + "0]",
        lambda: json.dumps([entry(event="x" * 256)] * 700),
        lambda: json.dumps([entry(event_payload="00" * 130_000)]),
        lambda: '{"' * 87_000,
    ],
)
def test_a_hostile_log_takes_no_time(hostile: Callable[[], str]) -> None:
    for _ in range(5):
        parsed_or_refused(lambda: eventlog.boot(eventlog.parse(hostile())))
