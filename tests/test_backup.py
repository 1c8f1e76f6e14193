"""Backup and restore through the front door: taken under load, refused when wrong, and never half done."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from teehee.supervisor.folder import DataFolder
from teehee.testing import ScriptedModel, TerminalPerson, running, teehee, until
from teehee.testing.command_line import FRESH, command_line
from vaults import simulated

Json = Any
pytestmark = pytest.mark.timeout(150)  # each command here is a process that starts a vault
ROOMS, MESSAGES = 6, 40
KEPT_IN_BACKUPS = ("vault.db", "mind.db", "owner-key")
SECRET_WORDS = "the heron keeps the key under the third stone"

# The command as it is, killed for good at the n-th call of one function of `os`.
KILLED = """
import os, signal, sys
name, left = sys.argv[1], [int(sys.argv[2])]
real = getattr(os, name)
def step(*given, **named):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **named)
setattr(os, name, step)
sys.argv = ["teehee", *sys.argv[3:]]
from teehee.cli import main
main()
"""


def elsewhere(folder: Path, name: str = "elsewhere") -> Path:
    """A new data folder on the same seed: the same app on a new machine."""
    new = folder.parent / name
    new.mkdir(mode=0o700)
    shutil.copyfile(folder / "developer-seed", new / "developer-seed")
    return new


async def talked(folder: Path, *texts: str) -> None:
    """Runs an agent over `folder`, says these things, and stops it."""
    async with ScriptedModel() as model, running(folder, ["wren"], model_url=model.url) as agent:
        for text in texts:
            told = await agent.say(text, id=text[:20])
            assert told["messages"][-1]["text"] == f"heard: {text}"


async def logged(folder: Path) -> Json:
    (told,) = (await teehee("log", "--json", "--limit", "0", "--data", folder)).json
    assert told["verified"] is True
    return told


def said(folder: Path) -> Counter[str]:
    """How often each text is among the messages the mind remembers."""
    with contextlib.closing(sqlite3.connect(folder / "mind.db")) as db:
        rows = db.execute("SELECT json_extract(content, '$.text') FROM memories WHERE type='messages'")
        return Counter(text for (text,) in rows)


def vault_epoch(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "vault.db")) as db:
        return int(db.execute("SELECT epoch FROM machine").fetchone()[0])


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in KEPT_IN_BACKUPS if (folder / name).exists()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def altered(file: Path, *, flip: bool) -> None:
    """Turns one bit of a file, or cuts off its last byte."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data if flip else file.read_bytes()[:-1])


def damage(store: Path, harm: str) -> None:
    """Overwrites a page of a store, empties it, or takes it away."""
    data = bytearray(store.read_bytes())
    data[4096 : 4096 + 4096] = b"\x55" * 4096
    store.write_bytes(data if harm == "page" else b"")
    if harm == "gone":
        store.unlink()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of an agent that has said one thing and stopped, with a backup of it beside."""
    place = tmp_path_factory.mktemp("first")

    async def make() -> None:
        await talked(place / "data", "first")
        done = await teehee("backup", place / "one.backup", "--data", place / "data")
        assert done.code == 0, done.err

    asyncio.run(make())
    return place


@pytest.fixture
def stopped(first: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    shutil.copytree(first / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.sock"))
    return tmp_path / "data"


@pytest.fixture
def taken(first: Path, tmp_path: Path) -> Path:
    """A copy of that backup."""
    return Path(shutil.copyfile(first / "one.backup", tmp_path / "one.backup"))


# -- under load


async def test_a_backup_taken_under_load_holds_all_that_was_promised_before_it(tmp_path: Path) -> None:
    folder, file = tmp_path / "data", tmp_path / "load.backup"
    async with ScriptedModel() as model:
        options: dict[str, Json] = {"model_url": model.url, "replies_per_minute": 100_000}
        async with running(folder, ["wren"], **options) as agent:
            people = [TerminalPerson(agent.door, room=f"room-{n}") for n in range(ROOMS)]
            accepted: list[str] = []

            async def talk(person: TerminalPerson) -> None:
                for number in range(MESSAGES):
                    text = f"{person.place['room']} {number}"
                    await person.say(text, id=str(number))
                    accepted.append(text)
                    await person.hear(max(0, number - 2))

            load = [asyncio.ensure_future(talk(person)) for person in people]
            await until(lambda: len(accepted) >= ROOMS * 4 and all(person.shown for person in people))
            promised = list(accepted)
            receipts = [effect for person in people for effect in person.shown]
            backup = asyncio.ensure_future(teehee("backup", file, "--json", "--data", folder))
            await asyncio.gather(*load)
            done = await backup
            assert done.code == 0, done.err
            during = len(accepted) - len(promised)

        new = elsewhere(folder)
        restored = await teehee("restore", file, "--json", "--data", new)
        assert restored.code == 0, restored.err
        before = await logged(new)
        async with running(new, ["wren"], **options) as agent:
            people = [TerminalPerson(agent.door, room=f"room-{n}") for n in range(ROOMS)]
            for person in people:
                await person.say(f"{person.place['room']} goes on", id="after the restore")
                await until(partial(answered, person, "goes on"))
                await person.settle()
        after = await logged(new)

    assert during > 0, "nothing flowed while the backup was taken"
    assert receipts
    (log,) = done.json["logs"]
    assert (before["size"], before["leaves"][-1]["type"]) == (log["size"] + 1, "restored")
    assert set(receipts) <= {leaf["effect"] for leaf in before["leaves"] if leaf["type"] == "intent"}
    lives = Counter((leaf["type"], leaf["effect"]) for leaf in after["leaves"] if "effect" in leaf)
    assert set(lives.values()) == {1}
    remembered = said(new)
    assert {text: remembered[text] for text in promised} == dict.fromkeys(promised, 1)
    replies = {f"heard: {text}": remembered[f"heard: {text}"] for text in promised}
    assert replies == dict.fromkeys(replies, 1)


async def answered(person: TerminalPerson, text: str) -> bool:
    await person.settle()
    return any(text in shown for shown in person.shown.values())


# -- what it tells


async def test_backup_and_check_tell_the_same_log_and_the_talk_goes_on_from_it(stopped: Path, tmp_path: Path) -> None:
    file = tmp_path / "another.backup"

    done = (await teehee("backup", file, "--json", "--data", stopped)).json
    checked = (await teehee("restore", "--check", file, "--json", "--data", stopped)).json
    words = (await teehee("restore", "--check", file, "--data", stopped)).out

    (log,) = done["logs"]
    assert checked["logs"] == [log]
    assert checked["epochs"] == {}
    assert (log["name"], log["size"]) == ("Wren", 3)
    assert log["root"] == (await logged(stopped))["root"]
    assert done["size"] == file.stat().st_size
    assert f"Wren · 3 leaves · root {log['root'][:16]}…" in words
    assert file.stat().st_mode & 0o077 == 0
    assert not {".backup", ".restore"} & set(names(stopped))


async def test_nothing_that_was_said_and_no_key_is_in_a_backup_in_the_clear(tmp_path: Path) -> None:
    folder, file = tmp_path / "data", tmp_path / "sealed.backup"
    await talked(folder, SECRET_WORDS)
    await teehee("backup", file, "--data", folder)

    data = file.read_bytes()

    assert SECRET_WORDS.encode() in (folder / "mind.db").read_bytes()
    assert (folder / "developer-seed").read_bytes() not in data
    for plain in (SECRET_WORDS.encode(), b"SQLite format", b"Wren", (folder / "owner-key").read_bytes()):
        assert plain not in data


async def test_no_backup_is_written_over(taken: Path, stopped: Path) -> None:
    done = await teehee("backup", taken, "--data", stopped)
    held = await teehee("restore", "--check", taken, "--data", stopped)

    assert (done.code, held.code) == (2, 0)
    assert "is there already" in done.err


async def test_an_empty_folder_has_nothing_to_back_up(tmp_path: Path) -> None:
    done = await teehee("backup", tmp_path / "none.backup", "--data", tmp_path / "empty")

    assert done.code == 2
    assert "nothing to back up" in done.err


# -- where it opens


async def test_the_same_app_restores_without_any_secret_and_another_app_cannot(tmp_path: Path) -> None:
    file, new, others = tmp_path / "tee.backup", tmp_path / "new", tmp_path / "others"
    for machine in ("a", "b"):
        (tmp_path / machine).mkdir()
    async with (
        simulated(tmp_path / "a") as (_, here),
        simulated(tmp_path / "b", b"another app's seed, all its own!") as (
            _,
            there,
        ),
    ):
        environment = {"TEEHEE_GUEST": here}
        await teehee("ask", "hello", "--data", tmp_path / "data", environment=environment)
        taken = await teehee("backup", file, "--data", tmp_path / "data", environment=environment)
        restored = await teehee("restore", file, "--data", new, environment=environment)
        again = await teehee("ask", "and again", "--data", new, environment=environment)
        refused = await teehee("restore", file, "--data", others, environment={"TEEHEE_GUEST": there})

    assert (taken.code, restored.code, again.code) == (0, 0, 0), taken.err + restored.err + again.err
    assert not (new / "developer-seed").exists()
    assert refused.code == 2
    assert "sealed by another app or seed" in refused.err
    assert content(others) == {}


async def test_in_development_a_backup_opens_only_where_its_seed_is(taken: Path, tmp_path: Path) -> None:
    done = await teehee("restore", taken, "--data", tmp_path / "bare")

    assert done.code == 2
    assert "put the `developer-seed` of the folder it is from into this data folder first" in done.err
    assert not (tmp_path / "bare" / "developer-seed").exists()
    assert content(tmp_path / "bare") == {}


@pytest.mark.parametrize("harm", ["flip", "cut"])
async def test_an_altered_backup_is_refused_and_changes_nothing(taken: Path, stopped: Path, harm: str) -> None:
    altered(taken, flip=harm == "flip")
    before = content(stopped)

    done = await teehee("restore", taken, "--force", "--data", stopped)

    assert done.code == 2
    assert "it was cut short or altered" in done.err
    assert content(stopped) == before


# -- rollback


async def test_a_newer_state_is_not_written_over_unless_forced_and_then_kept_aside(taken: Path, stopped: Path) -> None:
    await talked(stopped, "second")
    newer, before = await logged(stopped), content(stopped)

    refused = await teehee("restore", taken, "--data", stopped)
    untouched = content(stopped)
    forced = await teehee("restore", taken, "--force", "--data", stopped)
    log = await logged(stopped)

    assert refused.code == 2
    assert "this data folder is newer than the backup: Wren has 6 leaves, the backup 3" in refused.err
    assert untouched == before
    assert forced.code == 0, forced.err
    assert {name: (stopped / "before-restore" / name).read_bytes() for name in before} == before
    assert [leaf["type"] for leaf in log["leaves"]] == ["genesis", "intent", "outcome", "restored"]
    leaf = log["leaves"][-1]
    assert vault_epoch(stopped) > vault_epoch(stopped / "before-restore")
    assert leaf["epoch"] > max(entry["epoch"] for entry in newer["leaves"])
    assert leaf["size"] == 3
    assert f"goes on in epoch {leaf['epoch']}" in forced.out
    await talked(stopped, "third")
    assert said(stopped).keys() >= {"first", "heard: first", "third", "heard: third"}
    assert "second" not in said(stopped)


async def test_a_running_folder_is_not_restored_into(taken: Path, stopped: Path) -> None:
    async with ScriptedModel() as model, running(stopped, ["wren"], model_url=model.url) as agent:
        done = await teehee("restore", taken, "--force", "--data", stopped)
        checked = await teehee("restore", taken, "--check", "--data", stopped)
        told = await agent.say("still there?", id="1")

    assert done.code == 2
    assert "is in use by process" in done.err
    assert checked.code == 0, checked.err
    assert told["messages"]


# -- damage at start


@pytest.mark.parametrize(
    ("name", "harm"),
    [("vault.db", "page"), ("mind.db", "gone")]
    + [
        pytest.param(*case, marks=pytest.mark.long)
        for case in (("vault.db", "gone"), ("vault.db", "empty"), ("mind.db", "page"), ("mind.db", "empty"))
    ],
)
async def test_a_damaged_store_stops_the_start_with_a_sentence_and_a_restore_mends_it(
    taken: Path, stopped: Path, name: str, harm: str
) -> None:
    damage(stopped / name, harm)
    before = content(stopped)

    refused = await teehee("ask", "hello?", "--data", stopped)
    mended = await teehee("restore", taken, "--force", "--data", stopped)

    assert refused.code == 2
    assert ("is damaged" if harm == "page" else "is gone or empty") in refused.err
    assert "teehee restore FILE --force" in refused.err
    assert {key: value for key, value in before.items() if key in (name, "owner-key")} == {
        key: (stopped / "before-restore" / key).read_bytes() for key in (name, "owner-key") if key in before
    }
    assert mended.code == 0, mended.err
    await talked(stopped, "second")


# -- cut off


async def killed(function: str, call: int, *arguments: object) -> bool:
    """Runs `teehee ARGUMENTS` and kills it at that call; was it reached?"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, function, str(call), *map(str, arguments), env=FRESH,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("function", "call"),
    [pytest.param("fsync", 1, marks=pytest.mark.long), ("fsync", 4), pytest.param("link", 1, marks=pytest.mark.long)],
)
async def test_a_backup_that_is_killed_leaves_none_and_the_next_one_is_whole(
    stopped: Path, tmp_path: Path, function: str, call: int
) -> None:
    file, before = tmp_path / "killed.backup", await logged(stopped)

    assert await killed(function, call, "backup", file, "--data", stopped)
    if file.exists():
        assert (await teehee("restore", "--check", file, "--data", stopped)).code == 0
        file.unlink()
    done = await teehee("backup", file, "--data", stopped)

    assert done.code == 0, done.err
    assert await logged(stopped) == before
    assert names(tmp_path) == ["data", "killed.backup"]


@pytest.mark.parametrize(
    ("function", "call", "size"),
    [
        pytest.param("fsync", 2, 6, marks=pytest.mark.long),
        pytest.param("rename", 1, 6, marks=pytest.mark.long),
        ("replace", 6, 4),
    ],
)
async def test_a_restore_that_is_killed_leaves_the_old_state_or_the_new(
    taken: Path, stopped: Path, function: str, call: int, size: int
) -> None:
    """While the backup is opened, right before the finished state gets its name, and while files are moved."""
    await talked(stopped, "second")

    assert await killed(function, call, "restore", taken, "--force", "--data", stopped)
    log = await logged(stopped)

    assert log["size"] == size
    assert ("second" in said(stopped)) == (size == 6), "the two stores are of different times"
    assert not {"restored", ".restore"} & set(names(stopped))
    done = await teehee("restore", taken, "--force", "--data", stopped)
    assert done.code == 0, done.err


SWAP = """
import os, signal, sys
from pathlib import Path
left = [int(sys.argv[2])]
def counted(real):
    def step(*given, **named):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return step
from teehee.supervisor.folder import DataFolder
for name in ("replace", "fsync", "rmdir", "mkdir"):
    setattr(os, name, counted(getattr(os, name)))
DataFolder(Path(sys.argv[1])).take_restored()
"""


def test_a_restored_state_takes_the_old_ones_place_whole_whenever_it_is_killed(tmp_path: Path) -> None:
    old = {name: f"old {name}" for name in (*KEPT_IN_BACKUPS, "vault.db-wal", "mind.db-shm")}
    new = {name: f"new {name}" for name in KEPT_IN_BACKUPS}
    for steps in range(1, 30):
        folder = tmp_path / str(steps)
        (folder / "restored").mkdir(parents=True)
        for at, files in ((folder, old), (folder / "restored", new)):
            for name, text in files.items():
                (at / name).write_text(text)

        ended = subprocess.run([sys.executable, "-c", SWAP, str(folder), str(steps)], check=False).returncode
        DataFolder(folder).take_restored()

        assert {path.name: path.read_text() for path in folder.iterdir() if path.is_file()} == new | {"born": ""}
        assert {path.name: path.read_text() for path in (folder / "before-restore").iterdir()} == old
        if ended == 0:
            break

    assert steps > len(old) + len(new)


async def test_a_backup_that_finds_no_room_says_so_and_leaves_nothing(stopped: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.backup"
    limited = ["bash", "-c", 'ulimit -f 160; exec "$@"', "-", *command_line("backup", file, "--data", stopped)]
    process = await asyncio.create_subprocess_exec(*limited, env=FRESH, stderr=asyncio.subprocess.PIPE)
    _, told = await process.communicate()

    assert process.returncode == 2
    assert "cannot be written" in told.decode()
    assert "free some space" in told.decode()
    assert names(tmp_path) == ["data"]
    assert not (stopped / ".backup").exists()


async def test_a_restore_that_finds_no_room_says_so_and_leaves_the_old_state(stopped: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.backup"
    await talked(stopped, *(f"{number} " + "long " * 700 + "words" for number in range(40)))
    await teehee("backup", file, "--data", stopped)
    await talked(stopped, "second")
    before = content(stopped)
    given = command_line("restore", file, "--force", "--data", stopped)
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", 'ulimit -f 300; exec "$@"', "-", *given, env=FRESH, stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()

    assert process.returncode == 2, told.decode()
    assert "cannot be opened here" in told.decode()
    assert "free some space" in told.decode()
    assert content(stopped) == before
    assert not {"restored", ".restore"} & set(names(stopped))
