"""MRCONFIGID: what each version binds, and that it binds what the machine was started with."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import EXPECTED, LOGGED, events, parsed_or_refused, quote_bytes, refused
from teehee.evidence import eventlog, mrconfig, quote
from teehee.evidence.eventlog import KeyProvider
from teehee.evidence.keccak import keccak256
from teehee.evidence.mrconfig import Config

ADA = Config(
    compose_hash=b"\x22" * 32,
    app_id=b"\x11" * 20,
    key_provider=KeyProvider("kms", b"\x33" * 32),
    instance_id=b"\x44" * 20,
    init_script_hashes=(b"\xaa" * 32, b"\xbb" * 32),
    gpu_policy_hash=b"\x55" * 32,
)
# The document of dstack's own test (mr_config.rs), as its canonical form there.
UPSTREAM = (
    '{"app_id":"1111111111111111111111111111111111111111",'
    '"compose_hash":"2222222222222222222222222222222222222222222222222222222222222222",'
    '"gpu_policy_hash":"5555555555555555555555555555555555555555555555555555555555555555",'
    '"instance_id":"4444444444444444444444444444444444444444","key_provider":"kms",'
    '"key_provider_id":"3333333333333333333333333333333333333333333333333333333333333333","version":3}'
)


def document(**changes: Any) -> bytes:
    return json.dumps(
        {key: value for key, value in {**json.loads(UPSTREAM), **changes}.items() if value is not ...}
    ).encode()


# Real machines


@pytest.mark.parametrize("name", LOGGED)
def test_a_machine_is_bound_to_its_compose_hash_or_to_nothing(name: str) -> None:
    boot, bound = eventlog.boot(events(name)), EXPECTED[name]["td"]["mrconfigid"]
    assert boot.key_provider is not None
    config = Config(boot.compose_hash, boot.app_id, boot.key_provider)
    mrconfigid = quote.parse(quote_bytes(name)).td.mrconfigid

    if bound.startswith("01"):
        assert mrconfig.verify(mrconfigid, config) == ("compose_hash",)
        assert mrconfig.v1(boot.compose_hash).hex() == bound
    else:
        refused("mrconfig.2", "it is unset", mrconfig.verify, mrconfigid, config)


# What each version binds


@pytest.mark.parametrize("left_out", [(), ("app_id",), ("app_id", "gpu_policy_hash", "instance_id", "key_provider_id")])
def test_the_document_of_version_3_is_written_anew_where_none_is_given(left_out: tuple[str, ...]) -> None:
    said = {key: value for key, value in json.loads(UPSTREAM).items() if key not in left_out}
    upstream = json.dumps(said, separators=(",", ":"), sort_keys=True).encode()

    bound = mrconfig.verify(mrconfig.v3(upstream), ADA)

    assert set(bound) == said.keys() - {"version"}


def test_version_1_binds_the_compose_hash_alone() -> None:
    other = Config(ADA.compose_hash, bytes(20), KeyProvider("none", b""))

    assert mrconfig.v1(ADA.compose_hash) == b"\x01" + b"\x22" * 32 + bytes(15)
    assert mrconfig.verify(mrconfig.v1(ADA.compose_hash), other) == ("compose_hash",)


def test_version_2_binds_app_and_key_provider_too() -> None:
    bound = mrconfig.verify(mrconfig.v2(ADA), ADA)

    assert bound == ("compose_hash", "app_id", "key_provider", "key_provider_id")
    hashed = keccak256(b"\x22" * 32 + b"\x11" * 20 + b"\x02" + b"\x33" * 32)
    assert mrconfig.v2(ADA) == b"\x02" + hashed + bytes(15)
    assert hashed.hex() == "7f2ca741da9d356026ab20ca640abf06198829a128817b091bbc9aec1ed97b60"


def test_version_3_binds_what_its_document_says() -> None:
    whole = document(init_script_hashes=["aa" * 32, "bb" * 32])
    least = document(app_id=..., gpu_policy_hash=..., instance_id=..., key_provider_id=..., version=...)

    assert set(mrconfig.verify(mrconfig.v3(whole), ADA, whole)) == {
        *("compose_hash", "app_id", "key_provider", "key_provider_id"),
        *("instance_id", "gpu_policy_hash", "init_script_hashes"),
    }
    assert set(mrconfig.verify(mrconfig.v3(least), ADA, least)) == {"compose_hash", "key_provider"}


def test_version_3_is_over_the_bytes_and_not_over_what_they_mean() -> None:
    compact, spaced = UPSTREAM.encode(), document()

    assert json.loads(compact) == json.loads(spaced)
    assert mrconfig.v3(compact) != mrconfig.v3(spaced)
    refused("mrconfig.4", "expected MRCONFIGID", mrconfig.verify, mrconfig.v3(compact), ADA, spaced)


# Refused, each by its defect

KNOWN = UPSTREAM.encode()
OTHER = json.dumps({**json.loads(UPSTREAM), "app_id": "00" * 20}, separators=(",", ":"), sort_keys=True).encode()
REFUSED: dict[str, tuple[str, str, bytes, bytes | None]] = {
    "too_short": ("mrconfig.1", "48 bytes", bytes(47), None),
    "bytes_behind": ("mrconfig.1", "zeros from 33", mrconfig.v1(ADA.compose_hash)[:-1] + b"\1", None),
    "unset": ("mrconfig.2", "unset", bytes(48), None),
    "unset_with_document": ("mrconfig.2", "unset", bytes(48), KNOWN),
    "version_4": ("mrconfig.3", "got 4", b"\x04" + bytes(47), None),
    "version_0_with_a_hash": ("mrconfig.3", "got 0", b"\0" + b"\x22" * 32 + bytes(15), None),
    "version_3_of_other_facts": ("mrconfig.4", "a document with these facts", mrconfig.v3(OTHER), None),
    "version_3_in_other_bytes": ("mrconfig.4", "a document with these facts", mrconfig.v3(KNOWN + b" "), None),
    "version_1_with_document": ("mrconfig.3", "got 1 with a document", mrconfig.v1(ADA.compose_hash), KNOWN),
    "document_too_large": ("mrconfig.3", "at most 16384", mrconfig.v3(KNOWN), KNOWN + b" " * 16_384),
    "another_compose_hash": ("mrconfig.4", "expected MRCONFIGID 0122", mrconfig.v1(bytes(31) + b"\1"), None),
    "another_app": ("mrconfig.4", "expected MRCONFIGID 02", mrconfig.v2(replace(ADA, app_id=bytes(20))), None),
    "another_document": ("mrconfig.4", "expected MRCONFIGID 03", mrconfig.v3(KNOWN), document(app_id="00" * 20)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_mrconfigid_is_refused_by_name(name: str) -> None:
    step, says, mrconfigid, given_document = REFUSED[name]

    refused(step, says, mrconfig.verify, mrconfigid, ADA, given_document)


@pytest.mark.parametrize(
    "other",
    [
        replace(ADA, key_provider=KeyProvider("local-sgx", ADA.key_provider.id)),
        replace(ADA, key_provider=KeyProvider("kms", b"")),
        replace(ADA, app_id=bytes(20)),
        replace(ADA, compose_hash=bytes(32)),
    ],
)
def test_version_2_binds_each_of_its_parts(other: Config) -> None:
    refused("mrconfig.4", "expected MRCONFIGID", mrconfig.verify, mrconfig.v2(ADA), other)


DOCUMENTS: dict[str, tuple[str, str, bytes]] = {
    "no_json": ("json.4", "expected JSON", b"{"),
    "an_array": ("mrconfig.5", "an object of version 3", b"[]"),
    "version_2": ("mrconfig.5", "an object of version 3", document(version=2)),
    "no_compose_hash": ("mrconfig.5", "the keys of version 3", document(compose_hash=...)),
    "unknown_key": ("mrconfig.5", "the keys of version 3", document(note="")),
    "short_hash": ("mrconfig.5", "compose_hash: expected 32 bytes", document(compose_hash="22")),
    "upper_case": ("mrconfig.5", "app_id: expected 20 bytes in lower-case", document(app_id="AA" * 20)),
    "null": ("mrconfig.5", "instance_id", document(instance_id=None)),
    "unknown_provider": ("mrconfig.5", "none, local, kms, tpm", document(key_provider="hsm")),
    "provider_of_the_log": ("mrconfig.5", "none, local, kms, tpm", document(key_provider="local-sgx")),
    "six_scripts": ("mrconfig.5", "at most 5 init scripts", document(init_script_hashes=["aa" * 32] * 6)),
    "script_in_words": ("mrconfig.5", "init_script_hashes", document(init_script_hashes=["aa"])),
    "another_compose_hash": ("mrconfig.6", "compose_hash", document(compose_hash="00" * 32)),
    "another_app_id": ("mrconfig.6", "app_id", document(app_id="00" * 20)),
    "another_provider": ("mrconfig.6", "key_provider: expected 'kms', got 'local-sgx'", document(key_provider="local")),
    "another_provider_id": ("mrconfig.6", "key_provider_id", document(key_provider_id="00")),
    "another_instance": ("mrconfig.6", "instance_id", document(instance_id="00" * 20)),
    "another_gpu_policy": ("mrconfig.6", "gpu_policy_hash", document(gpu_policy_hash="00" * 32)),
    "scripts_in_another_order": ("mrconfig.6", "init_script", document(init_script_hashes=["bb" * 32, "aa" * 32])),
    "no_scripts_allowed": ("mrconfig.6", "init_script_hashes: expected", document(init_script_hashes=[])),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_wrong_document_is_refused_by_name(name: str) -> None:
    step, says, given_document = DOCUMENTS[name]

    refused(step, says, mrconfig.verify, mrconfig.v3(given_document), ADA, given_document)


# Anything at all


@fuzzed()
@given(st.binary(max_size=60), st.none() | st.binary(max_size=60))
def test_any_bytes_are_verified_or_refused(mrconfigid: bytes, given_document: bytes | None) -> None:
    parsed_or_refused(mrconfig.verify, mrconfigid, ADA, given_document)
    if given_document is not None:
        parsed_or_refused(mrconfig.verify, mrconfig.v3(given_document), ADA, given_document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("22" * 32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(json.loads(UPSTREAM))), inner),
    max_leaves=10,
)


@fuzzed()
@given(JSON, st.sampled_from([*json.loads(UPSTREAM), "init_script_hashes"]))
def test_any_document_is_verified_or_refused(value: Any, name: str) -> None:
    for given_document in (json.dumps(value).encode(), document(**{name: value})):
        parsed_or_refused(mrconfig.verify, mrconfig.v3(given_document), ADA, given_document)


@pytest.mark.timeout(10)
def test_a_hostile_document_takes_no_time() -> None:
    for hostile in (b"[" * 16_384, b'{"compose_hash":"' + b"0" * 16_000 + b'"}', b'{"a":' * 3_000):
        for _ in range(100):
            parsed_or_refused(mrconfig.verify, mrconfig.v3(hostile), ADA, hostile)
