"""SQLite files as files: looked at for damage, copied as they stand, rehearsed on before they change."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from teehee.errors import ConfigError

CHECKED_BYTES = 16 << 20  # up to here a start reads the whole file, in 0.1 s; `teehee doctor --deep` reads any
WAL_BYTES = 16 << 20  # what a write-ahead log is cut to once its content is in the database
COMPANIONS = ("-wal", "-shm", "-journal")
RESTORE = "nothing was changed; put a backup into the data folder with `teehee restore FILE --force` (docs/data.md)"


def file_of(db: sqlite3.Connection) -> Path:
    """The file behind a connection."""
    return Path(db.execute("PRAGMA database_list").fetchone()[2])


def with_companions(path: Path) -> list[Path]:
    """A database file and what SQLite keeps beside it."""
    return [path, *(path.with_name(path.name + ending) for ending in COMPANIONS)]


def remove(path: Path) -> None:
    """Deletes a database file and what SQLite keeps beside it."""
    for file in with_companions(path):
        file.unlink(missing_ok=True)


def damaged(path: Path, what: str, why: object) -> ConfigError:
    """The error for a store that does not hold together."""
    return ConfigError(f"the {what} {str(path)!r} is damaged: {why}", hint=RESTORE)


def look_through(db: sqlite3.Connection, *, what: str, deep: bool = False) -> None:
    """Raises ConfigError when the database is damaged. Unless `deep`, a file past CHECKED_BYTES is not read."""
    path = file_of(db)
    if not deep and path.stat().st_size > CHECKED_BYTES:
        return
    try:
        (found,) = db.execute(f"PRAGMA {'integrity_check' if deep else 'quick_check'}(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise damaged(path, what, error) from error
    if found != "ok":
        raise damaged(path, what, " ".join(str(found).split()))


def read_only(path: Path, *, what: str) -> sqlite3.Connection:
    """The database at `path`, for reading. Raises ConfigError when there is none or it cannot be read."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise ConfigError(f"the {what} {str(path)!r} cannot be read: {error}", hint=RESTORE) from error
    return db


def copy(db: sqlite3.Connection, to: Path) -> None:
    """Writes what `db` sees now, as of one moment, to the new file `to`; it is on disk when this returns.

    Raises sqlite3.Error, and leaves no file, when there is no room.
    """
    remove(to)
    try:
        os.close(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(sqlite3.connect(to)) as copied:
            db.backup(copied)
        sync(to)
    except BaseException:
        remove(to)
        raise


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def rehearse(db: sqlite3.Connection, number: int, change: Callable[[sqlite3.Connection], None], *, what: str) -> None:
    """Tries `change` on a copy of `db`, then keeps an untouched copy beside it as `<file>.before-<number>`.

    Raises ConfigError, with the store as it was, when the change fails or leaves damage. Older copies go.
    """
    path = file_of(db)
    trial, kept = (path.with_name(f"{path.name}.{name}") for name in ("rehearsal", f"before-{number}"))
    try:
        copy(db, trial)
        with contextlib.closing(sqlite3.connect(trial, isolation_level=None)) as tried:
            change(tried)
            look_through(tried, what=f"copy of the {what}", deep=True)
            if row := tried.execute("PRAGMA foreign_key_check").fetchone():
                raise sqlite3.IntegrityError(f"a row of {row[0]!r} points nowhere")
        copy(db, trial)
        trial.replace(kept)
        sync(path.parent)
    except (sqlite3.Error, OSError, ConfigError) as error:
        raise ConfigError(
            f"the {what} {str(path)!r} cannot be brought to version {number}: {error}",
            hint="it is as it was: free some space if that is missing, or go on with the release that wrote it",
        ) from error
    finally:
        remove(trial)
    for older in path.parent.glob(f"{path.name}.before-*"):
        if older != kept:
            remove(older)


def give_back(db: sqlite3.Connection, pages: int = 500) -> None:
    """Hands up to `pages` free pages back to the disk when more than a quarter of the file is free."""
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (total,) = db.execute("PRAGMA page_count").fetchone()
    if free * 4 > total:
        db.executescript(f"PRAGMA incremental_vacuum({pages})")  # `execute` would hand back one page: it steps once
