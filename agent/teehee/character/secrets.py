"""Secrets in plain sight: what a character file gives away, taken out before the mind reads it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace

from teehee.character.model import Character, Json
from teehee.errors import ConfigError

MIN_LENGTH = 6  # shorter values occur in ordinary prose by chance
MOST = 500  # secrets in one character; each is looked for in every text
MARK = "[secret]"
SECRET_NAME = re.compile(
    r"(?:(?:^|_|API|PRIVATE|ACCESS|SECRET|AUTH|SIGNING)KEYS?|TOKEN|SECRETS?|PASSWORDS?|PASSWD|PASS_?PHRASE|MNEMONICS?"
    r"|(?:^|_)SEED|(?:SEED|RECOVERY|MNEMONIC)_?PHRASE|CREDENTIALS?|COOKIES?|BEARER)$"
)
PUBLIC_NAME = re.compile(r"(?:^|_)(?:PUBLIC|PUB|PRIMARY|FOREIGN|SORT)_?KEYS?$")
COUNT_NAME = re.compile(r"(?:^|_)(?:MAX|MIN|NUM|COUNT|LIMIT|TOTAL|BUDGET|PER)_|^SEED$")  # SEED alone: of sampling
CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)

Redact = Callable[[str], str]


def looks_secret(key: str, value: Json = "") -> bool:
    """Whether a setting of this name holds a secret: `OPENAI_API_KEY` and `apiKey` do, `maxOutputTokens` never."""
    name = re.sub(r"\W+", "_", CAMEL_HUMP.sub("_", key.replace(MARK, ""))).upper().strip("_")
    if COUNT_NAME.search(name) and re.fullmatch(r"-?\d+(?:\.\d+)?", str(value)):
        return False
    return SECRET_NAME.search(name) is not None and PUBLIC_NAME.search(name) is None


def strip_secrets(character: Character) -> tuple[Character, dict[str, str]]:
    """The character without secrets, and the secrets by name.

    A setting that held one holds the handle `secret:<NAME>` instead; a secret's value anywhere else, in a key or a
    value, becomes `[secret]`. Only the id is left as it is: it is public. Stripping twice changes nothing.
    """
    extras, redact = _searched(character), redactor(character)
    found = dict(character.secrets)
    clean = replace(
        character,
        secrets={},
        settings=_with_handles(character.settings, "", redact, found),
        extras={**character.extras, **_with_handles(extras, "", redact, found)},
    )
    shown = [field.name for field in fields(clean) if field.name not in ("id", "secrets", "settings")]
    return replace(clean, **{name: _redacted(getattr(clean, name), redact) for name in shown}), found


def redactor(character: Character) -> Redact:
    """Puts `[secret]` in the place of every secret of this character that occurs in a text."""
    hidden = [*_hidden(character.settings), *_hidden(_searched(character))]
    return _redactor([*character.secrets.values(), *hidden])


def _searched(character: Character) -> dict[str, Json]:
    return {key: value for key, value in character.extras.items() if key != "knowledge"}  # prose has its own keys


class Handle(str):
    """The name of a secret, in the place where the secret was; redaction leaves it alone."""

    __slots__ = ()


def _is_hidden(key: str, value: Json) -> bool:
    return looks_secret(key, value) or (isinstance(value, str) and URL_WITH_PASSWORD.match(value) is not None)


def _is_filled(value: Json) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""


def _hidden(value: Json, inside: bool = False) -> Iterator[str]:
    """Every secret scalar under `value`; what lies under a secret name is secret however deep."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _hidden(item, inside or _is_hidden(key, item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _hidden(item, inside)
    elif inside and _is_filled(value):
        yield str(value)


def _redactor(values: Iterable[str]) -> Redact:
    known = sorted({value for value in values if len(value) >= MIN_LENGTH}, key=len, reverse=True)
    if not known:
        return str
    if len(known) > MOST:
        raise ConfigError(
            f"holds {len(known):,} secrets, expected {MOST} at most",
            hint="keep them in the vault, not in the file",
        )
    pattern = re.compile("|".join(map(re.escape, known)))  # longest first: a secret may hold another
    return lambda text: pattern.sub(MARK, text)


def _with_handles(value: Json, path: str, redact: Redact, found: dict[str, str], inside: bool = False) -> Json:
    """`value` with each secret scalar put into `found` and its handle in its place; the rest redacted."""
    if isinstance(value, Mapping):
        return {
            redact(key): _with_handles(
                item, f"{path}.{redact(key)}" if path else redact(key), redact, found, inside or _is_hidden(key, item)
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_with_handles(item, f"{path}.{n}", redact, found, inside) for n, item in enumerate(value)]
    if not inside or not _is_filled(value):
        return _redacted(value, redact)
    if isinstance(value, str) and value.startswith("secret:") and value.endswith(path):
        return Handle(value)  # stripped before
    name = path
    while found.get(name, str(value)) != str(value):  # `secrets` may hold another value under the same name
        name = f"settings.{name}"
    found[name] = str(value)
    return Handle(f"secret:{name}")


def _redacted(value: Json, redact: Redact) -> Json:
    if isinstance(value, Handle) or isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, int | float):
        return value if redact(str(value)) == str(value) else redact(str(value))
    if isinstance(value, Mapping):
        return {redact(key): _redacted(item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_redacted(item, redact) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _redacted(getattr(value, f.name), redact) for f in fields(value)})
    return value
