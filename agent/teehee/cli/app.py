"""Puts the commands together, in the order people meet them."""

from typing import Annotated

import typer

from teehee import __version__
from teehee.cli import (
    accounts,
    ask,
    backup,
    bundle,
    character,
    chat,
    config,
    costs,
    doctor,
    health,
    log,
    model,
    new,
    owner,
    plugins,
    replay,
    run,
    secrets,
    serve,
    simulator,
    stop,
    trace,
    verify,
)


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="teehee",
        help="Runs Eliza characters as agents nobody can puppet.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
        """Runs Eliza characters as agents nobody can puppet."""
        if version:
            typer.echo(__version__)
            raise typer.Exit

    for command in (
        run.run,
        chat.chat,
        ask.ask,
        new.new,
        log.log,
        stop.stop,
        stop.resume,
        owner.owner,
        verify.verify,
        bundle.bundle,
        trace.trace,
        replay.replay,
        costs.costs,
        accounts.accounts,
        backup.backup,
        backup.restore,
        config.config,
        doctor.doctor,
        plugins.plugins,
        simulator.simulator,
        serve.serve,
        health.health,
    ):
        app.command()(command)
    app.add_typer(character.build(), name="character")
    app.add_typer(model.build(), name="model")
    app.add_typer(secrets.build(), name="secrets")
    return app
