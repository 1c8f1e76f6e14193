"""The owner's channel: signed, numbered requests; the only way to configure, stop or resume."""

import json
import sqlite3

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from teehee.errors import Refused
from teehee.wire import strict
from teehee.wire.owner import Envelope, Request, signed_bytes


class OwnerDesk:
    """Opens envelopes: a known key, a good signature, a number not used before."""

    def __init__(self, db: sqlite3.Connection, keys: frozenset[str]) -> None:
        self.db = db
        self.keys = keys

    def check_signature(self, envelope: Envelope) -> Request:
        """The request inside. Raises Refused when the key is not an owner's or the signature does not hold."""
        if type(envelope.body) is not str:
            raise strict.Malformed("body: expected the signed text")
        if envelope.key not in self.keys:
            raise Refused("owner.key-unknown", "this key is not an owner of this vault")
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(envelope.key))
            public.verify(bytes.fromhex(envelope.signature), signed_bytes(envelope.body))
        except (InvalidSignature, ValueError):
            raise Refused("owner.signature", "the signature does not hold for this request") from None
        try:
            body = json.loads(envelope.body)
        except (ValueError, RecursionError):
            raise strict.Malformed("body: expected JSON") from None
        return strict.parse(Request, body, "body")

    def take_number(self, key: str, seq: int) -> None:
        """Uses up a sequence number, inside the caller's transaction."""
        row = self.db.execute("SELECT seq FROM owner_requests WHERE owner_key=?", (key,)).fetchone()
        if row is not None and seq <= row[0]:
            raise Refused("owner.replayed", f"request {seq} comes after {row[0]}: each number is good once")
        self.db.execute(
            "INSERT INTO owner_requests VALUES (?,?) ON CONFLICT (owner_key) DO UPDATE SET seq=excluded.seq", (key, seq)
        )
