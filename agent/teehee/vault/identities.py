"""Who the agents are: minted once, pinned for good, checked against the keys at every start."""

import json
import re
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from teehee import ids
from teehee.errors import ConfigError, Refused
from teehee.vault import policy as policies
from teehee.vault.keyring import KeyRing
from teehee.vault.seal import Seal
from teehee.wire.messages import AgentConfig, Identity
from teehee.wire.strict import Malformed, parse

Row = tuple[str, str, str, str, str, str, int, int, int, str, bytes | None, str]
ACCOUNT = re.compile(r"[a-z][a-z0-9_]{1,31}:[0-9]{1,20}")
COLUMNS = "slot, agent, name, key_id, log_key, policy, epoch, stopped, log, keys, salt, package"


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as the ledger needs it."""

    identity: Identity
    policy: policies.Policy


@dataclass(frozen=True, slots=True)
class Account:
    """An account on a platform, by its number there; `secrets` names what opens it, the token in use first.

    The secrets are the gate's word. `since` is when it was first reported, in ms.
    """

    id: str
    since: int
    secrets: tuple[str, ...] = ()


class Identities:
    """The identity records, in memory and on disk."""

    def __init__(self, db: sqlite3.Connection, ring: KeyRing, seal: Seal) -> None:
        self.db, self.ring, self.seal = db, ring, seal
        self.agents: dict[str, Agent] = {}
        self._keys: dict[str, dict[str, str]] = {}  # public keys by key id and purpose, as derived at this start

    def get(self, agent: str) -> Agent:
        """The agent configured at this start. Raises Refused for anything else."""
        found = self.agents.get(agent)
        if found is None:
            raise Refused("base.agent-unknown", f"no agent {agent[:64]!r} runs here")
        return found

    def told(self, trust: str, only: str = "") -> dict[str, object]:
        """What anyone may know of them; of one alone, when it is named."""
        agents = [agent.identity for agent in self.agents.values() if only in ("", agent.identity.agent)]
        return {"agents": [asdict(identity) for identity in agents], "trust": trust}

    async def admit(self, configs: Sequence[AgentConfig]) -> list[Agent]:
        """The agents of `configs` under their pinned identities, minted when new. Changes nothing yet.

        Raises Malformed for a policy that does not parse, Refused for a slot named twice, ConfigError when the keys
        this guest derives are not those of the record.
        """
        admitted: dict[str, Agent] = {}
        slots: set[str] = set()
        for config in configs:
            if config.slot in slots:
                raise Refused("owner.slot-twice", f"{config.slot!r} is configured twice")
            slots.add(config.slot)
            policy = policies.parse(config.policy)
            row = self.db.execute(f"SELECT {COLUMNS} FROM identities WHERE slot=?", (config.slot,)).fetchone()
            if row is None:
                identity = await self._mint(config, policy, admitted)
            else:
                self._check_recipe(row, config)
                identity = await self._recall(row, policy)
            admitted[identity.agent] = Agent(identity, policy)
        return list(admitted.values())

    async def recall_all(self) -> None:
        """Every recorded agent, with the policy it last had."""
        for row in self.db.execute(f"SELECT {COLUMNS} FROM identities").fetchall():
            policy = policies.parse(json.loads(row[5]))
            identity = await self._recall(row, policy)
            self.agents[identity.agent] = Agent(identity, policy)

    async def _mint(self, config: AgentConfig, policy: policies.Policy, beside: Mapping[str, Agent]) -> Identity:
        key_id = secrets.token_hex(16)
        row = self.db.execute("SELECT 1 FROM identities WHERE agent=?", (config.agent,)).fetchone()
        taken = row is not None or config.agent in beside
        agent = ids.create_unique_uuid(key_id, config.agent) if taken else config.agent
        if config.salt:
            self.ring.use_legacy(key_id, config.salt)
        derived = await self._derived(key_id)
        return Identity(
            config.slot, agent, config.name, key_id, _origin(key_id), derived["log"], policy.hash,
            epoch=0, stopped=False, log=0, minted=True,
        )  # fmt: skip

    def _check_recipe(self, row: Row, config: AgentConfig) -> None:
        """Raises ConfigError when the wallets are to come from another recipe than the agent was born with."""
        salt = self._salt(row[3], row[10])
        if config.salt != salt:
            born, now = ("eliza-legacy" if one else "the vault's own keys" for one in (salt, config.salt))
            what = f"from {born}, not from {now}" if bool(salt) != bool(config.salt) else "from another salt"
            raise ConfigError(
                f"the wallets of {row[2]!r} come {what}: they were pinned at its first start",
                hint="put the character's `tee.derivation` and WALLET_SECRET_SALT back as they were, "
                "or start a new agent and move the funds",
            )

    def _salt(self, key_id: str, sealed: bytes | None) -> str:
        return "" if sealed is None else self.seal.open("identities", key_id, 1, sealed).decode()

    async def _recall(self, row: Row, policy: policies.Policy) -> Identity:
        slot, agent, name, key_id, log_key, _, epoch, stopped, log, keys, sealed, package = row
        if salt := self._salt(key_id, sealed):
            self.ring.use_legacy(key_id, salt)
        derived = await self._derived(key_id)
        for purpose, recorded in {**json.loads(keys), "log": log_key}.items():
            if derived.get(purpose) != recorded:
                raise ConfigError(
                    f"the {purpose} key of {name!r} derived now is {derived.get(purpose, 'none')[:16]}…, its identity "
                    f"record says {recorded[:16]}…",
                    hint="this data folder belongs to another seed or machine; restore the right one, or start anew",
                )
        return Identity(
            slot, agent, name, key_id, _origin(key_id), log_key, policy.hash, epoch, bool(stopped), log, package=package
        )

    async def _derived(self, key_id: str) -> dict[str, str]:
        halves = await self.ring.public_halves(key_id)
        self._keys[key_id] = {purpose: half.public.hex() for purpose, half in halves.items()}
        return self._keys[key_id]

    def public_keys(self, key_id: str) -> dict[str, str]:
        """The agent's public keys by purpose, as this start derived them."""
        return self._keys[key_id]

    def policy_hash(self, agent: Agent) -> str:
        """The hash of the policy on record; empty for an agent that has none yet."""
        row = self.db.execute("SELECT policy_hash FROM identities WHERE key_id=?", (agent.identity.key_id,)).fetchone()
        return "" if row is None else str(row[0])

    def write(self, agent: Agent, config: AgentConfig) -> Agent:
        """The agent in its next epoch from here on, with its record stored, inside the caller's transaction."""
        identity = agent.identity
        policy = json.dumps(dict(config.policy))
        log = identity.log
        # As it stands now, not as it was admitted: a stop or another configuration may have come between.
        row = self.db.execute("SELECT epoch, stopped FROM identities WHERE key_id=?", (identity.key_id,)).fetchone()
        epoch, stopped = (1, False) if row is None else (row[0] + 1, bool(row[1]))
        if identity.minted:
            (log,) = self.db.execute("SELECT COALESCE(MAX(log), 0) + 1 FROM identities").fetchone()
        self.db.execute(
            "INSERT INTO identities"
            " (key_id, slot, agent, name, log_key, package, policy, policy_hash, epoch, log, keys, salt)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (key_id) DO UPDATE SET name=excluded.name,"
            " package=excluded.package, policy=excluded.policy, policy_hash=excluded.policy_hash,"
            " epoch=excluded.epoch, keys=excluded.keys",
            (identity.key_id, identity.slot, identity.agent, config.name, identity.log_key, config.package, policy,
             identity.policy_hash, epoch, log, json.dumps(self._keys[identity.key_id]),
             self.seal.seal("identities", identity.key_id, 1, config.salt.encode()) if config.salt else None),
        )  # fmt: skip
        current = replace(identity, name=config.name, epoch=epoch, stopped=stopped, log=log, package=config.package)
        self.agents[identity.agent] = replace(agent, identity=current)
        return self.agents[identity.agent]

    def next_epoch(self, agent: str, above: int) -> Agent:
        """The agent in an epoch past its own and past `above`, inside the caller's transaction."""
        found = self.get(agent)
        epoch = max(found.identity.epoch, above) + 1
        self.db.execute("UPDATE identities SET epoch=? WHERE agent=?", (epoch, agent))
        self.agents[agent] = replace(found, identity=replace(found.identity, epoch=epoch))
        return self.agents[agent]

    def set_stopped(self, agent: str, stopped: bool) -> Agent:
        """The agent stopped or running from here on, inside the caller's transaction."""
        found = self.get(agent)
        self.db.execute("UPDATE identities SET stopped=? WHERE agent=?", (int(stopped), agent))
        self.agents[agent] = replace(found, identity=replace(found.identity, stopped=stopped))
        return self.agents[agent]

    def accounts(self, key_id: str) -> dict[str, str]:
        """The agent's accounts by platform, each by the platform's own number."""
        return {platform: account.id for platform, account in self.held(key_id).items()}

    def held(self, key_id: str) -> dict[str, Account]:
        """The agent's accounts by platform, with the secrets that open them."""
        (accounts,) = self.db.execute("SELECT accounts FROM identities WHERE key_id=?", (key_id,)).fetchone()
        return {platform: parse(Account, account) for platform, account in json.loads(accounts).items()}

    def set_account(self, agent: str, platform: str, account: Account) -> bool:
        """Records an account, inside the caller's transaction; is it another than before? Raises Malformed."""
        key_id = self.get(agent).identity.key_id
        if not ACCOUNT.fullmatch(f"{platform}:{account.id}"):
            raise Malformed("account: expected a platform's name and a number")
        held = self.held(key_id)
        before = held.get(platform)
        is_new = before is None or before.id != account.id
        held[platform] = account if before is None or is_new else replace(account, since=before.since)
        if held[platform] != before:
            told = json.dumps({name: asdict(one) for name, one in held.items()}, sort_keys=True)
            self.db.execute("UPDATE identities SET accounts=? WHERE key_id=?", (told, key_id))
        return is_new

    def reread(self) -> None:
        """Takes the records as they stand in the database: a transaction that changed one may have been undone."""
        for agent, known in list(self.agents.items()):
            row = self.db.execute(
                "SELECT name, epoch, stopped, log, policy, package FROM identities WHERE agent=?", (agent,)
            ).fetchone()
            if row is None:
                del self.agents[agent]
                continue
            name, epoch, stopped, log, config, package = row
            policy = policies.parse(json.loads(config))
            identity = replace(
                known.identity, name=name, epoch=epoch, stopped=bool(stopped), log=log, policy_hash=policy.hash,
                package=package,
            )  # fmt: skip
            self.agents[agent] = Agent(identity, policy)


def _origin(key_id: str) -> str:
    return f"teehee/{key_id}"
