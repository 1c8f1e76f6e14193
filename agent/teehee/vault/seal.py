"""Sealing: private cells are encrypted for their own place, so none can be moved or rolled back alone.

epoch, 8 bytes | nonce, 12 bytes | AES-256-GCM-SIV of the plain bytes; AAD = table, row key, row version, epoch
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from teehee.errors import ConfigError

EPOCH_BYTES, NONCE_BYTES = 8, 12


class Seal:
    """A key per table. `epoch` counts the lives of this vault: a cell of a later one is from a store put back."""

    def __init__(self, root: bytes, epoch: int) -> None:
        self._root = root
        self.epoch = epoch
        self._ciphers: dict[str, AESGCMSIV] = {}

    def seal(self, table: str, key: str, version: int, plain: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        place = _place(table, key, version, self.epoch)
        return self.epoch.to_bytes(EPOCH_BYTES) + nonce + self._cipher(table).encrypt(nonce, plain, place)

    def open(self, table: str, key: str, version: int, sealed: bytes) -> bytes:
        """The plain bytes. Raises ConfigError when the cell was altered, moved, or sealed by other keys or later."""
        epoch, rest = int.from_bytes(sealed[:EPOCH_BYTES]), sealed[EPOCH_BYTES:]
        try:
            place = _place(table, key, version, epoch)
            plain = self._cipher(table).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):  # ValueError: too short to be a sealed cell
            raise ConfigError(
                f"a sealed cell of {table!r} does not open: altered, moved, or sealed by another vault",
                hint="restore the data folder from a backup taken with these keys",
            ) from None
        if epoch > self.epoch:
            raise ConfigError(
                f"a sealed cell of {table!r} is from epoch {epoch}, this vault is in its epoch {self.epoch}",
                hint="parts of two stores were mixed; restore the data folder whole, from one backup",
            )
        return plain

    def _cipher(self, table: str) -> AESGCMSIV:
        if table not in self._ciphers:
            key = HKDFExpand(SHA256(), 32, info=f"teehee/seal/v1/{table}".encode()).derive(self._root)
            self._ciphers[table] = AESGCMSIV(key)
        return self._ciphers[table]


def _place(table: str, key: str, version: int, epoch: int) -> bytes:
    return f"{table}\n{key}\n{version}\n{epoch}".encode()
