"""Sealing: private cells are encrypted for their own place, so none can be moved or rolled back alone."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from teehee.errors import ConfigError

NONCE_BYTES = 12


class Seal:
    """AES-256-GCM-SIV with a key per table; AAD = table, row key, row version."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._ciphers: dict[str, AESGCMSIV] = {}

    def seal(self, table: str, key: str, version: int, plain: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(table).encrypt(nonce, plain, _place(table, key, version))

    def open(self, table: str, key: str, version: int, sealed: bytes) -> bytes:
        """The plain bytes. Raises ConfigError when the cell was altered, moved, or sealed by other keys."""
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher(table).decrypt(nonce, body, _place(table, key, version))
        except (InvalidTag, ValueError):  # ValueError: too short to be a sealed cell
            raise ConfigError(
                f"a sealed cell of {table!r} does not open: altered, moved, or sealed by another vault",
                hint="restore the data folder from a backup taken with these keys",
            ) from None

    def _cipher(self, table: str) -> AESGCMSIV:
        if table not in self._ciphers:
            key = HKDFExpand(SHA256(), 32, info=f"teehee/seal/v1/{table}".encode()).derive(self._root)
            self._ciphers[table] = AESGCMSIV(key)
        return self._ciphers[table]


def _place(table: str, key: str, version: int) -> bytes:
    return f"{table}\n{key}\n{version}".encode()
