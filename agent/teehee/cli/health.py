"""`teehee health`: whether a part answers, asked from inside its own container."""

from pathlib import Path
from typing import Annotated

import typer

from teehee.cli import options

OWN_SOCKET = {"vault": "vault-public", "gate": "terminal", "mind": "mind"}
PATIENCE_SECONDS = 3.0


def health(
    part: Annotated[str, typer.Argument(metavar="PART", help="vault, gate or mind.", show_default=False)],
    sockets: Annotated[Path, typer.Option("--sockets", metavar="DIR", help="Where the parts meet.")] = Path(
        "/run/teehee"
    ),
    debug: options.Debug = False,
) -> None:
    """Ask a part of `teehee serve` whether it answers.

    From inside its container; exit code 0 when it does.
    """
    import asyncio

    from teehee.errors import ConfigError

    if part not in OWN_SOCKET:
        raise ConfigError(f"no part {part[:40]!r}", hint=f"there are {', '.join(OWN_SOCKET)}")
    asyncio.run(_ask(sockets, OWN_SOCKET[part]))
    typer.echo(f"{part}: answers")


async def _ask(sockets: Path, name: str) -> None:
    from teehee.wire.client import Client
    from teehee.wire.paths import socket_in

    async with Client(socket_in(sockets, name)) as link:
        await link.call("subscribe", patience=PATIENCE_SECONDS)
