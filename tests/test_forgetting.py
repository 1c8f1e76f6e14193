"""Forgetting through the front door: a person asks, and no file of the three processes holds a word of theirs."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from teehee.evidence import leaf, receipt
from teehee.testing import Running, ScriptedModel, TerminalPerson, WebPerson, running, until
from teehee.testing.scripted_model import Script, block, heard
from teehee.wire.client import Client

Json = Any


def files_with(folder: Path, word: str) -> list[str]:
    """The files of a data folder that hold `word`, logs and write-ahead logs too."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sorted(str(file.relative_to(folder)) for file in files if word.encode() in file.read_bytes())


async def told_apart(agent: Running) -> list[str]:
    return [entry.type for entry in await agent.leaves()]


async def test_no_file_holds_a_word_of_a_forgotten_person_and_the_log_still_verifies(tmp_path: Path) -> None:
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        person = TerminalPerson(agent.door)
        for number in range(20):
            await person.say(f"canary-{number} my name is Sam Canary", id=str(number), wait=20)
        before = files_with(tmp_path, "anary")

        given = await agent.door.call("forget")

        after = files_with(tmp_path, "anary")
        principals = files_with(tmp_path, "terminal:0")
        kinds = await told_apart(agent)
        old = await agent.public.call("receipt", {"effect": next(iter(person.shown))})

    assert "mind.db-wal" in before or "mind.db" in before
    assert (after, principals) == ([], [])
    assert given["effects"] == 20
    assert receipt.verify_forgotten(given) == len(kinds) - 1
    assert kinds[-1] == leaf.Forget.type
    assert receipt.verify(old).state == "delivered"
    assert old["forgotten_at"] > 0


async def test_a_forgotten_person_is_a_stranger_in_the_next_prompt(tmp_path: Path) -> None:
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        person = TerminalPerson(agent.door)
        await person.say("my cat is called Vesper", id="1", wait=20)
        await agent.door.call("forget")

        await person.say("what is my cat called?", id="2", wait=20)

    assert "Vesper" not in str(model.requests[-1])
    assert list(person.shown.values())[-1] == "heard: what is my cat called?"


async def test_one_visitor_is_forgotten_and_another_is_not(tmp_path: Path) -> None:
    async with (
        ScriptedModel() as model,
        running(tmp_path, ["wren"], model_url=model.url) as agent,
        aiohttp.ClientSession() as http,
    ):
        sam, kim = (WebPerson(http, agent.url, "wren", room="lobby") for _ in range(2))
        await sam.say("sam-canary", id="1", wait=20)
        await kim.say("kim-canary", id="1", wait=20)

        async with http.post(f"{agent.url}/api/chat/wren/forget", headers=sam.headers) as answer:
            given = await answer.json()
        async with http.get(f"{kim.url}?after=0&room=lobby", headers=kim.headers) as answer:
            left = [message["text"] for message in (await answer.json())["messages"]]
        sams = files_with(tmp_path, "sam-canary")

    assert receipt.verify_forgotten(given["receipt"])
    assert sams == []
    assert left == ["heard: kim-canary"]


async def test_forgetting_ends_a_turn_that_is_under_way(tmp_path: Path) -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    async def hang(request: Json) -> Script:
        asked.set()
        if heard(request).startswith("canary"):
            await never.wait()
        return block(f"heard: {heard(request)}")

    async with ScriptedModel(speak=hang) as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        person = TerminalPerson(agent.door)
        await person.say("canary, while you think", id="1")
        await person.say("canary, behind it", id="2")
        await asked.wait()

        await agent.door.call("forget")
        left = files_with(tmp_path, "canary")
        told = await person.say("a new day", id="3", wait=20)

    assert left == []
    assert told["messages"][0]["text"] == "heard: a new day"


async def test_one_is_forgotten_at_every_terminal_room_and_by_one_agent_only(tmp_path: Path) -> None:
    async with ScriptedModel() as model, running(tmp_path, ["wren", "snib"], model_url=model.url) as agent:
        for name, room in (("wren", "main"), ("wren", "attic"), ("snib", "main")):
            await TerminalPerson(agent.door, agent=name, room=room).say(f"{name}-{room}-canary", id="1", wait=20)

        await agent.door.call("forget", {"agent": "wren"})
        wrens, snibs = files_with(tmp_path, "wren-main-canary"), files_with(tmp_path, "snib-main-canary")
        attic = files_with(tmp_path, "wren-attic-canary")

    assert (wrens, attic) == ([], [])
    assert snibs != []


async def test_forgetting_holds_through_a_kill_of_the_mind_right_after(tmp_path: Path) -> None:
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        await TerminalPerson(agent.door).say("a canary sings", id="1", wait=20)
        await agent.door.call("forget")

        agent.kill("mind")
        await until(lambda: any("the mind is back" in line for line in agent.told))
        left = files_with(tmp_path, "canary")
        again = await agent.door.call("forget")

    assert left == []
    assert again == {}


async def test_the_mind_cannot_have_anyone_forgotten(tmp_path: Path) -> None:
    """The mind's own door to the vault has no such method, whatever the mind says."""
    async with ScriptedModel() as model, running(tmp_path, ["wren"], model_url=model.url) as agent:
        await TerminalPerson(agent.door).say("keep me", id="1", wait=20)
        async with Client(agent.sockets / "vault-mind.sock") as door:
            refused = await asyncio.gather(
                door.call("person.forget", {"agent": agent.agent["agent"], "principal": "terminal:0"}),
                return_exceptions=True,
            )
        kinds = await told_apart(agent)

    assert "has no 'person.forget'" in str(refused[0])
    assert "forget" not in kinds
