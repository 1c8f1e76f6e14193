"""The one character inside, whatever era its file is from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an example conversation: who says it, the words, the actions named with it."""

    name: str
    text: str
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Style:
    """How the agent writes: everywhere, in chat, in posts."""

    all: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()
    post: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Character:
    """An Eliza character. `secrets` is emptied before the mind sees it; unknown keys live in `extras`."""

    id: str
    name: str
    era: str = "v1"
    username: str = ""
    system: str = ""
    bio: tuple[str, ...] = ()
    bio_is_whole: bool = False  # a bio written as one string is always told whole
    lore: tuple[str, ...] = ()
    message_examples: tuple[tuple[Line, ...], ...] = ()
    post_examples: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    adjectives: tuple[str, ...] = ()
    style: Style = Style()
    knowledge: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    templates: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    extras: Mapping[str, Json] = field(default_factory=dict)
