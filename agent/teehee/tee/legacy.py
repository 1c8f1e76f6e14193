"""What Eliza's TEE plugin made of a tappd key: the wallets of `eliza-legacy`, and the report data of its quotes.

    DER          = the PKCS#8 form of tappd's P-256 key for the path WALLET_SECRET_SALT, whole: 138 bytes
    EVM key      = keccak256( DER )
    Solana seed  = SHA-256( DER )

Both wallets come from one secret and every agent with the same salt in one app has the same two: it is here to move
an Eliza agent without moving its funds, not for a new one.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from teehee.errors import ConfigError
from teehee.evidence import address, keychain
from teehee.evidence.keccak import keccak, keccak256

DER_BYTES = 138
PEM_LIMIT = 1024
BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
# Version 0, P-256, then its 32 bytes and the 65 of its point: what every DER of this length has before and between.
HEADER = bytes.fromhex("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420")
BETWEEN = bytes.fromhex("a144034200") + b"\x04"


@dataclass(frozen=True, slots=True)
class Wallets:
    """The two wallets of one tappd key; `evm_public` is compressed."""

    evm_key: bytes = field(repr=False)
    evm_public: bytes
    solana_seed: bytes = field(repr=False)
    solana_public: bytes

    @property
    def evm_address(self) -> str:
        return address.evm(self.evm_public)

    @property
    def solana_address(self) -> str:
        return address.base58(self.solana_public)


def wallets(pem: str) -> Wallets:
    """The wallets Eliza derives from this key. Raises ConfigError when it is not the key form Eliza hashed."""
    der = _der(pem)
    evm_key, solana_seed = keccak256(der), hashlib.sha256(der).digest()
    evm, solana = keychain.public_key(evm_key, "secp256k1"), keychain.public_key(solana_seed, "ed25519")
    return Wallets(evm_key, evm, solana_seed, solana)


def report_data(content: bytes, hash_algorithm: str = "", prefix: str = "") -> bytes:
    """The 64 bytes tappd quotes for `content`: the hash of `prefix:content`, filled up with zeros.

    With `raw` the content is the 64 bytes. Raises ValueError for another length then, or an unknown algorithm.
    """
    if hash_algorithm == "raw":
        if len(content) != 64:
            raise ValueError("invalid content length")
        return content
    digest = HASHES.get(hash_algorithm or "sha512")
    if digest is None:
        raise ValueError("invalid hash algorithm")
    return digest((prefix or "app-data").encode() + b":" + content).ljust(64, b"\x00")


def _der(pem: str) -> bytes:
    lines = pem.strip().split("\n") if len(pem) <= PEM_LIMIT else []
    if len(lines) < 3 or lines[0].strip() != BEGIN or lines[-1].strip() != END:
        raise ConfigError(
            "the tappd key is not one PKCS#8 key in PEM form", hint="the recipe eliza-legacy needs tappd's DeriveKey"
        )
    try:
        der = base64.b64decode("".join(line.strip() for line in lines[1:-1]), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("the tappd key is not base64 between its PEM lines") from None
    if len(der) != DER_BYTES or not der.startswith(HEADER) or der[68:74] != BETWEEN:
        raise ConfigError(
            f"the tappd key has {len(der)} bytes, expected the {DER_BYTES} of a P-256 key with its public half",
            hint="another form of the same key gives other wallets, so none are made from it",
        )
    return der


def _keccak(bits: int) -> Callable[[bytes], bytes]:
    return lambda data: keccak(data, bits)


def _hashlib(name: str) -> Callable[[bytes], bytes]:
    return lambda data: hashlib.new(name, data).digest()


HASHES: dict[str, Callable[[bytes], bytes]] = {
    **{name: _hashlib(name) for name in ("sha256", "sha384", "sha512")},
    **{f"sha3-{bits}": _hashlib(f"sha3_{bits}") for bits in (256, 384, 512)},
    **{f"keccak{bits}": _keccak(bits) for bits in (256, 384, 512)},
}
