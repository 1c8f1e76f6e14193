"""Signals of turns in progress: that an agent is thinking, and what its answer reads so far.

Nothing here is said: no row, no leaf, no receipt. Only a turn whose event came in through this gate has signals, only
while it runs, and only the newest one is held: who is slow misses drafts, never the answer.
"""

import asyncio
import time
from collections import OrderedDict, defaultdict
from dataclasses import dataclass

from teehee.errors import Unavailable
from teehee.wire.messages import Draft

Key = tuple[str, str, str]  # agent, source, event
TURNS = 4096  # held at once; past it the oldest goes without signals
WATCHERS = 512  # at once, of all turns
TEXT_LIMIT = 4000  # characters
PAUSE_SECONDS = 0.03  # a mind that sends faster is not listened to
THINKING, WRITING, ENDED = "thinking", "writing", "ended"


@dataclass(frozen=True, slots=True)
class Signal:
    """How a turn stands. `number` grows with every change; `text` is a draft, never a message."""

    number: int = 0
    state: str = ""
    text: str = ""


class Drafts:
    """The newest signal of each turn in progress, and whoever watches it."""

    def __init__(self) -> None:
        self._turns: OrderedDict[Key, Signal] = OrderedDict()
        self._heard_at: dict[Key, float] = {}
        self._watchers: dict[Key, set[asyncio.Future[None]]] = defaultdict(set)
        self._watching = 0

    def begin(self, key: Key) -> None:
        """An event comes in: its agent is thinking. One that came before stays as it is."""
        if key in self._turns:
            return
        self._set(key, THINKING, "")
        if len(self._turns) > TURNS:
            oldest, _ = self._turns.popitem(last=False)
            self._heard_at.pop(oldest, None)

    def hear(self, draft: Draft) -> None:
        """The mind's draft; of a turn that is not running, or one too many, it is dropped."""
        key = (draft.agent, draft.source, draft.event)
        known = self._turns.get(key)
        if known is None or known.state == ENDED or len(draft.text) > TEXT_LIMIT:
            return
        now = time.monotonic()
        if draft.text and now - self._heard_at.get(key, 0.0) < PAUSE_SECONDS:
            return
        self._heard_at[key] = now
        self._set(key, WRITING if draft.text else THINKING, draft.text)

    def pause(self, key: Key) -> None:
        """The turn will be tried again later: what was drafted is void."""
        if key in self._turns and self._turns[key].state != ENDED:
            self._set(key, THINKING, "")

    def end(self, key: Key) -> None:
        """The turn is over: whoever watches is told, and the draft is gone."""
        if key in self._turns:
            self._heard_at.pop(key, None)
            self._set(key, ENDED, "")

    def drop(self, key: Key) -> None:
        """The event was not taken after all."""
        self.end(key)
        self._turns.pop(key, None)

    def end_agent(self, agent: str) -> None:
        """Every turn of an agent is over."""
        for key in [key for key in self._turns if key[0] == agent]:
            self.end(key)

    async def next(self, key: Key, after: int, seconds: float) -> Signal:
        """The turn's signal once it is newer than `after`, or as it stands after `seconds`.

        Raises Unavailable when too many watch already.
        """
        known = self._turns.get(key, Signal())
        if known.number > after or known.state == ENDED:
            return known
        if self._watching >= WATCHERS:
            raise Unavailable(f"{WATCHERS} watch turns already", code="busy", hint="the answer comes without a draft")
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers[key].add(changed)
        self._watching += 1
        try:
            await asyncio.wait({changed}, timeout=seconds)
        finally:
            self._watching -= 1
            self._watchers[key].discard(changed)
            if not self._watchers[key]:
                del self._watchers[key]
        return self._turns.get(key, Signal())

    def _set(self, key: Key, state: str, text: str) -> None:
        number = self._turns.get(key, Signal()).number + 1
        self._turns[key] = Signal(number, state, text)
        for changed in self._watchers.get(key, ()):
            if not changed.done():
                changed.set_result(None)
