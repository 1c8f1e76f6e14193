"""`teehee run`: starts agents and talks in the terminal, or serves when there is none."""

from typing import TYPE_CHECKING

import typer

from teehee.cli import options

if TYPE_CHECKING:
    from teehee.supervisor.brains import Choice


def run(
    characters: options.Characters = None,
    data: options.Data = None,
    host: options.Host = None,
    port: options.Port = None,
    model_url: options.ModelUrl = None,
    model: options.Model = None,
    model_provider: options.ModelProvider = None,
    plugin_path: options.PluginPath = None,
    log_level: options.LogLevel = None,
    isolate: options.Isolate = None,
    no_reload: options.NoReload = None,
    debug: options.Debug = False,
) -> None:
    """Start agents, serve their web page, and talk to them here."""
    import asyncio

    given = options.given(
        data=data, host=host, port=port, model_url=model_url, model=model, model_provider=model_provider,
        plugin_path=plugin_path, log_level=log_level, isolate=isolate, reload=False if no_reload else None,
    )  # fmt: skip
    asyncio.run(_run(characters or [], given))


async def _run(names: list[str], given: dict[str, object]) -> None:
    import asyncio
    import signal
    import sys

    from teehee.cli import talk
    from teehee.cli.session import planned, tell
    from teehee.settings import steering
    from teehee.supervisor.supervisor import Supervisor
    from teehee.wire.client import Client

    plan = planned(names, given)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if found := steering():
        tell(f"set in this environment, and kept from every process of ours: {', '.join(found)}")
    for agent in plan.agents:
        for note in agent.notes:
            tell(f"{agent.character.name}: {note}")
    async with Supervisor(plan, tell) as up:
        names = [agent.character.name for agent in plan.agents]
        typer.echo(_opening(_page(up.url, plan.access_token), names, plan.agents[0].choice, up.trust))
        if len(names) > 1:
            typer.echo(_trust_domain(names, isolated=plan.run.settings.isolate))
        if sys.stdin.isatty():
            if len(names) > 1:
                others = [agent.slug for agent in plan.agents[1:]]
                typer.echo(f"you talk to {names[0]} here; elsewhere: teehee chat --agent {'|'.join(others)}")
            async with Client(plan.folder.sockets / "terminal.sock") as door:
                faces = await door.call("agents")
                await talk.converse(door, faces[0], stopped)
        else:
            typer.echo("no terminal here, so this only serves; stop it with Ctrl-C or a TERM signal")
            await stopped.wait()
        typer.echo("stopping: finishing what is in the air …")


def _page(url: str, token: str) -> str:
    """The address to open in a browser; with the token, where the page asks for one."""
    return f"{url}/?token={token}" if token else url


def _opening(url: str, names: list[str], choice: "Choice", trust: str) -> str:
    better = f"; {choice.hint}" if choice.hint else ""
    lines = [
        f"{', '.join(names)} · brain: {choice.shown}{better}",
        f"web page: {url} · receipts: teehee log · trust: {trust}",
    ]
    return "\n".join(lines)


def _trust_domain(names: list[str], *, isolated: bool) -> str:
    """Who stands and falls with whom."""
    all_of_them = f"{', '.join(names[:-1])} and {names[-1]}"
    if isolated:
        return f"{all_of_them} have a mind each: what takes over one can neither speak nor spend as another"
    return f"{all_of_them} share one mind: what takes over one has them all; --isolate gives each its own"
