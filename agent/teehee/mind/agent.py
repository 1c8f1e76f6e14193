"""One agent, put together: character, plugins in order, brain, services."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from teehee import registry
from teehee.character.model import Character
from teehee.character.names import plain_name
from teehee.errors import PluginError
from teehee.log import get_logger
from teehee.mind import models, saying
from teehee.mind.state import StateComposer
from teehee.plugin import Action, Evaluator, EventHandler, Plugin, Verb
from teehee.wire import boot

Json = Any
TEXT_LARGE = "TEXT_LARGE"
log = get_logger()


@dataclass(slots=True)
class Agent:
    """What the turn needs to know of an agent."""

    id: str
    character: Character
    brain: models.Brain
    patience: float  # seconds one model call may take
    actions: tuple[Action, ...]
    state: StateComposer
    evaluators: tuple[Evaluator, ...]
    events: Mapping[str, tuple[EventHandler, ...]]
    services: dict[type, object] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    package: str = ""  # hash of the redacted character
    plugins: tuple[str, ...] = ()
    model: Mapping[str, Json] = field(default_factory=dict)  # which one, and its settings
    verbs: Mapping[str, tuple[Verb, ...]] = field(default_factory=dict)  # by the source of what they answer
    eyes: models.Completes | None = None  # who looks at photos
    ears: models.Transcribes | None = None  # who writes voice messages down

    def answering(self, source: str) -> tuple[Verb, ...]:
        """The verbs that may answer an event of this source; the first says words."""
        return self.verbs.get(source) or saying.BUILT_IN.get(source) or (Verb(f"{source}.reply"),)


@contextlib.asynccontextmanager
async def open_agent(
    booted: boot.MindAgent, character: Character, found: dict[str, registry.Found], connect: models.Connect
) -> AsyncIterator[Agent]:  # fmt: skip
    """The agent, with its services running; they are closed in reverse order."""
    clients = [name for name in character.clients if plain_name(name) in found]
    loaded = registry.load((*character.plugins, *clients), found)
    settings = {name: str(value) for name, value in character.settings.items() if isinstance(value, (str, int, float))}
    typed, out = _plugin_settings(loaded.plugins, settings)
    loaded = registry.Loaded(tuple(p for p in loaded.plugins if p.name not in out), (*loaded.out, *out.values()))
    for error in loaded.out:
        log.warning("plugin_out", plugin=error.plugin, reason=str(error), hint=error.hint)
    plugins = sorted(loaded.plugins, key=lambda p: -p.priority)
    offered = [plugin.models[TEXT_LARGE] for plugin in plugins if TEXT_LARGE in plugin.models]
    able = _unique_actions(loaded.plugins)
    async with contextlib.AsyncExitStack() as stack:
        agent = Agent(
            id=booted.agent,
            character=character,
            brain=models.choose(booted, character, offered, connect, able),
            patience=sum(map(models.patience, (booted.brain, *booted.fallbacks))),
            actions=able,
            state=StateComposer([p for plugin in loaded.plugins for p in plugin.providers]),
            evaluators=tuple(e for plugin in loaded.plugins for e in plugin.evaluators),
            events=_events(loaded.plugins),
            services=typed,
            settings=settings,
            package=hashlib.sha256(json.dumps(booted.character, sort_keys=True).encode()).hexdigest(),
            plugins=tuple(p.name for p in loaded.plugins),
            model=models.described(booted, offered),
            verbs=_verbs(loaded.plugins),
            eyes=models.looking(booted, character, connect),
            ears=models.listening(booted, character, connect),
        )
        for plugin in loaded.plugins:
            await _start_services(plugin, agent, stack)
        log.info("agent_ready", agent=character.name, plugins=[p.name for p in loaded.plugins])
        yield agent


def _plugin_settings(
    plugins: Sequence[Plugin], given: Mapping[str, str]
) -> tuple[dict[type, object], dict[str, PluginError]]:
    """Each plugin's settings by their type, read from the character's; and the plugins whose settings do not hold."""
    typed: dict[type, object] = {}
    out: dict[str, PluginError] = {}
    for plugin in plugins:
        if plugin.settings is None:
            continue
        names = {name: given[name.upper()] for name in plugin.settings.model_fields if name.upper() in given}
        try:
            typed[plugin.settings] = plugin.settings.model_validate(names)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = str(first["loc"][0]).upper() if first["loc"] else "settings"
            out[plugin.name] = PluginError(
                plugin.name, f"setting {where}: {first['msg']}", hint="mend the character's settings"
            )
    return typed, out


def _unique_actions(plugins: Sequence[Plugin]) -> tuple[Action, ...]:
    """All actions; of two with one name the first stays (Eliza's rule)."""
    actions: dict[str, Action] = {}
    for plugin in plugins:
        for action in plugin.actions:
            if action.name in actions:
                log.warning("action_name_taken", action=action.name, plugin=plugin.name)
            actions.setdefault(action.name, action)
    return tuple(actions.values())


def _verbs(plugins: Sequence[Plugin]) -> dict[str, tuple[Verb, ...]]:
    verbs: dict[str, tuple[Verb, ...]] = {}
    for plugin in plugins:
        for verb in plugin.effects:
            verbs[verb.source] = (*verbs.get(verb.source, ()), verb)
    return verbs


def _events(plugins: Sequence[Plugin]) -> dict[str, tuple[EventHandler, ...]]:
    events: dict[str, tuple[EventHandler, ...]] = {}
    for plugin in plugins:
        for name, handlers in plugin.events.items():
            events[name] = (*events.get(name, ()), *handlers)
    return events


async def _start_services(plugin: Plugin, agent: Agent, stack: contextlib.AsyncExitStack) -> None:
    for make in plugin.services:
        try:
            service = await stack.enter_async_context(make(agent.character, agent.settings))
        except Exception as error:  # a plugin's service may raise anything; the agent goes on without it
            log.warning("service_out", plugin=plugin.name, error=f"{type(error).__name__}: {error}")
            continue
        agent.services[type(service)] = service
