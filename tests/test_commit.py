"""Group commit: what is promised is on disk, what failed left nothing, and one fsync serves all who wait."""

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teehee import commit
from teehee.commit import GroupCommit
from teehee.errors import ConfigError, Refused, Unavailable

MIGRATIONS = ("CREATE TABLE said (word TEXT NOT NULL UNIQUE);",)


@dataclass
class Book:
    """A database of words, its group commit, and the statements it ran."""

    path: Path
    group: GroupCommit
    ran: list[str] = field(default_factory=list)
    undone: int = 0

    @property
    def db(self) -> sqlite3.Connection:
        return self.group.db

    def write(self, *words: str) -> Callable[[], str]:
        """An operation that writes these words."""

        def operation() -> str:
            for word in words:
                self.db.execute("INSERT INTO said VALUES (?)", (word,))
            return words[-1]

        return operation

    def write_and_raise(self, word: str, error: Exception) -> Callable[[], str]:
        def operation() -> str:
            self.db.execute("INSERT INTO said VALUES (?)", (word,))
            raise error

        return operation

    def words(self) -> list[str]:
        """What another process would read from the disk now."""
        with contextlib.closing(sqlite3.connect(self.path)) as other:
            return [word for (word,) in other.execute("SELECT word FROM said ORDER BY rowid")]


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Book]:
    db = commit.open_database(path, what="book")
    try:
        commit.migrate(db, MIGRATIONS, what="book")
        book = Book(path, GroupCommit(db))

        def undo() -> None:
            book.undone += 1

        book.group.on_undo = undo
        db.set_trace_callback(book.ran.append)
        yield book
    finally:
        db.close()


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    async with opened(tmp_path / "book.db") as one:
        yield one


def refuse() -> str:
    raise Refused("base.empty", "nothing to say")


# -- what is promised


async def test_a_future_holds_only_after_the_commit_is_on_disk(book: Book) -> None:
    future = book.group.run(book.write("one"))
    seen: list[tuple[bool, list[str]]] = []
    book.db.set_trace_callback(lambda statement: seen.append((future.done(), book.words())))

    value = await future

    assert value == "one"
    assert book.words() == ["one"]
    assert seen
    assert all(not done and words == [] for done, words in seen)


async def test_all_who_wait_share_one_commit(book: Book) -> None:
    words = [f"word {number}" for number in range(500)]

    told = await asyncio.gather(*(book.group.run(book.write(word)) for word in words))

    assert told == words
    assert book.words() == words
    assert book.ran.count("COMMIT") == 1
    assert book.ran.count("BEGIN IMMEDIATE") == 1


async def test_who_comes_after_the_commit_gets_one_of_their_own(book: Book) -> None:
    for word in ("one", "two", "three"):
        await book.group.run(book.write(word))

    assert book.ran.count("COMMIT") == 3


async def test_an_operation_asked_for_inside_another_is_in_the_next_group(book: Book) -> None:
    later: list[asyncio.Future[str]] = []

    def first() -> str:
        later.append(book.group.run(book.write("two")))
        return book.write("one")()

    await book.group.run(first)
    await later[0]

    assert book.words() == ["one", "two"]
    assert book.ran.count("COMMIT") == 2


async def test_operations_run_in_the_order_they_came(book: Book) -> None:
    words = [str(number) for number in range(50)]

    await asyncio.gather(*(book.group.run(book.write(word)) for word in words))

    assert book.words() == words


async def test_what_follows_a_commit_runs_once_it_is_on_disk_and_makes_the_answer(book: Book) -> None:
    told = await book.group.run(book.write("one"), lambda word: (word, book.words()))

    assert told == ("one", ["one"])


async def test_what_follows_a_commit_runs_even_when_nobody_waits_for_it(book: Book) -> None:
    followed: list[str] = []

    book.group.run(book.write("one"), followed.append).cancel()
    await book.group.run(book.write("two"))

    assert followed == ["one"]


async def test_nothing_follows_what_was_not_committed(book: Book) -> None:
    followed: list[str] = []

    with pytest.raises(Refused):
        await book.group.run(refuse, followed.append)

    assert followed == []


async def test_a_fault_in_what_follows_reaches_its_own_caller_only(book: Book) -> None:
    def crash(word: str) -> str:
        raise KeyError(word)

    async with asyncio.timeout(5):
        failed, told = await asyncio.gather(
            book.group.run(book.write("one"), crash), book.group.run(book.write("two")), return_exceptions=True
        )

    assert isinstance(failed, KeyError)
    assert told == "two"
    assert book.words() == ["one", "two"]


async def test_one_who_stops_waiting_changes_nothing_for_the_others(book: Book) -> None:
    impatient = book.group.run(book.write("one"))
    patient = book.group.run(book.write("two"))
    impatient.cancel()

    assert await patient == "two"
    assert book.words() == ["one", "two"]


# -- what failed


async def test_an_operation_that_raises_is_undone_whole_and_alone(book: Book) -> None:
    kept, failed, also_kept = await asyncio.gather(
        book.group.run(book.write("one")),
        book.group.run(book.write("two", "three", "one")),
        book.group.run(book.write("four")),
        return_exceptions=True,
    )

    assert (kept, also_kept) == ("one", "four")
    assert isinstance(failed, sqlite3.IntegrityError)
    assert book.words() == ["one", "four"]


async def test_a_refusal_reaches_the_one_who_asked(book: Book) -> None:
    with pytest.raises(Refused, match="nothing to say"):
        await book.group.run(refuse)


async def test_a_refusal_before_any_write_drops_no_cache(book: Book) -> None:
    await asyncio.gather(book.group.run(refuse), book.group.run(book.write("one")), return_exceptions=True)

    assert book.undone == 0
    assert book.words() == ["one"]


@pytest.mark.parametrize("error", [Refused("base.rate-cap", "used up"), ValueError("a mistake")])
async def test_whoever_takes_written_rows_back_drops_the_caches_over_them(book: Book, error: Exception) -> None:
    with pytest.raises(type(error)):
        await book.group.run(book.write_and_raise("one", error))

    assert book.undone == 1
    assert book.words() == []


async def test_the_caches_are_dropped_before_the_next_operation_of_the_group(book: Book) -> None:
    seen: list[int] = []

    await asyncio.gather(
        book.group.run(book.write_and_raise("one", Refused("base.rate-cap", "used up"))),
        book.group.run(lambda: seen.append(book.undone)),
        return_exceptions=True,
    )

    assert seen == [1]


async def test_a_full_disk_is_told_and_leaves_nothing_half_written(book: Book) -> None:
    await book.group.run(book.write("before"))
    (pages,) = book.db.execute("PRAGMA page_count").fetchone()
    book.db.execute(f"PRAGMA max_page_count={pages + 2}")

    told = await asyncio.gather(
        book.group.run(book.write("small")),
        book.group.run(book.write("x" * 100_000)),
        book.group.run(book.write("never tried")),
        return_exceptions=True,
    )

    for error in told:
        assert isinstance(error, Unavailable)
        assert error.code == "disk"
        assert str(error) == "the data folder took no write: database or disk is full"
        assert "free some space" in error.hint
    assert book.words() == ["before"]
    assert book.undone >= 1
    assert not book.db.in_transaction


async def test_writing_goes_on_once_there_is_room_again(book: Book) -> None:
    (pages,) = book.db.execute("PRAGMA page_count").fetchone()
    book.db.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(Unavailable, match="database or disk is full"):
        await book.group.run(book.write("x" * 100_000))
    book.db.execute("PRAGMA max_page_count=100000")

    await book.group.run(book.write("after"))

    assert book.words() == ["after"]


async def test_a_database_that_another_writer_holds_is_unavailable_and_free_again_later(book: Book) -> None:
    book.db.execute("PRAGMA busy_timeout=1")
    with contextlib.closing(sqlite3.connect(book.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            await book.group.run(book.write("one"))
        other.execute("ROLLBACK")

    await book.group.run(book.write("two"))

    assert caught.value.code == "disk"
    assert book.words() == ["two"]


GROUPS = st.lists(
    st.lists(st.tuples(st.sampled_from(["write", "refuse", "raise", "twice"]), st.integers(0, 9)), max_size=6),
    max_size=5,
)


@settings(deadline=None)
@given(GROUPS)
def test_the_disk_holds_what_was_promised_and_nothing_else(groups: list[list[tuple[str, int]]]) -> None:
    async def run(path: Path) -> None:
        async with opened(path) as book:
            promised: list[str] = []
            for group in groups:
                asked = []
                for kind, number in group:
                    word = str(number)
                    operations = {
                        "write": book.write(word),
                        "refuse": book.write_and_raise(word, Refused("r", "no")),
                        "raise": book.write_and_raise(word, ValueError("no")),
                        "twice": book.write(word, word),
                    }
                    asked.append(book.group.run(operations[kind]))
                told = await asyncio.gather(*asked, return_exceptions=True)
                promised += [word for word in told if isinstance(word, str)]

            assert book.words() == promised

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "book.db"))


# -- opening and migrating


def test_a_database_is_durable_and_forgets_what_is_deleted(tmp_path: Path) -> None:
    with contextlib.closing(commit.open_database(tmp_path / "book.db", what="book")) as db:
        pragmas = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    path.write_bytes(b"this is no database, it only has the name" * 100)

    with pytest.raises(ConfigError, match=r"the book '.*book\.db' cannot be opened: file is not a database") as caught:
        commit.open_database(path, what="book")

    assert "data folder" in caught.value.hint


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened: unable to open database file"):
        commit.open_database(tmp_path / "nowhere" / "book.db", what="book")


def test_an_old_database_is_brought_forward_and_keeps_its_rows(tmp_path: Path) -> None:
    steps = (
        *MIGRATIONS,
        "ALTER TABLE said ADD COLUMN loud INTEGER NOT NULL DEFAULT 0;",
        "CREATE TABLE heard (w TEXT);",
    )
    with contextlib.closing(commit.open_database(tmp_path / "book.db", what="book")) as db:
        commit.migrate(db, steps[:1], what="book")
        db.execute("INSERT INTO said VALUES ('one')")

    with contextlib.closing(commit.open_database(tmp_path / "book.db", what="book")) as db:
        commit.migrate(db, steps, what="book")
        commit.migrate(db, steps, what="book")

        assert db.execute("SELECT word, loud FROM said").fetchall() == [("one", 0)]
        assert db.execute("SELECT COUNT(*) FROM heard").fetchone() == (0,)
        assert db.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_database_of_a_newer_release_is_refused_untouched(tmp_path: Path) -> None:
    with contextlib.closing(commit.open_database(tmp_path / "book.db", what="book")) as db:
        commit.migrate(db, (*MIGRATIONS, "CREATE TABLE heard (w TEXT);"), what="book")

        with pytest.raises(ConfigError, match="the book is at version 2, this release knows 1") as caught:
            commit.migrate(db, MIGRATIONS, what="book")

        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert "newer teehee" in caught.value.hint


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    broken = (*MIGRATIONS, "CREATE TABLE heard (w TEXT); INSERT INTO nowhere VALUES (1);")
    with contextlib.closing(commit.open_database(tmp_path / "book.db", what="book")) as db:
        with pytest.raises(sqlite3.OperationalError):
            commit.migrate(db, broken, what="book")

    with contextlib.closing(commit.open_database(tmp_path / "book.db", what="book")) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        assert tables == {"said"}
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
