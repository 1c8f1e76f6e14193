"""Checkpoints of a log: its size and root as a signed note, with the cosignatures of witnesses.

Source: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-cosignature.

    teehee/ada-7f3c                                         origin: which log
    20852163                                                tree size
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=            root hash

    — teehee/ada-7f3c Az3grlgtzPICa5OS8npVmf1Myq/5IZni...   key name; key hash and signature
    — witness.example/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiID...   key name; key hash, time and signature
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from teehee.errors import VerificationError
from teehee.evidence.merkle import HASH_BYTES

MAX_NOTE_BYTES = 262_144  # room for 16 post-quantum signatures, which everyone must accept
MAX_SIGNATURES = 64
MAX_INTEGER = 2**63 - 1

ED25519 = 0x01  # signs the text of a note
COSIGNATURE = 0x04  # signs `cosignature/v1`, a time, and the text

_LINE = re.compile(r"[^\x00-\x1f\ud800-\udfff]+")
_NAME = re.compile(r"[^\x00-\x20\s+\ud800-\udfff]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's tree head: its origin, size and root, and lines of extension (better none, since nobody audits them)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not _LINE.fullmatch(line):
                raise ValueError(f"a line is neither empty nor has control characters, got {line[:64]!r}")
        if not 0 <= self.size <= MAX_INTEGER:
            raise ValueError(f"a tree has 0 to 2^63-1 leaves, got {self.size}")
        if len(self.root) != HASH_BYTES:
            raise ValueError(f"a root hash has {HASH_BYTES} bytes, got {len(self.root)}")

    def body(self) -> str:
        """The text that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, _base64(self.root), *self.extensions))


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose it is said to be, and for a cosignature the time before the signature itself."""

    name: str
    key_hash: bytes
    signature: bytes

    def line(self) -> str:
        """The line as it stands in a note, newline included."""
        return f"— {self.name} {_base64(self.key_hash + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, its last newline included, and its signatures. Parsed is not verified: do not believe the text yet."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n") or _CONTROL.search(self.text):
            raise ValueError(f"a note's text ends in a newline, its only control character, got {self.text[:64]!r}")

    def encode(self) -> str:
        """The note as it is sent."""
        return "".join((self.text, "\n", *(signature.line() for signature in self.signatures)))


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key to check signatures with, by name and algorithm."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_hash(self) -> bytes:
        """The 4 bytes by which a signature line names this key. They identify; they do not authenticate."""
        return key_hash(self.name, self.public_key, self.algorithm)


def parse_body(text: str) -> Checkpoint:
    """The checkpoint a note's text is.

    1. It has three lines or more, each ended by a newline.
    2. The second line is the size, in decimal digits without leading zeros.
    3. The third line is the root, in canonical base64.
    4. They fit a checkpoint: size up to 2^63-1, root of 32 bytes, no line empty or with control characters.
    """
    *lines, rest = text.split("\n")
    if len(lines) < 3 or rest:  # 1
        raise VerificationError("checkpoint.1", f"expected 3 or more lines ended by newlines, got {text[:128]!r}")
    origin, size, root, *extensions = lines
    if not _DECIMAL.fullmatch(size):  # 2
        raise VerificationError("checkpoint.2", f"expected a size in plain decimal, got {size[:64]!r}")
    root_bytes = _unbase64(root, "checkpoint.3", "root hash")  # 3
    try:
        return Checkpoint(origin, int(size), root_bytes, tuple(extensions))  # 4
    except ValueError as fault:
        raise VerificationError("checkpoint.4", str(fault)) from None


def parse_note(data: bytes | str) -> Note:
    """Split a note into text and signatures, verifying none.

    1. It has at most 256 KiB.
    2. It is UTF-8 without control characters but newline.
    3. It ends in a newline, and its last empty line has a text before it and signatures behind it.
    4. There are at most 64 signatures.
    5. Each is an em dash, a key name and base64, with one space between.
    6. The name has no spaces and no plus.
    7. The base64 is canonical.
    8. It holds a key hash of 4 bytes and a signature.
    """
    try:
        raw = data if isinstance(data, bytes) else data.encode()
        if len(raw) > MAX_NOTE_BYTES:  # 1
            raise VerificationError("note.1", f"expected at most {MAX_NOTE_BYTES} bytes, got {len(raw)}")
        note = raw.decode()
    except UnicodeError as fault:  # 2
        raise VerificationError("note.2", f"expected UTF-8: {fault.args[-1]}") from None
    if control := _CONTROL.search(note):  # 2
        raise VerificationError("note.2", f"expected no control characters, got {control[0]!r} at {control.start()}")
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):  # 3
        raise VerificationError("note.3", f"expected a text, an empty line and signature lines, got ...{note[-64:]!r}")
    signatures = lines[:-1].split("\n")
    if len(signatures) > MAX_SIGNATURES:  # 4
        raise VerificationError("note.4", f"expected at most {MAX_SIGNATURES} signatures, got {len(signatures)}")
    return Note(text + "\n", tuple(_parse_signature(line) for line in signatures))


def _parse_signature(line: str) -> Signature:
    dash, name, encoded = (*line.split(" ", 2), "", "")[:3]
    if dash != "—" or not encoded:  # 5
        raise VerificationError("note.5", f"expected '— <key name> <base64>', got {line[:128]!r}")
    if not _NAME.fullmatch(name):  # 6
        raise VerificationError("note.6", f"expected a key name without spaces and plus, got {name[:64]!r}")
    raw = _unbase64(encoded, "note.7", f"signature of {name[:64]!r}")  # 7
    if len(raw) < 5:  # 8
        raise VerificationError("note.8", f"signature of {name[:64]!r}: expected 5 bytes or more, got {len(raw)}")
    return Signature(name, raw[:4], raw[4:])


def key_hash(name: str, public_key: bytes, algorithm: int = ED25519) -> bytes:
    """The first 4 bytes of SHA-256 over the name, a newline, the algorithm's byte and the public key."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"a key name has no spaces and no plus, got {name!r}")
    return sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()[:4]


def vkey(name: str, public_key: bytes, algorithm: int = ED25519) -> str:
    """The verifier key in one line, `<name>+<key hash>+<base64>`, as verifiers are configured with it."""
    return f"{name}+{key_hash(name, public_key, algorithm).hex()}+{_base64(bytes([algorithm]) + public_key)}"


def parse_vkey(text: str) -> VerifierKey:
    """The key such a line names.

    1. It is a name, 8 lower-case hex digits and base64, with a plus between.
    2. The base64 is canonical.
    3. It is an Ed25519 key, to sign notes (1) or cosignatures (4), of 32 bytes.
    4. The hex digits are its key hash.
    """
    name, hash_hex, encoded = (*text.split("+", 2), "", "")[:3]
    if not _NAME.fullmatch(name) or not re.fullmatch(r"[0-9a-f]{8}", hash_hex):  # 1
        raise VerificationError("vkey.1", f"expected <name>+<8 hex digits>+<base64>, got {text[:128]!r}")
    raw = _unbase64(encoded, "vkey.2", f"key of {name!r}")  # 2
    if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):  # 3
        raise VerificationError("vkey.3", f"expected an algorithm byte 01 or 04 and 32 bytes, got {raw.hex()[:128]!r}")
    key = VerifierKey(name, raw[0], raw[1:])
    if key.key_hash.hex() != hash_hex:  # 4
        raise VerificationError("vkey.4", f"expected key hash {key.key_hash.hex()}, got {hash_hex}")
    return key


def sign(checkpoint: Checkpoint, name: str, private_key: Ed25519PrivateKey) -> str:
    """The checkpoint as a note, signed by the log's key of this name."""
    return sign_note(checkpoint.body(), name, private_key)


def sign_note(text: str, name: str, private_key: Ed25519PrivateKey) -> str:
    """Any text as a note signed by this key."""
    signature = _sign(name, ED25519, private_key, text.encode())
    return Note(text, (signature,)).encode()


def cosign(checkpoint: Checkpoint, name: str, private_key: Ed25519PrivateKey, time_seconds: int) -> str:
    """The signature line by which the witness of this name says it saw no larger tree of this log at that time."""
    if not 0 <= time_seconds <= MAX_INTEGER:
        raise ValueError(f"a cosignature's time is from 0 to 2^63-1 seconds, got {time_seconds}")
    message = _cosigned(time_seconds, checkpoint.body())
    return _sign(name, COSIGNATURE, private_key, message, time_seconds.to_bytes(8)).line()


def verify(note: bytes | str, vkey: str, *, origin: str = "") -> Checkpoint:
    """The checkpoint of a note that the key has signed.

    1-3. The key signed the note, as in `verify_note`.
    4. The text is a checkpoint (steps checkpoint.1 to checkpoint.4).
    5. Its origin is the one expected: the key's name unless told. The spec only recommends that they agree; asking
       for it keeps one log's key from speaking for another log.
    """
    checkpoint = parse_body(verify_note(note, vkey).text)  # 1-4
    expected = origin or parse_vkey(vkey).name
    if checkpoint.origin != expected:  # 5
        raise VerificationError("signature.5", f"expected origin {expected!r}, got {checkpoint.origin[:128]!r}")
    return checkpoint


def verify_note(note: bytes | str, vkey: str) -> Note:
    """The note, if the key signed it; signatures of other keys are ignored.

    1. The key is one that signs notes (steps vkey.1 to vkey.4), and the note has its form (note.1 to note.8).
    2. There is a signature of the key.
    3. Every signature of the key holds.
    """
    key, parsed, signatures = _signatures_of(note, vkey, ED25519)  # 1, 2
    for signature in signatures:  # 3
        _check_signature(key, signature, parsed.text.encode())
    return parsed


def verify_cosignature(note: bytes | str, vkey: str) -> int:
    """The time, in seconds, at which the witness cosigned this checkpoint; the latest if it did so more than once.

    1-3. The witness signed the note, as in `verify_note`, each time with its time before the text.
    4. The text is a checkpoint. (Whether the log signed it too is for `verify` to say.)
    """
    key, parsed, signatures = _signatures_of(note, vkey, COSIGNATURE)  # 1, 2
    times = [int.from_bytes(signature[:8]) for signature in signatures]
    for time_seconds, signature in zip(times, signatures, strict=True):  # 3
        if time_seconds > MAX_INTEGER:
            raise VerificationError("signature.3", f"expected a time up to 2^63-1, got {time_seconds}")
        _check_signature(key, signature[8:], _cosigned(time_seconds, parsed.text))
    parse_body(parsed.text)  # 4
    return max(times)


def _sign(name: str, algorithm: int, private_key: Ed25519PrivateKey, message: bytes, prefix: bytes = b"") -> Signature:
    public_key = private_key.public_key().public_bytes_raw()
    return Signature(name, key_hash(name, public_key, algorithm), prefix + private_key.sign(message))


def _cosigned(time_seconds: int, body: str) -> bytes:
    return f"cosignature/v1\ntime {time_seconds}\n{body}".encode()


def _signatures_of(note: bytes | str, vkey: str, algorithm: int) -> tuple[VerifierKey, Note, list[bytes]]:
    key = parse_vkey(vkey)
    if key.algorithm != algorithm:
        raise VerificationError("signature.1", f"expected a key of algorithm {algorithm}, got {key.algorithm}")
    parsed, hashed = parse_note(note), key.key_hash
    found = [s.signature for s in parsed.signatures if (s.name, s.key_hash) == (key.name, hashed)]
    if not found:
        raise VerificationError("signature.2", f"expected a signature of {key.name!r} ({hashed.hex()}), got none")
    return key, parsed, found


def _check_signature(key: VerifierKey, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except InvalidSignature:
        raise VerificationError("signature.3", f"the signature of {key.name!r} does not hold for this text") from None


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _unbase64(encoded: str, step: str, what: str) -> bytes:
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError as fault:
        raise VerificationError(step, f"{what}: expected base64: {fault}") from None
    if _base64(raw) != encoded:
        raise VerificationError(step, f"{what}: expected canonical base64, got {encoded[:128]!r}")
    return raw
