"""`teehee character`: what a file holds, what becomes of it, and the same in another era's words."""

import typer

from teehee.cli import character_check, character_convert, character_diff, character_explain


def build() -> typer.Typer:
    """The commands on character files; none of them starts an agent."""
    app = typer.Typer(help="Check, explain, convert and compare character files.", no_args_is_help=True)
    app.command("check")(character_check.check)
    app.command("explain")(character_explain.explain)
    app.command("convert")(character_convert.convert)
    app.command("diff")(character_diff.diff)
    return app
