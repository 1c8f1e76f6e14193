"""The statement an agent makes about itself, which the hardware signs by way of report_data.

A statement is one object of canonical JSON and is published whole. What binds it to a quote is

    report_data = SHA-512( "teehee/statement/v1" || 0x00 || RFC 8785 form of the statement )

all 64 bytes of it, and the next statement names it by the hash

    SHA-256( "teehee/statement/v1" || 0x00 || RFC 8785 form of the statement )

in hex. The domain is the 19 ASCII characters between the quotes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Annotated

from teehee.evidence import canonical
from teehee.evidence.canonical import Record, named, text
from teehee.evidence.leaf import Count, Digest, DigestOrNone, KeyId, Millis, Name, PublicKeys

DOMAIN = b"teehee/statement/v1"
MAX_STATEMENT_BYTES = 131_072

AppId = Annotated[str, text("an app id of 40 lower-case hex digits", r"[0-9a-f]{40}")]
Origin = Annotated[str, text("a log origin of 1 to 255 printable ASCII characters but '+'", r"[!-*,-~]{1,255}")]
Nonce = Annotated[str, text("at most 64 bytes in lower-case hex", r"(?:[0-9a-f]{2}){0,64}")]
Trust = Annotated[str, text("'dev' or 'tdx'", r"dev|tdx")]
# Numeric ids of people's platforms and addresses of chains, never display names.
Identifiers = Annotated[Mapping[str, str], named(Name, text("1 to 128 printable ASCII characters", r"[!-~]{1,128}"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Record):
    """Which code and character runs, which keys and accounts are its own, how far its log goes.

    `previous` is the hash of the statement before, empty in the first; `nonce` is what a follower sent, or the Merkle
    root over what many sent, empty when nobody asked.
    """

    key_id: KeyId
    app_id: AppId
    compose_hash: Digest
    package_hash: Digest
    policy_hash: Digest
    keys: PublicKeys
    addresses: Identifiers
    accounts: Identifiers
    log_origin: Origin
    log_size: Count
    log_root: Digest
    previous: DigestOrNone
    nonce: Nonce
    issued_at: Millis
    trust: Trust

    def encode(self) -> bytes:
        """The canonical bytes, as published."""
        return canonical.canonical(self.members())

    def hash(self) -> str:
        """The hex hash by which the next statement names this one."""
        return sha256(self._bound()).hexdigest()

    def report_data(self) -> bytes:
        """The 64 bytes that a quote over this statement carries."""
        return sha512(self._bound()).digest()

    def _bound(self) -> bytes:
        return DOMAIN + b"\x00" + self.encode()


def parse(data: bytes) -> Statement:
    """The statement these bytes are: canonical JSON with exactly its keys, each with a fitting value.

    Raises VerificationError at the steps json.1 to json.8 and record.1 to record.4.
    """
    return Statement.read(canonical.loads_canonical(data, limit=MAX_STATEMENT_BYTES))
