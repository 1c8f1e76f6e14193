"""`teehee serve`: one part, in a container of its own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

PART = typer.Argument(metavar="PART", help="vault, gate or mind.", show_default=False)


def _option(flag: str, metavar: str, about: str, default: str) -> Any:
    """Like `options`, but for an environment that does not count."""
    return typer.Option(flag, metavar=metavar, help=f"{about}. [default: {default}]", show_default=False)


def serve(
    part: Annotated[str, PART],
    characters: Annotated[
        list[str] | None,
        typer.Argument(metavar="CHARACTER", help="Character files, names of built-in characters, or the JSON itself."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="NAME", help="A secret the vault finds in its environment. [default: none]"),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option("--owner", metavar="HEX", help="Public key that may stop and resume agents. [default: none]"),
    ] = None,
    lost: Annotated[
        list[str] | None,
        typer.Option(
            "--lost", metavar="WORD", help="Go on without the store this word was told for. [default: refuse]"
        ),
    ] = None,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="What this part keeps.")] = Path("/data"),
    sockets: Annotated[Path, typer.Option("--sockets", metavar="DIR", help="Where the parts meet.")] = Path(
        "/run/teehee"
    ),
    guest: Annotated[
        Path | None,
        typer.Option("--guest", metavar="PATH", help="Socket of the guest agent, for the vault. [default: the TEE's]"),
    ] = None,
    host: Annotated[str | None, _option("--host", "ADDRESS", "Address the gate's page listens on", "127.0.0.1")] = None,
    port: Annotated[int | None, _option("--port", "PORT", "Port of the gate's page", "7337, or any free one")] = None,
    model_url: Annotated[
        str | None, _option("--model-url", "URL", "OpenAI-shaped endpoint to think with", "the character's, or none")
    ] = None,
    model: Annotated[
        str | None, _option("--model", "NAME", "Model name to ask the endpoint for", "the character's, or none")
    ] = None,
    log_level: Annotated[str | None, _option("--log-level", "LEVEL", "debug, info, warning or error", "info")] = None,
    debug: options.Debug = False,
) -> None:
    """Run one part alone, as containers do.

    It is configured by its command line only: the environment, which anybody may set, does not count.
    """
    from teehee.cli.session import tell
    from teehee.settings import secrets_named
    from teehee.supervisor import alone
    from teehee.supervisor.plan import OPEN

    given = options.given(data=str(data), host=host, port=port, model_url=model_url, model=model, log_level=log_level)
    given["access_token"] = OPEN  # anybody may talk: a token on a measured command line would be public
    names = tuple(secret or ())
    said = alone.Measured(
        tuple(characters or ()), given, names, tuple(owner or ()), sockets, str(guest or ""), tuple(lost or ())
    )
    alone.start(part, said, secrets_named(names), tell)
