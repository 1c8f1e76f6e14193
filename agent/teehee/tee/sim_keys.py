"""The simulator's keys: a key service's root, the app's root below it, and what apps ask of them."""

import hashlib
import json
import os
from dataclasses import dataclass

import coincurve
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from teehee.evidence import keychain

PROVIDERS = {"kms": "kms", "local": "local-sgx", "none": "none"}  # and what the event log calls them
VMS, SIGNING = "vms", "signing"  # the one key that Sign uses


class Failed(Exception):
    """A method ran and failed: what the agent answers 400 with."""


class KeyService:
    """The roots of one developer's key service, which every app of this seed hangs below."""

    def __init__(self, seed: bytes) -> None:
        self.root = _from_seed(seed, "kms root")
        self.ca = p256(_from_seed(seed, "kms ca"))
        self.sealing = _from_seed(seed, "sgx sealing key")
        self.enclave = _from_seed(seed, "sgx sealing enclave")

    @property
    def anchor(self) -> bytes:
        """The key a verifier compares link1's signer with; 33 bytes."""
        return keychain.public_key(self.root, "secp256k1")

    def info(self, provider: str) -> bytes:
        """What the event log says of the key provider."""
        spki = self.ca.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        identity = {"kms": spki, "local": self.enclave, "none": b""}[provider].hex()
        return json.dumps({"name": PROVIDERS[provider], "id": identity}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Given:
    """A derived key as the agent gives it, with its chain."""

    secret: bytes
    public: bytes
    chain: tuple[bytes, bytes]


class AppKeys:
    """One app's root keys and all that is derived from them.

    With `none` they are drawn anew each time, as they are on a machine without a key provider; with `local` they
    belong to `measured`, this very code on this very machine. Only a key service signs for them: link1 is else empty.
    """

    def __init__(
        self, service: KeyService, provider: str, app_id: bytes, measured: bytes, *, wrong_chain: bool = False
    ) -> None:
        self.wrong_chain = wrong_chain
        self.link1 = b""
        if provider == "kms":
            self.root = keychain.derive_v0(service.root, app_id, b"app-key")
            self.ca = p256(keychain.derive_v0(_scalar(service.ca), app_id, b"app-ca"))
            public = keychain.public_key(self.root, "secp256k1")
            self.link1 = keychain.sign(service.root, keychain.issued(app_id, public))
            return
        sealed = hashlib.sha256(service.sealing + measured).digest() if provider == "local" else os.urandom(32)
        self.root = keychain.derive_v0(sealed, b"app-k256-key")
        self.ca = p256(keychain.derive_v0(sealed, b"app-key"))

    def by_path(self, path: str, purpose: str, algorithm: str) -> Given:
        """GetKey of v0: path alone makes the key, purpose alone the claim."""
        secret, public = _checked(keychain.derive_v0(self.root, path.encode()), _named(algorithm or "secp256k1"))
        return Given(secret, public, self._chain(keychain.claim_v0(purpose, public)))

    def by_domain(self, domain: str, algorithm: str) -> Given:
        """GetKey of v1."""
        if algorithm not in ("secp256k1", "ed25519"):
            raise Failed(f"Unsupported algorithm {algorithm!r}: expected secp256k1 or ed25519")
        secret, public = _checked(keychain.derive_v1(self.root, domain, algorithm), algorithm)
        return Given(secret, public, self._chain(keychain.claim_v1(domain, algorithm, public)))

    def by_certificate(self, path: str, *, from_ca: bool, random: bool = False) -> ec.EllipticCurvePrivateKey:
        """tappd's DeriveKey; before 0.4 it came from the app's certificate authority, so it was another key."""
        root = os.urandom(32) if random else _scalar(self.ca) if from_ca else self.root
        return p256(keychain.derive_v0(root, path.encode()))

    def sign(self, algorithm: str, data: bytes) -> tuple[bytes, Given]:
        """Sign of v0: always with the key `vms`."""
        mode = _alias(algorithm)
        key = self.by_path(VMS, SIGNING, "secp256k1" if mode == "secp256k1_prehashed" else mode)
        if mode == "ed25519":
            return Ed25519PrivateKey.from_private_bytes(key.secret).sign(data), key
        if mode == "secp256k1":
            data = hashlib.sha256(data).digest()
        elif mode != "secp256k1_prehashed":
            raise Failed("Unsupported algorithm")
        elif len(data) != 32:
            raise Failed(f"Pre-hashed signing requires a 32-byte digest, but received {len(data)} bytes")
        return coincurve.PrivateKey(key.secret).sign_recoverable(data, hasher=None)[:64], key

    def _chain(self, claim: bytes) -> tuple[bytes, bytes]:
        return keychain.sign(os.urandom(32) if self.wrong_chain else self.root, claim), self.link1


def verify(algorithm: str, data: bytes, signature: bytes, public: bytes) -> bool:
    """Verify of v0. A signature with a high s does not hold; what cannot be one at all is Failed."""
    mode = _alias(algorithm)
    if mode == "ed25519":
        return _verify_ed25519(data, signature, public)
    if mode not in ("secp256k1", "secp256k1_prehashed"):
        raise Failed("Unsupported algorithm")
    try:
        key = coincurve.PublicKey(public)
    except ValueError as error:
        raise Failed(f"invalid public key: {error}") from None
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if len(signature) != 64 or not 0 < r < keychain.ORDER or not 0 < s < keychain.ORDER:
        raise Failed("signature error")
    if mode == "secp256k1":
        digest = hashlib.sha256(data).digest()
    elif len(data) < 16:
        return False
    else:
        digest = data[:32].rjust(32, b"\x00")  # the agent takes any length here, and says nothing
    return s <= keychain.ORDER // 2 and key.verify(encode_dss_signature(r, s), digest, hasher=None)


def p256(secret: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())


def _verify_ed25519(data: bytes, signature: bytes, public: bytes) -> bool:
    if len(public) != 32 or len(signature) != 64:
        raise Failed("invalid public key or signature")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _checked(secret: bytes, algorithm: str) -> tuple[bytes, bytes]:
    try:
        return secret, keychain.public_key(secret, algorithm)
    except ValueError:
        raise Failed("Failed to parse k256 key") from None


def _named(algorithm: str) -> str:
    algorithm = _alias(algorithm)
    if algorithm not in ("secp256k1", "ed25519"):
        raise Failed("Unsupported algorithm")
    return algorithm


def _alias(algorithm: str) -> str:
    return "secp256k1" if algorithm == "k256" else algorithm


def _scalar(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(32)


def _from_seed(seed: bytes, label: str) -> bytes:
    return HKDF(SHA256(), 32, salt=b"teehee/simulator/v1", info=label.encode()).derive(seed)
