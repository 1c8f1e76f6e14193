"""What was spent, by day, agent, model, room and person: read from the account, by the gate or beside it."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from teehee.gate.spend import KEPT_DAYS

Json = Any
FILE = "gate.db"  # in the data folder
Key = tuple[Any, ...]
PICOS_PER_MICRO = 10**6
MICROS_PER_CENT = 10**4
ROWS = 50  # of each table, the dearest first
COUNTED = ("calls", "tokens", "microdollars", "unknown", "open", "unpriced")
SUMS = "COUNT(*), SUM(tokens), SUM(picos), SUM(state='unknown'), SUM(state='open'), SUM(priced=0)"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING: Json = {
    "day": "",
    "renews": "",
    "in_all": {},
    "days": [],
    "agents": [],
    "models": [],
    "rooms": [],
    "people": [],
}


def read(data: Path, days: int) -> Json:
    """The report of an account nobody writes at the moment; an empty one where no model was ever called."""
    path = data / FILE
    if not path.exists():
        return NOTHING
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return report(db, days)
    finally:
        db.close()


def report(db: sqlite3.Connection, days: int) -> Json:
    """The last `days` days, today among them, and what is left of today's caps.

    Money is in micro-dollars, rounded up. `unknown` calls told no usage: all that was held for them counts as spent.
    """
    facts = dict(db.execute("SELECT name, value FROM facts"))
    if not {"day", "caps"} <= facts.keys():
        return NOTHING
    today = int(facts["day"])
    since = today - min(max(days, 1), KEPT_DAYS) + 1
    caps = json.loads(facts["caps"])
    purses = {purse["agent"]: purse for purse in caps["purses"]}

    def cap(agent: str, span: str) -> Json:
        return purses.get(agent, {}).get(span)

    def table(columns: str, cap_of: Callable[[Key], Json]) -> list[Json]:
        of_today = dict(_sums(db, columns, today))
        return [
            {**dict(zip(columns.split(","), key, strict=True)), **sums, **_left(cap_of(key), of_today.get(key))}
            for key, sums in _sums(db, columns, since)[:ROWS]
        ]

    return {
        "day": _date(today),
        "renews": f"{_date(today + 1)}T00:00:00Z",
        "in_all": {**_total(db, since), **_left(caps["in_all"], _total(db, today))},
        "days": [{"day": _date(key[0]), **sums} for key, sums in _sums(db, "day", since)],
        "agents": [
            {"name": purses.get(row["agent"], {}).get("name", ""), **row}
            for row in table("agent", lambda key: cap(key[0], "day"))
        ],
        "models": table("model", lambda key: None),
        "rooms": table("agent,room", lambda key: cap(key[0], "room") if key[1] else None),
        "people": table("agent,principal", lambda key: cap(key[0], "user") if key[1] else None),
    }


def _total(db: sqlite3.Connection, since: int) -> Json:
    return _counted(db.execute(f"SELECT {SUMS} FROM calls WHERE day>=? AND state<>'free'", (since,)).fetchone())


def _sums(db: sqlite3.Connection, columns: str, since: int) -> list[tuple[Key, Json]]:
    """What each of `columns` (names of ours) used since a day, the dearest first."""
    width = columns.count(",") + 1
    order = "day DESC" if columns == "day" else "SUM(picos) DESC, SUM(tokens) DESC"
    found = db.execute(
        f"SELECT {columns}, {SUMS} FROM calls WHERE day>=? AND state<>'free' GROUP BY {columns} ORDER BY {order}",
        (since,),
    )
    return [(tuple(row[:width]), _counted(row[width:])) for row in found]


def _counted(row: tuple[int | None, ...]) -> Json:
    told = dict(zip(COUNTED, (value or 0 for value in row), strict=True))
    return told | {"microdollars": -(-told["microdollars"] // PICOS_PER_MICRO)}


def _left(cap: Mapping[str, int] | None, used: Json) -> Json:
    """A cap and what is left of it today; nothing where there is none."""
    if not cap or not any(cap.values()):
        return {}
    used = used or {"tokens": 0, "microdollars": 0}
    limits = {"tokens": cap["tokens"], "microdollars": cap["cents"] * MICROS_PER_CENT}
    left = {name: max(limit - used[name], 0) for name, limit in limits.items() if limit}
    return {"cap": {name: limit for name, limit in limits.items() if limit}, "left": left}


def _date(day: int) -> str:
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"
