"""What turns were made of, as rows: enough to say why an answer came out as it did, and to run it again.

A row belongs to its inbox row and names the room and the person, so that whoever is forgotten takes it along.
"""

import json
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from teehee import compact

Json = Any
KEPT = 1000  # turns per agent
PRUNE_EVERY = 64  # turns; in between an agent may have that many more
PLAIN = 1 << 10  # bytes; what is shorter is kept as it is
WINDOW, MEMORY = 12, 4  # zlib's, for texts of a few KB: setting up its usual buffers takes longer than compressing
LIMIT = 256 << 10  # bytes of one record before it is packed; a longer one is cut down to its facts


@dataclass(frozen=True, slots=True)
class Place:
    """Whose turn a record is of: the inbox row, and the ids it can be found and forgotten by."""

    seq: int
    agent_id: str
    room_id: str
    entity_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Record:
    """A turn as it was kept. `made` is what went in, `stable` the state shared by a room and day, `came` what came."""

    place: Place
    made: Mapping[str, Json]
    stable: Mapping[str, Json]
    came: Mapping[str, Json]


class TurnRecords:
    """The tables `turns` and `turn_states`; every write runs inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._written = 0
        self._states: set[tuple[str, str]] = set()  # (agent, digest) of states that have their row

    def forget_known(self) -> None:
        """Rows that were written may have been taken back."""
        self._states.clear()

    def keep(self, place: Place, made: Mapping[str, Json], digest: str, stable: bytes) -> None:
        """Keeps what a turn is made of. `stable` is a packed state, written once under its digest."""
        body = pack(made)
        if body is None:
            body = pack({name: made[name] for name in made if name in SMALL} | {"cut": True}) or b""
        if (state := (place.agent_id, digest)) not in self._states:
            self.db.execute("INSERT OR IGNORE INTO turn_states VALUES (?,?,?)", (*state, stable))
            self._states.add(state)
        self.db.execute(
            "INSERT OR REPLACE INTO turns (seq, agent_id, room_id, entity_id, at, state, made) VALUES (?,?,?,?,?,?,?)",
            (place.seq, place.agent_id, place.room_id, place.entity_id, place.at, digest, body),
        )
        self._written += 1
        if self._written % PRUNE_EVERY == 0:
            self.prune(place.agent_id, KEPT)

    def finish(self, seq: int, came: Mapping[str, Json], effects: Sequence[str]) -> None:
        """Adds what came of the turn and the ids of its effects."""
        self.db.execute("UPDATE turns SET came=?, effects=? WHERE seq=?", (pack(came) or b"", " ".join(effects), seq))

    def of_event(self, agent: str, source: str, event: str) -> Record | None:
        """The record of the turn that answered an event; None when none was kept."""
        row = self.db.execute(
            "SELECT t.seq, t.agent_id, t.room_id, t.entity_id, t.at, t.made, s.body, t.came FROM inbox i"
            " JOIN turns t ON t.seq = i.seq"
            " JOIN turn_states s ON s.agent_id = t.agent_id AND s.digest = t.state"
            " WHERE i.agent=? AND i.source=? AND i.event=?",
            (agent, source, event),
        ).fetchone()
        if row is None:
            return None
        *place, made, stable, came = row
        return Record(Place(*place), unpack(made), unpack(stable), unpack(came))

    def find(self, agent: str, names: Sequence[str]) -> tuple[str, str] | None:
        """(source, event) of the turn that any of `names` is an id of: the event's, or an effect's.

        Without a name, the latest turn of the agent.
        """
        if not names:
            query, given = "ORDER BY t.seq DESC LIMIT 1", []
        else:
            places = ",".join("?" * len(names))
            some = " OR ".join("instr(' ' || t.effects || ' ', ' ' || ? || ' ')" for _ in names)
            query, given = f"AND (i.event IN ({places}) OR {some}) LIMIT 1", [*names, *names]
        row = self.db.execute(
            f"SELECT i.source, i.event FROM turns t JOIN inbox i ON i.seq = t.seq WHERE t.agent_id=? {query}",
            (agent, *given),
        ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def prune(self, agent_id: str, keep: int) -> None:
        """Deletes all but the last `keep` records of an agent."""
        row = self.db.execute(
            "SELECT seq FROM turns WHERE agent_id=? ORDER BY seq DESC LIMIT 1 OFFSET ?", (agent_id, keep)
        ).fetchone()
        if row is not None:
            self._delete("agent_id=? AND seq<=?", (agent_id, row[0]))

    def forget(self, entity_id: str, quoted: Sequence[str] = ()) -> None:
        """Deletes the records of every room this person was in, and of those where they were `quoted`: what they said
        is in their neighbours' turns too.
        """
        self._delete(
            "entity_id=? OR room_id IN (SELECT room_id FROM participants WHERE entity_id=?)", (entity_id, entity_id)
        )
        for room in quoted:
            self._delete("room_id=?", (room,))

    def follow(self, last: int) -> None:
        """Deletes the records, up to this row, whose row in the inbox is gone."""
        self._delete("seq<=? AND seq NOT IN (SELECT seq FROM inbox WHERE seq<=?)", (last, last))

    def _delete(self, where: str, given: tuple[Json, ...]) -> None:
        agents = self.db.execute(f"SELECT DISTINCT agent_id FROM turns WHERE {where}", given).fetchall()
        self.db.execute(f"DELETE FROM turns WHERE {where}", given)
        self.db.executemany(
            "DELETE FROM turn_states WHERE agent_id=?1 AND digest NOT IN (SELECT state FROM turns WHERE agent_id=?1)",
            agents,
        )
        self.forget_known()


SMALL = frozenset({"package", "plugins", "model", "providers", "reads", "calls", "began", "accepted"})


def pack(value: Mapping[str, Json]) -> bytes | None:
    """JSON, compressed where that pays; None when it is longer than a record may be, or a plugin's values are none."""
    try:
        text = compact.encode(value, repr)
    except (TypeError, ValueError, RecursionError):
        return None
    if len(text) > LIMIT:
        return None
    if len(text) < PLAIN:
        return text
    packing = zlib.compressobj(1, zlib.DEFLATED, WINDOW, MEMORY)
    return packing.compress(text) + packing.flush()


def unpack(body: bytes | None) -> Mapping[str, Json]:
    if not body:
        return {}
    value: Mapping[str, Json] = json.loads(body if body[:1] == b"{" else zlib.decompress(body))
    return value
