"""The signatures by which a dstack guest shows where a key comes from, and the derivations behind them.

Source: dstack docs/guest-api-v0.md, docs/guest-api-v1.md, kms/src/crypto.rs.

    KMS root  --link 1-->  app root  --link 0-->  key            both secp256k1, r || s || v, v from 0 to 3, low s

    v0    key     HKDF-SHA256( app root, salt "RATLS", info path )
          link 0  keccak256( purpose ":" public key in hex )
    v1    key     HKDF-SHA256( app root, salt "dstack-guest-v1", info of LP("dstack-guest-v1-key"), algorithm, domain )
          link 0  keccak256( LP("dstack-guest-v1-key-claim") || LP(algorithm) || LP(domain) || LP(public key) )
    both  link 1  keccak256( "dstack-kms-issued:" || app id || app root's public key )

LP is a length of 4 bytes, big-endian, and then the bytes. In v0 neither purpose nor algorithm enters the key: one path
is one secret, whatever it is used for. Other key providers than a KMS leave link 1 empty: nobody vouches for the root.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from teehee.errors import VerificationError
from teehee.evidence.keccak import keccak256

SECP256K1, ED25519 = "secp256k1", "ed25519"
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
SIGNATURE_BYTES = 65
APP_ID_BYTES = 20

_V1 = b"dstack-guest-v1"


@dataclass(frozen=True, slots=True)
class Roots:
    """Whose keys signed a chain: the app root of link 0 and, where a KMS vouches for it, the KMS root of link 1."""

    app_root: bytes
    kms_root: bytes | None


def derive_v0(root: bytes, *path: bytes) -> bytes:
    """The key of this path, as `GetKey` of v0, tappd and the key services derive it."""
    return _hkdf(root, b"RATLS", b"".join(path))


def derive_v1(app_root: bytes, domain: str, algorithm: str) -> bytes:
    """The key of this domain and algorithm, by `GetKey` of v1."""
    return _hkdf(app_root, _V1, _lp(_V1 + b"-key") + _lp(algorithm.encode()) + _lp(domain.encode()))


def derive_app_root(kms_root: bytes, app_id: bytes) -> bytes:
    """The root of an app, by the KMS."""
    return derive_v0(kms_root, app_id, b"app-key")


def public_key(key: bytes, algorithm: str) -> bytes:
    """The public half: 33 bytes for secp256k1, 32 for ed25519. Raises ValueError for another algorithm."""
    if algorithm == SECP256K1:
        return PrivateKey(key).public_key.format()
    if algorithm == ED25519:
        return Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    raise ValueError(f"expected {SECP256K1} or {ED25519}, got {algorithm!r}")


def claim_v0(purpose: str, public_key: bytes) -> bytes:
    """What link 0 signs in v0. The answer of `GetKey` does not repeat the purpose: it must be known."""
    return f"{purpose}:{public_key.hex()}".encode()


def claim_v1(domain: str, algorithm: str, public_key: bytes) -> bytes:
    """What link 0 signs in v1."""
    return _lp(_V1 + b"-key-claim") + _lp(algorithm.encode()) + _lp(domain.encode()) + _lp(public_key)


def claim_wallet(key_id: str, public_key: bytes) -> bytes:
    """What a wallet without a chain signs itself: that the agent of this key id holds it."""
    return f"teehee/wallet/v1:{key_id}:{public_key.hex()}".encode()


def check_wallet(key_id: str, algorithm: str, public_key: bytes, signature: bytes) -> None:
    """The wallet's own signature over its claim, so that nobody names a wallet they do not hold (7)."""
    claim = claim_wallet(key_id, public_key)
    try:
        if algorithm == ED25519:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, claim)
            return
        if recover(claim, signature) == public_key:
            return
    except (InvalidSignature, ValueError):
        pass
    raise VerificationError("keychain.7", f"expected the wallet {public_key.hex()[:16]}… to sign for agent {key_id}")


def issued(app_id: bytes, app_root: bytes) -> bytes:
    """What link 1 signs, over the app root's public key."""
    return b"dstack-kms-issued:" + app_id + app_root


def sign(key: bytes, message: bytes) -> bytes:
    """A link by this root over `message`, as guest and KMS make it (deterministic, by RFC 6979)."""
    return PrivateKey(key).sign_recoverable(message, hasher=keccak256)


def recover(message: bytes, signature: bytes) -> bytes:
    """The public key, compressed, that signed `message`.

    1. The signature has 65 bytes; r and s are from 1 to the order, s in the lower half; v is from 0 to 3.
    2. There is such a key.
    """
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    if len(signature) != SIGNATURE_BYTES or not 0 < r < ORDER or not 0 < s <= ORDER // 2 or signature[64] > 3:  # 1
        raise VerificationError(
            "keychain.1", f"expected 65 bytes r, s in the lower half, v from 0 to 3, got {signature.hex()[:140]}"
        )
    try:
        return PublicKey.from_signature_and_message(signature, message, hasher=keccak256).format()
    except Exception:  # 2, coincurve raises Exception itself
        raise VerificationError("keychain.2", f"expected the signature of a key, got {signature.hex()}") from None


def verify(
    claim: bytes,
    chain: Sequence[bytes],
    *,
    app_id: bytes,
    provider: str,
    anchor: bytes | None = None,
    refused: Collection[bytes] = (),
) -> Roots:
    """Whose roots stand behind a claim; `provider` is the key provider's name in the event log.

    `anchor` is the KMS root's public key, and must come from elsewhere than the agent: a chain to any other root is
    one that anybody can make. `refused` are roots whose private keys are published. Whether all keys of an agent have
    the same app root is for the caller to compare.

    3. There are two links, and the app id has 20 bytes. Each link is a signature (steps 1 and 2).
    4. Link 1 is there if the key provider is a KMS and only then.
    5. Neither root is refused.
    6. The KMS root is the anchor; without an anchor nothing is shown.
    """
    if len(chain) != 2 or len(app_id) != APP_ID_BYTES:  # 3
        raise VerificationError("keychain.3", f"expected 2 links and an app id of 20 bytes, got {len(chain)} links")
    app_root = recover(claim, chain[0])
    if bool(chain[1]) != (provider == "kms"):  # 4
        got = f"{len(chain[1])} bytes" if chain[1] else "none"
        raise VerificationError(
            "keychain.4", f"expected a link by a KMS from a KMS only, got {got} from {provider!r:.64}"
        )
    kms_root = recover(issued(app_id, app_root), chain[1]) if chain[1] else None
    for root in (app_root, kms_root or b""):
        if root in refused:  # 5
            raise VerificationError(
                "keychain.5",
                f"expected a root that is secret, got {root.hex()}",
                hint="This is the key of a published simulator: anybody can sign with it.",
            )
    if kms_root is not None and kms_root != anchor:  # 6
        expected = anchor.hex() if anchor else "an anchor from elsewhere"
        raise VerificationError("keychain.6", f"expected the KMS root {expected}, got {kms_root.hex()}")
    return Roots(app_root, kms_root)


def address(public_key: bytes) -> str:
    """The Ethereum address of a secp256k1 key, in lower case."""
    return "0x" + keccak256(PublicKey(public_key).format(compressed=False)[1:])[-20:].hex()


def _lp(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _hkdf(root: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(root)
