"""The doors of gate and mind: witnessed events in, intents judged, outcomes written down."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from teehee.vault import forgetting, policy
from teehee.vault.core import Core
from teehee.vault.forgetting import Forgotten
from teehee.wire import failpoints, strict
from teehee.wire.messages import Effect, Outcome, Settled, Submission, Witness
from teehee.wire.server import Handler

Json = Any
Params = dict[str, Json]
Push = Callable[[str, str, Params], None]  # role, method, params

EFFECTS_AT_ONCE = 500
DAY_MS = 24 * 3_600_000
EXPIRY_MS = DAY_MS  # an undelivered message older than this is told as expired


class Doors:
    """The hot path. `push` tells a role what was committed, never before it was."""

    def __init__(self, core: Core, push: Push) -> None:
        self.core = core
        self.push = push

    def mind(self, only: str = "") -> dict[str, Handler]:
        """The mind's methods; with `only`, for a socket that admits this agent alone, what names none is about it."""
        return {
            "agents": lambda _: self.core.identities.told(self.core.ring.trust, only),
            "effect.submit": self.submit,
            "effect.for_event": self.for_event,
            "effect.settled": lambda params: self.settled(params, only),
        }

    def gate(self) -> dict[str, Handler]:
        return {
            "event.show": self.show,
            "health": self.health,
            "event.witness": self.witness,
            "effect.due": self.due,
            "effect.for_event": self.for_event,
            "effect.in_room": self.in_room,
            "effect.outcome": self.outcome,
            "agent.today": self.today,
            "person.forget": self.forget,
            "secret.get": self.secret_get,
            "secret.rotate": self.secret_rotate,
        }

    async def expire(self) -> None:
        """Ends, for ever, what was due for a day and never fetched."""
        now = self.core.now_ms()
        while ended := await self.core.commit.run(lambda: self.core.ledger.expire(now - EXPIRY_MS, now)):
            for settled in ended:
                self._tell_settled(settled)

    def witness(self, params: Params) -> Awaitable[Json]:
        event = strict.parse(Witness, params)
        now = self.core.now_ms()

        def record() -> bool:
            new = self.core.ledger.witness(event, now)
            failpoints.hit("vault.witness.before-commit")
            return new

        def told(new: bool) -> Json:
            failpoints.hit("vault.witness.after-commit")
            return {"new": new}

        return self.core.commit.run(record, told)

    def submit(self, params: Params) -> Awaitable[Json]:
        wanted = strict.parse(Submission, params)
        now = self.core.now_ms()

        def decide() -> tuple[list[Effect], bool]:
            decided = self.core.ledger.submit(wanted, now)
            failpoints.hit("vault.intent.before-commit")
            return decided

        def told(decided: tuple[list[Effect], bool]) -> Json:
            failpoints.hit("vault.intent.after-commit")
            effects, new = decided
            answer = {"effects": [effect.to_json() for effect in effects]}
            if new:
                self.push("gate", "effect.due", answer)
            return answer | {"rule": policy.rule_of(wanted)}

        return self.core.commit.run(decide, told)

    def outcome(self, params: Params) -> Awaitable[Json]:
        ended = strict.parse(Outcome, params)
        now = self.core.now_ms()

        def settle() -> Settled | None:
            settled = self.core.ledger.settle(ended, now)
            failpoints.hit("vault.outcome.before-commit")
            return settled

        def told(settled: Settled | None) -> Json:
            failpoints.hit("vault.outcome.after-commit")
            if settled is not None:
                self._tell_settled(settled)
            return {"new": settled is not None}

        return self.core.commit.run(settle, told)

    def today(self, params: Params) -> Json:
        """Is the agent stopped, and what came and left since midnight, UTC?"""
        identity = self.core.identities.get(strict.parse(_AgentName, params).agent).identity
        now = self.core.now_ms()
        messages, replies = self.core.ledger.counted(identity.agent, now - now % DAY_MS)
        return {"stopped": identity.stopped, "messages_today": messages, "replies_today": replies}

    async def forget(self, params: Params) -> Json:
        """Forgets a person at one agent; the gate's word is that they asked for it themselves.

        Returns the receipt of it, once no file of the vault holds them; {} when nothing was kept of them.
        """
        asked = strict.parse(_Person, params)
        now = self.core.now_ms()
        identity = self.core.identities.get(asked.agent).identity
        key = await self.core.ring.log_key(identity.key_id)

        def destroy() -> tuple[Forgotten | None, Json]:
            done = forgetting.forget(self.core.ledger, asked.agent, asked.principal, now)
            return done, self.core.proof(identity, key, {"forget": done.leaf}) if done else {}

        done, proof = await self.core.commit.run(destroy)
        self.core.truncate()
        if done is None:
            return {}
        return {**proof, "person": asked.principal, "salt": done.salt.hex(), "effects": done.effects}

    def _tell_settled(self, settled: Settled) -> None:
        self.push("mind", "effect.settled", settled.to_json())

    def for_event(self, params: Params) -> Json:
        asked = strict.parse(_EventQuestion, params)
        effects = self.core.ledger.of_event(asked.agent, asked.source, asked.event)
        return {"effects": [e.to_json() for e in effects]}

    def show(self, params: Params) -> Json:
        """The gate's `event.show`: when an event was witnessed, and how each effect that answers it stands."""
        asked = strict.parse(_EventQuestion, params)
        return self.core.ledger.standing(asked.agent, asked.source, asked.event)

    async def health(self, params: Params) -> Json:
        """Does what is committed reach the disk?"""
        return {"disk": await self.core.commit.healthy()}

    def settled(self, params: Params, only: str = "") -> Json:
        wanted = strict.parse(_EffectIds, params)
        if len(wanted.effects) > EFFECTS_AT_ONCE:
            raise strict.Malformed(f"effects: at most {EFFECTS_AT_ONCE} are looked up at once")
        found = self.core.ledger.settled_after((only,) if only else tuple(self.core.identities.agents), wanted.effects)
        return {"settled": [s.to_json() for s in found]}

    def due(self, params: Params) -> Json:
        return {"effects": [e.to_json() for e in self.core.ledger.due()]}

    def in_room(self, params: Params) -> Json:
        asked = strict.parse(_RoomQuestion, params)
        if asked.open_only:
            effects = self.core.ledger.open_in_room(asked.agent, asked.room)
            return {"effects": [e.to_json() for e in effects], "seen": []}
        effects = self.core.ledger.in_room(asked.agent, asked.room, asked.after, asked.limit, latest=asked.latest)
        seen = self.core.ledger.open_up_to(asked.agent, asked.room, asked.after) if asked.after else []
        return {"effects": [e.to_json() for e in effects], "seen": seen}

    def secret_get(self, params: Params) -> Json:
        version, value = self.core.secrets.get(strict.parse(_SecretName, params).name)
        return {"version": version, "value": value}

    async def secret_rotate(self, params: Params) -> Json:
        """Replaces a secret the gate refreshed, or keeps a first one, only if nobody did so before it."""
        asked, now = strict.parse(_Rotation, params), self.core.now_ms()
        version = await self.core.commit.run(
            lambda: self.core.secrets.rotate(asked.name, asked.version, asked.value, now)
        )
        if version != asked.version:
            self.push("gate", "secret.changed", {"name": asked.name})
        return {"version": version}


@dataclass(frozen=True, slots=True)
class _EventQuestion:
    agent: str
    source: str
    event: str


@dataclass(frozen=True, slots=True)
class _EffectIds:
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _RoomQuestion:
    agent: str
    room: str
    after: int = 0
    limit: int = 50
    open_only: bool = False
    latest: bool = False


@dataclass(frozen=True, slots=True)
class _AgentName:
    agent: str


@dataclass(frozen=True, slots=True)
class _Person:
    agent: str
    principal: str


@dataclass(frozen=True, slots=True)
class _SecretName:
    name: str


@dataclass(frozen=True, slots=True)
class _Rotation:
    name: str
    version: int
    value: str
