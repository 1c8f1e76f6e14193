"""Files of characters as JSON values: read whole and bounded, as JSON5 where they are no strict JSON."""

import json
import math
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teehee.errors import ConfigError

Json = Any
LIMIT_BYTES = 4 * 2**20  # the largest published file has a quarter of it
LIMIT_VALUES = 200_000  # counted by commas and brackets, wherever they stand
LIMIT_CHARACTERS = 100  # in one array
LIMIT_DEPTH = 64
LIMIT_INTEGER = int(sys.float_info.max)  # JavaScript reads larger ones as Infinity
LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
MOST_TOLD = 20  # warnings of one kind
JSON5 = "$: comments, trailing commas or loose quotes: read as JSON5; Eliza itself wants strict JSON"
MENDED = "$: half an emoji (a lone surrogate) became U+FFFD"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A JSON value, and what was done to read it: changes, and keys that were written twice."""

    value: Json
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def refusal(where: str, problem: str, hint: str) -> ConfigError:
    """The error for what is no character; `where` is the file, `problem` has the JSON path, got and expected."""
    return ConfigError(f"character {where!r}: {problem}", hint=hint)


def read(path: Path) -> bytes:
    """The bytes of a character file. Raises ConfigError for what is no regular, readable file."""
    where = str(path)
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise refusal(where, "is a directory, expected a file", "name one of the .json files in it")
        if not stat.S_ISREG(found.st_mode):
            raise refusal(where, "is not a regular file", "copy the character into a .json file")
        with path.open("rb") as file:
            return file.read(min(found.st_size, LIMIT_BYTES) + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise refusal(where, "does not exist", "check the spelling, or write one: a name is enough") from None
    except (OSError, ValueError) as error:  # ValueError: a path no system call takes, such as one with a NUL
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise refusal(where, f"cannot be read ({reason})", "check the path and its permissions") from error


def parse(text: str | bytes, where: str) -> Parsed:
    """The JSON value in `text`. Raises ConfigError, which never carries any of the text."""
    text = _decoded(text, where)
    if not text.strip():
        raise refusal(where, "is empty, expected a JSON object", 'start with {"name": "..."}')
    if sum(map(text.count, ",[{")) > LIMIT_VALUES:
        problem = f"holds more than {LIMIT_VALUES:,} values"
        raise refusal(where, problem, "move long knowledge into files of their own")
    value, problem, hint, twice = _strict(text)
    changes: list[str] = []
    if problem and not hint:
        value, is_json5 = _json5(text)
        problem = "" if is_json5 else problem
        changes += [JSON5] if is_json5 else []
    if not problem and (problem := _excess(value)):
        hint = "flatten it" if "nested" in problem else "write it as a string"
    if problem:  # raised outside any handler: a JSON error carries the whole text, secrets included
        raise refusal(where, problem, hint or _hint(where))
    if LONE_SURROGATE.search(text) and (mended := _mended(value)) != value:
        value = mended
        changes.append(MENDED)
    told = [f"key {key!r} is written twice; the last one counts" for key in twice[:MOST_TOLD]]
    return Parsed(value, tuple(changes), tuple(told))


def _hint(where: str) -> str:
    if where.endswith((".ts", ".js", ".mjs", ".tsx")):
        return "this is a program: save the object it exports as JSON"
    return "check quotes, commas and brackets there"


def _decoded(text: str | bytes, where: str) -> str:
    if len(text) > LIMIT_BYTES:
        problem = f"is larger than {LIMIT_BYTES // 2**20} MB"
        raise refusal(where, problem, "move long knowledge into files of their own")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = error.start
    # Raised outside the handler: the decoding error carries the whole file, secrets included.
    raise refusal(where, f"is not UTF-8 (byte {position})", "save the file as UTF-8")


def _strict(text: str) -> tuple[Json, str, str, list[str]]:
    """(value, problem, hint, keys written twice). A problem without a hint may still be JSON5."""
    twice: list[str] = []

    def paired(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        value = dict(pairs)
        if len(value) < len(pairs):
            seen: set[str] = set()
            twice.extend(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return value

    try:
        value = json.loads(text, parse_constant=_number, parse_float=_number, object_pairs_hook=paired)
    except json.JSONDecodeError as error:
        return None, f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}", "", []
    except ValueError:
        return None, "holds a number outside JSON's range", "write it as a string", []
    except RecursionError:
        return None, f"is nested deeper than {LIMIT_DEPTH} levels", "flatten it", []
    return value, "", "", list(dict.fromkeys(twice))


def _json5(text: str) -> tuple[Json, bool]:
    import pyjson5  # loaded only for a file that is no strict JSON

    try:
        return pyjson5.decode(text, maxdepth=LIMIT_DEPTH + 2), True
    except (pyjson5.Json5DecoderException, ValueError, RecursionError):
        return None, False


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("not a finite number")
    return value


def _excess(value: Json) -> str:
    """What about `value` is beyond bounds: depth, or numbers JSON cannot say; empty when nothing is."""
    level: list[Json] = [value]
    for _ in range(LIMIT_DEPTH):
        inner: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                return "holds a number outside JSON's range"
            elif isinstance(item, int) and abs(item) > LIMIT_INTEGER:
                return "holds a number outside JSON's range"
        if not inner:
            return ""
        level = inner
    return f"is nested deeper than {LIMIT_DEPTH} levels"


def _mended(value: Json) -> Json:
    """`value` without halves of emoji, which JSON can write and UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value
