"""A bot's updates: numbered, kept for a day, confirmed by an offset.

https://core.telegram.org/bots/api#getting-updates
"""

import asyncio
import itertools
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

Json = Any
KEPT_SECONDS = 24 * 3600.0
# https://core.telegram.org/bots/api#getupdates: all but these, unless a bot asks for them by name
UNASKED = frozenset({"chat_member", "message_reaction", "message_reaction_count"})


@dataclass(frozen=True, slots=True)
class Twist:
    """What an at-least-once receiver must bear: updates given again, out of order, with numbers left out."""

    repeat: float = 0.0  # the share of confirmed updates that is given again
    shuffle: bool = False
    gaps: bool = False
    seed: int = 7
    times: int = 1  # how often again, at most


@dataclass(frozen=True, slots=True)
class Update:
    id: int
    kind: str
    at: float
    body: bytes  # as JSON


class Updates:
    """What waits for one bot. `news` is set when something came."""

    def __init__(self, clock: Callable[[], float], first: int = 100_000) -> None:
        self.clock = clock
        self.next = first
        self.waiting: deque[Update] = deque()
        self.again: list[Update] = []
        self.given: Counter[int] = Counter()  # how often each was handed out
        self.allowed: Collection[str] | None = None  # None: the default set
        self.news = asyncio.Event()
        self.made = 0
        self.twist = Twist()
        self._random = random.Random(self.twist.seed)

    def twisted(self, twist: Twist) -> None:
        self.twist, self._random = twist, random.Random(twist.seed)

    def put(self, kind: str, body: Json) -> None:
        """Numbers and keeps an update, if the bot wants its kind now; a later `allowed_updates` changes no earlier."""
        if kind in UNASKED if self.allowed is None else kind not in self.allowed:
            return
        if self.twist.gaps:
            self.next += self._random.randrange(3)
        text = json.dumps({"update_id": self.next, kind: body}, ensure_ascii=False)
        self.waiting.append(Update(self.next, kind, self.clock(), text.encode()))
        self.next += 1
        self.made += 1
        self.news.set()

    def allow(self, kinds: list[str] | None) -> None:
        """An empty list is the default set again; without one the last choice stays."""
        if kinds is not None:
            self.allowed = frozenset(kinds) or None

    def take(self, offset: int | None, limit: int) -> list[Update]:
        """Up to `limit` updates from `offset` on; those before it are confirmed and gone.

        A negative offset counts from the end, and forgets all before.
        """
        self._expire()
        if offset is not None and offset < 0:
            while len(self.waiting) > -offset:
                self.waiting.popleft()
        elif offset:
            while self.waiting and self.waiting[0].id < offset:
                self.confirm()
        found = list(itertools.islice(self.waiting, limit))
        if self.again:
            found, self.again = [*self.again, *found][:limit], self.again[limit:]
        if self.twist.shuffle:
            self._random.shuffle(found)
        self.given.update(update.id for update in found)
        return found

    def confirm(self) -> None:
        """The oldest is delivered, and need not come again."""
        done = self.waiting.popleft()
        if self.twist.repeat and self._random.random() < self.twist.repeat:
            self.again += [done] * self._random.randint(1, self.twist.times)

    def oldest(self) -> Update | None:
        """The next for a webhook, which gets them one by one."""
        self._expire()
        return self.again[0] if self.again else self.waiting[0] if self.waiting else None

    def done(self, update: Update) -> None:
        """A webhook took it."""
        if update in self.again:
            self.again.remove(update)
        elif self.waiting and self.waiting[0] is update:
            self.confirm()

    def drop(self) -> None:
        self.waiting.clear()
        self.again.clear()

    def _expire(self) -> None:
        while self.waiting and self.waiting[0].at < self.clock() - KEPT_SECONDS:
            self.waiting.popleft()
