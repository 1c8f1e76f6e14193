"""The owner channel's envelope: the exact signed text, the key, the signature."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = Any
DOMAIN = b"teehee/owner-request/v1\n"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request as it travels: `body` is the exact signed text, as long as a line may be; the others are hex."""

    body: Json
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class Request:
    """What the body says. `seq` must rise with every request of one key; `to` is the vault it was sealed to, if any."""

    seq: int
    method: str
    params: Json
    to: str = ""


def signed_bytes(body: str) -> bytes:
    """What the signature is over: a domain line, then the body's exact text."""
    return DOMAIN + body.encode()


def sign(body: Json, sign_bytes: Callable[[bytes], bytes], key: bytes) -> dict[str, str]:
    """The envelope of `body`, signed by whoever holds the owner key."""
    text = json.dumps(body)
    return {"body": text, "key": key.hex(), "signature": sign_bytes(signed_bytes(text)).hex()}
