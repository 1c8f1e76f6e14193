"""The effect ledger: witnessed events in, committed intents out, one outcome each.

Every function here runs inside one transaction of the caller's group commit: the row, its leaf, its budget and
the mark on its event stand or fall together.
"""

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from teehee.errors import Refused
from teehee.evidence import canonical, leaf
from teehee.vault import budget, policy
from teehee.vault.actionlog import ActionLog
from teehee.vault.identities import Agent, Identities
from teehee.vault.people import People
from teehee.vault.seal import Seal
from teehee.wire.messages import (
    DELIVERED,
    EXPIRED,
    OUTCOMES,
    SCHEDULE,
    UNKNOWN,
    Effect,
    Outcome,
    Part,
    Settled,
    Submission,
    Witness,
)
from teehee.wire.strict import Malformed

COLUMNS = (
    "id, seq, agent, source, event, part, verb, room, payload, leaf, at, state, salt, choices, person, forgotten_at"
)
OPEN = ("due", "sending")
DETAIL = re.compile(r"[!-~]{0,64}")
REFERENCE = re.compile(r"[!-~]{0,128}")
ROWS_LIMIT = 500


class Ledger:
    """What was seen, what may leave, how it ended."""

    def __init__(
        self, db: sqlite3.Connection, log: ActionLog, identities: Identities, seal: Seal, people: People
    ) -> None:
        self.db = db
        self.log = log
        self.identities = identities
        self.seal = seal
        self.people = people

    # -- witnessing

    def witness(self, event: Witness, at: int) -> bool:
        """Records that the gate saw `event`; False when it was known already. The first telling is kept."""
        self.identities.get(event.agent)
        done = self.db.execute(
            "INSERT OR IGNORE INTO events (agent, source, event, principal, room, kind, digest, at)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (event.agent, event.source, event.event, event.principal, event.room, event.kind, event.digest, at),
        )
        return done.rowcount == 1

    # -- intents

    def submit(self, wanted: Submission, at: int, by: str = "mind") -> tuple[list[Effect], bool]:
        """The committed effects of `wanted`, and whether they are new. `by` is the process that asks.

        The same submission again gives the same effects. Raises Refused, naming the rule.
        """
        agent = self.identities.get(wanted.agent)
        known = self._known(agent, wanted.source, wanted.event, wanted.key)
        if known and _same(known, wanted.parts):
            return known, False
        if known and not known[0].salt:  # its words had their time; that it was answered is kept for good
            raise Refused("base.already-answered", "this event has its answer")
        if known and not wanted.event:
            raise Refused("base.key-used", "this key names another post, which was committed")
        witnessed = self._witnessed(wanted)
        policy.check(agent.policy, wanted, witnessed, stopped=agent.identity.stopped, by=by)
        person = self.people.number(agent.identity.key_id, witnessed.principal) if witnessed else None
        kind = witnessed.kind if witnessed else SCHEDULE
        effects = [self._intend(agent, wanted, number, at, person, kind) for number in range(len(wanted.parts))]
        if wanted.event:
            self.db.execute(
                "UPDATE events SET answered_at=? WHERE agent=? AND source=? AND event=?",
                (at, wanted.agent, wanted.source, wanted.event),
            )
        return effects, True

    def _witnessed(self, wanted: Submission) -> policy.Witnessed | None:
        row = self.db.execute(
            "SELECT room, answered_at, principal, kind FROM events WHERE agent=? AND source=? AND event=?",
            (wanted.agent, wanted.source, wanted.event),
        ).fetchone()
        if row is None:
            return None
        return policy.Witnessed(row[0], row[1] is not None, row[2], row[3], self.is_quiet(wanted.agent, row[0]))

    def is_quiet(self, agent: str, room: str) -> bool:
        """Did an admin ask for silence in the chat this room is in?"""
        found = self.db.execute("SELECT 1 FROM quiet_chats WHERE agent=? AND chat=?", (agent, chat_of(room)))
        return found.fetchone() is not None

    def _intend(
        self, agent: Agent, wanted: Submission, number: int, at: int, person: int | None, kind: str
    ) -> Effect:  # fmt: skip
        identity, part = agent.identity, wanted.parts[number]
        effect = effect_id(identity.key_id, wanted.source, wanted.event, wanted.key, number)
        reference = self._reserve(agent, kind, part, at)
        salt = os.urandom(16)
        payload = payload_of(part)
        digest = hashlib.sha256(payload).hexdigest()
        index = self.log.append(
            identity.log,
            leaf.Intent(
                agent=identity.key_id,
                at=at,
                epoch=identity.epoch,
                effect=effect,
                verb=part.verb,
                room=leaf.commit("room", salt, part.room.encode()),
                event=leaf.commit("event", salt, wanted.event.encode()) if wanted.event else "",
                payload=leaf.commit("payload", salt, payload),
                policy=identity.policy_hash,
                budget=reference.partition("/")[2].partition("/")[0],
            ),
        )
        done = self.db.execute(
            "INSERT INTO effects"
            " (id, agent, source, event, part, verb, room, payload, digest, salt, leaf, budget, epoch, at, person,"
            " choices) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (effect, identity.agent, wanted.source, wanted.event, number, part.verb, part.room,
             self._sealed_for(person).seal("effects", effect, 1, payload), digest, salt, index, reference,
             identity.epoch, at, person, len(part.choices)),
        )  # fmt: skip
        return Effect(
            effect, done.lastrowid or 0, identity.agent, wanted.source, wanted.event, number, part.verb, part.room,
            part.text, index, at, "due", salt.hex(), part.choices,
        )  # fmt: skip

    def _reserve(self, agent: Agent, kind: str, part: Part, at: int) -> str:
        key_id = agent.identity.key_id
        if kind != SCHEDULE:
            return budget.reserve(self.db, key_id, f"replies/{part.room}", agent.policy.replies_per_room_minute, at)
        cap = agent.policy.posts_per_day.get(part.verb, 0)
        return budget.reserve(self.db, key_id, f"posts/{part.verb}", cap, at, length_ms=86_400_000)

    # -- sinks that have no fence: marked before the call, so that nobody makes it twice

    def mark_sending(self, effects: Sequence[str], by: str) -> list[str]:
        """Marks these as on their way; those that were due and may leave, the others are not to be sent.

        `by` is one life of a courier. Its own marks are told it again: it may ask twice when an answer was lost.
        """
        taken = []
        for effect in effects:
            row = self.db.execute("SELECT agent, state, detail FROM effects WHERE id=?", (effect,)).fetchone()
            if row is not None and row[1] == "due" and self._may_leave(row[0]):
                # the detail of an open effect is whose mark it has
                self.db.execute("UPDATE effects SET state='sending', detail=? WHERE id=?", (by, effect))
                taken.append(effect)
            elif row is not None and row[1:] == ("sending", by):
                taken.append(effect)
        return taken

    def unmark_sending(self, effect: str) -> None:
        """It certainly did not leave: it is due again."""
        self.db.execute("UPDATE effects SET state='due', detail='' WHERE id=? AND state='sending'", (effect,))

    # -- outcomes

    def settle(self, outcome: Outcome, at: int) -> Settled | None:
        """Writes an outcome and its leaf; None when the effect had one already.

        Raises Refused for an effect that was never committed and for a state there is not.
        """
        if outcome.state not in OUTCOMES:
            raise Refused("base.outcome-unknown", f"no outcome {outcome.state[:32]!r}")
        if not DETAIL.fullmatch(outcome.detail):
            raise Malformed("detail: expected at most 64 printable ASCII characters without spaces")
        if not REFERENCE.fullmatch(outcome.reference):
            raise Malformed("reference: expected at most 128 printable ASCII characters without spaces")
        row = self.db.execute(
            "SELECT seq, agent, source, event, state, budget, epoch FROM effects WHERE id=?", (outcome.id,)
        ).fetchone()
        if row is None:
            raise Refused("base.effect-unknown", "no such effect was ever committed")
        seq, agent_id, source, event, state, reference, _ = row
        if state not in OPEN:
            return None
        identity = self.identities.get(agent_id).identity
        index = self.log.append(
            identity.log,
            leaf.Outcome(
                agent=identity.key_id,
                at=at,
                epoch=identity.epoch,
                effect=outcome.id,
                state=outcome.state,
                detail=outcome.detail,
            ),
        )
        self.db.execute(
            "UPDATE effects SET state=?, detail=?, outcome_leaf=?, settled_at=?, reference=? WHERE id=?",
            (outcome.state, outcome.detail, index, at, outcome.reference, outcome.id),
        )
        # What may have left counts as having left: only a certain failure gives the budget back.
        budget.settle(self.db, identity.key_id, reference, spent=outcome.state in (DELIVERED, UNKNOWN))
        return Settled(outcome.id, seq, agent_id, source, event, outcome.state)

    def expire(self, before: int, at: int) -> list[Settled]:
        """Ends what nobody came for since `before`, some at a time; an empty list when there is no more.

        What was marked as on its way and never heard of again may have arrived: that is unknown.
        """
        agents = list(self.identities.agents)
        places = ",".join("?" * len(agents))
        rows = self.db.execute(
            f"SELECT id, state FROM effects WHERE state IN ('due', 'sending') AND at<? AND agent IN ({places})"
            " ORDER BY seq LIMIT ?",
            (before, *agents, ROWS_LIMIT),
        ).fetchall()
        ends = {"due": (EXPIRED, "nobody-came"), "sending": (UNKNOWN, "nobody-told")}
        ended = [self.settle(Outcome(effect, *ends[state]), at) for effect, state in rows]
        return [settled for settled in ended if settled is not None]

    # -- questions

    def due(self) -> list[Effect]:
        """Everything open, oldest first; what belongs to a stopped agent is held back."""
        rows = self.db.execute(f"SELECT {COLUMNS} FROM effects WHERE state IN ('due','sending') ORDER BY seq")
        return [self._effect(row) for row in rows if self._may_leave(row[2])]

    def of_event(self, agent: str, source: str, event: str) -> list[Effect]:
        """The effects committed in answer to an event."""
        return self._known(self.identities.get(agent), source, event, "")

    def standing(self, agent: str, source: str, event: str) -> dict[str, Any]:
        """When an event was witnessed and answered, and when each effect was committed and settled; no words."""
        self.identities.get(agent)
        row = self.db.execute(
            "SELECT at, answered_at FROM events WHERE agent=? AND source=? AND event=?", (agent, source, event)
        ).fetchone()
        effects = []
        for effect in self.of_event(agent, source, event):
            leaf_at, ended = self.db.execute(
                "SELECT outcome_leaf, settled_at FROM effects WHERE id=?", (effect.id,)
            ).fetchone()
            facts = {"id": effect.id, "verb": effect.verb, "state": effect.state, "leaf": effect.leaf, "at": effect.at}
            effects.append(facts | {"outcome_leaf": leaf_at, "settled_at": ended})
        witnessed, answered = row or (None, None)
        return {"witnessed_at": witnessed, "answered_at": answered, "effects": effects}

    def _known(self, agent: Agent, source: str, event: str, key: str) -> list[Effect]:
        """What was committed for an event or a post's key; the ids follow from it, so no index is needed."""
        found: list[Effect] = []
        while True:
            wanted = effect_id(agent.identity.key_id, source, event, key, len(found))
            row = self.db.execute(f"SELECT {COLUMNS} FROM effects WHERE id=?", (wanted,)).fetchone()
            if row is None:
                return found
            if row[15] is not None:
                raise Refused("base.forgotten", "this was answered, and forgotten at that person's wish")
            found.append(self._effect(row))

    def in_room(self, agent: str, room: str, after: int, limit: int, *, latest: bool = False) -> list[Effect]:
        """What the room has been or is to be told past the sequence number `after`: the first of it, or the last."""
        self.identities.get(agent)
        rows = self.db.execute(
            f"SELECT {COLUMNS} FROM effects WHERE agent=? AND room=? AND seq>? AND state IN ('due','delivered')"
            f" AND salt!=x'' ORDER BY seq {'DESC' if latest else ''} LIMIT ?",
            (agent, room, after, min(max(limit, 0), ROWS_LIMIT)),
        ).fetchall()
        told = [self._effect(row) for row in rows if row[11] == "delivered" or self._may_leave(agent)]
        return told[::-1] if latest else told

    def open_in_room(self, agent: str, room: str) -> list[Effect]:
        """What the room has not been told yet, oldest first."""
        rows = self.db.execute(
            f"SELECT {COLUMNS} FROM effects WHERE state IN ('due','sending') AND agent=? AND room=?"
            " ORDER BY seq LIMIT ?",
            (agent, room, ROWS_LIMIT),
        )
        return [self._effect(row) for row in rows] if self._may_leave(agent) else []

    def open_up_to(self, agent: str, room: str, seq: int) -> list[str]:
        """Ids of what the room's client says it has seen though no outcome was written yet."""
        rows = self.db.execute(
            "SELECT id FROM effects WHERE state IN ('due','sending') AND agent=? AND room=? AND seq<=?",
            (agent, room, seq),
        )
        return [effect for (effect,) in rows]

    def settled_after(self, agents: Sequence[str], effects: Sequence[str]) -> list[Settled]:
        """How the named effects ended, for a mind that was away; open ones are left out."""
        found = []
        for effect in effects:
            row = self.db.execute(
                "SELECT id, seq, agent, source, event, state FROM effects WHERE id=?", (effect,)
            ).fetchone()
            if row is not None and row[2] in agents and row[5] not in OPEN:
                found.append(Settled(*row))
        return found

    def counted(self, agent: str, since: int) -> tuple[int, int]:
        """How many events came and how many effects were committed since then."""
        (events,) = self.db.execute("SELECT COUNT(*) FROM events WHERE agent=? AND at>=?", (agent, since)).fetchone()
        (effects,) = self.db.execute("SELECT COUNT(*) FROM effects WHERE agent=? AND at>=?", (agent, since)).fetchone()
        return events, effects

    def referred(self, agent: str, reference: str) -> Effect | None:
        """The effect that a platform knows by this name."""
        row = self.db.execute(
            f"SELECT {COLUMNS} FROM effects WHERE agent=? AND reference=? AND reference!=''", (agent, reference)
        ).fetchone()
        return None if row is None else self._effect(row)

    def receipt_row(self, effect: str) -> tuple[str, int, int | None, str, int]:
        """Where an effect stands in the log: (agent, intent leaf, outcome leaf or None, state, forgotten at or 0)."""
        row = self.db.execute(
            "SELECT agent, leaf, outcome_leaf, state, COALESCE(forgotten_at, 0) FROM effects WHERE id=?", (effect,)
        ).fetchone()
        if row is None:
            raise Refused("log.no-such-effect", f"no effect {effect[:64]!r} was ever committed")
        return str(row[0]), int(row[1]), row[2], str(row[3]), int(row[4])

    def _may_leave(self, agent: str) -> bool:
        found = self.identities.agents.get(agent)
        return found is not None and not found.identity.stopped

    def _effect(self, row: Sequence[Any]) -> Effect:
        """The columns are the fields, in order, then whose it is; only the payload is sealed."""
        *values, choices, person, _ = row
        opened = self._sealed_for(person).open("effects", row[0], 1, row[8]) if row[12] else b""  # forgotten: no salt
        values[12] = row[12].hex()
        if not (choices and opened):
            values[8] = opened.decode()
            return Effect(*values)
        said = json.loads(opened)
        values[8] = said["text"]
        return replace(Effect(*values), choices=tuple(said["choices"]))

    def principal_of(self, effect: Effect) -> str:
        """Whose event an effect answers; "" when nobody asked, or nobody knows any more."""
        row = self.db.execute(
            "SELECT principal FROM events WHERE agent=? AND source=? AND event=?",
            (effect.agent, effect.source, effect.event),
        ).fetchone()
        return "" if row is None else str(row[0])

    def who_may_press(self, effect: str) -> str:
        """For whom the buttons of an effect are."""
        row = self.db.execute("SELECT payload, person FROM effects WHERE id=?", (effect,)).fetchone()
        return str(json.loads(self._sealed_for(row[1]).open("effects", effect, 1, row[0]))["who"])

    def _sealed_for(self, person: int | None) -> Seal:
        """What nobody asked for is sealed under the vault's own key, all else under a key of the person it answers."""
        return self.seal if person is None else self.people.seal(person)


def chat_of(room: str) -> str:
    """The chat a room is in: `telegram:-100/7` is a topic of `telegram:-100`."""
    return room.partition("/")[0]


def payload_of(part: Part) -> bytes:
    """The bytes a leaf commits to: the words; with buttons, the canonical JSON of words, buttons and whose they are."""
    if not part.choices:
        return part.text.encode()
    return canonical.canonical({"choices": list(part.choices), "text": part.text, "who": part.who})


def _same(known: Sequence[Effect], parts: Sequence[Part]) -> bool:
    return [(e.verb, e.room, e.text, e.choices) for e in known] == [(p.verb, p.room, p.text, p.choices) for p in parts]


def effect_id(key_id: str, source: str, event: str, key: str, number: int) -> str:
    """The id of an effect, a UUID that follows from what it answers (or a post's key): one intent, one row."""
    whence = ["event", event] if event else ["post", key]
    text = json.dumps(["teehee/effect/v1", key_id, source, *whence, number])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
