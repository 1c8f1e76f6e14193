"""The talk in the terminal: in a real one (tmux), in a pipe, and what its commands tell."""

import asyncio
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from teehee.cli import told
from teehee.evidence import leaf
from teehee.testing import Running, ScriptedModel, running, teehee
from teehee.testing.command_line import FRESH, command_line
from teehee.testing.processes import free_port
from teehee.testing.scripted_model import Script, Streamed, heard
from test_forgetting import files_with

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
COLUMNS, ROWS = 80, 24
LONG = "this sentence is meant to be broken at the edge of the screen, where words end and not within them "


def speak(request: Json) -> Script:
    said = heard(request)
    head = "<response><thought>t</thought><actions>REPLY</actions><text>"
    if said == "slowly":
        return Streamed([head, *(f"part-{n} " for n in range(12)), "</text></response>"], pause_seconds=0.15)
    if said == "at length":
        return Streamed([head, *(LONG for _ in range(30)), "</text></response>"], pause_seconds=0.03)
    return f"{head}heard: {said.replace(chr(10), ' / ')}</text></response>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(speak=speak) as scripted:
        yield scripted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("talk")
    async with running(folder, ["wren"], model_url=model.url, model="llama3.2", replies_per_minute=1000) as up:
        yield up


class Tmux:
    """A terminal of 80 by 24 in which `teehee ARGUMENTS` runs, `then` another command."""

    def __init__(self, socket: Path, *arguments: object, then: str = "") -> None:
        self.socket = socket
        line = " ".join(command_line(*arguments)) + (f"; {then}" if then else "")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), line)

    def tmux(self, *arguments: str, stdin: str = "") -> str:
        environment = FRESH | {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["tmux", "-u", "-S", self.socket, *arguments], input=stdin, capture_output=True, text=True, env=environment
        )
        return done.stdout

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def key(self, name: str) -> None:
        self.tmux("send-keys", name)

    def paste(self, text: str) -> None:
        self.tmux("load-buffer", "-", stdin=text)
        self.tmux("paste-buffer", "-p")

    def screen(self, *more: str) -> str:
        return self.tmux("capture-pane", "-p", *more)

    async def until(self, claim: Callable[[str], bool], seconds: float = 30.0) -> str:
        """The screen once `claim` holds of it."""
        seen = ""
        try:
            async with asyncio.timeout(seconds):
                while not claim(seen := await asyncio.to_thread(self.screen)):  # noqa: ASYNC110 - tmux tells of no change
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise AssertionError(f"never shown; the screen is\n{seen}") from None
        return seen

    async def until_shown(self, text: str) -> str:
        return await self.until(lambda screen: text in screen)

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def open_tmux() -> Iterator[Callable[..., Tmux]]:
    if shutil.which("tmux") is None:
        if os.environ.get("TEEHEE_REQUIRE_TOOLS"):
            pytest.fail("tmux is needed: apt install tmux")
        pytest.skip("needs tmux (apt install tmux)")
    opened: list[Tmux] = []
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short

        def start(*arguments: object, then: str = "") -> Tmux:
            opened.append(Tmux(Path(folder) / f"{len(opened)}", *arguments, then=then))
            return opened[-1]

        yield start
        for terminal in opened:
            terminal.close()


def lines_of(screen: str) -> list[str]:
    return [line for line in screen.splitlines() if line.strip()]


# -- in a terminal


async def test_an_answer_is_seen_growing_and_stands_once_in_the_end(
    agent: Running, open_tmux: Callable[..., Tmux]
) -> None:
    terminal = open_tmux("chat", "--data", agent.folder)
    await terminal.until_shown("you ›")

    terminal.type("slowly")
    await terminal.until(lambda screen: "part-3" in screen and "part-9" not in screen)
    screen = await terminal.until(lambda screen: "part-11" in screen and screen.rstrip().endswith("you ›"))

    assert screen.count("part-3") == 1


async def test_an_answer_longer_than_the_screen_is_shown_whole_and_once(
    agent: Running, open_tmux: Callable[..., Tmux]
) -> None:
    terminal = open_tmux("chat", "--data", agent.folder)
    await terminal.until_shown("you ›")

    terminal.type("at length")
    await terminal.until_shown("edge of the screen")
    await terminal.until(lambda screen: screen.rstrip().endswith("you ›"))
    everything = " ".join(terminal.screen("-S", "-200").rpartition("Wren › ")[2].split())

    assert everything.count("broken at the edge") == 30
    assert terminal.screen("-S", "-200").count("Wren › this") == 1


async def test_several_lines_are_one_message(agent: Running, open_tmux: Callable[..., Tmux]) -> None:
    terminal = open_tmux("chat", "--data", agent.folder)
    await terminal.until_shown("you ›")

    terminal.type("a first line\\")
    terminal.type("and a second")
    await terminal.until_shown("heard: a first line / and a second")
    await terminal.until(lambda screen: screen.rstrip().endswith("you ›"))
    terminal.paste("pasted one\npasted two\npasted three")
    terminal.key("Enter")
    await terminal.until_shown("heard: pasted one / pasted two / pasted three")


async def test_what_was_said_is_recalled_and_shown_again(agent: Running, open_tmux: Callable[..., Tmux]) -> None:
    first = open_tmux("chat", "--data", agent.folder)
    await first.until_shown("you ›")
    first.type("remember the lighthouse")
    await first.until_shown("heard: remember the lighthouse")
    first.type("/quit")

    terminal = open_tmux("chat", "--data", agent.folder)
    await terminal.until(lambda screen: "Wren › heard: remember the lighthouse" in screen and "/help" in screen)
    await terminal.until(lambda screen: screen.rstrip().endswith("you ›"))
    terminal.key("Up")
    screen = await terminal.until(lambda screen: screen.rstrip().endswith("you › remember the lighthouse"))

    assert screen.index("heard: remember") < screen.index("Say something to Wren")


async def test_what_comes_late_does_not_tear_the_line_being_written(
    agent: Running, open_tmux: Callable[..., Tmux]
) -> None:
    terminal = open_tmux("chat", "--data", agent.folder)
    await terminal.until_shown("you ›")
    terminal.tmux("send-keys", "-l", "half a thou")
    await terminal.until_shown("half a thou")

    await agent.door.call("say", {"text": "from elsewhere", "id": secrets.token_hex(8), "wait": 0})
    screen = await terminal.until(
        lambda screen: screen.rstrip().endswith("you › half a thou") and "elsewhere" in screen
    )
    terminal.type("ght")
    await terminal.until_shown("heard: half a thought")

    assert lines_of(screen)[-2] == "Wren › heard: from elsewhere"


async def test_keys_pressed_during_an_answer_wait_for_the_next_line(
    agent: Running, open_tmux: Callable[..., Tmux]
) -> None:
    terminal = open_tmux("chat", "--data", agent.folder)
    await terminal.until_shown("you ›")
    terminal.type("slowly")
    await terminal.until_shown("part-2")
    terminal.tmux("send-keys", "-l", "already typing")

    screen = await terminal.until(lambda screen: screen.rstrip().endswith("you › already typing"))

    assert screen.count("already typing") == 1


@pytest.mark.parametrize("key", ["C-c", "C-d"])
async def test_the_terminal_is_left_as_it_was(agent: Running, open_tmux: Callable[..., Tmux], key: str) -> None:
    terminal = open_tmux("chat", "--data", agent.folder, then="stty -a; sleep 60")
    await terminal.until_shown("you ›")
    terminal.key(key)

    screen = await terminal.until_shown("icanon")

    assert re.search(r"(?<!-)\becho\b", screen)
    assert re.search(r"(?<!-)\bicanon\b", screen)


async def test_the_commands_tell_what_they_should(tmp_path: Path, open_tmux: Callable[..., Tmux]) -> None:
    async with ScriptedModel(speak=speak) as model:
        options = ("--data", tmp_path / "data", "--model-url", model.url, "--model", "llama3.2", "--port", free_port())
        terminal = open_tmux("run", "wren", *options)
        await terminal.until_shown("you ›")
        terminal.type("/receipt")
        await terminal.until_shown("nothing was said yet")
        terminal.type("hello")
        await terminal.until_shown("heard: hello")
        terminal.type("/why")
        screen = await terminal.until_shown("the others the same all day")
        assert re.search(r"brain +llama3\.2", screen)
        assert re.search(r"policy +allowed by base\.reply", screen)
        assert re.search(r"CHARACTER +\d,\d{3} +█+", screen)
        terminal.type("/help")
        await terminal.until_shown("/forget")
        terminal.type("/nonsense")
        await terminal.until_shown("there is no /nonsense")
        terminal.type("/quit")
        await terminal.until_shown("stopping")


async def test_status_works_while_the_model_is_down(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    async with running(tmp_path, ["wren"], model_url=dead, model="llama3.2"):
        done = await teehee("chat", "--data", tmp_path, stdin="hello?\n/status\n")

    assert done.code == 0, done.err
    assert "cannot reach its model" in done.out
    assert "Wren · answering · trust: dev\n  brain  llama3.2\n" in done.out
    assert "  today  1 message, 0 replies\n" in done.out
    assert re.search(r"  log    \d+ leaf|  log    \d+ leaves, signed by log key [0-9a-f]{16}…", done.out)


# -- in a pipe


async def test_forgetting_asks_first_and_then_nothing_is_left(tmp_path: Path) -> None:
    async with ScriptedModel(speak=speak) as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        done = await teehee("chat", "--data", tmp_path, stdin="my canary sings\n/forget\n")
        kept = files_with(tmp_path, "canary")
        forgot = await teehee("chat", "--data", tmp_path, stdin="/forget yes\n/receipt\n/forget yes\n")
        left = files_with(tmp_path, "canary")
        kinds = [entry.type for entry in await agent.leaves()]

    assert "type: /forget yes" in done.out
    assert kept != []
    assert "✓ forgotten: 1 reply" in forgot.out
    assert "kept nothing of you" in forgot.out
    assert left == []
    assert kinds[-1] == leaf.Forget.type


async def test_a_pipe_gets_answers_and_no_draft_colour_or_prompt(agent: Running) -> None:
    done = await teehee("chat", "--data", agent.folder, stdin="slowly\n/why\nover\\\ntwo lines\n")

    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    assert "you ›" not in done.out
    assert done.out.count("part-3") == 1
    assert "what it was told" in done.out
    assert "Wren › heard: over / two lines" in done.out


async def test_nothing_an_agent_writes_steers_the_terminal() -> None:
    assert told.plain("a\x1b[2Jb\x07c\rd\u202ee\nf") == "a[2Jbcde\nf"
