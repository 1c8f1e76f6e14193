"""Which model thinks, in order: what is named, an Ollama found here, the classic brain; and what each part is told."""

import asyncio
import sys
import tomllib
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from teehee.character.model import Character
from teehee.errors import ConfigError
from teehee.settings import resolve
from teehee.supervisor import brains
from teehee.testing import ScriptedModel, running
from teehee.testing.command_line import started

Json = Any
ADA = Character("b850bc30-45f8-0041-a00a-83df46d8555d", "Ada")
LLAMA = "llama3.2:3b"


def choice(options: Json | None = None, character: Character = ADA, environ: dict[str, str] | None = None) -> Any:
    """The choice for these settings; no Ollama is looked for unless they name one."""
    return brains.choose(resolve({"ollama_url": "off", **(options or {})}, character, environ or {}))


@pytest_asyncio.fixture
async def ollama() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as model:
        model.tags = ["nomic-embed-text:latest", LLAMA, "qwen2.5:7b", "mistral:latest"]
        yield model


async def chosen_here(ollama: ScriptedModel, **options: Json) -> Any:
    return await asyncio.to_thread(choice, {"ollama_url": ollama.root, **options})


def test_with_nothing_named_and_nothing_here_the_classic_brain_thinks_and_says_how_to_get_a_better_one() -> None:
    found = choice()

    assert found.shown == "classic"
    assert "Ollama" in found.hint
    assert "--model-url" in found.hint


async def test_an_ollama_on_this_machine_is_found_with_its_first_model_that_talks(ollama: ScriptedModel) -> None:
    found = await chosen_here(ollama)

    assert found.shown == f"{LLAMA} (Ollama at {ollama.root.removeprefix('http://')})"
    assert (found.models[0].url, found.found, found.hint) == (ollama.url, True, "")


@pytest.mark.parametrize(("wanted", "got"), [("qwen2.5:7b", "qwen2.5:7b"), ("mistral", "mistral:latest"), ("x", LLAMA)])
async def test_a_model_that_is_named_is_taken_if_the_ollama_has_it(
    ollama: ScriptedModel, wanted: str, got: str
) -> None:
    assert (await chosen_here(ollama, model=wanted)).models[0].name == got


async def test_what_is_named_goes_before_what_is_found(ollama: ScriptedModel) -> None:
    named = await chosen_here(ollama, model_url="http://127.0.0.1:1/v1", model="mine")
    classic = await chosen_here(ollama, model_provider="classic")

    assert (named.shown, named.found) == ("mine", False)
    assert classic.shown == "classic"


async def test_an_ollama_without_a_model_that_talks_is_none(ollama: ScriptedModel) -> None:
    ollama.tags = ["nomic-embed-text:latest"]

    assert (await chosen_here(ollama)).shown == "classic"


@pytest.mark.parametrize("port", [9, 1])
def test_where_nothing_listens_nothing_is_found(port: int) -> None:
    assert brains.ollama_models(f"http://127.0.0.1:{port}") == []


async def test_an_agent_talks_with_the_ollama_that_is_here(ollama: ScriptedModel, tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"], ollama_url=ollama.root) as agent:
        told = await agent.say("hello", id="1")

    assert told["messages"][0]["text"] == "heard: hello"
    assert ollama.requests[0]["model"] == LLAMA


async def test_the_start_tells_which_brain_and_how_to_get_a_better_one(tmp_path: Path) -> None:
    async with started("run", "--data", tmp_path) as process:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()

    assert line.startswith("Wren · brain: classic; for a better one: start Ollama, or name one with --model-url")


# -- providers


@pytest.mark.parametrize(
    ("provider", "client"),
    [("openai", ""), ("groq", ""), ("ollama", ""), ("anthropic", "anthropic")],
)
def test_the_thin_client_speaks_to_what_is_openai_shaped_and_langchain_to_the_rest(provider: str, client: str) -> None:
    found = choice({"model_provider": provider, "model": "m", "model_key": "k"})

    assert found.client(found.models[0]) == client


@pytest.mark.parametrize(
    ("provider", "client", "path"),
    [
        ("openai", "openai", "/chat/completions"),
        ("groq", "openai", "/chat/completions"),
        ("anthropic", "anthropic", "/v1/messages"),
        ("ollama", "ollama", "/api/chat"),
    ],
)
def test_langchain_speaks_to_all_when_it_is_asked_for(provider: str, client: str, path: str) -> None:
    asked = resolve({"model_provider": provider, "model": "m", "model_key": "k", "langchain": True}, ADA, {})
    found = brains.choose(asked)
    (rule,) = brains.rules("ada", found, asked.settings)
    (brain,) = brains.brains("ada", found, asked.settings)

    assert (brain.client, brain.rule, rule.prefixes) == (client, rule.name, (path,))
    assert rule.scheme == ("anthropic" if client == "anthropic" else "bearer")
    assert not rule.base_url.endswith("/v1") or client == "openai"


def test_the_mind_is_told_no_address_and_no_key() -> None:
    asked = resolve(
        {"model_provider": "anthropic", "model": "m", "model_key": "sk-known", "model_fallbacks": "openai:x, classic"},
        replace(ADA, secrets={"OPENAI_API_KEY": "sk-other"}),
        {},
    )
    found = brains.choose(asked)

    told = str([asdict(brain) for brain in brains.brains("ada", found, asked.settings)])
    assert [brain.rule for brain in brains.brains("ada", found, asked.settings)] == ["model-ada", "model-ada.2", ""]
    assert brains.secrets(found) == {"MODEL_KEY": "sk-known", "MODEL_KEY_2": "sk-other"}
    assert "http" not in told
    assert "sk-" not in told + repr(found) + repr(asked)


@pytest.mark.parametrize(
    ("provider", "package", "needs"),
    [
        ("anthropic", "langchain_anthropic", r"model provider 'anthropic' needs teehee\[anthropic\]"),
        ("cohere", "langchain_cohere", r"model provider 'cohere' needs langchain-cohere"),
    ],
)
def test_a_client_that_is_not_installed_is_named_with_its_extra(
    provider: str, package: str, needs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not there
    monkeypatch.setattr(brains, "find_spec", lambda name: None if name == package else object())

    with pytest.raises(ConfigError, match=needs) as caught:
        choice({"model_provider": provider, "model_url": "http://127.0.0.1:1", "model": "m", "model_key": "k"})

    assert "install" in caught.value.hint


def test_each_extra_that_is_named_can_be_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

    assert {*brains.EXTRAS, "local"} <= set(project["optional-dependencies"])


def test_a_provider_that_only_langchain_knows_may_ask_for_any_path_below_its_url(monkeypatch: Any) -> None:
    monkeypatch.setattr(brains, "find_spec", lambda name: object())
    asked = resolve({"model_provider": "mistralai", "model_url": "http://127.0.0.1:1/v1", "model": "m"}, ADA, {})

    (rule,) = brains.rules("ada", brains.choose(asked), asked.settings)

    assert (rule.base_url, rule.prefixes) == ("http://127.0.0.1:1/v1", ("",))


def test_the_choice_tells_who_answers_after_whom() -> None:
    found = choice(
        {"model_url": "http://127.0.0.1:1/v1", "model": "first", "model_fallbacks": "ollama:llama3.2:3b, classic"}
    )

    assert found.shown == "first, then llama3.2:3b, classic"


@pytest.mark.parametrize(
    ("options", "extras", "eyes"),
    [
        ({"model": "openai:gpt-4o"}, {}, ("gpt-4o", "model-ada")),
        ({"model": "openai:gpt-3.5-turbo"}, {}, None),
        ({"model": "openai:gpt-3.5-turbo", "vision_model": "gpt-4o"}, {}, ("gpt-4o", "vision-ada")),
        ({"model": "openai:gpt-4o", "vision_model": "off"}, {}, None),
        ({"model": "groq:m", "vision_model": "openai:gpt-4.1"}, {}, ("gpt-4.1", "vision-ada")),
        ({"model": "groq:m"}, {"imageVisionModelProvider": "openai"}, ("gpt-4o", "vision-ada")),
        ({"model": "groq:m"}, {"imageVisionModelProvider": "deepseek"}, None),
        ({"model": "groq:m", "vision_model": "off"}, {"imageVisionModelProvider": "openai"}, None),
    ],
)
def test_who_looks_at_photos(options: dict[str, str], extras: dict[str, str], eyes: tuple[str, str] | None) -> None:
    ada = replace(ADA, extras=extras)
    asked = resolve({"ollama_url": "off", **options}, ada, {"OPENAI_API_KEY": "sk-open", "GROQ_API_KEY": "sk-groq"})

    found = brains.choose(asked)
    told, _ = brains.senses("ada", found, asked.settings)
    keys = {rule.name: rule.credential for rule in brains.rules("ada", found, asked.settings)}

    assert ((told.model, told.rule) if told.rule else None) == eyes
    if eyes is not None and eyes[1] == "vision-ada":
        assert keys["vision-ada"] == "ada/VISION_KEY"
        assert brains.secrets(found)["VISION_KEY"].startswith("sk-open")
