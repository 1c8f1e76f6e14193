"""What `teehee doctor` does with the stores: reads them to the last leaf, and makes anew what can be made anew."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from teehee import database
from teehee.cli.doctor import Finding
from teehee.errors import ConfigError
from teehee.store.mind_store import MindStore
from teehee.supervisor.folder import DataFolder
from teehee.vault import integrity


def deep(folder: DataFolder) -> Iterator[Finding]:
    """Every page of all stores, every leaf, every stored hash and every checkpoint that is kept."""
    for name in folder.stores():
        path, began = folder.path / name, time.perf_counter()
        if not path.exists():
            yield Finding(name, "note", "not there yet: no agent has run in this data folder")
            continue
        try:
            with contextlib.closing(database.read_only(path, what=name)) as db:
                database.look_through(db, what=name, deep=True)
                logs = integrity.leaf_by_leaf(db) if name == "vault.db" else []
        except ConfigError as error:
            yield Finding(name, "bad", str(error), error.hint)
            continue
        leaves = "".join(f"; {log.name}: all {log.size} leaves hold" for log in logs)
        told = f"{path.stat().st_size >> 10} KB, not a page damaged{leaves}"
        yield Finding(name, "ok", f"{told} (read in {time.perf_counter() - began:.1f} s)")


def rebuild(folder: DataFolder) -> Iterator[Finding]:
    """Drops the knowledge cache, makes the full-text index anew and packs the mind's store, while nothing runs."""
    with folder.held():
        shutil.rmtree(folder.path / "knowledge", ignore_errors=True)
        yield Finding("knowledge cache", "ok", "dropped; files are read again at the next start")
        for name in folder.stores():
            if name != "vault.db" and (folder.path / name).exists():
                yield _packed(folder.path / name, name)


def _packed(path: Path, name: str) -> Finding:
    before = path.stat().st_size
    with contextlib.closing(MindStore(path)) as store:
        store.db.execute("BEGIN IMMEDIATE")
        fragments = store.rebuild_words()
        store.db.execute("COMMIT")
        store.db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        store.db.execute("VACUUM")
    told = f"made anew over {fragments} fragments; {name} was {before >> 10} KB, is {path.stat().st_size >> 10} KB"
    return Finding("full-text index", "ok", told)
