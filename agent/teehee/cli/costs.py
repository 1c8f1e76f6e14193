"""`teehee costs`: what models cost, by agent, model, room and person, and what is left of today's caps."""

from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
WIDTH = 40


def costs(
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=92, help="How many days, today among them. [default: 1]")
    ] = 1,
    as_json: options.AsJson = False,
    data: options.Data = None,
    debug: options.Debug = False,
) -> None:
    """Show what models cost and what is left of today's caps."""
    import asyncio

    found = asyncio.run(_read(days, options.given(data=data)))
    if as_json:
        options.print_json(found)
    else:
        _print(found, days)


async def _read(days: int, given: dict[str, object]) -> Json:
    from teehee.supervisor import plan as plans

    folder = plans.make([], given).folder
    if folder.is_running:
        from teehee.wire.client import Client

        async with Client(folder.sockets / "terminal.sock") as door:
            return await door.call("costs", {"days": days})
    from teehee.gate import costs as account

    return account.read(folder.path, days)


def _print(found: Json, days: int) -> None:
    if not found["day"]:
        typer.echo("no model was called from this data folder: the classic brain costs nothing")
        return
    span = "today" if days == 1 else f"the last {days} days"
    typer.echo(f"{span}, until {found['day']} (UTC) · caps renew at {found['renews']}")
    _table("in all", [("all agents", found["in_all"])])
    if days > 1:
        _table("by day", [(row["day"], row) for row in found["days"]])
    names = {row["agent"]: row["name"] or row["agent"] for row in found["agents"]}
    _table("by agent", [(names[row["agent"]], row) for row in found["agents"]])
    _table("by model", [(row["model"] or "(no name)", row) for row in found["models"]])
    of = {agent: f" · {name}" if len(names) > 1 else "" for agent, name in names.items()}
    _table("by room", [((row["room"] or "(no message)") + of[row["agent"]], row) for row in found["rooms"]])
    _table("by person", [((row["principal"] or "(nobody)") + of[row["agent"]], row) for row in found["people"]])


def _table(title: str, rows: list[tuple[str, Json]]) -> None:
    if not rows:
        return
    typer.echo(f"\n{title:<{WIDTH}} {'calls':>7} {'tokens':>12} {'cost':>12}  left today")
    for name, row in rows:
        shown = name if len(name) <= WIDTH else name[: WIDTH - 1] + "…"
        line = f"{shown:<{WIDTH}} {row['calls']:>7,} {row['tokens']:>12,} {_cost(row):>12}  {_left(row)}"
        typer.echo(line.rstrip() + _remarks(row))


def _cost(row: Json) -> str:
    return "not known" if row["calls"] and row["unpriced"] == row["calls"] else _dollars(row["microdollars"])


def _dollars(microdollars: int) -> str:
    """To the hundredth of a cent, upwards: a few tokens never look free."""
    hundredths = -(-microdollars // 100)
    return f"${hundredths // 10_000:,}.{hundredths % 10_000:04}"


def _left(row: Json) -> str:
    left = row.get("left", {})
    money = _dollars(left["microdollars"]) if "microdollars" in left else ""
    return " · ".join(part for part in (money, f"{left['tokens']:,} tokens" if "tokens" in left else "") if part)


def _remarks(row: Json) -> str:
    said = [
        f"{row['unpriced']} without a known price" if 0 < row["unpriced"] < row["calls"] else "",
        f"{row['unknown']} told no usage, counted in full" if row["unknown"] else "",
        f"{row['open']} in the air" if row["open"] else "",
    ]
    return "".join(f" · {part}" for part in said if part)
