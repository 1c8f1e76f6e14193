"""`teehee character check`: for each file, whether it runs, what was understood, migrated, ignored, and odd."""

from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Character files.", show_default=False)]


def check(
    files: Files,
    plugin_path: options.PluginPath = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Say what of each file is understood, migrated and ignored.

    Ends with code 1 when a file cannot run; everything else is told and runs.
    """
    from teehee import registry

    installed = tuple(registry.installed(str(plugin_path or "")))
    rows = [row for path in files for row in _rows(path, installed)]
    if as_json:
        options.print_json(rows)
    else:
        for row in rows:
            _print(row)
        _sum_up(rows)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def _rows(path: Path, installed: tuple[str, ...]) -> list[Json]:
    """One row for each character of the file; one that says why when it holds none."""
    from teehee import character as characters
    from teehee.errors import ConfigError

    try:
        readings = characters.read(path)
    except ConfigError as error:
        row = {"file": str(path), "ok": False, "era": None, "name": None, "changes": [], "warnings": []}
        return [{**row, "understood": [], "ignored": [], "error": str(error), "hint": error.hint}]
    names = [str(path)] if len(readings) == 1 else [f"{path}[{number}]" for number in range(len(readings))]
    return [_row(name, reading, installed) for name, reading in zip(names, readings, strict=True)]


def _row(name: str, reading: Any, installed: tuple[str, ...]) -> Json:
    who = reading.character
    return {
        "file": name,
        "ok": True,
        "era": who.era,
        "name": who.name,
        "id": who.id,
        "understood": list(reading.understood),
        "changes": [*reading.changes, *_answered(who, installed)],
        "ignored": list(reading.ignored),
        "warnings": [*reading.warnings, *_unanswered(who, installed)],
        "error": None,
    }


def _answered(who: Any, installed: tuple[str, ...]) -> list[str]:
    """Names that something of another name answers to here."""
    from teehee.character import names

    told = []
    for path, written in _named(who):
        found = names.counterpart(written, installed)
        if found.kind in ("built-in", "model"):
            told.append(f"{path}: {written!r} needs no plugin here: {found.note}")
    return told


def _unanswered(who: Any, installed: tuple[str, ...]) -> list[str]:
    """Names that nothing here answers to; the agent runs without them."""
    from teehee.character import names

    told = []
    for path, written in _named(who):
        found = names.counterpart(written, installed)
        if found.kind == "absent":
            told.append(f"{path}: nothing here answers to {written!r}" + (f" ({found.note})" if found.note else ""))
    return told


def _named(who: Any) -> list[tuple[str, str]]:
    return [
        *((f"$.plugins[{n}]", name) for n, name in enumerate(who.plugins)),
        *((f"$.clients[{n}]", name) for n, name in enumerate(who.clients)),
    ]


def _print(row: Json) -> None:
    if not row["ok"]:
        typer.echo(f"✗ {row['error']}")
        typer.echo(f"    what to do  {row['hint']}")
        return
    typer.echo(f"✓ {row['file']} · {row['era']} · {row['name']}")
    lines = [("understood", ", ".join(row["understood"]))]
    lines += [("migrated", change) for change in row["changes"]]
    lines += [("ignored", ", ".join(row["ignored"]) + " (kept, not used)")] if row["ignored"] else []
    lines += [("look at", warning) for warning in row["warnings"]]
    for title, line in lines:
        typer.echo(f"    {title:<11} {line}")


def _sum_up(rows: list[Json]) -> None:
    if len(rows) > 1:
        runs = sum(row["ok"] for row in rows)
        warned = sum(bool(row["warnings"]) for row in rows)
        typer.echo(
            f"{len(rows)} characters: {runs} run, {len(rows) - runs} refused, {warned} with something to look at"
        )
