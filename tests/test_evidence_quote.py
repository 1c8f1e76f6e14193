"""TDX quotes: every field where it belongs, and nothing taken that is not one."""

from dataclasses import replace
from hashlib import sha256, sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import EXPECTED, TDX, attestation_bytes, parsed_or_refused, quote_bytes, read, refused
from teehee.errors import VerificationError
from teehee.evidence import attestation, quote
from teehee.evidence.quote import TdAttributes

NEAR = quote_bytes("near")
V5 = quote_bytes("dcap-out")
HEADER, BODY = 48, 584
SIGNATURE = HEADER + BODY + 4  # of version 4
CERTIFIED = SIGNATURE + 64 + 64 + 6
PLAIN = TdAttributes(False, True, False, False, False, False, 0)


def put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


# Real quotes


@pytest.mark.parametrize("name", TDX)
def test_a_quote_has_the_fields_it_is_known_for(name: str) -> None:
    data, expected = quote_bytes(name), EXPECTED[name]

    parsed = quote.parse(data)

    td = parsed.td
    assert (len(data), sha256(data).hexdigest()) == (expected["quote_len"], expected["quote_sha256"])
    assert expected["td"] == {
        "tdattr": "0000001000000000",
        "mrtd": td.mrtd.hex(),
        "mrconfigid": td.mrconfigid.hex(),
        **{f"rtmr{index}": rtmr.hex() for index, rtmr in enumerate(td.rtmrs)},
        "report_data": td.report_data.hex(),
    }
    assert td.attributes == PLAIN
    quote.check_closed(parsed)


def test_the_parts_of_a_quote_cover_it() -> None:
    parsed = quote.parse(NEAR)

    assert (parsed.version, parsed.qe_svn, parsed.pce_svn) == (4, 0, 0)
    assert parsed.signed == NEAR[: HEADER + BODY]
    assert parsed.signature + parsed.attestation_key == NEAR[SIGNATURE : SIGNATURE + 128]
    assert parsed.qe.report == NEAR[CERTIFIED : CERTIFIED + 384]
    assert (parsed.qe.isvprodid, parsed.qe.isvsvn) == (2, 6)
    assert parsed.qe.mrsigner.hex() == "dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5"
    assert parsed.pck_chain.count(b"BEGIN CERTIFICATE") == 3
    assert (parsed.td.tee_tcb_svn2, parsed.td.mrservicetd) == (b"", b"")


def test_a_quote_of_version_5_has_a_body_of_td_1_5() -> None:
    parsed = quote.parse(V5)

    assert (parsed.version, len(parsed.td.tee_tcb_svn2), parsed.td.mrservicetd) == (5, 16, bytes(48))
    assert len(parsed.signed) == 48 + 6 + 648


def test_a_body_of_td_1_0_fits_version_5() -> None:
    header, rest = put(NEAR[:HEADER], 0, b"\x05"), NEAR[HEADER:]

    parsed = quote.parse(header + (2).to_bytes(2, "little") + BODY.to_bytes(4, "little") + rest)

    assert parsed.td == quote.parse(NEAR).td


# Malformed, each by its defect

SIZE = int.from_bytes(NEAR[SIGNATURE - 4 : SIGNATURE], "little")
INNER = CERTIFIED + 384 + 64 + 2 + 32  # where the type of the PCK chain stands
MALFORMED: dict[str, tuple[str, str, bytes]] = {
    "empty": ("quote.1", "got 0", b""),
    "half_a_header": ("quote.1", "got 47", NEAR[:47]),
    "too_large": ("quote.1", "got 16385", NEAR + bytes(16_385 - len(NEAR))),
    "sgx": ("quote.2", "got 0x0 (SGX)", read("dcap-qvl/sgx_quote")),
    "other_tee": ("quote.2", "got 0x82", put(NEAR, 4, b"\x82")),
    "version_3": ("quote.3", "got 3", put(NEAR, 0, b"\x03")),
    "version_6": ("quote.3", "got 6", put(NEAR, 0, b"\x06")),
    "p384_key": ("quote.4", "got 3", put(NEAR, 2, b"\x03")),
    "other_quoting_enclave": ("quote.5", "got 939a72", put(NEAR, 27, b"\x08")),
    "half_a_body": ("quote.6", "up to byte 632", NEAR[:631]),
    "version_5_without_kind": ("quote.6", "got 52", put(NEAR, 0, b"\x05")[:52]),
    "body_of_sgx": ("quote.6", "type 1, size 384", put(put(V5, 48, b"\x01\x00"), 50, (384).to_bytes(4, "little"))),
    "body_of_unknown_type": ("quote.6", "type 4", put(V5, 48, b"\x04")),
    "body_of_wrong_size": ("quote.6", "size 584", put(V5, 50, (584).to_bytes(4, "little"))),
    "no_signature": ("quote.7", "size of signature: expected 4", NEAR[: HEADER + BODY + 3]),
    "half_a_signature": ("quote.7", f"signature: expected {SIZE}", NEAR[: SIGNATURE + SIZE - 1]),
    "signature_too_short": ("quote.7", "expected", put(NEAR, SIGNATURE - 4, (SIZE - 1).to_bytes(4, "little"))),
    "signature_too_long": ("quote.7", "nothing behind", put(NEAR, SIGNATURE - 4, (SIZE + 1).to_bytes(4, "little"))),
    "signature_of_four_gigabytes": ("quote.7", "4294967295", put(NEAR, SIGNATURE - 4, b"\xff" * 4)),
    "certified_by_a_pck_directly": ("quote.8", "type 6, got 5", put(NEAR, CERTIFIED - 6, b"\x05")),
    "certified_by_a_ppid": ("quote.8", "type 5, got 3", put(NEAR, INNER, b"\x03")),
    "certified_size_off": ("quote.7", "nothing behind", put(NEAR, INNER + 2, (3677).to_bytes(4, "little"))),
    "no_pem": ("quote.9", "three PEM certificates", put(NEAR, INNER + 6, b"=")),
    "control_in_pem": ("quote.9", "three PEM certificates", put(NEAR, INNER + 100, b"\x00")),
    "bytes_behind": ("quote.10", "expected zeros behind the signature, got ...01...", put(NEAR, 5000, b"\x01")),
    "appended_bytes": ("quote.10", "got ...61...", NEAR + b"a"),
    "report_of_another_key": ("quote.11", "about this key", put(NEAR, SIGNATURE + 64, b"\x00")),
    "report_of_other_qe_data": ("quote.11", "about this key", put(NEAR, INNER - 1, b"\x00")),
    "report_with_more_to_say": ("quote.11", "about this key", put(NEAR, CERTIFIED + 383, b"\x01")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_quote_is_refused_by_name(name: str) -> None:
    step, says, data = MALFORMED[name]

    refused(step, says, quote.parse, data)


@pytest.mark.parametrize("length", [*range(0, 640, 13), *range(640, 4_936, 401), 4_935])
def test_a_cut_quote_is_refused(length: int) -> None:
    with pytest.raises(VerificationError):
        quote.parse(NEAR[:length])


# Machines that are open to their host

OPEN = {
    "debug": ("quote.12", "DEBUG", 168, 0x01),
    "sept_ve_enabled": ("quote.13", "SEPT_VE_DISABLE", 171, 0x00),
    "migratable": ("quote.14", "migratable=True", 171, 0x30),
    "protection_keys": ("quote.14", "protection_keys=True", 171, 0x50),
    "key_locker": ("quote.14", "key_locker=True", 171, 0x90),
    "perfmon": ("quote.14", "perfmon=True", 175, 0x80),
    "reserved_among_debug": ("quote.14", "reserved=2", 168, 0x02),
    "reserved_bit_39": ("quote.14", "reserved=549755813888", 172, 0x80),
    "other_tdx_module": ("quote.15", "Intel's TDX module", 112, 0x01),
    "module_attributes": ("quote.15", "attributes 0000000000000001", 167, 0x01),
    "owner": ("quote.16", "MROWNER: expected zeros", 280, 0x01),
    "owner_configuration": ("quote.16", "MROWNERCONFIG", 328, 0x01),
}


@pytest.mark.parametrize("name", OPEN)
def test_an_open_machine_is_read_and_refused_by_name(name: str) -> None:
    step, says, at, byte = OPEN[name]

    refused(step, says, quote.check_closed, quote.parse(put(NEAR, at, bytes([byte]))))


def test_a_service_td_is_refused() -> None:
    with_service = replace(quote.parse(V5).td, mrservicetd=b"\x01" + bytes(47))

    refused("quote.16", "MRSERVICETD", quote.check_closed, replace(quote.parse(V5), td=with_service))


# What went wrong elsewhere


def test_r3_a_report_data_without_its_preimage_shows_nothing() -> None:
    """Agents published quotes whose 64 bytes nobody could recompute. Ours must be what a published text hashes to."""
    published = sha512(b"teehee/statement/v1\0{}").digest()

    refused("quote.17", "expected report data", quote.check_report_data, quote.parse(NEAR), published)
    quote.check_report_data(quote.parse(put(NEAR, 568, published)), published)


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_r3_a_part_of_the_report_data_is_not_enough(size: int) -> None:
    data = quote.parse(NEAR).td.report_data.ljust(65, b"\0")

    refused("quote.17", "expected report data", quote.check_report_data, quote.parse(NEAR), data[:size])


def test_r13_a_debug_machine_is_refused_whatever_else_holds() -> None:
    """Verifiers took quotes of machines whose memory the host can read, since the signature was good."""
    for name in TDX:
        data = quote_bytes(name)
        at = 168 if data[0] == 4 else 174
        refused("quote.12", "DEBUG off, got on", quote.check_closed, quote.parse(put(data, at, b"\x01")))


def test_r32_a_quote_is_the_same_by_what_was_signed() -> None:
    """A bundle held one quote, the chain another. Bytes around what is signed may differ; what is signed may not."""
    same = [NEAR, NEAR + bytes(9), NEAR[: SIGNATURE + SIZE], put(NEAR, SIGNATURE, b"\x00")]
    other = put(NEAR, 568, b"\x07")

    assert len({quote.parse(data).hash() for data in same}) == 1
    assert quote.parse(other).hash() != quote.parse(NEAR).hash()


def test_r32_a_quote_in_an_attestation_is_the_one_outside() -> None:
    inside = attestation.parse(attestation_bytes("lite-att")).quote

    assert inside.hash() == quote.parse(quote_bytes("lite")).hash()


# Anything at all


@fuzzed()
@given(st.data())
def test_a_mutated_quote_is_parsed_or_refused(data: st.DataObject) -> None:
    mutated = bytearray(data.draw(st.sampled_from([NEAR, V5])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=5))

    parsed_or_refused(quote.parse, bytes(mutated))


@fuzzed()
@given(st.binary(max_size=400))
def test_noise_is_refused(noise: bytes) -> None:
    parsed_or_refused(quote.parse, noise)
    parsed_or_refused(quote.parse, NEAR[:8] + noise)
    parsed_or_refused(quote.parse, NEAR[:SIGNATURE] + noise)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("filler", [b"-----BEGIN CERTIFICATE-----\n", b"A", b"=\n", b"\0"])
def test_a_hostile_chain_takes_no_time(filler: bytes) -> None:
    chain = (filler * 16_000)[:11_000]
    inner = NEAR[CERTIFIED:INNER] + b"\x05\x00" + len(chain).to_bytes(4, "little") + chain
    outer = NEAR[SIGNATURE : CERTIFIED - 4] + len(inner).to_bytes(4, "little") + inner

    for _ in range(50):
        refused("quote.9", "PEM", quote.parse, NEAR[: SIGNATURE - 4] + len(outer).to_bytes(4, "little") + outer)
