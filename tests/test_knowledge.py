"""Knowledge through the front door: files beside a character reach the prompt of a message about them."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from teehee.supervisor import plan as plans
from teehee.testing import ScriptedModel, running

Json = Any
CANARY = "canary-51c9e6b2"


def prompt_of(asked: Mapping[str, Json]) -> str:
    return "\n".join(message["content"] for message in asked["messages"])


def character(folder: Path, **more: Json) -> str:
    path = folder / "ada.json"
    ada = {
        "name": "Ada",
        "bio": ["A machinist."],
        "knowledge": ["Looms are oiled on Mondays.", {"directory": "shelf"}, {"path": "../outside.md"}],
        "settings": {"secrets": {"CELLAR_KEY": CANARY}},
        **more,
    }
    path.write_text(json.dumps(ada), encoding="utf-8")
    return str(path)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "ada" / "shelf"
    folder.mkdir(parents=True)
    (folder / "tea.md").write_text("# Tea\n\nTea is brewed for four minutes, never five.\n")
    (folder / "tower.txt").write_text(f"The lighthouse was put out in 1974. The cellar opens with {CANARY}.\n")
    (tmp_path / "outside.md").write_text("The neighbour's diary: zebras.\n")
    return folder


async def test_a_turn_is_told_what_the_files_say_about_its_message(shelf: Path, tmp_path: Path) -> None:
    async with ScriptedModel() as model:
        async with running(tmp_path / "data", [character(shelf.parent)], model_url=model.url) as up:
            await up.say("How many minutes is tea brewed here?", id="1")
            await up.say("When was the lighthouse put out?", id="2")
            await up.say("Tell me of zebras and the neighbour's diary.", id="3")
            told = up.told
        tea, tower, zebras = map(prompt_of, model.requests)

    assert "Tea is brewed for four minutes" in tea
    assert "lighthouse was put out" not in tea
    assert "The lighthouse was put out in 1974. The cellar opens with [secret]." in tower
    assert "diary: zebras" not in zebras
    assert [line for line in told if "'../outside.md'" in line and "leads out of the character's folder" in line]
    assert CANARY not in tea + tower + zebras + "".join(told)


async def test_what_changed_is_read_again_and_what_did_not_is_not_opened(shelf: Path, tmp_path: Path) -> None:
    path, data, tower = character(shelf.parent), tmp_path / "data", shelf / "tower.txt"
    async with running(data, [path]):
        pass
    (shelf / "tea.md").write_text("# Tea\n\nTea is brewed for nine minutes since Tuesday.\n")
    stamp, size = tower.stat(), tower.stat().st_size
    with tower.open("r+b") as file:
        file.write(b"The lighthouse burns brightly again today".ljust(size, b"."))
    os.utime(
        tower, ns=(stamp.st_atime_ns, stamp.st_mtime_ns)
    )  # other words under the same stamp: told apart by opening
    async with ScriptedModel() as model:
        async with running(data, [path], model_url=model.url) as up:
            await up.say("How many minutes is tea brewed here?", id="1")
            await up.say("When was the lighthouse put out?", id="2")
        tea, lighthouse = map(prompt_of, model.requests)

    assert "nine minutes since Tuesday" in tea
    assert "four minutes" not in tea
    assert "put out in 1974" in lighthouse
    assert "burns brightly" not in lighthouse


async def test_a_megabyte_of_knowledge_starts_and_is_searched(tmp_path: Path) -> None:
    facts = {f"drawer {n}": {"what": f"In drawer {n} lies object{n}.", "more": "dust " * 20} for n in range(7000)}
    async with ScriptedModel() as model:
        path = character(tmp_path, knowledge=facts)
        async with running(tmp_path / "data", [path], model_url=model.url) as up:
            await up.say("Where is object4711?", id="1")
        [asked] = map(prompt_of, model.requests)

    assert len(json.dumps(facts)) > 1_000_000
    assert "In drawer 4711 lies object4711." in asked
    assert len(asked) < 12_000


async def test_the_package_hash_follows_the_words_of_the_files(shelf: Path, tmp_path: Path) -> None:
    def package() -> str:
        plan = plans.make([character(shelf.parent)], {"data": str(tmp_path / "data")})
        return plans.package_hash(plans.with_knowledge(plan, lambda _: None).agents[0].character)

    before, again = await asyncio.to_thread(package), await asyncio.to_thread(package)
    (shelf / "tea.md").write_text("Tea is for breakfast.\n")
    after = await asyncio.to_thread(package)

    assert before == again != after
