"""Character files as Eliza's authors write them (v0 and v1), read into the one `Character`.

Fields that fit no place are never dropped: they stay in `extras` under their own key.
"""

import json
import math
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from teehee.character.model import Character, Json, Line, Style
from teehee.errors import ConfigError
from teehee.ids import UUID_SHAPE, string_to_uuid

LIMIT_BYTES = 16 * 2**20
LIMIT_DEPTH = 64
V0_ONLY = ("clients", "modelProvider", "lore")
LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
JSON_TYPES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def load(path: Path) -> list[Character]:
    """Every character in the file at `path`; raises `ConfigError` when it holds none."""
    where = str(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _refusal(where, "is a directory, expected a file", "name one of the .json files in it")
        if not stat.S_ISREG(mode):
            raise _refusal(where, "is not a regular file", "copy the character into a .json file")
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise _refusal(where, "does not exist", "check the spelling, or write one: a name is enough") from None
    except (OSError, ValueError) as error:  # ValueError: a path no system call takes, such as one with a NUL
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise _refusal(where, f"cannot be read ({reason})", "check the path and its permissions") from error
    return loads(data, where)


def loads(text: str | bytes, where: str) -> list[Character]:
    """Every character in `text`; `where` is what errors call it. Raises `ConfigError`."""
    value = _parse(_decoded(text, where), where)
    if isinstance(value, list) and not value:
        raise _refusal(where, "is an empty list", "put at least one character with a name in it")
    if isinstance(value, list):
        return [_character(item, f"{where}[{index}]") for index, item in enumerate(value)]
    return [_character(value, where)]


def _refusal(where: str, problem: str, hint: str) -> ConfigError:
    return ConfigError(f"character {where!r}: {problem}", hint=hint)


def _decoded(text: str | bytes, where: str) -> str:
    if len(text) > LIMIT_BYTES:
        problem = f"is larger than {LIMIT_BYTES // 2**20} MB"
        raise _refusal(where, problem, "move long knowledge into files of their own")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = error.start
    # Raised outside the handler: the decoding error carries the whole file, secrets included.
    raise _refusal(where, f"is not UTF-8 (byte {position})", "save the file as UTF-8")


def _parse(text: str, where: str) -> Json:
    if not text.strip():
        raise _refusal(where, "is empty, expected a JSON object", 'start with {"name": "..."}')
    problem, hint = "", "JSON knows no comments, no trailing commas and only double quotes"
    value: Json = None
    try:
        value = json.loads(text, parse_constant=_number, parse_float=_number)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except ValueError:
        problem, hint = "holds a number outside JSON's range", "write it as a string"
    except RecursionError:
        problem, hint = f"is nested deeper than {LIMIT_DEPTH} levels", "flatten it"
    if not problem and _is_deep(value):
        problem, hint = f"is nested deeper than {LIMIT_DEPTH} levels", "flatten it"
    if problem:  # raised outside the handler: the JSON error carries the whole text, secrets included
        raise _refusal(where, problem, hint)
    return _mended(value) if LONE_SURROGATE.search(text) else value


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("not a finite number")
    return value


def _is_deep(value: Json) -> bool:
    level: list[Json] = [value]
    for _ in range(LIMIT_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def _mended(value: Json) -> Json:
    """`value` without halves of emoji, which JSON can write and UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value


def _character(raw: Json, where: str) -> Character:
    name = _name(raw, where)
    left = {key: value for key, value in raw.items() if key != "name"}
    given = raw.get("id")
    has_id = isinstance(given, str) and UUID_SHAPE.fullmatch(given) is not None
    if has_id:
        del left["id"]
    settings = _mapping(left, "settings")
    style = _mapping(left, "style")
    spare_style = {key: value for key, value in style.items() if key not in ("all", "chat", "post")}
    if spare_style:
        left["style"] = spare_style
    templates = _mapping(left, "templates")
    if spare_templates := {key: value for key, value in templates.items() if not isinstance(value, str)}:
        left["templates"] = spare_templates
    return Character(
        id=given if has_id else string_to_uuid(name),
        name=name,
        era=_era(raw),
        username=_text(left, "username"),
        system=_text(left, "system"),
        bio_is_whole=isinstance(raw.get("bio"), str),
        bio=_strings(left, "bio"),
        lore=_strings(left, "lore"),
        message_examples=_conversations(left),
        post_examples=_strings(left, "postExamples"),
        topics=_strings(left, "topics"),
        adjectives=_strings(left, "adjectives"),
        style=Style(_strings(style, "all"), _strings(style, "chat"), _strings(style, "post")),
        knowledge=_strings(left, "knowledge"),
        plugins=_strings(left, "plugins", keys=("name", "package")),
        clients=tuple(client.lower() for client in _strings(left, "clients")),
        templates={key: value for key, value in templates.items() if isinstance(value, str)},
        secrets=_secrets(settings.pop("secrets", None)) | _secrets(left.pop("secrets", None)),
        settings=settings,
        extras=left,
    )


def _name(raw: Json, where: str) -> str:
    hint = 'a character needs at least {"name": "..."}'
    if not isinstance(raw, dict):
        raise _refusal(where, f"$: expected an object, got {_type(raw)}", hint)
    if not raw:
        raise _refusal(where, "is an empty object", hint)
    name = raw.get("name")
    if "name" not in raw and "properties" in raw and ("$schema" in raw or raw.get("type") == "object"):
        raise _refusal(where, "is a JSON schema, not a character", "load a file written to the schema")
    if "name" not in raw:
        raise _refusal(where, "$.name is missing, expected a string", hint)
    if not isinstance(name, str):
        raise _refusal(where, f"$.name: expected a string, got {_type(name)}", "put the name in double quotes")
    if not name.strip():
        raise _refusal(where, "$.name is empty, expected a name", hint)
    return name


def _type(value: Json) -> str:
    return JSON_TYPES.get(type(value), "a number")


def _era(raw: Mapping[str, Json]) -> str:
    examples = raw.get("messageExamples")
    lines = [
        line
        for talk in (examples if isinstance(examples, list) else [])
        if isinstance(talk, list)
        for line in talk
        if isinstance(line, dict)
    ]
    is_v0 = any(key in raw for key in V0_ONLY) or any("user" in line and "name" not in line for line in lines)
    return "v0" if is_v0 else "v1"


def _mapping(left: dict[str, Json], key: str) -> dict[str, Json]:
    """A copy of the object at `key`, taken out of `left`; anything else stays where it is."""
    value = left.get(key)
    if value is None or isinstance(value, dict):
        left.pop(key, None)
    return dict(value) if isinstance(value, dict) else {}


def _text(left: dict[str, Json], key: str) -> str:
    return str(left.pop(key)) if isinstance(left.get(key), str) else ""


def _strings(left: dict[str, Json], key: str, keys: tuple[str, ...] = ("text",)) -> tuple[str, ...]:
    """The strings at `key`, a lone one or a list; objects count by the first of `keys`, the rest stays."""
    value = left.pop(key, None)
    taken: list[str] = []
    rest: list[Json] = []
    for item in value if isinstance(value, list) else [value]:
        text = _string(item, keys)
        if text is not None:
            taken.append(text)
        elif item is not None:
            rest.append(item)
    if rest:
        left[key] = rest if isinstance(value, list) else value
    return tuple(taken)


def _string(item: Json, keys: tuple[str, ...]) -> str | None:
    if isinstance(item, dict):
        inner = item.get("content", item)  # a post example may be a whole message
        found = [inner[key] for key in keys if isinstance(inner, dict) and isinstance(inner.get(key), str)]
        return found[0] if found else None
    return _scalar(item)


def _scalar(value: Json) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _conversations(left: dict[str, Json]) -> tuple[tuple[Line, ...], ...]:
    value = left.get("messageExamples")
    if not isinstance(value, list):
        return ()
    if value and all(isinstance(item, dict) and "content" in item for item in value):
        value = [value]  # a flat list of messages is one conversation
    talks = [item.get("examples") if isinstance(item, dict) else item for item in value]
    read = tuple(tuple(_lines(talk)) for talk in talks)
    if not any(talk and not lines for talk, lines in zip(talks, read, strict=True)):
        del left["messageExamples"]
    return read  # an unreadable conversation stays as an empty one, so that the others keep their numbers


def _lines(talk: Json) -> list[Line]:
    return [line for item in (talk if isinstance(talk, list) else []) if (line := _line(item)) is not None]


def _line(item: Json) -> Line | None:
    if isinstance(item, list) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return Line(item[0], item[1])
    if not isinstance(item, dict):
        return None
    content = item.get("content")
    speaker = item.get("name") if isinstance(item.get("name"), str) else item.get("user")
    if not isinstance(content, dict):
        return None if _scalar(content) is None else Line(_scalar(speaker) or "", _scalar(content) or "")
    fields = dict(content)
    actions = dict.fromkeys(_strings(fields, "actions") + _strings(fields, "action"))
    return Line(_scalar(speaker) or "", _scalar(content.get("text")) or "", tuple(a for a in actions if a))


def _secrets(value: Json, name: str = "") -> dict[str, str]:
    """`name -> value` of every non-empty scalar in a secrets object, however deep; a nested name has dots."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        found: dict[str, str] = {}
        for key, item in parts:
            found |= _secrets(item, f"{name}.{key}" if name else str(key))
        return found
    text = _scalar(value)
    return {name or "secrets": text} if text else {}
