"""`teehee secrets`: hands tokens and keys to an agent's vault, here or elsewhere; no value is ever shown again."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from teehee.cli import afar, options, verify_options

Json = Any
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
MOST_BYTES = 8_000  # a request from afar has 16 KB
GIVERS = {
    "start": "with the start", "owner": "by its owner", "gate": "got inside by the gate", "": "by somebody, long ago",
}  # fmt: skip
NOT_RUNNING = "start it with `teehee run` and hand the secret over then; one elsewhere is named by --url"
Ask = Callable[[str, Json], Json]
Extra = Annotated[list[str] | None, typer.Argument(hidden=True)]


@dataclass(frozen=True, slots=True)
class Known:
    """A secret with a short name: `shape` is what every value of it looks like, `expected` says so."""

    name: str
    shape: re.Pattern[str]
    expected: str


BOT_TOKEN = re.compile(r"[0-9]{6,16}:[A-Za-z0-9_-]{35}")
FROM_BOTFATHER = "digits, a colon and 35 characters, as @BotFather gives it: 1234567890:AAE..."
KNOWN = {
    "telegram": Known("TELEGRAM_BOT_TOKEN", BOT_TOKEN, FROM_BOTFATHER),
    "telegram-manager": Known("TELEGRAM_MANAGER_BOT_TOKEN", BOT_TOKEN, FROM_BOTFATHER),
}


def build() -> typer.Typer:
    """The commands on secrets; both speak as the owner to agents that run."""
    app = typer.Typer(help="Hand secrets to a running agent's vault, and list them.", no_args_is_help=True)
    app.command("set")(set)
    app.command("list")(list)
    return app


def set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="telegram, telegram-manager, or a name like API_KEY.")],
    extra: Extra = None,
    agent: options.AgentName = "",
    data: options.Data = None,
    url: afar.Url = "",
    app_id: afar.AppId = "",
    rung: afar.Rung = 1,
    dev_root: verify_options.DevRoot = None,
    kms_root: verify_options.KmsRoot = "",
    collateral: verify_options.Collateral = None,
    debug: options.Debug = False,
) -> None:
    """Give an agent's vault a secret, as its owner.

    The value is asked for without showing it, or read from a pipe; it is no argument, for those stay in histories.
    With --url for one elsewhere: its vault is checked first, and the value sealed to it.
    """
    known = _known(name, extra or [])
    there = afar.Elsewhere(url, app_id, rung, dev_root, kms_root, collateral)
    slug, ask = _reached(agent, options.given(data=data), there)  # first: who is not there needs no token typed
    told = ask("secret.set", {"name": f"{slug}/{known.name}", "value": _value(known)})
    for line in _set_told(known.name, told):
        typer.echo(line)


def list(
    agent: options.AgentName = "",
    as_json: options.AsJson = False,
    data: options.Data = None,
    url: afar.Url = "",
    app_id: afar.AppId = "",
    rung: afar.Rung = 1,
    dev_root: verify_options.DevRoot = None,
    kms_root: verify_options.KmsRoot = "",
    collateral: verify_options.Collateral = None,
    debug: options.Debug = False,
) -> None:
    """List the secrets a vault keeps: names, versions, who gave them. Values are for the gate alone."""
    there = afar.Elsewhere(url, app_id, rung, dev_root, kms_root, collateral)
    slug, ask = _reached(agent, options.given(data=data), there, is_one=bool(agent))
    found = ask("secret.names", {})["secrets"]
    shown = [kept for kept in found if kept["name"].startswith(f"{slug}/" if slug else "")]
    if as_json:
        options.print_json(shown)
        return
    for kept in shown:
        day = time.strftime(", %Y-%m-%d %H:%M UTC", time.gmtime(kept["at"] / 1000)) if kept["at"] else ""
        typer.echo(f"{kept['name']:<44} version {kept['version']:<4} {GIVERS[kept['giver']]}{day}")
    if not shown:
        typer.echo("no secret is kept here")


def _known(name: str, extra: Sequence[str]) -> Known:
    """What is to be set. Raises ConfigError, which never holds what may be a value."""
    from teehee.character.secrets import looks_secret
    from teehee.errors import ConfigError

    if extra or (name not in KNOWN and not NAME.fullmatch(name)):
        raise ConfigError(
            "expected a name alone: the value is asked for, or read from a pipe",
            hint="what is typed on a command line stays in its history; if that was a secret, revoke it",
        )
    found = KNOWN.get(name) or next((known for known in KNOWN.values() if known.name == name), None)
    if found is None and not looks_secret(name):
        raise ConfigError(
            f"{name}: by its name no secret",
            hint=f"there are {', '.join(KNOWN)}, and names that end in KEY, TOKEN, SECRET or the like",
        )
    return found or Known(name, re.compile(r"(?s).+"), "a value")


def _reached(agent: str, given: dict[str, object], there: afar.Elsewhere, *, is_one: bool = True) -> tuple[str, Ask]:
    """The address of the agent that is meant, empty where all are, and the way to ask its vault as the owner."""
    import asyncio

    if there.url:
        from teehee.supervisor import plan as plans

        vault = afar.Vault(there, plans.make([], given).folder.owner_key)
        return _slug_afar(vault, agent) if is_one else "", vault.ask
    slug = asyncio.run(_slug(agent, given, is_one=is_one))
    return slug, lambda method, params: asyncio.run(_ask(method, params, given))


def _slug_afar(vault: afar.Vault, wanted: str) -> str:
    """An agent's address by its vault's word: made of the names there, in order. Raises ConfigError when unclear."""
    from teehee.errors import ConfigError
    from teehee.supervisor import plan as plans

    slugs: dict[str, str] = {}  # names by address
    for agent in vault.ask("status", {})["agents"]:
        slugs[plans.slug_of(agent["name"], {*slugs})] = agent["name"]
    for slug, name in slugs.items():
        if wanted.lower() in (slug, name.lower()) or (not wanted and len(slugs) == 1):
            return slug
    raise ConfigError(
        f"no agent {wanted!r} runs there" if wanted else "several agents run there",
        hint=f"name one with --agent: {', '.join(slugs)}",
    )


async def _slug(agent: str, given: dict[str, object], *, is_one: bool = True) -> str:
    """The address of an agent that runs; empty where all are meant. Raises ConfigError when none runs."""
    from teehee.cli import session

    async with session.running(given, NOT_RUNNING) as door:
        return str((await session.pick(door, agent))["slug"]) if is_one else ""


async def _ask(method: str, params: Json, given: dict[str, object]) -> Json:
    """One request to the vault, as the owner."""
    from teehee.supervisor import plan as plans
    from teehee.supervisor.owner import Owner
    from teehee.wire.client import Client

    folder = plans.make([], given).folder
    async with Client(folder.sockets / "vault-owner.sock") as door:
        return await Owner(folder.owner_key).ask(door, method, params)


def _value(known: Known) -> str:
    """The value, from a terminal that does not show it, or from a pipe. Raises ConfigError, without it."""
    import getpass

    from teehee.errors import ConfigError

    given = getpass.getpass(f"{known.name} (not shown): ") if sys.stdin.isatty() else sys.stdin.read(MOST_BYTES + 1)
    value = given.strip()
    if not known.shape.fullmatch(value) or len(value.encode()) > MOST_BYTES:
        got = f"{len(value)} characters of another form" if value else "nothing"
        raise ConfigError(
            f"{known.name}: expected {known.expected}; got {got}",
            hint="nothing was sent; copy it once more, and mind what comes before and after it",
        )
    return value


def _set_told(name: str, told: Json) -> Iterator[str]:
    if not told["changed"]:
        yield f"{name}: version {told['version']}, as before: the vault had this value already"
        return
    yield f"{name}: version {told['version']}, sealed in the vault; the gate takes it up within seconds"
    if told["before"] == "start":
        yield "· one that came with the start was replaced, and the next start brings it back:"
        yield "  take it out of the environment or the character file"
