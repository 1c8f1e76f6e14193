"""The mind's store: Eliza's tables, each question answered, nothing kept twice, nothing lost over a restart."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from teehee.errors import ConfigError
from teehee.store import schema
from teehee.store.mind_store import Memory, MindStore, Row
from teehee.wire.messages import Event

AGENT = "a-1"


def event(number: int = 1, *, agent: str = AGENT, source: str = "web", name: str = "Sam") -> Event:
    return Event(agent, source, f"e-{number}", "web:1", "room:lobby", "message", f"text {number}", 1_000 + number, name)


def memory(number: int = 1, *, room: str = "r-1", type: str = "messages") -> Memory:
    return Memory(f"m-{number}", type, 1_000 + number, {"text": f"wörds {number}"}, "sam", AGENT, room)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mind.db"


@pytest.fixture
def store(path: Path) -> Iterator[MindStore]:
    opened = MindStore(path)
    yield opened
    opened.close()


def test_an_event_is_kept_once(store: MindStore) -> None:
    assert store.accept(event()) == 1
    assert store.accept(replace(event(), text="another text", at=9)) is None
    assert store.open_rows([AGENT]) == [Row(1, event())]


@pytest.mark.parametrize("other", [event(2), event(agent="a-2"), event(source="terminal")], ids=str)
def test_an_event_is_one_by_agent_source_and_id(store: MindStore, other: Event) -> None:
    store.accept(event())

    assert store.accept(other) is not None


def test_open_rows_come_oldest_first_and_only_for_agents_that_run(store: MindStore) -> None:
    for kept in (event(3), event(1), event(2, agent="a-2"), event(4)):
        store.accept(kept)
    store.close_row(4, "done")

    assert [row.event.event for row in store.open_rows([AGENT])] == ["e-3", "e-1"]
    assert [row.event.event for row in store.open_rows(["a-2", AGENT])] == ["e-3", "e-1", "e-2"]


def test_a_journaled_answer_stays_with_its_row(store: MindStore) -> None:
    store.accept(event())

    store.journal(1, "<response>…</response>")

    assert store.open_rows([AGENT])[0].answer == "<response>…</response>"
    assert store.row_state(AGENT, "web", "e-1") == ("open", "", "<response>…</response>")


def test_a_closed_row_says_how_it_ended(store: MindStore) -> None:
    store.accept(event())

    store.close_row(1, "ended", "ignored")

    assert store.row_state(AGENT, "web", "e-1") == ("ended", "ignored", None)
    assert store.open_rows([AGENT]) == []


def test_an_unknown_row_is_told_as_unknown(store: MindStore) -> None:
    assert store.row_state(AGENT, "web", "e-9") == ("unknown", "", None)


@pytest.mark.parametrize(("code", "reopens"), [("unwitnessed", True), ("ignored", False), ("failed", False)])
def test_only_a_turn_without_a_witness_may_begin_anew(store: MindStore, code: str, reopens: bool) -> None:
    store.accept(event())
    store.close_row(1, "ended", code)

    assert store.accept(event()) == (1 if reopens else None)
    assert store.row_state(AGENT, "web", "e-1")[:2] == (("open", "") if reopens else ("ended", code))


def test_a_row_has_one_of_three_states(store: MindStore) -> None:
    store.accept(event())

    with pytest.raises(sqlite3.IntegrityError):
        store.close_row(1, "lost")


def test_people_rooms_and_who_is_where_have_elizas_rows(store: MindStore) -> None:
    store.meet(AGENT, "r-1", "sam", event())
    store.meet(AGENT, "r-1", "sam", event(2))

    rooms = store.db.execute("SELECT id, agent_id, source, type, channel_id FROM rooms").fetchall()
    entities = store.db.execute("SELECT id, agent_id, names FROM entities").fetchall()
    participants = store.db.execute("SELECT entity_id, room_id, agent_id FROM participants").fetchall()
    assert rooms == [("r-1", AGENT, "web", "DM", "room:lobby")]
    assert entities == [("sam", AGENT, json.dumps(["Sam"]))]
    assert participants == [("sam", "r-1", AGENT)]


def test_a_person_in_two_rooms_is_one_entity(store: MindStore) -> None:
    store.meet(AGENT, "r-1", "sam", event())
    store.meet(AGENT, "r-2", "sam", event(2, name="Sammy"))

    assert store.db.execute("SELECT names FROM entities").fetchall() == [(json.dumps(["Sammy"]),)]
    assert store.db.execute("SELECT COUNT(*) FROM participants").fetchone() == (2,)


def test_an_agent_has_its_row_under_its_present_name(store: MindStore) -> None:
    store.settle_in(AGENT, "Ada", 1)
    store.settle_in(AGENT, "Ada Two", 2)

    assert store.db.execute("SELECT * FROM agents").fetchall() == [(AGENT, "Ada Two", 1)]


async def test_people_met_in_a_commit_that_failed_are_met_again(store: MindStore) -> None:
    def fail() -> None:
        store.meet(AGENT, "r-1", "sam", event())
        raise KeyError("after the rows")

    with pytest.raises(KeyError):
        await store.commit.run(fail)
    await store.commit.run(lambda: store.meet(AGENT, "r-1", "sam", event()))

    assert store.db.execute("SELECT id FROM rooms").fetchall() == [("r-1",)]


def test_a_memory_is_kept_once(store: MindStore) -> None:
    store.remember(memory())
    store.remember(replace(memory(), content={"text": "another"}))

    assert store.latest("r-1", "messages", 10) == [memory()]


def test_the_latest_memories_come_newest_first(store: MindStore) -> None:
    for number in range(5):
        store.remember(memory(number))
    store.remember(memory(9, room="r-2"))
    store.remember(memory(8, type="facts"))

    assert store.latest("r-1", "messages", 3) == [memory(4), memory(3), memory(2)]
    assert store.latest("r-1", "facts", 3) == [memory(8, type="facts")]
    assert store.count("r-1", "messages") == 5


def test_what_was_kept_is_there_after_a_restart(path: Path) -> None:
    first = MindStore(path)
    first.accept(event())
    first.remember(memory())
    first.close()

    second = MindStore(path)
    rows, memories = second.open_rows([AGENT]), second.latest("r-1", "messages", 1)
    second.close()

    assert rows == [Row(1, event())]
    assert memories == [memory()]


def test_every_commit_reaches_the_disk_and_deletes_leave_nothing(store: MindStore) -> None:
    settings = {
        name: store.db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete")
    }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}


def test_a_store_of_a_newer_release_is_refused(path: Path) -> None:
    MindStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={len(schema.MIGRATIONS) + 1}")
    db.close()

    with pytest.raises(ConfigError, match="this release knows") as caught:
        MindStore(path)

    assert "newer teehee" in caught.value.hint


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"SQLite format 3\x00" + bytes(84)], ids=["text", "torn"]
)
def test_a_file_that_is_no_store_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="mind's store"):
        MindStore(path)


def test_a_store_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be opened"):
        MindStore(tmp_path / "file" / "mind.db")


# -- knowledge


def fragment(text: str, source: str = "", position: int = 0) -> dict[str, str | int]:
    return {"text": text, "source": source, "position": position}


KNOWN = {
    "k-1": fragment("Tea is brewed for four minutes, never five.", "tea.md"),
    "k-2": fragment("The lighthouse was put out in 1974.", "tower.md"),
    "k-3": fragment("Umbrellas are lost on Tuesdays.", "tower.md", 1),
}


def sources(store: MindStore, text: str, limit: int = 5) -> list[str]:
    return [str(found["source"]) for found in store.search_knowledge(AGENT, text, limit)]


def test_knowledge_is_found_by_its_words_best_first(store: MindStore) -> None:
    store.keep_knowledge(AGENT, KNOWN, 1)

    assert sources(store, "how many minutes is the tea brewing?") == ["tea.md"]
    assert sources(store, "umbrella lighthouses", limit=1) == ["tower.md"]
    assert sources(store, "what is the and of") == sources(store, "") == sources(store, "zebra") == []


@pytest.mark.parametrize(
    "text", ['"', "tea AND", "NOT tea*", 'text:"tea" OR', "tea) OR (1", "'; DROP TABLE", "\0", "^tea", "{}"]
)
def test_what_people_write_is_never_query_syntax(store: MindStore, text: str) -> None:
    store.keep_knowledge(AGENT, KNOWN, 1)

    assert sources(store, text) == (["tea.md"] if "tea" in text else [])


def test_only_what_changed_is_written(store: MindStore) -> None:
    assert store.keep_knowledge(AGENT, KNOWN, 1) == (3, 0)
    assert store.keep_knowledge(AGENT, KNOWN, 2) == (0, 0)
    later = {**{key: KNOWN[key] for key in ("k-1", "k-2")}, "k-4": fragment("Gloves come back alone.")}

    assert store.keep_knowledge(AGENT, later, 3) == (1, 1)

    assert sources(store, "umbrellas") == []
    assert sources(store, "gloves") == [""]
    (old,) = store.db.execute("SELECT created_at FROM memories WHERE id='k-1'").fetchone()
    assert old == 1


def test_the_knowledge_of_one_agent_is_not_told_by_another(store: MindStore) -> None:
    store.keep_knowledge(AGENT, KNOWN, 1)
    store.keep_knowledge("a-2", {"k-9": fragment("Tea is for breakfast.", "other.md")}, 1)

    assert sources(store, "tea") == ["tea.md"]
    store.keep_knowledge("a-2", {}, 2)
    assert sources(store, "tea") == ["tea.md"]


def test_a_store_of_the_last_release_takes_knowledge(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript(schema.MIGRATIONS[0])
    database.execute("PRAGMA user_version=1")
    database.close()

    store = MindStore(path)
    store.keep_knowledge(AGENT, KNOWN, 1)

    assert sources(store, "tea") == ["tea.md"]
    store.close()
