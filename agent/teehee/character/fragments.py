"""What a character knows, in fragments a mind can search: its texts, and the files in its folder, read safely.

Nothing outside that folder is opened: a name is resolved, then walked from the folder down, following no link. What
is wrong with one item is a warning and keeps no other from being read.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path, PurePath

from teehee.character import pdf
from teehee.character.model import Knowledge
from teehee.character.pdf import Extract
from teehee.errors import ConfigError

ABOUT, MOST, LEAST = 1_000, 1_500, 200  # characters of a fragment: wanted, never more, seldom less
KINDS = (".md", ".txt", ".pdf")
SPARE_FOLDER = PurePath("knowledge")  # where Eliza v0 keeps a character's files
FILE_BYTES = 8 << 20
FILES, TOTAL_BYTES = 2_000, 32 << 20
CHARACTERS, FRAGMENTS = 2_000_000, 20_000
ENTRIES = 20_000  # looked at in folders, whatever they are
PDF_SECONDS = 120.0  # for all PDFs together
WARNINGS = 100
CACHE_VERSION = 1  # raised whenever a file would be split or judged differently
CACHE_BYTES = 64 << 20
CACHE_NAME = re.compile(r"[0-9a-f]{64}\.json(\w+\.tmp)?")
HOUR = 3_600.0

OUTSIDE = "leads out of the character's folder, where nothing is read; copy it into that folder"
NO_FILE = 'is not a regular file; copy its text into a .md or .txt file, or name a folder as {"directory": ...}'
TOO_LARGE = f"is larger than {FILE_BYTES >> 20} MB; split it"

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY  # should it turn into a FIFO or a terminal

NEWLINE = re.compile(r"\r\n?")
MARK = re.compile(r"^ {0,3}(?:(#{1,6}(?:[ \t].*)?$)|(`{3,}(?=[^`\n]*$)|~{3,})(.*))", re.MULTILINE)
BLANK = re.compile(r"\n[ \t]*\n")
SENTENCE = re.compile(r"[.!?…][\"'’”»)\]]{0,3}\s")
LINE = re.compile(r"\n")
SPACE, SPACES = re.compile(r"\s"), re.compile(r"\s*")
SENTENCE_WITHOUT_SPACE = re.compile(r"[。！？；]")


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


def split(text: str) -> list[str]:
    """`text` in fragments of about `ABOUT` characters and `MOST` at most, without overlap; a heading starts one."""
    text = NEWLINE.sub("\n", text)
    sections, fences = _outline(text)
    pieces: list[str] = []
    for (start, body), (next_start, _) in pairwise([*sections, (len(text), 0)]):
        end = start + len(text[start:next_start].rstrip())
        start = _skip_space(text, start)
        while end - start > MOST:
            stop = _stop(text, start, end, body, fences)
            pieces.append(text[start:stop].rstrip())
            start = _skip_space(text, stop)
        if start < end:
            pieces.append(text[start:end])
    return pieces


def _outline(text: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Where each section starts and where its words do; where code blocks start and end, in turn.

    Headings with nothing between them share a section, and what looks like one inside a code block is a comment.
    """
    sections, fences, opened = [(0, 0)], list[int](), ""
    for found in MARK.finditer(text):
        heading, fence, rest = found.groups()
        if opened:
            if fence and fence[0] == opened[0] and len(fence) >= len(opened) and not rest.strip():
                fences.append(found.end())
                opened = ""
        elif fence:
            fences.append(found.start())
            opened = fence
        elif heading:
            follows_heading = sections[-1][1] >= found.start()
            start = sections.pop()[0] if follows_heading else found.start()
            sections.append((start, _skip_space(text, found.end())))
    return sections, fences


def _stop(text: str, start: int, end: int, body: int, fences: list[int]) -> int:
    """Where the fragment at `start` stops: after a paragraph, else a sentence, a line, a word; in a word at last."""
    least = max(start + LEAST, body)  # a heading stays with some of its words
    limit = start + MOST + 1  # one more: the space after the last word is not part of the fragment
    for boundary in (BLANK, SENTENCE, LINE, SPACE):
        stops = [found for found in boundary.finditer(text, start, limit) if found.end() > least]
        if boundary in (BLANK, SENTENCE):
            stops = [found for found in stops if not bisect(fences, found.start()) % 2]  # code has neither
        if stops:
            break
    else:
        word = max((found.end() for found in SPACE.finditer(text, start, limit)), default=start)
        if word > start and (end - word <= MOST or SPACE.search(text, limit, word + MOST + 1)):
            return word  # the next word has room in a fragment of its own
        stops = list(SENTENCE_WITHOUT_SPACE.finditer(text, least, start + MOST))
    wanted = start + ABOUT
    return min((found.end() for found in stops), key=lambda stop: abs(stop - wanted), default=start + MOST)


def _skip_space(text: str, start: int) -> int:
    found = SPACES.match(text, start)
    return found.end() if found else start


class _Reading:
    """One pass over the items: what was found, what was wrong, how much there is room for."""

    def __init__(self, folder: Path | None, cache: Path | None) -> None:
        self.root = folder.resolve() if folder else Path()
        self.cache = _Cache(cache)
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
                data, found, is_settled = _bytes(place.name, FILE_BYTES, folder)
                content = self._pdf(data) if suffix == ".pdf" else _text(data)
                if content.is_lasting and is_settled:
                    self.cache.put(self.root / place, found, content)
        if content.problem:
            self._warn(place, content.problem)
        self._add(content.texts, _shown(place), shared)

    def _make_room(self, size: int) -> None:
        if size > FILE_BYTES:
            raise ConfigError(TOO_LARGE)
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


class _Cache:
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
        return known[2] if known and known[:2] == (str(path), _stamp(found)) else None

    def put(self, path: Path, found: os.stat_result, content: Extract) -> None:
        if self.folder is None:
            return
        entry = json.dumps([CACHE_VERSION, str(path), _stamp(found), content.texts, content.problem])
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
        version, path, stamp, texts, problem = json.loads(_bytes(kept, CACHE_BYTES)[0])
        is_sound = version == CACHE_VERSION and all(isinstance(text, str) for text in [path, problem, *texts])
    except (ConfigError, OSError, ValueError, TypeError, RecursionError):
        return None
    return (path, stamp, Extract(tuple(texts), problem)) if is_sound else None


def _bytes(path: str | Path, most: int, folder: int | None = None) -> tuple[bytes, os.stat_result, bool]:
    """What a regular file holds, its stat, and whether it stayed the same meanwhile."""
    descriptor = os.open(path, FILE_FLAGS, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(NO_FILE)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ConfigError(TOO_LARGE)
        return data, found, _stamp(os.fstat(descriptor)) == _stamp(found)
    finally:
        os.close(descriptor)


def _stamp(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev]


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
