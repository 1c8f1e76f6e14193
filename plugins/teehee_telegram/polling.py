"""Brings updates in: asked for one batch after another, or posted to us. None is confirmed before it is on disk."""

import asyncio
import contextlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from telegram import WebhookInfo
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from teehee.connector import ConfigError, Office, TeeheeError, get_logger
from teehee_telegram import api
from teehee_telegram.api import Api
from teehee_telegram.custody import VOID

Json = Any
Take = Callable[[Sequence[Json]], Awaitable[None]]
PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)  # seconds between tries while Telegram is away
CONFLICT_SECONDS = 5.0
ALBUM_SECONDS = 0.3  # after a part of an album, so that all of it is one message
LOOK_SECONDS = 60.0  # between two looks at where Telegram posts
LONG_AWAY = 4  # tries in a row before anybody is told
TAKEN = (
    "somebody else is reading this bot's messages: another program holds its token (409). If that is not you, "
    "revoke the token in BotFather and run `teehee secrets set telegram`"
)
ELSEWHERE = (
    "somebody else had this bot's messages posted to another address: they hold its token. They are posted here again; "
    "if that was not you, revoke the token in BotFather and run `teehee secrets set telegram`"
)
UNPOSTED = (
    "Telegram cannot post this bot's messages to {url}: {reason}. They wait there for a day. Is TELEGRAM_WEBHOOK_URL "
    "this agent's public address, and does its certificate hold?"
)
AWAY = "Telegram cannot be reached; messages are kept there for a day, and answers here until they can be sent"
log = get_logger()


async def poll(office: Office, caller: Api, take: Take) -> None:
    """Asks for updates for ever. The next request confirms the batch before, so a crash in between brings it again.

    Raises ConfigError when the token is not accepted.
    """
    await _take_back(caller)
    offset, failures = None, 0
    while True:
        try:
            updates = await caller.updates(offset)
            if updates and _is_of_album(updates[-1]):  # the rest may be on its way: asked again, none is confirmed
                await asyncio.sleep(ALBUM_SECONDS)
                updates = await caller.updates(offset)
        except TelegramError as error:
            failures += 1
            await asyncio.sleep(_after(office, error, failures))
            if isinstance(error, Conflict) and "webhook" in error.message.lower():
                await _take_back(caller)
            continue
        failures = 0
        for code in ("taken", "away"):
            office.tell(code, "")
        if not updates:
            offset = None  # all are confirmed; after a quiet week Telegram numbers anew, maybe lower
            continue
        await _taken(take, updates)
        offset = max((number for one in updates if (number := _number(one)) is not None), default=-1) + 1


async def _take_back(caller: Api) -> None:
    """Somebody had updates posted elsewhere: what Telegram still holds comes to us again."""
    with contextlib.suppress(TelegramError):
        await caller.bot.delete_webhook(drop_pending_updates=False)


def _after(office: Office, error: TelegramError, failures: int) -> float:
    """Seconds to wait after a failed request; tells what people should know. Raises ConfigError for a dead token."""
    if isinstance(error, InvalidToken):
        raise ConfigError(VOID)
    if isinstance(error, Conflict):
        office.tell("taken", TAKEN)
        return CONFLICT_SECONDS
    log.warning("telegram_away", reason=api.reason(error), failures=failures)
    if isinstance(error, RetryAfter):
        return api.seconds_of(error)
    if failures >= LONG_AWAY:
        office.tell("away", AWAY)
    return PAUSES[min(failures, len(PAUSES)) - 1]


async def _taken(take: Take, updates: Sequence[Json]) -> None:
    """Hands a batch over until it is kept: vault and mind may be away, and the disk full, for a while."""
    failures = 0
    while True:
        try:
            return await take(updates)
        except TeeheeError as error:
            log.warning("updates_not_kept", updates=len(updates), error=str(error))
            await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1


def _is_of_album(update: Json) -> bool:
    message = update.get("message") if isinstance(update, dict) else None
    return isinstance(message, dict) and "media_group_id" in message


def _number(update: Json) -> int | None:
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if type(number) is int else None


class Webhook:
    """Telegram posts updates to `url`, with a secret that only it and this process know: it is new at every start."""

    def __init__(self, url: str, take: Take) -> None:
        self.url, self.take = url, take
        self.secret = secrets.token_urlsafe(32)

    async def open(self, caller: Api) -> None:
        """Tells Telegram where to post; what polling would have got comes there from now on. Raises TelegramError."""
        await caller.bot.set_webhook(
            self.url, secret_token=self.secret, allowed_updates=api.KINDS, drop_pending_updates=False
        )

    async def watch(self, office: Office, caller: Api, every: float = LOOK_SECONDS) -> None:
        """Looks now and then, for ever, whether Telegram still posts here and can; takes the bot back when it does not.

        Raises ConfigError when the token is not accepted any more.
        """
        failures = 0
        while True:
            await asyncio.sleep(every)
            try:
                info = await caller.bot.get_webhook_info()
                reason = _trouble(info, every)
                if info.url != self.url or reason:
                    await self.open(caller)  # the address may be ours and the secret another's
            except TelegramError as error:
                failures += 1
                await asyncio.sleep(_after(office, error, failures))
                continue
            failures = 0
            office.tell("away", "")
            office.tell("taken", ELSEWHERE if info.url != self.url else "")
            office.tell("webhook", UNPOSTED.format(url=self.url, reason=reason) if reason else "")

    async def posted(self, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status for a request: 200 once the update is kept, so that Telegram posts any other again."""
        given = headers.get("x-telegram-bot-api-secret-token", "")
        if not hmac.compare_digest(given.encode(), self.secret.encode()):
            return 403
        try:
            update = json.loads(body)
        except (ValueError, RecursionError):
            return 400
        try:
            await self.take([update])
        except TeeheeError as error:
            log.warning("updates_not_kept", updates=1, error=str(error))
            return 503
        return 200


def _trouble(info: WebhookInfo, seconds: float) -> str:
    """Why Telegram could not post what waits, in its own words; nothing when it could since."""
    if not info.pending_update_count or info.last_error_date is None:
        return ""
    is_old = (datetime.now(UTC) - info.last_error_date).total_seconds() > 2 * seconds + 1
    return "" if is_old else (info.last_error_message or "no reason given")[:200]
