"""Which model thinks for an agent, in order: what is named, an Ollama, weights on this machine, the classic brain."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

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


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers for an agent: `models` in order, the first while it can; `found` says that nobody named it."""

    models: tuple[Model, ...]
    langchain: bool = False
    found: bool = False
    notes: tuple[str, ...] = ()

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


def choose(effective: Effective) -> Choice:
    """The first of ORDER that has a model. Raises ConfigError when its client is not installed."""
    notes: list[str] = []
    first = next(filter(None, (look(effective, notes) for look in ORDER)))
    after = [_in_its_place(model, effective.settings, notes) for model in effective.fallbacks]
    choice = Choice((*first.models, *filter(None, after)), effective.settings.langchain, first.found, tuple(notes))
    for model in choice.models:
        _check_installed(choice.client(model))
    return choice


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
    return {key_name(number): model.key for number, model in enumerate(choice.models) if model.key}


def key_name(number: int) -> str:
    return "MODEL_KEY" if number == 0 else f"MODEL_KEY_{number + 1}"


def rule_name(slug: str, number: int) -> str:
    return f"model-{slug}" if number == 0 else f"model-{slug}.{number + 1}"


def rules(slug: str, choice: Choice, settings: Settings) -> Sequence[boot.EgressRule]:
    """The ways out of one agent: one for each model that is asked over a network."""
    found = []
    for number, model in enumerate(choice.models):
        if model.url:
            client = choice.client(model) or "openai"
            url = model.url.removesuffix("/v1") if client == "ollama" else model.url
            credential = f"{slug}/{key_name(number)}" if model.key else ""
            scheme = "anthropic" if client == "anthropic" else "bearer"
            paths = PATHS.get(client, ("",))
            name, wait = rule_name(slug, number), settings.model_timeout
            found.append(boot.EgressRule(name, url, ("POST",), paths, credential, wait, scheme))
    return found


def brains(slug: str, choice: Choice, settings: Settings) -> tuple[boot.Brain, ...]:
    """What the mind is told of its models: no address and no key."""
    return tuple(
        boot.Brain(
            rule_name(slug, number) if model.url else "",
            model.name,
            settings.temperature,
            settings.max_tokens,
            settings.model_timeout,
            settings.frequency_penalty,
            settings.presence_penalty,
            choice.client(model),
            choice.found and number == 0,
            model.weights,
            settings.local_threads,
        )
        for number, model in enumerate(choice.models)
    )
