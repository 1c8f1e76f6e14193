"""The plugins of a character that have a half in the gate: what the policy must allow for them, and what runs there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from teehee.character.model import Character, Json
from teehee.character.names import BUILT_IN, plain_name
from teehee.plugin import Plugin
from teehee.settings import Settings, plugin_secrets
from teehee.wire import boot

if TYPE_CHECKING:
    from teehee.supervisor.plan import PlannedAgent


def plugins(character: Character, path: str = "") -> tuple[Plugin, ...]:
    """Those of its plugins and clients that come with teehee and have a connector."""
    named = [*character.plugins, *character.clients]
    if all(plain_name(name) in ("bootstrap", *BUILT_IN) for name in named):
        return ()
    from teehee import registry  # looks through every installed package: only when there is something to find

    return registry.ours(named, path)


def secrets(
    character: Character,
    connected: Sequence[Plugin],
    before: Sequence["PlannedAgent"],
    environ: Mapping[str, str] | None,
) -> tuple[dict[str, str], list[str]]:
    """What the environment holds for these plugins by their own names, and sentences about what is not taken.

    An account has one agent: the first that asks for it. `before` are the agents planned already.
    """
    found: dict[str, str] = {}
    told = []
    for plugin in connected:
        given = {n: v for n, v in plugin_secrets(plugin.name, environ).items() if n not in character.secrets}
        taken = [agent.character.name for agent in before if given and given.items() & _own(agent).items()]
        if taken:
            told.append(f"{', '.join(given)} is {taken[0]}'s: give this agent its own, in its file's secrets")
        else:
            found |= given
    return found, told


def _own(agent: "PlannedAgent") -> dict[str, str]:
    return {name.removeprefix(f"{agent.slug}/"): value for name, value in agent.secrets.items()}


def policy(settings: Settings, character: Character, connected: Sequence[Plugin]) -> dict[str, Json]:
    """What differs from the base policy; only that is said, so that another agent's hash stays as it was."""
    told: dict[str, Json] = {"replies_per_room_minute": settings.replies_per_minute}
    verbs = [verb for plugin in connected for verb in plugin.effects]
    if verbs:
        told["verbs"] = {one.source: [verb.name for verb in verbs if verb.source == one.source] for one in verbs}
    if posts := {verb.name: most for verb in verbs if (most := verb.posts_per_day(character)) > 0}:
        told["posts_per_day"] = posts
    if owners := settings.owners.replace(",", " ").split():
        told["owners"] = owners
    return told


def connectors(agent: str, character: Character, connected: Sequence[Plugin]) -> list[boot.ConnectorBoot]:
    """What the gate is to run for an agent, with what the character says for it."""
    given = character.extras.get("clientConfig")
    config = given if isinstance(given, dict) else {}
    settings = {
        name: _text(value) for name, value in character.settings.items() if isinstance(value, str | int | float)
    }
    return [boot.ConnectorBoot(agent, one.name, one.connector, config, settings) for one in connected]


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
