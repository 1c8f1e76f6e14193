"""A plugin from outside: installed beside us, found, fired, remembered, removed; and what a broken one may not do."""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from teehee.plugin import Action, Plugin, Result, Turn, action, evaluator, provider
from teehee.testing import Running, ScriptedModel, fake_turn, running, teehee
from teehee.testing.scripted_model import Script, block, heard

Json = Any
DICE = '''\
"""Dice: the agent rolls when a room cannot decide, and remembers how they fell."""
from pydantic import BaseModel, Field
from teehee.plugin import Plugin, Result, Turn, action, provider

class Roll(BaseModel):
    sides: int = Field(default=6, ge=2, le=100, description="faces on the die")

@action("ROLL_DICE", similes=("FLIP_COIN", "DRAW_LOTS"))
async def roll(turn: Turn, ask: Roll) -> Result:
    """Roll a die when people ask for luck or cannot agree."""
    face = turn.random.randint(1, ask.sides)
    await turn.remember(f"{face} of {ask.sides}", table="dice")
    return Result(f"🎲 {face}", data={"face": face, "sides": ask.sides})

@provider("RECENT_ROLLS")
async def recent(turn: Turn) -> str:
    """How the dice have fallen lately in this room."""
    rolls = await turn.recall(table="dice", limit=5)
    return "\\n".join(r.text for r in rolls) or "Nobody has rolled yet."

plugin = Plugin("dice", "Luck, on the record.", actions=[roll], providers=[recent])
'''
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "teehee-dice"
version = "0.1"
dependencies = ["teehee"]
[project.entry-points."teehee.plugins"]
dice = "teehee_dice:plugin"
[tool.hatch.build.targets.wheel]
packages = ["teehee_dice"]
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the dice plugin was installed, as anyone would."""
    source, target = tmp_path_factory.mktemp("dice"), tmp_path_factory.mktemp("plugins")
    (source / "teehee_dice").mkdir()
    (source / "teehee_dice" / "__init__.py").write_text(DICE)
    (source / "pyproject.toml").write_text(PROJECT)
    ours = ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", *ours]
    uv = [
        str(shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.defpath}")),
        "pip",
        "install",
        "--quiet",
        *ours,
    ]
    subprocess.run(pip if importlib.util.find_spec("pip") else uv, check=True, timeout=100)
    return target


@dataclass
class Stage:
    model: ScriptedModel
    agent: Running

    @property
    def log(self) -> str:
        return (self.agent.folder / "logs" / "mind.log").read_text()

    def prompts(self, text: str) -> list[str]:
        return ["\n".join(m["content"] for m in r["messages"]) for r in self.model.requests if heard(r) == text]


@contextlib.asynccontextmanager
async def staged(folder: Path, plugin_path: Path, *names: str, **answers: str) -> AsyncIterator[Stage]:
    """Ada with these plugins, run for one test; `answers` are the model's, by message."""

    def speak(request: Json) -> Script:
        return answers.get(heard(request), block(f"heard: {heard(request)}"))

    character = folder / "ada.json"
    character.write_text(json.dumps({"name": "Ada", "plugins": list(names)}))
    async with (
        ScriptedModel(speak=speak) as model,
        running(folder / "data", [str(character)], model_url=model.url, plugin_path=str(plugin_path)) as agent,
    ):
        yield Stage(model, agent)


# -- the dice, from outside


async def test_an_outside_plugin_is_listed(plugins: Path) -> None:
    done = await teehee("plugins", "--json", "--plugin-path", plugins)

    assert {"name": "dice", "distribution": "teehee-dice", "version": "0.1"} in done.json


async def test_an_outside_plugin_fires_remembers_and_can_be_removed(tmp_path: Path, plugins: Path) -> None:
    mine = tmp_path / "plugins"
    await asyncio.to_thread(shutil.copytree, plugins, mine)
    answers = {
        "roll": block("", actions="ROLL_DICE", parameters='{"ROLL_DICE": {"sides": 20}}'),
        "wrong": block("", actions="ROLL_DICE", parameters='{"ROLL_DICE": {"sides": 1}}'),
    }

    async with staged(tmp_path, mine, "dice", **answers) as stage:
        before = await stage.agent.say("before", id="0")
        rolled = await stage.agent.say("roll", id="1")
        again = await stage.agent.say("roll", id="1")
        wrong = await stage.agent.say("wrong", id="2")
        await stage.agent.say("after", id="3")

    face = rolled["messages"][0]["text"].removeprefix("🎲 ")
    assert before["messages"][0]["text"] == "heard: before"
    assert 1 <= int(face) <= 20
    assert again["messages"] == rolled["messages"]
    assert wrong["state"] == "model-unfit"
    assert "sides: Input should be greater than or equal to 2" in stage.prompts("wrong")[1]
    assert "- **ROLL_DICE**: Roll a die when people ask for luck or cannot agree." in stage.prompts("before")[0]
    assert '"maximum": 100' in stage.prompts("before")[0]
    assert "Nobody has rolled yet." in stage.prompts("before")[0]
    assert f"{face} of 20" in stage.prompts("after")[0]

    for path in mine.iterdir():
        shutil.rmtree(path)
    listed = await teehee("plugins", "--json", "--plugin-path", mine)
    async with staged(tmp_path, mine, "dice") as stage:
        told = await stage.agent.say("without", id="4")

    assert [found["name"] for found in listed.json] == ["bootstrap", "telegram"]
    assert told["messages"][0]["text"] == "heard: without"
    assert "plugin 'dice': is not installed" in stage.log
    assert "ROLL_DICE" not in stage.prompts("without")[0]


async def test_a_plugin_that_must_be_there_and_is_not_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ada.json").write_text(json.dumps({"name": "Ada", "plugins": ["dice!"]}))

    done = await teehee("ask", "hi", "--character", tmp_path / "ada.json", "--data", tmp_path / "data")

    assert done.code == 2
    assert done.err.startswith("teehee: plugin 'dice': is not installed\n  what to do: pip install teehee-dice")
    assert "Traceback" not in done.err


# -- broken ones


def add(folder: Path, name: str, source: str) -> None:
    """A plugin in `folder`, as an installer would leave it there."""
    (folder / f"bad_{name}.py").write_text(source)
    info = folder / f"teehee_{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: teehee-{name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[teehee.plugins]\n{name} = bad_{name}:plugin\n")


BROKEN: Mapping[str, str] = {
    "import": "raise RuntimeError('at import')",
    "exit": "raise SystemExit(9)",
    "chatty": "print('hello from a plugin')\nfrom teehee.plugin import Plugin\nplugin = Plugin('chatty', 'Prints.')",
    "action": """
from teehee.plugin import Plugin, Result, Turn, action
@action("BREAK")
async def act(turn: Turn) -> Result:
    \"\"\"Breaks.\"\"\"
    raise RuntimeError("in an action")
plugin = Plugin("action", "Its action raises.", actions=[act])
""",
    "provider": """
import asyncio
from teehee.plugin import Plugin, Turn, provider
@provider("RAISING")
async def one(turn: Turn) -> str:
    raise RuntimeError("in a provider")
@provider("HANGING")
async def two(turn: Turn) -> str:
    if "wait" in turn.message.text:
        await asyncio.sleep(3600)
    return ""
plugin = Plugin("provider", "Its providers raise or hang.", providers=[one, two])
""",
    "evaluator": """
from teehee.plugin import Plugin, Turn, evaluator
@evaluator("JUDGE")
async def judge(turn: Turn) -> None:
    raise RuntimeError("in an evaluator")
plugin = Plugin("evaluator", "Its evaluator raises.", evaluators=[judge])
""",
    "service": """
import contextlib
from teehee.plugin import Plugin
@contextlib.asynccontextmanager
async def serve(character, settings):
    raise RuntimeError("in a service")
    yield
plugin = Plugin("service", "Its service raises.", services=[serve])
""",
}


@pytest.mark.parametrize("name", ["import", "exit", "chatty", "service"])
async def test_a_plugin_that_breaks_at_the_start_stops_no_agent(tmp_path: Path, name: str) -> None:
    (tmp_path / "plugins").mkdir()
    add(tmp_path / "plugins", name, BROKEN[name])

    async with staged(tmp_path, tmp_path / "plugins", name) as stage:
        told = await stage.agent.say("still there?", id="1")

    assert told["messages"][0]["text"] == "heard: still there?"
    assert name == "chatty" or f'"plugin": "{name}"' in stage.log


async def test_plugins_that_break_in_a_turn_stop_no_answer(tmp_path: Path) -> None:
    names = ("action", "provider", "evaluator")
    (tmp_path / "plugins").mkdir()
    for name in names:
        add(tmp_path / "plugins", name, BROKEN[name])
    answers = {"break": block("", actions="BREAK"), "both": block("anyway", actions="BREAK,REPLY")}

    async with staged(tmp_path, tmp_path / "plugins", *names, **answers) as stage:
        told = [await stage.agent.say(text, id=text) for text in ("hello", "break", "both", "wait", "hello again")]

    words = [[message["text"] for message in item["messages"]] for item in told]
    assert words == [["heard: hello"], [], ["anyway"], ["heard: wait"], ["heard: hello again"]]
    assert told[1]["state"] == "failed"
    for named in ('"action": "BREAK"', '"provider": "RAISING"', '"provider": "HANGING"', '"evaluator": "JUDGE"'):
        assert named in stage.log


# -- the contract itself


def test_a_docstring_is_what_the_model_reads() -> None:
    @action("WAVE", similes=["GREET"])
    async def wave(turn: Turn) -> Result:
        """Wave a hand.

        More for programmers.
        """
        return Result()

    assert (wave.name, wave.similes, wave.arguments) == ("WAVE", ("GREET",), None)
    assert wave.description.startswith("Wave a hand.")


def test_the_second_parameter_is_the_arguments_model() -> None:
    class Ask(BaseModel):
        depth: int

    async def dig(turn: Turn, ask: Ask) -> Result:
        return Result()

    dig.__annotations__["ask"] = Ask  # a local class has no name to be found by

    assert action("DIG")(dig).arguments is Ask


def test_a_second_parameter_without_a_model_is_a_mistake_told_at_once() -> None:
    async def dig(turn: Turn, depth: int) -> Result:
        return Result()

    with pytest.raises(TypeError, match="dig: the second parameter must be annotated with a pydantic model"):
        action("DIG")(dig)


def test_making_parts_registers_nothing() -> None:
    @provider("SKY", dynamic=True)
    async def sky(turn: Turn) -> str:
        """The sky."""
        return "blue"

    @evaluator("NOTE")
    async def note(turn: Turn) -> None:
        """Takes notes."""

    plugin = Plugin("weather", "Weather.", providers=[sky], evaluators=[note])

    assert (plugin.providers, plugin.evaluators, plugin.actions) == ([sky], [note], ())
    assert (sky.description, note.description) == ("The sky.", "Takes notes.")


def test_a_plugin_has_fourteen_fields_and_no_more() -> None:
    assert len(Plugin.__dataclass_fields__) == 14


async def test_a_part_is_tried_without_an_agent() -> None:
    namespace: dict[str, Any] = {}
    exec(compile(DICE, "dice.py", "exec"), namespace)
    roll: Action = namespace["roll"]
    turn = fake_turn(seed=7)

    rolled = await roll.handler(turn, namespace["Roll"](sides=6))
    recent = await namespace["recent"].get(turn)

    assert rolled.text == f"🎲 {rolled.data['face']}"
    assert recent == f"{rolled.data['face']} of 6"


class Base:
    """What a plugin's service offers."""


class Special(Base):
    """A kind of it."""


def test_a_service_is_found_by_what_it_is() -> None:
    turn, special = fake_turn(), Special()
    turn.services = {Special: special}

    assert turn.service(Base) is special
    with pytest.raises(LookupError, match="no plugin in this character offers a Path"):
        turn.service(Path)
