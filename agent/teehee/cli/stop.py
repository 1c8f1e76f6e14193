"""`teehee stop` and `teehee resume`: the owner's brake, for agents here and elsewhere."""

from typing import Annotated, Any

import typer

from teehee.cli import afar, options, verify_options

Json = Any
Which = Annotated[str, typer.Option("--agent", metavar="NAME", help="Which agent. [default: all of them]")]


def stop(
    agent: Which = "",
    data: options.Data = None,
    url: afar.Url = "",
    app_id: afar.AppId = "",
    rung: afar.Rung = 1,
    dev_root: verify_options.DevRoot = None,
    kms_root: verify_options.KmsRoot = "",
    collateral: verify_options.Collateral = None,
    debug: options.Debug = False,
) -> None:
    """Silence agents at once, as their owner, until resumed.

    With --url one elsewhere: its vault is checked first, and the order sealed to it.
    """
    there = afar.Elsewhere(url, app_id, rung, dev_root, kms_root, collateral)
    _tell("stop", agent, options.given(data=data), there)


def resume(
    agent: Which = "",
    data: options.Data = None,
    url: afar.Url = "",
    app_id: afar.AppId = "",
    rung: afar.Rung = 1,
    dev_root: verify_options.DevRoot = None,
    kms_root: verify_options.KmsRoot = "",
    collateral: verify_options.Collateral = None,
    debug: options.Debug = False,
) -> None:
    """Let stopped agents speak again.

    With --url one elsewhere, as `teehee stop` does.
    """
    there = afar.Elsewhere(url, app_id, rung, dev_root, kms_root, collateral)
    _tell("resume", agent, options.given(data=data), there)


def _tell(method: str, agent: str, given: dict[str, object], there: afar.Elsewhere) -> None:
    import asyncio

    changed = _ask_afar(method, agent, given, there) if there.url else asyncio.run(_ask_vault(method, agent, given))
    done = "stopped" if method == "stop" else "resumed"
    typer.echo(f"{done}: {', '.join(changed)}" if changed else f"nothing to do: already {done}")


def _ask_afar(method: str, wanted: str, given: dict[str, object], there: afar.Elsewhere) -> list[str]:
    from teehee.supervisor import plan as plans

    vault = afar.Vault(there, plans.make([], given).folder.owner_key)
    chosen = _chosen(vault.ask("status", {})["agents"], wanted) if wanted else []
    changed: list[str] = vault.ask(method, {"agents": chosen})["changed"]  # none named: all, in one request
    return changed


async def _ask_vault(method: str, wanted: str, given: dict[str, object]) -> list[str]:
    from teehee.errors import ConfigError
    from teehee.supervisor import plan as plans
    from teehee.supervisor.owner import Owner
    from teehee.wire.client import Client

    folder = plans.make([], given).folder
    if not folder.is_running:
        raise ConfigError(
            "no agent runs in this data folder", hint="name the right one with --data, or its address with --url"
        )
    async with Client(folder.sockets / "vault-public.sock") as public:
        known = (await public.call("agents", patience=5.0))["agents"]
    async with Client(folder.sockets / "vault-owner.sock") as door:
        order = {"agents": _chosen(known, wanted)}
        changed: list[str] = (await Owner(folder.owner_key).ask(door, method, order))["changed"]
        return changed


def _chosen(known: list[Json], wanted: str) -> list[str]:
    """The ids of the agents that are meant. Raises ConfigError when there is none."""
    from teehee.errors import ConfigError

    chosen = [a["agent"] for a in known if not wanted or wanted.lower() in (a["name"].lower(), a["agent"])]
    if not chosen:
        raise ConfigError(f"no agent {wanted!r} runs there", hint=f"there are {', '.join(a['name'] for a in known)}")
    return chosen
