"""Eliza's deterministic UUIDs, so that a Python agent knows its rooms by the same names.

Source: elizaOS core `stringToUuid` and `createUniqueUuid` (the same bytes in 0.x and 1.x).
"""

import re
from functools import lru_cache
from hashlib import sha1
from urllib.parse import quote

PLATFORMS = ("telegram",)
PLAIN = re.compile(r"[\w.!~*'():-]*", re.ASCII)
UUID_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def string_to_uuid(text: str | int) -> str:
    """The UUID Eliza derives from `text`; a text that is a UUID already is returned as it is."""
    text = str(text)
    if UUID_SHAPE.fullmatch(text):
        return text
    if PLAIN.fullmatch(text):  # nearly all are
        quoted = text.replace(":", "%3A")
    else:
        quoted = quote(text, safe="-_.!~*'()", errors="replace")  # half an emoji: Eliza throws, we take it for a ?
    digest = bytearray(sha1(quoted.encode(), usedforsecurity=False).digest()[:16])
    digest[8] = digest[8] & 0x3F | 0x80
    digest[6] &= 0x0F  # version nibble 0: Eliza's own mark
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def platform_base(named: str) -> str:
    """What Eliza makes its UUIDs of, for a person or room of a platform it knows: the platform's bare number.

    `telegram:1234` is 1234, and the topic `telegram:-100/7` is -100-7 (plugin-telegram 1.6); any other name is whole.
    """
    platform, _, number = named.partition(":")
    return number.replace("/", "-") if platform in PLATFORMS else named


@lru_cache(maxsize=8192)  # rooms and people come again with every message
def create_unique_uuid(agent_id: str, base: str) -> str:
    """One agent's own view of a user or room `base`, by Eliza's `createUniqueUuid`."""
    return agent_id if base == agent_id else string_to_uuid(f"{base}:{agent_id}")


def message_id(agent_id: str, source: str, event: str, message: str = "") -> str:
    """One agent's own id of a message: by the platform's own name of it, else by the event that told of it."""
    return create_unique_uuid(agent_id, message or f"{source}-{event}")


# -- 0.x: rooms and messages of a platform, by the strings its clients put together (client-telegram, client-direct)


def v0_user_id(platform_id: str | int) -> str:
    """A person, by the platform's own number; the same for every agent."""
    return string_to_uuid(platform_id)


def v0_room_id(chat_id: str | int, agent_id: str) -> str:
    """A chat as one agent sees it."""
    return string_to_uuid(f"{chat_id}-{agent_id}")


def v0_message_id(room_id: str, message_id: str | int) -> str:
    """A message of a room; `room_id` is the UUID of `v0_room_id`."""
    return string_to_uuid(f"{room_id}-{message_id}")


def v0_direct_room_id(agent_id: str) -> str:
    """The room of the direct client when none is named."""
    return string_to_uuid(f"default-room-{agent_id}")
