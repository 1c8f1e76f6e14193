"""The simulated Telegram as a whole: who there is, what bots have sent, and what they asked for."""

import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from teehee.testing.telegram_server.chats import Chat
from teehee.testing.telegram_server.faults import Faults
from teehee.testing.telegram_server.limits import Limits
from teehee.testing.telegram_server.people import Bot, User

Json = Any


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a bot as it arrived. `at` is seconds since 1970; `only_for` is the one who sees an ephemeral one."""

    bot: int
    chat: int
    message_id: int
    text: str
    entities: list[Json]
    reply_to: int
    thread: int
    at: float
    method: str
    only_for: int = 0
    message: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method, as it was answered; status 0: the connection was cut before it was carried out."""

    bot: int
    method: str
    params: Json
    at: float
    status: int


class World:
    """`world.me` is the first bot. Times come from `clock`."""

    def __init__(
        self,
        *,
        username: str = "teehee_bot",
        token: str = "",
        privacy: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.numbers = itertools.count(1)  # of messages in private chats and basic groups
        self.users: dict[int, User] = {}
        self.bots: dict[int, Bot] = {}
        self.chats: dict[int, Chat] = {}
        self.privates: dict[tuple[int, int], Chat] = {}
        self.faults, self.limits = Faults(), Limits(clock)
        self.supports_ephemeral = False
        self.sent: list[Sent] = []
        self.edits: list[Sent] = []
        self.calls: deque[Call] = deque(maxlen=100_000)
        self.actions: list[tuple[int, int, str]] = []  # chat, thread, action
        self.drafts: list[tuple[int, int, str]] = []  # chat, draft id, text
        self.deleted: list[tuple[int, int]] = []  # chat, message
        self.answers: dict[str, Json] = {}  # by callback query, what the bot showed
        self.guests: dict[str, tuple[int, Chat, int]] = {}
        self.queries: dict[str, tuple[int, int, float]] = {}  # bot, user, when
        self.files: dict[str, Json] = {}
        self._ids = itertools.count(1001)
        self.me = self.bot(username, privacy=privacy, token=token)

    def now(self) -> int:
        return int(self.clock())

    def user(self, first_name: str, username: str = "", *, id: int = 0) -> User:
        made = User(self, id or 500_000_000 + next(self._ids), first_name, username)
        self.users[made.id] = made
        return made

    def bot(
        self,
        username: str,
        *,
        privacy: bool = True,
        bot_to_bot: bool = True,
        manager: Bot | None = None,
        token: str = "",
    ) -> Bot:
        """Another bot; with `manager` it is that bot's to manage (https://core.telegram.org/bots/api#managedbotupdated)."""
        id = int(token.partition(":")[0]) if token else 7_000_000_000 + next(self._ids)
        made = Bot(self, id, username, privacy=privacy, bot_to_bot=bot_to_bot, manager=manager)
        made.token = token or made.token
        self.users[made.id] = self.bots[made.id] = made
        if manager is not None:
            self.tell_manager(made)
        return made

    def tell_manager(self, bot: Bot) -> None:
        assert bot.manager is not None
        owner = next((user for user in self.users.values() if not user.is_bot), bot.manager)
        bot.manager.updates.put("managed_bot", {"user": owner.card(), "bot": bot.card()})

    def bot_of(self, token: str) -> Bot | None:
        bot = self.bots.get(int(token.partition(":")[0]))
        return bot if bot is not None and secrets.compare_digest(bot.token, token) else None

    def private(self, user: User, bot: Bot | None = None) -> Chat:
        """The chat of a person with a bot; the first call begins it."""
        owner = bot or self.me
        if (owner.id, user.id) not in self.privates:
            chat = Chat(self, user.id, "private", owner=owner)
            chat.people, chat.status = {user.id: user, owner.id: owner}, {user.id: "member", owner.id: "member"}
            self.privates[owner.id, user.id] = chat
        return self.privates[owner.id, user.id]

    def group(self, title: str, *people: User, bot: bool = True) -> Chat:
        """A basic group; its first person is the creator. `bot` adds `world.me`."""
        return self._settled(Chat(self, -(4_000_000_000 + next(self._ids)), "group", title), people, bot)

    def supergroup(self, title: str, *people: User, bot: bool = True, forum: bool = False) -> Chat:
        chat = Chat(self, -1_000_000_000_000 - 2_000_000_000 - next(self._ids), "supergroup", title, forum=forum)
        return self._settled(chat, people, bot)

    def channel(self, title: str, *people: User, bot: bool = True) -> Chat:
        chat = Chat(self, -1_000_000_000_000 - 2_000_000_000 - next(self._ids), "channel", title)
        return self._settled(chat, people, bot, status="administrator")

    def _settled(self, chat: Chat, people: tuple[User, ...], bot: bool, status: str = "member") -> Chat:
        self.chats[chat.id] = chat
        for user in people:
            chat.people[user.id] = user
            chat.status[user.id] = "member" if len(chat.status) else "creator"
        if bot and people:
            chat.join(self.me, by=people[0], status=status)
        return chat

    def chat_for(self, bot: Bot, id: int) -> Chat | None:
        return self.privates.get((bot.id, id)) or self.chats.get(id)

    def keep(self, content: bytes, *, size: int = 0) -> Json:
        """Keeps a file; gives what a message says of it."""
        id = secrets.token_urlsafe(24)
        file = {
            "file_id": id, "file_unique_id": id[:12], "file_size": size or len(content),
            "file_path": f"files/{id[:12]}", "content": content,
        }  # fmt: skip
        self.files[id] = file
        return file

    def pressed(self, user: User, chat: Chat, message: Json, data: str) -> str:
        query = str(secrets.randbits(60))
        bot = self.bots[message["from"]["id"]]
        self.queries[query] = (bot.id, user.id, self.clock())
        bot.updates.put("callback_query", {
            "id": query, "from": user.card(), "message": message, "chat_instance": str(chat.id), "data": data,
        })  # fmt: skip
        return query

    def texts(self, chat: Chat | int | None = None) -> list[str]:
        """What bots said, in order; in one chat when it is given."""
        id = chat if isinstance(chat, int) or chat is None else chat.id
        return [sent.text for sent in self.sent if id is None or sent.chat == id]
