"""The form of a backup file: what was sealed comes back whole, and nothing else comes back at all."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teehee.backup import sealed
from teehee.backup.sealed import Header, Reader, Writer, read_header
from teehee.errors import ConfigError

KEY = bytes(range(32))
HEADER = Header("v1", "5a" * 32, "c4" * 32, 1_767_225_600_000)
CHUNK = 64
SEALED_CHUNK = CHUNK + sealed.TAG_BYTES


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of many chunks, quickly."""
    monkeypatch.setattr(sealed, "CHUNK_BYTES", CHUNK)


def seal(plain: bytes, header: Header = HEADER, key: bytes = KEY) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, header, key)
    writer.write(plain)
    writer.close()
    return file.getvalue()


def unseal(data: bytes, key: bytes = KEY) -> bytes:
    file = io.BytesIO(data)
    reader = Reader(file, read_header(file), key)
    plain = reader.read(len(data))
    reader.finish()
    return plain


def refused(data: bytes, says: str, key: bytes = KEY) -> None:
    with pytest.raises(ConfigError, match=says):
        unseal(data, key)


PLAIN = bytes(number % 251 for number in range(5 * CHUNK + 7))
BODY = len(HEADER.line())


@pytest.fixture
def data() -> bytes:
    """A backup of six chunks."""
    return seal(PLAIN)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_was_sealed_comes_back(size: int) -> None:
    assert unseal(seal(PLAIN[:size])) == PLAIN[:size]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=3 * CHUNK), max_size=6), st.integers(1, 2 * CHUNK))
def test_it_does_not_matter_in_which_pieces_it_is_written_and_read(pieces: list[bytes], step: int) -> None:
    sealed.CHUNK_BYTES = CHUNK
    file = io.BytesIO()
    writer = Writer(file, HEADER, KEY)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    file.seek(0)
    reader = Reader(file, read_header(file), KEY)

    assert b"".join(iter(lambda: reader.read(step), b"")) == b"".join(pieces)


def test_a_flip_of_any_bit_is_refused(data: bytes) -> None:
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(ConfigError):
            unseal(bytes(flipped))


def test_a_cut_anywhere_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(ConfigError):
            unseal(data[:length])


def test_chunks_in_another_order_are_refused(data: bytes) -> None:
    first, second = (data[BODY + n * SEALED_CHUNK : BODY + (n + 1) * SEALED_CHUNK] for n in (0, 1))
    rest = data[BODY + 2 * SEALED_CHUNK :]

    refused(data[:BODY] + second + first + rest, "at chunk 1: it was cut short or altered")
    refused(data[:BODY] + first + first + second + rest, "at chunk 2: it was cut short or altered")
    refused(data[:BODY] + first + rest, "at chunk 2: it was cut short or altered")


def test_bytes_after_the_end_are_refused(data: bytes) -> None:
    refused(data + b"x", "cut short or altered")


def test_chunks_of_another_backup_are_refused(data: bytes) -> None:
    other = seal(PLAIN, replace(HEADER, taken_at=HEADER.taken_at + 1))

    refused(data[:BODY] + other[BODY:], "at chunk 1")


def test_another_key_does_not_open_it(data: bytes) -> None:
    refused(data, "at chunk 1", bytes(32))


def test_a_form_of_a_later_release_is_told(data: bytes) -> None:
    told = json.loads(data[:BODY]) | {"teehee-backup": 2}

    refused(json.dumps(told).encode() + b"\n", "this backup has form 2, this release reads form 1")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"PK\x03\x04",
        b"[]\n",
        b"{}\n",
        b'{"teehee-backup":1}\n',
        b"\xff\xfe\n",
        b"[" * 2000,
        b"SQLite format",
    ],
)
def test_what_is_no_backup_is_told(data: bytes, line: bytes) -> None:
    refused(line + data[BODY:], "this is no backup of teehee")


@pytest.mark.parametrize(
    "changed", [{"era": "v9"}, {"salt": "5A" * 32}, {"salt": "5a"}, {"check": "x" * 64}, {"taken_at": True}]
)
def test_a_header_with_a_value_of_another_kind_is_refused(data: bytes, changed: dict[str, object]) -> None:
    told = json.loads(data[:BODY]) | changed

    refused(json.dumps(told).encode() + b"\n" + data[BODY:], "this is no backup of teehee")
