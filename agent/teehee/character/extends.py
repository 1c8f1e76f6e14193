"""`extends`: a character that builds on others, merged as Eliza 0.25 does: lists added up, the child's word last."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from teehee.character import source
from teehee.character.fields import EMPTY, kind
from teehee.errors import ConfigError

Json = Any
MOST_FILES = 16
HINT = "write paths relative to the character's file, of files beside or below it"


@dataclass(slots=True)
class Merged:
    """The effective object, what was done to get it, and which top-level keys are from other files."""

    value: dict[str, Json]
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)


def resolve(raw: dict[str, Json], where: str, path: Path | None) -> Merged:
    """`raw` with everything it extends merged in. Raises ConfigError when a file of the chain cannot be read.

    Without a `path` nothing can be read: the key stays, with a warning.
    """
    if raw.get("extends") in EMPTY:
        return Merged(raw)
    merged = Merged(raw)
    if path is None:
        merged.warnings.append("$.extends: the character was not read from a file, so nothing can be merged in")
        return merged
    merged.value = _with_bases(raw, where, path, path.resolve().parent, merged, (path.resolve(),))
    merged.value["extends"] = []  # the key stays; merged twice it would double every list
    return merged


def chain(path: Path) -> tuple[Path, ...]:
    """The file at `path` and all that it extends, as far as they can be read: what decides how it is loaded."""
    found, root = [path], path.resolve().parent
    for file in found:  # grows while it is read
        try:
            value = source.parse(source.read(file), str(file)).value
            for item in value if isinstance(value, list) else [value]:
                named = item.get("extends") if isinstance(item, dict) else None
                for name in named if isinstance(named, list) else []:
                    base = _inside(file.parent / str(name), root, str(file), str(name))
                    if len(found) <= MOST_FILES and base not in found:
                        found.append(base)
        except ConfigError:
            continue
    return tuple(found)


def _with_bases(
    raw: dict[str, Json], where: str, path: Path, root: Path, merged: Merged, above: tuple[Path, ...]
) -> dict[str, Json]:
    named = raw.get("extends")
    if named in EMPTY:
        return raw
    if not isinstance(named, list) or not all(isinstance(item, str) and item for item in named):
        raise source.refusal(where, f"$.extends: expected a list of paths, got {kind(named)}", HINT)
    result: dict[str, Json] = {}
    for name in named:
        base = _inside(path.parent / name, root, where, name)
        if base in above:
            chain = " -> ".join(item.name for item in (*above, base))
            raise source.refusal(where, f"$.extends: goes round in a circle ({chain})", "take one of them out")
        if len(above) + len(merged.changes) > MOST_FILES:
            raise source.refusal(where, f"$.extends: more than {MOST_FILES} files", "merge some of them by hand")
        parsed = source.parse(source.read(base), str(base))
        if not isinstance(parsed.value, dict):
            raise source.refusal(str(base), f"$: expected an object, got {kind(parsed.value)}", HINT)
        merged.changes.append(f"$.extends: {name!r} merged in")
        merged.warnings += parsed.warnings
        merged.origins |= {key: name for key in parsed.value if key not in raw or _joins(parsed.value[key], raw[key])}
        result = _deep(result, _with_bases(parsed.value, str(base), base, root, merged, (*above, base)))
    return _deep(result, raw)


def _inside(path: Path, root: Path, where: str, name: str) -> Path:
    """The file `path` leads to. Raises ConfigError when that is not below `root`."""
    try:
        found = path.resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, or a path no system call takes
        raise source.refusal(where, f"$.extends: {name!r} is not a usable path", HINT) from None
    if not found.is_relative_to(root):
        raise source.refusal(where, f"$.extends: {name!r} lies outside the character's folder", HINT)
    return found


def _deep(base: dict[str, Json], child: dict[str, Json]) -> dict[str, Json]:
    """Both objects in one: objects merged, lists base first, anything else as the child has it."""
    merged = dict(base)
    for key, value in child.items():
        if key == "extends":
            continue
        held = base.get(key)
        if isinstance(held, dict) and isinstance(value, dict):
            merged[key] = _deep(held, value)
        elif isinstance(held, list) and isinstance(value, list):
            merged[key] = [*held, *value]
        else:
            merged[key] = value
    return merged


def _joins(one: Json, other: Json) -> bool:
    return (isinstance(one, dict) and isinstance(other, dict)) or (isinstance(one, list) and isinstance(other, list))
