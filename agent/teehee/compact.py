"""Compact JSON by orjson, for the long values of gate and mind: prompts and records (docs/decisions/011).

The vault loads nothing but cryptography, so the wire keeps to the standard library. Nothing is signed or hashed in this
form: that is `teehee.evidence.canonical`.
"""

import json
from collections.abc import Callable
from typing import Any

import orjson

Json = Any

_AS_EVER = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME  # no JSON, as for the standard library


def encode(value: Json, default: Callable[[Json], Json] | None = None) -> bytes:
    """`value` as UTF-8; half a surrogate pair becomes a question mark, no number is NaN.

    `default` gives what stands for a value JSON has no form for. Raises TypeError, ValueError or RecursionError.
    """
    try:
        return orjson.dumps(value, default, _AS_EVER)
    except TypeError:  # half a pair, a whole number past 64 bits, a key that is no text, or really none
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default)
        return text.encode("utf-8", "replace")


def decode(data: bytes) -> Json:
    """What `data` holds: strict UTF-8 and JSON, no half surrogate pairs, numbers that are finite. Raises ValueError."""
    return orjson.loads(data)
