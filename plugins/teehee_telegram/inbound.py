"""What an update says once it is read: frozen values that the rest of the plugin trusts."""

from dataclasses import dataclass

from teehee_telegram.media import Attachment


@dataclass(frozen=True, slots=True)
class Me:
    """The bot itself, as getMe told."""

    id: int
    username: str
    name: str = ""
    can_read_all_group_messages: bool = False


@dataclass(frozen=True, slots=True)
class Chat:
    """Where it happened: `type` is private, group, supergroup or channel."""

    id: int
    type: str
    title: str = ""
    is_forum: bool = False


@dataclass(frozen=True, slots=True)
class Sender:
    """Who did it. With `is_chat` it is a channel or a group with its anonymous admins: never a person."""

    id: int
    name: str = ""
    username: str = ""
    is_bot: bool = False
    is_chat: bool = False


@dataclass(frozen=True, slots=True)
class Mention:
    """Somebody else who is named: by username (lower case) or, without one, by id."""

    username: str = ""
    id: int = 0
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """`/name@bot arguments`; name and bot in lower case, `bot` is "" when none is named."""

    name: str
    arguments: str = ""
    bot: str = ""


@dataclass(frozen=True, slots=True)
class Replied:
    """The message that is answered or pinned, in excerpt; `is_external` when it is from another chat."""

    message_id: int
    sender: Sender | None = None
    is_me: bool = False
    text: str = ""
    quote: str = ""
    is_external: bool = False


@dataclass(frozen=True, slots=True)
class Forward:
    """Whose words these really are: `kind` is user, hidden_user, chat or channel."""

    kind: str
    id: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reactions:
    """Somebody's reactions to a message before and now: emojis, `custom:<id>` or `paid`."""

    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Callback:
    """A pressed button: the query to answer and the data it carries."""

    id: str
    data: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A group that became a supergroup, under a new id."""

    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Member:
    """My status in a chat before and now; `change` is added, kicked, blocked, unblocked, admin, muted or other."""

    old: str
    new: str
    change: str


@dataclass(frozen=True, slots=True)
class Inbound:
    """An update, read. `kind` is the Bot API's own name; `at` is in ms, 0 where Telegram tells no time."""

    update_id: int
    kind: str
    chat: Chat
    sender: Sender
    at: int = 0
    message_id: int = 0
    thread_id: int | None = None  # a topic; the General topic has none
    text: str = ""
    mentions_me: bool = False
    mentions: tuple[Mention, ...] = ()
    command: Command | None = None
    reply_to: Replied | None = None
    album: str = ""
    attachments: tuple[Attachment, ...] = ()
    forward: Forward | None = None
    via_bot: Sender | None = None
    pinned: Replied | None = None
    reactions: Reactions | None = None
    callback: Callback | None = None
    moved: Moved | None = None
    member: Member | None = None
    guest_query: str = ""  # what a guest's answer has to name

    @property
    def principal(self) -> str:
        """Whom policies name."""
        return f"telegram:{self.sender.id}"

    @property
    def room(self) -> str:
        """Where it is remembered. A guest's chat may share its id with one the bot is in, so it has a name apart."""
        guest = "guest/" if self.kind == "guest_message" else ""
        topic = "" if self.thread_id is None else f"/{self.thread_id}"
        return f"telegram:{guest}{self.chat.id}{topic}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """An update that is not read, with a short and stable reason; `update_id` is None when it has none to trust."""

    reason: str
    update_id: int | None = None
