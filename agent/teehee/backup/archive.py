"""What is inside a backup: a manifest, all stores and the owner's key, as one tar; and the look whether it holds."""

import json
import os
import re
import sqlite3
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from teehee import database
from teehee.backup.sealed import Header, Reader, Writer, read_header
from teehee.errors import ConfigError
from teehee.store import schema as mind_schema
from teehee.vault import integrity
from teehee.vault import schema as vault_schema
from teehee.wire import strict

Json = Any
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 1 << 20
COPY_BYTES = 1 << 20
VAULT, OWNER_KEY = "vault.db", "owner-key"
MIND = re.compile(r"mind\.db|minds/[0-9a-f]{32}/mind\.db")  # one for all agents, or one for each


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says it holds: every log, and the version of each store. `taken_at` is in milliseconds."""

    teehee: str
    taken_at: int
    versions: Mapping[str, int]
    logs: tuple[integrity.Logged, ...]


def describe(folder: Path, stores: Sequence[str], teehee: str, taken_at: int) -> Manifest:
    """The manifest of these stores, which lie in `folder`."""
    versions: dict[str, int] = {}
    logs: list[integrity.Logged] = []
    for name in stores:
        with closing(database.read_only(folder / name, what=name)) as db:
            (versions[name],) = db.execute("PRAGMA user_version").fetchone()
            if name == VAULT:
                logs = integrity.signed(db)
    return Manifest(teehee, taken_at, versions, tuple(logs))


def pack(folder: Path, manifest: Manifest, file: BinaryIO, header: Header, key: bytes) -> None:
    """Writes the sealed backup of the files in `folder` to `file`."""
    writer = Writer(file, header, key)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        told = Path(scratch) / MANIFEST
        told.write_text(json.dumps(asdict(manifest)))
        with tarfile.open(fileobj=writer, mode="w|", bufsize=COPY_BYTES, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload] # only `write` is called
            tar.add(told, MANIFEST, filter=_nameless)
            for name in (*manifest.versions, OWNER_KEY):
                tar.add(folder / name, name, filter=_nameless)
    writer.close()


def _nameless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def unpack(file: BinaryIO, header: Header, key: bytes, to: Path) -> Manifest:
    """Opens the backup into the empty folder `to`, whole or not at all. Raises ConfigError when it does not hold.

    What is there afterwards is on disk, undamaged, of a version this release knows, and what the manifest says.
    """
    reader = Reader(file, header, key)
    manifest: Manifest | None = None
    try:
        with tarfile.open(fileobj=reader, mode="r|", bufsize=COPY_BYTES) as tar:  # type: ignore[call-overload] # only `read` is called
            for entry in tar:
                content = tar.extractfile(entry)
                if not entry.isreg() or content is None or (to / entry.name).exists():
                    raise tarfile.TarError(f"{entry.name!r} has no place in a backup")
                if entry.name == MANIFEST:
                    manifest = strict.parse(Manifest, json.loads(content.read(MOST_MANIFEST_BYTES)), "manifest")
                elif entry.name in (VAULT, OWNER_KEY) or MIND.fullmatch(entry.name):
                    _write(content, to / entry.name)
                else:
                    raise tarfile.TarError(f"{entry.name!r} is not known here")
        reader.finish()
    except (tarfile.TarError, ValueError) as error:
        raise ConfigError(f"this backup opens, but holds something else: {error}") from error
    if manifest is None or not _is_whole(to, manifest):
        raise ConfigError("this backup opens, but something is missing in it, or too much")
    database.sync(to)
    look_through(to, manifest)
    return manifest


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    """Is there what the manifest tells, and no more: a vault's store, its owner's key, and minds of one kind?"""
    minds = {path.relative_to(folder).as_posix() for path in (*folder.glob("mind.db"), *folder.glob("minds/*/*"))}
    of_one_kind = len({name == "mind.db" for name in minds}) == 1
    return of_one_kind and {VAULT, *minds} == set(manifest.versions) and (folder / OWNER_KEY).exists()


def _write(content: Any, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        while data := content.read(COPY_BYTES):
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


def look_through(folder: Path, manifest: Manifest) -> None:
    """Raises ConfigError unless every page, every leaf and every kept checkpoint in `folder` holds."""
    for name, version in manifest.versions.items():
        migrations = vault_schema.MIGRATIONS if name == VAULT else mind_schema.MIGRATIONS
        if version > len(migrations):
            raise ConfigError(
                f"the {name} in this backup is at version {version}, this release knows {len(migrations)}",
                hint=f"restore it with teehee {manifest.teehee} or a later one",
            )
        with closing(sqlite3.connect(folder / name)) as db:
            database.look_through(db, what=f"{name} in the backup", deep=True)
            found = integrity.leaf_by_leaf(db) if name == VAULT else []
            if name == VAULT and tuple(found) != manifest.logs:
                raise ConfigError("the logs in this backup are not those its manifest tells")


def opened(path: Path) -> tuple[BinaryIO, Header]:
    """The backup at `path`, at its first chunk, and its header. Raises ConfigError when it is none."""
    try:
        file = open(path, "rb")
    except OSError as error:
        raise ConfigError(
            f"the backup {str(path)!r} cannot be read: {error.strerror}", hint="check the path"
        ) from error
    try:
        return file, read_header(file)
    except BaseException:
        file.close()
        raise
