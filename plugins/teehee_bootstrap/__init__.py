"""Eliza's default actions and providers: the default behaviour is a plugin too."""

from teehee.plugin import Plugin
from teehee_bootstrap import providers
from teehee_bootstrap.actions import ignore, none, reply
from teehee_bootstrap.persona import character

plugin = Plugin(
    "bootstrap",
    "Talks: replies, stays silent, knows who it is, what was said and what time it is.",
    actions=[reply, ignore, none],
    providers=[
        character,
        providers.actions,
        providers.providers,
        providers.evaluators,
        providers.knowledge,
        providers.recent_messages,
        providers.entities,
        providers.facts,
        providers.world,
        providers.anxiety,
        providers.time,
    ],
)
