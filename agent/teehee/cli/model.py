"""`teehee model`: which models are here, how the local one gets here, and how fast they answer."""

import typer

from teehee.cli import model_install, model_list, model_speed


def build() -> typer.Typer:
    """The commands on models; none of them starts an agent."""
    app = typer.Typer(help="List models, install the local one, and time one.", no_args_is_help=True)
    app.command("list")(model_list.list)
    app.command("install")(model_install.install)
    app.command("test")(model_speed.test)
    return app
