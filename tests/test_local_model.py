"""The local model: a real engine in a child of a mind that has no network, driven by a small real model."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import minds
from local_cast import PIP, WREN, Roll, closed, roll, send
from networks import own_network, unavailable
from small_model import small_model
from teehee.errors import AskAgain, Unavailable
from teehee.mind import local, local_prompt, respond
from teehee.mind import turn as turns
from teehee.mind.classic import ClassicBrain
from teehee.mind.engine import Engine, open_engine
from teehee.mind.models import Classic
from teehee.plugin import Action, Spoken, State, Turn
from teehee.supervisor import brains
from teehee.testing import Running, TerminalPerson, running, until
from teehee.testing.command_line import teehee
from teehee.wire import boot

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

Json = Any
LONGEST = 700  # tokens of a prompt that is full to the brim but for the message itself
SAID = [[{"name": "{{name1}}", "content": {"text": "hello"}}, {"name": "Pip", "content": {"text": "psst, hello"}}]]
ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"


def about(pid: int, what: str) -> str:
    return Path(f"/proc/{pid}/{what}").read_text()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in about(pid, f"task/{pid}/children").split()]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def told_warm(agent: Running) -> int:
    """How often the mind has had the model warm."""
    return (agent.folder / "logs/mind.log").read_text().count('"model_warm"')


# -- the whole of it, by the front door


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An agent with the small model, whose mind has a network namespace of its own."""
    if find_spec(brains.ENGINE) is None:
        unavailable("the engine, xllamacpp, is not installed")
    model = await asyncio.to_thread(small_model)
    folder = tmp_path_factory.mktemp("local")
    (folder / "pip.json").write_text(json.dumps({"name": "Pip", "bio": PIP.bio, "messageExamples": SAID}))
    async with running(
        folder, [str(folder / "pip.json")], local_model=str(model), mind_prefix=own_network(), max_tokens=16
    ) as opened:
        yield opened


async def test_the_classic_brain_answers_until_the_model_is_warm(agent: Running) -> None:
    was_warm = told_warm(agent)
    told = await agent.say("hello there", id="first")
    choice = agent.supervisor.plan.agents[0].choice

    assert was_warm == 0
    assert told["messages"][0]["text"] == "Psst, hello."
    assert choice.shown.endswith("(local)")
    assert "until then the classic brain answers" in choice.hint


async def test_then_the_model_answers_from_a_process_without_a_network(agent: Running) -> None:
    await until(lambda: told_warm(agent) == 1, seconds=60)
    told = await agent.say("what is a lighthouse for?", id="warm", wait=60)
    mind = agent.supervisor.mind.pid
    (engine,) = children_of(mind)
    listening = [line for line in about(engine, "net/tcp").splitlines()[1:] if " 0A " in line]

    assert told["messages"][0]["text"] not in (
        "psst, hello",
        ClassicBrain(PIP).answer("what is a lighthouse for?").text,
    )
    assert "teehee.mind.llama" in about(engine, "cmdline")
    assert os.readlink(f"/proc/{engine}/ns/net") == os.readlink(f"/proc/{mind}/ns/net")
    assert os.readlink(f"/proc/{engine}/ns/net") != os.readlink("/proc/self/ns/net")
    assert listening == []
    assert int(about(engine, "oom_score_adj")) > int(about(mind, "oom_score_adj"))


async def test_a_killed_engine_comes_back_and_the_mind_never_went(agent: Running) -> None:
    mind, before = agent.supervisor.mind.pid, told_warm(agent)
    (engine,) = children_of(mind)
    os.kill(engine, signal.SIGKILL)
    person = TerminalPerson(agent.door, room="killed")
    await person.say("hello again", id="killed")
    replies = await person.hear(1)
    await until(lambda: told_warm(agent) == before + 1, seconds=60)

    assert replies
    assert agent.supervisor.mind.pid == mind
    assert children_of(mind) != [engine]


async def test_no_engine_outlives_its_mind(agent: Running) -> None:
    (engine,) = children_of(agent.supervisor.mind.pid)
    agent.kill("mind")
    await until(lambda: not is_alive(engine))
    person = TerminalPerson(agent.door, room="mind-killed")
    await person.say("and now?", id="mind-killed")

    assert await person.hear(1)


# -- the engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """A loaded engine, at a socket whose path is longer than the kernel takes."""
    folder = tmp_path_factory.mktemp("engine") / ("deep" * 30)
    folder.mkdir()
    brain = boot.Brain(model="small", weights=str(await asyncio.to_thread(small_model)), max_tokens=16)
    async with open_engine(folder, brain) as opened:
        await opened.start()
        opened.is_warm = True
        opened.keeper = asyncio.ensure_future(asyncio.sleep(0))  # nobody starts it again
        yield opened


def brain_of(engine: Engine, *able: Action) -> local.Local:
    return local.Local(engine, engine.brain, PIP, able, Classic(PIP))


def fresh_folder(below: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=below))


@contextlib.asynccontextmanager
async def a_turn(folder: Path, text: str, *able: Action) -> AsyncIterator[Turn]:
    async with minds.mind(folder, minds.agent(None, actions=able, character=replace(PIP, id=minds.AGENT))) as bench:
        yield turns.begin(bench.desk, bench.agent, minds.event(text))


async def test_words_come_as_a_stream_and_are_the_answer(engine: Engine, tmp_path: Path) -> None:
    heard: list[str] = []
    async with a_turn(tmp_path, "hello") as turn:
        answer = await brain_of(engine).answer(turn, State(), State(), "", heard.append)

    assert len(heard) > 5
    assert respond.parse("".join(heard)).text.strip().startswith(respond.parse(answer).text[:20])
    assert respond.parse(answer).actions == ("REPLY",)


async def test_only_an_action_open_to_the_turn_can_be_chosen(engine: Engine, tmp_path: Path) -> None:
    chosen = set()
    for text in ("roll a die", "open the safe", "OPEN_SAFE", "hello"):
        async with a_turn(fresh_folder(tmp_path), text, roll, closed) as turn:
            found = await brain_of(engine, roll, closed)._routed(turn)
            chosen.add(found.name if found else "REPLY")

    assert chosen <= {"REPLY", "ROLL_DICE"}


async def test_arguments_have_the_form_their_action_wants(engine: Engine, tmp_path: Path) -> None:
    async with a_turn(tmp_path, "roll a die with 20 sides", roll) as turn:
        given = await brain_of(engine, roll)._arguments(turn, roll)

    assert Roll.model_validate(given["ROLL_DICE"])


async def test_an_address_nobody_named_is_no_argument(tmp_path: Path) -> None:
    class Inventive:
        async def ask(self, *_: Any, **__: Any) -> str:
            return json.dumps({"to": ADDRESS})

        def warm_with(self, warm: Any) -> None: ...

    brain = local.Local(Inventive(), boot.Brain(), PIP, [send], Classic(PIP))  # type: ignore[arg-type]
    async with a_turn(fresh_folder(tmp_path), "send my friend a token", send) as turn:
        with pytest.raises(AskAgain, match="not in the message"):
            await brain._arguments(turn, send)
    async with a_turn(fresh_folder(tmp_path), f"send {ADDRESS} a token", send) as turn:
        given = await brain._arguments(turn, send)

    assert given == {"SEND_TOKEN": {"to": ADDRESS}}


async def test_what_was_read_once_is_not_read_again(engine: Engine) -> None:
    persona = local_prompt.persona(WREN)
    fresh = []
    for text in ("good morning", "where are you?"):
        asked = {"messages": [*persona, *local_prompt.asked(text)], "id_slot": 1, "max_tokens": 1, "cache_prompt": True}
        async with engine.session.post("http://llama/v1/chat/completions", json=asked) as answer:
            timings = (await answer.json())["timings"]
        fresh.append((timings["prompt_n"], timings["cache_n"]))

    assert fresh[1][0] < 30
    assert fresh[1][1] > 200


async def test_a_whole_prompt_is_short(engine: Engine, tmp_path: Path) -> None:
    talk = [Spoken("Sam" if n % 2 else "Wren", f"line {n} " + "of a long talk " * 8, n % 2 == 0) for n in range(31)]
    async with a_turn(tmp_path, "and what do you make of all that, then?") as turn:
        turn.recent = talk
        told = State({"TIME": "It is noon.", "KNOWLEDGE": "The tide is a thief. " * 40})
        chat = [*local_prompt.persona(WREN), *local_prompt.reply(turn, told)]
    async with engine.session.post("http://llama/apply-template", json={"messages": chat}) as answer:
        prompt = (await answer.json())["prompt"]
    async with engine.session.post("http://llama/tokenize", json={"content": prompt}) as answer:
        tokens = (await answer.json())["tokens"]

    assert "Received Message" not in prompt
    assert 300 < len(tokens) < LONGEST


async def test_an_engine_that_hangs_is_ended(tmp_path: Path) -> None:
    brain = boot.Brain(model="small", weights=str(await asyncio.to_thread(small_model)), timeout_seconds=1.0)
    async with open_engine(tmp_path, brain) as hung:
        await hung.start()
        assert hung.process is not None
        os.kill(hung.process.pid, signal.SIGSTOP)
        with pytest.raises(Unavailable) as slow:
            await hung.ask(0, local_prompt.asked("hello"))
        await asyncio.wait_for(hung.process.wait(), 10)

    assert slow.value.code == "model-slow"


async def test_weights_that_do_not_load_are_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    async with open_engine(tmp_path, boot.Brain(weights=str(tmp_path / "bad.gguf"))) as bad:
        with pytest.raises(Unavailable) as refused:
            await bad.start()

    assert "does not load" in str(refused.value)
    assert "teehee model" in refused.value.hint


# -- and around it


async def test_who_has_no_local_model_loads_nothing_of_it() -> None:
    code = """
import sys
from teehee.supervisor import plan
plan.make(["wren"], {"model_url": "http://127.0.0.1:9/v1"})
import teehee.mind.runtime
print([name for name in sys.modules if "xllamacpp" in name or "teehee.weights" in name or "mind.engine" in name])
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()

    assert out.decode().strip() == "[]"


@pytest.mark.long
async def test_model_test_times_the_real_engine() -> None:
    environment = {"TEEHEE_LOCAL_MODEL": str(await asyncio.to_thread(small_model)), "TEEHEE_MAX_TOKENS": "16"}
    ended = await teehee("model", "test", "--json", environment=environment)

    assert ended.code == 0, ended.err
    assert ended.json["tokens"] > 3
    assert ended.json["first_token_seconds"] > 0
    assert ended.json["tokens_per_second"] > 0
