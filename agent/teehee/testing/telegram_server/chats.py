"""Chats, who is in them, and which bot hears of what happens there.

https://core.telegram.org/bots/api#chat, https://core.telegram.org/bots/features#privacy-mode
"""

import itertools
from typing import TYPE_CHECKING, Any

from teehee.testing.telegram_server import text as texts

if TYPE_CHECKING:
    from teehee.testing.telegram_server.people import Bot, User
    from teehee.testing.telegram_server.world import World

Json = Any
KEPT_MESSAGES = 10_000  # of one chat; a run for hours must not fill the memory
PRESENT = ("creator", "administrator", "member", "restricted")
ADMIN_RIGHTS = (
    "can_be_edited", "can_manage_chat", "can_delete_messages", "can_manage_video_chats", "can_restrict_members",
    "can_promote_members", "can_change_info", "can_invite_users", "can_post_stories", "can_edit_stories",
    "can_delete_stories", "can_pin_messages", "can_manage_topics",
)  # fmt: skip
MEMBER_RIGHTS = (
    "can_change_info", "can_invite_users", "can_pin_messages", "can_send_messages", "can_send_polls",
    "can_send_other_messages", "can_add_web_page_previews", "can_manage_topics", "can_send_audios",
    "can_send_documents", "can_send_photos", "can_send_videos", "can_send_video_notes", "can_send_voice_notes",
    "can_edit_tag", "can_react_to_messages",
)  # fmt: skip


class Chat:
    """One chat. A private one belongs to one bot and has the id of its person."""

    def __init__(
        self, world: "World", id: int, type: str, title: str = "", *, forum: bool = False, owner: "Bot | None" = None
    ) -> None:
        self.world, self.id, self.type, self.title, self.forum = world, id, type, title, forum
        self.owner = owner
        self.people: dict[int, User] = {}
        self.status: dict[int, str] = {}
        self.messages: dict[int, Json] = {}
        self.reactions: dict[tuple[int, int], list[Json]] = {}  # by message and who reacted
        self.topics: dict[int, Json] = {}  # the service message that began each
        self.moved_to: Chat | None = None
        self.last_bot = 0  # the bot that spoke last: it hears commands without a name
        self._numbers = itertools.count(1) if type in ("supergroup", "channel") else world.numbers

    def card(self) -> Json:
        """This chat as the Bot API writes it (https://core.telegram.org/bots/api#chat)."""
        if self.type == "private":
            person = self.people[self.id].card()
            return {
                "id": self.id,
                "type": "private",
                **{k: person[k] for k in ("first_name", "username") if k in person},
            }
        return {"id": self.id, "type": self.type, "title": self.title, **({"is_forum": True} if self.forum else {})}

    def is_in(self, user: "User") -> bool:
        return self.status.get(user.id) in PRESENT

    def is_admin(self, user: "User") -> bool:
        return self.status.get(user.id) in ("creator", "administrator")

    def member(self, user: "User") -> Json:
        """https://core.telegram.org/bots/api#chatmember"""
        status = self.status.get(user.id, "left")
        more: Json = {}
        if status == "creator":
            more = {"is_anonymous": False}
        elif status == "administrator":
            more = {"is_anonymous": False, **dict.fromkeys(ADMIN_RIGHTS, True)}
        elif status == "restricted":
            more = {"is_member": True, "until_date": 0, **dict.fromkeys(MEMBER_RIGHTS, False)}
        elif status == "kicked":
            more = {"until_date": 0}
        return {"user": user.card(), "status": status, **more}

    def join(self, user: "User", *, by: "User | None" = None, status: str = "member") -> None:
        """Comes in, alone or added `by` somebody."""
        self.set_status(user, status, by or user)
        if self.type in ("group", "supergroup"):
            self.post(by or user, {"new_chat_members": [user.card()]})

    def leave(self, user: "User") -> None:
        self.set_status(user, "left", user)
        self.post(user, {"left_chat_member": user.card()})

    def kick(self, user: "User", *, by: "User | None" = None) -> None:
        self.set_status(user, "kicked", by or self.creator())
        self.post(by or self.creator(), {"left_chat_member": user.card()})

    def promote(self, user: "User") -> None:
        self.set_status(user, "administrator", self.creator())

    def demote(self, user: "User") -> None:
        self.set_status(user, "member", self.creator())

    def mute(self, user: "User") -> None:
        """May read, and not write (https://core.telegram.org/bots/api#chatmemberrestricted)."""
        self.set_status(user, "restricted", self.creator())

    def creator(self) -> "User":
        named = [id for id, status in self.status.items() if status == "creator"]
        return self.people[named[0] if named else next(iter(self.people))]

    def set_status(self, user: "User", status: str, by: "User") -> None:
        """https://core.telegram.org/bots/api#chatmemberupdated: to the bot itself, and to bots that are admins."""
        before = self.member(user)
        self.people[user.id], self.status[user.id] = user, status
        body = {
            "chat": self.card(), "from": by.card(), "date": self.world.now(),
            "old_chat_member": before, "new_chat_member": self.member(user),
        }  # fmt: skip
        for bot in self.bots():
            if bot is user:
                bot.updates.put("my_chat_member", body)
            elif self.is_admin(bot):
                bot.updates.put("chat_member", body)
        if user.is_bot and status in ("left", "kicked"):
            self.world.bots[user.id].updates.put("my_chat_member", body)

    def bots(self) -> "list[Bot]":
        """Those that are here now."""
        if self.owner is not None:
            return [self.owner]
        return [
            self.world.bots[id] for id, status in self.status.items() if id in self.world.bots and status in PRESENT
        ]

    def topic(self, name: str, *, by: "User | None" = None) -> int:
        """Opens a topic of a forum; gives its thread id (https://core.telegram.org/bots/api#forumtopiccreated)."""
        thread = self.post(by or self.creator(), {"forum_topic_created": {"name": name, "icon_color": 7322096}})
        thread.update(message_thread_id=thread["message_id"], is_topic_message=True)
        self.topics[thread["message_id"]] = thread
        number: int = thread["message_id"]
        return number

    def migrate(self) -> "Chat":
        """Becomes a supergroup with another id (https://core.telegram.org/bots/api#responseparameters)."""
        new = self.world.supergroup(self.title)
        new.people, new.status = dict(self.people), dict(self.status)
        self.moved_to = new
        self.post(self.creator(), {"migrate_to_chat_id": new.id})
        new.post(self.creator(), {"migrate_from_chat_id": self.id})
        return new

    def post(
        self, sender: "User | None", content: Json, *, reply_to: int = 0, thread: int = 0, quiet: bool = False
    ) -> Json:
        """Puts a message into the chat and tells every bot that may know. `quiet` tells none."""
        message: Json = {"message_id": next(self._numbers), "date": self.world.now(), "chat": self.card()}
        if sender is not None and self.type != "channel":
            message["from"] = sender.card()
        if thread and thread in self.topics:
            message.update(message_thread_id=thread, is_topic_message=True)
            # In a topic, what replies to nothing replies to the message that opened it.
            message["reply_to_message"] = without_reply(self.topics[thread])
        if reply_to:
            message["reply_to_message"] = without_reply(self.messages[reply_to])
        message.update(content)
        self.messages[message["message_id"]] = message
        if len(self.messages) > KEPT_MESSAGES:
            del self.messages[next(iter(self.messages))]
        if not quiet:
            self.tell("message", message, sender, explicit_reply=bool(reply_to))
        if sender is not None and sender.is_bot:
            self.last_bot = sender.id
        return message

    def edit(self, message: Json, content: Json, sender: "User | None") -> Json:
        changed = {**message, **content, "edit_date": self.world.now()}
        self.messages[message["message_id"]] = changed
        self.tell("edited_message", changed, sender, explicit_reply="reply_to_message" in message)
        return changed

    def tell(self, kind: str, message: Json, sender: "User | None", *, explicit_reply: bool) -> None:
        if self.type == "channel":
            kind = kind.replace("message", "channel_post")
        for bot in self.bots():
            if bot is not sender and self._reaches(bot, message, sender, explicit_reply):
                bot.updates.put(kind, message)

    def _reaches(self, bot: "Bot", message: Json, sender: "User | None", explicit_reply: bool) -> bool:
        """https://core.telegram.org/bots/faq#what-messages-will-my-bot-get"""
        if self.type in ("private", "channel") or not content_of(message):
            return True
        replied = message.get("reply_to_message", {}).get("from", {}).get("id") == bot.id and explicit_reply
        named = names(message, bot)
        if sender is not None and sender.is_bot:
            # https://core.telegram.org/bots/features#bot-to-bot-communication
            whole = bot.bot_to_bot and self.is_admin(bot) and not bot.privacy
            return whole or ((named or replied) and (bot.bot_to_bot or self.world.bots[sender.id].bot_to_bot))
        if not bot.privacy or self.is_admin(bot) or replied or named:
            return True
        return self.last_bot == bot.id and bool(commands(message, named=False))


def without_reply(message: Json) -> Json:
    """As it stands in another message's reply_to_message: without one of its own."""
    return {key: value for key, value in message.items() if key != "reply_to_message"}


def content_of(message: Json) -> bool:
    """Whether somebody said something; what is no content is a service message, which every bot gets."""
    kinds = ("text", "caption", "photo", "voice", "document", "sticker", "location", "video", "audio", "animation")
    return any(kind in message for kind in kinds)


def names(message: Json, bot: "Bot") -> bool:
    """Whether a message names the bot: @name, a command that ends in it, or a link to it."""
    text = message.get("text", message.get("caption", ""))
    for entity in message.get("entities", message.get("caption_entities", [])):
        said = texts.cut(text, entity).lower()
        if entity["type"] in ("mention", "bot_command") and said.endswith(f"@{bot.username.lower()}"):
            return True
        if entity.get("user", {}).get("id") == bot.id:
            return True
    return False


def commands(message: Json, *, named: bool) -> list[str]:
    """The commands in a message, those with a bot's name or those without."""
    text = message.get("text", "")
    found = [texts.cut(text, entity) for entity in message.get("entities", []) if entity["type"] == "bot_command"]
    return [command for command in found if ("@" in command) == named]
