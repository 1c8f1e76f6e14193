"""The public door: what anyone may know and check."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from teehee.evidence.statement import Statement
from teehee.vault.core import Core
from teehee.wire import strict
from teehee.wire.server import Handler

Json = Any
Params = dict[str, Json]

LEAVES_LIMIT = 1000
NONCE = re.compile(r"(?:[0-9a-f]{2}){0,64}")
NOT_MEASURED = "0" * 64  # outside a TEE there is no compose to hash


class PublicDoor:
    """Reads only; a checkpoint is signed and kept the first time somebody asks at a new size."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def methods(self) -> dict[str, Handler]:
        return {
            "agents": self.agents,
            "checkpoint": self.checkpoint,
            "leaves": self.leaves,
            "consistency": self.consistency,
            "receipt": self.receipt,
            "statement": self.statement,
        }

    def agents(self, params: Params) -> Json:
        return {
            "agents": [asdict(a.identity) for a in self.core.identities.agents.values()],
            "trust": self.core.ring.trust,
        }

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
        agent, index, outcome_index, state = self.core.ledger.receipt_row(effect)
        identity = self.core.identities.get(agent).identity
        key = await self.core.ring.log_key(identity.key_id)

        def prove() -> Json:
            proofs = {"intent": index} | ({} if outcome_index is None else {"outcome": outcome_index})
            return {
                "effect": effect,
                "state": state,
                "origin": identity.origin,
                "key": identity.log_key,
                "trust": self.core.ring.trust,
                "checkpoint": self.core.log.checkpoint(identity, key),
                "leaves": [
                    {
                        "type": kind,
                        "index": i,
                        "leaf": self.core.log.leaf(identity.log, i).decode(),
                        "proof": [node.hex() for node in self.core.log.inclusion(identity.log, i)],
                    }
                    for kind, i in proofs.items()
                ],
            }

        return await self.core.commit.run(prove)

    def statement(self, params: Params) -> Json:
        """What this agent says of itself; the quote over it comes with the TEE."""
        asked = strict.parse(_Nonce, params)
        if not NONCE.fullmatch(asked.nonce):
            raise strict.Malformed("nonce: expected at most 64 bytes in lower-case hex")
        identity = self.core.identities.get(asked.agent).identity
        (package,) = self.core.db.execute("SELECT package FROM identities WHERE agent=?", (asked.agent,)).fetchone()
        said = Statement(
            key_id=identity.key_id,
            app_id=NOT_MEASURED[:40],
            compose_hash=NOT_MEASURED,
            package_hash=package,
            policy_hash=identity.policy_hash,
            keys={"log": identity.log_key},
            addresses={},
            accounts={},
            log_origin=identity.origin,
            log_size=self.core.log.size(identity.log),
            log_root=self.core.log.root(identity.log).hex(),
            previous="",
            nonce=asked.nonce,
            issued_at=self.core.now_ms(),
            trust=self.core.ring.trust,
        )
        return {"statement": said.encode().decode(), "report_data": said.report_data().hex(), "quote": None}


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
