"""`teehee backup` and `teehee restore`: all an agent is, in one sealed file, and back."""

from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not be there yet.")],
    data: options.Data = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Seal everything the agents are into a file.

    While they run; the file is read back before it gets its name.
    """
    import asyncio

    from teehee.backup.take import take
    from teehee.supervisor import plan as plans

    _tell(asyncio.run(take(plans.make([], options.given(data=data)), file)), "sealed and read back", as_json)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `teehee backup`.")],
    check: Annotated[bool, typer.Option("--check", help="Only verify it. [default: restore it]")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Restore over a state that is newer or damaged. [default: refuse]")
    ] = False,
    data: options.Data = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Make a backup the state of the data folder.

    It is verified first, down to every leaf of every log.
    """
    import asyncio

    from teehee.backup import restore as way
    from teehee.supervisor import plan as plans

    plan = plans.make([], options.given(data=data))
    work = way.check(plan, file) if check else way.restore(plan, file, force=force)
    _tell(asyncio.run(work), "it holds" if check else "restored", as_json)


def _tell(done: Any, how: str, as_json: bool) -> None:
    from dataclasses import asdict
    from datetime import UTC, datetime

    if as_json:
        options.print_json(asdict(done))
        return
    when = datetime.fromtimestamp(done.taken_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    typer.echo(f"{done.path} · {done.size} bytes · taken {when} · {how} in {done.seconds:.1f} s")
    for log in done.logs:
        after = getattr(done, "epochs", {}).get(log.key_id)
        goes_on = f" · goes on in epoch {after}" if after else ""
        typer.echo(f"{log.name} · {log.size} leaves · root {log.root[:16]}…{goes_on}")
