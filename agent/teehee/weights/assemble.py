"""Puts the weights together: part by part into a partial file, hashed on the way, renamed when it is whole."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from teehee.errors import ConfigError
from teehee.weights import parts, place
from teehee.weights.manifest import Part, Weights
from teehee.weights.place import PIECE, Hear, Place

if TYPE_CHECKING:
    Digest = hashlib._Hash
Tell = Callable[[str], None]
SPARE = 300 << 20  # bytes that stay free beside the file: the parts being fetched, and some air


def install(at: Place, tell: Tell, hear: Hear = place.unheard) -> None:
    """Makes the file whole, from where an earlier try stopped; one process at a time, others wait and find it done.

    Raises Unavailable when a part cannot be got, ConfigError when one is not what it should be or the disk is full.
    """
    weights = at.weights
    if weights is None:
        raise ConfigError(f"{at.path} is your own file: there is nothing to install")
    folder = at.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f"{weights.file}.lock", tell):
        if place.look(at).state == "ready":
            hear(weights.size)
            return
        parts.clear(folder)
        _check_room(at, weights)
        with open(at.partial, "a+b") as file:
            _fill(file, weights, folder, hear)
            file.flush()
            os.fsync(file.fileno())
        at.partial.replace(at.path)
        place.write_stamp(at)


def all_installed(weights: Weights) -> bool:
    """Are the packages with the parts installed, so that nothing need be fetched?"""
    return all(parts.installed(part) for part in weights.parts)


def _fill(file: BinaryIO, weights: Weights, folder: Path, hear: Hear) -> None:
    done, digest = _resume(file, weights, hear)
    left = list(weights.parts[done:])
    while left:
        if path := parts.installed(left[0]):
            _append(file, left.pop(0), path, digest, hear)
            continue
        batch, left = left[: parts.TOGETHER], left[parts.TOGETHER :]
        with parts.fetched(batch, folder) as paths:
            for part, path in zip(batch, paths, strict=True):
                _append(file, part, path, digest, hear)
    if digest.hexdigest() != weights.sha256:
        file.truncate(0)
        raise ConfigError(f"the parts of {weights.name} give SHA-256 {digest.hexdigest()}, expected {weights.sha256}")


def _resume(file: BinaryIO, weights: Weights, hear: Hear) -> "tuple[int, Digest]":
    """How many parts are in the file already, whole and unaltered, and their digest; what follows them is cut off."""
    file.seek(0)
    digest, end = hashlib.sha256(), 0
    for number, part in enumerate(weights.parts):
        so_far, own = digest.copy(), hashlib.sha256()
        _hash(file, part.size, so_far, own)
        if own.hexdigest() != part.sha256:
            file.truncate(end)
            return number, digest
        digest, end = so_far, end + part.size
        hear(part.size)
    file.truncate(end)
    return len(weights.parts), digest


def _append(file: BinaryIO, part: Part, path: Path, digest: "Digest", hear: Hear) -> None:
    """Adds a part behind the others. Raises ConfigError when it is not the one that is pinned."""
    begin, own = file.tell(), hashlib.sha256()
    with open(path, "rb") as source:
        while piece := source.read(PIECE):
            own.update(piece)
            digest.update(piece)
            file.write(piece)
            hear(len(piece))
    if own.hexdigest() != part.sha256:
        file.truncate(begin)
        raise ConfigError(
            f"{path} has SHA-256 {own.hexdigest()[:16]}…, expected {part.sha256[:16]}…: it was altered",
            hint=f"pip uninstall {part.package}, and run the same command again",
        )


def _hash(file: BinaryIO, size: int, *digests: "Digest") -> None:
    while size and (piece := file.read(min(size, PIECE))):
        size -= len(piece)
        for digest in digests:
            digest.update(piece)


def _check_room(at: Place, weights: Weights) -> None:
    have = at.partial.stat().st_size if at.partial.exists() else 0
    free, wanted = shutil.disk_usage(at.path.parent).free, weights.size - have + SPARE
    if free < wanted:
        raise ConfigError(
            f"{at.path.parent} has {free >> 20:,} MB free, expected {wanted >> 20:,} MB",
            hint="free some space, or name another folder with TEEHEE_CACHE",
        )


@contextlib.contextmanager
def _alone(lock: Path, tell: Tell) -> Iterator[None]:
    """Only one process of this machine at a time is in here; a killed one leaves no lock behind."""
    with open(lock, "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another teehee is putting the weights together; waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
