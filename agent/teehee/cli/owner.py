"""`teehee owner`: whom an agent's vault obeys, and how agents elsewhere tell their owner they are."""

from typing import Any

import typer

from teehee.cli import afar, options, verify_options

Json = Any


def owner(
    url: afar.Url = "",
    app_id: afar.AppId = "",
    rung: afar.Rung = 1,
    dev_root: verify_options.DevRoot = None,
    kms_root: verify_options.KmsRoot = "",
    collateral: verify_options.Collateral = None,
    data: options.Data = None,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Print your public key as an owner, or your agents' state.

    The key is made when there is none; it goes into --owner of `teehee serve vault`. With --url: the state.
    """
    from teehee.supervisor import plan as plans
    from teehee.supervisor.owner import Owner

    folder = plans.make([], options.given(data=data)).folder
    if url:
        there = afar.Elsewhere(url, app_id, rung, dev_root, kms_root, collateral)
        _show(afar.Vault(there, folder.owner_key).ask("status", {}), as_json)
        return
    folder.make()
    public = Owner(folder.owner_key).public.hex()
    if as_json:
        options.print_json({"owner": public, "file": str(folder.owner_key)})
    else:
        typer.echo(public)


def _show(told: Json, as_json: bool) -> None:
    if as_json:
        options.print_json(told)
        return
    for agent in told["agents"]:
        state = "stopped" if agent["stopped"] else "running"
        today = f"{agent['messages_today']} messages, {agent['replies_today']} replies today"
        typer.echo(f"{agent['name']} · {state} · epoch {agent['epoch']} · {agent['log_size']} leaves · {today}")
