"""`teehee trace`: what happened to one message, step by step."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from teehee.cli import options

Json = Any
Message = Annotated[
    str,
    typer.Argument(
        metavar="MESSAGE", help="Id of a message, an event or an effect (`teehee log`). [default: the latest]"
    ),
]
Room = Annotated[
    str,
    typer.Option(
        "--room",
        metavar="NAME",
        help="Room of the terminal a message's id is from. [default: main]",
        show_default=False,
    ),
]


def trace(
    message: Message = "",
    agent: options.AgentName = "",
    room: Room = "main",
    as_json: options.AsJson = False,
    data: options.Data = None,
    debug: options.Debug = False,
) -> None:
    """Tell what happened to a message, step by step.

    And what its answer was made of: model, providers, memories, sizes, policy.
    """
    import asyncio

    found = asyncio.run(ask("why", message, agent, room, options.given(data=data)))
    if as_json:
        options.print_json(found)
        return
    for line in lines(found):
        typer.echo(line)


async def ask(method: str, message: str, agent: str, room: str, given: dict[str, object]) -> Json:
    """What the running agent answers about a turn."""
    from teehee.cli import session

    async with session.running(given) as door:
        face = await session.pick(door, agent)
        return await door.call(method, {"id": message, "agent": face["slug"], "room": room}, patience=150.0)


def lines(found: Json) -> Iterator[str]:
    """A trace for people."""
    code = f" ({found['code']})" if found["code"] else ""
    yield f"event {found['event']} · {found['source']} · {found['state']}{code}"
    if not found["recorded"]:
        yield "no record of this turn is kept: it is too old, was forgotten, or ended with its process"
    steps = sorted(_steps(found), key=lambda step: step[0])
    for at, what in steps:
        yield f"{at - steps[0][0]:>8} ms  {what}"
    if found["recorded"]:
        yield from _made_of(found)


def _steps(found: Json) -> Iterator[tuple[int, str]]:
    """(when, what) of each step, by the account of whoever took it."""
    ledger, calls = found["ledger"], iter(found.get("calls", ()))
    for step in found.get("steps", ()):
        name = step["step"]
        if name == "asked the model":
            yield step["at"], _call(next(calls))
        elif name == "decided":
            yield step["at"], f"decided: {', '.join(found['decision']['actions']) or 'nothing'}"
        elif name == "closed":
            yield step["at"], "remembered" if found["state"] == "done" else f"ended without words: {found['code']}"
        elif name != "committed":
            yield step["at"], SHOWN[name]
    if ledger["witnessed_at"]:
        yield ledger["witnessed_at"], "witnessed by the vault"
    for effect in ledger["effects"]:
        yield effect["at"], f"committed: {effect['verb']}, leaf {effect['leaf']}, effect {effect['id']}"
        if effect["settled_at"]:
            yield effect["settled_at"], f"{effect['state']}: leaf {effect['outcome_leaf']}"


SHOWN = {"said": "said, by the gate's clock", "accepted": "accepted by the mind", "begun": "the turn began"}


def _call(call: Json) -> str:
    cost = f", {call['tokens']['input']} tokens in, {call['tokens']['output']} out" if call["tokens"] else ""
    how = f", which failed ({call['error']})" if call["error"] else ""
    return f"the model was asked ({call['why']}), {call['ms']} ms{cost}{how}"


def _made_of(found: Json) -> Iterator[str]:
    model, policy = found["model"], found["policy"]
    how = f", temperature {model['temperature']}, at most {model['max_tokens']} tokens" if model.get("name") else ""
    yield f"model      {model.get('name') or model.get('kind', 'unknown')}{how}"
    yield from _listed("providers", [_provider(p) for p in found["providers"]])
    yield from _listed("prompt", [f"{part['name']} {part['chars']}" for part in found["prompt"]])
    yield from _listed("memories", [f"{read['count']} of {read['from']} by {read['by']}" for read in found["memories"]])
    yield from _listed("actions", [f"{a['name']} {a['how']}, {a['ms']} ms{_because(a)}" for a in found["actions"]])
    for reason in found["reasons"]:
        yield f"not taken  an answer: {reason}"
    if policy:
        yield f"policy     {policy['verdict']} by {policy['rule']}{_because(policy)}"


def _provider(provider: Json) -> str:
    how = {"asked": "", "kept": ", known today", "failed": ", failed"}[provider["how"]]
    return f"{provider['name']} {provider['chars']} characters, {provider['ms']} ms{how}"


def _because(fact: Json) -> str:
    return f" ({fact['reason']})" if fact["reason"] else ""


def _listed(name: str, items: list[str]) -> Iterator[str]:
    """One item a line, the first beside its name."""
    for number, item in enumerate(items or ["none"]):
        yield f"{name if number == 0 else '':<11}{item}"
