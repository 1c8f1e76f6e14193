"""What a turn notes down while it runs: what went in, how long each step took, what came of it."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from teehee.plugin import Spoken, State
from teehee.store.turn_records import Place

Json = Any
READS_KEPT = 64  # of one turn; ids of one read
ASKED, CONSULTED, AGAIN = "first", "consult", "again"  # why the model was called
LOOKED, HEARD = "look", "hear"  # or another one was


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def since(start: float) -> float:
    """Milliseconds since `start`, a reading of perf_counter."""
    return round((time.perf_counter() - start) * 1000, 1)


@dataclass(slots=True)
class Notes:
    """One try of one turn. Times are milliseconds since 1970, lengths of time milliseconds."""

    place: Place
    began: int = 0
    accepted: int = 0  # 0: by an earlier life of this process
    journaled: str | None = None  # the answer an earlier life got; the model was not asked for it again
    stable: State = field(default_factory=State)
    fresh: list[State] = field(default_factory=list)  # the second is with what the model wanted to consult
    recent: Sequence[Spoken] = ()
    frame: dict[str, int] = field(default_factory=dict)  # lengths of what stands around the state in the prompt
    providers: list[dict[str, Json]] = field(default_factory=list)
    reads: list[dict[str, Json]] = field(default_factory=list)
    calls: list[dict[str, Json]] = field(default_factory=list)
    answers: list[Json] = field(default_factory=list)  # ["said", words], or a failure's [code, why], one for each call
    reasons: list[str] = field(default_factory=list)  # why an answer was asked again
    acting: bool = False
    forgotten: bool = False  # somebody of this room was forgotten meanwhile: nothing of this turn is written down
    actions: list[dict[str, Json]] = field(default_factory=list)
    values: dict[str, Json] = field(default_factory=dict)  # of the state's, those an action looked at
    recalled: list[Json] = field(default_factory=list)  # what actions read, for a run in which nothing is real
    remembered: list[Json] = field(default_factory=list)
    decision: Mapping[str, Json] = field(default_factory=dict)
    decided: int = 0
    texts: list[str] | None = None
    policy: Mapping[str, Json] = field(default_factory=dict)
    effects: list[dict[str, Json]] = field(default_factory=list)
    code: str = ""
    closed: int = 0
    kept: int = -1  # how many calls and reads there were when what went in was written; -1: it was not yet

    def provided(self, name: str, started: float, chars: int, how: str) -> None:
        """A provider was asked. `how`: `asked`, `kept` (its text was known for this room and day) or `failed`."""
        self.providers.append({"name": name, "chars": chars, "ms": since(started) if started else 0.0, "how": how})

    def read(self, kind: str, ids: Sequence[str], found: Json) -> None:
        """Something was read from memory; what an action read is kept whole."""
        if len(self.reads) < READS_KEPT:
            self.reads.append({"by": BY.get(), "from": kind, "ids": list(ids[:READS_KEPT]), "count": len(ids)})
        if self.acting:
            self.recalled.append([kind, found])

    def called(self, why: str) -> dict[str, Json]:
        """A call of the model begins; what it takes and costs is filled in."""
        call = {"why": why, "at": now_ms(), "ms": 0.0, "error": "", "tokens": None}
        self.calls.append(call)
        return call

    def usage(self, told: Json) -> None:
        """What the endpoint says the running call cost, where it does so in numbers."""
        if not self.calls or not isinstance(told, dict):
            return
        read, written = told.get("prompt_tokens"), told.get("completion_tokens")
        if type(read) is int and type(written) is int and 0 <= min(read, written) and max(read, written) < 1 << 40:
            self.calls[-1]["tokens"] = {"input": read, "output": written}


class Watched(Mapping[str, Json]):
    """A state's values, noting which of them are looked at: there are many, and actions hardly ever use one."""

    def __init__(self, values: Mapping[str, Json], notes: Notes) -> None:
        self.values_told = values
        self.notes = notes

    def __getitem__(self, key: str) -> Json:
        value = self.notes.values[key] = self.values_told[key]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_told)

    def __len__(self) -> int:
        return len(self.values_told)


BY: ContextVar[str] = ContextVar("by", default="turn")  # which provider or action is at work
NOWHERE = Place(0, "", "", "", 0)
_NOW: ContextVar[Notes | None] = ContextVar("notes", default=None)


def now() -> Notes:
    """The notes of the turn that runs here; a sheet nobody reads when none does."""
    return _NOW.get() or Notes(NOWHERE)


@contextlib.contextmanager
def taken(notes: Notes) -> Iterator[Notes]:
    """What runs inside notes things down in `notes`."""
    token = _NOW.set(notes)
    try:
        yield notes
    finally:
        _NOW.reset(token)
