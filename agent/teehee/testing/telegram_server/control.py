"""What a test in another process may ask of the server: to play people, to order failures, to tell what came.

`POST /control {"on": "world" | "server" | {"user": id} | {"chat": id}, "do": name, "args": [...], "with": {...}}`
A list of these does them all in order, and tells when it began (`at`) and how many updates wait (`waiting`).
People and chats stand as {"user": id} and {"chat": id}, in arguments and in results.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from teehee.testing.telegram_server.chats import Chat
from teehee.testing.telegram_server.limits import Breach
from teehee.testing.telegram_server.people import Bot, User
from teehee.testing.telegram_server.updates import Twist
from teehee.testing.telegram_server.world import Call, Sent, World

if TYPE_CHECKING:
    from teehee.testing.telegram_server.server import TelegramServer

Json = Any
ON_USER = {
    "says", "edits", "reacts", "presses", "sends", "sends_album", "sends_location", "forwards", "says_as", "summons",
    "blocks", "unblocks", "revoke",
}  # fmt: skip
ON_CHAT = {"join", "leave", "kick", "promote", "demote", "mute", "topic", "migrate"}
ON_WORLD = {"user", "bot", "private", "group", "supergroup", "channel", "texts"}
ON_SERVER = {"fails", "hangs_up", "slows", "refuse"}
READ = {"sent", "edits", "calls", "actions", "drafts", "deleted", "answers", "me"}


def act(server: "TelegramServer", asked: Json) -> Json:
    """Does what was asked; raises LookupError for a name that is not known."""
    world, on, do = server.world, decoded(server.world, asked.get("on", "world")), asked["do"]
    args = [decoded(world, value) for value in asked.get("args", [])]
    named = {key: decoded(world, value) for key, value in asked.get("with", {}).items()}
    if on == "world" and do in READ:
        found = getattr(world, do)
        return encoded(list(found)[named.get("since", 0) :] if not isinstance(found, dict | User) else found)
    if on == "world" and do == "given":
        return world.me.updates.given
    if on == "world" and do == "breaches":
        return encoded(world.limits.breaches)
    if on == "world" and do == "set":
        return configured(world, **named)
    targets = {"world": (world, ON_WORLD), "server": (server, ON_SERVER)}
    target, verbs = targets[on] if isinstance(on, str) else (on, ON_CHAT if isinstance(on, Chat) else ON_USER)
    if do not in verbs:
        raise LookupError(f"{do!r} is none of {sorted(verbs)}")
    return encoded(getattr(target, do)(*args, **named))


def configured(
    world: World,
    *,
    enforced: bool | None = None,
    supports_ephemeral: bool | None = None,
    privacy: bool | None = None,
    twist: Json = None,
) -> None:
    """Turns the switches of the first bot's world."""
    if enforced is not None:
        world.limits.enforced = enforced
    if supports_ephemeral is not None:
        world.supports_ephemeral = supports_ephemeral
    if privacy is not None:
        world.me.privacy = privacy
    if twist is not None:
        world.me.updates.twisted(Twist(**twist))


def decoded(world: World, value: Json) -> Json:
    if isinstance(value, dict) and "user" in value:
        return world.users[value["user"]]
    if isinstance(value, dict) and value.keys() == {"chat"}:
        if (chat := world.chat_for(world.me, value["chat"])) is None:
            raise LookupError(f"no chat {value['chat']}")
        return chat
    return value


def encoded(value: Json) -> Json:
    if isinstance(value, Bot):
        return {"user": value.id, "token": value.token, "username": value.username}
    if isinstance(value, User):
        return {"user": value.id}
    if isinstance(value, Chat):
        return {"chat": value.id}
    if isinstance(value, Sent | Call | Breach):
        return dataclasses.asdict(value)
    if isinstance(value, list | tuple):
        return [encoded(one) for one in value]
    return value
