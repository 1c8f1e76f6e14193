"""The Bot API by way of python-telegram-bot's `Bot`: one bot's connections, and what its errors mean for a message."""

from collections.abc import Mapping
from typing import Any

import httpx
from telegram import Bot
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)
from telegram.request import HTTPXRequest, RequestData
from telegram.request._requestparameter import RequestParameter  # the only way to a raw answer without a warning

from teehee.connector import Failed, Later, Unknown
from teehee_telegram.inbound import Me

Json = Any
POLL_SECONDS = 25  # how long Telegram holds a getUpdates that has nothing to tell
MOST_AT_ONCE = 100
READ_SECONDS = 20.0
# What our reader makes something of; kinds not named are not sent at all.
KINDS = [
    "message", "edited_message", "channel_post", "edited_channel_post", "message_reaction", "callback_query",
    "my_chat_member",
]  # fmt: skip
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
CODES = {  # of a 400's or 403's own words, by what they hold; the first that fits
    "blocked by the user": "blocked", "user is deactivated": "user-gone", "kicked": "kicked",
    "bot is not a member": "not-a-member", "not enough rights": "no-rights", "have no rights": "no-rights",
    "chat not found": "chat-not-found", "thread not found": "topic-gone", "topic_closed": "topic-closed",
    "too long": "too-long", "reaction_invalid": "reaction-invalid", "message to react not found": "message-gone",
}  # fmt: skip


class Api:
    """One bot. `async with` opens its connections; nothing of it is ever printed with the token in it."""

    def __init__(self, token: str, root: str) -> None:
        # Not Bot.initialize: what it raises for a wrong token holds the token.
        options = {"trust_env": False}  # no proxy or CA of the environment's
        self._polling = HTTPXRequest(2, read_timeout=READ_SECONDS, httpx_kwargs=options)
        self._calling = HTTPXRequest(32, read_timeout=READ_SECONDS, pool_timeout=10.0, httpx_kwargs=options)
        self.bot = Bot(
            token,
            base_url=f"{root}/bot",
            base_file_url=f"{root}/file/bot",
            request=self._calling,
            get_updates_request=self._polling,
        )

    async def __aenter__(self) -> "Api":
        await self._polling.initialize()
        await self._calling.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._polling.shutdown()
        await self._calling.shutdown()

    async def me(self) -> Me:
        """Who this token speaks for. Raises TelegramError."""
        user = await self.bot.get_me()
        return Me(user.id, user.username or "", user.full_name, bool(user.can_read_all_group_messages))

    async def updates(self, offset: int | None) -> list[Json]:
        """The next updates as they came, before any type of ours or PTB's. Raises TelegramError."""
        asked = {"timeout": POLL_SECONDS, "limit": MOST_AT_ONCE, "allowed_updates": KINDS}
        given = asked if offset is None else {**asked, "offset": offset}
        found = await self._post(self._polling, "getUpdates", given, POLL_SECONDS + READ_SECONDS)
        return found if isinstance(found, list) else []

    async def call(self, method: str, params: Mapping[str, Json]) -> Json:
        """A method that PTB has no name for, or with parameters newer than it. Raises TelegramError."""
        return await self._post(self._calling, method, params, READ_SECONDS)

    async def _post(self, request: HTTPXRequest, method: str, params: Mapping[str, Json], seconds: float) -> Json:
        data = RequestData([RequestParameter.from_input(key, value) for key, value in params.items()])
        return await request.post(f"{self.bot.base_url}/{method}", data, read_timeout=seconds)


def fate(error: TelegramError) -> Failed | Unknown | Later:
    """What an error says of the message it is about: gone for good, perhaps arrived, or certainly not yet."""
    if isinstance(error, RetryAfter):
        return Later(seconds_of(error))
    if isinstance(error, InvalidToken):
        return Later(30.0)
    if isinstance(error, ChatMigrated):
        return Failed("moved")
    if isinstance(error, Forbidden | BadRequest):
        return Failed(_code(error, "forbidden" if isinstance(error, Forbidden) else "bad-request"))
    if isinstance(error.__cause__, NOT_SENT):
        return Later(2.0)
    if isinstance(error, TimedOut):
        return Unknown("timed-out")
    return Unknown("network" if isinstance(error, NetworkError) else "answer-unread")


def seconds_of(error: RetryAfter) -> float:
    """How long Telegram asks us to wait."""
    return error._retry_after.total_seconds()  # its public name warns of a change to come


def reason(error: TelegramError) -> str:
    """An error in a word, for logs: what it says may quote what was sent."""
    found = fate(error)
    return type(error).__name__ if isinstance(found, Later) else found.detail


def _code(error: TelegramError, otherwise: str) -> str:
    said = error.message.lower()
    return next((code for words, code in CODES.items() if words in said), otherwise)
