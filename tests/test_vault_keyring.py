"""The key ring: one name, one key; a seed that is made once, kept closely, and never taken for another."""

import os
import stat
from pathlib import Path

import pytest

from teehee.errors import ConfigError
from teehee.tee.guest import DeveloperGuest
from teehee.vault.keyring import KeyRing, key_name
from vaults import encodings

SEED = bytes(range(32))
PINNED_LOG_KEY = "412b7fd95a83bb6ab34369d000d79683b6d7b5eaa543ebede548a53ffc7e1fb5"
PINNED_SEAL_ROOT = "bfede02dfe0aa7538cdf72053b63456ad247c806fe22a774e803702e2375f9b8"


def ring(folder: Path, seed: bytes = SEED) -> KeyRing:
    (folder / "developer-seed").write_bytes(seed)
    return KeyRing(DeveloperGuest(folder / "developer-seed"))


def test_a_key_is_named_by_agent_purpose_algorithm_and_number() -> None:
    assert key_name("7f3c", "log", "ed25519") == "teehee/v1/7f3c/log/ed25519"
    assert key_name("7f3c", "evm", "secp256k1", 2) == "teehee/v1/7f3c/evm/secp256k1/2"


async def test_these_keys_follow_from_this_seed(tmp_path: Path) -> None:
    """Pinned: another value here means that every developer's agents lose their keys."""
    keys = ring(tmp_path)

    assert (await keys.log_key("7f3c")).public.hex() == PINNED_LOG_KEY
    assert (await keys.seal_root()).hex() == PINNED_SEAL_ROOT


async def test_the_same_seed_gives_the_same_keys_again(tmp_path: Path) -> None:
    first, second = ring(tmp_path), ring(tmp_path)

    assert (await first.log_key("ada")).public == (await second.log_key("ada")).public
    assert await first.seal_root() == await second.seal_root()


async def test_another_seed_gives_other_keys(tmp_path: Path) -> None:
    first, second = ring(tmp_path), ring(tmp_path, bytes(32))

    assert (await first.log_key("ada")).public != (await second.log_key("ada")).public
    assert await first.seal_root() != await second.seal_root()


async def test_every_agent_has_a_log_key_of_its_own(tmp_path: Path) -> None:
    keys = ring(tmp_path)

    public = {(await keys.log_key(name)).public for name in ("ada", "eve", "app", "")}

    assert len(public) == 4


async def test_two_names_never_share_a_key(tmp_path: Path) -> None:
    guest = ring(tmp_path).guest
    names = [
        key_name(key_id, purpose, algorithm, number)
        for key_id in ("ada", "eve")
        for purpose in ("log", "evm")
        for algorithm in ("ed25519", "secp256k1")
        for number in (0, 1)
    ]

    derived = {(await guest.get_key(name, "ed25519")).secret for name in names}

    assert len(derived) == len(names) == 16
    assert {len(key) for key in derived} == {32}


async def test_a_developers_keys_say_so(tmp_path: Path) -> None:
    assert ring(tmp_path).trust == "dev"


async def test_no_key_shows_in_what_the_ring_prints(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    private = (await keys.log_key("ada")).private.private_bytes_raw()
    secrets = [SEED, await keys.seal_root(), private]

    shown = f"{keys!r} {keys.guest!r} {await keys.log_key('ada')!r} {vars(keys)!r}".encode()

    assert not [form for secret in secrets for form in (*encodings(secret), repr(secret).encode()) if form in shown]


# -- the developer's seed


def test_a_seed_is_made_once_and_for_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "developer-seed"
    before = os.umask(0)
    try:
        DeveloperGuest(path)
    finally:
        os.umask(before)
    first = path.read_bytes()
    DeveloperGuest(path)

    assert len(first) == 32
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_folders_have_different_seeds(tmp_path: Path) -> None:
    DeveloperGuest(tmp_path / "one")
    DeveloperGuest(tmp_path / "two")

    assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("seed", [b"", b"x" * 31, b"x" * 33, SEED.hex().encode()])
def test_a_seed_of_another_length_is_refused_and_left_alone(tmp_path: Path, seed: bytes) -> None:
    path = tmp_path / "developer-seed"
    path.write_bytes(seed)

    with pytest.raises(ConfigError, match=f"has {len(seed)} bytes, expected 32") as caught:
        DeveloperGuest(path)

    assert "backup" in caught.value.hint
    assert path.read_bytes() == seed
