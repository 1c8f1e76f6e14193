"""What is kept how long: stores stay bounded, and what went leaves the promises standing."""

import asyncio
import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from teehee.errors import ConfigError
from teehee.mind import retention as of_mind
from teehee.settings import resolve
from teehee.store.mind_store import Memory, MindStore
from teehee.testing import ScriptedModel, TerminalPerson, running, teehee, until
from teehee.vault.retention import NOTES_KEPT, Retention
from teehee.wire.boot import Keep
from teehee.wire.messages import Event
from vaults import Vault, config, reply, rule_of, vault_at, witness

DAY = 86_400_000
KEEP = Keep(journal_ms=30 * DAY, text_ms=365 * DAY, memories=64)


def event(number: int, at: int) -> Event:
    return Event("a-1", "web", f"e-{number}", "web:1", "room", "message", f"text {number}", at, "Sam")


def count(store: MindStore, table: str) -> int:
    return int(store.db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])


# -- the mind


async def test_settled_messages_go_when_their_time_is_up_and_open_ones_never(tmp_path: Path) -> None:
    with contextlib.closing(MindStore(tmp_path / "mind.db")) as store:
        for number in range(2000):
            store.accept(event(number, number))
            if number % 100:
                store.close_row(number + 1, "done")

        await of_mind.forget(store, KEEP, 30 * DAY + 1500)

        assert count(store, "inbox WHERE at<1500 AND state='open'") == 15
        assert count(store, "inbox WHERE at<1500 AND state!='open'") == 0
        assert count(store, "inbox WHERE at>=1500") == 500


async def test_a_room_keeps_its_newest_memories_of_each_kind_and_all_knowledge(tmp_path: Path) -> None:
    with contextlib.closing(MindStore(tmp_path / "mind.db")) as store:
        for number in range(1200):
            for kind, room in (("messages", "lobby"), ("dice", "lobby"), ("knowledge", "lobby")):
                store.remember(Memory(f"{kind} {number}", kind, number, {"text": str(number)}, "sam", "a-1", room))
        store.remember(Memory("alone", "messages", 1, {"text": "alone"}, "sam", "a-1", "quiet"))

        await of_mind.forget(store, KEEP, DAY)

        texts = [memory.content["text"] for memory in store.latest("lobby", "messages", 2000)]
        assert texts == [str(number) for number in range(1199, 1135, -1)]
        kept = {room: store.count(room, "messages") for room in ("lobby", "quiet")}
        assert kept == {"lobby": 64, "quiet": 1}
        assert (store.count("lobby", "dice"), store.count("lobby", "knowledge")) == (64, 1200)


async def test_nothing_goes_when_nothing_is_bounded(tmp_path: Path) -> None:
    with contextlib.closing(MindStore(tmp_path / "mind.db")) as store:
        store.accept(event(1, 1))
        store.close_row(1, "done")
        store.remember(Memory("m", "messages", 1, {"text": "x"}, "sam", "a-1", "room"))

        await of_mind.forget(store, Keep(), 10_000 * DAY)

        assert (count(store, "inbox"), count(store, "memories")) == (1, 1)


# -- the vault


async def delivered(vault: Vault, number: int) -> str:
    (effect,) = await vault.answered(f"e{number}", f"words {number}", room=f"room {number % 50}")
    await vault.gate("effect.outcome", {"id": effect["id"], "state": "delivered"})
    return str(effect["id"])


async def test_old_words_go_with_salt_and_digest_and_the_receipt_stays(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        effect = await delivered(vault, 1)
        (due,) = await vault.answered("e2", "not fetched yet", room="room 2")
        later = vault.core.now_ms() + 400 * DAY
        vault.core._last_ms = later

        await Retention(vault.core, KEEP).forget()

        row = vault.core.db.execute("SELECT payload, salt, digest FROM effects WHERE id=?", (effect,)).fetchone()
        receipt = await vault.public("receipt", {"effect": effect})
        shown = await vault.gate("effect.in_room", {"agent": "agent-ada", "room": "room 1"})
        still = (await vault.gate("effect.due"))["effects"]
        await vault.verified()

    assert row == (b"", b"", "")
    assert receipt["state"] == "delivered"
    assert shown["effects"] == []
    assert [(one["id"], one["text"]) for one in still] == [(due["id"], "not fetched yet")]


async def test_what_was_answered_is_never_answered_again_though_everything_about_it_is_forgotten(
    tmp_path: Path,
) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        await delivered(vault, 1)
        size = vault.core.log.size(1)
        vault.core._last_ms = vault.core.now_ms() + 400 * DAY
        await Retention(vault.core, KEEP).forget()

        seen = await vault.gate("event.witness", witness("e1", room="room 1"))
        rule = await rule_of(vault.submit(reply("e1", "other words", room="room 1")))
        same = await rule_of(vault.submit(reply("e1", "words 1", room="room 1")))

        assert seen == {"new": True}
        assert (rule, same) == ("base.already-answered", "base.already-answered")
        assert vault.core.log.size(1) == size


async def test_within_its_time_nothing_goes_and_a_second_look_starts_where_the_first_ended(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        retention = Retention(vault.core, KEEP)
        await delivered(vault, 1)
        await retention.forget()
        assert vault.core.db.execute("SELECT COUNT(*) FROM events").fetchone() == (1,)
        assert vault.core.db.execute("SELECT COUNT(*) FROM effects WHERE salt=x''").fetchone() == (0,)

        vault.core._last_ms = vault.core.now_ms() + 400 * DAY
        await retention.forget()
        await delivered(vault, 2)
        await retention.forget()

        assert vault.core.db.execute("SELECT COUNT(*) FROM events").fetchone() == (1,)
        assert vault.core.db.execute("SELECT COUNT(*) FROM effects WHERE salt=x''").fetchone() == (1,)


async def test_of_signed_checkpoints_the_newest_are_kept_and_any_other_is_signed_the_same_again(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada")) as vault:
        identity = vault.core.identities.get("agent-ada").identity
        first = (await vault.public("checkpoint", {"agent": "agent-ada"}))["checkpoint"]
        key = await vault.core.ring.log_key(identity.key_id)
        for size in range(2, NOTES_KEPT + 500):
            vault.core.log.keep(identity, size, "note")

        await Retention(vault.core, KEEP).forget()

        (kept,) = vault.core.db.execute("SELECT COUNT(*) FROM checkpoints").fetchone()
        assert kept == NOTES_KEPT
        assert vault.core.log.note_at(identity, 1) == ""
        assert vault.core.log.signed(identity, key, 1, vault.core.log.root_at(identity.log, 1)) == first


# -- through the front door


@pytest.mark.timeout(180)
@pytest.mark.long
async def test_thousands_of_messages_leave_a_mind_of_bounded_size(tmp_path: Path) -> None:
    """Three times a thousand messages: the second and third thousand find the room the first one left."""
    rooms, each, sizes = 10, 100, []
    async with ScriptedModel() as model:
        options = {"model_url": model.url, "replies_per_minute": 1_000_000}
        keep = {"journal_days": 1 / 86_400, "text_days": 1 / 86_400, "memories_per_room": 64}
        async with running(tmp_path, ["wren"], **options, **keep) as agent:  # type: ignore[arg-type] # settings
            people = [TerminalPerson(agent.door, room=f"room-{n}") for n in range(rooms)]

            async def talk(person: TerminalPerson, life: int) -> None:
                for number in range(each):
                    await person.say(f"{life} {number} " + "long " * 100, id=f"{life}-{number}", wait=20)

            def is_swept() -> bool:
                with contextlib.closing(sqlite3.connect(tmp_path / "mind.db")) as db:
                    (rows,) = db.execute("SELECT COUNT(*) FROM inbox").fetchone()
                    (most,) = db.execute(
                        "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM memories WHERE type='messages' GROUP BY room_id)"
                    ).fetchone()
                    return bool(rows == 0 and most <= 64)

            for life in range(3):
                await asyncio.gather(*(talk(person, life) for person in people))
                await until(is_swept)
                with contextlib.closing(sqlite3.connect(tmp_path / "mind.db")) as db:
                    (pages,) = db.execute("PRAGMA page_count").fetchone()
                sizes.append(pages * 4096)
                assert (tmp_path / "mind.db-wal").stat().st_size < 20 << 20
            with contextlib.closing(sqlite3.connect(tmp_path / "vault.db")) as db:
                await until(lambda: db.execute("SELECT COUNT(*) FROM events").fetchone() == (0,))
                await until(lambda: db.execute("SELECT COUNT(*) FROM effects WHERE salt!=x''").fetchone() == (0,))
            told = await people[0].say("do you still hear me?", id="last", wait=20)
    (log,) = (await teehee("log", "--json", "--limit", "1", "--data", tmp_path)).json

    assert sizes[2] <= sizes[0] * 1.25
    assert sizes[2] < 3 * rooms * each * 500, "less than what people said, without the replies and the journal"
    assert told["messages"][-1]["text"] == "heard: do you still hear me?"
    assert log["verified"]
    assert log["size"] == 1 + 2 * (3 * rooms * each + 1)


# -- what is made anew


async def test_knowledge_is_found_the_same_after_caches_and_index_are_made_anew(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]):
        pass
    questions = ["gloves", "umbrella", "lost things", "the shelf", "who are you"]

    def answers() -> list[object]:
        with contextlib.closing(MindStore(tmp_path / "mind.db")) as store:
            (agent,) = store.db.execute("SELECT id FROM agents").fetchone()
            return [store.search_knowledge(agent, question, 5) for question in questions]

    before = answers()
    with contextlib.closing(sqlite3.connect(tmp_path / "mind.db")) as db:
        db.execute("DELETE FROM knowledge_words")
        db.commit()
    harmed = answers()
    done = await teehee("doctor", "--rebuild", "--json", "--data", tmp_path)

    assert any(before)
    assert harmed != before
    assert done.code == 0, done.out
    assert answers() == before
    assert not (tmp_path / "knowledge").exists()


async def test_nothing_is_made_anew_under_a_running_agent(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]):
        done = await teehee("doctor", "--rebuild", "--data", tmp_path)

    assert done.code == 2
    assert "is in use by process" in done.err


# -- the settings


def test_a_room_keeps_enough_to_talk_or_all() -> None:
    assert resolve({"memories_per_room": "64"}, environ={}).settings.memories_per_room == 64
    with pytest.raises(ConfigError, match="expected 0, or at least the 64"):
        resolve({"memories_per_room": "63"}, environ={})


@pytest.mark.parametrize(
    ("keep", "seconds"),
    [
        (Keep(), 600.0),
        (KEEP, 600.0),
        (replace(KEEP, journal_ms=60_000), 6.0),
        (replace(KEEP, text_ms=1), 1.0),
    ],
)
def test_a_short_time_is_looked_after_more_often(keep: Keep, seconds: float) -> None:
    assert keep.pause_seconds == seconds
