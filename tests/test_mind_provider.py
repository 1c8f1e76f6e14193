"""Providers by their own clients: LangChain's packages talk through the gate from a mind that has no network."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from networks import own_network
from teehee.testing import Running, ScriptedModel, running

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

Json = Any
KEY = "sk-canary-provider-key-0123456789"


@dataclass
class Stage:
    client: str
    model: ScriptedModel
    agent: Running


@contextlib.asynccontextmanager
async def talking_through(
    client: str, folder: Path, *, mind_prefix: list[str] | None = None, **options: Json
) -> AsyncIterator[Stage]:
    async with ScriptedModel() as model:
        url = model.url if client == "openai" else model.root
        given: Json = {
            "model_url": url,
            "model": "scripted",
            "model_key": KEY,
            "model_provider": client,
            "langchain": True,
        }
        async with running(folder, ["wren"], mind_prefix=mind_prefix or [], **(given | options)) as agent:
            yield Stage(client, model, agent)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["openai", "anthropic", "ollama"])
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
