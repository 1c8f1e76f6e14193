"""Backups of agents with a mind each, and of earlier releases: whole, or nothing is changed."""

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from teehee.errors import TeeheeError
from teehee.supervisor.folder import DataFolder
from teehee.testing import Running, ScriptedModel, running, teehee, until
from test_backup import KEPT_IN_BACKUPS, SWAP, altered, elsewhere, killed, names, talked
from test_isolate import identity, say, team

Json = Any
pytestmark = pytest.mark.timeout(150)  # each command here is a process that starts a vault
TEAM = ("Ada", "Eve")
MESSAGES = 30
VECTORS = Path(__file__).parent / "vectors/backups"


def said(store: Path) -> Counter[str]:
    """How often each text is among the messages this mind remembers."""
    with contextlib.closing(sqlite3.connect(store)) as db:
        rows = db.execute("SELECT json_extract(content, '$.text') FROM memories WHERE type='messages'")
        return Counter(text for (text,) in rows)


def stores(agent: Running) -> dict[str, Path]:
    """Where each agent's mind keeps what it knows, below the data folder."""
    folder = agent.supervisor.plan.folder
    return {name: folder.of_mind(identity(agent, name)).relative_to(folder.path) / "mind.db" for name in TEAM}


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "before-restore" not in path.relative_to(folder).parts
    }


def write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@dataclass(frozen=True, slots=True)
class Stopped:
    """A folder of Ada and Eve, stopped, each of whom was told one thing; and a backup of it beside."""

    place: Path
    stores: dict[str, Path]
    characters: list[str]  # an agent is known by where its file lies

    @property
    def data(self) -> Path:
        return self.place / "data"

    @property
    def file(self) -> Path:
        return self.place / "one.backup"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    place = tmp_path_factory.mktemp("first")

    async def make() -> Stopped:
        characters = team(place)
        async with running(place / "data", characters, isolate=True) as agent:
            for name in TEAM:
                await say(agent, name, f"first to {name}", "1")
            known = stores(agent)
        done = await teehee("backup", place / "one.backup", "--data", place / "data")
        assert done.code == 0, done.err
        return Stopped(place, known, characters)

    return asyncio.run(make())


@pytest.fixture
def stopped(first: Stopped, tmp_path: Path) -> Stopped:
    """A copy of folder and backup."""
    shutil.copytree(first.place, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
    return replace(first, place=tmp_path)


async def test_a_backup_of_many_minds_taken_under_load_holds_all_that_was_promised_before_it(tmp_path: Path) -> None:
    folder, file = tmp_path / "data", tmp_path / "load.backup"
    async with ScriptedModel() as model:
        options: dict[str, Json] = {"model_url": model.url, "replies_per_minute": 100_000, "isolate": True}
        async with running(folder, team(tmp_path), **options) as agent:
            answered: list[tuple[str, str]] = []

            async def talk(to: str) -> None:
                for number in range(MESSAGES):
                    told = await say(agent, to, f"{to} {number}", str(number))
                    assert told["state"] == "answered"
                    answered.append((to, f"{to} {number}"))

            load = [asyncio.ensure_future(talk(name)) for name in TEAM]
            await until(lambda: len(answered) >= 6 and {to for to, _ in answered} == set(TEAM))
            promised = list(answered)
            backup = asyncio.ensure_future(teehee("backup", file, "--json", "--data", folder))
            await asyncio.gather(*load)
            done = await backup
            assert done.code == 0, done.err
            during, places = len(answered) - len(promised), stores(agent)

        new = elsewhere(folder)
        restored = await teehee("restore", file, "--json", "--data", new)
        assert restored.code == 0, restored.err
        async with running(new, team(tmp_path), **options) as agent:
            for name in TEAM:
                assert (await say(agent, name, f"{name} goes on", "after"))["state"] == "answered"
        logs = (await teehee("log", "--json", "--limit", "0", "--data", new)).json

    assert during > 0, "nothing flowed while the backup was taken"
    assert [log["verified"] for log in logs] == [True, True]
    lives = Counter((leaf["type"], leaf["effect"]) for log in logs for leaf in log["leaves"] if "effect" in leaf)
    assert set(lives.values()) == {1}
    for name, store in places.items():
        remembered = said(new / store)
        texts = [text for to, text in promised if to == name]
        assert {t: remembered[t] for text in texts for t in (text, f"heard: {text}")} == {
            t: 1 for text in texts for t in (text, f"heard: {text}")
        }
        assert not [text for text in remembered if any(other in text for other in TEAM if other != name)]


@pytest.mark.parametrize("lost", [("Ada",), pytest.param(("Ada", "Eve"), marks=pytest.mark.long), ("vault",)])
async def test_lost_stores_stop_the_start_and_a_restore_mends_them(stopped: Stopped, lost: Iterable[str]) -> None:
    data = stopped.data
    for name in lost:
        (data / stopped.stores.get(name, Path("vault.db"))).unlink()

    with pytest.raises(TeeheeError, match="is gone or empty"):
        async with running(data, stopped.characters, isolate=True):
            pass
    unsaved = await teehee("backup", stopped.place / "another.backup", "--data", data)
    mended = await teehee("restore", stopped.file, "--force", "--data", data)

    assert unsaved.code == 2
    assert not (stopped.place / "another.backup").exists()
    assert mended.code == 0, mended.err
    async with running(data, stopped.characters, isolate=True) as agent:
        past = [line["text"] for name in ("ada", "eve") for line in await agent.door.call("history", {"agent": name})]
    assert {"first to Ada", "first to Eve"} <= set(past)


async def test_a_lost_mind_is_still_noticed_after_a_restore(stopped: Stopped) -> None:
    new = elsewhere(stopped.data)
    assert (await teehee("restore", stopped.file, "--data", new)).code == 0
    (new / stopped.stores["Eve"]).unlink()

    with pytest.raises(TeeheeError, match=f"{stopped.stores['Eve']} of the data folder .* is gone or empty"):
        async with running(new, stopped.characters, isolate=True):
            pass


async def test_an_altered_backup_of_many_minds_changes_nothing(stopped: Stopped) -> None:
    before = {name: (stopped.data / name).read_bytes() for name in (*stopped.stores.values(), Path("vault.db"))}
    altered(stopped.file, flip=True)

    done = await teehee("restore", stopped.file, "--force", "--data", stopped.data)

    assert done.code == 2
    assert "it was cut short or altered" in done.err
    assert {name: (stopped.data / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("function", "call", "is_new"), [pytest.param("rename", 1, False, marks=pytest.mark.long), ("replace", 6, True)]
)
async def test_a_restore_that_is_killed_leaves_all_minds_of_one_time(
    stopped: Stopped, function: str, call: int, is_new: bool
) -> None:
    """Right before the finished state gets its name, and while files are moved."""
    data = stopped.data
    async with running(data, stopped.characters, isolate=True) as agent:
        for name in TEAM:
            await say(agent, name, f"second to {name}", "2")

    assert await killed(function, call, "restore", stopped.file, "--force", "--data", data)
    logs = (await teehee("log", "--json", "--limit", "0", "--data", data)).json

    rolled_back = {any(leaf["type"] == "restored" for leaf in log["leaves"]) for log in logs}
    forgotten = {f"second to {name}" not in said(data / store) for name, store in stopped.stores.items()}
    assert rolled_back == forgotten == {is_new}
    assert not {"restored", ".restore"} & set(names(data))


async def test_a_restore_may_change_whether_agents_share_a_mind(stopped: Stopped, tmp_path: Path) -> None:
    shared = elsewhere(stopped.data)
    await talked(shared, "before")

    refused = await teehee("restore", stopped.file, "--data", shared)
    done = await teehee("restore", stopped.file, "--force", "--data", shared)

    assert refused.code == 2
    assert done.code == 0, done.err
    assert not (shared / "mind.db").exists()
    assert said(shared / "before-restore/mind.db")["before"] == 1
    assert said(shared / stopped.stores["Ada"])["first to Ada"] == 1


EACH = {f"minds/{letter * 32}{ending}": letter for letter in "ab" for ending in ("/mind.db", "/mind.db-wal", ".born")}
OTHERS = {f"minds/{letter * 32}/mind.db": letter for letter in "bc"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"mind.db": "", "mind.db-wal": ""}, EACH),
        (EACH, {"mind.db": ""}),
        (EACH, OTHERS),
    ],
)
def test_the_restored_minds_take_the_old_ones_place_whole_whenever_it_is_killed(
    tmp_path: Path, old: dict[str, str], new: dict[str, str]
) -> None:
    old = {name: f"old {text}" for name, text in {**old, "vault.db": "", "vault.db-wal": "", "owner-key": ""}.items()}
    new = {name: f"new {text}" for name, text in {**new, "vault.db": "", "owner-key": ""}.items()}
    for steps in range(1, 40):
        folder = tmp_path / str(steps)
        write(folder, old)
        write(folder / "restored", new)

        ended = subprocess.run([sys.executable, "-c", SWAP, str(folder), str(steps)], check=False).returncode
        DataFolder(folder).take_restored()

        assert files(folder) == new | {"born": ""}
        assert files(folder / "before-restore") == old
        if ended == 0:
            break

    assert steps > len(KEPT_IN_BACKUPS) * 2


@pytest.mark.parametrize("old", sorted(path.name for path in VECTORS.iterdir() if path.is_dir()))
async def test_a_backup_of_an_earlier_release_is_restored_and_the_talk_goes_on(tmp_path: Path, old: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(VECTORS / old / "developer-seed", data / "developer-seed")

    done = await teehee("restore", VECTORS / old / "one.backup", "--json", "--data", data)
    await talked(data, "and today?")
    (log,) = (await teehee("log", "--json", "--limit", "0", "--data", data)).json

    assert done.code == 0, done.err
    assert said(data / "mind.db")["hello from an earlier release"] == 1
    assert log["verified"] is True
    assert [leaf["type"] for leaf in log["leaves"]][:4] == ["genesis", "intent", "outcome", "restored"]
