"""Says what an answer was made of: a record as plain JSON for people, without the words that were said."""

from collections.abc import Mapping
from typing import Any

from teehee.store.turn_records import Record

Json = Any


def told(record: Record) -> dict[str, Json]:
    """The facts of a turn, in the shape docs/operate.md shows."""
    made, came = record.made, record.came
    decision = came.get("decision", {})
    calls, reasons = came.get("calls", made.get("calls", [])), came.get("reasons", [])
    return {
        "providers": made.get("providers", []),
        "memories": came.get("reads", made.get("reads", [])),
        "prompt": _prompt(record),
        "model": made.get("model", {}),
        "calls": calls,
        "attempts": min(len(reasons) + 1, 2),
        "reasons": reasons,
        "decision": {"actions": decision.get("actions", []), "providers": decision.get("providers", [])},
        "actions": came.get("actions", []),
        "room_id": record.place.room_id,
        "policy": came.get("policy", {}),
        "effects": came.get("effects", []),
        "package": made.get("package", ""),
        "plugins": made.get("plugins", []),
        "steps": _steps(record, calls),
    }


def _prompt(record: Record) -> list[dict[str, Json]]:
    """The parts a prompt was made of, in its order: `stable` ones are the same all day and come first."""
    fresh = record.made.get("fresh") or [{}]
    frame = record.made.get("frame", {})
    around = [{"name": name, "chars": chars, "stable": name != "MESSAGE"} for name, chars in frame.items() if chars]
    stable = record.stable.get("texts", {})
    return _parts(stable, stable=True) + around[:-1] + _parts(fresh[-1], stable=False) + around[-1:]


def _parts(texts: Mapping[str, str], *, stable: bool) -> list[dict[str, Json]]:
    return [{"name": name, "chars": len(text), "stable": stable} for name, text in texts.items() if text]


def _steps(record: Record, calls: Json) -> list[dict[str, Json]]:
    """What happened when, by the mind's account, in milliseconds since 1970; a step that did not come is left out."""
    came = record.came
    times = [("said", record.place.at), ("accepted", record.made.get("accepted", 0)), ("begun", record.made["began"])]
    times += [("asked the model", call["at"]) for call in calls]
    times += [("decided", came.get("decided", 0))]
    times += [("committed", effect["at"]) for effect in came.get("effects", ())[:1]]
    times += [("closed", came.get("closed", 0))]
    return [{"step": name, "at": at} for name, at in times if at]
