"""The prompt a character would yield, part by part, from the real providers on a store that is thrown away."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from teehee import registry
from teehee.character import Character, codec
from teehee.mind import models, prompt, runtime, turn
from teehee.mind.agent import open_agent
from teehee.mind.recent import Recent
from teehee.plugin import Action, Spoken, State
from teehee.store.mind_store import MindStore
from teehee.wire import boot
from teehee.wire.client import Client
from teehee.wire.messages import Event


@dataclass(frozen=True, slots=True)
class Part:
    """What one provider told: `stable` text stays the same for a room and day."""

    provider: str
    text: str
    stable: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """The chat a model would get, what it is made of, the template used, and its keys that nothing fills."""

    chat: list[dict[str, str]]
    parts: tuple[Part, ...]
    template: str
    unknown_keys: tuple[str, ...]
    plugins_out: tuple[str, ...]


async def preview(
    character: Character,
    found: dict[str, registry.Found],
    text: str,
    room_type: str,
    at: int,
    past: Sequence[Spoken] = (),
) -> Preview:
    """The prompt for the message `text` in a room of `room_type` where `past` was said; `at` is in milliseconds.

    Raises ConfigError when a plugin the character requires is missing.
    """
    booted = boot.MindAgent(character.id, codec.to_json(character), boot.Brain())
    with tempfile.TemporaryDirectory() as folder:
        store = MindStore(Path(folder) / "mind.db")
        try:
            async with open_agent(booted, character, found, _no_endpoint) as agent:
                runtime.keep_knowledge(store, {agent.id: agent})
                nowhere = Client(Path(folder) / "no.sock")  # never opened: nothing is submitted here
                desk = turn.Desk(store, Recent(store), nowhere)
                event = Event(agent.id, "terminal", "preview", "you", "preview", "message", text, at, "You", room_type)
                for line in past:
                    desk.recent.add(turn.message_of(event).room_id, agent.id, line)
                shown = turn.begin(desk, agent, event)
                asked = prompt.keys(template := prompt.arrangement(character, event.source))
                stable, fresh = await agent.state.stable(shown), await agent.state.fresh(shown, keys=asked)
        finally:
            store.close()
    loaded = registry.load(character.plugins, found)
    return Preview(
        prompt.compose(shown, stable, fresh),
        (*_parts(stable, stable=True), *_parts(fresh, stable=False)),
        template,
        tuple(sorted(asked - known_keys(stable.values) - known_keys(fresh.values))),
        tuple(f"{error}" for error in loaded.out),
    )


def known_keys(values: Mapping[str, object]) -> set[str]:
    """The template keys that have a value, `providers` and those left empty on purpose among them."""
    return {*values, *prompt.UNFILLED, "providers", *(f"{kind}{n}" for kind in ("user", "name") for n in range(1, 11))}


def _parts(state: State, *, stable: bool) -> list[Part]:
    return [Part(name, text, stable) for name, text in state.texts.items() if text]


def _no_endpoint(brain: boot.Brain, character: Character, able: Sequence[Action]) -> models.Brain:
    raise AssertionError("a preview asks no model")
