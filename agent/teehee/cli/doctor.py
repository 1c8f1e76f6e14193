"""`teehee doctor`: looks at environment, data folder, model and clock, and says what to mend."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
FSYNC_TRIES = 50
ROOM_BYTES = 200 << 20
OLDEST_CLOCK = 1_760_000_000  # a clock before this release is wrong
MARKS = {"ok": "✓", "note": "·", "bad": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `ok`, `note` (works, but know it) or `bad` (mend it)."""

    about: str
    mark: str
    told: str
    fix: str = ""


def doctor(
    characters: options.Characters = None,
    data: options.Data = None,
    model_url: options.ModelUrl = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read all stores to the last leaf. [default: not]")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make caches and indexes anew, while nothing runs. [default: not]")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check environment, data folder, model and clock."""
    from teehee.supervisor import plan as plans

    plan = plans.make(characters or [], options.given(data=data, model_url=model_url))
    findings = [*_environment(), *_folder(plan.folder), *_models(plan), *_clock(plan.folder.path)]
    if deep or rebuild:
        from teehee.cli import doctor_stores

        findings += doctor_stores.rebuild(plan.folder) if rebuild else []
        findings += doctor_stores.deep(plan.folder) if deep else []
    if as_json:
        options.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{MARKS[finding.mark]} {finding.about}: {finding.told}")
            if finding.fix:
                typer.echo(f"    what to do: {finding.fix}")
    if any(finding.mark == "bad" for finding in findings):
        raise typer.Exit(2)


def _environment() -> Iterator[Finding]:
    import platform
    import sqlite3
    import sys

    from teehee.settings import steering

    good = sys.platform == "linux" and platform.machine() == "x86_64"
    told = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {sys.platform} {platform.machine()}"
    yield Finding("environment", "ok" if good else "note", told, "" if good else "only Linux x86-64 is tested")
    if found := steering():
        yield Finding("environment", "note", f"{', '.join(found)} set here: none of our processes sees it")
    guest = Path("/var/run/dstack.sock").exists()
    yield Finding(
        "trust",
        "ok" if guest else "note",
        "a dstack guest agent is here" if guest else "dev: keys come from a seed file",
    )


def _folder(folder: Any) -> Iterator[Finding]:
    import os
    import shutil

    from teehee.errors import ConfigError

    try:
        folder.make()
    except ConfigError as error:
        yield Finding("data folder", "bad", str(error), error.hint)
        return
    free = shutil.disk_usage(folder.path).free
    mark, fix = ("ok", "") if free > ROOM_BYTES else ("bad", "free some space or move it with --data")
    running = "in use by a running teehee" if folder.is_running else "free to use"
    yield Finding("data folder", mark, f"{folder.path}, {running}, {free >> 20} MB free", fix)
    with open(folder.path / ".probe", "wb") as file:
        start = time.perf_counter()
        for _ in range(FSYNC_TRIES):
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
        rate = FSYNC_TRIES / (time.perf_counter() - start)
    (folder.path / ".probe").unlink()
    slow = "every message waits for the disk twice" if rate < 100 else ""
    yield Finding("disk", "note" if slow else "ok", f"{rate:.0f} fdatasync/s", slow)


def _models(plan: Any) -> Iterator[Finding]:
    for agent in plan.agents:
        for model in agent.choice.models:
            yield from _model(agent, model)


def _model(agent: Any, model: Any) -> Iterator[Finding]:
    import socket
    from urllib.parse import urlsplit

    if not model.url:
        what = f"{model.shown}, on this machine" if model.weights else "the classic brain"
        yield Finding("model", "ok", f"{agent.character.name} thinks with {what}; {agent.choice.hint}")
        return
    parts = urlsplit(model.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((str(parts.hostname), port), timeout=3.0).close()
    except OSError as error:
        fix = "start the endpoint, or mend MODEL_URL; messages are kept meanwhile"
        yield Finding("model", "bad", f"{model.url} does not answer: {error}", fix)
    else:
        yield Finding("model", "ok", f"{model.url} answers on port {port}")
    if not model.name:
        yield Finding("model", "note", "no model name is set", "give one with --model when the endpoint wants it")


def _clock(folder: Path) -> Iterator[Finding]:
    now = time.time()
    store = folder / "vault.db"
    ahead = store.stat().st_mtime - now if store.exists() else 0.0
    if now < OLDEST_CLOCK:
        yield Finding("clock", "bad", "the clock is years behind", "set the machine's time")
    elif ahead > 60:
        yield Finding("clock", "bad", f"the clock is {ahead:.0f} s behind the last commit", "set the machine's time")
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))
