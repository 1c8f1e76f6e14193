"""An update as the Bot API sent it, read into an `Inbound`; hostile until shown otherwise."""

import re
from dataclasses import replace
from typing import Any

from teehee_telegram.fields import (
    Held,
    Odd,
    flag,
    from_units,
    inner,
    items,
    label,
    maybe_whole,
    needed,
    signed,
    string,
    to_units,
    token,
    whole,
)
from teehee_telegram.inbound import (
    Callback,
    Chat,
    Command,
    Forward,
    Inbound,
    Me,
    Member,
    Mention,
    Moved,
    Reactions,
    Replied,
    Sender,
    Skipped,
)
from teehee_telegram.media import attachments, line

__all__ = ["Inbound", "Me", "Skipped", "read", "words"]

Json = Any
TEXT_UNITS = 8192  # twice the Bot API's own bound for texts: nothing real is cut
EXCERPT_UNITS = 512
QUOTE_UNITS = 1024
MOST_ENTITIES = 256
MOST_REACTIONS = 32
MOST_DATA_BYTES = 64
LAST_SECOND = 253_402_300_799  # of the year 9999, the last a datetime takes
CHATS = ("private", "group", "supergroup", "channel")
STATUSES = ("creator", "administrator", "member", "restricted", "left", "kicked")
OUTSIDE = ("left", "kicked")
STAND_INS = (777000, 136817688, 1087968824)  # Telegram's own accounts, which write for channels and anonymous admins
USERNAME = re.compile(r"[A-Za-z0-9_]{1,64}")
COMMAND = re.compile(r"/([A-Za-z0-9_]{1,64})(?:@([A-Za-z0-9_]{1,64}))?")
MESSAGES = ("message", "edited_message", "channel_post", "edited_channel_post", "guest_message")
BUSINESS = (
    "business_connection", "business_message", "edited_business_message", "deleted_business_messages",
)  # fmt: skip
UNUSED = (
    "inline_query", "chosen_inline_result", "shipping_query", "pre_checkout_query", "purchased_paid_media", "poll",
    "poll_answer", "chat_member", "chat_join_request", "chat_boost", "removed_chat_boost", "message_reaction_count",
    "managed_bot",
)  # fmt: skip


def read(update: Json, me: Me) -> Inbound | Skipped:
    """What `update` says, or why it is not read. Raises nothing, whatever it is."""
    update_id = None
    try:
        if not isinstance(update, dict):
            raise Odd("no object")
        update_id = whole(update, "update_id")
        kinds = [name for name, value in update.items() if name != "update_id" and value is not None]
        if len(kinds) != 1:
            raise Odd("several kinds" if kinds else "no kind")
        kind = kinds[0]
        if kind in BUSINESS:
            raise Odd("business")
        if kind in UNUSED:
            raise Odd(f"unused {kind}")
        reader = READERS.get(kind)
        if reader is None:
            raise Odd("unknown kind")
        return reader(update_id, kind, needed(update, kind), me)
    except Odd as odd:
        return Skipped(str(odd), update_id)


def words(inbound: Inbound) -> str:
    """What a model reads: the text, a line for each attachment, and a mark on words that are somebody else's."""
    lines = [f"(forwarded from {FROM[inbound.forward.kind]})"] if inbound.forward else []
    if inbound.text:
        lines.append(inbound.text)
    lines += map(line, inbound.attachments)
    return "\n".join(lines)


def _message(update_id: int, kind: str, held: Held, me: Me) -> Inbound:
    if "business_connection_id" in held:
        raise Odd("business")
    chat, sender = _chat(needed(held, "chat")), _sender(held)
    is_edit = kind.startswith("edited_") and "edit_date" in held
    text, mentions_me, mentions, command = _text(held, me)
    inbound = Inbound(
        update_id,
        kind,
        chat,
        sender,
        _time(held, "edit_date" if is_edit else "date"),
        whole(held, "message_id"),
        _thread(held),
        text,
        mentions_me,
        mentions,
        command,
        reply_to=_reply(held, me),
        album=string(held, "media_group_id", 64),
        attachments=attachments(held),
        forward=_forward(held),
        via_bot=_user(via) if (via := inner(held, "via_bot")) else None,
        pinned=_replied(pin, me) if (pin := inner(held, "pinned_message")) else None,
        moved=_moved(held, chat),
        guest_query=token(held, "guest_query_id") if kind == "guest_message" else "",
    )
    if inbound.forward or (inbound.via_bot and inbound.via_bot.id != me.id):
        # Somebody else's words: they neither address the bot nor order it about.
        inbound = replace(inbound, mentions_me=False, mentions=(), command=None)
    if not (inbound.text or inbound.attachments or inbound.moved or inbound.pinned):
        raise Odd("nothing to read")
    return inbound


def _reaction(update_id: int, kind: str, held: Held, me: Me) -> Inbound:
    chat = _chat(needed(held, "chat"))
    actor = inner(held, "actor_chat")
    sender = _as_sender(actor) if actor else _user(needed(held, "user"))
    reactions = Reactions(_emojis(held, "old_reaction"), _emojis(held, "new_reaction"))
    at, message_id = _time(held), whole(held, "message_id")
    return Inbound(update_id, kind, chat, sender, at, message_id, reactions=reactions)


def _callback(update_id: int, kind: str, held: Held, me: Me) -> Inbound:
    if (message := inner(held, "message")) is None:
        raise Odd("choice outside a chat")
    data = held.get("data")
    if (
        not isinstance(data, str)
        or not data
        or len(data[: MOST_DATA_BYTES + 1].encode(errors="replace")) > MOST_DATA_BYTES
    ):
        raise Odd("malformed data")
    return Inbound(
        update_id,
        kind,
        _chat(needed(message, "chat")),
        _user(needed(held, "from")),
        message_id=whole(message, "message_id"),
        thread_id=_thread(message),
        callback=Callback(token(held, "id"), data),
    )


def _my_member(update_id: int, kind: str, held: Held, me: Me) -> Inbound:
    chat, sender = _chat(needed(held, "chat")), _user(needed(held, "from"))
    was, now = needed(held, "old_chat_member"), needed(held, "new_chat_member")
    if whole(needed(now, "user"), "id") != me.id:
        raise Odd("another's membership")
    member = _member(was, now, chat)
    return Inbound(update_id, kind, chat, sender, _time(held), member=member)


READERS = {
    **dict.fromkeys(MESSAGES, _message),
    "message_reaction": _reaction,
    "callback_query": _callback,
    "my_chat_member": _my_member,
}
FROM = {"user": "a person", "hidden_user": "a person", "chat": "a group", "channel": "a channel"}


def _chat(held: Held) -> Chat:
    kind = held.get("type")
    if kind not in CHATS:
        raise Odd("malformed chat type")
    if flag(held, "is_direct_messages"):
        raise Odd("channel direct messages")  # each topic is a talk of its own, for the channel's admins
    chat_id = signed(held, "id")
    if (chat_id > 0) != (kind == "private"):
        raise Odd("malformed chat id")
    title = label(held, "title", 256) or _full_name(held)
    return Chat(chat_id, kind, title, flag(held, "is_forum"))


def _sender(message: Held) -> Sender:
    """Who wrote `message`: the chat where Telegram names one, for then the person is hidden."""
    if held := inner(message, "sender_chat"):
        return _as_sender(held)
    user = inner(message, "from")
    chat = needed(message, "chat")
    if chat.get("type") == "channel" or (user and user.get("id") in STAND_INS and chat.get("type") != "private"):
        return _as_sender(chat)
    if user is None:
        raise Odd("no sender")
    return _user(user)


def _as_sender(chat: Held) -> Sender:
    read = _chat(chat)
    if read.id > 0:
        raise Odd("malformed sender_chat")  # the number of a person
    return Sender(read.id, read.title, _username(chat), is_chat=True)


def _user(held: Held) -> Sender:
    return Sender(whole(held, "id", 1), _full_name(held), _username(held), flag(held, "is_bot"))


def _full_name(held: Held) -> str:
    return " ".join(filter(None, (label(held, "first_name"), label(held, "last_name"))))


def _username(held: Held) -> str:
    name = string(held, "username", 64)
    return name if USERNAME.fullmatch(name) else ""


def _thread(message: Held) -> int | None:
    return whole(message, "message_thread_id", 1) if flag(message, "is_topic_message") else None


def _time(held: Held, name: str = "date") -> int:
    """The time at `name`, in ms."""
    if (seconds := whole(held, name)) > LAST_SECOND:
        raise Odd(f"malformed {name}")
    return 1000 * seconds


def _text(message: Held, me: Me) -> tuple[str, bool, tuple[Mention, ...], Command | None]:
    """(text or caption, whether I am named, who else is, the command it begins with)."""
    field, marks = ("text", "entities") if message.get("text") is not None else ("caption", "caption_entities")
    text = string(message, field, TEXT_UNITS)
    units = to_units(text)
    mentions_me, command = False, None
    others: dict[Mention, None] = {}
    for entity in items(message, marks, MOST_ENTITIES):
        start = whole(entity, "offset")
        end = start + whole(entity, "length")
        kind = entity.get("type")
        if kind not in ("mention", "text_mention", "bot_command"):
            continue
        shown = from_units(units[2 * start : 2 * end])
        named, ordered = _named(kind, entity, shown)
        if named and (named.id == me.id or (me.username and named.username == me.username.lower())):
            mentions_me = True
        elif named:
            others[named] = None
        if ordered and start == 0:
            command = replace(ordered, arguments=from_units(units[2 * end :]).strip())
    return text, mentions_me, tuple(others), command


def _named(kind: str, entity: Held, shown: str) -> tuple[Mention | None, Command | None]:
    """Whom an entity names, and the command it is."""
    if kind == "text_mention":
        user = _user(needed(entity, "user"))
        return Mention(user.username.lower(), user.id, user.is_bot), None
    if kind == "mention":
        found = USERNAME.fullmatch(shown[1:]) if shown[:1] == "@" else None
        return _by_username(found[0]) if found else None, None
    if (parts := COMMAND.fullmatch(shown)) is None:
        return None, None
    bot = (parts[2] or "").lower()
    return Mention(bot, is_bot=True) if bot else None, Command(parts[1].lower(), bot=bot)


def _by_username(name: str) -> Mention:
    return Mention(name.lower(), is_bot=name.lower().endswith("bot"))  # Telegram keeps these names for bots


def _reply(message: Held, me: Me) -> Replied | None:
    quote = inner(message, "quote") or {}
    quoted = string(quote, "text", QUOTE_UNITS)
    if held := inner(message, "reply_to_message"):
        replied = _replied(held, me)
        # In a topic each message that answers none points at the one that opened the topic.
        opens = "forum_topic_created" in held or replied.message_id == _thread(message)
        return None if opens else replace(replied, quote=quoted)
    if held := inner(message, "external_reply"):
        return Replied(maybe_whole(held, "message_id") or 0, quote=quoted, is_external=True)
    return None


def _replied(held: Held, me: Me) -> Replied:
    """A message told with another one; one that cannot be shown any more has no sender."""
    sender = _sender(held) if "from" in held or "sender_chat" in held else None
    is_me = sender is not None and sender.id == me.id
    text = string(held, "text", EXCERPT_UNITS) or string(held, "caption", EXCERPT_UNITS)
    return Replied(whole(held, "message_id"), sender, is_me, text)


def _forward(message: Held) -> Forward | None:
    if (origin := inner(message, "forward_origin")) is None:
        return None
    kind = origin.get("type")
    if kind == "user":
        user = _user(needed(origin, "sender_user"))
        return Forward("user", user.id, user.name)
    if kind == "hidden_user":
        return Forward("hidden_user", name=label(origin, "sender_user_name"))
    if kind in ("chat", "channel"):
        chat = _chat(needed(origin, "sender_chat" if kind == "chat" else "chat"))
        return Forward(kind, chat.id, chat.title)
    raise Odd("malformed forward_origin")


def _moved(message: Held, chat: Chat) -> Moved | None:
    if message.get("migrate_to_chat_id") is not None:
        return Moved(chat.id, signed(message, "migrate_to_chat_id"))
    if message.get("migrate_from_chat_id") is not None:
        return Moved(signed(message, "migrate_from_chat_id"), chat.id)
    return None


def _emojis(held: Held, name: str) -> tuple[str, ...]:
    found = []
    for item in items(held, name, MOST_REACTIONS):
        kind = item.get("type")
        if kind == "emoji":
            found.append(label(item, "emoji", 16))
        elif kind == "custom_emoji":
            found.append(f"custom:{token(item, 'custom_emoji_id', 64)}")
        elif kind == "paid":
            found.append("paid")
    return tuple(found)


def _member(was: Held, now: Held, chat: Chat) -> Member:
    old, new = was.get("status"), now.get("status")
    if old not in STATUSES or new not in STATUSES:
        raise Odd("malformed status")
    came, went = _is_outside(was) and not _is_outside(now), _is_outside(now) and not _is_outside(was)
    if chat.type == "private":
        change = "blocked" if went else "unblocked" if came else "other"
    elif went:
        change = "kicked"
    elif new == "restricted" and not flag(now, "can_send_messages"):
        change = "muted"
    elif came:
        change = "added"
    else:
        change = "admin" if new == "administrator" else "other"
    return Member(old, new, change)


def _is_outside(held: Held) -> bool:
    return held["status"] in OUTSIDE or (held["status"] == "restricted" and not flag(held, "is_member"))
