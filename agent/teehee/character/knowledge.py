"""The `knowledge` of a character file in every shape: texts, files, folders, items of characterfile, plain objects."""

from collections.abc import Iterator, Mapping
from typing import Any

from teehee.character import source
from teehee.character.fields import EMPTY, Fields, kind, scalar
from teehee.character.model import Knowledge

Json = Any
KEY = "knowledge"
TEXT_KEYS = ("content", "text", "value")


def items(fields: Fields) -> tuple[Knowledge, ...]:
    """What `knowledge` names: texts as they are, files and folders still unread. Notes what was reshaped."""
    value = fields.left.get(KEY)
    if value in EMPTY:
        return ()
    if isinstance(value, dict):
        read = tuple(_flat(value, ""))
        fields.changed("$.knowledge", f"an object with {len(value)} keys read as {len(read)} texts")
        fields.taken(KEY, keep=True)
        return read
    listed = value if isinstance(value, list) else [value]
    found: list[Knowledge] = []
    keep, unread = not isinstance(value, list), 0
    for index, item in enumerate(listed):
        given = _item(item)
        if given is None and (unread := unread + 1) <= source.MOST_TOLD:
            fields.warn(f"$.knowledge[{index}]", f"expected a text, {{path}} or {{directory}}, got {kind(item)}; kept")
        keep = keep or given is None or _is_odd(item, given)
        found += [given] if given is not None else []
    fields.taken(KEY, keep=keep)
    return tuple(found)


def to_json(item: Knowledge) -> Json:
    """The item as 0.25 and 1.x write it."""
    shared = {"shared": True} if item.shared else {}
    if item.path:
        return {"path": item.path, **shared}
    if item.directory:
        return {"directory": item.directory, **shared}
    return item.text


def _item(item: Json) -> Knowledge | None:
    if (text := scalar(item)) is not None:
        return Knowledge(text=text)
    if not isinstance(item, dict):
        return None
    if isinstance(inner := item.get("item"), dict):  # 2.x: {item: {case, value}}
        return _cased(inner)
    text = next((item[key] for key in TEXT_KEYS if isinstance(item.get(key), str)), "")
    path, directory = item.get("path"), item.get("directory")
    shared = item.get("shared") is True
    if text:  # characterfile: {id, path, content}; the path says where the text is from
        source = path if isinstance(path, str) else scalar(item.get("id")) or ""
        return Knowledge(text=text, source=source, shared=shared)
    if isinstance(path, str) and path:
        return Knowledge(path=path, shared=shared)
    return Knowledge(directory=directory, shared=shared) if isinstance(directory, str) and directory else None


def _cased(inner: Mapping[str, Json]) -> Knowledge | None:
    value = inner.get("value")
    if inner.get("case") == "path" and isinstance(value, str):
        return Knowledge(path=value)
    if inner.get("case") != "directory" or not isinstance(value, dict):
        return None
    folder = value.get("path", value.get("directory"))  # 2.0 alphas disagree on the key
    return Knowledge(directory=folder, shared=value.get("shared") is True) if isinstance(folder, str) else None


def _is_odd(item: Json, given: Knowledge) -> bool:
    """Is there more in the item than `to_json` would write?"""
    return not isinstance(item, str | int | float) and bool(item != to_json(given))


def _flat(value: Json, name: str) -> Iterator[Knowledge]:
    """A plain object as texts, `a.b: …` by the way there."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        texts = [text for item in value if (text := scalar(item)) is not None]
        if texts:
            yield Knowledge(text=f"{name}: {'; '.join(texts)}", source=name)
        for number, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _flat(item, f"{name}.{number}")
    elif (text := scalar(value)) is not None and text:
        yield Knowledge(text=f"{name}: {text}" if name else text, source=name)
