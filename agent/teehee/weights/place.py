"""Where the local model's file is, and whether it is whole: checked once, and again when the file has changed."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from teehee.errors import ConfigError
from teehee.weights import manifest

Json = Any
Hear = Callable[[int], None]  # told the bytes that were just done
OFF = "off"
MAGIC = b"GGUF"
PIECE = 4 << 20
State = Literal["ready", "absent", "partial", "altered"]


def unheard(size: int) -> None:
    """For callers who do not watch."""


@dataclass(frozen=True, slots=True)
class Place:
    """A local model and its file; `weights` is None for a file of the user's own, which nothing vouches for."""

    name: str
    shown: str
    path: Path
    weights: manifest.Weights | None

    @property
    def partial(self) -> Path:
        """What an installation that was broken off has left."""
        return self.path.with_name(f"{self.path.name}.partial")

    @property
    def stamp(self) -> Path:
        return self.path.with_name(f"{self.path.name}.verified")


@dataclass(frozen=True, slots=True)
class Look:
    """What is at a place: `ready` can be used, anything else cannot; `told` and `fix` say why, and what to do."""

    state: State
    told: str
    fix: str = ""


def of(model: str, cache: Path) -> Place | None:
    """The place of the setting `local_model`: a known name, a GGUF file or a manifest; None when it is off."""
    if model == OFF:
        return None
    path = Path(model).expanduser()
    if path.suffix == ".gguf":
        return Place(path.stem, path.stem, path.absolute(), None)
    if path.suffix != ".json":
        path = manifest.FOLDER / f"{model}.json"
        if model not in manifest.known():
            raise ConfigError(
                f"local model {model!r} is not known",
                hint=f"one of {', '.join(manifest.known())}, the path of a .gguf file, or {OFF}",
            )
    weights = manifest.read(path)
    return Place(weights.name, weights.shown, cache.expanduser().absolute() / "weights" / weights.file, weights)


def look(place: Place, hear: Hear = unheard) -> Look:
    """Is the file there, and is it the one it should be? Hashes it when it has changed since it last was: seconds."""
    again = "`teehee model install` gets it anew"
    try:
        about = place.path.stat()
    except OSError:
        if place.weights is not None and place.partial.exists():
            have = place.partial.stat().st_size
            told = f"{place.path} is not finished: {have:,} of {place.weights.size:,} bytes are here"
            return Look("partial", told, "`teehee model install` goes on where it stopped")
        return Look("absent", f"{place.path} is not there", "`teehee model install` gets it" if place.weights else "")
    if place.weights is None:
        with open(place.path, "rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return Look("ready", f"{place.path} is a file of your own: nothing vouches for it")
        return Look("altered", f"{place.path} is no GGUF file", "give the path of one that is")
    if about.st_size != place.weights.size:
        told = f"{place.path} has {about.st_size:,} bytes, expected {place.weights.size:,}"
        return Look("altered", told, again)
    if _stamped(place) == _facts(about, place.weights.sha256):
        return Look("ready", f"{place.path} is whole")
    if (found := digest(place.path, hear)) != place.weights.sha256:
        told = f"{place.path} has SHA-256 {found[:16]}…, expected {place.weights.sha256[:16]}…: it was altered"
        return Look("altered", told, again)
    write_stamp(place)
    return Look("ready", f"{place.path} is whole")


def digest(path: Path, hear: Hear = unheard) -> str:
    """The SHA-256 of a file, in hex."""
    seen = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            seen.update(piece)
            hear(len(piece))
    return seen.hexdigest()


def write_stamp(place: Place) -> None:
    """Notes that the file, as it is now, has been hashed: its change time cannot be set back by a program."""
    assert place.weights is not None
    facts = _facts(place.path.stat(), place.weights.sha256)
    written = place.stamp.with_name(f"{place.stamp.name}.{os.getpid()}")
    written.write_text(json.dumps(facts))
    written.replace(place.stamp)


def _facts(about: os.stat_result, sha256: str) -> Json:
    return {"sha256": sha256, "size": about.st_size, "inode": about.st_ino, "changed": about.st_ctime_ns}


def _stamped(place: Place) -> Json:
    try:
        return json.loads(place.stamp.read_text())
    except (OSError, ValueError):
        return None
