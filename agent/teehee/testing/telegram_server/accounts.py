"""The methods of the Bot API that ask or set: the bot itself, chats, members, files, webhooks, managed bots."""

import re
from typing import Any

from teehee.testing.telegram_server.faults import Rejected
from teehee.testing.telegram_server.methods import SPEAKING, Method, chat_of
from teehee.testing.telegram_server.params import Params
from teehee.testing.telegram_server.people import Bot
from teehee.testing.telegram_server.world import World

Json = Any
DOWNLOAD_BYTES = 20 << 20


def get_me(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#getme"""
    return bot.about()


def get_chat(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#chatfullinfo"""
    gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
    chat = chat_of(world, bot, params)
    return {
        **chat.card(), "accent_color_id": 0, "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(gifts, False),
    }  # fmt: skip


def get_member(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#getchatmember"""
    chat, user = chat_of(world, bot, params), world.users.get(params.number("user_id"))
    if user is None:
        raise Rejected(400, "Bad Request: invalid user_id specified")
    return chat.member(user)


def get_admins(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#getchatadministrators: other bots only when asked for"""
    chat = chat_of(world, bot, params)
    if chat.type == "private":
        raise Rejected(400, "Bad Request: there are no administrators in the private chat")
    admins = [user for user in chat.people.values() if chat.is_admin(user)]
    return [chat.member(user) for user in admins if not user.is_bot or params.flag("return_bots") or user is bot]


def leave(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#leavechat"""
    chat = chat_of(world, bot, params)
    if chat.type == "private":
        raise Rejected(400, "Bad Request: chat member status can't be changed in private chats")
    chat.leave(bot)
    return True


def get_file(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#getfile"""
    file = world.files.get(params.text("file_id"))
    if file is None:
        raise Rejected(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
    if file["file_size"] > DOWNLOAD_BYTES:
        raise Rejected(400, "Bad Request: file is too big")
    return {key: value for key, value in file.items() if key != "content"}


def set_commands(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#setmycommands"""
    commands = params.json("commands") or []
    if len(commands) > 100:
        raise Rejected(400, "Bad Request: BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", command["command"]):
            raise Rejected(400, "Bad Request: BOT_COMMAND_INVALID")
        if not 1 <= len(command["description"]) <= 256:
            raise Rejected(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
    bot.commands = commands
    return True


def get_commands(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#getmycommands"""
    return bot.commands


def set_webhook(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#setwebhook; plain HTTP on loopback takes the place of HTTPS"""
    url, secret = params.text("url"), params.text("secret_token")
    if secret and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
        raise Rejected(400, "Bad Request: secret token contains unallowed characters")
    if url and not re.match(r"https://|http://(127\.0\.0\.1|localhost)[:/]", url):
        raise Rejected(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
    bot.updates.allow(params.json("allowed_updates"))
    if params.flag("drop_pending_updates"):
        bot.updates.drop()
    bot.webhook = {"url": url, "secret": secret, "max_connections": params.number("max_connections", 40)}
    bot.interrupt("setWebhook")
    return True


def delete_webhook(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#deletewebhook"""
    if params.flag("drop_pending_updates"):
        bot.updates.drop()
    bot.webhook = {"url": ""}
    bot.updates.news.set()
    return True


def webhook_info(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#webhookinfo"""
    allowed = {"allowed_updates": sorted(bot.updates.allowed)} if bot.updates.allowed is not None else {}
    told = {key: value for key, value in bot.webhook.items() if key != "secret"}
    return {**told, "has_custom_certificate": False, "pending_update_count": len(bot.updates.waiting), **allowed}


def managed(world: World, bot: Bot, params: Params) -> Bot:
    found = world.bots.get(params.number("user_id"))
    if found is None or found.manager is not bot:
        raise Rejected(400, "Bad Request: BOT_INVALID")
    return found


def managed_token(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#getmanagedbottoken"""
    return managed(world, bot, params).token


def replace_token(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#replacemanagedbottoken: the token before is revoked at once"""
    return managed(world, bot, params).revoke()


METHODS: dict[str, Method] = {
    **SPEAKING,
    "getme": get_me,
    "getchat": get_chat,
    "getchatmember": get_member,
    "getchatadministrators": get_admins,
    "leavechat": leave,
    "getfile": get_file,
    "setmycommands": set_commands,
    "getmycommands": get_commands,
    "setwebhook": set_webhook,
    "deletewebhook": delete_webhook,
    "getwebhookinfo": webhook_info,
    "getmanagedbottoken": managed_token,
    "replacemanagedbottoken": replace_token,
}
