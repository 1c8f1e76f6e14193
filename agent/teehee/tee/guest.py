"""The guest port: what the vault asks of the machine it was born in."""

import os
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from teehee.errors import ConfigError

SEED_BYTES = 32


class Guest(Protocol):
    """A guest agent: it derives keys by path and quotes report data. `trust` is `dev` or `tdx`."""

    trust: str

    async def get_key(self, path: str) -> bytes:
        """32 bytes that belong to this app and `path`, the same at every call."""
        ...


class DeveloperGuest:
    """Keys from a seed file in the data folder: for development, and it says so wherever it is seen."""

    trust = "dev"

    def __init__(self, seed_file: Path) -> None:
        self._seed = _read_or_make(seed_file)

    async def get_key(self, path: str) -> bytes:
        return HKDF(SHA256(), 32, salt=b"teehee/developer-guest/v1", info=path.encode()).derive(self._seed)


def _read_or_make(path: Path) -> bytes:
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(os.urandom(SEED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    seed = path.read_bytes()
    if len(seed) != SEED_BYTES:
        raise ConfigError(
            f"the developer seed {str(path)!r} has {len(seed)} bytes, expected {SEED_BYTES}",
            hint="restore it from a backup, or start with a new data folder: wallets and log keys come from it",
        )
    return seed
