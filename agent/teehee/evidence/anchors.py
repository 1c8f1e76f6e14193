"""What a verifier takes on trust, as dated data: KMS roots, operating systems, contracts, and keys nobody may trust.

The files in `data/` say of each fact where it was read and when. They are starting points: a caller may bring its own,
and a contract's keys have to be read from its chain. A key that an agent sends along is never an anchor.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

from teehee.errors import VerificationError
from teehee.evidence import canonical
from teehee.evidence.canonical import Json, Record, text

MAX_FILE_BYTES = 262_144

Words = Annotated[str, text("1 to 256 printable characters", r"[^\x00-\x1f]{1,256}")]
Day = Annotated[str, text("a day, such as 2026-08-21", r"20[0-9]{2}-[01][0-9]-[0-3][0-9]")]
Name = Annotated[str, text("a short name", r"[a-z0-9][a-z0-9.-]{0,31}")]
Key = text("a compressed secp256k1 key or a DER public key of P-256, in hex", r"0[23][0-9a-f]{64}|3059[0-9a-f]{178}")
Contract = Annotated[str, text("a contract by CAIP-10, or nothing", r"(?:eip155:[1-9][0-9]{0,9}:0x[0-9a-f]{40})?")]
K256 = Annotated[str, text("a compressed key in hex, or nothing", r"(?:0[23][0-9a-f]{64})?")]
Ca = Annotated[str, text("a DER public key of P-256 in hex, or nothing", r"(?:3059[0-9a-f]{178})?")]
Flavour = Annotated[str, text("'prod' or 'dev'", r"prod|dev")]
Hash = Annotated[str, text("64 lower-case hex digits, or nothing", r"(?:[0-9a-f]{64})?")]
Role = Annotated[str, text("'proxy', 'implementation' or 'timelock'", r"proxy|implementation|timelock")]
CodeHash = Annotated[str, text("64 lower-case hex digits", r"[0-9a-f]{64}")]
Register = Annotated[str, text("96 lower-case hex digits", r"[0-9a-f]{96}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsAnchor(Record):
    """A KMS by its keys, or by the contract (`kmsInfo()`) that names them."""

    name: Name
    contract: Contract
    k256: K256
    ca: Ca
    source: Words
    as_of: Day


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedKey(Record):
    """A key whose private half is published."""

    key: Annotated[str, Key]
    what: Words
    source: Words
    as_of: Day


@dataclass(frozen=True, slots=True, kw_only=True)
class OsImage(Record):
    """A dstack OS image by its measurements. RTMR0 is not among them: it differs with the machine's size.

    `prod` and `dev` of one release may differ in RTMR2 alone, and a dev image lets its owner log in.
    """

    release: Name
    flavour: Flavour
    os_image_hash: Hash
    mrtd: Register
    rtmr1: Register
    rtmr2: Register
    source: Words
    as_of: Day


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCode(Record):
    """A contract's code by the Keccak-256 of it, and the one role it is known to play as it should."""

    role: Role
    name: Words
    code_hash: CodeHash
    source: Words
    as_of: Day


@cache
def kms_anchors() -> tuple[KmsAnchor, ...]:
    """The known KMS."""
    return tuple(KmsAnchor.read(entry) for entry in _entries("kms_anchors.json"))


@cache
def refused_keys() -> frozenset[bytes]:
    """Keys that must not stand behind anything: those of the simulators that dstack publishes."""
    return frozenset(bytes.fromhex(RefusedKey.read(entry).key) for entry in _entries("refused_keys.json"))


@cache
def os_images() -> tuple[OsImage, ...]:
    """The known OS images."""
    return tuple(OsImage.read(entry) for entry in _entries("os_images.json"))


@cache
def simulator_images() -> tuple[OsImage, ...]:
    """What our own simulator measures: known images where trust is `dev`, and nowhere else."""
    return tuple(OsImage.read(entry) for entry in _entries("simulator_images.json"))


@cache
def known_codes() -> tuple[KnownCode, ...]:
    """The known contracts; no app's implementation is among them: its code, and so its hash, holds its own address."""
    return tuple(KnownCode.read(entry) for entry in _entries("contracts.json"))


def check_os_image(
    mrtd: bytes,
    rtmr1: bytes,
    rtmr2: bytes,
    os_image_hash: bytes = b"",
    *,
    images: Collection[OsImage] | None = None,
    allow_dev: bool = False,
) -> OsImage:
    """The OS image a quote was measured from; `os_image_hash` is what the event log says, empty when it is silent.

    1. An image has all three registers.
    2. Where both image and log have a hash, it is the same.
    3. The image is a production one, unless told.
    """
    registers = (mrtd.hex(), rtmr1.hex(), rtmr2.hex())
    known = os_images() if images is None else images
    image = next((item for item in known if (item.mrtd, item.rtmr1, item.rtmr2) == registers), None)
    if image is None:  # 1
        raise VerificationError(
            "anchors.1",
            "expected a known OS image, got MRTD {:.16}..., RTMR1 {:.16}..., RTMR2 {:.16}...".format(*registers),
            hint=f"Known are {', '.join(f'{item.release} {item.flavour}' for item in known)}.",
        )
    if image.os_image_hash and os_image_hash and image.os_image_hash != os_image_hash.hex():  # 2
        expected, got = image.os_image_hash, os_image_hash.hex()
        raise VerificationError("anchors.2", f"OS image {image.release}: expected hash {expected}, the log has {got}")
    if image.flavour != "prod" and not allow_dev:  # 3
        raise VerificationError(
            "anchors.3",
            f"expected a production image, got {image.release} {image.flavour}",
            hint="Whoever deployed a dev image can log in as root and take every key.",
        )
    return image


def _entries(name: str) -> list[Json]:
    data = files("teehee.evidence").joinpath("data", name).read_bytes()
    entries: list[Json] = canonical.loads(data, limit=MAX_FILE_BYTES)
    return entries
