"""Newline-delimited JSON-RPC 2.0: one line, one message; what is malformed is named."""

import json
from dataclasses import dataclass
from typing import Any

from teehee.errors import ConfigError, Refused, TeeheeError, Unavailable
from teehee.wire.strict import Malformed

Json = Any

LINE_LIMIT = 1 << 20  # bytes in one message

PARSE, INVALID, NO_METHOD, BAD_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
REFUSED, UNAVAILABLE, CONFIG = -32001, -32002, -32003

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Request:
    """A call; `id` is None for a notification."""

    id: int | str | None
    method: str
    params: dict[str, Json]


class BadFrame(TeeheeError):
    """A line that is no JSON-RPC request; carries the error code to answer with, and the id if it had one."""

    def __init__(self, code: int, message: str, identity: int | str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.identity = identity


def encode(message: Json) -> bytes:
    """One message as one line."""
    return _encode(message).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Json:
    """What a line of our own peer holds. Raises ValueError."""
    return _decode(line.decode())


def decode_request(line: bytes) -> Request:
    """A strict request: exactly jsonrpc, method, params and id; batches are refused."""
    try:
        value = _decode(line.decode())
    except (ValueError, RecursionError):
        raise BadFrame(PARSE, "this line is not UTF-8 JSON") from None
    if type(value) is not dict:
        raise BadFrame(INVALID, "expected one request object a line; batches are not taken")
    if value.get("jsonrpc") != "2.0" or not value.keys() <= {"jsonrpc", "id", "method", "params"}:
        raise BadFrame(INVALID, 'expected the keys jsonrpc ("2.0"), id, method and params, and no others')
    method, params, identity = value.get("method"), value.get("params", {}), value.get("id")
    if identity is not None and type(identity) not in (int, str):
        raise BadFrame(INVALID, "id must be a number or a string")
    if type(method) is not str or not 0 < len(method) <= 64:
        raise BadFrame(INVALID, "method must be a name of at most 64 characters", identity)
    if type(params) is not dict:
        raise BadFrame(BAD_PARAMS, "params must be an object", identity)
    return Request(identity, method, params)


def result(identity: int | str | None, value: Json) -> bytes:
    return encode({"jsonrpc": "2.0", "id": identity, "result": value})


def failure(identity: int | str | None, error: Exception) -> bytes:
    """The error reply; only our own errors are told in words, anything else stays inside."""
    code = INTERNAL
    data: dict[str, Json] = {}
    message = "internal error; the log has it"
    if isinstance(error, BadFrame):
        code, message = error.code, str(error)
    elif isinstance(error, Malformed):
        code, message = BAD_PARAMS, str(error)
    elif isinstance(error, Refused):
        code, message, data = REFUSED, error.reason, {"rule": error.rule}
    elif isinstance(error, Unavailable):
        code, message = UNAVAILABLE, str(error)
        data = {"code": error.code, "retry_after": error.retry_after}
    elif isinstance(error, ConfigError):
        code, message = CONFIG, str(error)
    elif isinstance(error, TeeheeError):
        message = str(error)
    if isinstance(error, TeeheeError) and error.hint:
        data["hint"] = error.hint
    body: dict[str, Json] = {"code": code, "message": message[:2000]}
    return encode({"jsonrpc": "2.0", "id": identity, "error": body | ({"data": data} if data else {})})


def raise_failure(error: Json) -> None:
    """Raises what `failure` wrote, as the same kind of error."""
    code, message, data = error.get("code"), str(error.get("message", "")), error.get("data") or {}
    hint = str(data.get("hint", ""))
    if code == REFUSED:
        raise Refused(str(data.get("rule", "unknown")), message, hint=hint)
    if code == UNAVAILABLE:
        pause = float(data.get("retry_after", 1.0))
        raise Unavailable(message, code=str(data.get("code")), retry_after=pause, hint=hint)
    if code == CONFIG:
        raise ConfigError(message, hint=hint)
    if code in (BAD_PARAMS, INVALID, PARSE, NO_METHOD):
        raise Malformed(message, hint=hint)
    raise TeeheeError(message, hint=hint)


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode
