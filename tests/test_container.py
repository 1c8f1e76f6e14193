"""The image and compose.yaml, as a cloud runs them: three real containers on a guest agent outside the image."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from container_engine import IMAGE, MAY_BUILD, ROOT, SECONDS, Engine, build_again, engine, fetched, wait_for
from teehee.evidence import compose
from teehee.testing.command_line import FRESH, command_line
from teehee.testing.processes import free_port

pytestmark = MAY_BUILD

Json = Any
PARTS = ("vault", "mind", "gate")
SOCKET = "/var/run/dstack.sock"
GRACE_SECONDS = 20  # of compose.yaml
# What a container sees of itself, asked with nothing but the image's own Python.
LOOK = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\\t" in line)
def writable(path):
    try:
        os.close(os.open(path + "/.probe", os.O_CREAT | os.O_WRONLY)); os.unlink(path + "/.probe"); return True
    except OSError:
        return False
folders = ["/", "/etc", "/opt/teehee", "/usr", "/data", "/tmp"]
files = sorted(os.path.join(at, name) for at, _, names in os.walk("/run/teehee") for name in names)
sockets = [path for path in files if path.endswith(".sock")]
folders += sorted({os.path.dirname(path) for path in sockets})
print(json.dumps({
    "uid": status["Uid"].split(), "caps": status["CapEff"], "no_new_privs": status["NoNewPrivs"],
    "interfaces": sorted(os.listdir("/sys/class/net")), "sockets": [os.path.basename(path) for path in sockets],
    "writable": [path for path in folders if writable(path)], "guest": os.path.exists("/var/run/dstack.sock"),
    "environment": open("/proc/1/environ").read(), "inherited": dict(os.environ),
}))
"""


@dataclass(frozen=True, slots=True)
class Agent:
    """compose.yaml, up."""

    engine: Engine
    file: Path
    url: str

    def compose(self, *words: object) -> str:
        return self.engine.compose(self.file, *words)

    def name(self, part: str) -> str:
        return f"{self.file.parent.name}-{part}-1"

    def look(self, part: str) -> Json:
        return json.loads(self.engine.podman("exec", self.name(part), "python3", "-c", LOOK).stdout)

    def pid(self, part: str) -> int:
        return int(self.engine.inspect(self.name(part))["State"]["Pid"])

    def say(self, text: str, id: str) -> Json:
        """Posts until the message is taken."""
        post = json.dumps({"text": text, "id": id, "wait": 20}).encode()
        headers = {"content-type": "application/json"}
        end = time.monotonic() + SECONDS
        while True:
            request = urllib.request.Request(f"{self.url}/api/chat/wren/messages", post, headers)
            try:
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    told = json.load(answer)
                    if told["messages"]:
                        return told["messages"][0]
            except OSError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def get(self, path: str) -> Json:
        with urllib.request.urlopen(self.url + path, timeout=SECONDS) as answer:
            return json.load(answer)


@dataclass(frozen=True, slots=True)
class Owner:
    """`data` holds the secret half, `public` is what the measured compose names."""

    data: Path
    public: str


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    """Whoever may stop and resume it, with a key in a folder of their own."""
    folder = tmp_path_factory.mktemp("owner")
    return Owner(folder, command("owner", "--data", folder)[1].strip())


def command(*words: object) -> tuple[int, str]:
    """(exit code, output) of a command of whoever is outside."""
    ended = subprocess.run(command_line(*words), env=FRESH, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def made() -> Iterator[Engine]:
    with engine() as up:
        yield up


@pytest.fixture(scope="module")
def agent(made: Engine, owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("teehee")
    text = owned(pinned(made), owner)
    with guest(text, folder):
        file, port = folder / "compose.yaml", free_port()
        file.write_text(running(text, folder / "guest.sock", port))
        up = Agent(made, file, f"http://127.0.0.1:{port}")
        up.compose("up", "--detach", "--pull", "never")
        yield up
        up.compose("down", "--volumes")


@contextlib.contextmanager
def guest(text: str, folder: Path) -> Iterator[None]:
    """A guest agent outside the image, which pretends to have booted the app-compose around this file."""
    (folder / "app-compose.json").write_text(app_compose(text))
    socket = folder / "guest.sock"
    line = command_line("simulator", "--socket", socket, "--roots", folder, "--compose", folder / "app-compose.json")
    simulator = subprocess.Popen(line, env=FRESH, stdout=subprocess.DEVNULL)
    try:
        wait_for(socket.is_socket)
        socket.chmod(0o666)  # as dstack's is
        yield
    finally:
        simulator.terminate()
        simulator.wait(20)


def pinned(made: Engine) -> str:
    """compose.yaml with the image filled in, and nothing else changed."""
    digest = made.inspect(IMAGE)["Digest"]
    text, found = re.subn(r"(x-image: &image )\S+", rf"\1{IMAGE.split(':')[0]}@{digest}", shipped())
    assert found == 1
    return text


def owned(text: str, owner: Owner) -> str:
    """The same, with an owner."""
    return text.replace(
        "command: [serve, vault, *character]", f"command: [serve, vault, *character, --owner, {owner.public}]"
    )


def running(text: str, socket: Path, port: int) -> str:
    """The same, with this machine's guest agent and port."""
    for was, now in ((f"{SOCKET}:{SOCKET}", f"{socket}:{SOCKET}"), ('"8080:8080"', f'"127.0.0.1:{port}:8080"')):
        assert text.count(was) == 1
        text = text.replace(was, now)
    return text


def shipped() -> str:
    return (ROOT / "compose.yaml").read_text()


def app_compose(text: str, **more: Json) -> str:
    """The app-compose of docs/deploy.md around a compose file."""
    fields = json.loads(re.findall(r"```json\n(.*?)```", (ROOT / "docs/deploy.md").read_text(), re.DOTALL)[0])
    return json.dumps({**fields, "docker_compose_file": text, **more})


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
