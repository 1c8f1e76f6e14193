"""`teehee bundle`: everything a check of an agent needs, written as one file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
URL_SECONDS = 20.0


def bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")],
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="The agent's address. [default: the agent that runs here]")
    ] = "",
    nonce: Annotated[
        str, typer.Option("--nonce", metavar="HEX", help="What the agent is to answer. [default: none]")
    ] = "",
    agent: options.AgentName = "",
    as_json: options.AsJson = False,
    data: options.Data = None,
    debug: options.Debug = False,
) -> None:
    """Write an agent's evidence as one file.

    Anyone can verify it offline, now and later.
    """
    from teehee.evidence import bundle as bundles
    from teehee.evidence import statement

    found = fetched(source or _here(agent, options.given(data=data)), nonce)
    given = bundles.parse(found)
    said = statement.parse(given.statement.encode())
    _write(file, found)
    if as_json:
        told = {"file": str(file), "bytes": len(found), "as_of": given.as_of, "trust": said.trust}
        options.print_json({**told, "collateral": bool(given.collateral), "log_size": said.log_size})
        return
    word = f"with Intel's word on its platform (from {given.collateral_from})" if given.collateral else ""
    typer.echo(f"{file}: {len(found):,} bytes, trust: {said.trust}, {said.log_size} leaves {word}".rstrip())
    if not given.collateral:
        typer.echo("  without collateral: no check can show the hardware until you bring your own (--collateral)")
    typer.echo(f"  check it: teehee verify {file}")


def _here(wanted: str, given: dict[str, Json]) -> str:
    """The address of the agent that runs in the data folder."""
    import asyncio

    from teehee.cli.session import pick
    from teehee.errors import ConfigError
    from teehee.supervisor import plan as plans
    from teehee.wire.client import Client

    folder = plans.make([], given).folder
    if not folder.is_running:
        raise ConfigError("no agent runs in this data folder", hint="name an agent's address with --from URL")

    async def ask() -> str:
        async with Client(folder.sockets / "terminal.sock") as door:
            face = await pick(door, wanted)
            return f"{face['url']}/chat/{face['slug']}"

    return asyncio.run(ask())


def _write(file: Path, data: bytes) -> None:
    """Writes the whole file or none of it."""
    from teehee.errors import ConfigError

    part = file.with_name(file.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        raise ConfigError(f"{str(file)!r} cannot be written: {error.strerror}", hint="check the path") from error


def fetched(target: str, nonce: str) -> bytes:
    """The bundle at a path, or served by an agent, which is asked to answer the nonce."""
    if not target.startswith(("http://", "https://")):
        return read_file(Path(target))
    import urllib.error
    import urllib.request

    from teehee.errors import ConfigError, Unavailable
    from teehee.evidence.bundle import MAX_BUNDLE_BYTES

    page, _, query = target.partition("?")
    page = page if page.endswith(".json") else f"{page.rstrip('/')}/bundle.json"
    address = page + (f"?nonce={nonce}" if nonce else f"?{query}" if query else "")
    try:
        with urllib.request.urlopen(address, timeout=URL_SECONDS) as answer:
            data: bytes = answer.read(MAX_BUNDLE_BYTES + 1)
            return data
    except urllib.error.HTTPError as error:
        raise ConfigError(f"{address!r} answers {error.code}", hint="give the address of the agent's page") from error
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise Unavailable(f"{address!r} cannot be reached: {getattr(error, 'reason', error)}") from error


def read_file(path: Path) -> bytes:
    from teehee.errors import ConfigError

    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}", hint="check the path") from error
