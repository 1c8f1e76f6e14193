"""A character as the JSON that travels from the supervisor to the mind, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from teehee.character.model import Character, Knowledge, Line, Style

Json = Any


def to_json(character: Character) -> Json:
    """Everything but the secrets, which travel by the owner's channel only."""
    value = asdict(character)
    del value["secrets"]
    return value


def from_json(value: Mapping[str, Json]) -> Character:
    """The character `to_json` wrote."""
    given: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    given["style"] = Style(*(tuple(value["style"][part]) for part in ("all", "chat", "post")))
    given["message_examples"] = tuple(tuple(map(_line, talk)) for talk in value["message_examples"])
    given["knowledge"] = tuple(Knowledge(**item) for item in value["knowledge"])
    return Character(**given)


def _line(value: Mapping[str, Json]) -> Line:
    return Line(value["name"], value["text"], tuple(value["actions"]), value["extras"])
