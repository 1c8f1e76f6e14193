"""Whether a vault's store holds what it signed: asked at every start, and leaf by leaf on request."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from teehee.errors import ConfigError
from teehee.vault import integrity
from vaults import config, vault_at

LEAVES = 21
Tamper = Callable[[sqlite3.Connection], object]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A store with a log of some leaves, the last of them under a signed checkpoint."""
    async with vault_at(tmp_path, config("Ada")) as vault:
        for number in range(LEAVES - 1):
            await vault.answered(f"e{number}", room=f"room {number}")
            if number in (5, LEAVES - 2):
                await vault.public("checkpoint", {"agent": "agent-ada"})
    return tmp_path


@contextlib.contextmanager
def store(folder: Path):  # type: ignore[no-untyped-def] # a connection
    with contextlib.closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as db:
        yield db


def test_a_good_store_tells_its_logs(folder: Path) -> None:
    with store(folder) as db:
        (quick,), (deep,) = integrity.signed(db), integrity.leaf_by_leaf(db)

    assert quick == deep
    assert (quick.name, quick.size, quick.epoch) == ("Ada", LEAVES, 1)


def lose_last(db: sqlite3.Connection) -> object:
    return db.execute("DELETE FROM leaves WHERE place=(SELECT MAX(place) FROM leaves)")


def alter_last(db: sqlite3.Connection) -> object:
    return db.execute("UPDATE leaves SET leaf=x'00' WHERE place=(SELECT MAX(place) FROM leaves)")


def alter_node(db: sqlite3.Connection) -> object:
    return db.execute("UPDATE nodes SET hash=zeroblob(32) WHERE place=(SELECT MAX(place) FROM nodes)")


def lose_node(db: sqlite3.Connection) -> object:
    return db.execute("DELETE FROM nodes WHERE place=(SELECT MAX(place) FROM nodes)")


def other_note(db: sqlite3.Connection) -> object:
    return db.execute("UPDATE checkpoints SET note=replace(note, 'teehee', 'tehee')")


def moved_note(db: sqlite3.Connection) -> object:
    return db.execute("UPDATE identities SET log_key='" + "ab" * 32 + "'")


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (lose_last, f"{LEAVES} leaves of 'Ada' were signed, {LEAVES - 1} are here"),
        (alter_last, f"the first {LEAVES} leaves of 'Ada' are not the ones that were signed"),
        (alter_node, "are not the ones that were signed"),
        (lose_node, "the hash of level 4 at 0 is gone"),
        (other_note, "signature"),
        (moved_note, "signature"),
    ],
)
async def test_a_vault_does_not_start_on_other_leaves_than_it_signed(folder: Path, tamper: Tamper, says: str) -> None:
    with store(folder) as db:
        tamper(db)
    before = (folder / "vault.db").read_bytes()

    with pytest.raises(ConfigError, match=says) as caught:
        async with vault_at(folder):
            pass

    assert "is damaged" in str(caught.value)
    assert "teehee restore FILE --force" in caught.value.hint
    assert (folder / "vault.db").read_bytes() == before


def alter_first(db: sqlite3.Connection) -> object:
    return db.execute("UPDATE leaves SET leaf=x'00' WHERE place=(SELECT MIN(place) FROM leaves)")


def lose_middle(db: sqlite3.Connection) -> object:
    return db.execute("DELETE FROM leaves WHERE place=(SELECT MIN(place)+3 FROM leaves)")


def alter_first_node(db: sqlite3.Connection) -> object:
    return db.execute("UPDATE nodes SET hash=zeroblob(32) WHERE place=(SELECT MIN(place) FROM nodes)")


@pytest.mark.parametrize("tamper", [alter_first, lose_middle, alter_first_node])
def test_what_a_start_does_not_read_the_deep_look_does(folder: Path, tamper: Tamper) -> None:
    with store(folder) as db:
        tamper(db)

        integrity.signed(db)
        with pytest.raises(ConfigError, match="is damaged"):
            integrity.leaf_by_leaf(db)


def test_an_earlier_checkpoint_over_other_leaves_is_found_by_the_deep_look(folder: Path) -> None:
    with store(folder) as db:
        db.execute("UPDATE checkpoints SET size=size-1 WHERE size=(SELECT MIN(size) FROM checkpoints)")

        with pytest.raises(ConfigError, match="is damaged"):
            integrity.leaf_by_leaf(db)
