"""How often somebody gets an answer, and a memory that keeps only those seen last."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


class Recent(Generic[T]):
    """A value for each key, at most so many: the one not asked for longest goes first."""

    def __init__(self, most: int, new: Callable[[], T]) -> None:
        self._most, self._new = most, new
        self._held: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> T:
        """The value of `key`, made when there is none."""
        if key in self._held:
            self._held.move_to_end(key)
        else:
            self._held[key] = self._new()
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        return self._held[key]

    def drop(self, key: Hashable) -> None:
        """Forgets a key."""
        self._held.pop(key, None)

    def values(self) -> list[T]:
        return list(self._held.values())

    def peek(self, key: Hashable) -> T | None:
        """The value of `key`, if there is one; it grows no younger by this."""
        return self._held.get(key)


@dataclass(slots=True)
class _Window:
    """Answers since `start`; a new window begins with the first question after the last one's end."""

    length: int
    start: int = 0
    count: int = 0
    is_told: bool = False

    def at(self, now: int) -> "_Window":
        if not 0 <= now - self.start < self.length:
            self.start, self.count, self.is_told = now, 0, False
        return self


@dataclass(slots=True)
class Quota:
    """Answers in this minute and this hour."""

    minute: _Window = field(default_factory=lambda: _Window(MINUTE_MS))
    hour: _Window = field(default_factory=lambda: _Window(HOUR_MS))

    def over(self, per_minute: int, per_hour: int, now: int) -> str:
        """ "" while there is an answer left; else `quota`, the first time in a window `quota_hint`. 0 is no bound."""
        windows = ((self.hour.at(now), per_hour), (self.minute.at(now), per_minute))
        full = [window for window, most in windows if most and window.count >= most]
        if not full:
            return ""
        is_new = not any(window.is_told for window in full)
        for window in full:
            window.is_told = True
        return "quota_hint" if is_new else "quota"

    def count(self) -> None:
        """One answer more, in the windows `over` looked at."""
        self.minute.count += 1
        self.hour.count += 1
