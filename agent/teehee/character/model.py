"""The one character inside, whatever era its file is from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any
KEPT = "characterExtras"  # the setting under which `write.convert` keeps what an era has no place for
KEPT_ERA = "$era"  # in it, the era it was converted to: a file without examples does not show it

# Every top-level key some era of Eliza gives a meaning to.
ELIZA_KEYS = (
    "id", "name", "username", "email", "system", "bio", "lore", "clients", "modelProvider", "imageModelProvider",
    "imageVisionModelProvider", "modelEndpointOverride", "messageExamples", "postExamples", "topics", "adjectives",
    "knowledge", "plugins", "style", "settings", "secrets", "templates", "clientConfig", "twitterProfile",
    "instagramProfile", "simsaiProfile", "twitterSpaces", "nft", "postProcessors", "extends", "advancedPlanning",
    "advancedMemory",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an example conversation: who says it, the words, the actions named with it."""

    name: str
    text: str
    actions: tuple[str, ...] = ()
    extras: Mapping[str, Json] = field(default_factory=dict)  # what else the item held, in the item's own shape


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Something the agent knows: a text, or a file or folder still to be read."""

    text: str = ""
    source: str = ""  # where the text is from: a path inside the character's folder, or the item's own name
    position: int = 0  # which fragment of its source, from 0
    path: str = ""  # a file to read, relative to the character's folder
    directory: str = ""  # a folder to read
    shared: bool = False  # Eliza's mark: other agents may use it too


@dataclass(frozen=True, slots=True)
class Style:
    """How the agent writes: everywhere, in chat, in posts."""

    all: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()
    post: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
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
    knowledge: tuple[Knowledge, ...] = ()
    model_provider: str = ""
    plugins: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    templates: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    extras: Mapping[str, Json] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Character(id={self.id!r}, name={self.name!r}, era={self.era!r})"  # any other field may hold a secret
