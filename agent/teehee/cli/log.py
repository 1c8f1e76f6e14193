"""`teehee log`: every receipt, with the whole tree checked on the way."""

from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
PAGE = 1000


def log(
    agent: options.AgentName = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="How many of the latest to show. [default: 20]")
    ] = 20,
    as_json: options.AsJson = False,
    data: options.Data = None,
    debug: options.Debug = False,
) -> None:
    """Show every receipt and verify the log they are in."""
    import asyncio

    asyncio.run(_log(agent, limit, as_json, options.given(data=data)))


async def _log(agent: str, limit: int, as_json: bool, given: dict[str, object]) -> None:
    from teehee.supervisor import plan as plans
    from teehee.supervisor.supervisor import vault_only
    from teehee.wire.client import Client

    plan = plans.make([], given)
    if plan.folder.is_running:
        opened = Client(plan.folder.sockets / "vault-public.sock")
        async with opened as public:
            await _show(public, agent, limit, as_json)
    else:
        async with vault_only(plan) as public:
            await _show(public, agent, limit, as_json)


async def _show(public: Any, wanted: str, limit: int, as_json: bool) -> None:
    from teehee.errors import ConfigError

    agents = (await public.call("agents"))["agents"]
    chosen = [a for a in agents if not wanted or wanted.lower() in (a["name"].lower(), a["agent"])]
    if not chosen:
        raise ConfigError(
            f"no agent {wanted!r} has a log here" if wanted else "no agent has run in this data folder yet",
            hint="start one with `teehee run`, or name another folder with --data",
        )
    checked = [await _verified(public, identity) for identity in chosen]
    if as_json:
        for found in checked:
            found["leaves"] = found["leaves"][-limit:] if limit else found["leaves"]
        options.print_json(checked)
        return
    for found in checked:
        _print(found, limit)


async def _verified(public: Any, identity: Json) -> Json:
    """All leaves of an agent's log. Raises VerificationError when they do not make the signed tree."""
    from teehee.errors import VerificationError
    from teehee.evidence import checkpoint, leaf, merkle

    signed = await public.call("checkpoint", {"agent": identity["agent"]})
    vkey = checkpoint.vkey(signed["origin"], bytes.fromhex(identity["log_key"]))
    head = checkpoint.verify(signed["checkpoint"], vkey)
    texts: list[str] = []
    while len(texts) < head.size:
        asked = {"agent": identity["agent"], "start": len(texts), "limit": min(PAGE, head.size - len(texts))}
        page = (await public.call("leaves", asked))["leaves"]
        if not page:
            raise VerificationError("log.1", f"the checkpoint signs {head.size} leaves, only {len(texts)} were given")
        texts += page
    root = merkle.root([merkle.leaf_hash(text.encode()) for text in texts])
    if root != head.root:
        raise VerificationError("log.2", f"the leaves make root {root.hex()}, the checkpoint signs {head.root.hex()}")
    parsed = [leaf.parse(text.encode()) for text in texts]
    return {
        "agent": identity["name"],
        "origin": signed["origin"],
        "size": head.size,
        "root": head.root.hex(),
        "verified": True,
        "leaves": [{"index": i, **_facts(entry)} for i, entry in enumerate(parsed)],
    }


def _facts(entry: Any) -> dict[str, Json]:
    return {"type": entry.type, **dict(entry.members())}


def _print(found: Json, limit: int) -> None:
    from datetime import UTC, datetime

    typer.echo(
        f"{found['agent']} · {found['size']} leaves · root {found['root'][:16]}… · tree verified, signature holds"
    )
    for entry in found["leaves"][-limit:] if limit else found["leaves"]:
        when = datetime.fromtimestamp(entry["at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        typer.echo(f"{entry['index']:>6}  {when}  {entry['type']:<8} {_words(entry)}")


def _words(entry: Json) -> str:
    if entry["type"] == "intent":
        return f"{entry['verb']:<16} effect {entry['effect']}"
    if entry["type"] == "outcome":
        return f"{entry['state']:<16} effect {entry['effect']}"
    if entry["type"] in ("stop", "resume"):
        return f"by owner {entry['by'][:16]}…"
    if entry["type"] == "forget":
        return f"a person, with {entry['effects']} effects"
    if entry["type"] == "restored":
        return f"epoch {entry['epoch']:<10} goes on from a backup of {entry['size']} leaves"
    return f"epoch {entry['epoch']}"
