"""Telegram's limits on sending, and a record of every one that was broken.

https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

BURST = 3  # messages at once that a private chat takes before its one a second counts
PER_GROUP, GROUP_SECONDS = 20, 60.0
PER_BOT, BOT_SECONDS = 30, 1.0


@dataclass(frozen=True, slots=True)
class Breach:
    """One call too many: which limit it broke, where and when."""

    limit: str  # "chat", "group", "bot", or "early" for a call within the time of an earlier retry_after
    method: str
    bot: int
    chat: int
    at: float


class Limits:
    """Counts what is sent. `enforced` False only records."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.enforced = True
        self.breaches: list[Breach] = []
        self._due: dict[tuple[int, int], float] = {}  # per private chat: when its bucket is full again
        self._group: defaultdict[tuple[int, int], deque[float]] = defaultdict(deque)
        self._bot: defaultdict[int, deque[float]] = defaultdict(deque)
        self._quiet: dict[tuple[int, int], float] = {}

    def hush(self, bot: int, chat: int, seconds: float) -> None:
        """A 429 was answered: a call before `seconds` have passed is a breach. Chat 0 is all of them."""
        self._quiet[bot, chat] = self.clock() + seconds

    def take(self, bot: int, chat: int, method: str) -> int:
        """Counts one message; gives 0, or the seconds to wait for, when it is one too many."""
        now = self.clock()
        limit, wait = self._over(bot, chat, now)
        if limit:
            self.breaches.append(Breach(limit, method, bot, chat, now))
            if self.enforced:
                after = max(1, math.ceil(wait))
                if limit != "early":
                    self.hush(bot, 0 if limit == "bot" else chat, wait)
                return after
        self._count(bot, chat, now)
        return 0

    def _over(self, bot: int, chat: int, now: float) -> tuple[str, float]:
        early = max(self._quiet.get((bot, chat), 0.0), self._quiet.get((bot, 0), 0.0)) - now
        if early > 0:
            return "early", early
        recent = self._bot[bot]
        while recent and recent[0] <= now - BOT_SECONDS:
            recent.popleft()
        if len(recent) >= PER_BOT:
            return "bot", recent[0] + BOT_SECONDS - now
        if chat > 0:
            wait = self._due.get((bot, chat), now) - now - (BURST - 1)
            return ("chat", wait) if wait > 1e-6 else ("", 0.0)
        recent = self._group[bot, chat]
        while recent and recent[0] <= now - GROUP_SECONDS:
            recent.popleft()
        return ("group", recent[0] + GROUP_SECONDS - now) if len(recent) >= PER_GROUP else ("", 0.0)

    def _count(self, bot: int, chat: int, now: float) -> None:
        self._bot[bot].append(now)
        if chat > 0:
            self._due[bot, chat] = max(self._due.get((bot, chat), now), now) + 1.0
        else:
            self._group[bot, chat].append(now)
