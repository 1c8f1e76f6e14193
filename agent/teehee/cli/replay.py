"""`teehee replay`: a recorded turn once more, with nothing said and nothing remembered."""

from typing import Any

import typer

from teehee.cli import options, trace

Json = Any


def replay(
    message: trace.Message = "",
    agent: options.AgentName = "",
    room: trace.Room = "main",
    as_json: options.AsJson = False,
    data: options.Data = None,
    debug: options.Debug = False,
) -> None:
    """Run a recorded turn again, dry, and compare.

    The same inputs and the model's recorded answer must give the same decision; what differs is named.
    """
    import asyncio

    from teehee.errors import VerificationError

    found = asyncio.run(trace.ask("replay", message, agent, room, options.given(data=data)))
    if as_json:
        options.print_json(found)
    else:
        _print(found)
    if not found["same"]:
        raise typer.Exit(VerificationError.exit_code)


def _print(found: Json) -> None:
    import json

    if not found["replayed"]:
        typer.echo(f"event {found['event']} cannot be run again: {found['reason']}")
        return
    verdict = "came out the same" if found["same"] else "came out differently"
    typer.echo(f"event {found['event']} {verdict}; no model was asked, nothing was said or remembered")
    if found["package_changed"]:
        typer.echo("the character has changed since")
    if found["plugins_changed"]:
        typer.echo("the plugins have changed since")
    for difference in found["differences"]:
        typer.echo(f"{difference['what']}:")
        for when in ("recorded", "now"):
            typer.echo(f"  {when:<9} {json.dumps(difference[when], ensure_ascii=False)}")
    if found["differences"] and found["services_left_out"]:
        typer.echo(f"plugins' services do not run in a replay: {', '.join(found['services_left_out'])}")
