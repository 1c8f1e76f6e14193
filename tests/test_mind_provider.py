"""Providers by their own clients: LangChain's packages talk through the gate from a mind that has no network."""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from networks import own_network
from teehee.mind.forwarder import open_forwarder
from teehee.testing import Running, ScriptedModel, TerminalPerson, running
from teehee.testing.scripted_model import Raw, Script, Streamed, block, echo, heard
from teehee.wire import notices

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

Json = Any
KEY = "sk-canary-provider-key-0123456789"
WORDS = "provider gibberish"
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
FAILURES: dict[str, tuple[Script, str]] = {
    "a server error": (Raw(WORDS.encode(), 500), "model-down"),
    "a denied key": (Raw(WORDS.encode(), 401), "model-denied"),
    "a stream that is cut": (Streamed([f"<response><text>{WORDS}", "more"], cut_after=1), "model-down"),
}


def speak(request: Json) -> Script:
    return FAILURES[heard(request)][0] if heard(request) in FAILURES else echo(request)


@dataclass
class Stage:
    client: str
    model: ScriptedModel
    agent: Running


@contextlib.asynccontextmanager
async def talking_through(client: str, folder: Path, **options: Json) -> AsyncIterator[Stage]:
    async with ScriptedModel(speak=speak) as model:
        url = model.url if client == "openai" else model.root
        given: Json = {"model_url": url, "model": "scripted", "model_key": KEY, "model_provider": client}
        async with running(folder, ["wren"], **(given | {"langchain": True, "temperature": 0.3} | options)) as agent:
            yield Stage(client, model, agent)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PATHS)
async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """An agent whose mind has a network namespace of its own, with nothing in it but loopback."""
    folder = tmp_path_factory.mktemp(request.param)
    async with talking_through(request.param, folder, mind_prefix=own_network()) as opened:
        yield opened


async def test_a_providers_own_client_talks_through_the_gate(stage: Stage) -> None:
    told = await stage.agent.say("anybody there?", id="1")
    mind = stage.agent.supervisor.mind.pid

    assert [message["text"] for message in told["messages"]] == ["heard: anybody there?"]
    assert os.readlink(f"/proc/{mind}/ns/net") != os.readlink("/proc/self/ns/net")


async def test_it_asks_for_what_the_settings_say_in_its_own_words(stage: Stage) -> None:
    await stage.agent.say("settings", id="settings", room="settings")

    asked = stage.model.requests[-1]
    options = asked.get("options", asked)
    limits = {"openai": "max_completion_tokens", "anthropic": "max_tokens", "ollama": "num_predict"}
    assert (asked["model"], asked["stream"], options["temperature"]) == ("scripted", True, 0.3)
    assert options[limits[stage.client]] == 1024
    assert "Wren" in str(asked.get("system", asked["messages"][0]["content"]))


async def test_the_key_is_the_gates_and_the_mind_holds_another(stage: Stage) -> None:
    await stage.agent.say("key", id="key", room="key")

    sent = {name.lower(): value for name, value in stage.model.headers[-1].items()}
    if stage.client == "anthropic":
        assert (sent["x-api-key"], sent["anthropic-version"]) == (KEY, "2023-06-01")
        assert "authorization" not in sent
    else:
        assert sent["authorization"] == f"Bearer {KEY}"
        assert "x-api-key" not in sent
    assert not any(name.startswith("x-stainless") for name in sent)  # what its maker wants to know stays here


@pytest.mark.parametrize("failure", FAILURES)
async def test_people_read_our_words_and_nothing_is_lost(stage: Stage, failure: str, monkeypatch: Any) -> None:
    person = TerminalPerson(stage.agent.door, room=f"failing-{list(FAILURES).index(failure)}")

    told = await person.say(failure, id="1", wait=20)
    monkeypatch.setattr(stage.model, "speak", echo)
    answers = await person.hear(1)

    assert told["notice"] == notices.sentence(FAILURES[failure][1], "Wren")
    assert WORDS not in str(told)
    assert answers == [f"heard: {failure}"]


async def test_a_model_of_another_provider_answers_while_the_first_is_away(tmp_path: Path) -> None:
    async with ScriptedModel() as other:
        environment = {"ANTHROPIC_API_KEY": "sk-of-the-other", "ANTHROPIC_BASE_URL": other.root}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            away = {"model_fallbacks": "anthropic:spare", "model_provider": "", "langchain": False}
            async with talking_through("openai", tmp_path, **away) as stage:
                stage.model.speak = lambda request: Raw(b"", 503)
                told = [await stage.agent.say(text, id=text) for text in ("one", "two")]
                log = (stage.agent.folder / "logs" / "mind.log").read_text()
                failed = len(stage.model.requests)

    assert [t["messages"][0]["text"] for t in told] == ["heard: one", "heard: two"]
    assert {headers["x-api-key"] for headers in other.headers} == {"sk-of-the-other"}
    assert failed == 1  # the second message did not wait for the first model again
    assert "model_failed_over" in log


LOOKER = """
import sys
from pathlib import Path
from teehee.plugin import Plugin, Turn, provider

@provider("MODULES")
async def modules(turn: Turn) -> str:
    "What this mind has loaded."
    Path({path!r}).write_text(" ".join(sys.modules))
    return ""

plugin = Plugin("looker", "Looks around.", providers=[modules])
"""


@pytest.mark.parametrize("named", [False, True], ids=["the classic brain", "an endpoint"])
async def test_a_mind_loads_no_client_it_does_not_need(tmp_path: Path, named: bool) -> None:
    found = tmp_path / "modules"
    (tmp_path / "looker.py").write_text(LOOKER.format(path=str(found)))
    (about := tmp_path / "looker-1.dist-info").mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: looker\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[teehee.plugins]\nlooker = looker:plugin\n")
    (tmp_path / "ada.json").write_text(json.dumps({"name": "Ada", "plugins": ["looker"]}))

    async with ScriptedModel() as model:
        options = {"model_url": model.url} if named else {}
        async with running(tmp_path / "data", [str(tmp_path / "ada.json")], plugin_path=str(tmp_path), **options) as up:
            await up.say("hello", id="1")

    loaded = {name.partition(".")[0] for name in found.read_text().split()}
    clients = {
        "langchain",
        "langchain_core",
        "langsmith",
        "openai",
        "anthropic",
        "ollama",
        "httpx",
        "httpx2",
        "tiktoken",
    }
    assert "teehee" in loaded
    assert loaded & clients == set()
    assert "aiohttp" not in loaded


# -- the loopback port


async def test_a_connection_that_does_not_say_the_word_gets_nothing(tmp_path: Path) -> None:
    async with open_forwarder(tmp_path) as way, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post(f"{way.url}/egress/model/chat/completions", data=block("x"))


async def test_with_the_gate_away_the_port_closes_at_once(tmp_path: Path) -> None:
    async with open_forwarder(tmp_path) as way, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post(f"{way.url}/egress/model", headers={"authorization": f"Bearer {way.word}"})


async def test_its_calls_are_on_the_account_of_who_was_answered_with_the_usage_it_told(stage: Stage) -> None:
    stage.model.usage = lambda asked: (300, 20)
    before = await stage.agent.door.call("costs", {})

    await stage.agent.say("and now?", id="2", room="attic")

    account = await stage.agent.door.call("costs", {})
    (attic,) = [row for row in account["rooms"] if row["room"] == "terminal:attic"]
    assert (attic["calls"], attic["tokens"], attic["unknown"]) == (1, 320, 0)
    assert {row["principal"] for row in account["people"]} == {f"terminal:{os.getuid()}"}
    assert account["in_all"]["calls"] == before["in_all"]["calls"] + 1
