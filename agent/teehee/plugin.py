"""The plugin contract: what a plugin is made of and what it is handed.

A plugin is a frozen `Plugin` value named by an entry point in the group `teehee.plugins`. The decorators make its
parts and return them; nothing registers on import. Names and meanings are Eliza's.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from teehee.character.model import Character, Knowledge, Line
from teehee.wire.messages import Part

__all__ = [
    "Action", "Character", "Evaluator", "Knowledge", "Line", "Message", "Part", "Plugin", "Provided", "Provider",
    "Recall", "Result", "Spoken", "State", "Turn", "Verb", "action", "evaluator", "provider",
]  # fmt: skip

Json = Any
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said. Ids are Eliza's; `name` is a display name: data, never authority."""

    id: str
    entity_id: str
    room_id: str
    agent_id: str
    text: str
    name: str
    source: str
    room_type: str
    at: datetime
    kind: str = "message"  # or `choice`, a button that was pressed; or `schedule`, when nobody said anything
    content: Mapping[str, Json] = field(default_factory=dict)  # more of Eliza's Content, as the platform told it


@dataclass(frozen=True, slots=True)
class Spoken:
    """One line of the room's recent past."""

    name: str
    text: str
    own: bool  # the agent said it


@dataclass(frozen=True, slots=True)
class Recall:
    """Something remembered."""

    text: str
    data: Mapping[str, Json]
    at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """What the providers told for this turn: texts by provider name, values by template key."""

    texts: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Json] = field(default_factory=dict)


class Memory(Protocol):
    """Where a turn remembers; scoped to its agent and room."""

    async def remember(self, text: str, table: str, data: Mapping[str, Json]) -> None: ...

    async def recall(self, table: str, limit: int) -> list[Recall]: ...

    async def search(self, text: str, limit: int) -> list[Knowledge]: ...


@dataclass(slots=True)
class Turn:
    """One message on its way to an answer: all that an action, provider or evaluator may use.

    `random` is seeded by the message, `sample` by room and day; `now` is the turn's time. Take time and chance
    from here and a turn can be replayed.
    """

    message: Message
    character: Character
    now: datetime
    random: Random
    sample: Random
    memory: Memory
    recent: Sequence[Spoken] = ()
    actions: Sequence["Action"] = ()
    providers: Sequence["Provider"] = ()
    evaluators: Sequence["Evaluator"] = ()
    services: Mapping[type, object] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    state: State = field(default_factory=State)
    reply: str = ""  # the words the model chose for this turn

    async def remember(self, text: str, *, table: str = "facts", data: Mapping[str, Json] | None = None) -> None:
        """Keeps `text` in `table`, in this room."""
        await self.memory.remember(text, table, data or {})

    async def recall(self, *, table: str = "facts", limit: int = 10) -> list[Recall]:
        """The latest of `table` in this room, newest first."""
        return await self.memory.recall(table, limit)

    async def search(self, text: str, *, limit: int = 5) -> list[Knowledge]:
        """The fragments of the character's knowledge that share most with the words of `text`, best first."""
        return await self.memory.search(text, limit)

    def service(self, kind: type[S]) -> S:
        """The running service of this type. Raises LookupError when no plugin offers it."""
        for offered, service in self.services.items():
            if issubclass(offered, kind):
                return typing.cast(S, service)
        raise LookupError(f"no plugin in this character offers a {kind.__name__}")


@dataclass(frozen=True, slots=True)
class Result:
    """What an action did: words for the room, data for later steps, effects for the vault to judge.

    `choices` are buttons under the words, `who` may press them: the asker, an owner, anyone.
    """

    text: str = ""
    data: Mapping[str, Json] = field(default_factory=dict)
    effects: tuple[Part, ...] = ()
    choices: tuple[str, ...] = ()
    who: str = "asker"


@dataclass(frozen=True, slots=True)
class Provided:
    """What a provider tells, when it has values for templates beside its text."""

    text: str = ""
    values: Mapping[str, Json] = field(default_factory=dict)


Handler = Callable[..., Awaitable[Result]]
Ask = Callable[[Turn], Awaitable[str | Provided]]
Judge = Callable[[Turn], Awaitable[None]]
Fits = Callable[[Turn], bool]


@dataclass(frozen=True, slots=True)
class Action:
    """Something the agent can do. `arguments` is the pydantic model of its second parameter, if it has one."""

    name: str
    handler: Handler
    description: str = ""
    similes: tuple[str, ...] = ()
    arguments: type[BaseModel] | None = None
    fits: Fits | None = None  # Eliza's validate: is this action open to this turn?
    examples: tuple[tuple[Line, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """Something the agent knows. A `stable` one depends on character, room and day only and is asked once for them."""

    name: str
    get: Ask
    description: str = ""
    position: int = 0
    dynamic: bool = False  # asked only when the model names it
    private: bool = False  # never listed
    stable: bool = False
    gives: tuple[str, ...] = ()  # a dynamic one is also asked when a character's template names one of these keys


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Something the agent learns after its words were delivered."""

    name: str
    handler: Judge
    description: str = ""
    fits: Fits | None = None


def _never(character: Character) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Verb:
    """A platform call the plugin's words may become, such as `telegram.send_message`; its first part is the source.

    `limit` is the longest text, in UTF-16 units. `posts_per_day` says how many a character's own schedule asks for
    unprompted. `buttons` says that choices can be shown under it.
    """

    name: str
    limit: int = 4000
    buttons: bool = False
    posts_per_day: Callable[[Character], int] = _never

    @property
    def source(self) -> str:
        return self.name.partition(".")[0]


Service = Callable[[Character, Mapping[str, str]], AbstractAsyncContextManager[object]]
ModelHandler = Callable[[Sequence[Mapping[str, str]]], Awaitable[str]]
EventHandler = Callable[[Mapping[str, Json]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin, whole: fourteen fields with Eliza's names, and no more."""

    name: str
    description: str
    requires: Sequence[str] = ()
    settings: type[BaseModel] | None = None
    actions: Sequence[Action] = ()
    providers: Sequence[Provider] = ()
    evaluators: Sequence[Evaluator] = ()
    services: Sequence[Service] = ()
    models: Mapping[str, ModelHandler] = field(default_factory=dict)
    routes: Sequence[object] = ()
    events: Mapping[str, Sequence[EventHandler]] = field(default_factory=dict)
    priority: int = 0
    effects: Sequence[Verb] = ()  # of one source, the first is how a reply is said
    connector: str = ""


def action(
    name: str, *, similes: Sequence[str] = (), fits: Fits | None = None, examples: Sequence[Sequence[Line]] = ()
) -> Callable[[Handler], Action]:
    """Makes an Action of an async function; its docstring is what the model reads."""

    def make(handler: Handler) -> Action:
        shown = tuple(map(tuple, examples))
        return Action(name, handler, _description(handler), tuple(similes), _arguments(handler), fits, shown)

    return make


def provider(
    name: str,
    *,
    position: int = 0,
    dynamic: bool = False,
    private: bool = False,
    stable: bool = False,
    gives: Sequence[str] = (),
) -> Callable[[Ask], Provider]:
    """Makes a Provider of an async function that tells something for the prompt."""

    def make(get: Ask) -> Provider:
        return Provider(name, get, _description(get), position, dynamic, private, stable, tuple(gives))

    return make


def evaluator(name: str, *, fits: Fits | None = None) -> Callable[[Judge], Evaluator]:
    """Makes an Evaluator of an async function that runs after delivery."""

    def make(handler: Judge) -> Evaluator:
        return Evaluator(name, handler, _description(handler), fits)

    return make


def _description(function: Callable[..., object]) -> str:
    return inspect.getdoc(function) or ""


def _arguments(handler: Handler) -> type[BaseModel] | None:
    parameters = list(inspect.signature(handler).parameters)
    if len(parameters) < 2:
        return None
    kind = typing.get_type_hints(handler).get(parameters[1])
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise TypeError(f"{handler.__name__}: the second parameter must be annotated with a pydantic model")
    return kind
