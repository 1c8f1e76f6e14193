"""One field of an update, read strictly: what is there has the right type and size, or the update is odd."""

import re
from collections.abc import Mapping
from typing import Any

Json = Any
Held = Mapping[str, Json]
MOST_WHOLE = 2**53  # JSON's own; Telegram's ids use 52 bits
# What would break a line, or turn the reading direction round, in a name shown to people and models.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Odd(Exception):
    """The update is not what the Bot API describes; the message is a short, stable reason."""


def whole(held: Held, name: str, least: int = 0) -> int:
    """The whole number at `name`, which has to be there. Raises Odd."""
    value = held.get(name)
    if type(value) is not int or not least <= value < MOST_WHOLE:  # a bool is an int to isinstance
        raise Odd(f"malformed {name}")
    return value


def maybe_whole(held: Held, name: str, least: int = 0) -> int | None:
    """The whole number at `name`, None when there is none. Raises Odd."""
    return None if held.get(name) is None else whole(held, name, least)


def signed(held: Held, name: str) -> int:
    """The id of a chat at `name`: any number but 0. Raises Odd."""
    if (value := whole(held, name, -MOST_WHOLE + 1)) == 0:
        raise Odd(f"malformed {name}")
    return value


def flag(held: Held, name: str) -> bool:
    """The boolean at `name`; False when there is none. Raises Odd."""
    value = held.get(name, False)
    if value is not None and type(value) is not bool:
        raise Odd(f"malformed {name}")
    return bool(value)


def string(held: Held, name: str, most_units: int) -> str:
    """The text at `name`, cut to so many UTF-16 units; "" when there is none. Raises Odd."""
    value = held.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Odd(f"malformed {name}")
    return from_units(to_units(value[:most_units])[: 2 * most_units])


def label(held: Held, name: str, most_units: int = 128) -> str:
    """The text at `name` as one line without control characters. Raises Odd."""
    return " ".join(CONTROLS.sub(" ", string(held, name, most_units)).split())


def token(held: Held, name: str, most: int = 256) -> str:
    """An opaque id at `name`, which has to be there and whole. Raises Odd."""
    value = held.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isascii() or CONTROLS.search(value):
        raise Odd(f"malformed {name}")
    return value


def inner(held: Held, name: str) -> Held | None:
    """The object at `name`; None when there is none. Raises Odd."""
    value = held.get(name)
    if value is not None and not isinstance(value, dict):
        raise Odd(f"malformed {name}")
    return value


def needed(held: Held, name: str) -> Held:
    """The object at `name`, which has to be there. Raises Odd."""
    if (value := inner(held, name)) is None:
        raise Odd(f"malformed {name}")
    return value


def items(held: Held, name: str, most: int) -> list[Held]:
    """The first of the objects in the list at `name`; none when there is no list. Raises Odd."""
    value = held.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or any(not isinstance(item, dict) for item in value[:most]):
        raise Odd(f"malformed {name}")
    return value[:most]


def to_units(text: str) -> bytes:
    """`text` as UTF-16, two bytes a unit: the Bot API counts these, not characters."""
    return text.encode("utf-16-le", "surrogatepass")


def from_units(units: bytes) -> str:
    """The text of these units; half an emoji becomes U+FFFD, and so does NUL, which no database takes."""
    return units.decode("utf-16-le", "replace").replace("\x00", "�")
