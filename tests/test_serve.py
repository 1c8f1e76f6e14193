"""`teehee serve`: three parts that nobody supervises, each configured by its own command line alone."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from teehee.cli import afar
from teehee.errors import Refused
from teehee.supervisor.owner import Owner
from teehee.tee.simulator import Simulator
from teehee.testing import ScriptedModel, until
from teehee.testing.command_line import FRESH, command_line, teehee
from teehee.testing.people import WebPerson
from teehee.testing.processes import free_port
from teehee.wire.client import Client

Json = Any
SEED = bytes(range(32))
SOCKETS = ("vault-mind", "vault-gate", "vault-public", "vault-owner", "gate", "mind", "terminal")
CHARACTER = json.dumps({"name": "Ada", "bio": "Ada counts $5 notes."})
KEY = "sk-a-key-for-the-vault-alone"


@dataclass(slots=True)
class Parts:
    """The three processes of a test, and what each is told. A part may start, die and start again."""

    folder: Path
    port: int
    more: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)  # of the vault
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def sockets(self) -> Path:
        return self.folder / "run"

    def command(self, part: str, character: str = CHARACTER) -> list[str]:
        given = ["serve", part, character, "--data", self.folder / part, "--sockets", self.sockets, *self.more]
        given += ["--port", self.port] if part == "gate" else []
        return command_line(*given, *(["--guest", self.folder / "guest.sock"] if part == "vault" else []))

    async def start(self, *names: str) -> None:
        for name in names:
            with open(self.folder / f"{name}.log", "ab") as log:  # noqa: ASYNC230 - handed over, not written here
                self.running[name] = await asyncio.create_subprocess_exec(
                    *self.command(name),
                    env=FRESH | (self.environment if name == "vault" else {}),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    async def end(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.running.pop(name)
        if process.returncode is None:
            process.send_signal(number)
        async with asyncio.timeout(20):
            return await process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    @contextlib.asynccontextmanager
    async def person(self) -> AsyncIterator[WebPerson]:
        async with aiohttp.ClientSession() as http:
            yield WebPerson(http, f"http://127.0.0.1:{self.port}", "ada")


@contextlib.asynccontextmanager
async def parts(folder: Path, *more: str, **environment: str) -> AsyncIterator[Parts]:
    """Nothing runs yet but a guest agent; a socket's folder is there for each, as volumes are."""
    for name in SOCKETS:
        (folder / "run" / name).mkdir(parents=True)
    async with Simulator(SEED) as guest:
        await guest.listen(socket=folder / "guest.sock")
        (folder / "dev-root.pem").write_text(ssl.DER_cert_to_PEM_cert(guest.root_der))
        (folder / "collateral.json").write_text(json.dumps(guest.collateral(int(time.time()))))
        made = Parts(folder, free_port(), more, environment)
        try:
            yield made
        finally:
            for name in list(made.running):
                await made.end(name, signal.SIGKILL)


async def test_the_parts_find_each_other_in_any_order_and_after_any_death(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent, agent.person() as person:
        await agent.start("gate", "mind")
        await until(lambda: all((tmp_path / name / "lock").exists() for name in ("gate", "mind")))
        await agent.start("vault")
        for number, name in enumerate(("vault", "gate", "mind")):
            await person.say("hello", id=f"before {name}", wait=20)
            await agent.end(name, signal.SIGKILL)
            await agent.start(name)
            await person.say("still there?", id=f"after {name}", wait=20)
            assert len(await person.hear(2 * number + 2)) == 2 * number + 2


async def test_every_part_ends_on_its_own_when_told(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent, agent.person() as person:
        await agent.start("vault", "mind", "gate")
        await person.say("hello", id="1", wait=20)
        assert [await agent.end(name) for name in ("gate", "mind", "vault")] == [0, 0, 0]
        assert [path.name for path in agent.sockets.rglob("*.sock")] == []


async def test_a_part_that_waits_for_the_vault_can_be_told_to_end(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent:
        await agent.start("mind")
        await until((tmp_path / "mind/lock").exists)
        assert await agent.end("mind") == 0


async def test_a_turn_under_way_is_answered_before_the_gate_goes(tmp_path: Path) -> None:
    async def slow(request: Json) -> str:
        await asyncio.sleep(1.5)
        return "<response><actions>REPLY</actions><text>worth the wait</text></response>"

    async with ScriptedModel(speak=slow) as model, parts(tmp_path, "--model-url", model.url) as agent:
        await agent.start("vault", "mind", "gate")
        async with agent.person() as person:
            asked = asyncio.ensure_future(person.say("hello", id="1", wait=20))
            await until(lambda: bool(model.requests))
            assert await agent.end("gate") == 0
            assert [message["text"] for message in (await asked)["messages"]] == ["worth the wait"]


async def test_the_key_is_in_the_vault_and_at_the_model_and_nowhere_else(tmp_path: Path) -> None:
    async with ScriptedModel() as model:
        named = ("--secret", "OPENAI_API_KEY", "--model-url", model.url)
        async with parts(tmp_path, *named, OPENAI_API_KEY=KEY, TEEHEE_MODEL="not-measured") as agent:
            await agent.start("vault", "mind", "gate")
            async with agent.person() as person:
                told = await person.say("hello", id="1", wait=20)
            assert told["messages"][0]["text"] == "heard: hello"
            assert model.headers[0]["Authorization"] == f"Bearer {KEY}"
            assert model.requests[0]["model"] == ""  # of the environment nothing counts but the secrets it names
            pids = [process.pid for process in agent.running.values()]
            shown = [Path("/proc", str(pid), name) for pid in pids for name in ("environ", "cmdline")]
            assert holding_the_key(shown) == []
            assert [os.readlink(f"/proc/{pid}/fd/0") for pid in pids] == [os.devnull] * 3
        assert holding_the_key([tmp_path]) == []


def holding_the_key(paths: Iterable[Path]) -> list[Path]:
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return [file for file in files if file.is_file() and KEY.encode() in file.read_bytes()]


async def test_the_measured_compose_configures_and_an_owner_may_only_stop_and_hand_over_secrets(tmp_path: Path) -> None:
    (tmp_path / "owner-key").write_bytes(SEED)
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw().hex()
    async with parts(tmp_path, "--owner", public) as agent:
        await agent.start("vault", "mind", "gate")
        owner = Owner(tmp_path / "owner-key")
        async with Client(agent.sockets / "vault-owner/vault-owner.sock") as door, agent.person() as person:
            await person.say("hello", id="1", wait=20)
            told = await owner.ask(door, "secret.set", {"name": "ada/TELEGRAM_BOT_TOKEN", "value": KEY})
            assert told == {"version": 1, "changed": True, "before": ""}
            assert [one["name"] for one in (await owner.ask(door, "secret.names", {}))["secrets"]] == [
                "ada/TELEGRAM_BOT_TOKEN"
            ]
            for method in ("configure", "recall", "backup.key", "restored"):
                with pytest.raises(Refused, match=r"known are stop, resume, status, secret\.set, secret\.names"):
                    await owner.ask(door, method, {"agents": []})
            assert (await owner.ask(door, "stop", {}))["changed"] == ["Ada"]
            assert (await person.say("hello", id="2", wait=20))["state"] == "stopped"
            assert (await owner.ask(door, "resume", {}))["changed"] == ["Ada"]
        assert await from_afar(agent, tmp_path / "owner-key") == [["Ada"], True, "owner.method-unknown", ["Ada"]]


async def from_afar(agent: Parts, key: Path) -> list[Json]:
    """What the same owner achieves by the agent's address: a stop, a secret, no other policy, a resume."""
    root, collateral = agent.folder / "dev-root.pem", agent.folder / "collateral.json"
    url = f"http://127.0.0.1:{agent.port}"
    async with aiohttp.ClientSession() as http, http.get(f"{url}/bundle.json") as answer:
        app_id = json.loads((await answer.json())["statement"])["app_id"]
    there = afar.Elsewhere(url, app_id, dev_root=root, collateral=collateral)
    vault = await asyncio.to_thread(afar.Vault, there, key)
    told: list[Json] = []
    secret = {"name": "ada/X", "value": "x"}
    for method, params in (("stop", {}), ("secret.set", secret), ("configure", {}), ("resume", {})):
        try:
            told.append((await asyncio.to_thread(vault.ask, method, params))["changed"])
        except Refused as refusal:
            told.append(refusal.rule)
    return told


async def test_a_character_with_secrets_is_refused_by_every_part(tmp_path: Path) -> None:
    leaky = json.dumps({"name": "Ada", "bio": "b", "settings": {"secrets": {"OPENAI_API_KEY": KEY}}})
    async with parts(tmp_path) as agent:
        for part in ("vault", "gate", "mind"):
            ended = await teehee(*agent.command(part, leaky)[1:])
            assert ended.code == 2
            assert re.search(r"Ada holds secrets \(.*OPENAI_API_KEY\), and what is measured is public", ended.err)
            assert KEY not in ended.err + ended.out


async def test_a_character_that_shows_a_secret_of_the_vault_is_refused(tmp_path: Path) -> None:
    async with parts(tmp_path, "--secret", "OPENAI_API_KEY") as agent:
        line = agent.command("vault", json.dumps({"name": "Ada", "bio": f"my key is {KEY}, keep it"}))
        ended = await teehee(*line[1:], environment={"OPENAI_API_KEY": KEY})

    assert ended.code == 2
    assert "Ada holds secrets (OPENAI_API_KEY), and what is measured is public" in ended.err
    assert KEY not in ended.err


async def test_a_part_with_another_character_than_the_vault_refuses(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent:
        await agent.start("vault")
        for part in ("gate", "mind"):
            ended = await teehee(*agent.command(part, '{"name":"Ada","bio":"somebody else"}')[1:])
            assert ended.code == 2
            assert "Ada is package" in ended.err
            assert "give all three containers the same characters" in ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gate", "wren", "--secret", "TEEHEE_MODEL_URL"], "--secret TEEHEE_MODEL_URL: by its name no secret"),
        (["vault", "wren", "--secret", "OPENAI_API_KEY"], "OPENAI_API_KEY: named with --secret, and not in this envir"),
        (["vault", "wren", "--owner", "abc"], "--owner 'abc': expected 64 lower-case hex digits"),
        (["brain", "wren"], "no part 'brain'"),
    ],
)
async def test_what_cannot_start_is_a_sentence(tmp_path: Path, words: list[str], says: str) -> None:
    ended = await teehee("serve", *words, "--data", tmp_path, "--sockets", tmp_path, "--guest", tmp_path / "no.sock")

    assert ended.code == 2
    assert says in ended.err


async def test_two_parts_never_share_a_data_folder(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent:
        await agent.start("vault")
        async with agent.person() as person:
            await agent.start("mind", "gate")
            await person.say("hello", id="1", wait=20)
        ended = await teehee(*agent.command("vault")[1:])

    assert ended.code == 2
    assert "is in use by process" in ended.err


async def test_health_says_whether_a_part_answers(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent:
        assert (await teehee("health", "gate", "--sockets", agent.sockets)).code != 0
        await agent.start("vault", "mind", "gate")
        async with agent.person() as person:
            await person.say("hello", id="1", wait=20)
        for part in ("vault", "gate", "mind"):
            ended = await teehee("health", part, "--sockets", agent.sockets)
            assert (ended.code, ended.out) == (0, f"{part}: answers\n")


# -- a store that was lost


PARTS = ("vault", "mind", "gate")


async def talked(agent: Parts, id: str) -> None:
    """All three start, somebody is answered, and they end."""
    async with agent.person() as person:
        await agent.start(*PARTS)
        assert (await person.say("hello", id=id, wait=20))["state"] == "answered"
        assert [await agent.end(name) for name in reversed(PARTS)] == [0, 0, 0]


async def refused(agent: Parts, part: str) -> str:
    """The word with which a part refuses to begin its store anew."""
    ended = await teehee(*agent.command(part)[1:])
    assert ended.code == 2, ended.err
    assert f"the {part}'s store is gone" in ended.err
    assert "put its volume back" in ended.err
    (word,) = re.findall(r"--lost (\w+)", ended.err)
    return str(word)


def lose(folder: Path) -> None:
    """Takes all that a volume holds."""
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("part", ["vault", *(pytest.param(name, marks=pytest.mark.long) for name in ("mind", "gate"))])
async def test_a_lost_data_volume_is_refused_until_its_loss_is_accepted_by_name(tmp_path: Path, part: str) -> None:
    async with parts(tmp_path) as agent:
        await talked(agent, "1")
        lose(tmp_path / part)
        if part != "vault":
            await agent.start("vault")
        word = await refused(agent, part)
        assert await refused(agent, part) == word, "it is asked for the same at every start"
        assert {path.name for path in (tmp_path / part).iterdir()} <= {"lock", "logs"}, "something was begun anew"
        for name in list(agent.running):
            await agent.end(name)

        agent.more = ("--lost", word)
        await talked(agent, "2")
        lose(tmp_path / part)
        if part != "vault":
            await agent.start("vault")

        assert await refused(agent, part) != word, "one loss that was accepted is no leave for the next"


@pytest.mark.parametrize(("part", "store"), [("vault", "vault.db"), ("mind", "mind.db")])
async def test_a_store_missing_from_its_volume_or_empty_is_refused(tmp_path: Path, part: str, store: str) -> None:
    async with parts(tmp_path) as agent:
        await talked(agent, "1")
        (tmp_path / part / store).unlink()
        await refused(agent, part)

        (tmp_path / part / store).touch()
        await refused(agent, part)


async def test_the_volume_of_another_agent_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        async with parts(tmp_path / name) as agent:
            await talked(agent, "1")
            if name == "other":
                shutil.rmtree(tmp_path / "other/vault")
                shutil.copytree(tmp_path / "one/vault", tmp_path / "other/vault")

                await refused(agent, "vault")


async def test_lost_sockets_volumes_are_no_loss_and_remember_again(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent:
        await talked(agent, "1")
        for name in SOCKETS:
            lose(agent.sockets / name)
        await talked(agent, "2")
        lose(tmp_path / "vault")

        await refused(agent, "vault")


async def test_a_start_that_was_cut_off_is_not_taken_for_a_loss(tmp_path: Path) -> None:
    async with parts(tmp_path) as agent:
        for _ in range(2):
            await agent.start("mind")  # its vault is not there yet
            await until((tmp_path / "mind/lock").exists)
            await agent.end("mind", signal.SIGKILL)
        without_a_guest = [*agent.command("vault")[1:], "--guest", tmp_path / "none.sock"]
        assert (await teehee(*without_a_guest)).code != 0

        await talked(agent, "1")
