"""What is to run: characters loaded, secrets taken out of them, and the boot messages that follow."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from teehee import character as characters
from teehee.character import Reading, codec, fragments
from teehee.character.model import Character
from teehee.character.names import counterpart
from teehee.character.secrets import strip_secrets
from teehee.errors import ConfigError
from teehee.plugin import Plugin
from teehee.settings import Effective, Settings, resolve, with_environment
from teehee.supervisor import brains, connected, purses
from teehee.supervisor.brains import Choice
from teehee.supervisor.folder import DataFolder
from teehee.wire import boot, paths
from teehee.wire.messages import AgentConfig

Json = Any
DEFAULT_CHARACTER = "wren"
INLINE = "inline"  # the slot, and so the wallet, of a character given as JSON
BIO_SHOWN = 160
SALT = "WALLET_SECRET_SALT"
BUILT_IN_PLUGINS = ("bootstrap",)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN = "open"


@dataclass(frozen=True, slots=True)
class PlannedAgent:
    """An agent before its identity is known. `character` is redacted already; `folder` is where its file lies.

    `notes` says in sentences what its file asks for that it will not get.
    """

    slot: str
    slug: str
    character: Character
    effective: Effective
    secrets: Mapping[str, str]
    folder: Path | None
    choice: Choice
    notes: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    salt: str = field(default="", repr=False)
    connected: tuple[Plugin, ...] = ()  # those of its plugins that have a half in the gate


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a start needs; nothing in it is a process yet."""

    folder: DataFolder
    run: Effective
    agents: tuple[PlannedAgent, ...]
    failpoint: str = ""
    access_token: str = field(default="", repr=False)  # what visitors of the page must show; empty: nothing
    names: tuple[str, ...] = ()  # as they were asked for
    options: Mapping[str, Json] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] | None = field(default=None, repr=False)  # instead of this process's environment


def make(
    names: Sequence[str],
    options: Mapping[str, Json],
    failpoint: str = "",
    environ: Mapping[str, str] | None = None,
) -> Plan:
    """The plan for these characters: files, built-in names, or the JSON itself. Raises ConfigError for what cannot run.

    `environ` stands in for this process's environment.
    """
    run = resolve(options, environ=environ)
    data = DataFolder(Path(run.settings.data).expanduser().absolute())
    asked = tuple(names or [DEFAULT_CHARACTER])
    plan = Plan(data, run, (), failpoint, _access_token(run.settings), asked, options, environ)
    for name in asked:
        plan = replace(plan, agents=(*plan.agents, *_agents(plan, name)))
    return plan


def again(plan: Plan, name: str, tell: Callable[[str], None]) -> Plan:
    """The plan with the characters of `name` read anew, each at the address it has; the others stay.

    Waits for disks. Raises ConfigError when they cannot run, or when there are more or fewer of them.
    """
    found = {agent.slot: agent for agent in _agents(plan, name)}
    slot = _place(name)[1]
    before = [agent.slot for agent in plan.agents if slot in (agent.slot, agent.slot.rpartition("#")[0])]
    if list(found) != before:
        raise ConfigError("characters were added or removed", hint="a restart takes that in")
    known = with_knowledge(replace(plan, agents=tuple(found.values())), tell).agents
    found = {agent.slot: agent for agent in known}
    return replace(plan, agents=tuple(found.get(agent.slot, agent) for agent in plan.agents))


def _agents(plan: Plan, name: str) -> list[PlannedAgent]:
    slot, folder, readings = _read(name)
    slugs = {agent.slot: agent.slug for agent in plan.agents}
    agents: list[PlannedAgent] = []
    for number, reading in enumerate(readings):
        at = slot if number == 0 else f"{slot}#{number}"
        slug = slugs[at] if at in slugs else slug_of(reading.character.name, set(slugs.values()))
        slugs[at] = slug
        agents.append(_planned(at, slug, folder, reading, plan))
    return agents


def slug_of(name: str, taken: set[str]) -> str:
    """An agent's address, made of its name."""
    slug = base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "agent"
    number = 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug


def _access_token(settings: Settings) -> str:
    """What the page asks its visitors for: on loopback nothing, unless a token was chosen."""
    chosen = settings.access_token.get_secret_value()
    if chosen == OPEN:
        return ""
    return chosen or ("" if settings.host in LOOPBACK else token_urlsafe(32))


def with_knowledge(plan: Plan, tell: Callable[[str], None]) -> Plan:
    """The plan with the knowledge of its characters read: files become fragments, and what was left out is told.

    Waits for disks, up to minutes: not for an event loop.
    """
    agents = []
    for agent in plan.agents:
        cache = plan.folder.path / "knowledge" / agent.slug
        known, warnings = fragments.read(agent.character.knowledge, agent.folder, cache)
        for warning in warnings:
            tell(f"{agent.character.name}: {warning}")
        secrets = {name.removeprefix(f"{agent.slug}/"): value for name, value in agent.secrets.items()}
        character, _ = strip_secrets(replace(agent.character, knowledge=known, secrets=secrets))
        agents.append(replace(agent, character=character))
    return replace(plan, agents=tuple(agents))


def built_in() -> dict[str, Path]:
    """The characters that come with teehee, by name."""
    packaged = Path(str(resources.files("teehee").joinpath("characters")))
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "characters"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def _read(name: str) -> tuple[str, Path | None, list[Reading]]:
    """(slot, folder, characters) of a file, a built-in name, or JSON, which lies in no folder."""
    if name.lstrip()[:1] in ("{", "["):
        return INLINE, None, characters.reads(name, INLINE)
    path, slot = _place(name)
    return slot, path.parent, characters.read(path)


def _place(name: str) -> tuple[Path, str]:
    """(path, slot) of a character file or a built-in name."""
    known = built_in()
    if name not in known and not Path(name).exists() and not Path(name).suffix:
        raise ConfigError(
            f"no character {name!r}: neither a file nor one of {', '.join(known)}",
            hint="give the path of a character's JSON file",
        )
    return (known[name], f"built-in:{name}") if name in known else (Path(name), str(Path(name).absolute()))


def path_of(name: str) -> Path | None:
    """The file of a character that was asked for; None for one given as JSON."""
    return None if name.lstrip()[:1] in ("{", "[") else _place(name)[0]


def _planned(slot: str, slug: str, folder: Path | None, reading: Reading, plan: Plan) -> PlannedAgent:
    run, options, environ = plan.run, plan.options, plan.variables
    character = with_environment(reading.character, environ, legacy=run.settings.legacy_env)
    effective = resolve(options, character, environ)
    plugins = connected.plugins(character, run.settings.plugin_path)
    found, told = connected.secrets(character, plugins, plan.agents, environ)
    given = {**found, **character.secrets}
    choice = brains.choose(effective)
    given |= brains.secrets(choice)
    redacted, secrets = strip_secrets(replace(character, secrets=given))
    of_file = reading.character.secrets
    origins = {name: "environment" for name, value in character.secrets.items() if of_file.get(name) != value}
    origins |= reading.origins or {}
    notes = (
        *effective.notes,
        *choice.notes,
        *purses.notes(choice, effective),
        *told,
        *_without_counterpart(character, run.settings.plugin_path),
    )
    named = {f"{slug}/{name}": value for name, value in secrets.items()}
    salt = _legacy_salt(reading.character)
    return PlannedAgent(slot, slug, redacted, effective, named, folder, choice, notes, origins, salt, plugins)


def _legacy_salt(character: Character) -> str:
    """The salt of an agent whose file asks for Eliza's wallets (`tee.derivation: eliza-legacy`); else empty.

    From the file only: an environment variable must not decide which wallets an agent has.
    """
    tee = character.settings.get("tee")
    asked = tee.get("derivation") if isinstance(tee, Mapping) else character.settings.get("tee.derivation")
    if asked in (None, ""):
        return ""
    if asked != "eliza-legacy":
        raise ConfigError(
            f"{character.name}: settings.tee.derivation is {asked!r}", hint="leave it out, or write 'eliza-legacy'"
        )
    salt = character.secrets.get(SALT) or character.settings.get(SALT)
    if not isinstance(salt, str) or not salt:
        raise ConfigError(
            f"{character.name}: eliza-legacy wallets need {SALT} in the character's settings or secrets",
            hint="it is the one its Eliza agent ran with; an environment variable does not count",
        )
    return salt


def _without_counterpart(character: Character, plugin_path: str) -> list[str]:
    """A sentence for each plugin and client of the file that nothing here answers to."""
    wanted = [*character.plugins, *character.clients]
    if all(counterpart(name, BUILT_IN_PLUGINS).kind != "absent" for name in wanted):
        return []
    from teehee import registry  # looks through every installed package: only when something is amiss

    found = registry.installed(plugin_path)
    others = {name: counterpart(name, found) for name in wanted}
    return [
        f"{name!r} has no counterpart here: {c.note or 'not installed'}"
        for name, c in others.items()
        if c.kind == "absent"
    ]


# -- the messages that follow from a plan


def configure_request(plan: Plan) -> Json:
    """What the owner tells the vault: agents, policies, secrets."""
    secrets = {name: value for agent in plan.agents for name, value in agent.secrets.items()}
    return {"agents": [asdict(_config(agent)) for agent in plan.agents], "secrets": secrets}


def _config(agent: PlannedAgent) -> AgentConfig:
    return AgentConfig(
        slot=agent.slot,
        agent=agent.character.id,
        name=agent.character.name,
        package=package_hash(agent.character),
        policy=connected.policy(agent.effective.settings, agent.character, agent.connected),
        salt=agent.salt,
    )


def package_hash(character: Character) -> str:
    """The hash of a redacted character; the full package hash (plugins, lock) builds on it later."""
    return hashlib.sha256(json.dumps(codec.to_json(character), sort_keys=True).encode()).hexdigest()


def vault_boot(
    plan: Plan, owner_keys: tuple[str, ...], guest: str, era: str = "", measured: Json = None
) -> Json:  # fmt: skip
    folder = plan.folder
    message = boot.VaultBoot(
        str(folder.path),
        str(folder.sockets),
        owner_keys,
        plan.failpoint,
        guest,
        era,
        _keep(plan),
        measured,
        plan.run.settings.isolate,
    )
    return asdict(message)


def _keep(plan: Plan) -> boot.Keep:
    run, day = plan.run.settings, 86_400_000
    return boot.Keep(int(run.journal_days * day), int(run.text_days * day), run.memories_per_room)


def gate_boot(
    plan: Plan, identities: Sequence[Mapping[str, Json]], trust: str, port: int, collateral: str = ""
) -> Json:  # fmt: skip
    faces = tuple(
        boot.Face(identity["agent"], agent.slug, agent.character.name, _short(agent.character), agent.choice.shown)
        for agent, identity in zip(plan.agents, identities, strict=True)
    )
    thinking = [
        (a, who["agent"]) for a, who in zip(plan.agents, identities, strict=True) if brains.ways(a.slug, a.choice)
    ]
    rules = [rule for agent, who in thinking for rule in purses.rules(who, agent.slug, agent.choice, agent.effective)]
    run = plan.run.settings
    message = boot.GateBoot(
        str(plan.folder.sockets),
        str(plan.folder.path),
        run.host,
        port,
        faces,
        tuple(rules),
        trust,
        run.log_level,
        plan.failpoint,
        collateral,
        run.pccs_url,
        plan.access_token,
        tuple(purses.purse(who, agent.character.name, agent.choice, agent.effective) for agent, who in thinking),
        boot.Cap(run.model_tokens_in_all, run.model_cents_in_all),
        _token_hash(run.metrics_token.get_secret_value()),
        run.otlp_endpoint,
        run.otlp_content,
        run.isolate,
        tuple(
            one
            for agent, who in zip(plan.agents, identities, strict=True)
            for one in connected.connectors(who["agent"], agent.character, agent.connected)
        ),
        run.public_url,
    )
    return asdict(message)


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest() if token else ""


def mind_boots(plan: Plan, identities: Sequence[Mapping[str, Json]]) -> list[Json]:
    """What each mind is told: one for all agents, or one for each, in a folder of its own."""
    if not plan.run.settings.isolate:
        return [mind_boot(plan, identities)]
    folder = plan.folder
    return [
        mind_boot(replace(plan, agents=(agent,)), [identity])
        | {"data": str(folder.of_mind(who)), "sockets": str(paths.of_mind(folder.sockets, who))}
        for agent, identity in zip(plan.agents, identities, strict=True)
        for who in [identity["agent"]]
    ]


def mind_boot(plan: Plan, identities: Sequence[Mapping[str, Json]]) -> Json:
    run = plan.run.settings
    agents = tuple(
        _mind_agent(agent, identity["agent"]) for agent, identity in zip(plan.agents, identities, strict=True)
    )
    message = boot.MindBoot(
        str(plan.folder.sockets),
        str(plan.folder.path),
        agents,
        run.plugin_path,
        run.rooms_in_parallel,
        run.log_level,
        plan.failpoint,
        _keep(plan),
        traced=bool(run.otlp_endpoint),
    )
    return asdict(message)


def _mind_agent(agent: PlannedAgent, identity: str) -> boot.MindAgent:
    first, *others = brains.brains(agent.slug, agent.choice, agent.effective.settings)
    eyes, ears = brains.senses(agent.slug, agent.choice, agent.effective.settings)
    return boot.MindAgent(identity, codec.to_json(agent.character), first, tuple(others), eyes, ears)


def _short(character: Character) -> str:
    first = character.bio[0] if character.bio else ""
    return first if len(first) <= BIO_SHOWN else first[: BIO_SHOWN - 1].rsplit(" ", 1)[0] + "…"
