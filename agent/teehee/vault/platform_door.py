"""What connectors of platforms ask beside the hot path: marks on what leaves, buttons, commands, owners' words."""

import re
from collections.abc import Awaitable, Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from teehee.errors import Refused
from teehee.vault import brake, lately, policy
from teehee.vault.core import Core
from teehee.vault.doors import Push
from teehee.vault.identities import Account
from teehee.vault.ledger import chat_of
from teehee.wire import failpoints, strict
from teehee.wire.messages import CHOICE, COMMAND, MOVED, Effect, Part, Submission, Witness
from teehee.wire.server import Handler

Json = Any
Params = dict[str, Json]
AT_ONCE = 500
BY = re.compile(r"[0-9A-Za-z]{8,64}")
MOST_SECRETS = 8
WORD_MS = 600_000  # an owner's word counts for so long after it was witnessed


class PlatformDoor:
    """More of the gate's door; every method is safe to repeat."""

    def __init__(self, core: Core, push: Push) -> None:
        self.core = core
        self.push = push

    def methods(self) -> dict[str, Handler]:
        return {
            "account.report": self.account,
            "choice.press": self.press,
            "command.answer": self.answer,
            "effect.lately": self.lately,
            "effect.referred": self.referred,
            "effect.sending": self.sending,
            "effect.unsent": self.unsent,
            "owner.word": self.owner_word,
            "chat.quiet": self.quiet,
            "chat.quiet.list": self.quiet_chats,
        }

    def sending(self, params: Params) -> Awaitable[Json]:
        """Marks effects as on their way; gives those that were due. Only these may be sent, and only once.

        Asked again by the same one (`by`), it gives them again.
        """
        asked = strict.parse(_Marks, params)
        effects, by = asked.effects, _by(asked.by)
        if len(effects) > AT_ONCE:
            raise strict.Malformed(f"effects: at most {AT_ONCE} are marked at once")

        def mark() -> list[str]:
            taken = self.core.ledger.mark_sending(effects, by)
            failpoints.hit("vault.sending.before-commit")
            return taken

        def told(taken: list[str]) -> Json:
            failpoints.hit("vault.sending.after-commit")
            return {"effects": taken}

        return self.core.commit.run(mark, told)

    async def unsent(self, params: Params) -> Json:
        """An effect that was marked and certainly did not leave is due again."""
        effect = strict.parse(_Effect, params).id
        await self.core.commit.run(lambda: self.core.ledger.unmark_sending(effect))
        return {}

    def referred(self, params: Params) -> Json:
        """The effect which a platform knows by that name; {} when there is none."""
        asked = strict.parse(_Reference, params)
        effect = self.core.ledger.referred(asked.agent, asked.reference)
        return {} if effect is None else effect.to_json()

    async def lately(self, params: Params) -> Json:
        """Where messages went on a platform since a moment, and when, oldest first: what its limits still count."""
        asked = strict.parse(_Lately, params)
        gone = await lately.gone(self.core, asked.agent, asked.source, asked.since)
        return {"gone": [{"room": room, "event": event, "at": at} for room, event, at in gone]}

    async def answer(self, params: Params) -> Json:
        """The gate's own answer to a command it witnessed: words made by code, never by a model."""
        asked = strict.parse(_Answer, params)
        now = self.core.now_ms()
        effects, new = await self.core.commit.run(lambda: self.core.ledger.submit(_submission(asked), now, "gate"))
        answer = {"effects": [effect.to_json() for effect in effects]}
        if new:
            self.push("gate", "effect.due", answer)
        return answer

    async def press(self, params: Params) -> Json:
        """A button was pressed: witnesses it as an event of kind `choice`, when it is there and theirs to press.

        `state` is taken (the first time: the event may be handed to the mind), again, theirs-not, or gone; `label` is
        what the button said.
        """
        asked = strict.parse(_Press, params)
        return await self.core.commit.run(lambda: self._press(asked, self.core.now_ms()))

    def _press(self, asked: "_Press", now: int) -> Json:
        ledger, agent = self.core.ledger, self.core.identities.get(asked.agent)
        effect = ledger.referred(asked.agent, asked.reference)
        if effect is None or effect.room != asked.room or not 0 <= asked.option < len(effect.choices):
            return {"state": "gone", "label": ""}
        label = effect.choices[asked.option]
        asker = ledger.principal_of(effect)
        if not policy.may_press(agent.policy, ledger.who_may_press(effect.id), asked.principal, asker):
            return {"state": "theirs-not", "label": label}
        done = self.core.db.execute(
            "INSERT OR IGNORE INTO choices VALUES (?,?,?,?,?)",
            (effect.id, asked.principal, asked.option, asked.event, now),
        )
        row = self.core.db.execute(
            "SELECT option, event FROM choices WHERE effect=? AND principal=?", (effect.id, asked.principal)
        ).fetchone()
        if done.rowcount == 0 and row != (asked.option, asked.event):
            return {"state": "again", "label": effect.choices[row[0]]}
        digest = sha256(label.encode()).hexdigest()
        ledger.witness(
            Witness(asked.agent, asked.source, asked.event, asked.principal, asked.room, CHOICE, digest), now
        )
        return {"state": "taken", "label": label, "effect": effect.id}

    async def owner_word(self, params: Params) -> Json:
        """A command in which an owner named by the policy stops the agent, or lets it go on.

        The answer is committed with it, and marked as on its way: while stopped, nothing else leaves. Raises Refused
        when the one who gave the command is no owner.
        """
        asked = strict.parse(_Word, params)
        if asked.order not in ("stop", "resume"):
            raise strict.Malformed("order: expected stop or resume")
        stopped = asked.order == "stop"

        def obey() -> tuple[Json, list[Effect]]:
            now = self.core.now_ms()
            owner = self._owner(asked, now)
            if self._is_answered(asked.agent, asked.source, asked.event):
                return [], []  # obeyed before: an old order brought again is no new one
            effects: list[Effect] = []
            if stopped:
                effects = self._said_now(asked, now)
            changed = brake.turn(self.core, [asked.agent], owner, stopped=stopped)
            if not stopped:
                effects = self._said_now(asked, now)
            return changed, effects

        changed, effects = await self.core.commit.run(obey)
        brake.tell(self.push, changed, stopped=stopped)
        return {"changed": bool(changed), "effects": [effect.to_json() for effect in effects]}

    def _owner(self, asked: "_Word", now: int) -> str:
        principal, _ = self._commanded(asked.agent, asked.source, asked.event, now)
        if principal not in self.core.identities.get(asked.agent).policy.owners:
            raise Refused("base.not-owner", "only an owner named in the policy may do that")
        return principal

    def _is_answered(self, agent: str, source: str, event: str) -> bool:
        row = self.core.db.execute(
            "SELECT answered_at FROM events WHERE agent=? AND source=? AND event=?", (agent, source, event)
        ).fetchone()
        return row is not None and row[0] is not None

    def _commanded(
        self, agent: str, source: str, event: str, now: int, kinds: Collection[str] = (COMMAND,)
    ) -> tuple[str, str]:
        """Who gave a command lately, and in which room. Raises Refused when nobody did."""
        row = self.core.db.execute(
            "SELECT principal, kind, at, room FROM events WHERE agent=? AND source=? AND event=?",
            (agent, source, event),
        ).fetchone()
        if row is None or row[1] not in kinds or row[2] < now - WORD_MS:
            raise Refused("base.event-not-witnessed", "nobody witnessed this command lately")
        return str(row[0]), str(row[3])

    def _said_now(self, asked: "_Word", now: int) -> list[Effect]:
        """The answer, committed and marked; empty when it was already, or while the agent is stopped."""
        if self.core.identities.get(asked.agent).identity.stopped:
            return []
        answer = _Answer(asked.agent, asked.source, asked.event, asked.parts)
        effects, _ = self.core.ledger.submit(_submission(answer), now, "gate")
        taken = set(self.core.ledger.mark_sending([effect.id for effect in effects], _by(asked.by)))
        return [replace(effect, state="sending") for effect in effects if effect.id in taken]

    async def quiet(self, params: Params) -> Json:
        """A command by which an admin of a chat, as the platform told the gate, wants silence there or ends it.

        A chat that moved takes its silence along: who says so may bring silence there, and not end it.
        """
        asked = strict.parse(_Quiet, params)

        def obey() -> bool:
            now = self.core.now_ms()
            kinds = (COMMAND, MOVED) if asked.quiet else (COMMAND,)
            _, room = self._commanded(asked.agent, asked.source, asked.event, now, kinds)
            if self._is_answered(asked.agent, asked.source, asked.event):
                return False  # obeyed before
            chat = (asked.agent, chat_of(room))
            if asked.quiet:
                done = self.core.db.execute("INSERT OR IGNORE INTO quiet_chats VALUES (?,?,?)", (*chat, now))
            else:
                done = self.core.db.execute("DELETE FROM quiet_chats WHERE agent=? AND chat=?", chat)
            return done.rowcount == 1

        return {"changed": await self.core.commit.run(obey)}

    def quiet_chats(self, params: Params) -> Json:
        """The chats in which an agent is to be silent."""
        agent = strict.parse(_Agent, params).agent
        rows = self.core.db.execute("SELECT chat FROM quiet_chats WHERE agent=? ORDER BY chat", (agent,))
        return {"chats": [chat for (chat,) in rows]}

    async def account(self, params: Params) -> Json:
        """The account an agent has on a platform, by the platform's own number: it stands in the next statement."""
        asked = strict.parse(_Account, params)
        if len(asked.secrets) > MOST_SECRETS:
            raise strict.Malformed(f"secrets: at most {MOST_SECRETS} open one account")
        account = Account(asked.id, self.core.now_ms(), asked.secrets)
        changed = await self.core.commit.run(
            lambda: self.core.identities.set_account(asked.agent, asked.platform, account)
        )
        if changed:
            self.core.statements.refresh_soon()
        return {"changed": changed}


def _by(name: str) -> str:
    if not BY.fullmatch(name):
        raise strict.Malformed("by: expected 8 to 64 letters and digits")
    return name


def _submission(asked: "_Answer") -> Submission:
    return Submission(asked.agent, asked.source, asked.event, asked.parts)


@dataclass(frozen=True, slots=True)
class _Marks:
    """`by` is a name that one life of a courier has for itself."""

    effects: tuple[str, ...]
    by: str


@dataclass(frozen=True, slots=True)
class _Effect:
    id: str


@dataclass(frozen=True, slots=True)
class _Reference:
    agent: str
    reference: str


@dataclass(frozen=True, slots=True)
class _Lately:
    """`since` is in milliseconds since 1970."""

    agent: str
    source: str
    since: int


@dataclass(frozen=True, slots=True)
class _Answer:
    agent: str
    source: str
    event: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class _Press:
    """`reference` is the platform's name of the message with the buttons, `option` the number of the one pressed."""

    agent: str
    source: str
    event: str
    principal: str
    room: str
    reference: str
    option: int


@dataclass(frozen=True, slots=True)
class _Word:
    agent: str
    source: str
    event: str
    order: str
    by: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class _Quiet:
    agent: str
    source: str
    event: str
    quiet: bool


@dataclass(frozen=True, slots=True)
class _Agent:
    agent: str


@dataclass(frozen=True, slots=True)
class _Account:
    """`secrets` names what opens the account, the token in use first."""

    agent: str
    platform: str
    id: str
    secrets: tuple[str, ...] = ()
