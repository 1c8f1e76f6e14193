"""`teehee ask`: one message, one answer, one receipt."""

from typing import Annotated

import typer

from teehee.cli import options


def ask(
    text: Annotated[str, typer.Argument(help="What to say.")],
    character: Annotated[
        str, typer.Option("--character", metavar="CHARACTER", help="Whom to start when none runs. [default: wren]")
    ] = "",
    agent: options.AgentName = "",
    room: Annotated[
        str, typer.Option("--room", metavar="NAME", help="Which talk this belongs to. [default: main]")
    ] = "main",
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", help="How long to wait. [default: 90]")] = 90.0,
    as_json: options.AsJson = False,
    data: options.Data = None,
    model_url: options.ModelUrl = None,
    model: options.Model = None,
    plugin_path: options.PluginPath = None,
    debug: options.Debug = False,
) -> None:
    """Say one thing and print the answer, with its receipt if asked."""
    import asyncio

    given = options.given(data=data, model_url=model_url, model=model, plugin_path=plugin_path)
    asyncio.run(_ask(text, [character] if character else [], agent, room, wait, as_json, given))


async def _ask(
    text: str, names: list[str], agent: str, room: str, wait: float, as_json: bool, given: dict[str, object]
) -> None:
    import uuid

    from teehee.cli import session
    from teehee.errors import Unavailable

    async with session.reach(names, given) as door:
        face = await session.pick(door, agent)
        message = {"agent": face["slug"], "room": room, "id": str(uuid.uuid4())}
        told = await door.call("say", {**message, "text": text, "wait": wait}, patience=wait + 30)
        if not told["messages"]:
            notice = told.get("notice") or f"{face['name']} did not answer within {wait:g} s; the message is kept"
            raise Unavailable(notice, hint="`teehee doctor` checks the model; the answer will be in `teehee chat`")
        await door.call("seen", {"ids": [m["id"] for m in told["messages"]]})
        receipts = [await door.call("receipt", {"effect": m["id"]}) for m in told["messages"]]
        about = await door.call("about", message)
        words = "\n".join(m["text"] for m in told["messages"])
        if as_json:
            options.print_json(
                {
                    "text": words,
                    "agent": face["name"],
                    "actions": about["actions"],
                    "receipt": receipts[0],
                    "receipts": receipts,
                }
            )
        else:
            typer.echo(words)
