"""How an agent is put together: plugins in order, their settings, their services."""

import contextlib
import importlib.metadata
import sys
import types
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from teehee import registry
from teehee.character.model import Character
from teehee.mind import models
from teehee.mind.agent import Agent, open_agent
from teehee.plugin import Plugin, Result, Turn, Verb, action
from teehee.wire import boot

Json = Any


class Clock:
    """A service that says whether it is open."""

    def __init__(self) -> None:
        self.is_open = False


class Garden(BaseModel):
    """The settings of a plugin."""

    garden_beds: int = Field(default=3, ge=1)


clock = Clock()


@contextlib.asynccontextmanager
async def keep_time(character: Character, settings: Mapping[str, str]) -> AsyncIterator[Clock]:
    clock.is_open = True
    yield clock
    clock.is_open = False


@action("WATER")
async def water(turn: Turn) -> Result:
    """Water the beds."""
    return Result(f"{turn.service(Garden).garden_beds} beds")


@action("WATER")
async def flood(turn: Turn) -> Result:
    """Another of the same name."""
    return Result("too much")


@pytest.fixture(autouse=True)
def shelf() -> Iterator[None]:
    module = types.ModuleType("teehee_shelf_for_tests")
    vars(module).update(
        garden=Plugin("garden", "", actions=[water], settings=Garden),
        clock=Plugin("clock", "", services=[keep_time]),
        flood=Plugin("flood", "", actions=[flood]),
        sender=Plugin("sender", "", effects=[Verb("x.post")]),
    )
    sys.modules[module.__name__] = module
    yield
    del sys.modules[module.__name__]


@contextlib.asynccontextmanager
async def opened(folder: Path, *names: str, **settings: Json) -> AsyncIterator[Agent]:
    found = registry.installed()
    for name in names:
        entry = importlib.metadata.EntryPoint(name, f"teehee_shelf_for_tests:{name}", registry.GROUP)
        found[name] = registry.Found(name, "tests", "1", entry)
    character = Character("id", "Testa", plugins=names, settings=settings)
    booted = boot.MindAgent("id", {})
    async with models.endpoints(folder, [booted]) as connect, open_agent(booted, character, found, connect) as agent:
        yield agent


async def test_a_plugins_settings_come_from_the_character(tmp_path: Path) -> None:
    async with opened(tmp_path, "garden", GARDEN_BEDS="7", OTHER=1) as agent:
        assert agent.services[Garden] == Garden(garden_beds=7)
        assert agent.settings == {"GARDEN_BEDS": "7", "OTHER": "1"}


async def test_settings_that_are_not_given_have_their_defaults(tmp_path: Path) -> None:
    async with opened(tmp_path, "garden") as agent:
        assert agent.services[Garden] == Garden(garden_beds=3)


async def test_a_plugin_whose_settings_do_not_hold_is_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path, "garden", GARDEN_BEDS="none") as agent:
        assert "WATER" not in [item.name for item in agent.actions]

    assert "setting GARDEN_BEDS" in capsys.readouterr().out


async def test_services_are_open_while_the_agent_is(tmp_path: Path) -> None:
    async with opened(tmp_path, "clock") as agent:
        assert agent.services[Clock] is clock
        assert clock.is_open

    assert not clock.is_open


async def test_of_two_actions_with_one_name_the_first_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, "garden", "flood") as agent:
        (found,) = (item for item in agent.actions if item.name == "WATER")

    assert found is water


async def test_a_plugin_that_wants_to_send_by_itself_is_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path, "sender"):
        pass

    assert "declares effects" in capsys.readouterr().out


async def test_without_an_endpoint_the_classic_brain_answers(tmp_path: Path) -> None:
    async with opened(tmp_path) as agent:
        assert isinstance(agent.brain, models.Classic)
