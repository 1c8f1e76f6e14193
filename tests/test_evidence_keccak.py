"""Keccak against a C library, at every length around its block and for every size."""

import pytest
from Crypto.Hash import keccak as library
from hypothesis import given
from hypothesis import strategies as st

from teehee.evidence.keccak import keccak, keccak256


def told(data: bytes, bits: int) -> bytes:
    return library.new(digest_bits=bits, data=data).digest()


def test_ethereum_knows_the_empty_word_by_this_hash() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_every_length_over_two_blocks_hashes_as_the_library_says(bits: int) -> None:
    data = bytes(range(256)) * 2

    for length in range(2 * (200 - bits // 4) + 2):
        assert keccak(data[:length], bits) == told(data[:length], bits)


@given(st.binary(max_size=2_000), st.sampled_from([224, 256, 384, 512]))
def test_any_bytes_hash_as_the_library_says(data: bytes, bits: int) -> None:
    assert keccak(data, bits) == told(data, bits)
