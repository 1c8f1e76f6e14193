"""The plugins of a character that have a half in the gate: what the policy must allow for them, and what runs there."""

from collections.abc import Sequence

from teehee.character.model import Character, Json
from teehee.character.names import BUILT_IN, plain_name
from teehee.plugin import Plugin
from teehee.settings import Settings
from teehee.wire import boot


def plugins(character: Character, path: str = "") -> tuple[Plugin, ...]:
    """Those of its plugins and clients that come with teehee and have a connector."""
    named = [*character.plugins, *character.clients]
    if all(plain_name(name) in ("bootstrap", *BUILT_IN) for name in named):
        return ()
    from teehee import registry  # looks through every installed package: only when there is something to find

    return registry.ours(named, path)


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
