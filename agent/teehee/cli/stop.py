"""`teehee stop` and `teehee resume`: the owner's brake."""

import typer

from teehee.cli import options


def stop(agent: options.AgentName = "", data: options.Data = None, debug: options.Debug = False) -> None:
    """Silence an agent at once, as its owner, until resumed."""
    _tell("stop", agent, options.given(data=data))


def resume(agent: options.AgentName = "", data: options.Data = None, debug: options.Debug = False) -> None:
    """Let a stopped agent speak again."""
    _tell("resume", agent, options.given(data=data))


def _tell(method: str, agent: str, given: dict[str, object]) -> None:
    import asyncio

    changed = asyncio.run(_ask_vault(method, agent, given))
    done = "stopped" if method == "stop" else "resumed"
    typer.echo(f"{done}: {', '.join(changed)}" if changed else f"nothing to do: already {done}")


async def _ask_vault(method: str, wanted: str, given: dict[str, object]) -> list[str]:
    from teehee.errors import ConfigError
    from teehee.supervisor import plan as plans
    from teehee.supervisor.owner import Owner
    from teehee.wire.client import Client

    folder = plans.make([], given).folder
    if not folder.is_running:
        raise ConfigError("no agent runs in this data folder", hint="name the right one with --data")
    async with Client(folder.sockets / "vault-public.sock") as public:
        known = (await public.call("agents", patience=5.0))["agents"]
    chosen = [a["agent"] for a in known if not wanted or wanted.lower() in (a["name"].lower(), a["agent"])]
    if not chosen:
        raise ConfigError(f"no agent {wanted!r} runs here", hint=f"there are {', '.join(a['name'] for a in known)}")
    async with Client(folder.sockets / "vault-owner.sock") as door:
        changed: list[str] = (await Owner(folder.owner_key).ask(door, method, {"agents": chosen}))["changed"]
        return changed
