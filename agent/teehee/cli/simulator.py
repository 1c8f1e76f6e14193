"""`teehee simulator`: a dstack guest agent for development, on a socket or a port of this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from teehee.cli import options

if TYPE_CHECKING:
    from teehee.tee.simulator import Simulator

SEED_DIGITS = 64


def simulator(
    seed: Annotated[
        str,
        typer.Option(
            "--seed", metavar="HEX|FILE", help="32 bytes everything comes from, in hex or a file. [default: drawn anew]"
        ),
    ] = "",
    socket: Annotated[
        Path | None,
        typer.Option("--socket", metavar="PATH", help="Unix socket to listen at. [default: a loopback port]"),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="Loopback port. [default: any free one]", show_default=False)
    ] = 0,
    era: Annotated[
        str,
        typer.Option(
            "--era",
            metavar="VERSION",
            help="Release to be: 0.3.6, 0.4.2, 0.5.5, 0.5.11 or 0.6.0. [default: 0.5.11]",
            show_default=False,
        ),
    ] = "0.5.11",
    provider: Annotated[
        str,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="Where keys come from: kms, local or none. [default: kms]",
            show_default=False,
        ),
    ] = "kms",
    compose: Annotated[
        Path | None,
        typer.Option("--compose", metavar="FILE", help="The app-compose.json to have booted. [default: a small one]"),
    ] = None,
    fault: Annotated[
        str,
        typer.Option(
            "--fault", metavar="NAME", help="One thing to be wrong, such as slow or vanish. [default: nothing]"
        ),
    ] = "",
    roots: Annotated[
        Path | None,
        typer.Option(
            "--roots",
            metavar="DIR",
            help="Where to put dev-root.pem and collateral.json, which its quotes are checked by. [default: nowhere]",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Stand in for a dstack guest agent.

    For development: whatever is signed here says `trust: dev`.
    """
    import asyncio

    from teehee.errors import ConfigError
    from teehee.supervisor.guest import refuse_in_image

    refuse_in_image()
    if socket is not None and port:
        raise ConfigError("--socket and --port are both given", hint="give one of them")
    stand_in = _made(seed, era, provider, compose, fault)
    if roots is not None:
        _write(stand_in, roots)
    asyncio.run(_run(stand_in, socket, port))


def _made(seed: str, era: str, provider: str, compose: Path | None, fault: str) -> "Simulator":
    from teehee.errors import ConfigError
    from teehee.tee.sim_machine import DEFAULT_COMPOSE
    from teehee.tee.simulator import Simulator

    try:
        app_compose = compose.read_bytes() if compose is not None else DEFAULT_COMPOSE
        return Simulator(_seed(seed), era=era, provider=provider, app_compose=app_compose, fault=fault)
    except OSError as error:
        raise ConfigError(f"cannot read {str(error.filename)!r}: {error.strerror}", hint="check the path") from error


def _write(stand_in: "Simulator", folder: Path) -> None:
    """What `teehee verify --dev-root … --collateral …` wants, for whoever trusts this developer."""
    import json
    import ssl
    import time

    from teehee.errors import ConfigError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dev-root.pem").write_text(ssl.DER_cert_to_PEM_cert(stand_in.root_der))
        (folder / "collateral.json").write_text(json.dumps(stand_in.collateral(int(time.time()))))
    except OSError as error:
        raise ConfigError(f"cannot write into {str(folder)!r}: {error.strerror}", hint="check the path") from error


async def _run(stand_in: "Simulator", socket: Path | None, port: int) -> None:
    import asyncio
    import signal

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with stand_in:
        where = await stand_in.listen(socket=socket, port=port)
        machine = stand_in.machine
        typer.echo(f"guest agent {machine.era} at {where}")
        typer.echo(f"app id {machine.app_id.hex()} · compose hash {machine.compose_hash.hex()}")
        typer.echo("trust: dev · stop it with Ctrl-C or a TERM signal")
        await stopped.wait()


def _seed(given: str) -> bytes:
    """The seed in hex, or that in a file: its 32 bytes, or the same in hex; drawn anew when none is given."""
    import os
    import re

    from teehee.errors import ConfigError
    from teehee.tee.guest import SEED_BYTES

    if not given:
        return os.urandom(SEED_BYTES)
    digits = given
    if not re.fullmatch(rf"[0-9a-fA-F]{{{SEED_DIGITS}}}", given):
        content = Path(given).expanduser().read_bytes()
        if len(content) == SEED_BYTES:
            return content
        digits = content[: SEED_DIGITS + 2].decode("ascii", "replace").strip()
    if not re.fullmatch(rf"[0-9a-fA-F]{{{SEED_DIGITS}}}", digits):
        raise ConfigError(f"the seed in {given!r} is not {SEED_BYTES} bytes, nor {SEED_DIGITS} hex digits")
    return bytes.fromhex(digits)
