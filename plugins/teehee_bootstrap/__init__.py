"""Eliza's default actions and providers: the default behaviour is a plugin too."""

from teehee.plugin import Plugin
from teehee_bootstrap.actions import ignore, none, reply
from teehee_bootstrap.providers import actions, character, providers, recent_messages, time

plugin = Plugin(
    "bootstrap",
    "Talks: replies, stays silent, knows who it is, what was said and what time it is.",
    actions=[reply, ignore, none],
    providers=[character, actions, providers, recent_messages, time],
)
