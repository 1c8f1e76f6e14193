"""The owner's side of the owner channel: a key in the data folder, requests signed and numbered."""

import os
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from teehee.errors import ConfigError
from teehee.wire.client import Client
from teehee.wire.owner import sign

Json = Any


class Owner:
    """Speaks as the owner whose key lies at `path`; the key is made at first use."""

    def __init__(self, path: Path) -> None:
        self._key = _read_or_make(path)
        self._last = 0

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    async def ask(self, vault: Client, method: str, params: Json, *, patience: float = 15.0) -> Json:
        """Sends one signed request over the vault's owner socket."""
        return await vault.call("request", self.signed(method, params), patience=patience)

    def signed(self, method: str, params: Json, to: str = "") -> dict[str, str]:
        """One request under a number of its own; with `to`, for the vault of that channel key only."""
        self._last = max(self._last + 1, time.time_ns() // 1000)
        body = {"seq": self._last, "method": method, "params": params} | ({"to": to} if to else {})
        return sign(body, self._key.sign, self.public)


def _read_or_make(path: Path) -> Ed25519PrivateKey:
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    seed = path.read_bytes()
    if len(seed) != 32:
        raise ConfigError(
            f"the owner key {str(path)!r} has {len(seed)} bytes, expected 32",
            hint="restore it from a backup; without it this vault takes no orders",
        )
    return Ed25519PrivateKey.from_private_bytes(seed)
