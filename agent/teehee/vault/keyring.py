"""The key ring: names for keys, derived through the guest, held in this process only."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from teehee.tee.guest import Guest


def key_name(key_id: str, purpose: str, algorithm: str, number: int = 0) -> str:
    """`teehee/v1/<key id>/<purpose>/<algorithm>[/<n>]`: one name, one key, one algorithm.

    The algorithm is part of the path because a guest gives the same bytes to any algorithm asking for one path.
    """
    return f"teehee/v1/{key_id}/{purpose}/{algorithm}" + (f"/{number}" if number else "")


@dataclass(frozen=True, slots=True)
class LogKey:
    """The Ed25519 key that signs one agent's checkpoints."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class KeyRing:
    """Derives keys once and keeps them; nothing here can hand one out."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self._log_keys: dict[str, LogKey] = {}

    @property
    def trust(self) -> str:
        return self.guest.trust

    async def seal_root(self) -> bytes:
        return await self.guest.get_key(key_name("app", "seal", "aes-256-gcm-siv"))

    async def log_key(self, key_id: str) -> LogKey:
        """The agent's log key; derived on first use."""
        if key_id not in self._log_keys:
            seed = await self.guest.get_key(key_name(key_id, "log", "ed25519"))
            self._log_keys[key_id] = LogKey(Ed25519PrivateKey.from_private_bytes(seed))
        return self._log_keys[key_id]
