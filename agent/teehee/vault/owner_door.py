"""The owner's door: configure, stop, resume, status, secrets; every request signed and numbered."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from teehee.errors import Refused
from teehee.evidence import leaf
from teehee.vault import brake
from teehee.vault.core import Core
from teehee.vault.doors import DAY_MS, Push
from teehee.vault.identities import Agent
from teehee.vault.log import log
from teehee.vault.owner import OwnerDesk
from teehee.vault.secrets import Giver
from teehee.wire import strict
from teehee.wire.messages import AgentConfig, Configure, Identity
from teehee.wire.owner import Envelope, Request
from teehee.wire.server import Handler

Json = Any
Params = dict[str, Json]
Method = Callable[[Envelope, Request], Awaitable[Json]]

FROM_AFAR = ("stop", "resume", "status", "secret.set", "secret.names")
SALT = re.compile(r"[0-9a-f]{64}")


class OwnerDoor:
    """`on_configured` opens the other doors: until an owner configures, there is nothing to ask or answer.

    Where the measured compose configured (`is_measured`), an owner may stop, resume, look and hand over secrets: who
    the agents are, and what they may do, is measured and theirs no more.
    """

    def __init__(
        self,
        core: Core,
        desk: OwnerDesk,
        push: Push,
        on_configured: Callable[[], Awaitable[None]],
        *,
        is_measured: bool = False,
    ) -> None:
        self.core = core
        self.is_measured = is_measured
        self.desk = desk
        self.push = push
        self.on_configured = on_configured

    def methods(self) -> dict[str, Handler]:
        return {"request": self.owner_request}

    async def owner_request(self, params: Params) -> Json:
        return await self._do(params, "", self._methods())

    async def from_afar(self, params: Params) -> Json:
        """A request that came sealed to this vault, and was signed for it: fewer methods, the same checks."""
        known = self._methods()
        here = (await self.core.ring.channel_key()).hex()
        return await self._do(params, here, {name: known[name] for name in FROM_AFAR if name in known})

    def _methods(self) -> dict[str, Method]:
        methods: dict[str, Method] = {
            "stop": self._stop,
            "resume": self._resume,
            "status": self._status,
            "secret.set": self._secret_set,
            "secret.names": self._secret_names,
        }
        if not self.is_measured:
            methods |= {
                "configure": self._configure,
                "recall": self._recall,
                "backup.key": self._backup_key,
                "restored": self._restored,
            }
        return methods

    async def _do(self, params: Params, here: str, methods: Mapping[str, Method]) -> Json:
        envelope = strict.parse(Envelope, params)
        request = self.desk.check_signature(envelope)
        if request.to != here:
            raise Refused("owner.another-vault", "this request was signed for another vault, or for another way to it")
        if request.method not in methods:
            raise Refused("owner.method-unknown", f"no {request.method[:64]!r}; known are {', '.join(methods)}")
        if request.method not in ("stop", "resume"):  # these take their number in the commit of the order itself
            await self.core.commit.run(lambda: self.desk.take_number(envelope.key, request.seq))
        return await methods[request.method](envelope, request)

    async def _configure(self, envelope: Envelope, request: Request) -> Json:
        return await self.configure(strict.parse(Configure, request.params))

    async def configure(self, wanted: Configure) -> Json:
        """Admits the agents, opens their next epoch, keeps their secrets, and only then opens the other doors."""
        admitted = await self.core.identities.admit(wanted.agents)

        def write() -> tuple[list[str], list[Agent]]:
            changed = [name for name, value in wanted.secrets.items() if self._put(name, value, "start")["changed"]]
            return changed, [self._enter(agent, config) for agent, config in zip(admitted, wanted.agents, strict=True)]

        changed, agents = await self.core.commit.run(write)
        await self.on_configured()
        self._tell_secrets(changed)
        names = [agent.identity.name for agent in agents]
        log("configured", agents=names, secrets=sorted(wanted.secrets), trust=self.core.ring.trust)
        return {"agents": [asdict(agent.identity) for agent in agents], "trust": self.core.ring.trust}

    def _enter(self, agent: Agent, config: AgentConfig) -> Agent:
        """Opens the agent's next epoch, and writes down a policy that is not the one it had."""
        before = self.core.identities.policy_hash(agent)
        agent = self.core.identities.write(agent, config)
        identity, now = agent.identity, self.core.now_ms()
        self._epoch_leaf(identity, config.package, now)
        if before not in ("", identity.policy_hash):
            entry = leaf.Policy(agent=identity.key_id, at=now, epoch=identity.epoch, policy=identity.policy_hash)
            self.core.log.append(identity.log, entry)
        return agent

    async def _recall(self, envelope: Envelope, request: Request) -> Json:
        """Knows all recorded agents again, without a new epoch: enough to read the log of a stopped vault."""
        await self.core.identities.recall_all()
        await self.on_configured()
        return {}

    def _epoch_leaf(self, identity: Identity, package: str, now: int) -> None:
        kind = leaf.Genesis if identity.epoch == 1 else leaf.Epoch
        entry = kind(
            agent=identity.key_id,
            at=now,
            epoch=identity.epoch,
            keys=self.core.identities.public_keys(identity.key_id),
            package=package,
        )
        self._hold_epoch(identity, self.core.log.append(identity.log, entry), now)

    def _hold_epoch(self, identity: Identity, index: int, now: int) -> None:
        self.core.db.execute("UPDATE epochs SET state='lost' WHERE key_id=? AND state!='lost'", (identity.key_id,))
        self.core.db.execute(
            "INSERT INTO epochs VALUES (?,?,?,?,'held')", (identity.key_id, identity.epoch, index, now)
        )

    async def _stop(self, envelope: Envelope, request: Request) -> Json:
        return await self._set_stopped(envelope, request, stopped=True)

    async def _resume(self, envelope: Envelope, request: Request) -> Json:
        return await self._set_stopped(envelope, request, stopped=False)

    async def _set_stopped(self, envelope: Envelope, request: Request, *, stopped: bool) -> Json:
        agents = strict.parse(_Agents, request.params).agents or tuple(self.core.identities.agents)

        def write() -> list[Identity]:
            self.desk.take_number(envelope.key, request.seq)
            return brake.turn(self.core, agents, envelope.key, request.seq, stopped=stopped)

        changed = await self.core.commit.run(write)
        brake.tell(self.push, changed, stopped=stopped)
        return {"changed": [identity.name for identity in changed]}

    async def _status(self, envelope: Envelope, request: Request) -> Json:
        now = self.core.now_ms()
        agents = []
        for agent in self.core.identities.agents.values():
            messages, replies = self.core.ledger.counted(agent.identity.agent, now - now % DAY_MS)
            told = {name: getattr(agent.identity, name) for name in ("agent", "name", "stopped", "epoch", "key_id")}
            size = self.core.log.size(agent.identity.log)
            agents.append({**told, "log_size": size, "messages_today": messages, "replies_today": replies})
        return {"agents": agents, "trust": self.core.ring.trust}

    async def _secret_set(self, envelope: Envelope, request: Request) -> Json:
        """Keeps a secret; `before` is who gave the one it replaces, which a start with that one brings back."""
        asked = strict.parse(_Secret, request.params)
        told = await self.core.commit.run(lambda: self._put(asked.name, asked.value, "owner"))
        self._tell_secrets([asked.name] if told["changed"] else [])
        return told

    def _put(self, name: str, value: str, giver: Giver) -> dict[str, Json]:
        before = self.core.secrets.about(name)
        version = self.core.secrets.put(name, value, giver, self.core.now_ms())
        changed = before is None or before.version != version
        return {"version": version, "changed": changed, "before": before.giver if before else ""}

    def _tell_secrets(self, changed: Iterable[str]) -> None:
        """Lets the gate know, once it is committed."""
        for name in changed:
            self.push("gate", "secret.changed", {"name": name})

    async def _secret_names(self, envelope: Envelope, request: Request) -> Json:
        return {"secrets": [asdict(kept) for kept in self.core.secrets.kept()]}

    async def _backup_key(self, envelope: Envelope, request: Request) -> Json:
        """The key of one backup: it opens that file and nothing else of this vault."""
        salt = strict.parse(_Salt, request.params).salt
        if not SALT.fullmatch(salt):
            raise strict.Malformed("salt: expected 32 bytes in lower-case hex")
        key, check = await self.core.ring.backup_key(bytes.fromhex(salt))
        return {"key": key.hex(), "check": check.hex(), "era": self.core.machine.api.era}

    async def _restored(self, envelope: Envelope, request: Request) -> Json:
        """Writes into every log that it goes on from a backup, in an epoch past all that are known."""
        asked = strict.parse(_Restored, request.params)
        await self.core.identities.recall_all()

        def write() -> list[Identity]:
            now = self.core.now_ms()
            self.core.db.execute("UPDATE machine SET epoch=max(epoch, ?)", (asked.vault_epoch,))
            return [self._go_on(agent, asked, now) for agent in list(self.core.identities.agents)]

        return {"agents": [asdict(identity) for identity in await self.core.commit.run(write)]}

    def _go_on(self, agent: str, asked: "_Restored", now: int) -> Identity:
        known = self.core.identities.get(agent).identity
        identity = self.core.identities.next_epoch(agent, asked.epochs.get(known.key_id, 0)).identity
        entry = leaf.Restored(
            agent=identity.key_id,
            at=now,
            epoch=identity.epoch,
            size=self.core.log.size(identity.log),
            root=self.core.log.root(identity.log).hex(),
            taken=asked.taken,
        )
        self._hold_epoch(identity, self.core.log.append(identity.log, entry), now)
        return identity


@dataclass(frozen=True, slots=True)
class _Salt:
    salt: str


@dataclass(frozen=True, slots=True)
class _Restored:
    """`taken` is when the backup was; the others are the newest of what it replaces, by key id and of the vault."""

    taken: int
    epochs: Mapping[str, int]
    vault_epoch: int


@dataclass(frozen=True, slots=True)
class _Agents:
    agents: tuple[str, ...] = ()  # none named: all


@dataclass(frozen=True, slots=True)
class _Secret:
    name: str
    value: str
