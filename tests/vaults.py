"""A vault for tests: the real parts behind their four doors in this process, or the real process behind its sockets."""

import base64
import contextlib
import hashlib
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from teehee.errors import Refused
from teehee.evidence import checkpoint, leaf, merkle
from teehee.supervisor.children import Child
from teehee.supervisor.folder import DataFolder
from teehee.supervisor.owner import Owner
from teehee.tee.simulator import Simulator
from teehee.vault.core import Core
from teehee.vault.doors import Doors
from teehee.vault.owner import OwnerDesk
from teehee.vault.owner_door import OwnerDoor
from teehee.vault.platform_door import PlatformDoor
from teehee.vault.public_door import PublicDoor
from teehee.vault.relay import Relay
from teehee.wire import boot
from teehee.wire.client import Client
from teehee.wire.messages import AgentConfig, Witness
from teehee.wire.owner import sign

Json = Any
PACKAGE = "c" * 64
SECONDS = 10.0


# -- what is said to a vault


def config(name: str = "Ada", *, slot: str = "", agent: str = "", **policy: Json) -> AgentConfig:
    """An agent as its owner configures it; `policy` holds what differs from the base policy."""
    return AgentConfig(slot or f"{name}.json", agent or f"agent-{name.lower()}", name, PACKAGE, policy)


def configure(agents: Iterable[AgentConfig], secrets: Mapping[str, str] | None = None) -> Json:
    return {"agents": [asdict(agent) for agent in agents], "secrets": dict(secrets or {})}


def witness(
    event: str = "e1", *, agent: str = "agent-ada", source: str = "web", room: str = "room", principal: str = "",
    kind: str = "message",
) -> Json:  # fmt: skip
    """The gate saw someone say something."""
    digest = hashlib.sha256(event.encode()).hexdigest()
    return asdict(Witness(agent, source, event, principal or f"principal-of-{event}", room, kind, digest))


def reply(
    event: str = "e1", *texts: str, agent: str = "agent-ada", source: str = "web", room: str = "room",
    verb: str = "", **more: Json,
) -> Json:  # fmt: skip
    """A mind's answer to an event, one part per text."""
    parts = [{"verb": verb or f"{source}.reply", "room": room, "text": text} for text in texts or ("hello",)]
    return {"agent": agent, "source": source, "event": event, "parts": parts, **more}


def post(key: str = "k1", text: str = "a thought", *, verb: str = "x.post", agent: str = "agent-ada") -> Json:
    """An unprompted post."""
    return {
        "agent": agent,
        "source": "x",
        "event": "",
        "key": key,
        "parts": [{"verb": verb, "room": "tl", "text": text}],
    }


# -- its parts in this process


@dataclass
class Vault:
    """The vault's parts behind their four doors, as `vault.server` puts them together, without sockets."""

    core: Core
    owner_key: Owner
    pushed: list[tuple[str, str, Json]] = field(default_factory=list)

    def __post_init__(self) -> None:
        desk = OwnerDesk(self.core.db, frozenset([self.owner_key.public.hex()]))
        doors = Doors(self.core, self._push)
        self.doors = doors
        owner = OwnerDoor(self.core, desk, self._push, self._nothing_to_open)
        self.methods = {
            "owner": owner.methods(),
            "mind": doors.mind(),
            "gate": doors.gate()
            | PlatformDoor(self.core, self._push).methods()
            | Relay(self.core.ring, owner).methods(),
            "public": PublicDoor(self.core).methods(),
        }

    def _push(self, role: str, method: str, params: Json) -> None:
        self.pushed.append((role, method, params))

    async def _nothing_to_open(self) -> None:
        pass

    async def ask(self, role: str, method: str, params: Json = None) -> Json:
        value = self.methods[role][method](params or {})
        return await value if inspect.isawaitable(value) else value

    async def mind(self, method: str, params: Json = None) -> Json:
        return await self.ask("mind", method, params)

    async def gate(self, method: str, params: Json = None) -> Json:
        return await self.ask("gate", method, params)

    async def public(self, method: str, params: Json = None) -> Json:
        return await self.ask("public", method, params)

    async def owner(self, method: str, params: Json = None) -> Json:
        """One request, signed and numbered by the owner."""
        link = _OwnerLink(self)
        return await self.owner_key.ask(link, method, params or {})

    async def submit(self, submission: Json) -> list[Json]:
        """The effects of a submission."""
        return list((await self.mind("effect.submit", submission))["effects"])

    async def answered(self, event: str = "e1", *texts: str, **where: str) -> list[Json]:
        """Witnesses an event and answers it."""
        await self.gate("event.witness", witness(event, **where))
        return await self.submit(reply(event, *texts, **where))

    async def verified(self, agent: str = "agent-ada") -> list[leaf.Leaf]:
        return await verified(self.public, agent)


class _OwnerLink(Client):
    """Hands an owner's envelope straight to the door."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    async def call(self, method: str, params: Json = None, *, patience: float = SECONDS) -> Json:
        return await self.vault.ask("owner", method, params)


@contextlib.asynccontextmanager
async def vault_at(
    folder: Path, *agents: AgentConfig, secrets: Mapping[str, str] | None = None, guest: str = ""
) -> AsyncIterator[Vault]:
    """A vault over `folder`, configured with these agents; with none it is not configured at all."""
    core = await Core.open(boot.VaultBoot(str(folder), str(folder), (), guest=guest))
    try:
        vault = Vault(core, Owner(folder / "owner-key"))
        if agents:
            await vault.owner("configure", configure(agents, secrets))
        yield vault
    finally:
        core.close()


@contextlib.asynccontextmanager
async def simulated(folder: Path, seed: bytes = bytes(range(32)), **how: Any) -> AsyncIterator[tuple[Simulator, str]]:
    """A simulated machine, and where its guest agent listens."""
    async with Simulator(seed, **how) as simulator:
        yield simulator, await simulator.listen(socket=folder / "guest.sock")


# -- the real process


@dataclass
class VaultProcess:
    """A running vault process and a link to each of its doors; the gate's link keeps what it is told to deliver."""

    folder: DataFolder
    child: Child
    owner_key: Owner
    links: dict[str, Client]
    due: list[Json] = field(default_factory=list)
    told: list[tuple[str, Json]] = field(default_factory=list)

    async def mind(self, method: str, params: Json = None) -> Json:
        return await self.links["mind"].call(method, params, patience=SECONDS)

    async def gate(self, method: str, params: Json = None) -> Json:
        return await self.links["gate"].call(method, params, patience=SECONDS)

    async def public(self, method: str, params: Json = None) -> Json:
        return await self.links["public"].call(method, params, patience=SECONDS)

    async def owner(self, method: str, params: Json = None) -> Json:
        return await self.owner_key.ask(self.links["owner"], method, params or {}, patience=SECONDS)

    async def submit(self, submission: Json) -> list[Json]:
        return list((await self.mind("effect.submit", submission))["effects"])

    async def answered(self, event: str = "e1", *texts: str, **where: str) -> list[Json]:
        """Witnesses an event and answers it."""
        await self.gate("event.witness", witness(event, **where))
        return await self.submit(reply(event, *texts, **where))

    async def leaving(self) -> list[Json]:
        """Every effect this vault has told the gate to deliver, so far; the gate's link answers in order."""
        await self.gate("effect.due")
        return list(self.due)

    async def verified(self, agent: str = "agent-ada") -> list[leaf.Leaf]:
        return await verified(self.public, agent)

    def socket(self, role: str) -> Path:
        return self.folder.sockets / f"vault-{role}.sock"

    def log_text(self) -> str:
        return self.child.log_file.read_text()

    def hear(self, method: str, params: Json) -> None:
        self.told.append((method, params))
        if method == "effect.due":
            self.due += params["effects"]


@contextlib.asynccontextmanager
async def vault_process(
    data: Path,
    *agents: AgentConfig,
    secrets: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    guest: str = "",
) -> AsyncIterator[VaultProcess]:
    """The real vault process over the folder `data`, configured; its mind and its gate are the test's own.

    With no agents it is not configured. `prefix` is put before its command line.
    """
    folder = DataFolder(data)
    folder.make()
    owner = Owner(folder.owner_key)
    child = Child("vault", folder.logs, prefix)
    await child.start()
    try:
        await child.boot(asdict(boot.VaultBoot(str(data), str(folder.sockets), (owner.public.hex(),), guest=guest)))
        async with contextlib.AsyncExitStack() as stack:
            vault = VaultProcess(folder, child, owner, {})

            async def link(role: str, **how: Any) -> None:
                client = Client(vault.socket(role), **how)
                vault.links[role] = await stack.enter_async_context(client)

            await link("owner")
            if agents:
                await vault.owner("configure", configure(agents, secrets))
            for role in ("mind", "public"):
                await link(role)
            await link("gate", on_connect=_subscribe, on_notify=vault.hear)
            yield vault
    finally:
        await child.stop(5.0)


async def _subscribe(link: Client) -> None:
    await link.call("subscribe")


# -- what anyone may check


async def verified(public: Callable[..., Any], agent: str) -> list[leaf.Leaf]:
    """All leaves of an agent's log, after checking that they make the tree its key has signed."""
    known = {one["agent"]: one for one in (await public("agents"))["agents"]}
    signed = await public("checkpoint", {"agent": agent})
    vkey = checkpoint.vkey(known[agent]["origin"], bytes.fromhex(known[agent]["log_key"]))
    head = checkpoint.verify(signed["checkpoint"], vkey)
    texts: list[str] = []
    while len(texts) < head.size:
        page = (await public("leaves", {"agent": agent, "start": len(texts), "limit": 1000}))["leaves"]
        assert page, f"{head.size} leaves are signed, {len(texts)} are given"
        texts += page
    assert merkle.root([merkle.leaf_hash(text.encode()) for text in texts]) == head.root
    return [leaf.parse(text.encode()) for text in texts]


def intents(leaves: Sequence[leaf.Leaf]) -> list[str]:
    """The effects these leaves let out, in order."""
    return [one.effect for one in leaves if isinstance(one, leaf.Intent)]


def outcomes(leaves: Sequence[leaf.Leaf]) -> list[tuple[str, str]]:
    return [(one.effect, one.state) for one in leaves if isinstance(one, leaf.Outcome)]


async def rule_of(call: Any) -> str:
    """The rule that refuses `call`; fails the test when none does."""
    try:
        value = await call
    except Refused as refusal:
        return refusal.rule
    raise AssertionError(f"expected a refusal, got {json.dumps(value)[:200]}")


def encodings(secret: bytes) -> list[bytes]:
    """The ways in which a secret could be written down."""
    plain = base64.b64encode(secret).rstrip(b"=")
    return [
        secret,
        secret.hex().encode(),
        secret.hex().upper().encode(),
        plain,
        plain.translate(bytes.maketrans(b"+/", b"-_")),
    ]


def on_disk(folder: Path) -> bytes:
    """All that lies in a folder's files now."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def envelope(owner: Owner, seq: int, method: str, params: Json) -> Json:
    """A request that an owner signed under a number of the test's choosing."""
    return sign({"seq": seq, "method": method, "params": params}, owner._key.sign, owner.public)
