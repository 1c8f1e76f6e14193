"""The certificates the simulator issues: a leaf with the names and uses asked for, and who stands behind it."""

import hashlib
import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from teehee.tee import devquote, sim_attest
from teehee.tee.devpki import LABEL
from teehee.tee.sim_keys import Failed
from teehee.tee.sim_machine import Machine

Json = Any

OURS = "1.3.6.1.4.1.62397.1"  # dstack's own extensions
QUOTE, EVENT_LOG, APP_ID, USAGE, ATTESTATION, APP_INFO = (f"{OURS}.{number}" for number in (1, 2, 3, 4, 8, 9))
TEN_YEARS, DAY = timedelta(days=3650), timedelta(days=1)
LATEST = 253402300799  # the last second of year 9999
NOT_CRITICAL = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate somebody asked for."""

    subject: str = ""
    alt_names: tuple[str, ...] = ()
    server_auth: bool = False
    client_auth: bool = False
    app_info: bool = False
    not_before: int | None = None
    not_after: int | None = None


class Authority:
    """An app's certificate authority, under its key service's when it has one."""

    def __init__(self, machine: Machine, key: ec.EllipticCurvePrivateKey, service: ec.EllipticCurvePrivateKey | None):
        self.machine = machine
        self.key = key
        own = _name("App CA" if service else "App Root CA")
        root = _name("KMS CA") if service else own
        self.certificate = _authority(own, key, root, service or key)
        self.above = [_authority(root, service, root, service)] if service else []

    def issue(
        self, key: ec.EllipticCurvePrivateKey, wanted: Wanted, evidence: tuple[bytes, bytes] | None = None
    ) -> list[str]:
        """The chain for this key in PEM, leaf first. `evidence` is a quote over it and what `Attest` makes of it."""
        start, end = _validity(wanted)
        builder = x509.CertificateBuilder(
            self.certificate.subject,
            _subject(wanted.subject),
            key.public_key(),
            x509.random_serial_number(),
            start,
            end,
        )
        usage = x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **NOT_CRITICAL)
        builder = builder.add_extension(usage, critical=True)
        if wanted.alt_names:
            builder = builder.add_extension(x509.SubjectAlternativeName(_alternative(wanted.alt_names)), critical=False)
        uses = [use for use, asked in ((ExtendedKeyUsageOID.SERVER_AUTH, wanted.server_auth),
                                       (ExtendedKeyUsageOID.CLIENT_AUTH, wanted.client_auth)) if asked]  # fmt: skip
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        for dotted, value in self._extensions(wanted, evidence):
            wrapped = devquote.der(devquote.OCTETS, value)
            extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), wrapped)
            builder = builder.add_extension(extension, critical=False)
        return [_pem(one) for one in (builder.sign(self.key, SHA256()), self.certificate, *self.above)]

    def _extensions(self, wanted: Wanted, evidence: tuple[bytes, bytes] | None) -> list[tuple[str, bytes]]:
        machine = self.machine
        extensions = [(APP_ID, machine.app_id), (USAGE, b"app:custom")]
        if wanted.app_info:
            extensions.append((APP_INFO, _app_info(machine)))
        if evidence is None:
            return extensions
        if machine.era in ("0.5.11", "0.6.0"):
            return [*extensions, (ATTESTATION, evidence[1])]
        log = json.dumps(machine.quoted_log(), separators=(",", ":")).encode()
        return [*extensions, (QUOTE, evidence[0]), (EVENT_LOG, log)]


def pem_key(key: ec.EllipticCurvePrivateKey) -> str:
    """A private key as agents give it: PKCS#8, 138 bytes in DER."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certificate_report(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The report data that binds a certificate's key to a quote."""
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha512(b"ratls-cert:" + spki).digest()


def _app_info(machine: Machine) -> bytes:
    """A list, not a map: what Rust's serializer makes of a struct."""
    system = machine.mrtd + b"".join(machine.rtmrs[:3]) + hashlib.sha256(machine.key_provider).digest()
    return sim_attest.msgpack(
        [
            machine.app_id, machine.compose_hash, machine.instance_id, hashlib.sha256(b"").digest(),
            hashlib.sha256(system).digest(), machine.mr_aggregated, machine.os_image_hash, machine.key_provider,
        ]
    )  # fmt: skip


def _authority(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.now(UTC)
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), serial, now - DAY, now + TEN_YEARS)
    path_length = 1 if issuer == subject else 0
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **NOT_CRITICAL)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(signer, SHA256())


def _validity(wanted: Wanted) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    start, end = now - DAY, now + TEN_YEARS
    if wanted.not_before is not None:
        start = _instant(wanted.not_before)
    if wanted.not_after is not None:
        end = _instant(wanted.not_after)
    if start >= end:
        raise Failed("not_before must be earlier than not_after")
    return start, end


def _instant(seconds: int) -> datetime:
    if not 0 <= seconds <= LATEST:
        raise Failed(f"no time: {seconds}")
    return datetime.fromtimestamp(seconds, UTC)


def _alternative(names: tuple[str, ...]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            try:
                found.append(x509.DNSName(name))
            except ValueError:
                raise Failed(f"no name for a certificate: {name[:64]!r}") from None
    return found


def _subject(name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    except ValueError:
        raise Failed(f"no subject for a certificate: {name[:64]!r}") from None


def _name(what: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, LABEL),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{LABEL} {what}"),
        ]
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
