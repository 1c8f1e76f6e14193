"""The methods of the Bot API that say something: messages, edits, drafts, reactions, answers."""

import secrets
from collections.abc import Callable
from typing import Any

from teehee.testing.telegram_server import text as texts
from teehee.testing.telegram_server.chats import Chat
from teehee.testing.telegram_server.faults import Rejected
from teehee.testing.telegram_server.params import Params
from teehee.testing.telegram_server.people import Bot, shape
from teehee.testing.telegram_server.world import Sent, World

Json = Any
Method = Callable[[World, Bot, Params], Json]
TEXT_UNITS, CAPTION_UNITS = 4096, 1024
PHOTO_BYTES, UPLOAD_BYTES = 10 << 20, 50 << 20
DELETABLE_SECONDS = 48 * 3600
CALLBACK_SECONDS = 300.0
EPHEMERAL_SECONDS = 15.0  # after a button was pressed
ACTIONS = {
    "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
    "choose_sticker", "find_location", "record_video_note", "upload_video_note",
}  # fmt: skip
# https://core.telegram.org/bots/api#reactiontypeemoji
EMOJI = frozenset(
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 "
    "🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 "
    "🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡".split()
)


def chat_of(world: World, bot: Bot, params: Params) -> Chat:
    """The chat a call names, if the bot may be there."""
    id = params.number("chat_id")
    chat = world.chat_for(bot, id)
    if chat is None:
        if id in world.users:
            raise Rejected(403, "Forbidden: bot can't initiate conversation with a user")
        raise Rejected(400, "Bad Request: chat not found")
    if chat.moved_to is not None:
        said = "Bad Request: group chat was upgraded to a supergroup chat"
        raise Rejected(400, said, migrate_to_chat_id=chat.moved_to.id)
    if chat.type == "private" and chat.status[chat.id] == "kicked":
        raise Rejected(403, "Forbidden: bot was blocked by the user")
    if chat.status.get(bot.id) == "kicked":
        raise Rejected(
            403, f"Forbidden: bot was kicked from the {chat.type}{' chat' if chat.type != 'channel' else ''}"
        )
    if not chat.is_in(bot):
        raise Rejected(403, f"Forbidden: bot is not a member of the {chat.type} chat")
    return chat


def may_write(world: World, bot: Bot, params: Params, method: str) -> Chat:
    """The chat, if the bot may write there now: with rights, and within the limits."""
    chat = chat_of(world, bot, params)
    if chat.status[bot.id] == "restricted":
        raise Rejected(400, "Bad Request: not enough rights to send text messages to the chat")
    if chat.type == "channel" and not chat.is_admin(bot):
        raise Rejected(403, "Forbidden: bot is not a member of the channel chat")
    within_limits(world, bot, chat, method)
    return chat


def within_limits(world: World, bot: Bot, chat: Chat, method: str) -> None:
    if after := world.limits.take(bot.id, chat.id, method):
        raise Rejected(429, f"Too Many Requests: retry after {after}", retry_after=after)


def composed(params: Params, limit: int, text: str = "text", entities: str = "entities") -> tuple[str, list[Json]]:
    try:
        said, found = texts.composed(params.text(text), params.text("parse_mode") or None, params.json(entities))
    except texts.BadMarkup as bad:
        raise Rejected(400, f"Bad Request: {bad}") from None
    if texts.units(said) > limit:
        raise Rejected(
            400, f"Bad Request: {'message is too long' if text == 'text' else 'message caption is too long'}"
        )
    return said, found


def reply_of(chat: Chat, params: Params) -> int:
    """https://core.telegram.org/bots/api#replyparameters"""
    asked = params.json("reply_parameters") or {}
    target = int(asked.get("message_id") or params.number("reply_to_message_id"))
    if asked.get("chat_id") not in (None, chat.id):
        raise Rejected(400, "Bad Request: message to be replied not found")
    if target and target not in chat.messages:
        if asked.get("allow_sending_without_reply") or params.flag("allow_sending_without_reply"):
            return 0
        raise Rejected(400, "Bad Request: message to be replied not found")
    return target


def thread_of(chat: Chat, params: Params) -> int:
    thread = params.number("message_thread_id")
    if thread and thread not in chat.topics:
        raise Rejected(400, "Bad Request: message thread not found")
    return thread


def markup_of(params: Params) -> Json:
    """https://core.telegram.org/bots/api#inlinekeyboardmarkup"""
    markup = params.json("reply_markup")
    for row in (markup or {}).get("inline_keyboard", []):
        for button in row:
            if not button.get("text"):
                raise Rejected(400, "Bad Request: can't parse inline keyboard button: Text buttons must have text")
            if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
                raise Rejected(400, "Bad Request: BUTTON_DATA_INVALID")
            if len(button) < 2:
                raise Rejected(400, "Bad Request: can't parse inline keyboard button: Text buttons are unallowed")
    return markup


def send(world: World, bot: Bot, params: Params, method: str, chat: Chat, content: Json) -> Json:
    """Puts what a bot sends into the chat, and records it."""
    reply, thread = reply_of(chat, params), thread_of(chat, params)
    if (markup := markup_of(params)) and "inline_keyboard" in markup:
        content["reply_markup"] = markup
    only_for = ephemeral(world, bot, params, chat)
    message = chat.post(bot, content, reply_to=reply, thread=thread, quiet=bool(only_for))
    if only_for:
        message["ephemeral_message_id"] = message["message_id"]
    said, entities = (
        content.get("text", content.get("caption", "")),
        content.get("entities", content.get("caption_entities", [])),
    )
    world.sent.append(
        Sent(
            bot.id,
            chat.id,
            message["message_id"],
            said,
            entities,
            reply,
            thread,
            world.clock(),
            method,
            only_for,
            message,
        )
    )
    return message


def ephemeral(world: World, bot: Bot, params: Params, chat: Chat) -> int:
    """Who alone sees the message, or 0 (https://core.telegram.org/bots/api#ephemeralmessageparameters, since 10.2).

    An older server does not know the parameter and, as with every unknown one, passes over it.
    """
    asked = params.json("ephemeral_message_parameters")
    if not asked or not world.supports_ephemeral:
        return 0
    receiver = int(asked["receiver_user_id"])
    if chat.type not in ("group", "supergroup") or chat.status.get(receiver) is None:
        raise Rejected(400, "Bad Request: USER_ID_INVALID")
    if query := asked.get("callback_query_id"):
        owner, user, at = world.queries.get(query, (0, 0, 0.0))
        if (owner, user) != (bot.id, receiver) or world.clock() - at > EPHEMERAL_SECONDS:
            raise Rejected(400, "Bad Request: QUERY_ID_INVALID")
    return receiver


def send_message(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#sendmessage"""
    chat = may_write(world, bot, params, "sendMessage")
    said, entities = composed(params, TEXT_UNITS)
    if not said:
        raise Rejected(400, "Bad Request: message text is empty")
    content = {"text": said, **({"entities": entities} if entities else {})}
    return send(world, bot, params, "sendMessage", chat, content)


def send_draft(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#sendmessagedraft"""
    chat = chat_of(world, bot, params)
    if chat.type != "private":
        raise Rejected(400, "Bad Request: method is available only for private chats")
    if not params.number("draft_id"):
        raise Rejected(400, "Bad Request: draft_id must be non-zero")
    said, _ = composed(params, TEXT_UNITS)
    world.drafts.append((chat.id, params.number("draft_id"), said))
    return True


def upload(kind: str, method: str, limit: int) -> Method:
    def sent(world: World, bot: Bot, params: Params) -> Json:
        """https://core.telegram.org/bots/api#sending-files"""
        chat = may_write(world, bot, params, method)
        said, entities = composed(params, CAPTION_UNITS, "caption", "caption_entities")
        named = params.text(kind).removeprefix("attach://")
        part = params.files.get(kind) or params.files.get(named)
        if part is None and named not in world.files:
            raise Rejected(400, "Bad Request: wrong file identifier/HTTP URL specified")
        if part is not None and len(part[1]) > limit:
            raise Rejected(413, "Request Entity Too Large")
        shown = shape(kind, world.keep(part[1]) if part is not None else world.files[named])
        if kind == "document" and part is not None:
            shown["file_name"] = part[0]
        caption = {"caption": said, "caption_entities": entities} if said else {}
        return send(world, bot, params, method, chat, {kind: shown, **caption})

    return sent


def send_action(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#sendchataction"""
    chat = chat_of(world, bot, params)
    if params.text("action") not in ACTIONS:
        raise Rejected(400, "Bad Request: wrong parameter action in request")
    world.actions.append((chat.id, thread_of(chat, params), params.text("action")))
    return True


def react(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#setmessagereaction"""
    chat, target = chat_of(world, bot, params), params.number("message_id")
    if target not in chat.messages:
        raise Rejected(400, "Bad Request: message to react not found")
    reaction = params.json("reaction") or []
    if len(reaction) > 1:
        raise Rejected(400, "Bad Request: REACTIONS_TOO_MANY")
    for one in reaction:
        if one.get("type") != "emoji" or one.get("emoji", "").replace("\ufe0f", "") not in EMOJI:
            raise Rejected(400, "Bad Request: REACTION_INVALID")
    chat.reactions[target, bot.id] = reaction
    return True


def edit_text(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#editmessagetext"""
    chat = may_write(world, bot, params, "editMessageText")
    message = chat.messages.get(params.number("message_id"))
    if message is None:
        raise Rejected(400, "Bad Request: message to edit not found")
    if not is_own(chat, bot, message) or "text" not in message:
        raise Rejected(400, "Bad Request: message can't be edited")
    said, entities = composed(params, TEXT_UNITS)
    if not said:
        raise Rejected(400, "Bad Request: message text is empty")
    markup = markup_of(params)
    if (said, entities, markup) == (message["text"], message.get("entities", []), message.get("reply_markup")):
        raise Rejected(400, "Bad Request: message is not modified: specified new message content and reply markup are "
                            "exactly the same as a current content and reply markup of the message")  # fmt: skip
    changed = {**message, "text": said, "entities": entities, "edit_date": world.now()}
    changed.pop("reply_markup", None)
    chat.messages[message["message_id"]] = changed | ({"reply_markup": markup} if markup else {})
    sent = Sent(
        bot.id, chat.id, message["message_id"], said, entities, 0, 0, world.clock(), "editMessageText", 0, changed
    )
    world.edits.append(sent)
    return chat.messages[message["message_id"]]


def is_own(chat: Chat, bot: Bot, message: Json) -> bool:
    return chat.type == "channel" or message.get("from", {}).get("id") == bot.id


def delete(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#deletemessage"""
    chat, id = chat_of(world, bot, params), params.number("message_id")
    message = chat.messages.get(id)
    if message is None:
        raise Rejected(400, "Bad Request: message to delete not found")
    allowed = chat.type == "private" or chat.is_admin(bot) or is_own(chat, bot, message)
    if not allowed or world.now() - message["date"] > DELETABLE_SECONDS:
        raise Rejected(400, "Bad Request: message can't be deleted")
    del chat.messages[id]
    world.deleted.append((chat.id, id))
    return True


def answer_callback(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#answercallbackquery"""
    query = params.text("callback_query_id")
    owner, _, at = world.queries.get(query, (0, 0, 0.0))
    if owner != bot.id or world.clock() - at > CALLBACK_SECONDS:
        raise Rejected(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
    if len(params.text("text")) > 200:
        raise Rejected(400, "Bad Request: MESSAGE_TOO_LONG")
    world.answers[query] = {"text": params.text("text"), "show_alert": params.flag("show_alert")}
    return True


def answer_guest(world: World, bot: Bot, params: Params) -> Json:
    """https://core.telegram.org/bots/api#answerguestquery"""
    owner, chat, asked = world.guests.pop(params.text("guest_query_id"), (0, None, 0))
    result = params.json("result") or {}
    content = result.get("input_message_content") or {}
    if owner != bot.id or chat is None:
        raise Rejected(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
    inner = Params({"text": content.get("message_text", ""), **content})
    said, entities = composed(inner, TEXT_UNITS)
    if not said:
        raise Rejected(400, "Bad Request: message text is empty")
    message = chat.post(bot, {"text": said, "entities": entities}, reply_to=asked)
    number = message["message_id"]
    world.sent.append(
        Sent(bot.id, chat.id, number, said, entities, asked, 0, world.clock(), "answerGuestQuery", 0, message)
    )
    return {"inline_message_id": secrets.token_urlsafe(16)}


SPEAKING: dict[str, Method] = {
    "sendmessage": send_message,
    "sendmessagedraft": send_draft,
    "sendphoto": upload("photo", "sendPhoto", PHOTO_BYTES),
    "senddocument": upload("document", "sendDocument", UPLOAD_BYTES),
    "sendchataction": send_action,
    "setmessagereaction": react,
    "editmessagetext": edit_text,
    "deletemessage": delete,
    "answercallbackquery": answer_callback,
    "answerguestquery": answer_guest,
}
