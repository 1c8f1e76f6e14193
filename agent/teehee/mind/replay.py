"""Runs a recorded turn again, dry: same inputs, the recorded answers, nothing remembered, nothing submitted."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import BaseModel
from structlog.contextvars import bound_contextvars

from teehee.errors import ActionFailed, AskAgain
from teehee.mind import models, notes
from teehee.mind import turn as turns
from teehee.mind.agent import Agent
from teehee.mind.memory import recalled
from teehee.mind.state import StateComposer
from teehee.plugin import Knowledge, Recall, Spoken, State, Turn
from teehee.store.turn_records import Record
from teehee.wire.messages import Event

Json = Any
COMPARED = ("decision", "actions", "texts", "remembered", "reasons")


class Differs(Exception):
    """The turn asked for something it did not ask for when it was recorded."""


async def replay(agent: Agent, record: Record, event: Event) -> dict[str, Json]:
    """Whether the recorded turn comes out the same, and where it does not; see docs/operate.md for the shape."""
    made, came = record.made, record.came
    if reason := _unfit(record):
        return {"replayed": False, "reason": reason, "same": False, "differences": []}
    left_out = [kind for kind in agent.services if not issubclass(kind, BaseModel)]
    stage = replace(
        agent,
        brain=_Answers(came.get("answers", made["answers"])),
        state=_States(agent.state, record),
        services={kind: service for kind, service in agent.services.items() if kind not in left_out},
    )
    noted = notes.Notes(record.place)
    recent = [Spoken(name, text, own) for name, text, own in made["recent"]]
    turn = turns.turn_of(stage, event, _Memory(came["recalled"], noted), recent)
    with bound_contextvars(replay=True), notes.taken(noted):
        ended = await _run(stage, turn, made["journaled"])
    then, now = ({name: _plain(of(name)) for name in COMPARED} for of in (came.get, partial(getattr, noted)))
    if came["texts"] is None:
        then["end"], now["end"] = came["code"], ended
    differences = [{"what": name, "recorded": then[name], "now": now[name]} for name in then if then[name] != now[name]]
    return {
        "replayed": True,
        "reason": "",
        "same": not differences,
        "differences": differences,
        "package_changed": made["package"] != agent.package,
        "plugins_changed": list(made["plugins"]) != list(agent.plugins),
        "services_left_out": sorted(kind.__name__ for kind in left_out),
    }


def _unfit(record: Record) -> str:
    """Why this turn cannot be run again; "" when it can."""
    made, came = record.made, record.came
    if made.get("cut") or record.stable.get("cut"):
        return "its record was too long to be kept whole"
    if not came or not (came["decided"] or came["code"]):
        return "it has not come to an end"
    return "" if made["fresh"] else "it ended before its state was composed"


async def _run(agent: Agent, turn: Turn, journaled: str | None) -> str:
    """Decides as the turn did; gives the code of its end, "" when it has words to send."""
    try:
        await turns.decided(agent, turn, journaled, lambda answer: None)
    except turns.Ending as ending:
        return ending.code
    except Differs as differs:
        return str(differs)
    return ""


class _Answers:
    """The recorded answers, one after the other."""

    def __init__(self, answers: Sequence[Sequence[str]]) -> None:
        self.left = list(answers)

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: models.Hear) -> str:
        if not self.left:
            raise Differs("it asked the model once more than it did then")
        kind, text = self.left.pop(0)
        if kind == "said":
            return text
        raise AskAgain(text) if kind == "unfit" else ActionFailed(text, code=kind)


class _States(StateComposer):
    """The recorded states; no provider is asked."""

    def __init__(self, real: StateComposer, record: Record) -> None:
        super().__init__(real.providers)
        self.told = State(record.stable["texts"], record.came["values"])
        self.left = [State(texts) for texts in record.made["fresh"]]

    async def stable(self, turn: Turn) -> State:
        return self.told

    async def fresh(self, turn: Turn, named: Iterable[str] = (), keys: Collection[str] = ()) -> State:
        return self.left.pop(0)

    def offers(self, names: Iterable[str]) -> bool:
        return bool(self.left)


class _Memory:
    """Gives back what was read then, in its order; what is to be remembered is only noted."""

    def __init__(self, reads: Sequence[Json], noted: notes.Notes) -> None:
        self.left = list(reads)
        self.noted = noted

    async def remember(self, text: str, table: str, data: Mapping[str, Json]) -> None:
        self.noted.remembered.append([text, table, dict(data)])

    async def recall(self, table: str, limit: int) -> list[Recall]:
        return recalled(self._next(table))

    async def search(self, text: str, limit: int) -> list[Knowledge]:
        return [Knowledge(*row) for row in self._next("knowledge")]

    def _next(self, kind: str) -> list[Json]:
        if not self.left or self.left[0][0] != kind:
            raise Differs(f"it read {kind!r}, which it did not then")
        rows: list[Json] = self.left.pop(0)[1]
        return rows


def _plain(value: Json) -> Json:
    """As it would be read back from a record, without how long it took."""
    return _timeless(json.loads(json.dumps(value, default=repr)))


def _timeless(value: Json) -> Json:
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    if isinstance(value, dict):
        return {name: _timeless(item) for name, item in value.items() if name != "ms"}
    return value
