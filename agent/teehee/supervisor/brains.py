"""Which model thinks for an agent, in order: what is named, an Ollama, weights on this machine, the classic brain."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from teehee.character.providers import sees
from teehee.errors import ConfigError
from teehee.model_settings import CLASSIC, LOCAL, Model
from teehee.settings import Effective, Settings
from teehee.wire import boot

Json = Any
PROBE_SECONDS = 0.3
TAGS_LIMIT = 1 << 20
NO_CHAT = ("embed", "minilm", "bge-", "rerank")  # in the names of models that do not talk
# What a provider's own client may ask for below its base URL; a provider not named here may ask for anything there.
PATHS = {"openai": ("/chat/completions",), "anthropic": ("/v1/messages",), "ollama": ("/api/chat",)}
EXTRAS = ("openai", "anthropic", "ollama")
BETTER = "for a better one: start Ollama, or name one with --model-url URL --model NAME (docs/models.md)"
WARMING = "it warms up in the background, and until then the classic brain answers"
ENGINE = "xllamacpp"
OFF = "off"


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers for an agent: `models` in order, the first while it can; `found` says that nobody named it."""

    models: tuple[Model, ...]
    langchain: bool = False
    found: bool = False
    notes: tuple[str, ...] = ()
    eyes: Model | None = None  # who looks at photos
    ears: Model | None = None  # who writes voice messages down

    @property
    def shown(self) -> str:
        """As people read it at the start."""
        first = self.models[0]
        where = f" (Ollama at {urlsplit(first.url).netloc})" if self.found and first.url else ""
        where = " (local)" if first.weights else where
        after = [model.shown for model in self.models[1:]]
        return first.shown + where + (f", then {', '.join(after)}" if after else "")

    @property
    def hint(self) -> str:
        """How to get a better one, or what to know of it; empty when there is nothing to say."""
        first = self.models[0]
        return "" if first.url else WARMING if first.weights else BETTER

    def client(self, model: Model) -> str:
        """The provider's name in LangChain for this model, or "" for the thin client."""
        if not model.url or (model.wire == "openai" and not self.langchain):
            return ""
        return "ollama" if model.provider == "ollama" else model.wire


@dataclass(frozen=True, slots=True)
class Way:
    """A model that is asked over a network: its egress rule's name, its key's name in the vault, what may be asked."""

    rule: str
    secret: str
    model: Model
    paths: tuple[str, ...] = ()  # empty: as its client asks


def ways(slug: str, choice: Choice) -> list[Way]:
    """The models of an agent that are elsewhere."""
    found = [Way(rule_name(slug, n), key_name(n), model) for n, model in enumerate(choice.models) if model.url]
    if choice.eyes is not None and choice.eyes != choice.models[0]:
        found.append(Way(f"vision-{slug}", "VISION_KEY", choice.eyes))
    if choice.ears is not None:
        found.append(Way(f"hearing-{slug}", "HEARING_KEY", choice.ears, ("/audio/transcriptions",)))
    return found


def choose(effective: Effective) -> Choice:
    """The first of ORDER that has a model. Raises ConfigError when its client is not installed."""
    notes: list[str] = []
    first = next(filter(None, (look(effective, notes) for look in ORDER)))
    after = [_in_its_place(model, effective.settings, notes) for model in effective.fallbacks]
    models = (*first.models, *filter(None, after))
    eyes, ears = _eyes(effective, models[0]), _ears(effective, models[0], notes)
    choice = Choice(models, effective.settings.langchain, first.found, tuple(notes), eyes, ears)
    for model in filter(None, (*choice.models, eyes)):
        _check_installed(choice.client(model))
    return choice


def _eyes(effective: Effective, first: Model) -> Model | None:
    """Who looks at photos: one that is named, else the first model when its name is of those known to see."""
    named = effective.settings.vision_model
    if "vision_model" in effective.beside or named == OFF or not first.url:
        return effective.beside.get("vision_model")
    if not named:
        return first if sees(first.name) else None
    return replace(first, name=named)


def _ears(effective: Effective, first: Model, notes: list[str]) -> Model | None:
    """Who writes voice messages down: nobody unless one is named, whose endpoint is of OpenAI's form."""
    named = effective.settings.transcription_model
    if not named or named == OFF:
        return None
    model = effective.beside.get("transcription_model") or (replace(first, name=named) if first.url else None)
    if model is not None and model.wire == "openai":
        return model
    notes.append(f"transcription_model: {named!r} has no endpoint here (write it as openai:whisper-1)")
    return None


def _named(effective: Effective, notes: list[str]) -> Choice | None:
    """What character or settings name."""
    settings = effective.settings
    if settings.model_provider == CLASSIC:
        return Choice((Model("", "", ""),))
    if settings.model_provider == LOCAL and not settings.model_url:
        return Choice((local_model(settings),))
    if not settings.model_url:
        return None
    key = settings.model_key.get_secret_value()
    return Choice((Model(settings.model_provider, settings.model_url, settings.model, key),))


def _ollama(effective: Effective, notes: list[str]) -> Choice | None:
    """An Ollama that listens on this machine and has a model that talks."""
    url = effective.settings.ollama_url
    names = ollama_models(url) if url.startswith("http://") else []
    wanted = effective.settings.model
    name = next((name for name in names if wanted and name in (wanted, f"{wanted}:latest")), next(iter(names), ""))
    return Choice((Model("ollama", f"{url}/v1", name),), found=True) if name else None


def _classic(effective: Effective, notes: list[str]) -> Choice:
    return Choice((Model("", "", ""),))


def _local(effective: Effective, notes: list[str]) -> Choice | None:
    """The model whose weights are on this machine, whole, and for which there is an engine."""
    if find_spec(ENGINE) is None:  # nothing more is loaded where there is none
        return None
    model = _in_its_place(Model(LOCAL, "", ""), effective.settings, notes, is_named=False)
    return Choice((model,), found=True) if model else None


Look = Callable[[Effective, list[str]], Choice | None]
ORDER: tuple[Look, ...] = (_named, _ollama, _local, _classic)


def _in_its_place(model: Model, settings: Settings, notes: list[str], *, is_named: bool = True) -> Model | None:
    """`model`; of the local one its file, or nothing, and a note unless it is simply not installed."""
    try:
        return local_model(settings) if model.provider == LOCAL else model
    except NotHere as missing:
        if is_named or not missing.is_usual:
            notes.append(f"the local model is left out: {missing} ({missing.hint})")
        return None


class NotHere(ConfigError):
    """The local model cannot be used; `is_usual` when nobody has installed it."""

    def __init__(self, told: str, hint: str, *, is_usual: bool) -> None:
        super().__init__(told, hint=hint)
        self.is_usual = is_usual


def local_model(settings: Settings) -> Model:
    """The local model, its file checked. Raises NotHere with what to do."""
    from teehee.weights import place

    at = place.of(settings.local_model, settings.cache)
    if at is None:
        raise NotHere("the local model is off", "set TEEHEE_LOCAL_MODEL", is_usual=True)
    if find_spec(ENGINE) is None:
        raise NotHere("the local model needs teehee[local]", "pip install 'teehee[local]'", is_usual=True)
    look = place.look(at)
    if look.state != "ready":
        raise NotHere(look.told, look.fix, is_usual=look.state == "absent" and at.weights is not None)
    return Model(LOCAL, "", at.shown, weights=str(at.path))


def could_be_local(choice: Choice, settings: Settings) -> bool:
    """Would the local model think, if its weights, which are installed as packages, were put together?"""
    first = choice.models[0]
    if first.url or first.weights or settings.model_provider == CLASSIC or find_spec(ENGINE) is None:
        return False
    from teehee.weights import assemble, place

    at = place.of(settings.local_model, settings.cache)
    if at is None or at.weights is None or at.path.exists():
        return False
    return assemble.all_installed(at.weights)


def ollama_models(url: str) -> list[str]:
    """The models of an Ollama, the one used last first; none when nothing like it answers at once."""
    import http.client

    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PROBE_SECONDS)
    try:
        link.request("GET", "/api/tags")
        answer = link.getresponse()
        told = json.loads(answer.read(TAGS_LIMIT)) if answer.status == 200 else {}
        names = [str(model["name"]) for model in told["models"]]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
        return []
    finally:
        link.close()
    return [name for name in names if not any(word in name.lower() for word in NO_CHAT)]


def missing_client(client: str) -> tuple[str, str]:
    """(what a provider's own client still needs, how to get it); two empty words when it is installed."""
    if not client or (find_spec("langchain") and find_spec(f"langchain_{client}")):
        return "", ""
    if client in EXTRAS:
        return f"teehee[{client}]", f"pip install 'teehee[{client}]'"
    return f"langchain-{client.replace('_', '-')}", "install LangChain's package of that name"


def _check_installed(client: str) -> None:
    needs, get = missing_client(client)
    if needs:
        raise ConfigError(
            f"model provider {client!r} needs {needs}",
            hint=f"{get}, or give an OpenAI-shaped endpoint with --model-url",
        )


# -- what gate and mind are told


def secrets(choice: Choice) -> Mapping[str, str]:
    """The keys of the models, by the names they have in the vault."""
    thinking = {key_name(number): model.key for number, model in enumerate(choice.models) if model.key}
    return thinking | {way.secret: way.model.key for way in ways("", choice) if way.model.key}


def key_name(number: int) -> str:
    return "MODEL_KEY" if number == 0 else f"MODEL_KEY_{number + 1}"


def rule_name(slug: str, number: int) -> str:
    return f"model-{slug}" if number == 0 else f"model-{slug}.{number + 1}"


def rules(slug: str, choice: Choice, settings: Settings) -> Sequence[boot.EgressRule]:
    """The ways out of one agent: one for each model that is asked over a network."""
    found = []
    for way in ways(slug, choice):
        client = "openai" if way.paths else choice.client(way.model) or "openai"
        url = way.model.url.removesuffix("/v1") if client == "ollama" else way.model.url
        credential = f"{slug}/{way.secret}" if way.model.key else ""
        scheme = "anthropic" if client == "anthropic" else "bearer"
        paths, wait = way.paths or PATHS.get(client, ("",)), settings.model_timeout
        found.append(boot.EgressRule(way.rule, url, ("POST",), paths, credential, wait, scheme))
    return found


def brains(slug: str, choice: Choice, settings: Settings) -> tuple[boot.Brain, ...]:
    """What the mind is told of its models: no address and no key."""
    return tuple(
        _brain(
            rule_name(slug, number) if model.url else "", model, choice, settings, found=choice.found and number == 0
        )
        for number, model in enumerate(choice.models)
    )


def senses(slug: str, choice: Choice, settings: Settings) -> tuple[boot.Brain, boot.Brain]:
    """(who looks at photos, who writes voice messages down); without a rule, nobody does."""
    found = {way.rule: way.model for way in ways(slug, choice)}
    eyes = rule_name(slug, 0) if choice.eyes == choice.models[0] else f"vision-{slug}"
    ears = f"hearing-{slug}"
    return (
        _brain(eyes, found[eyes], choice, settings) if choice.eyes is not None else boot.Brain(),
        replace(_brain(ears, found[ears], choice, settings), client="") if choice.ears is not None else boot.Brain(),
    )


def _brain(rule: str, model: Model, choice: Choice, settings: Settings, *, found: bool = False) -> boot.Brain:
    return boot.Brain(
        rule,
        model.name,
        settings.temperature,
        settings.max_tokens,
        settings.model_timeout,
        settings.frequency_penalty,
        settings.presence_penalty,
        choice.client(model),
        found,
        model.weights,
        settings.local_threads,
    )
