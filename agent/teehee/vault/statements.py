"""Statements: what each agent says of itself under the hardware's signature, anew on change and when asked.

Many nonces share one quote: they are leaves of a Merkle tree whose root the statement carries, so that ten thousand
people who ask at once cost the machine one quote.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from teehee.errors import TeeheeError, Unavailable
from teehee.evidence import merkle
from teehee.evidence.statement import Statement
from teehee.vault.actionlog import ActionLog
from teehee.vault.identities import Identities
from teehee.vault.keyring import CHANNEL, KeyRing
from teehee.vault.log import log
from teehee.vault.machine import Machine
from teehee.wire.messages import Identity

Json = Any

BATCH_SECONDS = 0.05  # how long the first of many waits for the others
PAUSE_SECONDS = 1.0  # between two quotes for nonces of one agent, whoever asks how often
KEPT = 64  # statements of one agent; the chain of hashes needs the last one only
MOST_NONCES = 20_000  # in one batch
LEAVES_APART, SECONDS_APART = 256, 6 * 3600  # a statement is issued anew after so much


@dataclass(frozen=True, slots=True)
class Issued:
    """A statement and the quote over it, as they are kept."""

    statement: bytes
    quote: bytes
    event_log: bytes
    log_size: int
    at: int


class Statements:
    """Issues and keeps them. `commit` runs an operation in the vault's one transaction."""

    def __init__(
        self, db: Any, ring: KeyRing, machine: Machine, log: ActionLog, identities: Identities,
        commit: Callable[[Callable[[], Any]], Any], now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self.db, self.ring, self.machine, self.log = db, ring, machine, log
        self.identities, self.commit, self.now_ms = identities, commit, now_ms
        self._locks: dict[str, asyncio.Lock] = {}
        self._batches: dict[str, asyncio.Future[tuple[Issued, _Tree]]] = {}
        self._waiting: dict[str, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next: dict[str, float] = {}  # when an agent may quote for nonces again, by the loop's clock

    def latest(self, key_id: str) -> Issued | None:
        """The last statement of an agent."""
        row = self.db.execute(
            "SELECT statement, quote, event_log, log_size, at FROM statements WHERE key_id=? ORDER BY seq DESC LIMIT 1",
            (key_id,),
        ).fetchone()
        return None if row is None else Issued(*row)

    async def current(self, identity: Identity) -> Issued:
        """The last statement, issued anew when the agent changed, or log or clock went on too far since."""
        known = self.latest(identity.key_id)
        return await self.issue(identity) if known is None or await self._is_stale(identity, known) else known

    async def refresh(self) -> None:
        """Issues what is due for every agent; a machine that gives no quote just now is told in the log."""
        for agent in list(self.identities.agents.values()):
            try:
                await self.current(agent.identity)
            except TeeheeError as error:
                log("statement_not_issued", agent=agent.identity.name, error=str(error))

    def refresh_soon(self) -> None:
        """The same, without anybody waiting for it."""
        self._spawn(self.refresh())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what nobody waits for."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def issue(self, identity: Identity, nonce: str = "") -> Issued:
        """A new statement over what is true now. Raises Unavailable when the machine gives no quote."""
        lock = self._locks.setdefault(identity.key_id, asyncio.Lock())
        async with lock:
            key = await self.ring.log_key(identity.key_id)
            said = await self._said(identity, nonce)
            note = self.log.signed(identity, key, said.log_size, bytes.fromhex(said.log_root))
            quoted = await self.machine.quote(said.report_data())
            issued = Issued(said.encode(), quoted.quote, quoted.event_log, said.log_size, said.issued_at)
            await self.commit(lambda: self._keep(identity, issued, note))
        return issued

    async def prove(self, identity: Identity, nonce: bytes) -> tuple[Issued, Json]:
        """A statement that answers this nonce, together with all who ask just now; and the proof that it does."""
        waiting = self._waiting.setdefault(identity.key_id, [])
        if len(waiting) >= MOST_NONCES:
            raise Unavailable("too many ask for a proof just now", code="proofs-busy", retry_after=1.0)
        waiting.append(nonce)
        if len(waiting) == 1:
            self._batches[identity.key_id] = asyncio.get_running_loop().create_future()
            self._spawn(self._answer(identity))
        index = len(waiting) - 1
        issued, tree = await asyncio.shield(self._batches[identity.key_id])
        path = [node.hex() for node in merkle.inclusion_proof(index, len(waiting), tree)]
        return issued, {"nonce": nonce.hex(), "index": index, "count": len(waiting), "path": path}

    async def _answer(self, identity: Identity) -> None:
        """One quote for everybody who asked within the batch."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(BATCH_SECONDS, self._next.get(identity.key_id, 0.0) - clock()))
        self._next[identity.key_id] = clock() + PAUSE_SECONDS
        nonces, done = self._waiting.pop(identity.key_id), self._batches.pop(identity.key_id)
        hashes = [merkle.leaf_hash(nonce) for nonce in nonces]
        try:
            root = merkle.root(hashes).hex()
            done.set_result((await self.issue(identity, root), _Tree(hashes)))
        except Exception as error:  # whoever waits is told, and nobody else
            done.set_exception(error)

    async def _said(self, identity: Identity, nonce: str) -> Statement:
        halves = await self.ring.public_halves(identity.key_id)
        keys = {purpose: half.public.hex() for purpose, half in halves.items()}
        keys[CHANNEL] = (await self.ring.channel_key()).hex()
        before = self.latest(identity.key_id)
        (package,) = self.db.execute("SELECT package FROM identities WHERE key_id=?", (identity.key_id,)).fetchone()
        return Statement(
            key_id=identity.key_id,
            app_id=self.machine.app_id,
            compose_hash=self.machine.compose_hash,
            package_hash=package,
            policy_hash=identity.policy_hash,
            keys=keys,
            addresses=await self.ring.addresses(identity.key_id),
            accounts=self.identities.accounts(identity.key_id),
            log_origin=identity.origin,
            log_size=self.log.size(identity.log),
            log_root=self.log.root(identity.log).hex(),
            previous="" if before is None else _hash(before.statement),
            nonce=nonce,
            issued_at=self.now_ms(),
            trust=self.ring.trust,
        )

    def _keep(self, identity: Identity, issued: Issued, note: str) -> None:
        key_id = identity.key_id
        self.log.keep(identity, issued.log_size, note)
        (last,) = self.db.execute("SELECT COALESCE(MAX(seq), 0) FROM statements WHERE key_id=?", (key_id,)).fetchone()
        self.db.execute(
            "INSERT INTO statements VALUES (?,?,?,?,?,?,?)",
            (key_id, last + 1, issued.statement, issued.quote, issued.event_log, issued.log_size, issued.at),
        )
        self.db.execute("DELETE FROM statements WHERE key_id=? AND seq<=?", (key_id, last + 1 - KEPT))

    async def _is_stale(self, identity: Identity, known: Issued) -> bool:
        size = self.log.size(identity.log)
        if size - known.log_size >= LEAVES_APART or time.time() - known.at / 1000 >= SECONDS_APART:
            return True
        now, then = (await self._said(identity, "")).members(), _members(known.statement)
        passing = ("log_size", "log_root", "previous", "nonce", "issued_at")
        return any(now[name] != then.get(name) for name in now if name not in passing)


def _hash(statement: bytes) -> str:
    from teehee.evidence import statement as statements

    return statements.parse(statement).hash()


def _members(statement: bytes) -> dict[str, Json]:
    from teehee.evidence import statement as statements

    return statements.parse(statement).members()


class _Tree:
    """Nodes of the tree over some hashes, by level and index, computed as they are asked for."""

    def __init__(self, hashes: list[bytes]) -> None:
        self.levels = [hashes]

    def __call__(self, level: int, index: int) -> bytes:
        while len(self.levels) <= level:
            below = self.levels[-1]
            self.levels.append([merkle.node_hash(a, b) for a, b in zip(below[::2], below[1::2], strict=False)])
        return self.levels[level][index]
