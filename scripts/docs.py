"""Writes the real help texts and the settings into the pages that quote them; with --check only says what differs."""

import re
import sys
from pathlib import Path

from typer.testing import CliRunner

from teehee.cli.app import build

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/commands.md")
PLACE = re.compile(r"(<!-- help:(?P<name>[\w ]+) -->\n).*?(<!-- /help -->)", re.DOTALL)
FOLDERS = {"data": "~/.local/share/teehee", "cache": "~/.cache/teehee"}
SETTINGS = re.compile(r"(<!-- settings -->\n).*?(<!-- /settings -->)", re.DOTALL)


def help_text(command: str) -> str:
    """What `command --help` prints, at 80 columns."""
    asked = CliRunner().invoke(build(), [*command.split()[1:], "--help"], prog_name="teehee")
    assert asked.exit_code == 0, asked.output
    return "\n".join(line.rstrip() for line in asked.output.strip().splitlines())


def settings_table() -> str:
    """Every setting with its environment name, its names in a character, default and meaning."""
    from teehee.settings import ALIASES, OF_THE_RUN, PREFIX, Settings

    rows = ["| setting | environment | in a character | default | what it is |", "|---|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        names = "" if name in OF_THE_RUN else ", ".join(f"`{key}`" for key in (name.upper(), *ALIASES.get(name, ())))
        default = FOLDERS.get(name) or _default(field.default)
        rows.append(f"| {name} | `{PREFIX}{name.upper()}` | {names} | {default} | {field.description} |")
    return "\n".join(rows)


def _default(value: object) -> str:
    secret = getattr(value, "get_secret_value", None)
    shown = secret() if secret else value
    return str(shown) if shown != "" else "(empty)"


def written(page: str) -> str:
    """`page` with every marked place filled anew."""
    page = PLACE.sub(lambda m: f"{m[1]}```\n{help_text(m['name'])}\n```\n{m[3]}", page)
    return SETTINGS.sub(lambda m: f"{m[1]}{settings_table()}\n{m[2]}", page)


def main() -> int:
    stale = []
    for name in PAGES:
        path = ROOT / name
        now = path.read_text()
        if (then := written(now)) != now:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(then)
    if "--check" in sys.argv and stale:
        sys.stderr.write(f"not true any more: {', '.join(stale)}; `make docs` writes them anew\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
