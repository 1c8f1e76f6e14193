"""Which model thinks for an agent, in order: what is named, an Ollama on this machine, the classic brain."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from teehee.errors import ConfigError
from teehee.model_settings import CLASSIC, Model
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


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers for an agent: `models` in order, the first while it can; `found` says that nobody named it."""

    models: tuple[Model, ...]
    langchain: bool = False
    found: bool = False

    @property
    def shown(self) -> str:
        """As people read it at the start."""
        where = f" (Ollama at {urlsplit(self.models[0].url).netloc})" if self.found else ""
        after = [model.shown for model in self.models[1:]]
        return self.models[0].shown + where + (f", then {', '.join(after)}" if after else "")

    @property
    def hint(self) -> str:
        """How to get a better one; empty when it is good."""
        return BETTER if not self.models[0].url else ""

    def client(self, model: Model) -> str:
        """The provider's name in LangChain for this model, or "" for the thin client."""
        if not model.url or (model.wire == "openai" and not self.langchain):
            return ""
        return "ollama" if model.provider == "ollama" else model.wire


def choose(effective: Effective) -> Choice:
    """The first of ORDER that has a model. Raises ConfigError when its client is not installed."""
    first = next(filter(None, (look(effective) for look in ORDER)))
    choice = Choice((*first.models, *effective.fallbacks), effective.settings.langchain, first.found)
    for model in choice.models:
        _check_installed(choice.client(model))
    return choice


def _named(effective: Effective) -> Choice | None:
    """What character or settings name."""
    settings = effective.settings
    if settings.model_provider == CLASSIC:
        return Choice((Model("", "", ""),))
    if not settings.model_url:
        return None
    key = settings.model_key.get_secret_value()
    return Choice((Model(settings.model_provider, settings.model_url, settings.model, key),))


def _ollama(effective: Effective) -> Choice | None:
    """An Ollama that listens on this machine and has a model that talks."""
    url = effective.settings.ollama_url
    names = ollama_models(url) if url.startswith("http://") else []
    wanted = effective.settings.model
    name = next((name for name in names if wanted and name in (wanted, f"{wanted}:latest")), next(iter(names), ""))
    return Choice((Model("ollama", f"{url}/v1", name),), found=True) if name else None


def _classic(effective: Effective) -> Choice:
    return Choice((Model("", "", ""),))


# A brain that needs no account belongs between the Ollama and the classic one.
ORDER: tuple[Callable[[Effective], Choice | None], ...] = (_named, _ollama, _classic)


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


def _check_installed(client: str) -> None:
    if not client or (find_spec("langchain") and find_spec(f"langchain_{client}")):
        return
    if client in EXTRAS:
        needs, get = f"teehee[{client}]", f"pip install 'teehee[{client}]'"
    else:
        needs, get = f"langchain-{client.replace('_', '-')}", "install LangChain's package of that name"
    raise ConfigError(
        f"model provider {client!r} needs {needs}", hint=f"{get}, or give an OpenAI-shaped endpoint with --model-url"
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
        )
        for number, model in enumerate(choice.models)
    )
