"""Lets the published dstack clients talk to a guest agent: one process per client package, one JSON line a question."""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eliza_oracle import INSTALL_SECONDS, Child, tool, unavailable

Json = Any
SCRIPTS = Path(__file__).parent / "guest_sdk"

MAY_INSTALL = pytest.mark.timeout(INSTALL_SECONDS + 60)
"""For `pytestmark` of a module that asks a client: its first test may wait for an installer."""


class Sdk(Child):
    """A running client: `with python_sdk() as sdk: sdk.ask("DstackClient", endpoint, "get_key", path="a")`."""

    def ask(self, client: str, endpoint: str, method: str, *given: Json, then: str = "", **named: Json) -> Json:
        """What the client makes of the answer. Raises OracleError with what it throws."""
        question: dict[str, Json] = {"client": client, "endpoint": endpoint, "method": method}
        question |= {"arguments": named or list(given)} | ({"then": then} if then else {})
        return self.exchange(question).get("answer")


def python_sdk() -> Sdk:
    """dstack-sdk of PyPI; arguments by name."""
    return Sdk(lambda: [sys.executable, SCRIPTS / "ask.py", python_folder()])


def npm_sdk() -> Sdk:
    """@phala/dstack-sdk of npm; arguments in order."""
    return Sdk(lambda: [tool("node"), SCRIPTS / "ask.mjs", npm_folder()])


@functools.cache
def python_folder() -> Path:
    return _installed("dstack-python", SCRIPTS, ["requirements.txt"], _pip)


@functools.cache
def npm_folder() -> Path:
    return npm_installed("dstack-npm", SCRIPTS)


def npm_installed(name: str, scripts: Path) -> Path:
    """The folder made from the npm lock beside these scripts."""
    return _installed(name, scripts, ["package.json", "package-lock.json"], _npm)


def _installed(name: str, scripts: Path, files: list[str], install: Callable[[Path], list[str]]) -> Path:
    """The folder made from these locks: once, outside the checkout, by one process at a time."""
    lock = b"".join((scripts / file).read_bytes() for file in files)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teehee-tests"
    folder = cache / f"{name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache, prefix="installing-") as scratch:
                made = Path(scratch) / name
                made.mkdir()
                for file in files:
                    shutil.copy(scripts / file, made)
                _run(name, install(made), made)
                made.rename(folder)
    return folder


def _pip(folder: Path) -> list[str]:
    how = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(folder)]
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv:
        return [uv, "pip", "install", "--python", sys.executable, *how, "-r", "requirements.txt"]
    return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *how, "-r", "requirements.txt"]


def _npm(folder: Path) -> list[str]:
    return [tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]


def _run(name: str, command: list[str], folder: Path) -> None:
    try:
        subprocess.run(
            command, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=INSTALL_SECONDS,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        unavailable(f"{command[0]} could not install {name}:\n{error.stderr}")
    except subprocess.TimeoutExpired:
        unavailable(f"{command[0]} did not install {name} within {INSTALL_SECONDS} seconds")


if __name__ == "__main__":
    sys.stdout.write(f"{python_folder()}\n{npm_folder()}\n")
