"""What is to run: characters loaded, secrets taken out of them, and the boot messages that follow."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from teehee import character as characters
from teehee.character import codec
from teehee.character.model import Character
from teehee.character.secrets import strip_secrets
from teehee.errors import ConfigError
from teehee.settings import Effective, character_secrets, resolve
from teehee.supervisor.folder import DataFolder
from teehee.wire import boot
from teehee.wire.messages import AgentConfig

Json = Any
DEFAULT_CHARACTER = "wren"
BIO_SHOWN = 160


@dataclass(frozen=True, slots=True)
class PlannedAgent:
    """An agent before its identity is known. `character` is redacted already."""

    slot: str
    slug: str
    character: Character
    effective: Effective
    secrets: Mapping[str, str]

    @property
    def rule(self) -> str:
        """The egress rule of its model; empty for the classic brain."""
        return f"model-{self.slug}" if self.effective.settings.model_url else ""

    @property
    def brain_shown(self) -> str:
        return (self.effective.settings.model or "endpoint") if self.rule else "classic"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a start needs; nothing in it is a process yet."""

    folder: DataFolder
    run: Effective
    agents: tuple[PlannedAgent, ...]
    failpoint: str = ""


def make(names: Sequence[str], options: Mapping[str, Json], failpoint: str = "") -> Plan:
    """The plan for these character files or built-in names. Raises ConfigError for what cannot run."""
    run = resolve(options)
    agents: list[PlannedAgent] = []
    for name in names or [DEFAULT_CHARACTER]:
        for slot, character in _load(name):
            agents.append(_planned(slot, character, options, {a.slug for a in agents}))
    return Plan(DataFolder(Path(run.settings.data).expanduser().absolute()), run, tuple(agents), failpoint)


def built_in() -> dict[str, Path]:
    """The characters that come with teehee, by name."""
    packaged = Path(str(resources.files("teehee").joinpath("characters")))
    folder = packaged if packaged.is_dir() else Path(__file__).parents[3] / "characters"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def _load(name: str) -> list[tuple[str, Character]]:
    """(slot, character) for a path or a built-in name; a file of several gives several."""
    known = built_in()
    path, slot = (known[name], f"built-in:{name}") if name in known else (Path(name), str(Path(name).absolute()))
    if name not in known and not path.exists() and not path.suffix:
        raise ConfigError(
            f"no character {name!r}: neither a file nor one of {', '.join(known)}",
            hint="give the path of a character's JSON file",
        )
    loaded = characters.load(path)
    return [(slot if number == 0 else f"{slot}#{number}", character) for number, character in enumerate(loaded)]


def _planned(slot: str, character: Character, options: Mapping[str, Json], taken: set[str]) -> PlannedAgent:
    effective = resolve(options, character)
    given = {**character.secrets, **character_secrets(character)}
    if key := effective.settings.model_key.get_secret_value():
        given["MODEL_KEY"] = key
    redacted, secrets = strip_secrets(replace(character, secrets=given))
    slug = base = re.sub(r"[^a-z0-9]+", "-", character.name.lower()).strip("-") or "agent"
    number = 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return PlannedAgent(slot, slug, redacted, effective, {f"{slug}/{name}": value for name, value in secrets.items()})


# -- the messages that follow from a plan


def configure_request(plan: Plan) -> Json:
    """What the owner tells the vault: agents, policies, secrets."""
    agents = [
        asdict(
            AgentConfig(
                slot=agent.slot,
                agent=agent.character.id,
                name=agent.character.name,
                package=package_hash(agent.character),
                policy={"replies_per_room_minute": agent.effective.settings.replies_per_minute},
            )
        )
        for agent in plan.agents
    ]
    secrets = {name: value for agent in plan.agents for name, value in agent.secrets.items()}
    return {"agents": agents, "secrets": secrets}


def package_hash(character: Character) -> str:
    """The hash of a redacted character; the full package hash (plugins, lock) builds on it later."""
    return hashlib.sha256(json.dumps(codec.to_json(character), sort_keys=True).encode()).hexdigest()


def vault_boot(plan: Plan, owner_key: bytes) -> Json:
    folder = plan.folder
    return asdict(boot.VaultBoot(str(folder.path), str(folder.sockets), (owner_key.hex(),), plan.failpoint))


def gate_boot(plan: Plan, identities: Sequence[Mapping[str, Json]], trust: str, port: int) -> Json:
    faces = tuple(
        boot.Face(identity["agent"], agent.slug, agent.character.name, _short(agent.character), agent.brain_shown)
        for agent, identity in zip(plan.agents, identities, strict=True)
    )
    rules = tuple(_rule(agent) for agent in plan.agents if agent.rule)
    run = plan.run.settings
    message = boot.GateBoot(
        str(plan.folder.sockets),
        str(plan.folder.path),
        run.host,
        port,
        faces,
        rules,
        trust,
        run.log_level,
        plan.failpoint,
    )
    return asdict(message)


def _rule(agent: PlannedAgent) -> boot.EgressRule:
    settings = agent.effective.settings
    credential = f"{agent.slug}/MODEL_KEY" if settings.model_key.get_secret_value() else ""
    return boot.EgressRule(
        agent.rule, settings.model_url, ("POST",), ("/chat/completions",), credential, settings.model_timeout
    )


def mind_boot(plan: Plan, identities: Sequence[Mapping[str, Json]]) -> Json:
    run = plan.run.settings
    agents = tuple(
        boot.MindAgent(identity["agent"], codec.to_json(agent.character), _brain(agent))
        for agent, identity in zip(plan.agents, identities, strict=True)
    )
    message = boot.MindBoot(
        str(plan.folder.sockets),
        str(plan.folder.path),
        agents,
        run.plugin_path,
        run.rooms_in_parallel,
        run.log_level,
        plan.failpoint,
    )
    return asdict(message)


def _brain(agent: PlannedAgent) -> boot.Brain:
    settings = agent.effective.settings
    return boot.Brain(agent.rule, settings.model, settings.temperature, settings.max_tokens, settings.model_timeout)


def _short(character: Character) -> str:
    first = character.bio[0] if character.bio else ""
    return first if len(first) <= BIO_SHOWN else first[: BIO_SHOWN - 1].rsplit(" ", 1)[0] + "…"
