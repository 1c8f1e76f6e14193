"""Canonical JSON (RFC 8785): the one byte form of whatever is hashed or signed here, and back, strictly.

    {"at":1767225600000,"text":"café","to":["ada",null,true]}

The subset: objects, arrays, strings, booleans, null, and integers within ±2^53. Money and sizes are integers here, so
a float has no place, and the one hard part of RFC 8785, how JavaScript prints a double, is not needed.
A `Record` is a frozen dataclass in that form: the types of its fields say which values fit.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType, NoneType
from typing import Any, NoReturn, Self, get_args

from teehee.errors import VerificationError

Json = Any

MAX_INTEGER = 2**53
MAX_DEPTH = 32


def canonical(value: Json) -> bytes:
    """The RFC 8785 bytes of `value`: keys sorted by UTF-16 code units, no spaces, UTF-8.

    Raises ValueError for JSON outside the subset and TypeError for what is not JSON; says where, never what, since a
    value may be private.
    """
    has_astral_keys = _check(value, "$", MAX_DEPTH)
    # json sorts keys by code point, which is UTF-16 order too unless a key goes beyond U+FFFF.
    written = _ORDERED.encode(_sorted_by_utf16(value)) if has_astral_keys else _SORTING.encode(value)
    try:
        return written.encode()
    except UnicodeEncodeError as fault:
        raise ValueError(f"a lone surrogate U+{ord(written[fault.start]):04X} is not text") from None


def loads(data: bytes, *, limit: int) -> Json:
    """Read JSON of the subset, canonical or not; `limit` is the most bytes taken.

    1. The size is within the limit.
    2. The bytes are UTF-8.
    3. Arrays and objects nest at most 32 deep.
    4. It is one JSON value of RFC 8259, and nothing after it.
    5. No object has a key twice.
    6. Numbers are integers within ±2^53.
    7. Escapes leave no lone surrogate.
    """
    if len(data) > limit:  # 1
        raise VerificationError("json.1", f"expected at most {limit} bytes, got {len(data)}")
    try:
        written = data.decode()  # 2
    except UnicodeDecodeError as fault:
        raise VerificationError("json.2", f"expected UTF-8, got another byte at {fault.start}") from None
    _check_nesting(data)  # 3
    try:
        value = _STRICT.decode(written)  # 4, 5, 6
    except json.JSONDecodeError as fault:
        raise VerificationError("json.4", f"expected JSON, got a fault at character {fault.pos}: {fault.msg}") from None
    if _SURROGATE_ESCAPE.search(data):  # 7
        try:
            canonical(value)
        except ValueError as fault:
            raise VerificationError("json.7", str(fault)) from None
    return value


def loads_canonical(data: bytes, *, limit: int) -> Json:
    """Read JSON that must be in canonical form, byte for byte: `loads`, and then

    8. Written again, the value gives the same bytes.
    """
    value = loads(data, limit=limit)
    expected = canonical(value)
    if data != expected:  # 8
        at = next((i for i, (a, b) in enumerate(zip(data, expected, strict=False)) if a != b), len(expected))
        raise VerificationError("json.8", f"expected canonical JSON, got other bytes from {at} on")
    return value


Shape = Callable[[Json, str], Json]
"""What a field of a Record takes, named in its type: `size: Annotated[int, whole]`.

Returns the value, made read-only, or raises ValueError naming the place it was given.
"""


def text(words: str, pattern: str) -> Shape:
    """A string that matches `pattern` from end to end; `words` say so to people."""
    matches = re.compile(pattern).fullmatch

    def check(value: Json, where: str) -> Json:
        if type(value) is not str or not matches(value):
            raise ValueError(f"{where}: expected {words}, got {_shown(value)}")
        return value

    return check


def whole(value: Json, where: str) -> Json:
    """An integer from 0 to 2^53."""
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise ValueError(f"{where}: expected a whole number from 0 to 2^53, got {_shown(value)}")
    return value


def named(name: Shape, item: Shape) -> Shape:
    """An object of at most 64 entries, each with such a name and such an item."""

    def check(value: Json, where: str) -> Json:
        if not isinstance(value, Mapping) or len(value) > 64:
            raise ValueError(f"{where}: expected an object of at most 64 entries, got {_shown(value)}")
        return MappingProxyType({name(k, f"{where}, name"): item(v, f"{where}[{k!r}]") for k, v in value.items()})

    return check


@dataclass(frozen=True, slots=True)
class Record:
    """Base of a frozen dataclass that is one JSON object; a value that does not fit raises ValueError when made."""

    def __post_init__(self) -> None:
        for name, shape in self._shapes().items():
            object.__setattr__(self, name, shape(getattr(self, name), name))

    def members(self) -> dict[str, Json]:
        """The fields as a JSON object, to be changed at will."""
        values = {name: getattr(self, name) for name in self._shapes()}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    @classmethod
    def read(cls, members: Json) -> Self:
        """The record with these members.

        1. They are a JSON object.
        2. There is no key the record does not have.
        3. There is every key it has.
        4. Every value fits its field.
        """
        if type(members) is not dict:  # 1
            raise VerificationError("record.1", f"{cls.__name__}: expected a JSON object, got {_shown(members)}")
        expected = cls._shapes()
        for name in members:  # 2
            if name not in expected:
                raise VerificationError("record.2", f"{cls.__name__}: expected no key {name[:64]!r}")
        for name in expected:  # 3
            if name not in members:
                raise VerificationError("record.3", f"{cls.__name__}: expected the key {name!r}, it is missing")
        try:
            return cls(**members)  # 4
        except ValueError as fault:
            raise VerificationError("record.4", f"{cls.__name__}: {fault}") from None

    @classmethod
    def _shapes(cls) -> dict[str, Shape]:
        kind: Any = cls  # mypy takes a dataclass for unhashable, as if it were one of its instances
        return _shapes_of(kind)


@cache
def _shapes_of(cls: type[Record]) -> dict[str, Shape]:
    return {field.name: get_args(field.type)[1] for field in fields(cls)}


def _shown(value: Json) -> str:
    """A value from outside, short enough for an error."""
    if type(value) is str:
        return repr(value) if len(value) <= 64 else f"{value[:64]!r}... ({len(value)} characters)"
    return str(value) if type(value) in (int, bool) else f"a {type(value).__name__}"


def _check(value: Json, where: str, depth: int) -> bool:
    """Refuse what is outside the subset; says whether any key goes beyond U+FFFF."""
    kind = type(value)
    if kind is int and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError(f"{where}: an integer beyond ±2^53, which JSON does not carry exactly")
    if kind is int or kind in _PLAIN:
        return False
    if kind is float:
        raise ValueError(f"{where}: a float; write an integer of the smallest unit instead")
    if kind not in (dict, list, tuple):
        raise TypeError(f"{where}: {kind.__name__} is not JSON")
    if depth == 0:
        raise ValueError(f"{where[:64]}...: nested more than {MAX_DEPTH} deep")
    if kind is not dict:  # a list, since any() over a generator would stop checking at the first astral key
        return any([_check(item, f"{where}[{i}]", depth - 1) for i, item in enumerate(value)])
    has_astral_keys = False
    for key, item in value.items():
        if type(key) is not str:
            raise TypeError(f"{where}: a key of type {type(key).__name__}, not a string")
        has_astral_keys |= not key.isascii() and max(key) > "\uffff"
        if type(item) not in _PLAIN:  # saves most of the time
            has_astral_keys |= _check(item, f"{where}[{key!r}]", depth - 1)
    return has_astral_keys


def _sorted_by_utf16(value: Json) -> Json:
    if type(value) is dict:
        # surrogatepass: a lone surrogate is refused later, by the one check that is for it.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return {key: _sorted_by_utf16(value[key]) for key in keys}
    if type(value) in (list, tuple):
        return [_sorted_by_utf16(item) for item in value]
    return value


def _check_nesting(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _STRINGS.sub(b"", data).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise VerificationError("json.3", f"expected at most {MAX_DEPTH} levels of nesting, got more")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        double = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise VerificationError("json.5", f"expected every key once, got {double[:64]!r} twice")
    return members


def _integer(digits: str) -> int:
    # The length first: Python takes quadratic time over, and then refuses, thousands of digits.
    if len(digits) > 17 or not -MAX_INTEGER <= int(digits) <= MAX_INTEGER:
        raise VerificationError("json.6", f"expected an integer within ±2^53, got {digits[:32]}")
    return int(digits)


def _no_float(number: str) -> NoReturn:
    raise VerificationError("json.6", f"expected an integer, got {number[:32]}")


_PLAIN = frozenset({str, bool, NoneType})
_SORTING = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)
_ORDERED = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)
_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_float, parse_constant=_no_float
)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
# Strings whole, even one that does not end, so that a bracket inside one does not count.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
