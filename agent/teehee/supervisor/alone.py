"""One part in a container of its own: what the measured compose says becomes its boot message, and it takes our place.

All three containers are given the same characters and options, which are measured, and the same names of secrets. Only
the vault's has the secrets themselves. Nothing else of an environment counts: the host can set it.
"""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from teehee.character import codec
from teehee.errors import ConfigError, Unavailable
from teehee.supervisor import guest as guests
from teehee.supervisor import plan as plans
from teehee.supervisor.born import Marks
from teehee.supervisor.children import ENVIRONMENT, command
from teehee.supervisor.folder import DataFolder
from teehee.supervisor.plan import Plan, PlannedAgent
from teehee.wire.client import Client
from teehee.wire.paths import socket_in

Json = Any
Tell = Callable[[str], None]
OWNER_KEY = re.compile(r"[0-9a-f]{64}")
HANDLE = "(in the vault)"
DEVELOPMENT = (
    "A simulator signed for this machine, not Intel: nobody else can rely on this agent. Give it nothing of value."
)
ASKED_AT = {"gate": "vault-public", "mind": "vault-mind"}  # whom each asks who the agents are


@dataclass(frozen=True, slots=True)
class Measured:
    """What the measured compose says: characters, options, names of secrets, owners' public keys, folders."""

    characters: Sequence[str]
    options: Mapping[str, Json]
    secrets: Sequence[str]
    owners: Sequence[str]
    sockets: Path
    guest: str = ""
    lost: Sequence[str] = ()  # words of stores that are gone, and may be begun anew


def start(part: str, said: Measured, given: Mapping[str, str], tell: Tell) -> NoReturn:
    """Becomes `part`. `given` is its environment, of which it takes the named secrets. Raises ConfigError."""
    if part not in ("vault", *ASKED_AT):
        raise ConfigError(f"no part {part[:40]!r}", hint=f"there are vault, {', '.join(ASKED_AT)}")
    if wrong := [key for key in said.owners if not OWNER_KEY.fullmatch(key)]:
        raise ConfigError(f"--owner {wrong[0][:80]!r}: expected 64 lower-case hex digits", hint="an Ed25519 public key")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container has no default for it
    guest = said.guest or guests.mounted() if part == "vault" else ""
    secrets = _handed_over(said.secrets, given) if part == "vault" else dict.fromkeys(said.secrets, HANDLE)
    folder = DataFolder(Path(said.options["data"]).absolute(), said.sockets)
    with folder.held(settle=False):  # one store lies here, not both
        marks = Marks(part, folder.path, folder.sockets).due(said.lost)
        wanted = plan(said, folder, secrets, tell)
        if part == "vault":
            owners = tuple(said.owners)
            message = plans.vault_boot(wanted, owners, guest, measured=plans.configure_request(wanted))
        else:
            message = _beside_the_vault(part, wanted, tell)
        _become(part, message | {"marks": marks})


def plan(said: Measured, folder: DataFolder, secrets: Mapping[str, str], tell: Tell) -> Plan:
    """The plan of these containers. Raises ConfigError for a character that holds secrets: what is measured is public.

    Characters are read without any environment, so that every container reads the same.
    """
    public = replace(plans.make(said.characters, said.options, environ={}), folder=folder)
    for agent in public.agents:
        if agent.secrets:
            raise _burnt(agent, sorted(name.partition("/")[2] for name in agent.secrets))
    public = plans.with_knowledge(public, tell)
    known = plans.make(said.characters, said.options, environ=secrets)
    agents = []
    for agent, other in zip(public.agents, known.agents, strict=True):
        texts = json.dumps(codec.to_json(agent.character), ensure_ascii=False)
        if shown := [name for name, value in secrets.items() if value != HANDLE and value in texts]:
            raise _burnt(agent, shown)
        for note in other.notes:
            tell(f"{agent.character.name}: {note}")
        agents.append(replace(agent, effective=other.effective, choice=other.choice, secrets=other.secrets))
    return replace(public, agents=tuple(agents))


def _burnt(agent: PlannedAgent, names: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{agent.character.name} holds secrets ({', '.join(names)}), and what is measured is public",
        hint="revoke them; take them out of the character, name new ones with --secret, and give their values to the "
        "vault's container alone",
    )


def _handed_over(names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    if missing := [name for name in names if not given.get(name)]:
        raise ConfigError(
            f"{', '.join(missing)}: named with --secret, and not in this environment",
            hint="give it to the vault's container, encrypted where the cloud offers that",
        )
    return {name: given[name] for name in names}


def _beside_the_vault(part: str, wanted: Plan, tell: Tell) -> Json:
    """The boot message of gate or mind, once the vault says who the agents are."""
    told = asyncio.run(_ask(socket_in(wanted.folder.sockets, ASKED_AT[part]), tell))
    if told["trust"] == "dev":
        tell(f"trust: dev. {DEVELOPMENT}")
    identities = {identity["slot"]: identity for identity in told["agents"]}
    for agent in wanted.agents:
        package = plans.package_hash(agent.character)
        admitted = identities.get(agent.slot, {}).get("package", "none")
        if package != admitted:
            raise ConfigError(
                f"{agent.character.name} is package {package[:16]} here, and {admitted[:16]} in the vault",
                hint="give all three containers the same characters and options",
            )
    agreed = [identities[agent.slot] for agent in wanted.agents]
    if part == "mind":
        return plans.mind_boot(wanted, agreed)
    return plans.gate_boot(wanted, agreed, told["trust"], wanted.run.settings.port)


async def _ask(vault: Path, tell: Tell) -> Json:
    """What the vault says of its agents, however late it starts."""
    async with Client(vault) as link:
        while True:
            try:
                return await link.call("agents")
            except Unavailable:
                tell(f"waiting for the vault at {vault}")


def _become(part: str, message: Json) -> NoReturn:
    """This process goes on as `part`: the boot message in a file of memory for stdin, an environment of its own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the part has its handler
    with open(os.memfd_create("boot"), "w+b") as file:
        file.write(json.dumps(message).encode())
        file.flush()
        file.seek(0)
        os.dup2(file.fileno(), 0)
        os.chdir("/")
        line = command(part)
        os.execve(line[0], line, ENVIRONMENT)
