"""Which model a name means: whose it is, where it is asked, and the key that opens it, found in Eliza's order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from teehee.character import providers
from teehee.character.model import Character
from teehee.errors import ConfigError

Json = Any
Found = tuple[Json, str]  # a value and its origin
CLASSIC = "classic"  # in the place of a provider: the classic brain
LOCAL = "local"  # in the place of a provider: the model whose weights are on this machine
LOCAL_IN_FILES = "llama_local"  # what Eliza calls it


@dataclass(frozen=True, slots=True)
class Model:
    """One model to ask. `provider` is empty for any OpenAI-shaped endpoint; without a URL it runs here.

    Then `weights` is the local model's file; without one it is the classic brain.
    """

    provider: str
    url: str
    name: str
    key: str = field(default="", repr=False)
    origin: str = "default"
    weights: str = ""

    @property
    def wire(self) -> str:
        """How it is spoken to: `openai`, `anthropic`, `ollama`, or the name LangChain has for it."""
        known = providers.ENDPOINTS.get(self.provider)
        return known.wire if known else self.provider or "openai"

    @property
    def shown(self) -> str:
        return (self.name or "endpoint") if self.url else self.name or CLASSIC


class Waits(Exception):
    """What a provider still needs before it can be asked."""


def in_character(character: Character, keys: Iterable[str]) -> Found | None:
    for key in keys:
        if (value := character.secrets.get(key)) not in (None, ""):
            return value, f"character secret {key}"
        if (value := character.settings.get(key)) not in (None, "") and isinstance(value, (str, int, float)):
            return value, f"character setting {key}"
    return None


def in_environment(environ: Mapping[str, str], keys: Iterable[str]) -> Found | None:
    return next(((environ[key], f"environment {key}") for key in keys if environ.get(key)), None)


def split(written: str) -> tuple[str, str]:
    """(provider, model) of `openai:gpt-4o`; no provider for `llama3.2:3b`, whose colon is the model's own."""
    provider, colon, model = written.partition(":")
    plain = providers.plain_provider(provider)
    return (plain, model.strip()) if colon and plain in providers.ENDPOINTS else ("", written)


def asked_for(found: Mapping[str, Found | None], character: Character | None) -> str:
    """The provider that is asked for: by its own setting, before a model's name, or as the character's `modelProvider`.

    The URL of an endpoint stands for itself, unless the setting says how to speak to it.
    """
    if (told := found["model_provider"]) is not None:
        return providers.plain_provider(str(told[0]))
    model = found["model"]
    if found["model_url"] is None and model is not None and (provider := split(str(model[0]))[0]):
        return provider
    return providers.plain_provider(character.model_provider) if character is not None else ""


def completed(
    name: str, found: Mapping[str, Found | None], character: Character, environ: Mapping[str, str], notes: list[str]
) -> dict[str, Found | None]:
    """URL, key and model of the provider `name`; nothing, and a note, when something is missing.

    Raises ConfigError when it was the operator who named it.
    """
    told, url, model = found["model_provider"], found["model_url"], found["model"]
    if name in ("", CLASSIC, LOCAL, LOCAL_IN_FILES) or (told is None and url is not None):
        return {}
    if told is None and model is not None and split(str(model[0]))[0] == name:
        told, model = (name, model[1]), (split(str(model[0]))[1], model[1])
    if told is None and name not in providers.ENDPOINTS:
        notes.append(f"modelProvider {character.model_provider!r} has no endpoint known here")
        return {}
    try:
        given = of_provider(name, {**found, "model": model}, character, environ)
    except Waits as waits:
        if told is not None and not told[1].startswith("character "):
            raise ConfigError(
                f"model provider {name!r} waits for {waits}", hint="docs/models.md has the names"
            ) from None
        notes.append(f"modelProvider {character.model_provider or name!r} waits for {waits}")
        return {}
    return {**given, "model_provider": (name, told[1] if told else f"modelProvider {name}")}


def of_provider(
    name: str, given: Mapping[str, Found | None], character: Character | None, environ: Mapping[str, str]
) -> dict[str, Found | None]:
    """`model_url`, `model` and `model_key` of a provider by name, each with its origin; `given` counts first.

    Raises Waits when one of them is to be found nowhere.
    """
    known = providers.ENDPOINTS.get(name)
    origin = f"modelProvider {name}"

    def look(names: tuple[str, ...]) -> Found | None:
        own = in_character(character, names) if character is not None else None
        return own or in_environment(environ, names)

    of_file = character.extras.get("modelEndpointOverride") if character is not None else None  # 0.x
    override = (of_file, "character modelEndpointOverride") if isinstance(of_file, str) and of_file else None
    own = character is not None and providers.plain_provider(character.model_provider) == name
    url = given.get("model_url") or (override if own else None) or look(providers.url_names(name))
    if url is None and known:
        url = known.url, origin
    model = given.get("model") or look(providers.model_names(name))
    key = given.get("model_key") or (look((known.key,)) if known and known.key else None)
    if model is None and known and known.key and known.model:
        model = known.model, origin
    needed = {
        known.key if known else "": bool(known and known.key and key is None),
        "a model's name": model is None,
        "its URL in MODEL_URL": url is None,
    }
    if waits := [what for what, missing in needed.items() if missing]:
        raise Waits(" and ".join(waits))
    assert url is not None
    return {"model_url": (_based(name, str(url[0])), url[1]), "model": model, "model_key": key}


def _based(name: str, url: str) -> str:
    """Ollama's URL is written with /api, with /v1 or with neither, and Anthropic's with or without /v1."""
    plain = url.rstrip("/")
    if name == "ollama":
        return f"{plain.removesuffix('/api').removesuffix('/v1')}/v1"  # its OpenAI-shaped side
    return plain.removesuffix("/v1") if name == "anthropic" else plain


def key_stays_home(url: Found | None, key: Found | None) -> bool:
    """A key of the environment never goes where only a character file says: that file may be a stranger's."""
    return bool(url and key and url[1].startswith("character ") and key[1].startswith("environment "))


def seer(character: Character | None) -> Found | None:
    """Who looks at pictures by 0.x's `imageVisionModelProvider`: that provider's usual model, if it can."""
    named = character.extras.get("imageVisionModelProvider") if character is not None else None
    known = providers.ENDPOINTS.get(providers.plain_provider(named)) if isinstance(named, str) else None
    if known is None or not providers.sees(known.model):
        return None
    return f"{providers.plain_provider(str(named))}:{known.model}", "character imageVisionModelProvider"


def beside(
    setting: str, written: str, character: Character | None, environ: Mapping[str, str], notes: list[str]
) -> Model | None:
    """The model `provider:model` for something beside thinking; None when none is named, or it cannot be asked."""
    return _asked(setting, written, character, environ, notes) if split(written)[0] else None


def fallbacks(
    written: str, character: Character | None, environ: Mapping[str, str], notes: list[str]
) -> tuple[Model, ...]:
    """Who answers while the first model does not; one that cannot be asked is left out, with a note."""
    found = []
    for item in filter(None, map(str.strip, written.split(","))):
        if item in (CLASSIC, LOCAL):
            found.append(Model(LOCAL if item == LOCAL else "", "", ""))
            continue
        if (model := _asked("model_fallbacks", item, character, environ, notes)) is not None:
            found.append(model)
    return tuple(found)


def _asked(
    setting: str, item: str, character: Character | None, environ: Mapping[str, str], notes: list[str]
) -> Model | None:
    """The model that `item` names as `provider:model`; None, and a note, when it cannot be asked."""
    provider, name = split(item)
    if not provider:
        notes.append(f"{setting}: {item!r} names no provider known here (write it as openai:gpt-4o)")
        return None
    try:
        asked = of_provider(provider, {"model": (name, setting) if name else None}, character, environ)
    except Waits as waits:
        notes.append(f"{setting}: {item!r} waits for {waits}")
        return None
    url, model, key = asked["model_url"], asked["model"], asked["model_key"]
    assert url is not None
    assert model is not None
    if key is not None and key_stays_home(url, key):
        notes.append(f"{setting}: {item!r} is left out: its URL is the character file's own word")
        return None
    return Model(provider, str(url[0]), str(model[0]), str(key[0]) if key else "", item)
