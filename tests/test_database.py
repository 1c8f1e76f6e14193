"""Stores as files: damage is told before anything is changed, and nothing migrates that was not rehearsed."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from teehee import commit, database
from teehee.errors import ConfigError

FIRST = ("CREATE TABLE said (word TEXT NOT NULL UNIQUE);",)
SECOND = (*FIRST, "ALTER TABLE said ADD COLUMN loud INTEGER NOT NULL DEFAULT 0;")
BROKEN = (*FIRST, "CREATE TABLE heard (w TEXT); INSERT INTO nowhere VALUES (1);")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of version 1 with a thousand words in it."""
    path = tmp_path / "book.db"
    with contextlib.closing(commit.open_database(path, what="book")) as db:
        commit.migrate(db, FIRST, what="book")
        db.executemany("INSERT INTO said VALUES (?)", [(f"{number:0100}",) for number in range(1000)])
    return path


def damage(path: Path) -> bytes:
    """Overwrites a page in the middle; gives the whole content after it."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\x55" * 4096
    path.write_bytes(content)
    return bytes(content)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def words(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT COUNT(*) FROM said").fetchone()[0])


def test_a_damaged_store_is_refused_and_left_as_it_is(path: Path) -> None:
    content = damage(path)

    with pytest.raises(ConfigError, match=r"the book '.*book\.db' is damaged: ") as caught:
        commit.open_database(path, what="book")

    assert "teehee restore FILE --force" in caught.value.hint
    assert path.read_bytes() == content


def test_a_large_store_is_read_through_only_when_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(path)
    monkeypatch.setattr(database, "CHECKED_BYTES", 4096)

    with contextlib.closing(commit.open_database(path, what="book")) as db, pytest.raises(ConfigError, match="damaged"):
        database.look_through(db, what="book", deep=True)


def test_a_copy_is_of_one_moment(path: Path, tmp_path: Path) -> None:
    with contextlib.closing(database.read_only(path, what="book")) as source:
        source.execute("BEGIN")
        source.execute("SELECT COUNT(*) FROM said").fetchone()
        with contextlib.closing(commit.open_database(path, what="book")) as other:
            other.execute("INSERT INTO said VALUES ('later')")
            database.copy(source, tmp_path / "copy.db")

    assert words(tmp_path / "copy.db") == 1000
    assert words(path) == 1001
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0


def test_a_migration_is_rehearsed_and_leaves_one_copy_of_what_was(path: Path) -> None:
    (path.parent / "book.db.before-1").write_bytes(b"older")

    with contextlib.closing(commit.open_database(path, what="book")) as db:
        commit.migrate(db, SECOND, what="book")
        assert db.execute("PRAGMA user_version").fetchone() == (2,)

    assert names(path.parent) == {"book.db", "book.db.before-2"}
    with contextlib.closing(sqlite3.connect(path.parent / "book.db.before-2")) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (1,)
        assert kept.execute("SELECT COUNT(*) FROM said").fetchone() == (1000,)


def test_a_migration_that_fails_in_rehearsal_never_touches_the_store(path: Path) -> None:
    content = path.read_bytes()

    with contextlib.closing(commit.open_database(path, what="book")) as db:
        told = r"the book '.*' cannot be brought to version 2: no such table: nowhere"
        with pytest.raises(ConfigError, match=told) as caught:
            commit.migrate(db, BROKEN, what="book")

    assert "it is as it was" in caught.value.hint
    assert path.read_bytes() == content
    assert names(path.parent) == {"book.db"}


def test_a_migration_that_leaves_a_row_pointing_nowhere_is_refused(path: Path) -> None:
    orphan = (*FIRST, "CREATE TABLE heard (w TEXT REFERENCES said (word)); INSERT INTO heard VALUES ('never said');")

    with contextlib.closing(commit.open_database(path, what="book")) as db:
        with pytest.raises(ConfigError, match="points nowhere"):
            commit.migrate(db, orphan, what="book")
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_new_store_is_not_rehearsed(tmp_path: Path) -> None:
    with contextlib.closing(commit.open_database(tmp_path / "new.db", what="book")) as db:
        commit.migrate(db, SECOND, what="book")

    assert names(tmp_path) == {"new.db"}


def test_free_pages_go_back_to_the_disk(path: Path) -> None:
    with contextlib.closing(commit.open_database(path, what="book")) as db:
        commit.migrate(db, FIRST, what="book")
        before = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute("DELETE FROM said")
        database.give_back(db)
        after = db.execute("PRAGMA page_count").fetchone()[0]

    assert after < before / 4


def test_a_write_ahead_log_is_cut_back(path: Path) -> None:
    log = path.with_name("book.db-wal")
    with contextlib.closing(commit.open_database(path, what="book")) as db:
        reader = database.read_only(path, what="book")
        with contextlib.closing(reader):  # as a backup does, it holds the log from being taken in
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM said").fetchone()
            for number in range(80):
                db.execute("INSERT INTO said VALUES (?)", (f"{number}" + "x" * 300_000,))
        largest = log.stat().st_size
        for number in range(3):
            db.execute("INSERT INTO said VALUES (?)", (f"after {number}",))

        assert largest > database.WAL_BYTES
        assert log.stat().st_size <= database.WAL_BYTES
