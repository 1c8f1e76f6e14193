"""What was read of files, kept beside their stamps until they change; and how a regular file is read at all."""

import contextlib
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from teehee.character.pdf import Extract
from teehee.errors import ConfigError

CACHE_VERSION = 1  # raised whenever a file would be split or judged differently
CACHE_BYTES = 64 << 20
CACHE_NAME = re.compile(r"[0-9a-f]{64}\.json(\w+\.tmp)?")
HOUR = 3_600.0
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY  # should it turn into a FIFO or a terminal
TOO_LARGE = "is larger than {} MB; split it"
NO_FILE = 'is not a regular file; copy its text into a .md or .txt file, or name a folder as {"directory": ...}'


class Cache:
    """What was read of each file, good for as long as the file's stamp is the same."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self.problems: list[str] = []
        if folder:
            with self._watched():
                for place in (*reversed(folder.parents), folder):  # mkdir's own parents=True is open to all
                    place.mkdir(mode=0o700, exist_ok=True)

    def get(self, path: Path, found: os.stat_result) -> Extract | None:
        name = _cache_name(path)
        self.used.add(name)
        known = _entry(self.folder / name) if self.folder else None
        return known[2] if known and known[:2] == (str(path), stamp(found)) else None

    def put(self, path: Path, found: os.stat_result, content: Extract) -> None:
        if self.folder is None:
            return
        entry = json.dumps([CACHE_VERSION, str(path), stamp(found), content.texts, content.problem])
        with self._watched():
            descriptor, spare = tempfile.mkstemp(".tmp", _cache_name(path), self.folder)
            try:
                with open(descriptor, "w") as file:
                    file.write(entry)
                os.replace(spare, self.folder / _cache_name(path))
            finally:
                Path(spare).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what was kept of files that are gone; other characters' files may be kept here too."""
        if self.folder is None:
            return
        with self._watched():
            for name in filter(CACHE_NAME.fullmatch, set(os.listdir(self.folder)) - self.used):
                kept = self.folder / name
                known = _entry(kept)
                with contextlib.suppress(FileNotFoundError):  # another process may be sweeping, or still writing it
                    is_new = kept.stat().st_mtime > time.time() - HOUR
                    if not (os.path.lexists(known[0]) if known else is_new):
                        kept.unlink()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = f"knowledge: what was read cannot be kept in {str(self.folder)!r} ({error.strerror})"
            self.problems.append(f"{place}, so it is read anew each time; mend its permissions or free some space")
            self.folder = None


def _cache_name(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest() + ".json"


def _entry(kept: Path) -> tuple[str, list[int], Extract] | None:
    """The path, stamp and content in a file of the cache; None when there is none, or none that is sound."""
    try:
        version, path, stamp, texts, problem = json.loads(regular_bytes(kept, CACHE_BYTES)[0])
        is_sound = version == CACHE_VERSION and all(isinstance(text, str) for text in [path, problem, *texts])
    except (ConfigError, OSError, ValueError, TypeError, RecursionError):
        return None
    return (path, stamp, Extract(tuple(texts), problem)) if is_sound else None


def regular_bytes(path: str | Path, most: int, folder: int | None = None) -> tuple[bytes, os.stat_result, bool]:
    """What a regular file holds, its stat, and whether it stayed the same meanwhile."""
    descriptor = os.open(path, FILE_FLAGS, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(NO_FILE)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(min(found.st_size, most) + 1)
        if len(data) > most:
            raise ConfigError(TOO_LARGE.format(most >> 20))
        return data, found, stamp(os.fstat(descriptor)) == stamp(found)
    finally:
        os.close(descriptor)


def stamp(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev]
