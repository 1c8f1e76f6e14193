"""The bytes of a TDX quote and of the SGX extension in the certificate behind it, as Intel lays them out."""

import hashlib
from dataclasses import dataclass

VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")  # Intel's quoting enclave, the only one verifiers take
TDX, ECDSA_P256 = 0x81, 2
QE_SVN, QE_PRODUCT = 4, 2
QE_SIGNER = hashlib.sha256(b"teehee DEV - NOT INTEL quoting enclave").digest()
QE_ATTRIBUTES = bytes.fromhex("11000000000000000000000000000000")
QE_AUTH = bytes(32)
SEPT_VE_DISABLE, DEBUG = 1 << 28, 1  # bits of a TD's attributes
XFAM = bytes.fromhex("e702060000000000")
BODY_15 = 3  # the kind of body that version 5 carries here

SGX = "1.2.840.113741.1.13.1"
INTEGER, OCTETS, OID, ENUMERATED, SEQUENCE = 0x02, 0x04, 0x06, 0x0A, 0x30


@dataclass(frozen=True, slots=True)
class Measurements:
    """What a quote says of its machine."""

    report_data: bytes
    mrtd: bytes
    rtmrs: tuple[bytes, bytes, bytes, bytes]
    mrconfigid: bytes
    debug: bool = False

    def __post_init__(self) -> None:
        for name, value, size in (
            ("report_data", self.report_data, 64),
            ("mrtd", self.mrtd, 48),
            ("mrconfigid", self.mrconfigid, 48),
            *((f"rtmr{number}", rtmr, 48) for number, rtmr in enumerate(self.rtmrs)),
        ):
            if len(value) != size:
                raise ValueError(f"{name} has {size} bytes, got {len(value)}")


def signed_part(machine: Measurements, version: int) -> bytes:
    """Header and body: what the attestation key signs."""
    if version not in (4, 5):
        raise ValueError(f"a TDX quote has version 4 or 5, got {version!r}")
    header = _le(version, 2) + _le(ECDSA_P256, 2) + _le(TDX, 4) + bytes(4) + VENDOR + bytes(20)
    attributes = _le(SEPT_VE_DISABLE | (DEBUG if machine.debug else 0), 8)
    body = bytes(16 + 48 + 48 + 8) + attributes + XFAM + machine.mrtd + machine.mrconfigid + bytes(48 + 48)
    body += b"".join(machine.rtmrs) + machine.report_data
    if version == 4:
        return header + body
    body += bytes(16 + 48)
    return header + _le(BODY_15, 2) + _le(len(body), 4) + body


def qe_report(point: bytes) -> bytes:
    """The quoting enclave's word for the attestation key `point`; the PCK key signs it."""
    bound = hashlib.sha256(point + QE_AUTH).digest() + bytes(32)
    report = bytes(16 + 4 + 28) + QE_ATTRIBUTES + bytes(32 + 32) + QE_SIGNER + bytes(96)
    return report + _le(QE_PRODUCT, 2) + _le(QE_SVN, 2) + bytes(60) + bound


def auth_part(signatures: tuple[bytes, bytes], point: bytes, report: bytes, chain: bytes) -> bytes:
    """Signatures, keys and certificates: what follows the signed part."""
    certificates = _le(5, 2) + _le(len(chain), 4) + chain
    enclave = report + signatures[1] + _le(len(QE_AUTH), 2) + QE_AUTH + certificates
    auth = signatures[0] + point + _le(6, 2) + _le(len(enclave), 4) + enclave
    return _le(len(auth), 4) + auth


def sgx_extension(seed: bytes, fmspc: str) -> bytes:
    """What a PCK certificate says of its platform: every SVN is zero."""
    svns = [_entry(f"2.{number}", der(INTEGER, b"\x00")) for number in range(1, 18)]
    tcb = der(SEQUENCE, *svns, _entry("2.18", der(OCTETS, bytes(16))))
    return der(
        SEQUENCE,
        _entry("1", der(OCTETS, ppid(seed))),
        _entry("2", tcb),
        _entry("3", der(OCTETS, bytes(2))),
        _entry("4", der(OCTETS, bytes.fromhex(fmspc))),
        _entry("5", der(ENUMERATED, b"\x00")),
    )


def ppid(seed: bytes) -> bytes:
    return hashlib.sha256(b"teehee/developer-ppid/v1\x00" + seed).digest()[:16]


def _entry(below: str, value: bytes) -> bytes:
    return der(SEQUENCE, _oid(f"{SGX}.{below}"), value)


def _oid(dotted: str) -> bytes:
    first, second, *arcs = map(int, dotted.split("."))
    octets = bytearray([first * 40 + second])
    for arc in arcs:
        base_128 = [arc & 0x7F]
        while arc := arc >> 7:
            base_128.append(arc & 0x7F | 0x80)
        octets += bytes(reversed(base_128))
    return der(OID, bytes(octets))


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _le(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")
