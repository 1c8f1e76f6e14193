"""Example conversations in every shape authors write them, as lines."""

from collections.abc import Mapping
from typing import Any

from teehee.character import source
from teehee.character.fields import EMPTY, Fields, kind, scalar
from teehee.character.model import Line

Json = Any
KEY = "messageExamples"
PATH = f"$.{KEY}"


def conversations(fields: Fields) -> tuple[tuple[Line, ...], ...]:
    """The conversations of `messageExamples`; an unreadable one is empty, so that the others keep their numbers."""
    value = fields.left.get(KEY)
    if value in EMPTY:
        return ()
    talks = _talks(fields, value)
    if talks is None:
        fields.warn(PATH, f"expected a list of conversations, got {kind(value)}; kept, not used")
        return ()
    read: list[tuple[Line, ...]] = []
    old = unread = 0
    for number, talk in enumerate(talks):
        items = talk if isinstance(talk, list) else [talk]
        lines = [_line(item) for item in items]
        if None in lines and (unread := unread + 1) <= source.MOST_TOLD:
            got = f"{kind(items[lines.index(None)])} in it" if isinstance(talk, list) else kind(talk)
            fields.warn(f"{PATH}[{number}]", f"expected a list of {{name, content}}, got {got}; kept, not used")
        old += sum(isinstance(item, dict) and "name" not in item and "user" in item for item in items)
        read.append(tuple(line for line in lines if line is not None))
    if old:
        fields.changed(PATH, f"{old} lines name their speaker as 0.x does, `user`; read as `name`")
    fields.taken(KEY)
    return tuple(read)


def _talks(fields: Fields, value: Json) -> list[Json] | None:
    """A list of conversations; None when it is nothing of the kind."""
    if not isinstance(value, list):
        return None
    if all(isinstance(item, dict) and "content" in item for item in value):
        fields.changed(PATH, "a flat list of messages read as one conversation")
        return [value]
    if any(isinstance(item, dict) and isinstance(item.get("examples"), list) for item in value):
        return [_examples(item) for item in value]
    return value


def _examples(item: Json) -> Json:
    return item.get("examples") if isinstance(item, dict) else item


def _line(item: Json) -> Line | None:
    """A line; what it held beyond speaker, words and actions is kept with it in its own shape."""
    if isinstance(item, list) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return Line(item[0], item[1])
    if not isinstance(item, dict):
        return None
    rest = dict(item)
    content = rest.pop("content", None)
    name = scalar(rest.get(speaker := "name"))
    if name is None:
        name = scalar(rest.get(speaker := "user"))
    if name is not None:
        rest.pop(speaker)
    name = name or ""
    if not isinstance(content, dict):
        text = scalar(content)
        return None if text is None else Line(name, text, (), rest)
    words, actions, left = _content(content)
    return Line(name, words, actions, {**rest, "content": left} if left else rest)


def _content(content: Mapping[str, Json]) -> tuple[str, tuple[str, ...], dict[str, Json]]:
    """(words, actions, what else there was)."""
    left = dict(content)
    words = scalar(left.get("text"))
    if words is not None:
        left.pop("text")
    named: list[str] = []
    for key in ("actions", "action"):
        value = left.get(key)
        listed = [name for name in (value if isinstance(value, list) else [value]) if isinstance(name, str) and name]
        if listed and listed in (value, [value]):
            named += listed
            left.pop(key)
    return words or "", tuple(dict.fromkeys(named)), left
