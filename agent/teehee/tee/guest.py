"""The guest port: what the vault asks of the machine it was born in."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from teehee.errors import ConfigError, TeeheeError, Unavailable

SEED_BYTES = 32
REPORT_BYTES = 64

Era = Literal["v0", "v1", "tappd"]
Algorithm = Literal["secp256k1", "ed25519"]


@dataclass(frozen=True, slots=True)
class Api:
    """Which of a guest agent's APIs keys come from; pinned at genesis, for another API gives other keys.

    `version` is the agent's own word for its release, empty where it has none (older than 0.5.7).
    """

    era: Era
    version: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its name, and the two signatures that tie it to its app and its app to a key service.

    `links` is empty where the agent gives none that names this key; its second entry is empty where no key service
    stands behind the app. `app_root` is whom the first names as the app, empty without it: whether that is
    the right one is for the verifier to say, who knows the key service from elsewhere.
    """

    name: str
    algorithm: Algorithm
    secret: bytes = field(repr=False)
    public: bytes
    links: tuple[bytes, ...] = ()
    app_root: bytes = b""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote over the report data that was asked for, with the event log that explains its registers.

    `event_log` is a JSON list in every era; `attestation` is the versioned form it came in, where it did.
    """

    quote: bytes
    event_log: bytes
    vm_config: str
    attestation: bytes = b""


@dataclass(frozen=True, slots=True)
class AppInfo:
    """What an agent says of its app, evidence of nothing. What an era does not tell is empty."""

    app_id: bytes
    instance_id: bytes
    app_name: str
    compose_hash: bytes
    app_compose: bytes
    device_id: bytes
    os_image_hash: bytes
    key_provider: str
    vm_config: str


class GuestError(TeeheeError):
    """The guest agent said no, or what it said is no answer; asking again would not help."""


class GuestAgent(Protocol):
    """A guest agent behind one pinned API: it derives keys by name and quotes report data."""

    @property
    def api(self) -> Api: ...

    async def get_key(self, name: str, algorithm: Algorithm) -> Key:
        """The key that belongs to this app and this name, the same at every call."""
        ...

    async def get_quote(self, report_data: bytes) -> Quoted:
        """A quote over exactly these 64 bytes."""
        ...

    async def info(self) -> AppInfo: ...

    async def derive_pem(self, path: str, subject: str = "") -> str:
        """tappd's P-256 key for `path`, in PEM form; only the recipe `eliza-legacy` asks for it."""
        ...


class DeveloperGuest:
    """Keys from a seed file in the data folder, and no quotes: for tests of what needs keys alone."""

    api = Api("v0", "")

    def __init__(self, seed_file: Path) -> None:
        self._seed = read_or_make_seed(seed_file)

    async def get_key(self, name: str, algorithm: Algorithm) -> Key:
        from teehee.evidence import keychain

        secret = HKDF(SHA256(), 32, salt=b"teehee/developer-guest/v1", info=name.encode()).derive(self._seed)
        return Key(name, algorithm, secret, keychain.public_key(secret, algorithm))

    async def get_quote(self, report_data: bytes) -> Quoted:
        raise Unavailable("a developer's seed alone quotes nothing", code="no-quotes")

    async def info(self) -> AppInfo:
        raise Unavailable("a developer's seed alone tells of no app", code="no-quotes")

    async def derive_pem(self, path: str, subject: str = "") -> str:
        raise Unavailable("a developer's seed alone is no tappd", code="no-tappd")


def read_or_make_seed(path: Path) -> bytes:
    """The developer's seed, drawn when there is none yet. Raises ConfigError when the file holds something else."""
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
