"""Posts nobody asked for, where a character's `autoPost` allows them: the gate is the clock, and witnesses the hour.

What is posted is a turn like any other, about an event of kind `schedule`. Its id follows from the chat and
the hour, so one hour has one post, whatever restarts.
"""

import asyncio
import time

from teehee.connector import Event, Office, TeeheeError, get_logger
from teehee_telegram.events import SOURCE
from teehee_telegram.inbound import Inbound, Me
from teehee_telegram.settings import TelegramSettings

DAY_MS = 86_400_000
MOST_A_DAY = 48
SILENT = "(Nobody has written in this chat for a while. Write one short message of your own to it, in your own voice.)"
PINNED = "(A message was pinned in this chat: {text}\nWrote one short message about it to the chat, in your own voice.)"
log = get_logger()


def posts_per_day(settings: TelegramSettings) -> int:
    """How many posts a day the character's schedule asks for; 0 when it has none."""
    auto = settings.auto_post
    if not auto.enabled or not (auto.main_channel or auto.pinned_groups):
        return 0
    return max(1, min(MOST_A_DAY, DAY_MS // max(auto.min_between_ms, 1)))


class AutoPoster:
    """Watches how long the main channel has been silent. Times are in ms."""

    def __init__(self, office: Office, settings: TelegramSettings, me: Me) -> None:
        self.office, self.settings, self.me = office, settings, me
        self._heard_at = self._posted_at = time.time_ns() // 1_000_000
        self._asking: set[asyncio.Task[None]] = set()

    def heard(self, inbound: Inbound, now: int) -> None:
        """Somebody spoke; a pinned message in a chat of the schedule's is worth a post."""
        auto = self.settings.auto_post
        if str(inbound.chat.id) == auto.main_channel:
            self._heard_at = now
        if inbound.pinned and str(inbound.chat.id) in auto.pinned_groups and self._may_post(now):
            self._posted_at = now
            text = PINNED.format(text=inbound.pinned.text[:500])
            task = asyncio.get_running_loop().create_task(self._post(str(inbound.chat.id), text, now))
            self._asking.add(task)  # a loop holds its tasks weakly
            task.add_done_callback(self._asking.discard)

    def said(self, chat: int, now: int) -> None:
        """The agent spoke itself."""
        if str(chat) == self.settings.auto_post.main_channel:
            self._heard_at = now

    async def run(self) -> None:
        """Looks as often as the character says; for ever."""
        auto = self.settings.auto_post
        while True:
            await asyncio.sleep(auto.monitor_ms / 1000)
            now = time.time_ns() // 1_000_000
            if auto.main_channel and now - self._heard_at >= auto.inactivity_ms and self._may_post(now):
                self._posted_at = self._heard_at = now
                await self._post(auto.main_channel, SILENT, now)

    def _may_post(self, now: int) -> bool:
        auto = self.settings.auto_post
        return posts_per_day(self.settings) > 0 and now - self._posted_at >= auto.min_between_ms

    async def _post(self, chat: str, text: str, now: int) -> None:
        hour = now // max(self.settings.auto_post.min_between_ms, 1)
        event = Event(
            agent=self.office.agent,
            source=SOURCE,
            event=f"{self.me.id}-post{chat.replace('-', 'm')}x{hour}-0",
            principal=f"{SOURCE}:{self.me.id}",
            room=f"{SOURCE}:{chat}",
            kind="schedule",
            text=text,
            at=now,
            name="",
            room_type="GROUP",
        )
        try:
            await self.office.receive(event)
        except TeeheeError as error:
            log.warning("post_not_asked_for", error=str(error))
