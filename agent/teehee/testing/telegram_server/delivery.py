"""How updates reach a bot: by a long poll of its own, or posted to its webhook.

https://core.telegram.org/bots/api#getting-updates
"""

import asyncio

import aiohttp

from teehee.testing.telegram_server.faults import Rejected
from teehee.testing.telegram_server.params import Params
from teehee.testing.telegram_server.people import Bot
from teehee.testing.telegram_server.updates import Update

LONGEST_POLL_SECONDS = 50
ANSWER_SECONDS = 10.0


async def polled(bot: Bot, params: Params) -> bytes:
    """https://core.telegram.org/bots/api#getupdates; gives the updates as a JSON list."""
    if bot.webhook["url"]:
        said = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
        raise Rejected(409, f"Conflict: {said}")
    limit = min(max(params.number("limit", 100), 1), 100)
    offset = params.number("offset")
    bot.updates.allow(params.json("allowed_updates"))
    bot.interrupt("other getUpdates")
    mine = bot.poller = object()
    loop = asyncio.get_running_loop()
    until = loop.time() + min(params.number("timeout"), LONGEST_POLL_SECONDS)
    try:
        while not (found := bot.updates.take(offset, limit)) and (left := until - loop.time()) > 0:
            bot.updates.news.clear()
            try:
                async with asyncio.timeout(left):
                    await bot.updates.news.wait()
            except TimeoutError:
                break
            if bot.poller is not mine:
                raise ended(bot)
    finally:
        if bot.poller is mine:
            bot.poller = None
    return b"[" + b",".join(update.body for update in found) + b"]"


def ended(bot: Bot) -> Rejected:
    if not bot.ended_by:
        return Rejected(401, "Unauthorized")
    more = "; make sure that only one bot instance is running" if bot.ended_by == "other getUpdates" else ""
    return Rejected(409, f"Conflict: terminated by {bot.ended_by} request{more}")


async def post_to_webhook(bot: Bot, session: aiohttp.ClientSession, first_pause: float, longest_pause: float) -> None:
    """Posts one update after the other, each until the webhook takes it (2xx); ends when the webhook is deleted.

    Answers with a method in them are not carried out (https://core.telegram.org/bots/api#setwebhook).
    """
    pause = first_pause
    while hook := bot.webhook if bot.webhook["url"] else None:
        update = bot.updates.oldest()
        if update is None:
            bot.updates.news.clear()
            await bot.updates.news.wait()
            continue
        failure = await posted(session, hook["url"], hook["secret"], update)
        if not failure:
            bot.updates.done(update)
            pause = first_pause
        else:
            hook.update(last_error_date=int(bot.world.clock()), last_error_message=failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest_pause)


async def posted(session: aiohttp.ClientSession, url: str, secret: str, update: Update) -> str:
    """Gives "", or what went wrong, in Telegram's words."""
    headers = {"content-type": "application/json"}
    if secret:
        headers["X-Telegram-Bot-Api-Secret-Token"] = secret
    try:
        async with asyncio.timeout(ANSWER_SECONDS), session.post(url, data=update.body, headers=headers) as answer:
            wrong = not 200 <= answer.status < 300
            return f"Wrong response from the webhook: {answer.status} {answer.reason}" if wrong else ""
    except TimeoutError:
        return "Read timeout expired"
    except aiohttp.ClientError as error:
        return f"Connection failed: {type(error).__name__}"
