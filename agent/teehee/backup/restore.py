"""Puts a backup in the place of a data folder's state: checked first, told in every log, and all or nothing.

1. The backup is opened and looked through in a folder of its own.
2. What the folder holds must be a beginning of what the backup holds, unless it is forced.
3. A vault over the backup writes into every log that it goes on from here, in a new epoch.
4. The finished state gets its name in one step; from then on it is the folder's, whatever is cut off.
5. It takes the place of the old one, which is kept aside.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from teehee import database
from teehee.backup import archive
from teehee.backup.sealed import Header
from teehee.backup.take import SPACE, scratch_of
from teehee.errors import ConfigError
from teehee.supervisor.folder import MINDS, STATE, DataFolder, mark_of
from teehee.supervisor.plan import Plan
from teehee.supervisor.supervisor import vault_alone
from teehee.vault import integrity
from teehee.vault.actionlog import ActionLog
from teehee.vault.integrity import Logged


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that held. `epochs` are those the logs go on in; empty when it was only checked."""

    path: str
    size: int
    taken_at: int
    seconds: float
    logs: tuple[Logged, ...]
    epochs: dict[str, int]


async def check(plan: Plan, path: Path) -> Restored:
    """Opens and looks through the backup at `path`, changing nothing. Raises ConfigError when it does not hold."""
    plan.folder.make()
    with scratch_of(plan.folder) as scratch:
        return await _within(plan, path, scratch, None)


async def restore(plan: Plan, path: Path, *, force: bool = False) -> Restored:
    """Makes the folder's state that of the backup at `path`. Raises ConfigError, with the folder as it was, if not."""
    with plan.folder.held(settle=False):
        plan.folder.take_restored()
        with _own_scratch(plan.folder) as scratch:
            return await _within(plan, path, scratch, force)


async def _within(plan: Plan, path: Path, scratch: Path, force: bool | None) -> Restored:
    """The whole way, or, with `force` None, the look alone."""
    began = time.monotonic()
    file, header = archive.opened(path)
    try:
        size = os.fstat(file.fileno()).st_size
        with file:
            key = await _key(plan, scratch, header)
            vault = _room(plan, scratch / "vault")
            manifest = await asyncio.to_thread(archive.unpack, file, header, key, vault.folder.path)
            epochs: dict[str, int] = {}
            if force is not None:
                known = _replaced(plan.folder.path, vault.folder.path, force=force)
                epochs = await _go_on(vault, known, manifest.taken_at)
                _take_place(plan.folder, vault.folder.path, scratch / "ready")
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"the backup {str(path)!r} cannot be opened here: {error}", hint=SPACE) from error
    return Restored(str(path), size, manifest.taken_at, time.monotonic() - began, manifest.logs, epochs)


@contextlib.contextmanager
def _own_scratch(folder: DataFolder) -> Iterator[Path]:
    scratch = folder.scratch
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _room(plan: Plan, path: Path) -> Plan:
    """The plan for a vault in a folder of its own, on this folder's keys."""
    room = DataFolder(path)
    room.make()
    seed = plan.folder.path / "developer-seed"
    if seed.exists():
        shutil.copyfile(seed, path / "developer-seed")
        (path / "developer-seed").chmod(0o600)
    return replace(plan, folder=room, failpoint="")


async def _key(plan: Plan, scratch: Path, header: Header) -> bytes:
    """The backup's key. Raises ConfigError when this app, or this seed, has another one."""
    room = _room(plan, scratch / "key")
    async with vault_alone(room, era=header.era) as ask:
        given = await ask("backup.key", {"salt": header.salt})
    if given["check"] == header.check:
        return bytes.fromhex(given["key"])
    simulated = (room.folder.path / "developer-seed").exists()
    raise ConfigError(
        "this backup was sealed by another app or seed: the keys here do not open it",
        hint="put the `developer-seed` of the folder it is from into this data folder first; a backup holds none"
        if simulated
        else "restore it where the same app, under the same key service, gets the same keys",
    )


@dataclass(frozen=True, slots=True)
class _Replaced:
    """The epochs of a state that is about to be replaced: of each log by key id, and of the vault itself."""

    logs: dict[str, int] = field(default_factory=dict)
    vault: int = 0


def _replaced(data: Path, backup: Path, *, force: bool) -> _Replaced:
    """What the folder holds. Raises ConfigError when the backup lacks some of it."""
    if not any((data / name).exists() for name in ("vault.db", *MINDS)):
        return _Replaced()
    try:
        with contextlib.closing(database.read_only(data / "vault.db", what=integrity.WHAT)) as db:
            held = integrity.signed(db)
            epoch = _vault_epoch(db)
    except ConfigError as error:
        if force:
            return _Replaced()
        raise ConfigError(
            f"what this data folder holds cannot be compared with the backup: {error}",
            hint="`--force` restores all the same, and keeps the old state in before-restore/",
        ) from error
    if not force and (lost := _lost(held, backup)):
        raise ConfigError(
            f"this data folder is newer than the backup: {'; '.join(lost)}",
            hint="what was signed since then would be denied by the log; `--force` does it all the same, and keeps "
            "the old state in before-restore/",
        )
    return _Replaced({log.key_id: log.epoch for log in held}, epoch)


def _vault_epoch(db: sqlite3.Connection) -> int:
    """How often this vault was started; 0 for a store from before that was counted."""
    try:
        row = db.execute("SELECT epoch FROM machine").fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(row[0]) if row else 0


def _lost(held: list[Logged], backup: Path) -> list[str]:
    """What of the logs held is not in the backup, in words."""
    with contextlib.closing(database.read_only(backup / "vault.db", what="vault's store in the backup")) as db:
        numbers = dict(db.execute("SELECT key_id, log FROM identities").fetchall())
        tree, lost = ActionLog(db), []
        for log in held:
            number = numbers.get(log.key_id)
            if number is None:
                lost.append(f"{log.name} is not in the backup")
            elif tree.size(number) < log.size:
                lost.append(f"{log.name} has {log.size} leaves, the backup {tree.size(number)}")
            elif tree.root_at(number, log.size).hex() != log.root:
                lost.append(f"the log of {log.name} took another way")
    return lost


async def _go_on(vault: Plan, known: _Replaced, taken_at: int) -> dict[str, int]:
    """Has a vault over the backup begin a new epoch in every log; the epochs by key id."""
    async with vault_alone(vault) as ask:
        told = await ask("restored", {"taken": taken_at, "epochs": known.logs, "vault_epoch": known.vault})
    return {identity["key_id"]: identity["epoch"] for identity in told["agents"]}


def _take_place(folder: DataFolder, vault: Path, ready: Path) -> None:
    ready.mkdir(mode=0o700)
    for name in STATE:
        if (vault / name).exists():
            (vault / name).replace(ready / name)
    for mind in ready.glob("minds/*"):
        mark_of(mind).touch()
    for path in (*ready.rglob("*"), ready):
        database.sync(path)
    shutil.rmtree(folder.replaced, ignore_errors=True)
    os.rename(ready, folder.restored)
    database.sync(folder.path)
    folder.take_restored()
