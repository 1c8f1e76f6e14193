"""Takes a backup while the agents run: all stores as of one moment, sealed, then read back and checked.

The minds' stores are looked at first. All they know of the vault was committed there before, so the vault's later state
answers for every row of them; what the vault knows beyond that is what a mind finds after any crash (docs/data.md).
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from teehee import __version__, database
from teehee.backup import archive
from teehee.backup.sealed import Header
from teehee.errors import ConfigError
from teehee.supervisor.folder import DataFolder
from teehee.supervisor.owner import Owner
from teehee.supervisor.plan import Plan
from teehee.supervisor.supervisor import vault_alone
from teehee.vault.integrity import Logged
from teehee.wire.client import Client

SPACE = "free some space there, or name another file or folder; nothing was changed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was written and read back."""

    path: str
    size: int
    taken_at: int
    seconds: float
    logs: tuple[Logged, ...]


async def take(plan: Plan, to: Path) -> Taken:
    """Writes the backup of `plan`'s data folder to the new file `to`. Raises ConfigError when it cannot."""
    began, folder = time.monotonic(), plan.folder
    _look_first(folder, to)
    salt, taken_at = secrets.token_hex(32), time.time_ns() // 1_000_000
    given = await backup_key(plan, salt)
    header = Header(given["era"], salt, given["check"], taken_at)
    try:
        with scratch_of(folder) as scratch:
            manifest, size = await asyncio.to_thread(_write, folder, scratch, to, header, bytes.fromhex(given["key"]))
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"the backup {str(to)!r} cannot be written: {error}", hint=SPACE) from error
    return Taken(str(to), size, taken_at, time.monotonic() - began, manifest.logs)


def _look_first(folder: DataFolder, to: Path) -> None:
    if to.exists():
        raise ConfigError(f"{str(to)!r} is there already", hint="name a new file; no backup is written over")
    vault, *minds = ((folder.path / name).exists() for name in folder.stores())
    if not (vault and any(minds)):
        raise ConfigError(
            f"nothing to back up in {str(folder.path)!r}: no agent has run there", hint="name the folder with --data"
        )


async def backup_key(plan: Plan, salt: str) -> dict[str, str]:
    """The key of the backup with this salt, from the vault that runs in the folder, or one started to be asked."""
    folder = plan.folder
    if not folder.is_running:
        async with vault_alone(plan) as ask:
            return dict(await ask("backup.key", {"salt": salt}))
    async with Client(folder.sockets / "vault-owner.sock") as door:
        return dict(await Owner(folder.owner_key).ask(door, "backup.key", {"salt": salt}))


@contextlib.contextmanager
def scratch_of(folder: DataFolder) -> Iterator[Path]:
    """A folder for copies, beside the stores and as private; what a killed backup left there goes first."""
    with open(folder.path / "backup.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError("another backup of this folder is being taken", hint="wait until it is done") from None
        scratch = folder.path / ".backup"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _write(folder: DataFolder, scratch: Path, to: Path, header: Header, key: bytes) -> tuple[archive.Manifest, int]:
    """1. Copies as of one moment. 2. Seals them beside `to`. 3. Reads that back. 4. Only then it gets its name."""
    copies, again, part = scratch / "copies", scratch / "again", to.with_name(f"{to.name}.part")
    for made in (copies, again):
        made.mkdir(mode=0o700)
    stores = folder.stores()
    _copy_all(folder.path, stores, copies)  # 1
    shutil.copyfile(folder.owner_key, copies / "owner-key")
    manifest = archive.describe(copies, stores, __version__, header.taken_at)
    try:
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as sealed:  # 2
            archive.pack(copies, manifest, sealed, header, key)
            sealed.flush()
            os.fsync(sealed.fileno())
            size = sealed.tell()
        shutil.rmtree(copies)
        file, found = archive.opened(part)  # 3
        with file:
            archive.unpack(file, found, key, again)
        os.link(part, to)  # 4; unlike a rename, it takes no other file's place
    finally:
        part.unlink(missing_ok=True)
    database.sync(to.absolute().parent)
    return manifest, size


def _copy_all(data: Path, stores: Sequence[str], to: Path) -> None:
    """The moment of each store is fixed, the vault's last, before a page of any is copied."""
    vault, *minds = stores
    with contextlib.ExitStack() as stack:
        sources = []
        for name in (*minds, vault):
            source = stack.enter_context(contextlib.closing(database.read_only(data / name, what=name)))
            source.execute("BEGIN")
            source.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # a transaction reads from here on
            sources.append((name, source))
        for name, source in sources:
            (to / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            database.copy(source, to / name)
