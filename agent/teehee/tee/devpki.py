"""A developer's stand-in for Intel: certificates, collateral and TDX quotes, all from one seed.

Its quotes pass the very checks that Intel's pass, with this root in the place of Intel's. Every name in it says that it
is not Intel, and whoever verifies must have been given this root by its owner: never take one from an agent.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from teehee.tee import devquote
from teehee.tee.devquote import Measurements

Json = Any

LABEL = "teehee DEV - NOT INTEL"
SEED_BYTES = 32
FMSPC = "00606A000000"
PCE_ID = "0000"
ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551  # of P-256
MADE, EXPIRES = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)
BEFORE, AFTER = timedelta(days=1), timedelta(days=30)  # Intel's collateral lasts as long
LEAF_USAGE, CA_USAGE = ("digital_signature", "content_commitment"), ("key_cert_sign", "crl_sign")
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


class DeveloperPki:
    """Everything a quote's verification needs, the same for the same seed."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a developer seed has {SEED_BYTES} bytes, got {len(seed)}")
        self._seed = seed
        self._root_key, self._root = self._authority("SGX Root CA", 1, None)
        # "Platform" in this name is what tells a verifier which of Intel's two PCK authorities to ask about.
        self._pck_ca_key, self._pck_ca = self._authority("SGX PCK Platform CA", 0, (self._root_key, self._root))
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(devquote.SGX), devquote.sgx_extension(seed, FMSPC))
        self._pck_key, self._pck = self._leaf("SGX PCK Certificate", self._pck_ca_key, self._pck_ca, extension)
        self._tcb_key, self._tcb = self._leaf("SGX TCB Signing", self._root_key, self._root)
        self._attestation_key = self._key("attestation")

    @property
    def root_der(self) -> bytes:
        """The root certificate, to be stored by whoever is to trust it."""
        return self._root.public_bytes(Encoding.DER)

    @property
    def ppid(self) -> bytes:
        """What this platform is known by."""
        return devquote.ppid(self._seed)

    def quote(
        self,
        report_data: bytes,
        mrtd: bytes,
        rtmrs: tuple[bytes, bytes, bytes, bytes],
        mrconfigid: bytes = bytes(48),
        *,
        version: int = 4,
        debug: bool = False,
    ) -> bytes:
        """A TDX quote over these 64 bytes and registers; of version 4, or 5 with a TD 1.5 body."""
        signed = devquote.signed_part(Measurements(report_data, mrtd, rtmrs, mrconfigid, debug), version)
        point = self._attestation_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
        report = devquote.qe_report(point)
        chain = "".join(_pem(one) for one in (self._pck, self._pck_ca, self._root)).encode()
        signatures = _sign(self._attestation_key, signed), _sign(self._pck_key, report)
        return signed + devquote.auth_part(signatures, point, report, chain)

    def collateral(self, now: int) -> dict[str, str]:
        """What Intel would publish about this platform at `now`, in the JSON form of `QuoteCollateralV3`."""
        tcb_info, qe_identity = self._tcb_info(now), self._qe_identity(now)
        issuers = _pem(self._tcb) + _pem(self._root)
        return {
            "pck_crl_issuer_chain": _pem(self._pck_ca) + _pem(self._root),
            "root_ca_crl": self._root_crl.hex(),
            "pck_crl": self._pck_crl.hex(),
            "tcb_info_issuer_chain": issuers,
            "tcb_info": tcb_info,
            "tcb_info_signature": _sign(self._tcb_key, tcb_info.encode()).hex(),
            "qe_identity_issuer_chain": issuers,
            "qe_identity": qe_identity,
            "qe_identity_signature": _sign(self._tcb_key, qe_identity.encode()).hex(),
        }

    def _tcb_info(self, now: int) -> str:
        parts = [{"svn": 0}] * 16
        level = {"sgxtcbcomponents": parts, "pcesvn": 0, "tdxtcbcomponents": parts}
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        return _json(
            {"id": "TDX", "version": 3, **_dated(now), "fmspc": FMSPC, "pceId": PCE_ID, "tcbType": 0,
             "tcbEvaluationDataNumber": 1, "tdxModule": module, "tdxModuleIdentities": [],
             "tcbLevels": [{"tcb": level, "tcbDate": _date(now), "tcbStatus": "UpToDate"}]}
        )  # fmt: skip

    def _qe_identity(self, now: int) -> str:
        return _json(
            {"id": "TD_QE", "version": 2, **_dated(now), "tcbEvaluationDataNumber": 1,
             "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
             "attributes": devquote.QE_ATTRIBUTES.hex(), "attributesMask": "FF" * 16,
             "mrsigner": devquote.QE_SIGNER.hex(), "isvprodid": devquote.QE_PRODUCT,
             "tcbLevels": [{"tcb": {"isvsvn": devquote.QE_SVN}, "tcbDate": _date(now), "tcbStatus": "UpToDate"}]}
        )  # fmt: skip

    @cached_property
    def _root_crl(self) -> bytes:
        return _crl(self._root_key, self._root)

    @cached_property
    def _pck_crl(self) -> bytes:
        return _crl(self._pck_ca_key, self._pck_ca)

    def _key(self, label: str) -> ec.EllipticCurvePrivateKey:
        digest = hashlib.sha512(b"teehee/developer-pki/v1\x00" + label.encode() + b"\x00" + self._seed).digest()
        return ec.derive_private_key(int.from_bytes(digest) % (ORDER - 1) + 1, ec.SECP256R1())

    def _authority(
        self, name: str, below: int, issuer: "tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None"
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = self._key(name)
        signer, subject = (issuer[0], issuer[1].subject) if issuer else (key, _name(name))
        constraints = x509.BasicConstraints(ca=True, path_length=below)
        return key, self._certificate(name, key, signer, subject, constraints, CA_USAGE)

    def _leaf(
        self,
        name: str,
        signer: ec.EllipticCurvePrivateKey,
        issuer: x509.Certificate,
        *extensions: x509.ExtensionType,
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = self._key(name)
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        return key, self._certificate(name, key, signer, issuer.subject, constraints, LEAF_USAGE, *extensions)

    def _certificate(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        signer: ec.EllipticCurvePrivateKey,
        issuer: x509.Name,
        constraints: x509.BasicConstraints,
        usage: tuple[str, ...],
        *extensions: x509.ExtensionType,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer, _name(name), key.public_key(), _serial(self._seed, name), MADE, EXPIRES
        )
        builder = builder.add_extension(constraints, critical=True)
        builder = builder.add_extension(x509.KeyUsage(**{one: one in usage for one in USAGES}), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        for extension in (authority, *extensions):
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(signer, SHA256(), ecdsa_deterministic=True)


def _crl(key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate) -> bytes:
    builder = x509.CertificateRevocationListBuilder(issuer.subject, MADE, EXPIRES)
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(authority, critical=False)
    return builder.sign(key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _name(what: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{LABEL} {what}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, LABEL),
        ]
    )


def _serial(seed: bytes, name: str) -> int:
    return int.from_bytes(hashlib.sha256(b"serial\x00" + name.encode() + b"\x00" + seed).digest()[:16]) | 1


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """r and s, 32 bytes each: what quotes and collateral carry instead of DER."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True)))
    return r.to_bytes(32) + s.to_bytes(32)


def _dated(now: int) -> dict[str, str]:
    at = datetime.fromtimestamp(now, UTC)
    return {"issueDate": _instant(at - BEFORE), "nextUpdate": _instant(at + AFTER)}


def _date(now: int) -> str:
    return _instant(datetime.fromtimestamp(now, UTC) - BEFORE)


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
