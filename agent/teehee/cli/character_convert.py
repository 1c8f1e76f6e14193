"""`teehee character convert`: the same character as another era's validator takes it."""

from pathlib import Path
from typing import Annotated

import typer

from teehee.cli import options


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A character file.", show_default=False)],
    era: Annotated[
        str,
        typer.Option(
            "--as", metavar="ERA", help="v0 (elizaOS 0.25.9), v1 (1.7.2) or v2 (2.0 alpha).", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to write it. [default: standard output]")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Write a character as elizaOS of another era reads it.

    No secret is written: names stay, values are empty. What the era has no place for is kept under
    settings.characterExtras, from where teehee reads it back.
    """
    import json
    import sys

    from teehee import character as characters
    from teehee.character.model import KEPT, KEPT_ERA

    readings = characters.read(file)
    written = [characters.convert(reading.character, era) for reading in readings]
    text = json.dumps(written if len(written) > 1 else written[0], ensure_ascii=False, indent=2) + "\n"
    for reading, value in zip(readings, written, strict=True):
        kept = ", ".join(key for key in value.get("settings", {}).get(KEPT, {}) if key != KEPT_ERA)
        notes = [f"kept under settings.{KEPT}: {kept}"] if kept else []
        notes += ["secrets are written as empty names; fill them in again"] if reading.character.secrets else []
        for note in notes:
            sys.stderr.write(f"· {reading.character.name}: {note}\n")
    if out is None:
        sys.stdout.write(text)
    else:
        _save(out, text)


def _save(path: Path, text: str) -> None:
    from teehee.errors import ConfigError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}", hint="name another file") from error
    typer.echo(f"written to {path}")
