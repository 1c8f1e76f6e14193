"""The key ring: names for keys, asked of the guest once, held in this process only."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from teehee.evidence import address, keychain
from teehee.tee import legacy
from teehee.tee.guest import Algorithm, GuestAgent, Key
from teehee.tee.legacy import Wallets
from teehee.wire import channel
from teehee.wire.channel import Exchange

# What every agent has, and by which algorithm. The wallets are hers before she ever spends.
AGENT_KEYS: Mapping[str, Algorithm] = {"log": "ed25519", "evm": "secp256k1", "solana": "ed25519"}
CHANNEL = "owner-channel"
LEGACY = "eliza-legacy"  # how the name of a wallet of Eliza's own recipe begins; only the wallet itself signs for it


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


@dataclass(frozen=True, slots=True)
class PublicHalf:
    """What may be published of a key: its name, public bytes, and the chain by which the guest vouches for it."""

    name: str
    algorithm: str
    public: bytes
    links: tuple[bytes, ...]


class KeyRing:
    """Derives keys once and keeps them; nothing here can hand one out but the key of a single backup."""

    def __init__(self, guest: GuestAgent, trust: str = "dev") -> None:
        self.guest = guest
        self.trust = trust
        self._keys: dict[str, Key] = {}
        self._log_keys: dict[str, LogKey] = {}
        self._salts: dict[str, str] = {}
        self._wallets: dict[str, Wallets] = {}

    def use_legacy(self, key_id: str, salt: str) -> None:
        """From here on the wallets of this agent are those of Eliza's recipe for this salt."""
        self._salts[key_id] = salt

    async def seal_root(self) -> bytes:
        return (await self._key("app", "seal", "aes-256-gcm-siv", "ed25519")).secret

    async def log_key(self, key_id: str) -> LogKey:
        """The agent's log key; derived on first use."""
        if key_id not in self._log_keys:
            key = await self._key(key_id, "log", "ed25519", "ed25519")
            self._log_keys[key_id] = LogKey(Ed25519PrivateKey.from_private_bytes(key.secret))
        return self._log_keys[key_id]

    async def public_halves(self, key_id: str) -> dict[str, PublicHalf]:
        """The public halves of the agent's keys, by purpose."""
        found = {}
        for purpose, algorithm in AGENT_KEYS.items():
            key = await self._key(key_id, purpose, algorithm, algorithm)
            found[purpose] = PublicHalf(key.name, algorithm, key.public, key.links)
        if key_id in self._salts:
            found |= await self._legacy(key_id)
        return found

    async def _legacy(self, key_id: str) -> dict[str, PublicHalf]:
        if key_id not in self._wallets:
            self._wallets[key_id] = legacy.wallets(await self.guest.derive_pem(self._salts[key_id]))
        wallets = self._wallets[key_id]
        evm, solana = wallets.evm_public, wallets.solana_public
        by_evm = keychain.sign(wallets.evm_key, keychain.claim_wallet(key_id, evm))
        seed = Ed25519PrivateKey.from_private_bytes(wallets.solana_seed)
        by_solana = seed.sign(keychain.claim_wallet(key_id, solana))
        return {
            "evm": PublicHalf(f"{LEGACY}/evm", "secp256k1", evm, (by_evm,)),
            "solana": PublicHalf(f"{LEGACY}/solana", "ed25519", solana, (by_solana,)),
        }

    async def backup_key(self, salt: bytes) -> tuple[bytes, bytes]:
        """The key of one backup, the one with this salt, and 32 bytes by which its file may say whose key it wants."""
        key = await self._key("app", "backup", "aes-256-gcm", "ed25519")
        both = HKDF(SHA256(), 64, salt=salt, info=b"teehee/backup/v1").derive(key.secret)
        return both[:32], both[32:]

    async def channel_key(self) -> bytes:
        """The X25519 public key to which owners encrypt what they send from afar."""
        return (await self._channel()).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    async def exchange(self, asker: bytes) -> Exchange:
        """The keys of the one request that came with this public key. Raises NotSealed."""
        return channel.agree(await self._channel(), asker, asker=asker, vault=await self.channel_key())

    async def _channel(self) -> X25519PrivateKey:
        key = await self._key("app", CHANNEL, "x25519", "ed25519")
        return X25519PrivateKey.from_private_bytes(key.secret)

    async def addresses(self, key_id: str) -> dict[str, str]:
        """The agent's wallets: `evm` with its checksum, `solana` in base58."""
        halves = await self.public_halves(key_id)
        return {"evm": address.evm(halves["evm"].public), "solana": address.base58(halves["solana"].public)}

    async def _key(self, key_id: str, purpose: str, named: str, algorithm: Algorithm) -> Key:
        name = key_name(key_id, purpose, named)
        if name not in self._keys:
            self._keys[name] = await self.guest.get_key(name, algorithm)
        return self._keys[name]
