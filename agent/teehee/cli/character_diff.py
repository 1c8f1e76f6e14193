"""`teehee character diff`: what two files would make different in the agent, whatever their eras."""

from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
File = Annotated[Path, typer.Argument(help="A character file.", show_default=False)]


def diff(one: File, other: File, as_json: options.AsJson = False, debug: options.Debug = False) -> None:
    """Compare two characters field by field, whatever their eras.

    Ends with code 1 when they differ. Secrets are compared by name only.
    """
    from teehee import character as characters
    from teehee.errors import ConfigError

    loaded = [characters.load(path) for path in (one, other)]
    for path, found in zip((one, other), loaded, strict=True):
        if len(found) != 1:
            raise ConfigError(
                f"character {str(path)!r}: holds {len(found)} characters", hint="compare files of one each"
            )
    rows = _rows(_shown(loaded[0][0]), _shown(loaded[1][0]))
    if as_json:
        options.print_json(rows)
    for row in () if as_json else rows:
        typer.echo(row["field"])
        for mark, lines in (("-", row["removed"]), ("+", row["added"])):
            for line in lines:
                typer.echo(f"  {mark} {line}")
        if not row["removed"] and not row["added"]:
            typer.echo("  the same in another order")
    if not rows and not as_json:
        typer.echo("the same character")
    if rows:
        raise typer.Exit(1)


def _shown(character: Any) -> dict[str, list[str]]:
    """Every field as lines without secrets."""
    from dataclasses import replace

    from teehee.character import codec
    from teehee.character.secrets import strip_secrets

    clean, secrets = strip_secrets(character)
    value = codec.to_json(replace(clean, secrets={}))
    value["secrets"] = sorted(secrets)
    value["style.all"], value["style.chat"], value["style.post"] = value.pop("style").values()
    return {name: _lines(item) for name, item in value.items()}


def _lines(value: Json) -> list[str]:
    import json

    items = value.items() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple):
        return [str(value)] if value not in (None, "") else []
    return [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in items]


def _rows(one: dict[str, list[str]], other: dict[str, list[str]]) -> list[Json]:
    return [
        {
            "field": name,
            "removed": [line for line in one[name] if line not in other[name]],
            "added": [line for line in other[name] if line not in one[name]],
        }
        for name in one
        if one[name] != other[name]
    ]
