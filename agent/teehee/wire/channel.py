"""The owner's channel from afar: sealed to the vault's X25519 key, whoever carries it can neither read nor alter it.

A request is the public key of a pair made for it alone, then one sealed text; the answer is one sealed text. Two keys,
one for each way, come out of the exchange, with both sides' public keys in the derivation; each seals a single text.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DOMAIN = b"teehee/owner-channel/v1"
KEY_BYTES = 32
MOST_BYTES = 16 << 10  # of a request as it travels
STEP_BYTES = 512  # texts are filled up to a multiple, so that their length tells little
NONCE = bytes(12)  # a key seals once


class NotSealed(ValueError):
    """What came was not sealed under this exchange, or was altered on its way."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """The keys of one request: `asking` sealed it, `answering` seals what is answered."""

    asking: bytes = field(repr=False)
    answering: bytes = field(repr=False)


def agree(own: X25519PrivateKey, other: bytes, *, asker: bytes, vault: bytes) -> Exchange:
    """What both sides come to: `own` is one side's secret, `other` the other's public key. Raises NotSealed."""
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError as error:  # too short, or one of the points that make every exchange come out the same
        raise NotSealed("this is no public key to talk to") from error
    both = HKDF(SHA256(), 2 * KEY_BYTES, salt=None, info=DOMAIN + asker + vault).derive(shared)
    return Exchange(both[:KEY_BYTES], both[KEY_BYTES:])


def request(text: bytes, vault: bytes, pair: X25519PrivateKey) -> tuple[bytes, Exchange]:
    """`text` as it travels to the vault with this public key, and what its answer is opened with.

    `pair` is for this request alone.
    """
    asker = pair.public_key().public_bytes_raw()
    exchange = agree(pair, vault, asker=asker, vault=vault)
    return asker + seal(exchange.asking, text), exchange


def seal(key: bytes, text: bytes) -> bytes:
    """JSON text, filled up with blanks, under a key that seals nothing else."""
    length = -(-len(text) // STEP_BYTES) * STEP_BYTES
    return ChaCha20Poly1305(key).encrypt(NONCE, text.ljust(length), DOMAIN)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """The text that was sealed under this key. Raises NotSealed."""
    try:
        return ChaCha20Poly1305(key).decrypt(NONCE, sealed, DOMAIN)
    except (InvalidTag, ValueError) as error:
        raise NotSealed("this was sealed under another key, or altered on its way") from error
