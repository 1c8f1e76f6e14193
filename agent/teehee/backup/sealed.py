"""The form of a backup file: one line of JSON, then sealed chunks that cannot be cut, moved, altered or left out.

The line names the form, the guest API the keys come from, a salt, and a value by which the right key is known. The key
is of this file alone, so a chunk's nonce is its number and whether it is the last; every chunk is bound to the line.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import BinaryIO, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from teehee.errors import ConfigError
from teehee.tee.guest import Era
from teehee.wire import strict

FORM = 1
CHUNK_BYTES = 1 << 20
TAG_BYTES = 16
MOST_HEADER_BYTES = 1024
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Header:
    """The first line. `salt` and `check` are 32 bytes in hex, `era` is the guest's API, `taken_at` in milliseconds."""

    era: str
    salt: str
    check: str
    taken_at: int

    def line(self) -> bytes:
        told = {"teehee-backup": FORM, "era": self.era, "taken_at": self.taken_at}
        return json.dumps({**told, "salt": self.salt, "check": self.check}).encode() + b"\n"


def read_header(file: BinaryIO) -> Header:
    """The header, with `file` left at the first chunk. Raises ConfigError for what is no backup of a known form."""
    line = file.readline(MOST_HEADER_BYTES)
    try:
        told = json.loads(line)
        form = told.pop("teehee-backup")
        if type(form) is int and form != FORM:
            raise ConfigError(
                f"this backup has form {form}, this release reads form {FORM}", hint="use the teehee that wrote it"
            )
        header = strict.parse(Header, told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, strict.Malformed):
        raise ConfigError("this is no backup of teehee: its first line is another") from None
    fits = DIGEST.fullmatch(header.salt) and DIGEST.fullmatch(header.check) and header.era in get_args(Era)
    if not fits or header.line() != line:
        raise ConfigError("this is no backup of teehee any more: its first line was altered")
    return header


class Writer:
    """Seals what is written to it; `close` writes the last chunk, without which the file does not open."""

    def __init__(self, file: BinaryIO, header: Header, key: bytes) -> None:
        self.file = file
        self._cipher = AESGCM(key)
        self._bound = _bound(header)
        self._waiting = bytearray()
        self._number = 0
        file.write(header.line())

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def close(self) -> None:
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, plain: bytes, *, last: bool) -> None:
        self.file.write(self._cipher.encrypt(_nonce(self._number, last), plain, self._bound))
        self._number += 1


class Reader:
    """Opens chunk by chunk; gives nothing that was not sealed at this place of this file."""

    def __init__(self, file: BinaryIO, header: Header, key: bytes) -> None:
        self.file = file
        self._cipher = AESGCM(key)
        self._bound = _bound(header)
        self._ready = bytearray()
        self._next = file.read(CHUNK_BYTES + TAG_BYTES)
        self._number = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end. Raises ConfigError when the file was cut or altered."""
        while len(self._ready) < size and not self._ended:
            self._open()
        given = bytes(self._ready[:size])
        del self._ready[:size]
        return given

    def finish(self) -> None:
        """Reads on to the last chunk, so that nothing is left unlooked at."""
        while not self._ended:
            self._open()
            self._ready.clear()

    def _open(self) -> None:
        chunk, self._next = self._next, self.file.read(CHUNK_BYTES + TAG_BYTES)
        self._ended = not self._next
        try:
            self._ready += self._cipher.decrypt(_nonce(self._number, self._ended), chunk, self._bound)
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            raise ConfigError(
                f"this backup does not open at chunk {self._number + 1}: it was cut short or altered",
                hint="use another copy of it; nothing was changed",
            ) from None
        self._number += 1


def _bound(header: Header) -> bytes:
    return hashlib.sha256(header.line()).digest()


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])
