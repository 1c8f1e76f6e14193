"""Keeps what is sent within Telegram's limits: per chat, per group and in all, fair to every chat.

It is pure: each call brings the time, in seconds of a clock that never goes back. Telegram counts messages when they
arrive, and some travel longer than others. So a message on its way takes up room until it is told to be `done`, and
counts from then on: whenever in between Telegram counted it, it sees its limits kept. Windows are 5 % longer than
Telegram's, for clocks that do not agree.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from math import inf

MARGIN = 1.05
TICK = 1e-6  # seconds; a wait as short as this is none
LONGEST = 60 * MARGIN  # seconds that anything is counted for
BUSY = 0.05  # seconds to wait while all that one chat may get is on its way
PATIENCE = 1.0  # seconds that a place in the line is kept for a chat that does not come back
FEW = 1024  # chats remembered without asking whether they are idle
MOST_PER_SECOND = 1000  # what Telegram grants paid broadcasts


@dataclass(frozen=True, slots=True)
class Limits:
    """What Telegram allows a bot; `per_second` rises up to 1000 with paid broadcasts."""

    per_second: int = 30
    burst: int = 3  # messages to one chat at once; after them, one a second
    group_per_minute: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.per_second <= MOST_PER_SECOND or self.burst < 1 or self.group_per_minute < 1:
            raise ValueError(
                f"got {self}; expected 1 to {MOST_PER_SECOND} messages a second, and 1 or more of the rest"
            )


@dataclass(slots=True)
class _Chat:
    """One chat's account."""

    paid_until: float = -inf  # each message costs a second; one may owe a burst of them
    held_until: float = -inf
    sent: deque[float] = field(default_factory=deque)  # a group's last messages
    flying: int = 0  # how many are on their way


@dataclass(slots=True)
class _Place:
    """A chat's place in the line for what all chats share."""

    number: int
    due: float


class Flood:
    """Says when a message may go. One chat has one place in the line, so a busy one never keeps others waiting."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._chats: dict[str, _Chat] = {}
        self._recent = deque([-inf] * self.limits.per_second, self.limits.per_second)  # when the last ones were done
        self._flying = 0  # how many are on their way
        self._places: dict[str, _Place] = {}  # in the order of the line
        self._line: list[int] = []  # their numbers
        self._number = 0
        self._held_until = -inf
        self._many = FEW

    def __len__(self) -> int:
        """How many chats are remembered: those that were busy in the last minutes, and not many more."""
        return len(self._chats)

    def take(self, chat: str, is_group: bool, now: float) -> float:
        """How many seconds this chat's next message has to wait; 0.0: it goes now, and is on its way until `done`.

        Ask again when they are over. The chat keeps its place meanwhile, and a second longer.
        """
        wait = self._own_wait(chat, is_group, now)
        if wait > TICK:
            return wait
        wait = self._line_wait(chat, now)
        if wait > TICK:
            return wait
        self._leave(chat)
        self._account(chat, now).flying += 1
        self._flying += 1
        return 0.0

    def done(self, chat: str, is_group: bool, now: float) -> None:
        """A message on its way to this chat has its answer, or was not sent after all."""
        self._chats[chat].flying -= 1
        self._flying -= 1
        self.recall(chat, is_group, now)

    def recall(self, chat: str, is_group: bool, then: float) -> None:
        """A message to this chat had its answer then; those of an earlier life are told first, and oldest first."""
        account = self._account(chat, then)
        account.paid_until = max(account.paid_until, then) + MARGIN
        self._recent.append(then)
        if is_group:
            account.sent.append(then)
            while len(account.sent) > self.limits.group_per_minute:
                account.sent.popleft()

    def hold(self, chat: str, seconds: float, now: float) -> None:
        """Telegram asked this chat to wait (`retry_after` of a 429); the others go on."""
        account = self._account(chat, now)
        account.held_until = max(account.held_until, now + seconds * MARGIN)
        self._leave(chat)

    def hold_all(self, seconds: float, now: float) -> None:
        """Telegram asked the whole bot to wait."""
        self._held_until = max(self._held_until, now + seconds * MARGIN)

    def _own_wait(self, chat: str, is_group: bool, now: float) -> float:
        until = self._held_until
        if (account := self._chats.get(chat)) is not None:
            owed = self.limits.burst - 1 - account.flying
            free = self.limits.group_per_minute - account.flying
            until = max(until, account.held_until, account.paid_until - owed * MARGIN)
            if owed < 0 or free <= 0:
                until = max(until, now + BUSY)
            elif is_group and len(account.sent) >= free:
                until = max(until, account.sent[-free] + LONGEST)
        return until - now

    def _line_wait(self, chat: str, now: float) -> float:
        self._drop_absent(now)
        place = self._places.get(chat)
        ahead = bisect_left(self._line, place.number) if place else len(self._line)
        rounds, within = divmod(ahead, self.limits.per_second)
        # What is on its way is done now at the earliest, so nobody is told to wait longer than it has to.
        done_at = self._recent[self._flying + within] if self._flying + within < self.limits.per_second else now
        wait = max(done_at + MARGIN, now) + rounds * MARGIN - now
        if place is not None:
            place.due = now + wait
        elif wait > TICK:
            self._number += 1
            self._places[chat] = _Place(self._number, now + wait)
            self._line.append(self._number)
        return wait

    def _drop_absent(self, now: float) -> None:
        while self._places:
            chat, place = next(iter(self._places.items()))
            if place.due + PATIENCE >= now:
                return
            self._leave(chat)

    def _leave(self, chat: str) -> None:
        if place := self._places.pop(chat, None):
            del self._line[bisect_left(self._line, place.number)]

    def _account(self, chat: str, now: float) -> _Chat:
        if chat not in self._chats:
            if len(self._chats) >= self._many:
                self._chats = {name: kept for name, kept in self._chats.items() if not _is_idle(kept, now)}
                self._many = max(FEW, 2 * len(self._chats))
            self._chats[chat] = _Chat()
        return self._chats[chat]


def _is_idle(account: _Chat, now: float) -> bool:
    """Whether nothing of the account counts any more, so that a new one is as good."""
    if account.flying:
        return False
    sent_until = account.sent[-1] + LONGEST if account.sent else -inf
    return max(account.paid_until, account.held_until, sent_until) <= now
