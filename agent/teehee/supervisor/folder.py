"""The data folder: one process at a time, readable by its owner only."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from teehee.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Where everything is kept: `vault.db`, `mind.db`, keys, logs, and the sockets of a running agent."""

    path: Path

    @property
    def sockets(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def owner_key(self) -> Path:
        return self.path / "owner-key"

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

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the folder for this process. Raises ConfigError naming who has it."""
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
            yield
