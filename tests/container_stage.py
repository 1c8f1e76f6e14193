"""compose.yaml up, for tests: our image three times, on a guest agent outside it, with an owner from elsewhere."""

import contextlib
import ctypes
import json
import re
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from container_engine import IMAGE, ROOT, SECONDS, Engine, wait_for
from teehee.testing.command_line import FRESH, command_line
from teehee.testing.processes import free_port

Json = Any
SOCKET = "/var/run/dstack.sock"
CLONE_NEWNET = 0x40000000  # sched.h
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


@contextlib.contextmanager
def deployed(made: Engine, folder: Path, text: str) -> Iterator[Agent]:
    """This compose file, up on a guest agent of its own."""
    with guest(text, folder):
        file, port = folder / "compose.yaml", free_port()
        file.write_text(running(text, folder / "guest.sock", port))
        up = Agent(made, file, f"http://127.0.0.1:{port}")
        up.compose("up", "--detach", "--pull", "never")
        try:
            yield up
        finally:
            up.compose("down", "--volumes")


def command(*words: object, typed: str = "") -> tuple[int, str]:
    """(exit code, output) of a command of whoever is outside."""
    ended = subprocess.run(command_line(*words), env=FRESH, capture_output=True, text=True, input=typed)
    return ended.returncode, ended.stdout + ended.stderr


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


def listening_inside(pid: int, port: int) -> socket.socket:
    """A socket on loopback as a container sees it, which is served out here. `pid` is a process of the container's."""
    found: list[socket.socket] = []

    def enter() -> None:
        with open(f"/proc/{pid}/ns/net") as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "the container's network cannot be entered")
        found.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=enter)  # a network is entered by one thread, which ends there
    thread.start()
    thread.join()
    return found[0]
