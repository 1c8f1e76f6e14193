"""The data folder: one process at a time, readable by its owner only."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from teehee import database
from teehee.errors import ConfigError
from teehee.wire import paths

STORES = ("vault.db", "mind.db")
MINDS = ("mind.db", "minds")  # what the agents know: in one store, or in a folder with a store for each
STATE = ("vault.db", "owner-key", *MINDS)  # what a restore replaces, in this order: the minds last


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Where everything is kept: `vault.db`, `mind.db`, keys, logs, and the sockets of a running agent."""

    path: Path
    run: Path | None = None  # for the sockets, where they do not lie in the folder

    @property
    def sockets(self) -> Path:
        return self.run or self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def owner_key(self) -> Path:
        return self.path / "owner-key"

    @property
    def scratch(self) -> Path:
        """Where a restore does its work; of no worth once nobody holds the folder."""
        return self.path / ".restore"

    @property
    def restored(self) -> Path:
        """A restored state, complete and on disk; while it is there, it is the state of this folder."""
        return self.path / "restored"

    @property
    def replaced(self) -> Path:
        """What the last restore took the place of."""
        return self.path / "before-restore"

    @property
    def is_running(self) -> bool:
        """Does a teehee hold this folder right now?"""
        try:
            with open(self.path / "lock") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def make(self) -> None:
        """Creates the folder. Raises ConfigError, saying why, when it cannot be used."""
        try:
            for folder in (self.path, self.sockets, self.logs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.path / ".probe"
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"the data folder {str(self.path)!r} cannot be written: {error.strerror}",
                hint="choose another with --data or TEEHEE_DATA, or mend its permissions or free some space",
            ) from error

    @property
    def is_isolated(self) -> bool:
        """Has each agent of this folder a mind of its own?"""
        return (self.path / "minds").is_dir()

    def of_mind(self, agent: str) -> Path:
        """Where an agent's own mind keeps what it knows."""
        return paths.of_mind(self.path, agent)

    def settle_minds(self, *, isolated: bool) -> None:
        """Raises ConfigError when what the agents know lies otherwise than in this way: in one store, or in many."""
        if isolated and (self.path / "mind.db").exists():
            raise ConfigError(
                f"the agents in {str(self.path)!r} share one mind, and what they know lies in one store",
                hint="leave --isolate out, or begin anew, as other agents, in another folder with --data",
            )
        if self.is_isolated and not isolated:
            raise ConfigError(
                f"the agents in {str(self.path)!r} have a mind each, and what they know lies in a store each",
                hint="start them with --isolate (or TEEHEE_ISOLATE=1), or begin anew in another folder with --data",
            )

    def mark_born(self, minds: Sequence[str] = ()) -> None:
        """From here on a missing store is a loss, and never begun anew in silence."""
        (self.path / "born").touch()
        for agent in minds:
            mark_of(self.of_mind(agent)).touch()

    def stores(self) -> list[str]:
        """The stores there are once agents have run, by their names below the folder."""
        if not self.is_isolated:
            return list(STORES)
        born = sorted((self.path / "minds").glob("*.born"))
        return ["vault.db", *(f"minds/{mark.stem}/mind.db" for mark in born)]

    def settle(self) -> None:
        """Ends a restore that was cut off, and looks whether all stores are there. Raises ConfigError when not."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.take_restored()
        missing = [name for name in self.stores() if not _has_content(self.path / name)]
        if (self.path / "born").exists() and missing:
            raise ConfigError(
                f"{' and '.join(missing)} of the data folder {str(self.path)!r} is gone or empty",
                hint="put a backup in its place with `teehee restore FILE --force`; to begin anew, as other agents, "
                "name another folder with --data",
            )

    def take_restored(self) -> None:
        """Puts the restored state in its place, name by name; may be cut off anywhere and called again."""
        if not self.restored.exists():
            return
        self.replaced.mkdir(mode=0o700, exist_ok=True)
        waiting = [name for name in STATE if (self.restored / name).exists()]
        gone = MINDS if set(MINDS) & set(waiting) else ()  # agents that shared a mind may have one each now
        for name in (*gone, *waiting):
            for old in database.with_companions(self.path / name):
                if old.exists():  # a write-ahead log left beside another database would be read into it
                    old.replace(self.replaced / old.name)
        for name in waiting:
            (self.restored / name).replace(self.path / name)
        self.mark_born()
        database.sync(self.path)
        self.restored.rmdir()
        database.sync(self.path)

    @contextlib.contextmanager
    def held(self, *, settle: bool = True) -> Iterator[None]:
        """Holds the folder for this process, and settles it. Raises ConfigError naming who has it."""
        self.make()
        with open(self.path / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ConfigError(
                    f"the data folder {str(self.path)!r} is in use by process {file.read().strip() or '?'}",
                    hint="talk to that one with `teehee chat`, stop it, or choose another folder with --data",
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            os.set_inheritable(file.fileno(), True)  # through an exec the lock stays with what this process becomes
            if settle:
                self.settle()
            yield


def mark_of(mind: Path) -> Path:
    """What says that a mind's own folder had a store once."""
    return mind.with_suffix(".born")


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
