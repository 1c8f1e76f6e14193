"""Turns into records: what a turn noted, written in the transactions that its row is written in anyway."""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from teehee.mind.agent import Agent
from teehee.mind.notes import Notes, now_ms
from teehee.plugin import Message, State
from teehee.store.mind_store import MindStore, Row
from teehee.store.turn_records import Place, Record, pack
from teehee.wire.messages import Effect

Json = Any
Key = tuple[str, str, str]  # agent, source, event
OPEN_KEPT = 512  # turns in memory while their outcome is awaited
STATES_KEPT = 512  # packed states of rooms that talk now


@dataclass(slots=True)
class Recorder:
    """The notes of turns that have no end yet, and the states they share, packed once."""

    open: dict[Key, Notes] = field(default_factory=dict)
    told: Callable[[Key], None] = lambda ended: None  # hears of every turn that has ended
    tally: Counter[tuple[str, ...]] = field(default_factory=Counter)  # (metric, agent, labels…)
    _packed: OrderedDict[int, tuple[State, str, bytes]] = field(default_factory=OrderedDict)

    def begin(self, row: Row, message: Message) -> Notes:
        """A new sheet for a try of this row's turn."""
        place = Place(row.seq, message.agent_id, message.room_id, message.entity_id, row.event.at)
        notes = self.open[key(row)] = Notes(place, now_ms(), row.accepted, row.answer)
        return notes

    def keep(self, store: MindStore, agent: Agent, notes: Notes) -> None:
        """Writes down what the turn is made of; runs inside a transaction."""
        if notes.forgotten:
            return
        self._let_go(store)
        digest, body = self._state(notes.stable)
        store.turns.keep(notes.place, made_of(agent, notes), digest, body)
        notes.kept = len(notes.calls) + len(notes.reads)

    def finish(self, store: MindStore, agent: Agent, row: Row, code: str, told: Mapping[str, str]) -> None:
        """Writes down what came of it; runs inside the transaction that closes the row.

        `told` is the outcome of each effect by its id. The record of a turn that is not known here any more, because
        an earlier life of the process ran it or its answer waited too long, stays as it is.
        """
        notes = self.open.get(key(row))
        if notes is None:
            return
        notes.code = code
        if notes.kept < 0:
            self.keep(store, agent, notes)
        for effect in notes.effects:
            effect["state"] = told.get(effect["id"], effect["state"])
        notes.closed = now_ms()
        _count(self.tally, agent.id, notes)
        store.turns.finish(row.seq, came_of(notes), [e["id"] for e in notes.effects])

    def close(self, row: Row) -> None:
        """The record is on the disk."""
        self.open.pop(key(row), None)
        self.told(key(row))

    def forget(self, rooms: Collection[str]) -> None:
        """Drops the notes of turns in these rooms: they quote whoever spoke there."""
        for known in [known for known, notes in self.open.items() if notes.place.room_id in rooms]:
            self.open.pop(known).forgotten = True
        self._packed.clear()

    def found(self, store: MindStore, agent: Agent, event: Key) -> Record | None:
        """The record of an event's turn: as it stands while the turn is open, else as it was kept."""
        notes = self.open.get(event)
        if notes is None:
            return store.turns.of_event(*event)
        return Record(notes.place, made_of(agent, notes), plain(notes.stable), came_of(notes))

    def _let_go(self, store: MindStore) -> None:
        """Writes down the oldest answers that nobody has fetched yet: there may be a day's worth of them."""
        if len(self.open) <= OPEN_KEPT:
            return
        waiting = [event for event, notes in self.open.items() if notes.effects]
        for event in waiting[: len(self.open) - OPEN_KEPT]:
            notes = self.open.pop(event)
            store.turns.finish(notes.place.seq, came_of(notes), [effect["id"] for effect in notes.effects])

    def _state(self, stable: State) -> tuple[str, bytes]:
        """(digest, packed form) of a stable state; the composer hands out the same one for a room and day."""
        known = self._packed.get(id(stable))
        if known is None:
            body = pack(plain(stable)) or pack({"texts": {}, "cut": True}) or b""
            known = self._packed[id(stable)] = (stable, hashlib.sha256(body).hexdigest(), body)
            if len(self._packed) > STATES_KEPT:
                self._packed.popitem(last=False)
        return known[1], known[2]


def _count(tally: Counter[tuple[str, ...]], agent: str, notes: Notes) -> None:
    """Adds a turn to the numbers; names come from plugins, never from what a model made up."""
    for call in notes.calls:
        tally["teehee_model_calls", agent, call["error"] or "ok"] += 1
        for direction, number in (call["tokens"] or {}).items():
            tally["teehee_model_tokens", agent, direction] += number
    for action in notes.actions:
        name = action["name"] if action["how"] != "unknown" else ""
        tally["teehee_actions", agent, name, action["how"]] += 1
    for provider in notes.providers:
        if provider["how"] == "failed":
            tally["teehee_provider_failures", agent, provider["name"]] += 1


def key(row: Row) -> Key:
    return row.event.agent, row.event.source, row.event.event


def made_of(agent: Agent, notes: Notes) -> dict[str, Json]:
    """What went into a turn, as it is kept."""
    return {
        "package": agent.package,
        "plugins": agent.plugins,
        "model": agent.model,
        "began": notes.began,
        "accepted": notes.accepted,
        "journaled": notes.journaled,
        "providers": notes.providers,
        "reads": notes.reads,
        "fresh": [dict(state.texts) for state in notes.fresh],
        "frame": notes.frame,
        "recent": [[line.name, line.text, line.own] for line in notes.recent],
        "calls": notes.calls,
        "answers": notes.answers,
    }


def came_of(notes: Notes) -> dict[str, Json]:
    """What came of a turn, as it is kept."""
    return {
        "code": notes.code,
        "reasons": notes.reasons,
        "decision": notes.decision,
        "decided": notes.decided,
        "actions": notes.actions,
        "values": notes.values,
        "recalled": notes.recalled,
        "remembered": notes.remembered,
        "texts": notes.texts,
        "policy": notes.policy,
        "closed": notes.closed,
        "effects": notes.effects,
    } | ({} if notes.kept == len(notes.calls) + len(notes.reads) else told_late(notes))


def told_late(notes: Notes) -> dict[str, Json]:
    """What went on after the rest of what went in was written."""
    return {"calls": notes.calls, "answers": notes.answers, "reads": notes.reads}


def effect_facts(effect: Effect) -> dict[str, Json]:
    """What a record says of an effect; its words are among the texts."""
    return {"id": effect.id, "verb": effect.verb, "leaf": effect.leaf, "at": effect.at, "state": effect.state}


def plain(state: State) -> dict[str, Json]:
    return {"texts": dict(state.texts)}
