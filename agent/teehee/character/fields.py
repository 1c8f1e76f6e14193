"""One file's fields taken out one by one: what is understood goes into the character, what is not stays as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any
JSON_TYPES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
EMPTY: tuple[Json, ...] = (None, "", [], {})


def kind(value: Json) -> str:
    """What JSON calls the type of `value`, with its article."""
    return JSON_TYPES.get(type(value), "a number")


def scalar(value: Json) -> str | None:
    """A string, number or boolean as text; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


@dataclass(slots=True)
class Fields:
    """The keys of one character not taken yet, and what is noted on the way.

    A value that says nothing (null, "", [], {}) and a value whose shape is unusual stay in `left` whole, so that
    they can be written back; `changes` tells what was read otherwise than written, `warnings` what to look at.
    """

    left: dict[str, Json]
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    understood: list[str] = field(default_factory=list)
    reshaped: set[str] = field(default_factory=set)  # keys understood whose raw value stays in `left`

    def changed(self, path: str, what: str) -> None:
        self.changes.append(f"{path}: {what}")

    def warn(self, path: str, what: str) -> None:
        self.warnings.append(f"{path}: {what}")

    def taken(self, key: str, *, keep: bool = False) -> None:
        """Notes that `key` is understood; its raw value goes, unless it is to be kept."""
        self.understood.append(key)
        if keep:
            self.reshaped.add(key)
        else:
            self.left.pop(key, None)

    def text(self, key: str) -> str:
        """The text at `key`; "" when there is none."""
        value = self.left.get(key)
        if value in EMPTY:
            return ""
        if (text := scalar(value)) is None:
            self.warn(f"$.{key}", f"expected a string, got {kind(value)}; kept, not used")
            return ""
        if not isinstance(value, str):
            self.changed(f"$.{key}", f"{kind(value)} read as text")
        self.taken(key)
        return text

    def mapping(self, key: str) -> dict[str, Json]:
        """A copy of the object at `key`; empty when there is none."""
        value = self.left.get(key)
        if value in EMPTY:
            return {}
        if not isinstance(value, dict):
            self.warn(f"$.{key}", f"expected an object, got {kind(value)}; kept, not used")
            return {}
        self.taken(key)
        return dict(value)

    def strings(self, key: str, *, inside: tuple[str, ...] = ("text",), lone: str = "") -> tuple[str, ...]:
        """The texts at `key`: a list, or a lone one. An object counts by the first of the keys `inside` it."""
        value = self.left.get(key)
        if value in EMPTY:
            return ()
        if not isinstance(value, list):
            value = [value]
            if not lone:
                self.changed(f"$.{key}", f"a lone {kind(value[0]).split()[-1]} read as a list of one")
        texts, odd = self.items(f"$.{key}", value, inside)
        self.taken(key, keep=odd)
        return texts

    def items(
        self, path: str, value: Iterable[Json], inside: tuple[str, ...] = ("text",)
    ) -> tuple[tuple[str, ...], bool]:
        """(the texts in a list, whether some item was no plain text). Notes each kind of oddity once."""
        texts: list[str] = []
        numbers, objects, unread = [], [], []
        for index, item in enumerate(value):
            text = _inner(item, inside) if isinstance(item, dict) else scalar(item)
            if text is None:
                unread.append((index, kind(item)))
                continue
            texts.append(text)
            if isinstance(item, dict):
                objects.append(index)
            elif not isinstance(item, str):
                numbers.append(index)
        if numbers:
            self.changed(f"{path}{_at(numbers)}", "no string; read as text")
        if objects:
            self.changed(f"{path}{_at(objects)}", f"objects; their {' or '.join(inside)} read as text")
        for index, got in unread[:3]:
            self.warn(f"{path}[{index}]", f"expected a string, got {got}; kept, not used")
        return tuple(texts), bool(objects or unread)


def _at(indexes: list[int]) -> str:
    return f"[{indexes[0]}]" if len(indexes) == 1 else f" ({len(indexes)} items)"


def _inner(item: Mapping[str, Json], keys: tuple[str, ...]) -> str | None:
    inner = item.get("content", item)  # a post example may be a whole message
    if isinstance(inner, str):
        return inner
    found = [inner[key] for key in keys if isinstance(inner, dict) and isinstance(inner.get(key), str)]
    return found[0] if found else None
