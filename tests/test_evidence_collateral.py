"""DCAP collateral: nine parts, no choice of certificate for whoever brings them, and the time they hold."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dcap_qvl  # type: ignore[import-untyped]  # it comes without types
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import EXPECTED, TDX, parsed_or_refused, quote_bytes, read, read_json, refused
from teehee.evidence import collateral, quote

NEAR = read("near-mpc/collateral.json")
FILES = sorted({EXPECTED[name]["collateral_file"] for name in TDX})
WINDOWS = {
    "near-mpc/collateral.json": (1786617938, 1789171030, "B0C06F000000", 19),
    "dcap-qvl/tdx_quote_collateral.json": (1750329147, 1752919234, "B0C06F000000", 17),
    "dcap-qvl/tdx_quote_outdated_collateral.json": (1771412331, 1774003274, "90C06F000000", 18),
}


def changed(name: str, to: Any) -> bytes:
    value = json.loads(NEAR)
    if to is ...:
        del value[name]
    else:
        value[name] = to
    return json.dumps(value).encode()


def inside(name: str, **changes: Any) -> bytes:
    """The collateral with changes in a part that is JSON itself."""
    said = json.loads(json.loads(NEAR)[name])
    return changed(name, json.dumps({key: value for key, value in {**said, **changes}.items() if value is not ...}))


def crl(*, until: datetime | None = None) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "DEV")])
    start = datetime(2026, 8, 1, tzinfo=UTC)
    built = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(start)
    built = built.next_update(until or start + timedelta(days=60))
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.DER).hex()


# Real collateral


@pytest.mark.parametrize("file", FILES)
def test_collateral_holds_while_all_its_parts_do(file: str) -> None:
    opens, closes, fmspc, evaluation = WINDOWS[file]

    parsed = collateral.parse(read(file))

    assert (parsed.window.opens, parsed.window.closes, parsed.window.closed_by) == (opens, closes, "pck_crl")
    assert (parsed.fmspc, parsed.tcb_evaluation) == (fmspc, evaluation)


@pytest.mark.parametrize("name", TDX)
def test_a_dcap_verifier_reads_what_is_written_again(name: str) -> None:
    expected = EXPECTED[name]
    parsed = collateral.parse(read(expected["collateral_file"]))

    def verify() -> Any:
        again = dcap_qvl.QuoteCollateralV3.from_json(parsed.encode().decode())
        return dcap_qvl.verify(quote_bytes(name), again, expected["now"])

    if expected["dcap"]["ok"]:
        assert str(verify().status) == expected["dcap"]["status"]
    else:
        with pytest.raises(ValueError, match=r"No matching TCB level|certificate chain"):
            verify()


@pytest.mark.parametrize("name", [name for name in TDX if EXPECTED[name]["dcap"]["ok"]])
def test_the_window_is_the_verifiers(name: str) -> None:
    parsed = collateral.parse(read(EXPECTED[name]["collateral_file"]))
    again, data = dcap_qvl.QuoteCollateralV3.from_json(parsed.encode().decode()), quote_bytes(name)

    for seconds in (parsed.window.opens, parsed.window.closes):
        assert parsed.valid_at(seconds) == parsed.window
        dcap_qvl.verify(data, again, seconds)
    for seconds in (parsed.window.opens - 1, parsed.window.closes + 1):
        refused("collateral.7", "expected a time from", parsed.valid_at, seconds)
    with pytest.raises(ValueError, match="expired"):
        dcap_qvl.verify(data, again, parsed.window.closes + 86_400)


def test_a_window_says_what_ends_it() -> None:
    window = collateral.parse(NEAR).window

    assert str(window) == "It holds from 2026-08-13T10:45:38Z until pck_crl ends, 2026-09-11T23:57:10Z."


# Malformed, each by its defect

PARTS = sorted(set(json.loads(NEAR)) - {collateral.OVERRIDE})
CHAIN = json.loads(NEAR)["pck_crl_issuer_chain"]
ONE = CHAIN[: CHAIN.index("-----END CERTIFICATE-----") + 26]
NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
MALFORMED: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "too_large": ("json.1", "at most 262144", lambda: NEAR + b" " * 262_144),
    "no_json": ("json.4", "expected JSON", lambda: NEAR[:-2]),
    "array": ("collateral.1", "got 'list'", lambda: b"[]"),
    **{f"no_{name}": ("collateral.1", "expected an object of", partial(changed, name, ...)) for name in PARTS},
    "unknown_part": ("collateral.1", "expected an object of", lambda: changed("pccs_url", "")),
    "part_of_a_number": ("collateral.1", "every member to be a text", lambda: changed("pck_crl", 7)),
    "part_null": ("collateral.1", "every member to be a text", lambda: changed(collateral.OVERRIDE, None)),
    "tcb_info_no_json": ("json.4", "expected JSON", lambda: changed("tcb_info", "{")),
    "tcb_info_array": ("collateral.2", "got 'list'", lambda: changed("tcb_info", "[]")),
    "tcb_info_of_sgx": ("collateral.2", "expected id TDX", lambda: read("dcap-qvl/sgx_quote_collateral.json")),
    "tcb_info_version_2": ("collateral.2", "expected id TDX, version 3", lambda: inside("tcb_info", version=2)),
    "tcb_info_without_fmspc": ("collateral.2", "FMSPC", lambda: inside("tcb_info", fmspc=...)),
    "tcb_info_fmspc_lower_case": ("collateral.2", "FMSPC", lambda: inside("tcb_info", fmspc="b0c06f000000")),
    "tcb_info_without_number": ("collateral.2", "number", lambda: inside("tcb_info", tcbEvaluationDataNumber="20")),
    "tcb_info_without_date": (
        "collateral.2",
        "nextUpdate: expected a time",
        lambda: inside("tcb_info", nextUpdate=...),
    ),
    "tcb_info_date_with_zone": (
        *("collateral.2", "issueDate: expected a time"),
        lambda: inside("tcb_info", issueDate="2026-08-13T10:45:38+00:00"),
    ),
    "tcb_info_date_that_is_none": (
        *("collateral.2", "issueDate: expected a time"),
        lambda: inside("tcb_info", issueDate="2026-02-30T00:00:00Z"),
    ),
    "tcb_signature_short": ("collateral.2", "64 bytes in hex", lambda: changed("tcb_info_signature", "00")),
    "qe_identity_of_sgx": ("collateral.3", "expected id TD_QE", lambda: inside("qe_identity", id="QE")),
    "qe_identity_version_1": ("collateral.3", "version 2", lambda: inside("qe_identity", version=1)),
    "qe_identity_without_date": ("collateral.3", "expected a time", lambda: inside("qe_identity", issueDate=None)),
    "qe_identity_negative": ("collateral.3", "number", lambda: inside("qe_identity", tcbEvaluationDataNumber=-1)),
    "qe_signature_in_base64": ("collateral.3", "64 bytes in hex", lambda: changed("qe_identity_signature", "A" * 88)),
    "crl_in_base64": ("collateral.4", "lower-case hex", lambda: changed("root_ca_crl", "MIIB")),
    "crl_empty": ("collateral.4", "lower-case hex", lambda: changed("pck_crl", "")),
    "crl_too_large": ("collateral.4", "at most 65536 bytes", lambda: changed("pck_crl", "00" * 65_537)),
    "crl_no_der": ("collateral.4", "revocation list in DER", lambda: changed("pck_crl", "3000")),
    "crl_cut": ("collateral.4", "in DER", lambda: changed("pck_crl", json.loads(NEAR)["pck_crl"][:-2])),
    "chain_of_one": ("collateral.5", "two certificates", lambda: changed("tcb_info_issuer_chain", ONE)),
    "chain_of_three": ("collateral.5", "two certificates", lambda: changed("tcb_info_issuer_chain", CHAIN + ONE)),
    "chain_with_words": ("collateral.5", "two certificates", lambda: changed("pck_crl_issuer_chain", f"# {CHAIN}")),
    "chain_of_no_certificates": (
        *("collateral.5", "two certificates in PEM"),
        lambda: changed(
            "qe_identity_issuer_chain", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" * 2
        ),
    ),
    "never_valid": ("collateral.6", "got none", lambda: inside("tcb_info", issueDate="2030-01-01T00:00:00Z")),
    "list_out_before_the_rest": (
        *("collateral.6", "until pck_crl ends"),
        lambda: changed("pck_crl", crl(until=datetime(2026, 8, 2, tzinfo=UTC))),
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_collateral_is_refused_by_name(name: str) -> None:
    step, says, make = MALFORMED[name]

    refused(step, says, collateral.parse, make())


def test_a_certificate_with_a_serial_number_below_zero_is_refused() -> None:
    der = b64decode("".join(ONE.splitlines()[1:-1]))
    at = der.index(b"\xa0\x03\x02\x01\x02\x02\x15\x00") + 7  # the version, then 21 bytes of serial number
    changed_der = b64encode(der[:at] + b"\x80" + der[at + 1 :]).decode()
    lines = [changed_der[i : i + 64] for i in range(0, len(changed_der), 64)]
    chain = "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", CHAIN[len(ONE) :]])

    refused("collateral.5", "serial number", collateral.parse, changed("pck_crl_issuer_chain", chain))


@pytest.mark.parametrize(
    ("part", "make"),
    [
        ("tcb_info", lambda: inside("tcb_info", nextUpdate="2026-08-20T00:00:00Z")),
        ("qe_identity", lambda: inside("qe_identity", nextUpdate="2026-08-20T00:00:00Z")),
        ("root_ca_crl", lambda: changed("root_ca_crl", crl(until=datetime(2026, 8, 20, 0, 0, 1, tzinfo=UTC)))),
    ],
)
def test_the_part_that_ends_first_ends_all(part: str, make: Callable[[], bytes]) -> None:
    window = collateral.parse(make()).window

    assert (window.closed_by, window.closes) == (part, int(datetime(2026, 8, 20, tzinfo=UTC).timestamp()))


# What went wrong elsewhere


def test_r12_whoever_brings_collateral_does_not_choose_the_certificate() -> None:
    """A PCCS of the prover's choice, and an identity nobody compared, let another enclave sign for the hardware."""
    parsed = collateral.parse(NEAR)

    assert collateral.OVERRIDE in json.loads(NEAR)
    assert set(json.loads(parsed.encode())) == set(PARTS)
    refused("collateral.1", "qe_identity", collateral.parse, changed("qe_identity", ...))
    refused("collateral.3", "TD_QE", collateral.parse, inside("qe_identity", id="QVE"))


def test_r12_the_chain_would_have_taken_the_place_of_the_quotes() -> None:
    data, expected = quote_bytes("dcap"), read_json("near-mpc/collateral.json")[collateral.OVERRIDE]

    own = quote.parse(data).pck_chain.decode().rstrip("\0")
    with_override = dcap_qvl.QuoteCollateralV3.from_json(NEAR.decode())
    without = dcap_qvl.QuoteCollateralV3.from_json(collateral.parse(NEAR).encode().decode())

    assert own != expected
    with pytest.raises(ValueError, match="Signature is invalid for qe_report"):
        dcap_qvl.verify(data, with_override, 1786618538)
    assert str(dcap_qvl.verify(data, without, 1786618538).status) == "OutOfDate"


# Anything at all


@fuzzed()
@given(st.sampled_from(PARTS), st.data())
def test_a_mutated_part_is_parsed_or_refused(name: str, data: st.DataObject) -> None:
    part = json.loads(NEAR)[name]
    at = data.draw(st.integers(0, len(part)))
    mutated = part[:at] + data.draw(st.text(max_size=3)) + part[at + data.draw(st.integers(0, 3)) :]

    parsed_or_refused(lambda: collateral.parse(changed(name, mutated)).valid_at(1786618538))


@fuzzed()
@given(st.sampled_from(["root_ca_crl", "pck_crl"]), st.integers(0, 200), st.integers(0, 255))
def test_a_mutated_list_is_parsed_or_refused(name: str, at: int, byte: int) -> None:
    der = bytearray.fromhex(json.loads(NEAR)[name])
    der[at] = byte

    parsed_or_refused(collateral.parse, changed(name, der.hex()))


@fuzzed()
@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_noise_is_refused(noise: bytes) -> None:
    parsed_or_refused(collateral.parse, noise)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("name", "hostile"),
    [
        ("tcb_info_issuer_chain", "-----BEGIN CERTIFICATE-----\n" * 8_000),
        ("tcb_info_issuer_chain", "-----BEGIN CERTIFICATE-----\n" + "A" * 200_000),
        ("tcb_info", "[" * 200_000),
        ("pck_crl", "30" * 60_000),
        ("tcb_info_signature", "0" * 200_000),
    ],
)
def test_hostile_collateral_takes_no_time(name: str, hostile: str) -> None:
    for _ in range(10):
        parsed_or_refused(collateral.parse, changed(name, hostile))
