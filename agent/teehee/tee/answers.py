"""What an answer of a guest agent means: its status as one of our errors, its fields as bytes and text, strictly."""

import contextlib
import json
import re
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from teehee.errors import Unavailable
from teehee.evidence import keychain
from teehee.tee import exchange
from teehee.tee.guest import GuestError

Json = Any

WORDS_SHOWN = 300  # of an agent's own error message
KEY_BYTES = 32
HEX = re.compile(r"(?:[0-9a-f]{2})*")


def read(answer: exchange.Answer, method: str) -> dict[str, Json]:
    """The JSON object of a good answer. Raises what the status of any other one means."""
    if answer.status >= 500:
        told = f"the guest agent failed at {method}: {answer.status} {error(answer)}".rstrip()
        raise Unavailable(told, code="guest-failing", retry_after=exchange.RETRY_SECONDS)
    if answer.status != 200:
        raise GuestError(f"the guest agent refused {method}: {error(answer) or answer.status}")
    return dict(_parsed(answer.body, dict, f"its answer to {method}"))


def knows_surface(answer: exchange.Answer) -> bool:
    """A 404 that says `Service not found` comes from an API that is there; any other, from a server that lacks it."""
    return error(answer).startswith("Service not found")


def error(answer: exchange.Answer) -> str:
    """What an agent says went wrong, in one line; empty when it says nothing in its own form."""
    with contextlib.suppress(GuestError):
        said = _parsed(answer.body, dict, "an error").get("error")
        if type(said) is str:
            return " ".join("".join(one if one.isprintable() else " " for one in said[:WORDS_SHOWN]).split())
    return ""


def text(answer: dict[str, Json], name: str, default: str | None = None) -> str:
    value = answer.get(name, default)
    if type(value) is not str or _has_half_a_pair(value):
        raise _nonsense(f"expected text in {name!r}")
    return value


def octets(answer: dict[str, Json], name: str, default: bytes | None = None) -> bytes:
    if default is not None and name not in answer:
        return default
    return _unhex(answer.get(name), name)


def secret(answer: dict[str, Json]) -> bytes:
    key = octets(answer, "key")
    if len(key) != KEY_BYTES:
        raise _nonsense(f"a key of {len(key)} bytes, expected {KEY_BYTES}")
    return key


def links(answer: dict[str, Json]) -> tuple[bytes, ...]:
    """The two links; the second is empty where no key service stands behind the app."""
    chain = answer.get("signature_chain")
    if type(chain) is not list or len(chain) != 2:
        raise _nonsense("expected two links in 'signature_chain'")
    first, second = (_unhex(link, "signature_chain") for link in chain)
    if len(first) != keychain.SIGNATURE_BYTES or len(second) not in (0, keychain.SIGNATURE_BYTES):
        raise _nonsense(f"links of {len(first)} and {len(second)} bytes")
    return first, second


def p256_secret(pem: str) -> bytes:
    """The 32 bytes of a P-256 key in PEM form."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _nonsense("tappd's key is no key in PEM form") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise _nonsense("tappd's key is not one of P-256")
    return key.private_numbers().private_value.to_bytes(KEY_BYTES)


def json_object(value: str) -> dict[str, Json]:
    """A JSON object that came as text; an empty text is an empty one."""
    return dict(_parsed(value or "{}", dict, "tcb_info"))


def json_list(value: str) -> bytes:
    """The bytes of a JSON list that came as text, as they came."""
    _parsed(value, list, "event_log")
    return value.encode()


def _parsed(data: bytes | str, kind: type[Json], what: str) -> Json:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not kind:
        raise _nonsense(f"{what} is no JSON {kind.__name__}")
    return value


def _has_half_a_pair(value: str) -> bool:
    return not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)


def _unhex(value: Json, name: str) -> bytes:
    if type(value) is not str or not HEX.fullmatch(value):
        raise _nonsense(f"expected hex in {name!r}")
    return bytes.fromhex(value)


def _nonsense(what: str) -> GuestError:
    return GuestError(f"the guest agent talks nonsense: {what}")
