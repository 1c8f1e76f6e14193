"""How dstack derives an app's keys from its root key, and what the two signatures of a chain say of them.

    v0   key   = HKDF-SHA256("RATLS", app root, path)
         link0 = app root signs  keccak256( purpose ":" hex of the public key )
    v1   key   = HKDF-SHA256("dstack-guest-v1", app root, LP("dstack-guest-v1-key") LP(algorithm) LP(domain))
         link0 = app root signs  keccak256( LP("dstack-guest-v1-key-claim") LP(algorithm) LP(domain) LP(public key) )
    both link1 = KMS root signs  keccak256( "dstack-kms-issued:" app id, app root's public key )

LP(x) is the length of x in four bytes, big-endian, and x. A link is r, s and the recovery id: 65 bytes.
"""

import coincurve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LINK_BYTES = 65
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # of secp256k1


def legacy_key(root: bytes, *path: bytes) -> bytes:
    """What v0, tappd and the key service derive: 32 bytes, whatever algorithm they are for."""
    return HKDF(SHA256(), 32, salt=b"RATLS", info=b"".join(path)).derive(root)


def domain_key(root: bytes, domain: str, algorithm: str) -> bytes:
    """What v1 derives: 32 bytes for this domain and this algorithm only."""
    info = _prefixed(b"dstack-guest-v1-key", algorithm.encode(), domain.encode())
    return HKDF(SHA256(), 32, salt=b"dstack-guest-v1", info=info).derive(root)


def public_key(secret: bytes, algorithm: str) -> bytes:
    """33 bytes compressed for secp256k1, 32 for ed25519. Raises ValueError when these bytes are no key."""
    if algorithm == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return coincurve.PrivateKey(secret).public_key.format()


def legacy_claim(purpose: str, public: bytes) -> bytes:
    return f"{purpose}:{public.hex()}".encode()


def domain_claim(domain: str, algorithm: str, public: bytes) -> bytes:
    return _prefixed(b"dstack-guest-v1-key-claim", algorithm.encode(), domain.encode(), public)


def issued(app_id: bytes, app_root: bytes) -> bytes:
    return b"dstack-kms-issued:" + app_id + app_root


def sign(secret: bytes, message: bytes) -> bytes:
    """The link by which the holder of `secret` says `message`."""
    return coincurve.PrivateKey(secret).sign_recoverable(keccak256(message), hasher=None)


def recover(link: bytes, message: bytes) -> bytes:
    """Who says `message` with this link, compressed. Raises ValueError when nobody could have made it."""
    if len(link) != LINK_BYTES:
        raise ValueError(f"a link has {LINK_BYTES} bytes, got {len(link)}")
    if int.from_bytes(link[32:64]) > ORDER // 2:
        raise ValueError("the upper half of s is taken for forged: any signature has a twin there")
    try:
        return coincurve.PublicKey.from_signature_and_message(link, keccak256(message), hasher=None).format()
    except Exception as error:  # coincurve raises a bare Exception for what cannot be recovered
        raise ValueError(f"no key made this link: {error}") from None


def keccak256(data: bytes) -> bytes:
    from Crypto.Hash import keccak  # a quarter of a second of imports, for those who need it only

    return keccak.new(digest_bits=256, data=data).digest()


def _prefixed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in parts)
