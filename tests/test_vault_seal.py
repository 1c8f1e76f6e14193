"""Sealing: a cell opens in its own place, unaltered, under its own keys, and nowhere else."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import ConfigError
from teehee.vault.seal import Seal

SEAL = Seal(b"r" * 32, 5)
PLACE = ("secrets", "ada/MODEL_KEY", 1)
PLACES = st.tuples(
    st.sampled_from(["secrets", "effects", "secrets\nada"]),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(0, 12),
)


def does_not_open(seal: Seal, place: tuple[str, str, int], sealed: bytes) -> None:
    with pytest.raises(ConfigError, match="does not open: altered, moved, or sealed by another vault") as caught:
        seal.open(*place, sealed)
    assert "backup" in caught.value.hint


@pytest.mark.parametrize("plain", [b"", b"x", b"hello", bytes(range(256)), b"x" * 100_000])
def test_what_was_sealed_opens_again(plain: bytes) -> None:
    assert SEAL.open(*PLACE, SEAL.seal(*PLACE, plain)) == plain


def test_nothing_of_the_text_is_seen_in_the_cell() -> None:
    secret = os.urandom(32)

    assert secret not in SEAL.seal(*PLACE, b"before " + secret + b" after")


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert SEAL.seal(*PLACE, b"hello") != SEAL.seal(*PLACE, b"hello")


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(("effects", "ada/MODEL_KEY", 1), id="another table"),
        pytest.param(("secrets", "eve/MODEL_KEY", 1), id="another row"),
        pytest.param(("secrets", "ada/MODEL_KEY", 2), id="another version"),
        pytest.param(("secrets", "ada/MODEL_KEY\n1", 1), id="a row whose name holds a version"),
    ],
)
def test_a_cell_does_not_open_in_another_place(place: tuple[str, str, int]) -> None:
    does_not_open(SEAL, place, SEAL.seal(*PLACE, b"hello"))


def test_a_cell_does_not_open_under_another_root() -> None:
    does_not_open(Seal(b"s" * 32, 5), PLACE, SEAL.seal(*PLACE, b"hello"))


def test_a_cell_with_one_bit_changed_does_not_open() -> None:
    sealed = SEAL.seal(*PLACE, b"hello")
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1

        does_not_open(SEAL, PLACE, bytes(altered))


def test_a_cell_that_was_cut_or_lengthened_does_not_open() -> None:
    sealed = SEAL.seal(*PLACE, b"hello")
    for length in range(len(sealed)):
        does_not_open(SEAL, PLACE, sealed[:length])

    does_not_open(SEAL, PLACE, sealed + b"\x00")


@given(PLACES, PLACES)
def test_two_places_never_share_a_cell(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    sealed = SEAL.seal(*one, b"hello")

    if one == other:
        assert SEAL.open(*other, sealed) == b"hello"
    else:
        does_not_open(SEAL, other, sealed)


def test_a_cell_opens_in_later_epochs_and_not_in_earlier_ones() -> None:
    sealed = SEAL.seal(*PLACE, b"hello")

    assert Seal(b"r" * 32, 6).open(*PLACE, sealed) == b"hello"
    with pytest.raises(ConfigError, match="is from epoch 5, this vault is in its epoch 4"):
        Seal(b"r" * 32, 4).open(*PLACE, sealed)


def test_a_cell_cannot_be_moved_to_another_epoch() -> None:
    sealed = SEAL.seal(*PLACE, b"hello")

    does_not_open(SEAL, PLACE, (4).to_bytes(8) + sealed[8:])
