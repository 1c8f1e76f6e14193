"""Every setting, where it may come from, and where it did.

Order, Eliza's: what the command line says, then the character's secrets and settings, then the environment,
then the default. Nobody else in teehee reads the environment.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from teehee import prices
from teehee.character.model import Character
from teehee.character.secrets import looks_secret
from teehee.errors import ConfigError
from teehee.model_settings import (
    Found,
    Model,
    asked_for,
    beside,
    completed,
    fallbacks,
    in_character,
    in_environment,
    key_stays_home,
    seer,
)

Json = Any
PREFIX = "TEEHEE_"
CAP = 10**12


def _default_data() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "teehee"


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "teehee"


class Settings(BaseModel):
    """All settings. The environment name of each is TEEHEE_ and its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(default_factory=_default_data, description="folder for everything the agents keep")
    cache: Path = Field(default_factory=_default_cache, description="folder for what can be got again: weights")
    host: str = Field("127.0.0.1", description="address the web page listens on")
    access_token: SecretStr = Field(
        SecretStr(""),
        description="what the web page asks for; empty: made at start, unless host is loopback; open: nothing",
    )
    port: int = Field(0, ge=0, le=65535, description="port of the web page; 0 takes 7337, or any free one")
    model_url: str = Field("", description="base URL of an OpenAI-shaped endpoint; empty: the classic brain")
    model: str = Field("", description="model name to ask the endpoint for; with its provider in front: openai:gpt-4o")
    model_provider: str = Field("", description="whose model: openai, anthropic …, or local; empty: modelProvider's")
    model_key: SecretStr = Field(SecretStr(""), description="key for the endpoint; kept in the vault, used by the gate")
    model_timeout: float = Field(60.0, gt=0, le=600, description="seconds a model call may take")
    model_fallbacks: str = Field("", description="who answers while the model does not: provider:model, local, classic")
    vision_model: str = Field(
        "",
        description="who looks at photos: provider:model, a model of the same endpoint, or off; empty: who thinks",
    )
    transcription_model: str = Field(
        "", description="who writes voice messages down: provider:model, or a model of the same endpoint; empty: nobody"
    )
    langchain: bool = Field(False, description="speak through LangChain's client where the thin one would do as well")
    ollama_url: str = Field(
        "http://127.0.0.1:11434", description="where an Ollama is looked for when no model is named; off: nowhere"
    )
    local_model: str = Field(
        "qwen2.5-coder-1.5b", description="the model that runs here once its weights are: a name, a .gguf file, or off"
    )
    local_threads: int = Field(0, ge=0, le=256, description="threads of the local model; 0 is half the cores")
    temperature: float = Field(0.7, ge=0, le=2, description="sampling temperature of the model")
    max_tokens: int = Field(1024, ge=16, le=32768, description="longest answer of the model, in tokens")
    frequency_penalty: float = Field(0.0, ge=-2, le=2, description="how much the model shuns words it used often")
    presence_penalty: float = Field(0.0, ge=-2, le=2, description="how much the model shuns words it used at all")
    model_price: str = Field(
        "", description="dollars per million tokens, PROMPT/COMPLETION, as 2.50/10; empty: the price list's"
    )
    model_cents_per_day: int = Field(500, ge=0, le=CAP, description="US cents of model calls a day; 0: no cap")
    model_cents_per_user: int = Field(200, ge=0, le=CAP, description="of these, for one person")
    model_cents_per_room: int = Field(200, ge=0, le=CAP, description="of these, in one room")
    model_cents_in_all: int = Field(1000, ge=0, le=CAP, description="US cents a day for all agents together; 0: no cap")
    model_tokens_per_day: int = Field(
        2_000_000, ge=0, le=CAP, description="tokens of model calls a day; the default counts where no price is known"
    )
    model_tokens_per_user: int = Field(800_000, ge=0, le=CAP, description="of these, for one person; the same default")
    model_tokens_per_room: int = Field(800_000, ge=0, le=CAP, description="of these, in one room; the same default")
    model_tokens_in_all: int = Field(0, ge=0, le=CAP, description="tokens a day for all agents together; 0: no cap")
    owners: str = Field(
        "", description="platform ids of people who may stop the agent from there, such as telegram:1234"
    )
    public_url: str = Field("", description="where people reach the web page, for links in what is said elsewhere")
    replies_per_minute: int = Field(60, ge=0, description="replies one room may get in a minute")
    rooms_in_parallel: int = Field(64, ge=1, le=1024, description="rooms answered at the same time")
    guest: str = Field(
        "", description="guest agent: a socket or http://127.0.0.1:PORT; empty: the TEE's, or a simulator"
    )
    pccs_url: str = Field("https://pccs.phala.network", description="where Intel's collateral for quotes is fetched")
    journal_days: float = Field(
        30.0, ge=0, description="days settled messages and the model's answers are kept beside the memories; 0: always"
    )
    text_days: float = Field(
        365.0, ge=0, description="days delivered words are kept, sealed, beside their receipts; 0: always"
    )
    memories_per_room: int = Field(
        0, ge=0, description="newest memories of one kind a room keeps, 64 or more; 0: all of them"
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="what /metrics asks for; needed once the web page is bound wider than loopback"
    )
    otlp_endpoint: str = Field(
        "", description="base URL of an OTLP/HTTP collector that traces go to (needs teehee[otel]); empty: nowhere"
    )
    otlp_content: bool = Field(False, description="traces also carry what was said")
    isolate: bool = Field(False, description="give each agent a mind of its own, with its own store and sockets")
    reload: bool = Field(True, description="take changed characters and knowledge in while they run (`teehee run`)")
    legacy_env: bool = Field(False, description="CHARACTER.<NAME>.X as Eliza 0.x has it: the file wins over it")
    plugin_path: str = Field("", description="a further folder to look for plugins in (development only)")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much the logs tell")

    @field_validator("access_token")
    @classmethod
    def _fit_for_a_cookie(cls, value: SecretStr) -> SecretStr:
        if (given := value.get_secret_value()) and given != "open" and not re.fullmatch(r"[\w-]{16,128}", given, re.A):
            raise ValueError("expected 16 to 128 letters, digits, '_' or '-', or the word open")
        return value

    @field_validator("memories_per_room")
    @classmethod
    def _enough_to_talk(cls, value: int) -> int:
        if 0 < value < 64:
            raise ValueError("expected 0, or at least the 64 a conversation is prompted from")
        return value

    @field_validator("model_url", "ollama_url", "otlp_endpoint")
    @classmethod
    def _plain_url(cls, value: str, info: ValidationInfo) -> str:
        if not value or (value == "off" and info.field_name == "ollama_url"):
            return value
        parts = urlsplit(value)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.username
            or parts.port == 0
        ):
            raise ValueError("expected http(s)://host[:port]/path without a query or credentials")
        return value.rstrip("/")

    @field_validator("model_price")
    @classmethod
    def _readable_price(cls, value: str) -> str:
        if value:
            prices.read(value)
        return value


# What Eliza files and the providers' own tools call the same thing.
ALIASES = {
    "model_url": ("OPENAI_BASE_URL",),
    "model": ("OPENAI_LARGE_MODEL", "LARGE_OPENAI_MODEL", "OPENAI_MODEL"),
    "model_key": ("OPENAI_API_KEY",),
    "vision_model": ("OPENAI_IMAGE_DESCRIPTION_MODEL", "IMAGE_DESCRIPTION_MODEL"),
    "transcription_model": ("OPENAI_TRANSCRIPTION_MODEL",),
    "temperature": ("TEXT_LARGE_TEMPERATURE", "DEFAULT_TEMPERATURE", "MODEL_TEMPERATURE"),
    "max_tokens": ("TEXT_LARGE_MAX_TOKENS", "DEFAULT_MAX_TOKENS", "MODEL_MAX_TOKEN"),
    "frequency_penalty": ("TEXT_LARGE_FREQUENCY_PENALTY", "DEFAULT_FREQUENCY_PENALTY", "MODEL_FREQ_PENALTY"),
    "presence_penalty": ("TEXT_LARGE_PRESENCE_PENALTY", "DEFAULT_PRESENCE_PENALTY", "MODEL_PRESENCE_PENALTY"),
}
# What only a character file calls the same thing; a value that does not hold there is left out, not refused.
IN_FILES = {
    "model": ("model",),
    "temperature": ("temperature", "modelConfig.temperature", "defaultTemperature"),
    "max_tokens": ("maxTokens", "modelConfig.maxOutputTokens", "defaultMaxTokens"),
    "frequency_penalty": ("frequencyPenalty", "modelConfig.frequency_penalty", "defaultFrequencyPenalty"),
    "presence_penalty": ("presencePenalty", "modelConfig.presence_penalty", "defaultPresencePenalty"),
}
BESIDE = ("vision_model", "transcription_model")  # what a model does beside thinking
STEERING = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "SSLKEYLOGFILE", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "LD_PRELOAD", "LD_LIBRARY_PATH", "OPENSSL_CONF",
    "DSTACK_SIMULATOR_ENDPOINT", "TEE_MODE", "WALLET_SECRET_SALT",
)  # fmt: skip
# Not for one character to say:
OF_THE_RUN = (
    "data",
    "cache",
    "host",
    "access_token",
    "port",
    "guest",
    "pccs_url",
    "model_cents_in_all",
    "model_tokens_in_all",
    "rooms_in_parallel",
    "journal_days",
    "text_days",
    "memories_per_room",
    "metrics_token",
    "otlp_endpoint",
    "otlp_content",
    "isolate",
    "reload",
    "legacy_env",
    "ollama_url",
    "local_model",
    "local_threads",
    "plugin_path",
    "log_level",
)


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings in force and the origin of each: `option`, `character …`, `environment …` or `default`.

    `notes` says what a person should know of how they came about.
    """

    settings: Settings
    origins: Mapping[str, str]
    notes: tuple[str, ...] = ()
    fallbacks: tuple[Model, ...] = ()
    beside: Mapping[str, Model] = field(default_factory=dict)  # by setting, those that name their own provider


def resolve(
    options: Mapping[str, Json], character: Character | None = None, environ: Mapping[str, str] | None = None
) -> Effective:
    """The effective settings. Raises one ConfigError that names every problem, its source and its fix."""
    environ = os.environ if environ is None else environ
    first = {name: _look_up(name, options, character, environ, "") for name in ("model_provider", "model_url", "model")}
    provider = asked_for(first, character)
    found = {name: _look_up(name, options, character, environ, provider) for name in Settings.model_fields}
    notes: list[str] = []
    found["vision_model"] = found["vision_model"] or seer(character)
    if character is not None:
        found |= completed(provider, found, character, environ, notes)
    _keep_keys_at_home(found, notes)
    origins = {name: "default" if given is None else given[1] for name, given in found.items()}
    try:
        settings = Settings(**{name: given[0] for name, given in found.items() if given is not None})
    except ValidationError as error:
        problems = [f"{p['loc'][0]} ({origins[str(p['loc'][0])]}): {p['msg']}" for p in error.errors(include_url=False)]
        raise ConfigError(
            "settings: " + "; ".join(problems), hint="`teehee config` shows where each comes from"
        ) from None
    asked = fallbacks(settings.model_fallbacks, character, environ, notes)
    others = {
        name: model
        for name in BESIDE
        if (model := beside(name, getattr(settings, name), character, environ, notes)) is not None
    }
    return Effective(settings, origins, tuple(notes), asked, others)


def _look_up(
    name: str, options: Mapping[str, Json], character: Character | None, environ: Mapping[str, str], provider: str
) -> Found | None:
    if options.get(name) is not None:
        return options[name], "option"
    aliases = ALIASES.get(name, ())
    if provider not in ("", "openai"):
        aliases = tuple(alias for alias in aliases if "OPENAI" not in alias)  # no key for another's door
    if character is not None and name not in OF_THE_RUN:
        if (given := in_character(character, (name.upper(), *aliases))) is not None:
            return given
        for key in IN_FILES.get(name, ()):
            value = _at(character.settings, key)
            if value not in (None, "") and _holds(name, value):
                return value, f"character setting {key}"
    return in_environment(environ, (PREFIX + name.upper(), *aliases))


def _at(settings: Mapping[str, Json], path: str) -> Json:
    value: Json = settings
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _holds(name: str, value: Json) -> bool:
    try:
        Settings.model_validate({name: value})
    except ValidationError:
        return False
    return True


def _keep_keys_at_home(found: dict[str, Found | None], notes: list[str]) -> None:
    url, key = found["model_url"], found["model_key"]
    if key is not None and key_stays_home(url, key):
        found["model_key"] = None
        notes.append(
            f"{key[1].removeprefix('environment ')} stays home: the URL is the character file's own word "
            "(name it with --model-url to send the key there)"
        )


def with_environment(
    character: Character, environ: Mapping[str, str] | None = None, *, legacy: bool = False
) -> Character:
    """The character with the secrets the environment gives it by name or id.

    Eliza 1.x: `CHARACTER.<NAME>.X`, `<NAME>_X`, `CHARACTER.<ID>.X`, and they win over the file. With `legacy` as in
    0.x: `CHARACTER.<NAME or ID>.X`, and the file wins.
    """
    environ = os.environ if environ is None else environ
    given = {
        name.removeprefix(start): value
        for start in (_prefixes_v0(character) if legacy else _prefixes_v1(character))
        for name, value in environ.items()
        if value and len(name) > len(start) and name.startswith(start)
    }
    return replace(character, secrets={**given, **character.secrets} if legacy else {**character.secrets, **given})


def _prefixes_v0(character: Character) -> tuple[str, ...]:
    return tuple(f"CHARACTER.{word.upper().replace(' ', '_')}." for word in (character.name, character.id))


def _prefixes_v1(character: Character) -> tuple[str, ...]:
    """The last one that names a secret wins."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in character.name.upper())
    short = () if f"{plain}_" == PREFIX or len(plain) < 2 else (f"{plain}_",)
    return (*short, f"CHARACTER.{character.id.upper().replace('-', '_')}.", f"CHARACTER.{plain}.")


def plugin_secrets(plugin: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The secrets this environment has for a plugin by the plugin's own name: TELEGRAM_BOT_TOKEN for `telegram`."""
    environ = os.environ if environ is None else environ
    start = f"{plugin.upper()}_"
    return {name: value for name, value in environ.items() if name.startswith(start) and value and looks_secret(name)}


def is_key_set(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Does this environment hold a provider's key of this name?"""
    return bool((os.environ if environ is None else environ).get(name))


def secrets_named(names: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the environment has under these names. Raises ConfigError for a name that is no secret's.

    An environment can be anybody's, so it must not steer: whatever else a container is told is on its command line.
    """
    environ = os.environ if environ is None else environ
    if wrong := [name for name in names if not looks_secret(name)]:
        raise ConfigError(
            f"--secret {', '.join(wrong)}: by its name no secret",
            hint="settings are options of the command line; a secret's name ends in KEY, TOKEN, SECRET or the like",
        )
    return {name: environ[name] for name in names if name in environ}


def steering(environ: Mapping[str, str] | None = None) -> list[str]:
    """Variables of this environment that steer programs; no child process of ours gets to see them."""
    environ = os.environ if environ is None else environ
    return [name for name in STEERING if name in environ]


WHERE_SECRETS_ARE = {"model_key": "set (in the vault)"}


def shown(name: str, value: Json) -> str:
    """A setting as people may see it: secrets as set or not set."""
    if isinstance(value, SecretStr):
        return WHERE_SECRETS_ARE.get(name, "set") if value.get_secret_value() else "not set"
    return str(value)
