"""What is inside a backup: a manifest, both stores and the owner's key, as one tar; and the look whether it holds."""

import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from teehee import database
from teehee.backup.sealed import Header, Reader, Writer, read_header
from teehee.errors import ConfigError
from teehee.store import schema as mind_schema
from teehee.supervisor.folder import KEPT_IN_BACKUPS
from teehee.vault import integrity
from teehee.vault import schema as vault_schema
from teehee.wire import strict

Json = Any
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 1 << 20
COPY_BYTES = 1 << 20
KNOWN = {"vault.db": vault_schema.MIGRATIONS, "mind.db": mind_schema.MIGRATIONS}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says it holds: every log, and the version of each store. `taken_at` is in milliseconds."""

    teehee: str
    taken_at: int
    versions: Mapping[str, int]
    logs: tuple[integrity.Logged, ...]


def describe(folder: Path, teehee: str, taken_at: int) -> Manifest:
    """The manifest of the stores that lie in `folder`."""
    versions: dict[str, int] = {}
    logs: list[integrity.Logged] = []
    for name in KNOWN:
        with closing(database.read_only(folder / name, what=name)) as db:
            (versions[name],) = db.execute("PRAGMA user_version").fetchone()
            if name == "vault.db":
                logs = integrity.signed(db)
    return Manifest(teehee, taken_at, versions, tuple(logs))


def pack(folder: Path, manifest: Manifest, file: BinaryIO, header: Header, key: bytes) -> None:
    """Writes the sealed backup of the files in `folder` to `file`."""
    writer = Writer(file, header, key)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        told = Path(scratch) / MANIFEST
        told.write_text(json.dumps(asdict(manifest)))
        with tarfile.open(fileobj=writer, mode="w|", bufsize=COPY_BYTES, format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload] # only `write` is called
            for path in (told, *(folder / name for name in KEPT_IN_BACKUPS)):
                tar.add(path, path.name, filter=_nameless)
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
                elif entry.name in KEPT_IN_BACKUPS:
                    _write(content, to / entry.name)
                else:
                    raise tarfile.TarError(f"{entry.name!r} is not known here")
        reader.finish()
    except (tarfile.TarError, ValueError) as error:
        raise ConfigError(f"this backup opens, but holds something else: {error}") from error
    if manifest is None or not all((to / name).exists() for name in KEPT_IN_BACKUPS):
        raise ConfigError("this backup opens, but something is missing in it")
    database.sync(to)
    look_through(to, manifest)
    return manifest


def _write(content: Any, path: Path) -> None:
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        while data := content.read(COPY_BYTES):
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


def look_through(folder: Path, manifest: Manifest) -> None:
    """Raises ConfigError unless every page, every leaf and every kept checkpoint in `folder` holds."""
    for name, migrations in KNOWN.items():
        version = manifest.versions.get(name, 0)
        if version > len(migrations):
            raise ConfigError(
                f"the {name} in this backup is at version {version}, this release knows {len(migrations)}",
                hint=f"restore it with teehee {manifest.teehee} or a later one",
            )
        with closing(sqlite3.connect(folder / name)) as db:
            database.look_through(db, what=f"{name} in the backup", deep=True)
            found = integrity.leaf_by_leaf(db) if name == "vault.db" else []
            if name == "vault.db" and tuple(found) != manifest.logs:
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
