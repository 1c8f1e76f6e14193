"""The developer's stand-in for Intel passes a verifier's strictest checks, under its own root and no other."""

import json
from collections.abc import Iterator
from typing import Any

import dcap_qvl  # type: ignore[import-untyped] # it ships stubs without the marker
import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from teehee.tee import devquote
from teehee.tee.devpki import LABEL, DeveloperPki
from teehee.tee.devquote import Measurements

Json = Any
NOW = 1_790_000_000
DAY = 86_400
REPORT_DATA = bytes(range(64))
MRTD, MRCONFIGID = b"\x11" * 48, b"\x01" + b"\x22" * 47
RTMRS = (b"\x30" * 48, b"\x31" * 48, b"\x32" * 48, b"\x33" * 48)
PKI = DeveloperPki(bytes(32))


def quote(version: int = 4, pki: DeveloperPki = PKI, **more: bool) -> bytes:
    return pki.quote(REPORT_DATA, MRTD, RTMRS, MRCONFIGID, version=version, **more)


def claims(raw: bytes, *, root: bytes | None = PKI.root_der, now: int = NOW, issued: int = NOW) -> Json:
    """What the strictest policy lets through, as the verifier tells it."""
    collateral = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(PKI.collateral(issued)))
    policy = dcap_qvl.QuotePolicy.strict(now)
    return json.loads(dcap_qvl.QuoteVerifier(root).verify_with_policy(raw, collateral, now, policy).to_json())


def certificates(pem: str) -> Iterator[x509.Certificate]:
    yield from x509.load_pem_x509_certificates(pem.encode())


@pytest.mark.parametrize("version", [4, 5])
def test_a_quote_passes_the_strictest_policy_under_its_own_root(version: int) -> None:
    told = claims(quote(version))

    assert told["header"]["version"] == version
    assert told["tcb"]["status"] == "UpToDate"
    assert told["tcb"]["advisory_ids"] == []


@pytest.mark.parametrize("version", [4, 5])
def test_a_quote_says_what_it_was_asked_to_say(version: int) -> None:
    report = dcap_qvl.Quote.parse(quote(version)).report

    assert report.report_data == REPORT_DATA
    assert (report.mr_td, report.mr_config_id) == (MRTD, MRCONFIGID)
    assert (report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3) == RTMRS
    assert report.td_attributes.hex() == "0000001000000000"


def test_the_plain_verifier_takes_it_too() -> None:
    collateral = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(PKI.collateral(NOW)))

    assert dcap_qvl.verify_with_root_ca(quote(), collateral, PKI.root_der, NOW).status == "UpToDate"


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("root", [None, DeveloperPki(b"\x01" * 32).root_der], ids=["Intel", "another developer"])
def test_no_other_root_stands_for_it(version: int, root: bytes | None) -> None:
    with pytest.raises(ValueError, match="CRL"):
        claims(quote(version), root=root)


def test_a_quote_of_another_seed_is_refused_with_this_ones_collateral() -> None:
    with pytest.raises(ValueError, match="Verification failed"):
        claims(quote(pki=DeveloperPki(b"\x01" * 32)))


@pytest.mark.parametrize("version", [4, 5])
def test_a_machine_that_can_be_debugged_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="Debug mode is enabled"):
        claims(quote(version, debug=True))


@pytest.mark.parametrize("version", [4, 5])
def test_a_flipped_byte_anywhere_that_counts_is_refused(version: int) -> None:
    raw = quote(version)
    signed = len(devquote.signed_part(Measurements(REPORT_DATA, MRTD, RTMRS, MRCONFIGID), version))
    signature, report = range(signed + 4, signed + 132), range(signed + 138, signed + 138 + 384 + 64)

    for at in (*range(signed), *signature, *report):
        with pytest.raises(ValueError, match=r"failed|parse|decode"):
            claims(raw[:at] + bytes([raw[at] ^ 0x01]) + raw[at + 1 :])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 4_200))
def test_a_cut_or_overwritten_quote_is_never_another_one(other: bytes, at: int) -> None:
    raw = quote()
    changed = raw[:at] + other + raw[at + len(other) :]

    try:
        told = claims(changed)
    except ValueError:
        return
    assert told["report"] == claims(raw)["report"]


@pytest.mark.parametrize("days", [-2, 31, 40])
def test_collateral_serves_its_30_days_only(days: int) -> None:
    with pytest.raises(ValueError, match=r"expired|future"):
        claims(quote(), now=NOW + days * DAY)


@pytest.mark.parametrize("days", [0, 1, 15, 29])
def test_collateral_serves_all_of_its_30_days(days: int) -> None:
    assert claims(quote(), now=NOW + days * DAY)["tcb"]["status"] == "UpToDate"


def test_collateral_whose_signature_is_anothers_is_refused() -> None:
    collateral = PKI.collateral(NOW) | {"tcb_info": PKI.collateral(NOW)["tcb_info"].replace("UpToDate", "OutOfDate")}

    with pytest.raises(ValueError, match="Signature is invalid for tcb_info"):
        dcap_qvl.verify_with_root_ca(
            quote(), dcap_qvl.QuoteCollateralV3.from_json(json.dumps(collateral)), PKI.root_der, NOW
        )


def test_the_same_seed_makes_the_same_bytes() -> None:
    again = DeveloperPki(bytes(32))

    assert again.root_der == PKI.root_der
    assert quote(pki=again) == quote()
    assert again.collateral(NOW) == PKI.collateral(NOW)
    assert DeveloperPki(b"\x01" * 32).root_der != PKI.root_der


def test_every_certificate_says_that_it_is_not_intels() -> None:
    collateral = PKI.collateral(NOW)
    chain = dcap_qvl.Quote.parse(quote()).cert_chain_pem_bytes().decode()
    pems = chain, collateral["pck_crl_issuer_chain"], collateral["tcb_info_issuer_chain"]
    seen = [certificate for pem in pems for certificate in certificates(pem)]

    assert len(seen) == 3 + 2 + 2
    for name in (name for certificate in seen for name in (certificate.subject, certificate.issuer)):
        assert [str(part.value).startswith(LABEL) for part in name] == [True, True]


def test_certificates_hold_to_what_authorities_may_do() -> None:
    leaf, authority, root = certificates(dcap_qvl.Quote.parse(quote()).cert_chain_pem_bytes().decode())

    limits = [one.extensions.get_extension_for_class(x509.BasicConstraints).value for one in (leaf, authority, root)]
    assert [(limit.ca, limit.path_length) for limit in limits] == [(False, None), (True, 0), (True, 1)]
    root.verify_directly_issued_by(root)
    authority.verify_directly_issued_by(root)
    leaf.verify_directly_issued_by(authority)


def test_the_platform_is_told_by_its_certificate() -> None:
    parsed = dcap_qvl.Quote.parse(quote())

    assert parsed.ca() == "platform"
    assert bytes.fromhex(parsed.fmspc()) == bytes.fromhex("00606A000000")
    assert parsed.pck_extension().ppid == PKI.ppid
    assert parsed.pck_extension().pce_svn == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"report_data": b"x"}, "report_data has 64 bytes, got 1"),
        ({"mrtd": bytes(32)}, "mrtd has 48 bytes, got 32"),
        ({"rtmrs": (bytes(48), bytes(48), bytes(47), bytes(48))}, "rtmr2 has 48 bytes, got 47"),
        ({"mrconfigid": b""}, "mrconfigid has 48 bytes, got 0"),
        ({"version": 3}, "version 4 or 5, got 3"),
    ],
)
def test_what_a_quote_cannot_hold_is_refused(given: dict[str, Json], told: str) -> None:
    whole: dict[str, Json] = {"report_data": REPORT_DATA, "mrtd": MRTD, "rtmrs": RTMRS, "mrconfigid": MRCONFIGID}
    whole |= given

    with pytest.raises(ValueError, match=told):
        PKI.quote(**whole)


def test_a_seed_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        DeveloperPki(bytes(31))
