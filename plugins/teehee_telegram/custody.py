"""Whose token the bot speaks by: one that was made inside, where the bot is managed by another; else its owner's.

A managed bot's token is replaced by the gate (https://core.telegram.org/bots/api#replacemanagedbottoken) and kept in
the vault before it is used. To replace it again is always safe: after a crash in between, the newest one counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from telegram.error import BadRequest, Forbidden, InvalidToken, RetryAfter, TelegramError

from teehee.connector import ConfigError, Office, Refused, Unavailable, get_logger
from teehee_telegram.api import Api, seconds_of

OWN = "TELEGRAM_BOT_TOKEN"
MANAGER = "TELEGRAM_MANAGER_BOT_TOKEN"
REPLACED = "TELEGRAM_REPLACED_BOT_TOKEN"
NO_TOKEN = "no bot yet: run `teehee secrets set telegram` with the token @BotFather gave you"
NO_MANAGER = (
    "no bot yet: TELEGRAM_MANAGED_BOT_ID names one that another bot manages; run `teehee secrets set telegram-manager` "
    "with that one's token"
)
VOID = "Telegram does not accept the bot's token; have @BotFather make a new one and run `teehee secrets set telegram`"
MANAGER_VOID = (
    "Telegram does not accept the manager's token; run `teehee secrets set telegram-manager` with its new one"
)
NOT_MANAGED = (
    "Telegram does not let the manager replace the token of bot {bot}: does TELEGRAM_MANAGED_BOT_ID name a bot that it "
    "manages?"
)
Replace = Callable[[str, int], Awaitable[str]]
log = get_logger()


@dataclass(frozen=True, slots=True)
class Held:
    """A token, under which name and version it is kept, and the versions of all that it was chosen by."""

    token: str = field(repr=False)
    name: str
    version: int
    seen: tuple[tuple[str, int], ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What opens the account: the token in use, and whatever leads to it."""
        return (REPLACED, MANAGER) if self.name == REPLACED else (OWN,)

    def is_at(self, name: str, version: int) -> bool:
        return (self.name, self.version) == (name, version)


async def held(office: Office, bot: int, replace: Replace, void: Held | None = None) -> Held:
    """The token to use, for the managed bot `bot` or for whichever its owner gave; waits while there is none.

    `void` is one that Telegram no longer takes: a managed bot's is replaced once more, an owner's waited for.
    Raises Unavailable when Telegram does not answer.
    """
    while True:
        manager, own = await _secret(office, MANAGER) if bot else (0, ""), await _secret(office, OWN)
        seen = ((MANAGER, manager[0]), (OWN, own[0])) if bot else ((OWN, own[0]),)
        problem = NO_MANAGER if bot else NO_TOKEN
        if manager[0]:
            try:
                return await _replaced(office, bot, manager[1], replace, void, seen)
            except ConfigError as error:
                problem = str(error)
        elif own[0] and (void is None or not void.is_at(OWN, own[0])):
            return Held(own[1], OWN, own[0], seen)
        elif own[0]:
            problem = VOID
        office.tell("token", problem)
        await changed(office, seen)


async def changed(office: Office, seen: Sequence[tuple[str, int]]) -> None:
    """Returns when one of these secrets is no longer at its version."""
    tasks = [asyncio.ensure_future(office.changed(name, version)) for name, version in seen]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _replaced(
    office: Office, bot: int, manager: str, replace: Replace, void: Held | None, seen: tuple[tuple[str, int], ...]
) -> Held:
    """The token that the gate had made, made now when there is none that counts. Raises ConfigError, Unavailable."""
    while True:
        version, token = await _secret(office, REPLACED)
        is_void = void is not None and void.is_at(REPLACED, version)
        if token.startswith(f"{bot}:") and not is_void:
            return Held(token, REPLACED, version, seen)
        fresh = await replace(manager, bot)
        if not fresh.startswith(f"{bot}:"):
            raise Unavailable("Telegram answered with no token of that bot", code="telegram-answer")
        try:
            version = await office.rotate(REPLACED, version, fresh)
        except Refused:  # another gate replaced it meanwhile: of the two, the one kept is tried first
            continue
        log.info("token_replaced", agent=office.name, bot=bot, version=version)
        return Held(fresh, REPLACED, version, seen)


async def _secret(office: Office, name: str) -> tuple[int, str]:
    try:
        return await office.secret(name)
    except Refused:
        return 0, ""


def replace_at(root: str) -> Replace:
    """Has the manager replace a bot's token. Raises ConfigError when it may not, Unavailable when it cannot now."""

    async def replace(manager: str, bot: int) -> str:
        async with Api(manager, root) as api:
            try:
                return await api.bot.replace_managed_bot_token(bot)
            except InvalidToken:
                raise ConfigError(MANAGER_VOID) from None
            except (BadRequest, Forbidden) as error:
                raise ConfigError(NOT_MANAGED.format(bot=bot)) from error
            except RetryAfter as error:
                raise Unavailable("Telegram wants a pause", retry_after=seconds_of(error)) from error
            except TelegramError as error:
                raise Unavailable("Telegram does not answer", code="telegram-away") from error

    return replace


# What `teehee accounts` says of Telegram. Facts: https://core.telegram.org/bots/features#botfather
MAKER = "hand the bot to somebody else, delete it, and change its name, picture, description, commands and privacy mode"
OTHERS = (
    "whoever has the token can read and write as the bot. Two who read at once disturb each other; who only writes is "
    "not noticed",
    "Telegram can do whatever it likes with the account",
)
POWERS = (
    f"whoever made the bot can read its token in @BotFather, have a new one made and so cut this agent off, {MAKER}",
    *OTHERS,
)
MANAGED_POWERS = (
    f"whoever knows {MANAGER}, and the manager's maker, can read this bot's token or replace it once more "
    "(getManagedBotToken, replaceManagedBotToken)",
    "whether @BotFather shows a managed bot's new token to whoever made it is not documented: take it that it does",
    f"whoever made the bot can {MAKER}",
    *OTHERS,
)
GUARDS = (
    "somebody else who reads with the token is noticed (409) and told everywhere else: alarm telegram-taken",
    "each message of the agent's has a receipt (/receipt as a reply to it): one without is not the agent's",
)
MANAGED_GUARDS = (
    *GUARDS,
    "the token its maker was given is void since the gate had it replaced; one that is revoked is replaced again",
)


def told(by: Held) -> tuple[Sequence[str], Sequence[str]]:
    """(powers, guards) of a bot that speaks by this token, in sentences."""
    return (MANAGED_POWERS, MANAGED_GUARDS) if by.name == REPLACED else (POWERS, GUARDS)
