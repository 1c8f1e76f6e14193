"""Who signed a quote: the chain from its own bytes up to a root, checked with nothing but OpenSSL.

This says whose hardware answered, not how well it is kept: TCB levels, revocation and dates are a DCAP verifier's.
The vault asks it of its own quote at every start, because no setting may say what the signatures can.
"""

import warnings
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from teehee.errors import VerificationError
from teehee.evidence.quote import Quote

FAULTS = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, UserWarning)  # a warning may be made to raise
# SHA-256 of the SubjectPublicKeyInfo of Intel's SGX Root CA, as it stands in every PCK chain.
INTEL_ROOT = "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"


def root_of(quote: Quote) -> str:
    """The hex SHA-256 of the key at the root of the chain that signed `quote`, when every signature below it holds.

    1. The chain is three certificates: PCK, its CA, a root.
    2. Each is signed by the next, the root by itself.
    3. The PCK signed the report of the quoting enclave.
    4. That report names the attestation key.
    5. The attestation key signed the quote.

    Raises VerificationError naming the step.
    """
    try:
        leaf, authority, root = _certificates(quote)
    except FAULTS:
        raise VerificationError("signatures.1", "expected three certificates in the quote") from None
    for issued, by in ((leaf, authority), (authority, root), (root, root)):  # 2
        try:
            issued.verify_directly_issued_by(by)
        except (*FAULTS, TypeError, InvalidSignature):
            name = _name(issued)[:100]
            raise VerificationError("signatures.2", f"the certificate {name!r} is not signed by the next") from None
    try:
        pck, root_key = leaf.public_key(), _key_hash(root)
    except FAULTS:
        raise VerificationError("signatures.2", "a certificate holds a key nobody can read") from None
    if not isinstance(pck, ec.EllipticCurvePublicKey):
        raise VerificationError("signatures.3", "the PCK is no P-256 key")
    _verify(pck, quote.qe.signature, quote.qe.report, "signatures.3")
    named = sha256(quote.attestation_key + quote.qe.auth_data).digest()
    if quote.qe.report_data != named.ljust(64, b"\x00"):
        raise VerificationError("signatures.4", "the quoting enclave names another attestation key")
    try:
        attestation = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    except ValueError:
        raise VerificationError("signatures.5", "the attestation key is no point of P-256") from None
    _verify(attestation, quote.signature, quote.signed, "signatures.5")
    return root_key


def key_of(root_der: bytes) -> str:
    """The hex SHA-256 of the key in a root certificate. Raises VerificationError for what is no certificate."""
    try:
        return _key_hash(x509.load_der_x509_certificate(root_der))
    except FAULTS:
        raise VerificationError("signatures.1", "expected a root certificate in DER") from None


def names_of(quote: Quote) -> bytes:
    """The subjects of the chain in the quote, to say whose it claims to be."""
    try:
        return " ".join(map(_name, _certificates(quote))).encode()
    except FAULTS:
        return b""


def _certificates(quote: Quote) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography warns of other algorithms when its x509 is first used
        return x509.load_pem_x509_certificates(quote.pck_chain.rstrip(b"\x00"))


def _name(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string()
    except FAULTS:  # a certificate is read only when it is looked at
        return "unreadable"


def _key_hash(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(spki).hexdigest()


def _verify(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes, step: str) -> None:
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise VerificationError(step, "the signature does not hold") from None
