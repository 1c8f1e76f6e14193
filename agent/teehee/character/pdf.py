"""The text of a PDF, page by page, read by a child process that has little time, little memory and no secrets.

`extract` is the parent's side and never imports pypdf. The child runs this very file, isolated and with an empty
environment; it gets the PDF on stdin and writes JSON lines: a string for each page, then `{"end": ..., "unread": ...}`.
"""

import contextlib
import importlib.util
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What one PDF may cost, and how much of it is read."""

    wait_seconds: float = 20.0
    cpu_seconds: int = 15  # the kernel ends the child here, in the middle of a page
    read_seconds: float = 10.0  # of CPU; no page is begun after it
    memory_bytes: int = 1 << 30
    answer_bytes: int = 16 << 20
    pages: int = 2_000
    characters: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Extract:
    """The texts a file holds, and what kept the rest from being read, with what to do about it."""

    texts: tuple[str, ...] = ()
    problem: str = ""
    is_lasting: bool = True  # the same bytes would fare the same tomorrow


LIMITS = Limits()
BEYOND_READING = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "socket.")
WHOLE, PASSWORD, BROKEN, COSTLY, LONG = "whole", "password", "broken", "costly", "long"
LATE, KILLED = "late", "killed"  # what the machine did, not the PDF


def extract(data: bytes, limits: Limits | None = None) -> Extract:
    """The text of the PDF in `data`; what is wrong with it is in `problem`. Waits `limits.wait_seconds` at most."""
    limits = limits or LIMITS
    pypdf = importlib.util.find_spec("pypdf")
    if pypdf is None or pypdf.origin is None:
        return Extract(
            problem="needs pypdf, which is not installed; install it, or save this as .txt", is_lasting=False
        )
    library = Path(pypdf.origin).parents[1]
    command = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(library), json.dumps(asdict(limits))]
    with open(os.memfd_create("pages"), "w+b") as answer:  # a pipe would let the child fill our memory
        try:
            code = subprocess.run(
                command,
                input=data,
                stdout=answer,
                stderr=subprocess.DEVNULL,  # pypdf quotes what it stumbles on
                env={},
                cwd="/",
                start_new_session=True,
                timeout=limits.wait_seconds,
                check=False,
            ).returncode
            end = COSTLY if code == -signal.SIGXCPU else KILLED if code < 0 else BROKEN
        except subprocess.TimeoutExpired:
            end = LATE
        except OSError as error:
            return Extract(
                problem=f"was not read, no process could be started ({error.strerror}); start again", is_lasting=False
            )
        answer.seek(0)
        return _understood(answer.read(limits.answer_bytes), end, limits)


def _understood(answer: bytes, end: str, limits: Limits) -> Extract:
    """What the child said; `end` is how it came to an end, in case it does not say so itself."""
    pages: list[str] = []
    unread = 0
    for line in answer.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            break  # where the child was cut off
        if isinstance(said, str):
            pages.append(said)
        elif isinstance(said, dict):
            end, unread = str(said.get("end")), int(said.get("unread", 0))
    has_text = any(page.strip() for page in pages)
    problem = _problem(end, len(pages), unread, limits, has_text=has_text)
    return Extract(tuple(pages) if has_text else (), problem, end not in (LATE, KILLED))


def _problem(end: str, pages: int, unread: int, limits: Limits, *, has_text: bool) -> str:
    if end == PASSWORD:
        return "opens with a password only; save it without one"
    if has_text and end != WHOLE:
        why = "as many as one file may have" if end == LONG else "the next one is broken or takes too long"
        return f"was read up to page {pages} only, {why}; split it"
    if has_text:
        return f"was read without {unread} of its {pages} pages, which are broken; save it anew" if unread else ""
    if end == COSTLY:
        memory = limits.memory_bytes >> 20
        return f"takes more than {limits.cpu_seconds} s or {memory} MB to read; split it, or save it as .txt"
    if end == LATE:
        return f"was not read within {limits.wait_seconds:g} s; start again, split it, or save it as .txt"
    if end == KILLED:
        return "was not read, as the process reading it was killed; start again, split it, or save it as .txt"
    if end == BROKEN or unread:
        return "cannot be read as a PDF; save it anew, or as .txt"
    return "holds no text, only pictures of it perhaps; run text recognition over it, or save it as .txt"


def main(library: str, limits: Limits) -> None:
    """The child: the PDF on stdin, its pages on stdout."""
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.answer_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, hard))  # at the hard limit the kernel kills, and the parent cannot tell why
    sys.addaudithook(_refuse)
    sys.path.append(library)
    with contextlib.suppress(MemoryError):
        for line in _lines(sys.stdin.buffer.read(), limits):
            _tell(line)
        return
    _tell({"end": COSTLY})  # only here is what took the memory let go


def _tell(line: Json) -> None:
    sys.stdout.buffer.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    sys.stdout.buffer.flush()  # a page that ends this process must not take the pages before it along


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if event.startswith(BEYOND_READING):  # pypdf starts jbig2dec when a machine has it: C code, on a stranger's bytes
        raise PermissionError(event)


def _lines(data: bytes, limits: Limits) -> Iterator[Json]:
    import pypdf  # not at the top: the parent imports this file too

    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        yield {"end": PASSWORD}
        return
    characters = unread = 0
    for number, page in enumerate(reader.pages):
        is_long = number == limits.pages or characters > limits.characters
        if is_long or time.process_time() > limits.read_seconds:
            yield {"end": LONG if is_long else COSTLY}
            return
        try:
            text = page.extract_text()
        except MemoryError:
            raise
        except Exception:  # whatever a broken page makes pypdf stumble on; the other pages are still good
            text, unread = "", unread + 1
        # Broken fonts give halves of emoji and NULs, which UTF-8 and databases do not take.
        text = text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        yield text[: limits.characters]
        characters += len(text)
    yield {"end": WHOLE, "unread": unread}


if __name__ == "__main__":
    main(sys.argv[1], Limits(**json.loads(sys.argv[2])))
