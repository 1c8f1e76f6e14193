"""The image and compose.yaml, as a cloud runs them: three real containers on a guest agent outside the image."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from container_engine import IMAGE, MAY_BUILD, ROOT, Engine, build_again, engine, fetched, wait_for
from container_stage import Agent, Owner, app_compose, command, deployed, listening_inside, owned, pinned, shipped
from teehee.evidence import compose
from teehee.testing import TelegramServer, until
from teehee.testing.command_line import FRESH, command_line

pytestmark = MAY_BUILD

Json = Any
PARTS = ("vault", "mind", "gate")
GRACE_SECONDS = 20  # of compose.yaml


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    """Whoever may stop and resume it, with a key in a folder of their own."""
    folder = tmp_path_factory.mktemp("owner")
    return Owner(folder, command("owner", "--data", folder)[1].strip())


@pytest.fixture(scope="module")
def made() -> Iterator[Engine]:
    with engine() as up:
        yield up


@pytest.fixture(scope="module")
def agent(made: Engine, owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with deployed(made, tmp_path_factory.mktemp("teehee"), owned(pinned(made), owner)) as up:
        yield up


# -- what is written


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    ended = subprocess.run([fetched("tools") / "bin/hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)

    assert (ended.returncode, ended.stdout) == (0, "")


def test_docker_compose_takes_the_file_and_refuses_a_wrong_key(made: Engine, tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(shipped().replace("read_only:", "read_onyl:"))

    assert made.compose(ROOT / "compose.yaml", "config", "--quiet") == ""
    with pytest.raises(AssertionError, match="read_onyl"):
        made.compose(wrong, "config", "--quiet")


def test_our_own_linter_has_nothing_but_notes_on_what_we_tell_people_to_deploy(made: Engine) -> None:
    findings = compose.lint(compose.parse(app_compose(pinned(made)).encode()))

    assert {(finding.severity, finding.code, finding.where) for finding in findings} == {
        *(("note", "sidecar", f"services.{part}") for part in ("mind", "gate")),
        ("note", "unpinned-key-provider", "key_provider_id"),
        *(("note", "shared-volume", f"volumes.{name}") for name in SHARED),
    }


SHARED = ("vault-mind", "vault-gate", "vault-public", "gate", "mind")


@pytest.mark.long
def test_another_build_from_another_copy_gives_the_same_image_to_the_byte(made: Engine, tmp_path: Path) -> None:
    build_again(made, tmp_path, again := "localhost/teehee:again")
    first, second = (made.inspect(name) for name in (IMAGE, again))
    made.podman("rmi", again)

    assert first["RootFS"]["Layers"] == second["RootFS"]["Layers"]
    assert (first["Id"], first["Digest"]) == (second["Id"], second["Digest"])


# -- what runs


def test_people_talk_to_it_and_get_a_receipt_that_says_dev(agent: Agent) -> None:
    message = agent.say("hello", "first")
    receipt = agent.get(f"/api/receipts/{message['id']}")

    assert message["text"]
    assert receipt["leaves"][0]["type"] == "intent"
    assert receipt["trust"] == "dev"
    for part in ("mind", "gate"):
        said = agent.engine.podman("logs", agent.name(part))
        assert "trust: dev. A simulator signed for this machine, not Intel" in said.stdout + said.stderr


def test_verify_holds_from_outside_and_closed_is_the_rung(agent: Agent) -> None:
    agent.say("hello", "verify")
    folder = agent.file.parent
    trusted = ("--dev-root", folder / "dev-root.pem", "--collateral", folder / "collateral.json")
    line = command_line("verify", agent.url, *trusted, "--nonce", "c0ffee", "--rung", "2", "--json")
    ended = subprocess.run(line, env=FRESH, capture_output=True, text=True)

    verdict = json.loads(ended.stdout)
    assert verdict["rejects"] == []
    assert (ended.returncode, verdict["rung"], verdict["trust"]) == (0, 2, "dev")
    booted = compose.compose_hash((folder / "app-compose.json").read_bytes()).hex()
    assert verdict["facts"]["compose_hash"] == booted


@pytest.mark.parametrize(
    ("part", "interfaces", "sockets", "serves", "has_guest"),
    [
        ("vault", ["lo"], ["vault-gate", "vault-mind", "vault-owner", "vault-public"], 4, True),
        ("mind", ["lo"], ["mind", "gate", "vault-mind"], 1, False),
        ("gate", ["eth0", "lo"], ["gate", "terminal", "mind", "vault-gate", "vault-public"], 2, False),
    ],
)
def test_a_container_has_what_its_part_needs_and_no_more(
    agent: Agent, part: str, interfaces: list[str], sockets: list[str], serves: int, has_guest: bool
) -> None:
    agent.say("hello", f"look at {part}")
    seen = agent.look(part)

    assert seen["interfaces"] == interfaces
    assert seen["guest"] is has_guest
    assert seen["uid"] == ["10001"] * 4
    assert int(seen["caps"], 16) == 0
    assert seen["no_new_privs"] == "1"
    assert sorted(seen["sockets"]) == sorted(f"{name}.sock" for name in sockets)
    own = {f"/run/teehee/{name}" for name in sockets[:serves]}
    assert set(seen["writable"]) == {"/data", "/tmp", *own}
    assert seen["environment"].rstrip("\0").split("\0") == ["LANG=C.UTF-8", "LC_ALL=C.UTF-8"]


def test_every_part_says_that_it_is_well(agent: Agent) -> None:
    agent.say("hello", "health")

    for part in PARTS:
        assert agent.engine.podman("healthcheck", "run", agent.name(part)).returncode == 0


def test_its_owner_stops_and_resumes_it_from_elsewhere(agent: Agent, owner: Owner, tmp_path: Path) -> None:
    agent.say("hello", "before the order")
    folder = agent.file.parent
    app_id = json.loads(agent.get("/bundle.json")["statement"])["app_id"]
    trusted = ("--dev-root", folder / "dev-root.pem", "--collateral", folder / "collateral.json", "--rung", "2")
    meant = ("--url", agent.url, "--app-id", app_id, *trusted, "--data")

    stranger = command("owner", "--data", tmp_path), command("stop", *meant, tmp_path)
    stopped = command("stop", *meant, owner.data)
    state = command("owner", *meant, owner.data)
    asleep = agent.get("/readyz")["stopped"]
    resumed = command("resume", *meant, owner.data)

    assert stranger[1][0] == 3
    assert "owner.key-unknown" in stranger[1][1]
    assert stopped == (0, "stopped: Wren\n")
    assert state[1].startswith("Wren · stopped · ")
    assert asleep == ["wren"]
    assert resumed == (0, "resumed: Wren\n")
    assert agent.say("hello", "after the order")["text"]


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_comes_back_and_the_conversation_goes_on(agent: Agent, part: str) -> None:
    agent.say("hello", f"before {part}")
    killed = agent.pid(part)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: agent.pid(part) not in (0, killed))

    assert agent.say("still there?", f"after {part}")["text"]


def test_nothing_is_written_outside_the_volumes(agent: Agent) -> None:
    agent.say("hello", "diff")

    for part in PARTS:
        changed = agent.engine.podman("diff", agent.name(part)).stdout.split("\n")
        assert set(changed) <= {"C /etc", ""}  # the engine's own mount points


def test_a_stop_is_quick_in_order_and_nothing_is_lost(agent: Agent) -> None:
    before = agent.say("hello", "before the stop")
    started = time.monotonic()
    agent.compose("stop")
    took = time.monotonic() - started

    ended = {part: agent.engine.inspect(agent.name(part))["State"] for part in PARTS}
    assert {part: state["ExitCode"] for part, state in ended.items()} == dict.fromkeys(PARTS, 0)
    times = [ended[part]["FinishedAt"] for part in ("gate", "mind", "vault")]
    assert times == sorted(times)
    assert took < GRACE_SECONDS
    agent.compose("start")
    assert agent.say("hello", "after the stop")["seq"] > before["seq"]


def test_a_lost_volume_is_told_and_a_volume_put_back_goes_on(agent: Agent, tmp_path: Path) -> None:
    before = agent.say("hello", "before the loss")
    volume, kept = f"{agent.file.parent.name}_vault-data", tmp_path / "vault-data.tar"
    agent.compose("stop")
    agent.engine.podman("volume", "export", volume, "--output", kept)
    agent.engine.podman("rm", agent.name("vault"))
    agent.engine.podman("volume", "rm", volume)

    agent.compose("up", "--detach", "--pull", "never", "vault")
    wait_for(lambda: "the vault's store is gone" in agent.engine.podman("logs", agent.name("vault")).stderr)
    agent.compose("stop")
    agent.engine.podman("volume", "import", volume, kept)
    agent.compose("up", "--detach", "--pull", "never")

    assert agent.say("hello", "after the loss")["seq"] > before["seq"]


# -- Telegram


class Inside(TelegramServer):
    """Telegram as a container sees it on its own loopback."""

    def __init__(self, door: socket.socket) -> None:
        super().__init__()
        self.door = door

    async def _listen(self) -> None:
        assert self._runner is not None
        await web.SockSite(self._runner, self.door).start()


def on_telegram(text: str, port: int) -> str:
    """The compose file of an agent that is on Telegram and has no token."""
    wren = '"bio": ["Wren keeps a small lighthouse and answers whoever writes."]'
    more = {"plugins": ["telegram"], "settings": {"TELEGRAM_API_ROOT": f"http://127.0.0.1:{port}"}}
    assert text.count(wren) == 1
    return text.replace(wren, f"{wren}, {json.dumps(more)[1:-1]}")


async def test_its_owner_gives_it_a_token_from_elsewhere_and_it_talks_on_telegram(
    made: Engine, owner: Owner, tmp_path: Path
) -> None:
    text = owned(on_telegram(pinned(made), 8081), owner)
    with deployed(made, tmp_path, text) as agent:
        agent.say("hello", "up")
        async with Inside(listening_inside(agent.pid("gate"), 8081)) as telegram:
            app_id = json.loads(agent.get("/bundle.json")["statement"])["app_id"]
            trusted = ("--dev-root", tmp_path / "dev-root.pem", "--collateral", tmp_path / "collateral.json")
            line = ("secrets", "set", "telegram", "--url", agent.url, "--app-id", app_id, "--rung", "2", *trusted)
            given = await asyncio.to_thread(command, *line, "--data", owner.data, typed=telegram.world.me.token)
            chat = telegram.world.private(sam := telegram.world.user("Sam"))
            sam.says(chat, "hello there")
            await until(lambda: len(telegram.world.texts(chat)) == 1, seconds=30)
            sam.says(chat, "/verify")
            await until(lambda: len(telegram.world.texts(chat)) == 2, seconds=30)
        said = [agent.engine.podman("logs", agent.name(part)) for part in PARTS]

    assert given[0] == 0, given[1]
    assert "Trust: dev" in telegram.world.texts(chat)[1]
    assert not any(telegram.world.me.token in out.stdout + out.stderr for out in said)


# -- what is refused


def test_an_image_without_a_guest_agent_does_not_start(made: Engine) -> None:
    for words in (["serve", "vault", "wren"], ["run", "wren", "--data", "/data"], ["ask", "hello", "--data", "/data"]):
        alone = ("--rm", "--read-only", "--network", "none", "--volume", "/data")
        ended = made.podman("run", *alone, IMAGE, *words, check=False)

        assert ended.returncode == 2
        assert "this image runs only in a TEE: no guest agent's socket is mounted" in ended.stderr
        assert "mount /var/run/dstack.sock into the vault's container" in ended.stderr


def test_the_image_has_no_simulator(made: Engine) -> None:
    ended = made.podman("run", "--rm", "--network", "none", IMAGE, "simulator", "--socket", "/tmp/s", check=False)

    assert (ended.returncode, ended.stderr.splitlines()[0]) == (2, "teehee: this image has no simulator")


def test_no_variable_makes_the_image_believe_that_it_is_none(made: Engine) -> None:
    steering = ("TEEHEE_GUEST=", "TEEHEE_IMAGE=0", "DSTACK_SIMULATOR_ENDPOINT=http://127.0.0.1:1", "TEE_MODE=LOCAL")
    variables = [word for variable in steering for word in ("--env", variable)]
    ended = made.podman("run", "--rm", *variables, "--network", "none", IMAGE, "serve", "vault", "wren", check=False)

    assert ended.returncode == 2
    assert "this image runs only in a TEE" in ended.stderr


def test_there_is_nothing_in_the_image_to_install_with(made: Engine) -> None:
    script = (
        "import importlib.util as u; print([m for m in ('pip', 'hatchling', 'pytest', 'aiohttp') if u.find_spec(m)])"
    )
    line = ("--entrypoint", "/opt/teehee/bin/python", IMAGE, "-c", script)

    assert made.podman("run", "--rm", "--network", "none", *line).stdout == "['aiohttp']\n"
