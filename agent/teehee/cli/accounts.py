"""`teehee accounts`: who holds what of an agent's accounts elsewhere, and which powers remain."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from teehee.cli import options
from teehee.cli.told import plain

Json = Any
WIDTH = 100
LABELS = 13  # columns before the sentences
NONE = "no account elsewhere: it talks in the terminal and on its page"
NOT_RUNNING = "start it with `teehee run`: its gate and vault are asked"
AWAY = "it is not connected now: what people can do with the account is told once it is"


def accounts(
    agent: options.AgentName = "",
    as_json: options.AsJson = False,
    data: options.Data = None,
    debug: options.Debug = False,
) -> None:
    """Show who holds what of the agents' accounts, honestly.

    Who has seen what opens an account, what people can do with it all the same, and what guards against that.
    """
    import asyncio

    found = asyncio.run(_ask(agent, options.given(data=data)))
    if as_json:
        options.print_json(found)
        return
    for one in found:
        for line in _told(one):
            typer.echo(line)


async def _ask(agent: str, given: dict[str, object]) -> list[Json]:
    from teehee.cli import session

    async with session.running(given, NOT_RUNNING) as door:
        slug = (await session.pick(door, agent))["slug"] if agent else ""
        found: list[Json] = await door.call("accounts", {"agent": slug})
        return found


def _told(one: Json) -> Iterator[str]:
    yield f"{plain(one['name'])} · trust: {one['trust']}"
    if not one["accounts"]:
        yield f"  {NONE}"
    for account in one["accounts"]:
        yield f"  {account['platform']}:{account['id']}"
        yield from _rows("seen by", [secret["seen"] for secret in account["secrets"]])
        yield from _rows("people can", account["powers"] if account["connected"] else [AWAY, *account["powers"]])
        yield from _rows("guarded by", account["guards"])
    yield from _rows("alarm", [alarm["message"] for alarm in one["alarms"]])


def _rows(label: str, sentences: Sequence[str]) -> Iterator[str]:
    """The sentences in a column of their own, beside their label."""
    for number, sentence in enumerate(sentences):
        first = f"    {label if number == 0 else '':<{LABELS}}- "
        yield textwrap.fill(plain(sentence), WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
