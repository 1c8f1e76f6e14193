"""People and bots of the simulated Telegram, and all they do there.

https://core.telegram.org/bots/api#user
"""

import secrets
from typing import TYPE_CHECKING, Any

from teehee.testing.telegram_server import text as texts
from teehee.testing.telegram_server.updates import Updates

if TYPE_CHECKING:
    from teehee.testing.telegram_server.chats import Chat
    from teehee.testing.telegram_server.world import World

Json = Any
Said = int | Json  # a message, or its id


def number(message: Said) -> int:
    return message if isinstance(message, int) else int(message["message_id"])


class User:
    """Somebody with an account. What they do in a chat gives the message, as the Bot API writes it."""

    is_bot = False

    def __init__(self, world: "World", id: int, first_name: str, username: str = "", language: str = "en") -> None:
        self.world, self.id, self.first_name, self.username, self.language = world, id, first_name, username, language

    def card(self) -> Json:
        return {
            "id": self.id, "is_bot": self.is_bot, "first_name": self.first_name,
            **({"username": self.username} if self.username else {}),
            **({"language_code": self.language} if self.language and not self.is_bot else {}),
        }  # fmt: skip

    def says(
        self, chat: "Chat", text: str, *, reply_to: Said = 0, thread: int = 0, mentions: "User | None" = None
    ) -> Json:
        """Says `text`. `mentions` marks the first occurrence of a name without @ as that person (text_mention)."""
        content: Json = {"text": text}
        entities = texts.detected(text)
        if mentions is not None:
            at = texts.units(text[: text.index(mentions.first_name)])
            size = texts.units(mentions.first_name)
            entities.append({"type": "text_mention", "offset": at, "length": size, "user": mentions.card()})
        if entities:
            content["entities"] = entities
        return chat.post(self, content, reply_to=number(reply_to), thread=thread)

    def edits(self, chat: "Chat", message: Said, text: str) -> Json:
        """https://core.telegram.org/bots/api#update (edited_message)"""
        entities = texts.detected(text)
        return chat.edit(chat.messages[number(message)], {"text": text, "entities": entities}, self)

    def reacts(self, chat: "Chat", message: Said, emoji: str = "👍") -> None:
        """Sets their reaction, "" takes it away (https://core.telegram.org/bots/api#messagereactionupdated)."""
        key = (number(message), self.id)
        old, new = chat.reactions.get(key, []), [{"type": "emoji", "emoji": emoji}] if emoji else []
        chat.reactions[key] = new
        body = {
            "chat": chat.card(), "message_id": key[0], "user": self.card(), "date": self.world.now(),
            "old_reaction": old, "new_reaction": new,
        }  # fmt: skip
        for bot in [] if self.is_bot else chat.bots():
            if chat.type == "private" or chat.is_admin(bot):
                bot.updates.put("message_reaction", body)

    def presses(self, chat: "Chat", message: Said, button: str) -> str:
        """Presses the button with this text or callback data; gives the id that the bot answers to.

        https://core.telegram.org/bots/api#callbackquery
        """
        found = chat.messages[number(message)]
        for row in found.get("reply_markup", {}).get("inline_keyboard", []):
            for one in row:
                if button in (one["text"], one.get("callback_data")):
                    return self.world.pressed(self, chat, found, one["callback_data"])
        raise LookupError(f"message {found['message_id']} has no button {button!r}")

    def sends(
        self,
        chat: "Chat",
        kind: str,
        caption: str = "",
        *,
        content: bytes = b"x",
        size: int = 0,
        reply_to: Said = 0,
        thread: int = 0,
        name: str = "",
        mime: str = "",
        **more: Json,
    ) -> Json:
        """Sends a photo, voice, document, video, audio or sticker.

        `size` says another number of bytes than `content` has; `name` and `mime` are what a document's sender says.
        """
        file = self.world.keep(content, size=size)
        shown = shape(kind, file)
        if name or mime:
            shown |= {"file_name": name, "mime_type": mime}
        body: Json = {kind: shown, **more}
        if caption:
            body |= {"caption": caption, "caption_entities": texts.detected(caption)}
        return chat.post(self, body, reply_to=number(reply_to), thread=thread)

    def sends_album(self, chat: "Chat", count: int, caption: str = "") -> list[Json]:
        """Photos that belong together; the first has the caption (media_group_id)."""
        group = str(secrets.randbits(60))
        return [self.sends(chat, "photo", "" if place else caption, media_group_id=group) for place in range(count)]

    def sends_location(self, chat: "Chat", latitude: float, longitude: float) -> Json:
        return chat.post(self, {"location": {"latitude": latitude, "longitude": longitude}})

    def forwards(self, chat: "Chat", text: str, origin: "User | None" = None) -> Json:
        """Passes on what `origin` said, or somebody who hides (https://core.telegram.org/bots/api#messageorigin)."""
        where: Json = {"type": "hidden_user", "sender_user_name": "Somebody"}
        if origin is not None:
            where = {"type": "user", "sender_user": origin.card()}
        content = {"text": text, "forward_origin": {**where, "date": self.world.now()}}
        return chat.post(self, {**content, **({"entities": found} if (found := texts.detected(text)) else {})})

    def says_as(self, chat: "Chat", text: str, face: "Chat") -> Json:
        """Speaks for a chat: an anonymous admin, or a channel in its group (sender_chat)."""
        entities = texts.detected(text)
        content = {"text": text, "sender_chat": face.card(), **({"entities": entities} if entities else {})}
        id, name = (1087968824, "GroupAnonymousBot") if face is chat else (136817688, "Channel_Bot")
        content["from"] = {"id": id, "is_bot": True, "first_name": name, "username": name}
        return chat.post(self, content)

    def summons(self, bot: "Bot", chat: "Chat", text: str) -> str:
        """Names a bot where it is not; gives the query's id (https://core.telegram.org/bots/api#answerguestquery)."""
        message = chat.post(self, {"text": text, "entities": texts.detected(text)})
        query = str(secrets.randbits(60))
        self.world.guests[query] = (bot.id, chat, message["message_id"])
        bot.updates.put("guest_message", {**message, "guest_query_id": query})
        return query

    def blocks(self, bot: "Bot") -> None:
        """The bot hears of it as my_chat_member, and may not write any more."""
        self._turn(bot, "member", "kicked")

    def unblocks(self, bot: "Bot") -> None:
        self._turn(bot, "kicked", "member")

    def _turn(self, bot: "Bot", old: str, new: str) -> None:
        chat = self.world.private(self, bot)
        chat.status[self.id] = new

        def member(status: str) -> Json:
            return {"user": bot.card(), "status": status, **({"until_date": 0} if status == "kicked" else {})}

        bot.updates.put("my_chat_member", {
            "chat": chat.card(), "from": self.card(), "date": self.world.now(),
            "old_chat_member": member(old), "new_chat_member": member(new),
        })  # fmt: skip


class Bot(User):
    """A bot: an account with a token, its waiting updates and its settings at BotFather."""

    is_bot = True

    def __init__(
        self,
        world: "World",
        id: int,
        username: str,
        *,
        privacy: bool = True,
        bot_to_bot: bool = True,
        manager: "Bot | None" = None,
    ) -> None:
        super().__init__(world, id, username.removesuffix("_bot").title(), username)
        self.privacy, self.bot_to_bot, self.manager = privacy, bot_to_bot, manager
        self.token = new_token(id)
        self.updates = Updates(world.clock)
        self.commands: list[Json] = []
        self.webhook: Json = {"url": ""}
        self.poller: object | None = None  # the getUpdates that waits now
        self.ended_by = ""  # what ended the one before

    def about(self) -> Json:
        """https://core.telegram.org/bots/api#getme"""
        return {
            **self.card(), "can_join_groups": True, "can_read_all_group_messages": not self.privacy,
            "supports_inline_queries": False, "can_connect_to_business": False, "has_main_web_app": False,
            "can_manage_bots": any(bot.manager is self for bot in self.world.bots.values()),
            "supports_guest_queries": True,
        }  # fmt: skip

    def revoke(self) -> str:
        """A new token; the one before is worth nothing from now on."""
        self.token = new_token(self.id)
        self.interrupt("")
        if self.manager is not None:
            self.world.tell_manager(self)
        return self.token

    def interrupt(self, reason: str) -> None:
        """Ends the getUpdates that waits, if one does."""
        self.poller, self.ended_by = None, reason
        self.updates.news.set()


def new_token(id: int) -> str:
    return f"{id}:{secrets.token_urlsafe(26)[:35]}"


def shape(kind: str, file: Json) -> Json:
    """A kept file as a message of this kind shows it."""
    known = {key: file[key] for key in ("file_id", "file_unique_id", "file_size")}
    more: dict[str, Json] = {
        "voice": {"duration": 3, "mime_type": "audio/ogg"},
        "audio": {"duration": 30},
        "video": {"duration": 5, "width": 320, "height": 240},
        "document": {"file_name": "notes.txt", "mime_type": "text/plain"},
        "sticker": {"width": 512, "height": 512, "is_animated": False, "is_video": False, "type": "regular"},
    }
    if kind == "photo":
        return [{**known, "width": 90, "height": 60}, {**known, "width": 800, "height": 600}]
    return {**known, **more[kind]}
