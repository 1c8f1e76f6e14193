"""One effect, one call: what the agent says, as Telegram wants it; and what came of it."""

from typing import Any

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, MessageEntity, ReplyParameters
from telegram.error import BadRequest, ChatMigrated, RetryAfter, TelegramError

from teehee.connector import Effect, Later, Result, Sent, get_logger
from teehee_telegram import api, render
from teehee_telegram.events import SOURCE, Place, place
from teehee_telegram.flood import Flood

Json = Any
SAY, SAY_TO_ONE, REACT = "telegram.send_message", "telegram.send_ephemeral", "telegram.set_reaction"
log = get_logger()


class Sender:
    """Makes the calls of one bot; `flood` hears what Telegram says about limits."""

    def __init__(self, caller: api.Api, flood: Flood, now: Any) -> None:
        self.api, self.bot, self.flood, self.now = caller, caller.bot, flood, now

    async def send(self, effect: Effect) -> Result:
        """Makes the call. A chat that moved is followed, and formatting that is refused is left out: both are refusals
        before anything was sent, so a second call is no second message.
        """
        where = place(effect.room, effect.event)
        try:
            return await self._call(effect, where)
        except ChatMigrated as moved:
            return await self._again(effect, Place(moved.new_chat_id, where.thread, 0, where.user), plain=False)
        except BadRequest as error:
            if api.reason(error) == "bad-request" and effect.verb != REACT:
                log.warning("sent_plain", reason="telegram refused the formatting, or who alone may see it")
                return await self._again(effect, where, plain=True)
            return api.fate(error)
        except TelegramError as error:
            return self._failed(error, where)

    async def _again(self, effect: Effect, where: Place, *, plain: bool) -> Result:
        try:
            return await self._call(effect, where, plain=plain)
        except TelegramError as error:
            return self._failed(error, where)

    def _failed(self, error: TelegramError, where: Place) -> Result:
        found = api.fate(error)
        if isinstance(error, RetryAfter) and isinstance(found, Later):
            self.flood.hold(str(where.chat), found.seconds, self.now())
        log.info("telegram_refused", reason=api.reason(error))
        return found

    async def _call(self, effect: Effect, where: Place, *, plain: bool = False) -> Result:
        if effect.verb == REACT:
            await self.bot.set_message_reaction(where.chat, where.reply_to, effect.text)
            return Sent()
        if effect.verb == SAY_TO_ONE and where.is_group and where.user and not plain:
            return await self._say_to_one(effect, where)
        shown = render.Rendered(render.plain(effect.text)) if plain else render.render(effect.text)
        message = await self.bot.send_message(
            where.chat,
            shown.text,
            entities=entities(shown),
            message_thread_id=where.thread,
            reply_parameters=_reply(where, effect.part),
            reply_markup=_buttons(effect),
            disable_notification=False,
        )
        return Sent(f"{SOURCE}:{where.chat}/{message.message_id}")

    async def _say_to_one(self, effect: Effect, where: Place) -> Result:
        """A message in a group that one person sees (Bot API 10.2, which PTB has no name for)."""
        shown = render.render(effect.text)
        params: dict[str, Json] = {
            "chat_id": where.chat,
            "text": shown.text,
            "entities": [entity.as_json() for entity in shown.entities],
            "ephemeral_message_parameters": {"receiver_user_id": where.user},
        }
        if where.thread is not None:
            params["message_thread_id"] = where.thread
        await self.api.call("sendMessage", params)
        return Sent()


def entities(shown: render.Rendered) -> list[MessageEntity] | None:
    return [MessageEntity(e.type, e.offset, e.length, url=e.url or None, language=e.language or None)
            for e in shown.entities] or None  # fmt: skip


def _reply(where: Place, part: int) -> ReplyParameters | None:
    """In a group, the first part answers a message: everybody sees whose question it is."""
    if not (where.is_group and where.reply_to and part == 0):
        return None
    return ReplyParameters(where.reply_to, allow_sending_without_reply=True)


def _buttons(effect: Effect) -> InlineKeyboardMarkup | None:
    """One button a row; what it sends back is its number, and the message it is under says the rest."""
    if not effect.choices:
        return None
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(label, callback_data=str(number))] for number, label in enumerate(effect.choices)]
    )


async def show_draft(bot: Bot, where: Place, number: int, text: str) -> None:
    """The words so far, in a private chat; gone when the message is there. Raises TelegramError."""
    shown = render.render(text)
    await bot.send_message_draft(where.chat, number, shown.text, where.thread, entities=entities(shown))


async def show_typing(bot: Bot, where: Place) -> None:
    """Raises TelegramError."""
    await bot.send_chat_action(where.chat, "typing", message_thread_id=where.thread)
