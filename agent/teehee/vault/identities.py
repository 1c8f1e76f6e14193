"""Who the agents are: minted once, pinned for good, checked against the keys at every start."""

import json
import secrets
import sqlite3
from dataclasses import dataclass, replace

from teehee import ids
from teehee.errors import ConfigError, Refused
from teehee.vault import policy as policies
from teehee.vault.keyring import KeyRing
from teehee.wire.messages import AgentConfig, Identity

COLUMNS = "slot, agent, name, key_id, log_key, policy, epoch, stopped, log"


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as the ledger needs it."""

    identity: Identity
    policy: policies.Policy


class Identities:
    """The identity records, in memory and on disk."""

    def __init__(self, db: sqlite3.Connection, ring: KeyRing) -> None:
        self.db = db
        self.ring = ring
        self.agents: dict[str, Agent] = {}

    def get(self, agent: str) -> Agent:
        """The agent configured at this start. Raises Refused for anything else."""
        found = self.agents.get(agent)
        if found is None:
            raise Refused("base.agent-unknown", f"no agent {agent[:64]!r} runs here")
        return found

    def by_key(self, key_id: str) -> Agent:
        for found in self.agents.values():
            if found.identity.key_id == key_id:
                return found
        raise Refused("base.agent-unknown", f"no agent with key id {key_id[:64]!r} runs here")

    async def admit(self, config: AgentConfig) -> Identity:
        """The pinned identity of `config.slot`, minted when it is new.

        Raises ConfigError when the keys this guest derives are not those of the record.
        """
        policy = policies.parse(config.policy)
        row = self.db.execute(f"SELECT {COLUMNS} FROM identities WHERE slot=?", (config.slot,)).fetchone()
        if row is None:
            identity = await self._mint(config, policy)
        else:
            identity = await self._recall(row, policy)
        self.agents[identity.agent] = Agent(identity, policy)
        return identity

    async def recall_all(self) -> None:
        """Every recorded agent, with the policy it last had."""
        for row in self.db.execute(f"SELECT {COLUMNS} FROM identities").fetchall():
            policy = policies.parse(json.loads(row[5]))
            identity = await self._recall(row, policy)
            self.agents[identity.agent] = Agent(identity, policy)

    async def _mint(self, config: AgentConfig, policy: policies.Policy) -> Identity:
        key_id = secrets.token_hex(16)
        row = self.db.execute("SELECT 1 FROM identities WHERE agent=?", (config.agent,)).fetchone()
        taken = row is not None or config.agent in self.agents
        agent = ids.create_unique_uuid(key_id, config.agent) if taken else config.agent
        public = (await self.ring.log_key(key_id)).public.hex()
        return Identity(
            config.slot, agent, config.name, key_id, _origin(key_id), public, policy.hash,
            epoch=0, stopped=False, log=0, minted=True,
        )  # fmt: skip

    async def _recall(
        self, row: tuple[str, str, str, str, str, str, int, int, int], policy: policies.Policy
    ) -> Identity:
        slot, agent, name, key_id, log_key, _, epoch, stopped, log = row
        derived = (await self.ring.log_key(key_id)).public.hex()
        if derived != log_key:
            raise ConfigError(
                f"the log key of {name!r} derived now is {derived[:16]}…, its identity record says {log_key[:16]}…",
                hint="this data folder belongs to another seed or machine; restore the right one, or start anew",
            )
        return Identity(slot, agent, name, key_id, _origin(key_id), log_key, policy.hash, epoch, bool(stopped), log)

    def write(self, identity: Identity, config: AgentConfig) -> Identity:
        """Opens the next epoch of `identity` and stores the record, inside the caller's transaction."""
        policy = json.dumps(dict(config.policy))
        epoch, log = identity.epoch + 1, identity.log
        if identity.minted:
            (log,) = self.db.execute("SELECT COALESCE(MAX(log), 0) + 1 FROM identities").fetchone()
        self.db.execute(
            "INSERT INTO identities (key_id, slot, agent, name, log_key, package, policy, policy_hash, epoch, log)"
            " VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (key_id) DO UPDATE SET name=excluded.name,"
            " package=excluded.package, policy=excluded.policy, policy_hash=excluded.policy_hash, epoch=excluded.epoch",
            (identity.key_id, identity.slot, identity.agent, config.name, identity.log_key, config.package, policy,
             identity.policy_hash, epoch, log),
        )  # fmt: skip
        self.agents[identity.agent] = replace(
            self.agents[identity.agent], identity=replace(identity, name=config.name, epoch=epoch, log=log)
        )
        return self.agents[identity.agent].identity

    def set_stopped(self, agent: str, stopped: bool) -> Identity:
        """Marks an agent stopped or running, inside the caller's transaction."""
        found = self.get(agent)
        self.db.execute("UPDATE identities SET stopped=? WHERE agent=?", (int(stopped), agent))
        identity = replace(found.identity, stopped=stopped)
        self.agents[agent] = replace(found, identity=identity)
        return identity


def _origin(key_id: str) -> str:
    return f"teehee/{key_id}"
