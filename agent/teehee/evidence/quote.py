"""TDX quotes, versions 4 and 5: what the hardware signed about a machine, and the certificates that come along.

Source: Intel TDX DCAP Quoting Library API, appendix A.3; Intel TDX Module ABI, ATTRIBUTES. All numbers little-endian.

    header 48 | in v5: body type u16, size u32 | body 584 (TD 1.0) or 648 (TD 1.5)       what is signed
    size u32 | signature 64, attestation key 64, type 6 u16, size u32,                   by which key
             | QE report 384, its signature 64, size u16, QE data, type 5 u16, size u32, PCK chain in PEM
    zeros                                                                                the driver's buffer

Parsed is not verified: signatures, TCB level and revocation are for a DCAP verifier to check.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Any

from teehee.errors import VerificationError

MAX_QUOTE_BYTES = 16_384  # real ones have some 5,000

SGX, TDX = 0x00, 0x81
ECDSA_P256 = 2
INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
QE_REPORT, PCK_CHAIN = 6, 5  # types of certification data
NAMED = tuple(1 << bit for bit in (0, 28, 29, 30, 31, 63))  # the bits of TdAttributes, in its order

_HEADER = Struct("<HHIHH16s20s")
_BODY_KIND = Struct("<HI")
_TD_1_0 = Struct("<16s48s48s8sQ8s48s48s48s48s48s48s48s48s64s")
_TD_1_5 = Struct("<16s48s48s8sQ8s48s48s48s48s48s48s48s48s64s16s48s")
_BODIES = {2: _TD_1_0, 3: _TD_1_5}
_QE_REPORT = Struct("<128x32s96xHH60x64s")
# Three certificates, and the zero byte that Intel counts in. Base64 has no dash, so a search never goes back.
_PEM = re.compile(rb"(?:-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]++-----END CERTIFICATE-----\n?){3}\0?")


@dataclass(frozen=True, slots=True)
class TdAttributes:
    """What the host switched on when it made the machine; `reserved` holds the bits that have no name here.

    With `debug` the host reads and writes all memory; without `sept_ve_disable` it can take a page away unnoticed.
    """

    debug: bool
    sept_ve_disable: bool
    migratable: bool
    protection_keys: bool
    key_locker: bool
    perfmon: bool
    reserved: int


@dataclass(frozen=True, slots=True)
class TdReport:
    """The body of a quote, by Intel's names, as bytes. The last two are empty in TD 1.0."""

    tee_tcb_svn: bytes
    mrseam: bytes
    mrsignerseam: bytes
    seam_attributes: bytes
    attributes: TdAttributes
    xfam: bytes
    mrtd: bytes
    mrconfigid: bytes
    mrowner: bytes
    mrownerconfig: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes
    tee_tcb_svn2: bytes = b""
    mrservicetd: bytes = b""

    @property
    def rtmrs(self) -> tuple[bytes, bytes, bytes, bytes]:
        """The four registers that grow as the machine boots."""
        return self.rtmr0, self.rtmr1, self.rtmr2, self.rtmr3


@dataclass(frozen=True, slots=True)
class QeReport:
    """Intel's quoting enclave about itself: `report` is what the PCK signed, the others are read from it."""

    mrsigner: bytes
    isvprodid: int
    isvsvn: int
    report_data: bytes
    report: bytes
    signature: bytes
    auth_data: bytes


@dataclass(frozen=True, slots=True)
class Quote:
    """A whole quote; `signed` are the bytes under `signature`, `padding` counts the zeros behind it."""

    version: int
    qe_svn: int
    pce_svn: int
    user_data: bytes
    td: TdReport
    signed: bytes
    signature: bytes
    attestation_key: bytes
    qe: QeReport
    pck_chain: bytes
    padding: int

    def hash(self) -> str:
        """The hex SHA-256 of what was signed: copies with other signatures, or other zeros behind, are one quote."""
        return sha256(self.signed).hexdigest()


def parse(data: bytes) -> Quote:
    """The quote these bytes are.

    1. They are at most 16 KiB, and a whole header.
    2. It is a TDX quote; SGX and any other TEE is refused.
    3. Its version is 4 or 5.
    4. The attestation key is of ECDSA P-256.
    5. The quoting enclave is Intel's.
    6. The body is of TD 1.0 or, in version 5 only, of TD 1.5, and it is whole.
    7. Every other part is whole, and sizes agree with what they count.
    8. The certification data is a QE report (6) with a PCK chain (5).
    9. The PCK chain is three certificates in PEM.
    10. Behind the signature are zeros only; every real quote has some, since the guest's driver hands out its buffer.
    11. The QE report is about this attestation key: it says SHA-256 of key and QE data, then zeros.
    """
    if not _HEADER.size <= len(data) <= MAX_QUOTE_BYTES:  # 1
        raise VerificationError("quote.1", f"expected {_HEADER.size} to {MAX_QUOTE_BYTES} bytes, got {len(data)}")
    version, key_type, tee_type, qe_svn, pce_svn, vendor, user_data = _HEADER.unpack_from(data)
    if tee_type != TDX:  # 2, before the version, which SGX counts apart
        kind = " (SGX)" if tee_type == SGX else ""
        raise VerificationError("quote.2", f"expected TEE type 0x81 (TDX), got {tee_type:#x}{kind}")
    if version not in (4, 5):  # 3
        raise VerificationError("quote.3", f"expected version 4 or 5, got {version}")
    if key_type != ECDSA_P256:  # 4
        raise VerificationError("quote.4", f"expected attestation key type 2 (ECDSA P-256), got {key_type}")
    if vendor != INTEL_QE:  # 5
        raise VerificationError("quote.5", f"expected QE vendor {INTEL_QE.hex()}, got {vendor.hex()}")
    td, end = _body(data, version)  # 6
    rest = _Bytes(data[end:])
    signature, key, qe, pck_chain = _signature(rest.sized(4, "signature"))  # 7, 8, 9
    if stray := rest.left.strip(b"\0"):  # 10
        raise VerificationError("quote.10", f"expected zeros behind the signature, got ...{stray[:32].hex()}...")
    expected = sha256(key + qe.auth_data).digest() + bytes(32)
    if qe.report_data != expected:  # 11
        got = qe.report_data.hex()
        raise VerificationError("quote.11", f"expected a QE report about this key, {expected.hex()}, got {got}")
    signed, padding = data[:end], len(rest.left)
    return Quote(version, qe_svn, pce_svn, user_data, td, signed, signature, key, qe, pck_chain, padding)


def check_closed(quote: Quote) -> None:
    """Check that the host is locked out of the machine. `parse` takes any machine, so that it can be shown.

    12. Debugging is off.
    13. A page cannot be taken away unnoticed.
    14. It cannot migrate, has no protection keys, Key Locker or performance counters, and no reserved bit is set.
    15. The TDX module is Intel's, without attributes.
    16. No owner, owner's configuration or service TD has a say.
    """
    td, bits = quote.td, quote.td.attributes
    if bits.debug:  # 12
        raise VerificationError(
            "quote.12",
            "expected TD attribute DEBUG off, got on",
            hint="The host reads and writes all memory of a debug machine: nothing it says counts.",
        )
    if not bits.sept_ve_disable:  # 13
        raise VerificationError("quote.13", "expected TD attribute SEPT_VE_DISABLE on, got off")
    if bits != TdAttributes(False, True, False, False, False, False, 0):  # 14
        raise VerificationError("quote.14", f"expected no TD attribute on but SEPT_VE_DISABLE, got {bits}")
    if any(td.mrsignerseam) or any(td.seam_attributes):  # 15
        got = f"{td.mrsignerseam.hex()} with attributes {td.seam_attributes.hex()}"
        raise VerificationError("quote.15", f"expected Intel's TDX module (MRSIGNERSEAM of zeros), got {got}")
    for name in ("mrowner", "mrownerconfig", "mrservicetd"):
        if any(value := getattr(td, name)):  # 16
            raise VerificationError("quote.16", f"{name.upper()}: expected zeros, got {value.hex()}")


def check_report_data(quote: Quote, expected: bytes) -> None:
    """Check that the quote is over these 64 bytes, such as a published statement gives.

    17. The report data is the expected one, all of it.
    """
    if len(expected) != 64 or quote.td.report_data != expected:  # 17
        raise VerificationError(
            "quote.17",
            f"expected report data {expected.hex()}, got {quote.td.report_data.hex()}",
            hint="The hardware signed something else; without its preimage nobody can say what.",
        )


def _body(data: bytes, version: int) -> tuple[TdReport, int]:
    """The report, and where it ends."""
    start, kind, size = _HEADER.size, 2, _TD_1_0.size
    if version == 5 and len(data) >= start + _BODY_KIND.size:
        kind, size = _BODY_KIND.unpack_from(data, start)
        start += _BODY_KIND.size
    layout = _BODIES.get(kind)
    if layout is None or size != layout.size:
        raise VerificationError(
            "quote.6", f"expected a body of type 2 or 3 with its size, got type {kind}, size {size}"
        )
    end = start + size
    if len(data) < end:
        raise VerificationError("quote.6", f"expected a body up to byte {end}, got {len(data)} bytes")
    fields: list[Any] = list(layout.unpack_from(data, start))
    fields[4] = _attributes(fields[4])
    return TdReport(*fields), end


def _attributes(bits: int) -> TdAttributes:
    debug, sept, migratable, pks, locker, perfmon = (bool(bits & bit) for bit in NAMED)
    return TdAttributes(debug, sept, migratable, pks, locker, perfmon, bits & ~sum(NAMED))


def _signature(data: bytes) -> tuple[bytes, bytes, QeReport, bytes]:
    """Signature, attestation key, quoting enclave and PCK chain."""
    outer = _Bytes(data)
    signature, key = outer.take(64, "signature"), outer.take(64, "attestation key")
    inner = _Bytes(outer.certified(QE_REPORT))
    report, report_signature = inner.take(384, "QE report"), inner.take(64, "signature of the QE report")
    auth_data, pck_chain = inner.sized(2, "QE data"), inner.certified(PCK_CHAIN)
    if outer.left or inner.left:  # 7
        stray = len(outer.left) + len(inner.left)
        raise VerificationError("quote.7", f"expected nothing behind the certification data, got {stray} bytes")
    if not _PEM.fullmatch(pck_chain):  # 9
        raise VerificationError("quote.9", f"expected three PEM certificates, got {pck_chain[:64]!r}...")
    mrsigner, isvprodid, isvsvn, report_data = _QE_REPORT.unpack(report)
    qe = QeReport(mrsigner, isvprodid, isvsvn, report_data, report, report_signature, auth_data)
    return signature, key, qe, pck_chain


class _Bytes:
    """Bytes taken from the front, part by part, at step 7."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def take(self, size: int, what: str) -> bytes:
        if len(self.left) < size:
            raise VerificationError("quote.7", f"{what}: expected {size} bytes, got {len(self.left)}")
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def sized(self, width: int, what: str) -> bytes:
        """A part with its size before it."""
        return self.take(int.from_bytes(self.take(width, f"size of {what}"), "little"), what)

    def certified(self, expected: int) -> bytes:
        """Certification data, which must be of this type."""
        kind = int.from_bytes(self.take(2, "type of certification data"), "little")
        if kind != expected:  # 8
            raise VerificationError("quote.8", f"expected certification data of type {expected}, got {kind}")
        return self.sized(4, "certification data")
