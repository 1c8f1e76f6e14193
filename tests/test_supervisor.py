"""The supervisor: three processes up, each with a clean start, brought back when they die, gone when it goes."""

import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from teehee.errors import ConfigError, TeeheeError
from teehee.supervisor import children
from teehee.supervisor import plan as plans
from teehee.supervisor.children import Child
from teehee.supervisor.folder import DataFolder
from teehee.supervisor.owner import Owner
from teehee.supervisor.supervisor import vault_only
from teehee.testing import Running, running, until
from teehee.testing.command_line import started

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = ("vault", "gate", "mind")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Wren, started from an environment full of traps."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "HTTPS_PROXY",
            "SSL_CERT_FILE",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "OPENAI_API_KEY",
            "TEEHEE_LOG_LEVEL",
        ):
            patch.setenv(name, "info")
        async with running(tmp_path_factory.mktemp("supervised"), ["wren"]) as up:
            yield up


def child(agent: Running, name: str) -> Child:
    found: Child = getattr(agent.supervisor, name)
    return found


def proc(agent: Running, name: str) -> Path:
    return Path(f"/proc/{child(agent, name).pid}")


@pytest.mark.parametrize("name", NAMES)
async def test_a_child_starts_with_the_allowed_environment_and_no_more(agent: Running, name: str) -> None:
    environ = (proc(agent, name) / "environ").read_bytes()

    assert dict(line.split(b"=", 1) for line in environ.rstrip(b"\0").split(b"\0")) == {
        b"LANG": b"C.UTF-8",
        b"LC_ALL": b"C.UTF-8",
    }


@pytest.mark.parametrize("name", NAMES)
async def test_a_child_is_isolated_from_folder_and_user_packages(agent: Running, name: str) -> None:
    arguments = (proc(agent, name) / "cmdline").read_bytes().split(b"\0")

    assert b"-I" in arguments
    assert os.readlink(proc(agent, name) / "cwd") == "/"


async def test_only_their_user_can_open_folder_keys_and_sockets(agent: Running) -> None:
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in (agent.folder, *agent.folder.iterdir(), *agent.sockets.iterdir())
    }

    for name in (agent.folder.name, "run", "logs"):
        assert modes[name] == 0o700, name
    for name in ("owner-key", "developer-seed", "gate.sock", "mind.sock", "terminal.sock", "vault-owner.sock"):
        assert modes[name] == 0o600, name


@pytest.mark.parametrize("name", NAMES)
async def test_a_dead_child_comes_back_and_the_talk_goes_on(agent: Running, name: str) -> None:
    before, url = child(agent, name).pid, agent.url
    agent.told.clear()

    agent.kill(name)
    await until(lambda: f"the {name} is back" in agent.told)
    told = await agent.say("still there?", id=f"after-{name}")

    assert told["state"] == "answered"
    assert child(agent, name).pid != before
    assert agent.told[0].startswith(f"the {name} ended (killed by signal 9); starting it again in ")
    assert agent.url == url


async def test_a_child_that_keeps_dying_is_brought_back_ever_more_slowly(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as agent:
        for number in (1, 2):
            agent.kill("mind")
            await until(lambda: agent.told.count("the mind is back") == number)  # noqa: B023 - awaited in this round

    pauses = [float(match[1]) for line in agent.told if (match := re.search(r"again in ([\d.]+) s", line))]
    assert pauses == [0.1, 0.2]


async def test_a_child_that_cannot_come_back_is_told_and_tried_again(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as agent:
        store, aside = tmp_path / "mind.db", tmp_path / "aside"
        agent.kill("mind")
        store.rename(aside)
        store.mkdir()
        await until(lambda: any("the mind did not come back: the mind's store" in line for line in agent.told))
        store.rmdir()
        aside.rename(store)
        await until(lambda: "the mind is back" in agent.told)

        assert (await agent.say("again?", id="1"))["state"] == "answered"


async def test_a_new_life_of_the_vault_is_a_new_epoch(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as agent:
        agent.kill("vault")
        await until(lambda: "the vault is back" in agent.told)
        kinds = [(entry.type, entry.epoch) for entry in await agent.leaves()]

    assert kinds == [("genesis", 1), ("epoch", 2)]


async def test_an_agent_keeps_its_keys_over_restarts_and_renames(tmp_path: Path) -> None:
    character = tmp_path / "ada.json"
    known = []
    for name in ("Ada", "Beatrice"):
        character.write_text(f'{{"name": "{name}", "bio": "One of a kind."}}')
        async with running(tmp_path / "data", [str(character)]) as agent:
            known.append(agent.agent)

    assert len({(identity["key_id"], identity["log_key"], identity["origin"]) for identity in known}) == 1
    assert [identity["epoch"] for identity in known] == [1, 2]
    assert known[1]["name"] == "Beatrice"


async def test_a_log_is_read_without_a_new_epoch(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as agent:
        identity = agent.agent
    plan = plans.make([], {"data": str(tmp_path)})

    async with vault_only(plan) as public:
        told = await public.call("leaves", {"agent": identity["agent"]})

    assert len(told["leaves"]) == 1


# -- starts that fail


@pytest.mark.parametrize(
    ("file", "sentence"),
    [("vault.db", "the vault's store"), ("mind.db", "the mind's store"), ("owner-key", "the owner key")],
)
async def test_a_child_that_cannot_start_is_told_plainly(tmp_path: Path, file: str, sentence: str) -> None:
    (tmp_path / file).write_bytes(b"this is not what should be here" * 40)

    with pytest.raises(TeeheeError, match=sentence) as caught:
        async with running(tmp_path, ["wren"]):
            pass

    assert caught.value.hint
    assert caught.value.exit_code == 2


async def test_keys_of_another_machine_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]):
        pass
    (tmp_path / "developer-seed").write_bytes(bytes(32))

    with pytest.raises(TeeheeError, match="this data folder was born with") as caught:
        async with running(tmp_path, ["wren"]):
            pass

    assert caught.value.exit_code == 2


async def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before = descendants(os.getpid())
        with pytest.raises(TeeheeError, match="cannot listen"):
            async with running(tmp_path, ["wren"], port=taken.getsockname()[1]):
                pass

    assert descendants(os.getpid()) == before
    assert not DataFolder(tmp_path).is_running
    async with running(tmp_path, ["wren"]) as agent:
        assert (await agent.say("and now?", id="1"))["state"] == "answered"


async def test_a_child_that_says_nothing_is_told_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "command", lambda name: ["/bin/sh", "-c", "echo went wrong >&2; exit 7"])
    silent = Child("mind", tmp_path)

    await silent.start()
    with pytest.raises(children.CannotStart, match="the mind ended with code 7 before it was ready") as caught:
        await silent.boot({})

    assert str(tmp_path / "mind.log") in caught.value.hint
    assert (tmp_path / "mind.log").read_text() == "went wrong\n"


@pytest.mark.parametrize("line", ["hello", "[]", '{"other": 1}'])
async def test_a_child_that_talks_nonsense_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(children, "command", lambda name: ["/bin/sh", "-c", f"echo '{line}'; read end"])
    confused = Child("mind", tmp_path)

    await confused.start()
    with pytest.raises(children.CannotStart, match="the mind"):
        await confused.boot({})
    await confused.stop(5.0)


# -- the end


async def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    async with started("run", "wren", "--data", tmp_path) as process:
        assert process.stdout is not None
        while b"web page" not in await process.stdout.readline():
            pass
        pids = descendants(process.pid)
        process.kill()
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))

    assert len(pids) == 3
    assert not DataFolder(tmp_path).is_running
    async with running(tmp_path, ["wren"]) as agent:
        assert (await agent.say("and now?", id="1"))["state"] == "answered"


async def test_every_child_ends_well_at_a_stop(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as agent:
        await agent.say("one more thing", id="1")
        processes = [child(agent, name).process for name in NAMES]

    assert [process.returncode for process in processes if process] == [0, 0, 0]
    assert agent.told == []


async def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as agent:
        os.kill(child(agent, "vault").pid, signal.SIGSTOP)
        await child(agent, "vault").stop(0.2)

        process = child(agent, "vault").process
        assert process is not None
        assert process.returncode == -signal.SIGKILL


async def test_a_large_log_is_put_aside_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_LIMIT", 100)
    monkeypatch.setattr(children, "command", lambda name: ["/bin/sh", "-c", "echo new >&2"])
    (tmp_path / "gate.log").write_text("old" * 100)
    logging = Child("gate", tmp_path)

    await logging.start()
    await logging.wait()

    assert (tmp_path / "gate.log").read_text() == "new\n"
    assert (tmp_path / "gate.log.1").read_text() == "old" * 100


async def test_an_owner_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = Owner(tmp_path / "owner-key").public

    assert Owner(tmp_path / "owner-key").public == first
    assert (tmp_path / "owner-key").stat().st_mode & 0o777 == 0o600


async def test_a_folder_tells_who_holds_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)

    with folder.held():
        assert folder.is_running
        with pytest.raises(ConfigError, match=f"in use by process {os.getpid()}"), folder.held():
            pass

    assert not folder.is_running


def descendants(pid: int) -> set[int]:
    """The living child processes of a process."""
    text = "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return {int(child) for child in text.split()}
