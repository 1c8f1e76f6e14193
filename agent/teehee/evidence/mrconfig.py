"""MRCONFIGID of a dstack machine: 48 bytes fixed by its host before it boots, which bind what may run in it.

Source: dstack-types mr_config.rs, dstack-util config_id_verifier.rs.

    00 x 48                                                                           unset, up to 0.5.0
    01 || compose hash || 00 x 15                                                     version 1
    02 || Keccak-256( compose hash || app id || provider byte || provider id ) || ...  version 2
    03 || SHA-256( "dstack-mr-config-v3:" || 00 || document ) || ...                   version 3

The event log is written by the machine's own software; this is not. Version 1 binds the compose file only, version 2
also app id and key provider, version 3 what its document says: the bytes as supplied, read after they are hashed. No
TDX evidence carries that document; as it is RFC 8785 JSON of facts the event log tells too, it is written anew.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations

from teehee.errors import VerificationError
from teehee.evidence import canonical
from teehee.evidence.canonical import Json
from teehee.evidence.eventlog import KeyProvider
from teehee.evidence.keccak import keccak256

MAX_DOCUMENT_BYTES = 16_384
MAX_INIT_SCRIPTS = 5

_PROVIDER_BYTES = {"none": 0, "local-sgx": 1, "kms": 2, "tpm": 3}
_PROVIDER_WORDS = {"none": "none", "local": "local-sgx", "kms": "kms", "tpm": "tpm"}
_V3_DOMAIN = b"dstack-mr-config-v3:\x00"
_HEX = re.compile(r"(?:[0-9a-f]{2}){0,1024}")
_SIZES = {"app_id": 20, "compose_hash": 32, "gpu_policy_hash": 32, "key_provider_id": 0, "instance_id": 0}


@dataclass(frozen=True, slots=True)
class Config:
    """What a machine was started with: the facts that an MRCONFIGID may bind."""

    compose_hash: bytes
    app_id: bytes
    key_provider: KeyProvider
    instance_id: bytes = b""
    init_script_hashes: tuple[bytes, ...] = ()
    gpu_policy_hash: bytes = b""


def v1(compose_hash: bytes) -> bytes:
    """The MRCONFIGID of version 1."""
    return b"\x01" + compose_hash + bytes(15)


def v2(config: Config) -> bytes:
    """The MRCONFIGID of version 2."""
    provider = bytes([_PROVIDER_BYTES[config.key_provider.name]]) + config.key_provider.id
    return b"\x02" + keccak256(config.compose_hash + config.app_id + provider) + bytes(15)


def v3(document: bytes) -> bytes:
    """The MRCONFIGID of version 3 over this document."""
    return b"\x03" + sha256(_V3_DOMAIN + document).digest() + bytes(15)


def verify(mrconfigid: bytes, config: Config, document: bytes | None = None) -> tuple[str, ...]:
    """Check that the host bound this configuration before the machine booted; returns the names of what it bound.

    1. It has 48 bytes, and the form of a version: behind its digest are zeros.
    2. It is set.
    3. The version is 1, 2 or 3; only 3 comes with a document, of at most 16 KiB, and may come without.
    4. It is the one of this configuration (1, 2), of this document (3), or of one that says this configuration (3).
    5. The document is a JSON object with the keys of version 3, each of its form (steps json.1 to json.8).
    6. What the document says is what the machine was started with.
    """
    if len(mrconfigid) != 48 or any(mrconfigid[33:]):  # 1
        raise VerificationError("mrconfig.1", f"expected 48 bytes, zeros from 33 on, got {mrconfigid.hex()[:128]}")
    if not any(mrconfigid):  # 2
        raise VerificationError(
            "mrconfig.2",
            "expected an MRCONFIGID, it is unset: only the machine's own log names its compose file",
            hint="dstack sets it since 0.5.1.",
        )
    version = mrconfigid[0]
    if version not in (1, 2, 3) or (document is not None and version != 3):  # 3
        given = "no document" if document is None else "a document"
        raise VerificationError("mrconfig.3", f"expected 1, 2 or 3, a document for 3 only, got {version} with {given}")
    if version == 3 and document is None:
        document = next((told for told in _documents(config) if v3(told) == mrconfigid), None)
        if document is None:  # 4
            raise VerificationError(
                "mrconfig.4",
                f"expected the MRCONFIGID of a document with these facts, got {mrconfigid.hex()}",
                hint="Whoever started the machine has the document: give it along.",
            )
    if document is None:
        _check(mrconfigid, v1(config.compose_hash) if version == 1 else v2(config))  # 4
        return ("compose_hash",) if version == 1 else ("compose_hash", "app_id", "key_provider", "key_provider_id")
    if len(document) > MAX_DOCUMENT_BYTES:  # 3
        raise VerificationError("mrconfig.3", f"expected at most {MAX_DOCUMENT_BYTES} bytes, got {len(document)}")
    _check(mrconfigid, v3(document))  # 4
    said = _read(document)  # 5
    for name, value in said.items():
        expected = _fact(config, name)
        if value != expected:  # 6
            raise VerificationError("mrconfig.6", f"{name}: expected {expected!r}, got {value!r}")
    return tuple(said)


def _documents(config: Config) -> Iterator[bytes]:
    """Every document that says this configuration and nothing else, as dstack writes it: fields may be left out."""
    words = {word: name for name, word in _PROVIDER_WORDS.items()}
    always = {"version": 3, "compose_hash": config.compose_hash.hex(), "key_provider": words[config.key_provider.name]}
    optional: list[tuple[str, Json]] = [
        ("app_id", config.app_id.hex()),
        ("instance_id", config.instance_id.hex()),
        ("key_provider_id", config.key_provider.id.hex()),
        ("gpu_policy_hash", config.gpu_policy_hash.hex()),
        ("init_script_hashes", [script.hex() for script in config.init_script_hashes]),
    ]
    for count in range(len(optional), -1, -1):
        for chosen in combinations(optional, count):
            yield canonical.canonical({**always, **dict(chosen)})


def _check(got: bytes, expected: bytes) -> None:
    if got != expected:
        raise VerificationError("mrconfig.4", f"expected MRCONFIGID {expected.hex()}, got {got.hex()}")


def _read(document: bytes) -> dict[str, Json]:
    """What the document binds, in the form of Config."""
    members = canonical.loads(document, limit=MAX_DOCUMENT_BYTES)
    if type(members) is not dict or members.pop("version", 3) != 3:
        raise VerificationError("mrconfig.5", "expected an object of version 3")
    if not {"compose_hash", "key_provider"} <= members.keys() <= _SIZES.keys() | {"key_provider", "init_script_hashes"}:
        raise VerificationError("mrconfig.5", f"expected the keys of version 3, got {sorted(members)!r:.200}")
    scripts = members.get("init_script_hashes", [])
    if type(scripts) is not list or len(scripts) > MAX_INIT_SCRIPTS:
        raise VerificationError("mrconfig.5", f"expected at most {MAX_INIT_SCRIPTS} init scripts, got {scripts!r:.64}")
    said: dict[str, Json] = {
        name: _bytes(members[name], size, name) for name, size in _SIZES.items() if name in members
    }
    provider = members["key_provider"]
    if type(provider) is not str or provider not in _PROVIDER_WORDS:
        raise VerificationError("mrconfig.5", f"expected one of {', '.join(_PROVIDER_WORDS)}, got {provider!r:.64}")
    said["key_provider"] = _PROVIDER_WORDS[provider]
    if "init_script_hashes" in members:
        said["init_script_hashes"] = tuple(_bytes(script, 32, "init_script_hashes") for script in scripts)
    return said


def _bytes(value: Json, size: int, name: str) -> bytes:
    """Lower-case hex of so many bytes; 0 for any number."""
    if type(value) is not str or not _HEX.fullmatch(value) or size not in (0, len(value) // 2):
        wanted = f"{size} bytes" if size else "bytes"
        raise VerificationError("mrconfig.5", f"{name}: expected {wanted} in lower-case hex, got {value!r:.80}")
    return bytes.fromhex(value)


def _fact(config: Config, name: str) -> Json:
    facts = {"key_provider": config.key_provider.name, "key_provider_id": config.key_provider.id}
    return facts[name] if name in facts else getattr(config, name)
