"""While the model writes: "typing" in every chat, and in a private one the words so far. Neither is a message."""

import asyncio
from collections.abc import Callable

from telegram.error import TelegramError

from teehee.connector import Event, Office, Unavailable
from teehee_telegram import sending
from teehee_telegram.api import Api
from teehee_telegram.events import place

QUIET_SECONDS = 0.4  # a quick answer comes without a show
TYPING_SECONDS = 4.5  # Telegram shows it for 5
DRAFT_SECONDS = 1.0
LONGEST_SECONDS = 180.0
ENDED = "ended"


async def show(office: Office, api: Api, event: Event, now: Callable[[], float]) -> None:
    """Shows how the turn about `event` goes on, until it has ended or Telegram minds."""
    where, began = place(event.room, event.event), now()
    typed, drafted, number, text = 0.0, 0.0, 0, ""
    try:
        await asyncio.sleep(QUIET_SECONDS)
        while now() - began < LONGEST_SECONDS:
            signal = await office.signal(event, number, min(DRAFT_SECONDS, TYPING_SECONDS))
            if signal.state in (ENDED, ""):
                return
            number = signal.number
            if signal.text and not where.is_group:
                if signal.text != text and now() - drafted >= DRAFT_SECONDS:
                    drafted, text = now(), signal.text
                    await sending.show_draft(api.bot, where, _draft_id(event), text)
            elif now() - typed >= TYPING_SECONDS:
                typed = now()
                await sending.show_typing(api.bot, where)
    except (TelegramError, Unavailable):
        return  # a show that fails is no loss: the answer comes all the same


def _draft_id(event: Event) -> int:
    """Telegram shows drafts of one number as one that grows; the update's own does."""
    return int(event.event.split("-")[1]) or 1
