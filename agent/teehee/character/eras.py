"""What each era's validator takes, as predicates: zod's schemas of elizaOS 0.25.9, 1.7.2 and 2.0.0-alpha.537.

Only what a validator checks is here; keys it does not look at fit always (0.x) or never (1.x, 2.x at the root).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from teehee.character.providers import V0259
from teehee.ids import UUID_SHAPE

Json = Any
Fits = Callable[[Json], bool]
CHANNELS = ("SELF", "DM", "GROUP", "VOICE_DM", "VOICE_GROUP", "FEED", "THREAD", "WORLD", "FORUM", "API")
MEDIA = ("image", "video", "audio", "document", "link")
ZOD_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def text(value: Json) -> bool:
    return isinstance(value, str)


def number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def integer(value: Json) -> bool:
    return number(value) and abs(value) < 2**53 and float(value).is_integer()


def boolean(value: Json) -> bool:
    return isinstance(value, bool)


def anything(_: Json) -> bool:
    return True


def uuid(value: Json) -> bool:
    return isinstance(value, str) and UUID_SHAPE.fullmatch(value) is not None


def one_of(*words: str) -> Fits:
    return lambda value: isinstance(value, str) and value in words


def list_of(inner: Fits) -> Fits:
    return lambda value: isinstance(value, list) and all(map(inner, value))


def record_of(inner: Fits) -> Fits:
    return lambda value: isinstance(value, dict) and all(map(inner, value.values()))


def object_of(required: Mapping[str, Fits] | None = None, **optional: Fits) -> Fits:
    """An object whose `required` keys are there and fit, and whose `optional` ones fit where they are."""
    needed = required or {}

    def fits(value: Json) -> bool:
        if not isinstance(value, dict) or any(key not in value for key in needed):
            return False
        known = {**optional, **needed}
        return all(known[key](item) for key, item in value.items() if key in known)

    return fits


media = object_of(
    {"id": text, "url": text},
    title=text, source=text, description=text, text=text, contentType=one_of(*MEDIA),
)  # fmt: skip
not_null: Fits = lambda value: value is not None  # noqa: E731 - a predicate among predicates
secret: Fits = lambda value: text(value) or number(value) or boolean(value)  # noqa: E731

CONTENT_V1: Mapping[str, Fits] = {
    "text": text, "thought": text, "actions": list_of(text), "providers": list_of(text), "source": text,
    "target": text, "url": text, "inReplyTo": uuid, "attachments": list_of(media), "channelType": one_of(*CHANNELS),
}  # fmt: skip
CONTENT: Mapping[str, Mapping[str, Fits]] = {
    "v0": {
        "text": text, "action": text, "source": text, "url": text, "inReplyTo": uuid, "attachments": list_of(anything),
    },
    "v1": CONTENT_V1,
    "v2": CONTENT_V1,
}  # fmt: skip

ROOT: Mapping[str, Mapping[str, Fits]] = {
    "v0": {
        "id": uuid,
        "system": text,
        "templates": record_of(text),
        "settings": object_of(),
        "modelProvider": one_of(*V0259),
        "modelEndpointOverride": text,
        "clientConfig": object_of(
            discord=object_of(shouldIgnoreBotMessages=boolean, shouldIgnoreDirectMessages=boolean),
            telegram=object_of(shouldIgnoreBotMessages=boolean, shouldIgnoreDirectMessages=boolean),
        ),
        "twitterProfile": object_of(
            {"username": text, "screenName": text, "bio": text}, nicknames=list_of(text)
        ),
        "nft": object_of(prompt=text),
        "extends": list_of(text),
    },
    "v1": {"id": uuid, "settings": object_of(), "secrets": record_of(secret)},
    "v2": {
        "id": uuid, "settings": object_of(), "secrets": record_of(secret), "advancedPlanning": boolean,
        "advancedMemory": boolean,
    },
}  # fmt: skip

SETTINGS: Mapping[str, Mapping[str, Fits]] = {
    "v0": {
        "secrets": record_of(text),
        "voice": object_of(model=text, url=text),
        "model": text,
        "modelConfig": object_of(
            maxInputTokens=number, maxOutputTokens=number, temperature=number, frequency_penalty=number,
            presence_penalty=number,
        ),
        "embeddingModel": text,
    },
    "v1": {},
    "v2": {
        "shouldRespondModel": text, "useMultiStep": boolean, "maxMultistepIterations": integer,
        "basic-capabilitiesDefllmoff": boolean, "basic-capabilitiesKeepResp": boolean,
        "providersTotalTimeoutMs": integer, "maxWorkingMemoryEntries": integer, "alwaysRespondChannels": text,
        "alwaysRespondSources": text, "defaultTemperature": number, "defaultMaxTokens": integer,
        "defaultFrequencyPenalty": number, "defaultPresencePenalty": number, "disableBasicCapabilities": boolean,
        "enableExtendedCapabilities": boolean, "extra": record_of(anything),
    },
}  # fmt: skip


def setting_fits(era: str, key: str, value: Json) -> bool:
    """Would the era's validator take this setting?"""
    if value is None:
        return era == "v0" and key not in SETTINGS["v0"]
    return SETTINGS[era].get(key, not_null)(value)


def root_fits(era: str, key: str, value: Json) -> bool:
    """Would the era's validator take this key beside the ones every character has?"""
    return ROOT[era].get(key, anything if era == "v0" else lambda _: False)(value)
