"""The public door: what anyone may know and check."""

import base64
import re
from dataclasses import asdict, dataclass
from typing import Any

from teehee.vault.core import Core
from teehee.vault.keyring import PublicHalf
from teehee.vault.statements import Issued
from teehee.wire import strict
from teehee.wire.messages import Identity
from teehee.wire.server import Handler

Json = Any
Params = dict[str, Json]

LEAVES_LIMIT = 1000
NONCE = re.compile(r"(?:[0-9a-f]{2}){0,64}")


class PublicDoor:
    """Reads only; a checkpoint is signed and kept the first time somebody asks at a new size."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._shared: dict[str, tuple[Issued, dict[str, Json]]] = {}  # by key id, of the statement told last

    def methods(self) -> dict[str, Handler]:
        return {
            "agents": lambda _: self.core.identities.told(self.core.ring.trust),
            "accounts": self.accounts,
            "checkpoint": self.checkpoint,
            "leaves": self.leaves,
            "consistency": self.consistency,
            "receipt": self.receipt,
            "statement": self.statement,
            "bundle": self.bundle,
        }

    def accounts(self, params: Params) -> Json:
        """The accounts of an agent, and of each secret that opens one: who gave it, and when."""
        identity = self.core.identities.get(strict.parse(_AgentName, params).agent).identity
        return {
            "accounts": [
                {"platform": platform, "id": held.id, "since": held.since, "secrets": self._origins(held.secrets)}
                for platform, held in sorted(self.core.identities.held(identity.key_id).items())
            ]
        }

    def _origins(self, names: tuple[str, ...]) -> list[Json]:
        return [asdict(kept) for name in names if (kept := self.core.secrets.about(name)) is not None]

    async def checkpoint(self, params: Params) -> Json:
        identity = self.core.identities.get(strict.parse(_AgentName, params).agent).identity
        key = await self.core.ring.log_key(identity.key_id)
        note = await self.core.commit.run(lambda: self.core.log.checkpoint(identity, key))
        return {"checkpoint": note, "origin": identity.origin, "key": identity.log_key}

    def leaves(self, params: Params) -> Json:
        asked = strict.parse(_Leaves, params)
        number = self.core.identities.get(asked.agent).identity.log
        found = self.core.log.leaves(number, asked.start, min(asked.limit, LEAVES_LIMIT))
        return {"start": asked.start, "leaves": [data.decode() for data in found]}

    def consistency(self, params: Params) -> Json:
        asked = strict.parse(_Sizes, params)
        number = self.core.identities.get(asked.agent).identity.log
        return {"proof": [node.hex() for node in self.core.log.consistency(number, asked.old, asked.new)]}

    async def receipt(self, params: Params) -> Json:
        """Everything that shows one effect was committed before it left: leaf, audit path, signed checkpoint."""
        effect = strict.parse(_EffectId, params).effect
        agent, index, outcome_index, state, forgotten_at = self.core.ledger.receipt_row(effect)
        identity = self.core.identities.get(agent).identity
        key = await self.core.ring.log_key(identity.key_id)

        def prove() -> Json:
            proofs = {"intent": index} | ({} if outcome_index is None else {"outcome": outcome_index})
            return {
                "effect": effect,
                "state": state,
                "forgotten_at": forgotten_at,
                **self.core.proof(identity, key, proofs),
            }

        return await self.core.commit.run(prove)

    async def statement(self, params: Params) -> Json:
        """What this agent says of itself, with the quote over it; with a nonce, one that answers it."""
        asked = strict.parse(_Nonce, params)
        if not NONCE.fullmatch(asked.nonce):
            raise strict.Malformed("nonce: expected at most 64 bytes in lower-case hex")
        identity = self.core.identities.get(asked.agent).identity
        issued, proof = await self._issued(identity, bytes.fromhex(asked.nonce))
        return {"statement": issued.statement.decode(), "quote": issued.quote.hex(), "proof": proof}

    async def bundle(self, params: Params) -> Json:
        """Everything a check needs but Intel's word on the platform, which the gate adds."""
        asked = strict.parse(_Nonce, params)
        if not NONCE.fullmatch(asked.nonce):
            raise strict.Malformed("nonce: expected at most 64 bytes in lower-case hex")
        identity = self.core.identities.get(asked.agent).identity
        issued, proof = await self._issued(identity, bytes.fromhex(asked.nonce))
        of, shared = self._shared.get(identity.key_id, (None, {}))
        if of is not issued:  # thousands who asked at once get one statement, each with a proof of its own
            shared = await self._of_statement(identity, issued)
            self._shared[identity.key_id] = issued, shared
        return {**shared, "nonce": proof}

    async def _of_statement(self, identity: Identity, issued: Issued) -> dict[str, Json]:
        """What every bundle over one statement has."""
        halves = await self.core.ring.public_halves(identity.key_id)
        note = self.core.log.note_at(identity, issued.log_size)
        machine = self.core.machine
        return {
            "format": "teehee/bundle/v1",
            "api": machine.api.era,
            "statement": issued.statement.decode(),
            "quote": issued.quote.hex(),
            "event_log": issued.event_log.decode(),
            "app_compose": base64.b64encode(machine.app_compose).decode(),
            "vm_config": machine.vm_config,
            "keys": {purpose: _chained(half) for purpose, half in halves.items()},
            "checkpoint": note,
            "collateral": "",
            "collateral_from": "",
            "as_of": issued.at // 1000,
        }

    async def _issued(self, identity: Identity, nonce: bytes) -> tuple[Issued, Json]:
        if nonce:
            return await self.core.statements.prove(identity, nonce)
        return await self.core.statements.current(identity), None


def _chained(half: PublicHalf) -> Json:
    links = [link.hex() for link in half.links] + ["", ""]
    return {
        "name": half.name,
        "algorithm": half.algorithm,
        "public": half.public.hex(),
        "link0": links[0],
        "link1": links[1],
    }


@dataclass(frozen=True, slots=True)
class _AgentName:
    agent: str


@dataclass(frozen=True, slots=True)
class _EffectId:
    effect: str


@dataclass(frozen=True, slots=True)
class _Nonce:
    agent: str
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class _Leaves:
    agent: str
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class _Sizes:
    agent: str
    old: int
    new: int
