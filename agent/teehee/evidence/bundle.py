"""The bundle: one file with everything a check of an agent needs, and nothing that must be asked of anybody.

    {"format":"teehee/bundle/v1","statement":"{…}","quote":"0400…","event_log":"[…]","app_compose":"eyJ…", …}

It is one object of canonical JSON. What is signed inside keeps its own bytes: the statement and the event log are
strings, the app-compose is base64, so that no reader has to write anything anew to check it. Bundles prove nothing by
what they say; `verify` looks.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

from teehee.evidence import canonical
from teehee.evidence.canonical import Record, Shape, text, whole

Json = Any
FORMAT = "teehee/bundle/v1"
MAX_BUNDLE_BYTES = 4 << 20
MAX_KEYS = 64
BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")

Hex = Annotated[str, text("lower-case hex", r"(?:[0-9a-f]{2})*")]
Text = Annotated[str, text("text of at most a million characters", r"(?s).{0,1000000}")]


@dataclass(frozen=True, slots=True)
class ChainedKey(Record):
    """A key of the agent as the guest agent gave it: its name, and its chain of signatures (hex, may be empty)."""

    name: Annotated[str, text("a key name", r"[!-~]{1,255}")]
    algorithm: Annotated[str, text("'ed25519' or 'secp256k1'", r"ed25519|secp256k1")]
    public: Hex
    link0: Hex
    link1: Hex


def _keys(value: Json, where: str) -> Json:
    """Keys by the name they have in the statement."""
    if not isinstance(value, Mapping) or len(value) > MAX_KEYS:
        raise ValueError(f"{where}: expected an object of at most {MAX_KEYS} keys")
    found = {}
    for name, item in value.items():
        if type(name) is not str or not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
            raise ValueError(f"{where}: expected short names, got {str(name)[:40]!r}")
        found[name] = item if isinstance(item, ChainedKey) else _read_key(item, f"{where}[{name!r}]")
    return MappingProxyType(found)


def _read_key(item: Json, where: str) -> ChainedKey:
    if not isinstance(item, dict) or item.keys() != {"name", "algorithm", "public", "link0", "link1"}:
        raise ValueError(f"{where}: expected name, algorithm, public, link0 and link1")
    return ChainedKey(**item)


def _base64(value: Json, where: str) -> Json:
    if type(value) is not str or not BASE64.fullmatch(value) or len(value) % 4:
        raise ValueError(f"{where}: expected base64")
    return value


def _proof(value: Json, where: str) -> Json:
    """How one nonce of many is under the root in the statement: {nonce, index, count, path}; null without one."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or value.keys() != {"nonce", "index", "count", "path"}:
        raise ValueError(f"{where}: expected null, or nonce, index, count and path")
    text("a nonce in hex", r"(?:[0-9a-f]{2}){1,64}")(value["nonce"], f"{where}.nonce")
    whole(value["index"], f"{where}.index")
    whole(value["count"], f"{where}.count")
    nodes = value["path"]
    if not isinstance(nodes, list | tuple) or len(nodes) > 64:
        raise ValueError(f"{where}.path: expected at most 64 hashes")
    digest: Shape = text("a hash of 64 hex digits", r"[0-9a-f]{64}")
    return MappingProxyType({**value, "path": tuple(digest(node, f"{where}.path") for node in nodes)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle(Record):
    """`as_of` is the second of the quote; `collateral` is Intel's word on the platform at a time near it, in JSON.

    `api` is the guest API the keys come from; `collateral_from` says where it was fetched, empty when there is none.
    """

    format: Annotated[str, text(f"{FORMAT!r}", re.escape(FORMAT))]
    api: Annotated[str, text("'v0', 'v1' or 'tappd'", r"v0|v1|tappd")]
    statement: Text
    quote: Hex
    event_log: Text
    app_compose: Annotated[str, _base64]
    vm_config: Text
    keys: Annotated[Mapping[str, ChainedKey], _keys]
    checkpoint: Text
    collateral: Text
    collateral_from: Text
    as_of: Annotated[int, whole]
    nonce: Annotated[Mapping[str, Json] | None, _proof]

    def encode(self) -> bytes:
        """The canonical bytes of the file."""
        members = self.members()
        members["keys"] = {name: key.members() for name, key in self.keys.items()}
        if self.nonce is not None:
            members["nonce"] = {**self.nonce, "path": list(self.nonce["path"])}
        return canonical.canonical(members)

    def compose_bytes(self) -> bytes:
        """The app-compose exactly as the machine booted it. Raises ValueError for base64 that is none."""
        try:
            return base64.b64decode(self.app_compose, validate=True)
        except binascii.Error as fault:
            raise ValueError(f"app_compose: {fault}") from None


def parse(data: bytes) -> Bundle:
    """The bundle in `data`, in any formatting. Raises VerificationError at steps json.1 to json.7, record.1 to 4."""
    return Bundle.read(canonical.loads(data, limit=MAX_BUNDLE_BYTES))
