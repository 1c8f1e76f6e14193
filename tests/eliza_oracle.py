"""Asks the published Eliza packages: one node process per script of tests/eliza, one JSON line per question."""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import pytest

Json = Any
SCRIPTS = Path(__file__).parent / "eliza"
OLDEST_NODE = (18, 19)  # the first with module.register; Debian 12 has 18.20
INSTALL_SECONDS = 240
EXIT_SECONDS = 10

MAY_INSTALL = pytest.mark.timeout(INSTALL_SECONDS + 60)
"""For `pytestmark` of a module that asks an oracle: its first test may wait for npm."""


class OracleError(Exception):
    """The package did not answer but threw."""


class Child:
    """A running script that answers one JSON line with another; `command` is asked for when it starts."""

    def __init__(self, command: Callable[[], Sequence[str | Path]]) -> None:
        self._command = command

    def __enter__(self) -> Self:
        # Nothing of the environment that would send a client elsewhere, or through a proxy.
        self._process = subprocess.Popen(
            self._command(),
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._process.communicate(timeout=EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def exchange(self, request: dict[str, Json]) -> Json:
        """Raises OracleError when the script threw, or is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the answer, or its absence, says why
            self._process.stdin.write(json.dumps(request, allow_nan=False) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise OracleError(f"{self._process.args!r} ended with status {self._process.wait()}; see stderr")
        answer = json.loads(line)
        if answer.keys() == {"error"}:
            raise OracleError(answer["error"])
        return answer


class Oracle(Child):
    """A script of tests/eliza: `with validators() as oracle: oracle.ask({...})`."""

    def __init__(self, script: str) -> None:
        super().__init__(lambda: [tool("node"), SCRIPTS / script, ensure_installed()])

    def ask(self, request: dict[str, Json]) -> Json:
        """One answer. With `seed` the package draws the same random numbers each time; with `now` its clock stands.

        Raises OracleError with what the package threw.
        """
        return self.exchange(request)


def validators() -> Oracle:
    """{era, character} -> {ok, errors, parsed}; era is v0.1.6, v0.25.9, v1.7.2, v2 (its loader) or v2-strict."""
    return Oracle("validate.mjs")


def ids() -> Oracle:
    """{text, agent_id?} -> the id of `text` in v0.1.6, v0.25.9 and v1.7.2, and `unique` to that agent."""
    return Oracle("ids.mjs")


def templates() -> Oracle:
    """{era, template, state, engine?} -> {text}; era is v0.25.9 or v1.7.2."""
    return Oracle("render.mjs")


def providers() -> Oracle:
    """{provider, character, room_type?, message?, messages?, entities?, actions?, providers?} -> {text, values, data}.

    `provider` is a name such as CHARACTER, ACTIONS, PROVIDERS, RECENT_MESSAGES or TIME, all of v1.7.2.
    """
    return Oracle("provider.mjs")


def states() -> Oracle:
    """{character, message?, messages?, actors?, actions?, providers?, knowledge?} -> {state}, of v0.25.9."""
    return Oracle("state.mjs")


@functools.cache
def ensure_installed() -> Path:
    """The folder with the packages of the lock: made once per lock, outside the checkout, by one process at a time."""
    lock = (SCRIPTS / "package.json").read_bytes() + (SCRIPTS / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teehee-tests"
    folder = cache / f"eliza-{hashlib.sha256(lock).hexdigest()[:16]}"
    check_node()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "eliza.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not folder.is_dir():
            install(folder)
    return folder


def install(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as name:
        made = Path(name) / "eliza"
        made.mkdir()
        for file in ("package.json", "package-lock.json"):
            shutil.copy(SCRIPTS / file, made)
        try:
            subprocess.run(
                [tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=made,
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            unavailable(f"npm could not install the Eliza packages:\n{error.stderr}")
        except subprocess.TimeoutExpired:
            unavailable(f"npm did not install the Eliza packages within {INSTALL_SECONDS} seconds")
        for source_map in made.rglob("*.map"):
            source_map.unlink()  # more than half of it all
        (made / ".env").touch()  # v0 reads the nearest one above its working directory; let it be this one
        made.rename(folder)


def check_node() -> None:
    shown = subprocess.run([tool("node"), "--version"], check=True, capture_output=True, text=True).stdout
    version = tuple(map(int, re.findall(r"\d+", shown)))
    if version < OLDEST_NODE:
        unavailable(f"node is {shown.strip()}, the Eliza packages need {'.'.join(map(str, OLDEST_NODE))} or newer")


def tool(name: str) -> str:
    return shutil.which(name) or unavailable(f"needs {name} (apt install nodejs npm)")


def unavailable(reason: str) -> NoReturn:
    """Skips, where tools may be missing; else fails."""
    if os.environ.get("TEEHEE_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


if __name__ == "__main__":
    sys.stdout.write(f"{ensure_installed()}\n")
