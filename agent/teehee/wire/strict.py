"""Turns open JSON into a frozen dataclass, or says exactly which key is wrong."""

import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from teehee.errors import TeeheeError

Json = Any
T = TypeVar("T")
Reader = Callable[[Json, str], Json]

TEXT_LIMIT = 65_536  # characters in one string
LIST_LIMIT = 10_000
OBJECTS_LIMIT = 1_000  # of a list whose items are objects: each takes some microseconds to read
SAFE_INTEGER = 2**53


class Malformed(TeeheeError):
    """A message is not of the shape both sides agreed on."""


def parse(cls: type[T], value: Json, where: str = "params") -> T:
    """`value` as a `cls`. Unknown keys, missing keys and wrong types raise Malformed, naming the path."""
    return typing.cast(T, _reader(typing.cast(Any, cls))(value, where))


@cache
def _reader(kind: Any) -> Reader:
    if is_dataclass(kind):
        return _dataclass_reader(typing.cast(type, kind))
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        most = OBJECTS_LIMIT if is_dataclass(arguments[0]) else LIST_LIMIT
        return _list_reader(_reader(arguments[0]), most)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_reader(_reader(arguments[1]))
    if origin in (types.UnionType, typing.Union):
        inner = _reader(next(a for a in arguments if a is not types.NoneType))
        return lambda value, where: None if value is None else inner(value, where)
    raise TypeError(f"wire messages cannot hold {kind!r}")


def _dataclass_reader(cls: type) -> Reader:
    hints = typing.get_type_hints(cls)
    readers = {f.name: _reader(hints[f.name]) for f in fields(cls)}
    required = [f.name for f in fields(cls) if _is_required(f)]

    def read(value: Json, where: str) -> Json:
        if type(value) is not dict:
            raise Malformed(f"{where}: expected an object, got {_kind(value)}")
        given = {}
        for name, item in value.items():
            reader = readers.get(name)
            if reader is None:
                raise Malformed(f"{where}: unknown key {name[:64]!r}; known are {', '.join(readers)}")
            given[name] = reader(item, f"{where}.{name}")
        for name in required:
            if name not in given:
                raise Malformed(f"{where}: missing key {name!r}")
        return cls(**given)

    return read


def _is_required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _text(value: Json, where: str) -> str:
    if type(value) is not str:
        raise Malformed(f"{where}: expected a string, got {_kind(value)}")
    if len(value) > TEXT_LIMIT:
        raise Malformed(f"{where}: {len(value)} characters, at most {TEXT_LIMIT} are taken")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Malformed(f"{where}: a lone surrogate is not text") from None
    return value


def _integer(value: Json, where: str) -> int:
    if type(value) is not int:
        raise Malformed(f"{where}: expected a whole number, got {_kind(value)}")
    if not -SAFE_INTEGER <= value <= SAFE_INTEGER:
        raise Malformed(f"{where}: beyond what JSON carries exactly")
    return value


def _number(value: Json, where: str) -> float:
    if type(value) not in (int, float):
        raise Malformed(f"{where}: expected a number, got {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Malformed(f"{where}: not a finite number")
    return number


def _boolean(value: Json, where: str) -> bool:
    if type(value) is not bool:
        raise Malformed(f"{where}: expected true or false, got {_kind(value)}")
    return value


def _list_reader(item: Reader, most: int) -> Reader:
    def read(value: Json, where: str) -> tuple[Json, ...]:
        if type(value) not in (list, tuple):
            raise Malformed(f"{where}: expected a list, got {_kind(value)}")
        if len(value) > most:
            raise Malformed(f"{where}: {len(value)} items, at most {most} are taken")
        return tuple(item(v, f"{where}[{i}]") for i, v in enumerate(value))

    return read


def _mapping_reader(item: Reader) -> Reader:
    def read(value: Json, where: str) -> dict[str, Json]:
        if type(value) is not dict:
            raise Malformed(f"{where}: expected an object, got {_kind(value)}")
        return {_text(k, where): item(v, f"{where}.{k[:64]}") for k, v in value.items()}

    return read


def _open(value: Json, where: str) -> Json:
    return value


def _kind(value: Json) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), f"a number ({str(value)[:24]})")


_SCALARS: dict[Any, Reader] = {str: _text, int: _integer, float: _number, bool: _boolean, Any: _open}
