"""The plugin itself: what the mind and the plan of a run need of it."""

from teehee.plugin import Character, Plugin, Verb
from teehee_telegram import settings
from teehee_telegram.actions import react
from teehee_telegram.autopost import posts_per_day
from teehee_telegram.providers import chat


def _posts(character: Character) -> int:
    given = character.extras.get("clientConfig")
    config = given.get("telegram") if isinstance(given, dict) else None
    return posts_per_day(settings.read(config, {})[0])


plugin = Plugin(
    "telegram",
    "Talks on Telegram: in private, in groups and topics, with manners.",
    actions=[react],
    providers=[chat],
    effects=[
        Verb("telegram.send_message", buttons=True, posts_per_day=_posts),
        Verb("telegram.send_ephemeral"),
        Verb("telegram.set_reaction"),
    ],
    connector="teehee_telegram.connector",
)
