"""Every setting, where it may come from, and where it did.

Order, Eliza's: what the command line says, then the character's secrets and settings, then the environment,
then the default. Nobody else in teehee reads the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from teehee.character.model import Character
from teehee.errors import ConfigError

Json = Any
PREFIX = "TEEHEE_"


def _default_data() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "teehee"


class Settings(BaseModel):
    """All settings. The environment name of each is TEEHEE_ and its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(default_factory=_default_data, description="folder for everything the agents keep")
    host: str = Field("127.0.0.1", description="address the web page listens on")
    port: int = Field(0, ge=0, le=65535, description="port of the web page; 0 takes 7337, or any free one")
    model_url: str = Field("", description="base URL of an OpenAI-shaped endpoint; empty: the classic brain")
    model: str = Field("", description="model name to ask the endpoint for")
    model_key: SecretStr = Field(SecretStr(""), description="key for the endpoint; kept in the vault, used by the gate")
    model_timeout: float = Field(60.0, gt=0, le=600, description="seconds a model call may take")
    temperature: float = Field(0.7, ge=0, le=2, description="sampling temperature of the model")
    max_tokens: int = Field(1024, ge=16, le=32768, description="longest answer of the model, in tokens")
    replies_per_minute: int = Field(60, ge=0, description="replies one room may get in a minute")
    rooms_in_parallel: int = Field(64, ge=1, le=1024, description="rooms answered at the same time")
    plugin_path: str = Field("", description="a further folder to look for plugins in (development only)")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much the logs tell")

    @field_validator("model_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.username
            or parts.port == 0
        ):
            raise ValueError("expected http(s)://host[:port]/path without a query or credentials")
        return value.rstrip("/")


# What Eliza files and the providers' own tools call the same thing.
ALIASES = {
    "model_url": ("OPENAI_BASE_URL",),
    "model": ("OPENAI_LARGE_MODEL", "LARGE_OPENAI_MODEL", "OPENAI_MODEL"),
    "model_key": ("OPENAI_API_KEY",),
    "temperature": ("MODEL_TEMPERATURE",),
    "max_tokens": ("MODEL_MAX_TOKEN",),
}
STEERING = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "SSLKEYLOGFILE", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "LD_PRELOAD", "LD_LIBRARY_PATH", "OPENSSL_CONF",
    "DSTACK_SIMULATOR_ENDPOINT", "TEE_MODE", "WALLET_SECRET_SALT",
)  # fmt: skip
OF_THE_RUN = ("data", "host", "port", "rooms_in_parallel", "plugin_path", "log_level")  # not for one character to say


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings in force and the origin of each: `option`, `character …`, `environment …` or `default`."""

    settings: Settings
    origins: Mapping[str, str]


def resolve(
    options: Mapping[str, Json], character: Character | None = None, environ: Mapping[str, str] | None = None
) -> Effective:
    """The effective settings. Raises one ConfigError that names every problem, its source and its fix."""
    environ = os.environ if environ is None else environ
    values: dict[str, Json] = {}
    origins: dict[str, str] = {}
    for name in Settings.model_fields:
        found = _look_up(name, options, character, environ)
        origins[name] = "default" if found is None else found[1]
        if found is not None:
            values[name] = found[0]
    try:
        return Effective(Settings(**values), origins)
    except ValidationError as error:
        problems = [f"{p['loc'][0]} ({origins[str(p['loc'][0])]}): {p['msg']}" for p in error.errors(include_url=False)]
        raise ConfigError(
            "settings: " + "; ".join(problems), hint="`teehee config` shows where each comes from"
        ) from None


def _look_up(
    name: str, options: Mapping[str, Json], character: Character | None, environ: Mapping[str, str]
) -> tuple[Json, str] | None:
    if options.get(name) is not None:
        return options[name], "option"
    if character is not None and name not in OF_THE_RUN:
        for key in (name.upper(), *ALIASES.get(name, ())):
            if (value := character.secrets.get(key)) not in (None, ""):
                return value, f"character secret {key}"
            if (value := character.settings.get(key)) not in (None, "") and isinstance(value, (str, int, float)):
                return value, f"character setting {key}"
    for key in (PREFIX + name.upper(), *ALIASES.get(name, ())):
        if environ.get(key):
            return environ[key], f"environment {key}"
    return None


def character_secrets(character: Character, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Secrets the environment gives this character: `CHARACTER.<NAME>.X`, Eliza 1.x's rule for the name."""
    environ = os.environ if environ is None else environ
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in character.name.upper())
    start = f"CHARACTER.{plain}."
    return {name.removeprefix(start): value for name, value in environ.items() if name.startswith(start) and value}


def steering(environ: Mapping[str, str] | None = None) -> list[str]:
    """Variables of this environment that steer programs; no child process of ours gets to see them."""
    environ = os.environ if environ is None else environ
    return [name for name in STEERING if name in environ]


def shown(name: str, value: Json) -> str:
    """A setting as people may see it: secrets as set or not set."""
    if isinstance(value, SecretStr):
        return "set (in the vault)" if value.get_secret_value() else "not set"
    return str(value)
