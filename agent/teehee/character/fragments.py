"""What a character knows, in fragments a mind can search: its texts, and the files in its folder, read safely.

Nothing outside that folder is opened: a name is resolved, then walked from the folder down, following no link. What
is wrong with one item is a warning and keeps no other from being read.
"""

import contextlib
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePath

from teehee.character import pdf
from teehee.character.kept import NO_FILE, TOO_LARGE, Cache, regular_bytes
from teehee.character.model import Knowledge
from teehee.character.pdf import Extract
from teehee.character.split import MOST, NEWLINE, split
from teehee.errors import ConfigError

KINDS = (".md", ".txt", ".pdf")
SPARE_FOLDER = PurePath("knowledge")  # where Eliza v0 keeps a character's files
FILE_BYTES = 8 << 20
FILES, TOTAL_BYTES = 2_000, 32 << 20
CHARACTERS, FRAGMENTS = 2_000_000, 20_000
ENTRIES = 20_000  # looked at in folders, whatever they are
PDF_SECONDS = 120.0  # for all PDFs together
WARNINGS = 100

OUTSIDE = "leads out of the character's folder, where nothing is read; copy it into that folder"

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def read(
    items: Sequence[Knowledge], folder: Path | None, cache: Path | None = None
) -> tuple[tuple[Knowledge, ...], tuple[str, ...]]:
    """The fragments of `items` in their order, and a warning for each thing that was left out.

    `folder` is where the character's file lies; `cache` is a folder that spares the files that have not changed.
    Waits for disks and child processes, up to minutes: not for an event loop.
    """
    reading = _Reading(folder, cache)
    for item in items:
        reading.take(item)
    return reading.finished()


def places(items: Sequence[Knowledge], folder: Path) -> tuple[Path, ...]:
    """Every file and folder that `read` would look at, there or not: while they stay as they are, so do the fragments.

    Nothing is opened but folders.
    """
    found: dict[Path, None] = {}
    for item in items:
        name = PurePath(item.path or item.directory)
        if name.is_absolute() or not name.parts or ".." in name.parts or "\0" in str(name):
            continue
        for place in (folder / name, folder / SPARE_FOLDER / name):
            found[place] = None
            for parent, inner, files in os.walk(place) if item.directory else ():
                inner[:] = [name for name in inner if not name.startswith(".")]
                found |= dict.fromkeys(Path(parent, name) for name in (*inner, *files) if not name.startswith("."))
                if len(found) > ENTRIES:
                    return tuple(found)
    return tuple(found)


class _Reading:
    """One pass over the items: what was found, what was wrong, how much there is room for."""

    def __init__(self, folder: Path | None, cache: Path | None) -> None:
        self.root = folder.resolve() if folder else Path()
        self.cache = Cache(cache)
        self.fragments: list[Knowledge] = []
        self.warnings: list[str] = []
        self.others: dict[str, list[PurePath]] = {}  # files of a kind we do not read, by suffix
        self.positions: Counter[str] = Counter()
        self.seen: set[PurePath] = set()
        self.files = self.bytes = self.characters = self.entries = 0
        self.pdf_seconds = 0.0
        self.is_full = self.has_all_files = False

    def take(self, item: Knowledge) -> None:
        name = item.path or item.directory
        if self.is_full or (name and self.has_all_files):
            return
        if not name:
            text = NEWLINE.sub("\n", item.text).strip()
            self._add(split(text) if len(text) > MOST else [text], item.source, item.shared)
            return
        with self._warned(name):
            place = self._located(name)
            for found in [place] if item.path else self._walked(place):
                if self.is_full or self.has_all_files:
                    return
                with self._warned(found):
                    self._take_file(self._inside(found), item.shared)

    def finished(self) -> tuple[tuple[Knowledge, ...], tuple[str, ...]]:
        for suffix, places in self.others.items():
            kind = f"a {suffix!r} file" if suffix else "a file without an ending"
            more = f", as are {len(places) - 1:,} more" if len(places) > 1 else ""
            self._warn(places[0], f"is {kind}{more}, expected .md, .txt or .pdf; save the text of it as one of these")
        self.cache.sweep()
        warnings = self.cache.problems + self.warnings
        if len(warnings) > WARNINGS:
            warnings[WARNINGS:] = [f"knowledge: {len(warnings) - WARNINGS:,} more warnings; mend the first ones first"]
        return tuple(self.fragments), tuple(warnings)

    def _add(self, texts: Sequence[str], source: str, shared: bool) -> None:
        for text in filter(None, texts):
            self.characters += len(text)
            self.is_full = self.characters > CHARACTERS or len(self.fragments) == FRAGMENTS
            if self.is_full:
                most = f"{CHARACTERS:,} characters or {FRAGMENTS:,} fragments"
                self._warn(source, f"does not fit, nor does what follows: {most} are the most; keep what matters")
                return
            self.fragments.append(Knowledge(text, source, self.positions[source], shared=shared))
            self.positions[source] += 1

    def _take_file(self, place: PurePath, shared: bool) -> None:
        if place in self.seen:
            return
        self.seen.add(place)
        with self._opened(place.parent) as folder:
            found = os.stat(place.name or ".", dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(NO_FILE)
            suffix = place.suffix.lower()
            if suffix not in KINDS:
                self.others.setdefault(suffix, []).append(place)
                return
            self._make_room(found.st_size)
            content = self.cache.get(self.root / place, found)
            if content is None:
                data, found, is_settled = regular_bytes(place.name, FILE_BYTES, folder)
                content = self._pdf(data) if suffix == ".pdf" else _text(data)
                if content.is_lasting and is_settled:
                    self.cache.put(self.root / place, found, content)
        if content.problem:
            self._warn(place, content.problem)
        self._add(content.texts, _shown(place), shared)

    def _make_room(self, size: int) -> None:
        if size > FILE_BYTES:
            raise ConfigError(TOO_LARGE.format(FILE_BYTES >> 20))
        self.files += 1
        self.bytes += size
        if self.files > FILES or self.bytes > TOTAL_BYTES:
            self.has_all_files = True
            most = f"{FILES:,} files or {TOTAL_BYTES >> 20} MB"
            raise ConfigError(f"and the files after it are left out: {most} are the most; keep those that matter")

    def _pdf(self, data: bytes) -> Extract:
        if self.pdf_seconds > PDF_SECONDS:
            problem = f"was not read, as the PDFs before it took over {PDF_SECONDS:g} s; save some of them as .txt"
            return Extract(problem=problem, is_lasting=False)
        started = time.monotonic()
        found = pdf.extract(data)
        self.pdf_seconds += time.monotonic() - started
        return replace(found, texts=tuple(split("\n\n".join(found.texts))))

    def _located(self, name: str) -> PurePath:
        """The place inside the character's folder that an item names."""
        if not self.root.is_absolute():
            raise ConfigError("this character lies in no folder; save the character as a file next to this one")
        place = PurePath(name)
        if place.is_absolute() or ".." in place.parts:
            raise ConfigError(OUTSIDE)
        for candidate in (place, SPARE_FOLDER / place):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return self._inside(candidate)
        raise ConfigError(f"does not exist, neither next to the character nor in {SPARE_FOLDER!s}/; check the spelling")

    def _inside(self, place: PurePath) -> PurePath:
        """`place` with its links followed, when they end inside the character's folder."""
        real = Path(os.path.realpath(self.root / place, strict=True))
        if not real.is_relative_to(self.root):
            raise ConfigError(OUTSIDE)
        return real.relative_to(self.root)

    @contextlib.contextmanager
    def _opened(self, place: PurePath) -> Iterator[int]:
        """A descriptor of the folder at `place`, reached without following a link, so it lies inside."""
        descriptor = os.open(self.root, FOLDER_FLAGS)
        try:
            for part in place.parts:
                inner = os.open(part, FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _walked(self, folder: PurePath) -> Iterator[PurePath]:
        """Every file under `folder` by name, without the hidden ones."""
        waiting = self._listed(folder)
        while waiting and not self.has_all_files:
            place = waiting.pop()
            if not os.path.isdir(self.root / place):
                yield place
            elif os.path.islink(self.root / place):
                self._warn(place, "is a link to a folder, which is not followed; name that folder itself")
            else:
                with self._warned(place):
                    waiting += self._listed(place)

    def _listed(self, folder: PurePath) -> list[PurePath]:
        """What lies in `folder`, the last name first."""
        with self._opened(folder) as descriptor, os.scandir(descriptor) as entries:
            names = [entry.name for entry in islice(entries, ENTRIES + 1 - self.entries)]
        self.entries += len(names)
        if self.entries > ENTRIES:
            self.has_all_files = True
            raise ConfigError(f"and what follows is left out: over {ENTRIES:,} names to look at; name smaller folders")
        return [folder / name for name in sorted(names, reverse=True) if not name.startswith(".")]

    @contextlib.contextmanager
    def _warned(self, name: str | PurePath) -> Iterator[None]:
        try:
            yield
        except ConfigError as error:
            self._warn(name, str(error))
        except (OSError, ValueError) as error:  # ValueError: a name no system call takes, such as one with a NUL
            reason = getattr(error, "strerror", None) or "not a usable name"
            self._warn(name, f"cannot be read ({reason}); check its name and its permissions")

    def _warn(self, name: str | PurePath, problem: str) -> None:
        self.warnings.append(f"knowledge {_shown(name)[:200]!r}: {problem}")


def _text(data: bytes) -> Extract:
    bad = data.find(b"\0")  # as in UTF-16, which may pass for UTF-8
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        bad = error.start if bad < 0 else min(bad, error.start)
    if bad >= 0:
        return Extract(problem=f"is not UTF-8 text (byte {bad}); save it as UTF-8")
    texts = tuple(split(text))
    return Extract(texts, "" if texts else "holds no text; write some, or leave it out")


def _shown(name: str | PurePath) -> str:
    """`name` as text that can be stored: a file name may hold bytes that are not UTF-8."""
    return str(name).encode("utf-8", "replace").decode()
