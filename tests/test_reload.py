"""Hot reload: a character file is edited while its agent runs, and nobody's turn is lost."""

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from teehee.evidence import leaf
from teehee.supervisor import plan as plans
from teehee.supervisor.reload import Watched
from teehee.testing import Running, ScriptedModel, running, teehee, until
from teehee.testing.command_line import started

Json = Any


def write(path: Path, **fields: Json) -> Path:
    """Writes a character file anew, in place, as an editor does."""
    path.write_text(json.dumps({"name": "Ada", "bio": "One of a kind.", "system": "You are the first.", **fields}))
    return path


def watched(agent: Running, file: Path) -> Watched:
    assert agent.supervisor.reload is not None
    return agent.supervisor.reload.files[str(file)]


def taken_in(agent: Running) -> list[str]:
    return [line for line in agent.told if "changed: " in line]


async def package(agent: Running, number: int = 0) -> str:
    """The package hash in the current statement."""
    async with httpx.AsyncClient(base_url=agent.url, timeout=30) as client:
        slug = agent.supervisor.plan.agents[number].slug
        bundle = (await client.get("/bundle.json", params={"agent": slug})).json()
    found = re.search(r"package_hash\W+([0-9a-f]{64})", json.dumps(bundle))
    assert found
    return found[1]


def epochs(leaves: list[leaf.Leaf]) -> list[tuple[int, str]]:
    return [(entry.epoch, entry.package) for entry in leaves if isinstance(entry, (leaf.Genesis, leaf.Epoch))]


async def test_an_edit_during_a_stream_of_messages_loses_and_repeats_none(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with (
        ScriptedModel() as model,
        running(tmp_path / "data", [str(file)], model_url=model.url, replies_per_minute=1000) as agent,
    ):
        before, url = await package(agent), agent.url
        bundle = tmp_path / "before.json"
        assert (await teehee("bundle", bundle, "--data", agent.folder)).code == 0
        done = asyncio.Event()
        answers: dict[str, list[str]] = {}

        async def talk(room: str) -> None:
            number = 0
            while not done.is_set():
                number += 1
                told = await agent.say(f"{room} {number}", id=f"{room}-{number}", room=room, wait=30)
                answers[f"{room} {number}"] = [message["text"] for message in told["messages"]]

        talks = [asyncio.create_task(talk(f"room{n}")) for n in range(4)]
        await until(lambda: len(answers) > 20)
        write(file, system="You are the second.")
        await until(lambda: bool(taken_in(agent)))
        sent = len(model.requests)
        seen = len(answers)
        await until(lambda: len(answers) > seen + 20)
        done.set()
        await asyncio.gather(*talks)
        now, leaves = await package(agent), await agent.leaves()
        verified = await teehee("verify", agent.url, "--since", bundle)

    assert answers == {text: [f"heard: {text}"] for text in answers}
    assert sum(isinstance(entry, leaf.Intent) for entry in leaves) == len(answers)
    assert all("You are the second." in json.dumps(request) for request in model.requests[sent:])
    assert epochs(leaves) == [(1, before), (2, now)]
    assert before != now
    assert agent.told == [f"ada.json changed: package {before[:4]}… → {now[:4]}…, epoch 2"]
    assert agent.url == url
    assert f"package hash was {before}, is {now}" in verified.out


async def test_a_broken_file_is_told_in_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        mind = agent.supervisor.mind.pid
        file.write_text('{"name": "Ada", "bio": ')
        await until(lambda: bool(agent.told))
        assert (await agent.say("still you?", id="1"))["state"] == "answered"
        write(file, system="mended")
        await until(lambda: bool(taken_in(agent)))

        assert agent.supervisor.mind.pid != mind
        assert len(epochs(await agent.leaves())) == 2
    assert agent.told[0].startswith("ada.json is not taken in, what ran before goes on: character ")
    assert "is not JSON" in agent.told[0]
    assert len(agent.told) == 2


async def test_a_bad_base_is_told_and_a_mended_one_taken_in(tmp_path: Path) -> None:
    bad: list[Json] = ["../outside.json", "\0", "ada.json", "none.json", 5]
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        for number, named in enumerate(bad, 1):
            write(file, extends=[named])
            await until(lambda: len(agent.told) == number)  # noqa: B023 - waited for here
        write(file, system="mended")
        await until(lambda: bool(taken_in(agent)))

    refused = agent.told[: len(bad)]
    assert all(told.startswith("ada.json is not taken in, what ran before goes on: character ") for told in refused)


async def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        file.unlink()
        await until(lambda: bool(agent.told))

        assert (await agent.say("still you?", id="1"))["state"] == "answered"
    assert "does not exist" in agent.told[0]


async def test_the_same_bytes_written_again_do_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        pids = agent.supervisor.mind.pid, agent.supervisor.gate.pid
        write(file)
        reading = watched(agent, file)
        await until(lambda: not reading.has_changed())
        await asyncio.sleep(1.0)

        assert pids == (agent.supervisor.mind.pid, agent.supervisor.gate.pid)
        assert len(await agent.leaves()) == 1
    assert agent.told == []


async def test_of_two_edits_within_a_second_the_last_counts(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with ScriptedModel() as model, running(tmp_path / "data", [str(file)], model_url=model.url) as agent:
        write(file, system="You are the second.")
        await asyncio.sleep(0.1)
        write(file, system="You are the third.")
        await until(lambda: bool(taken_in(agent)))
        await until(lambda: not watched(agent, file).has_changed())
        await asyncio.sleep(1.5)
        await agent.say("who are you?", id="1")

        assert "You are the third." in json.dumps(model.requests[-1])
        assert len(epochs(await agent.leaves())) == 1 + len(taken_in(agent))


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("mind", "back"),
        ("vault", "back"),
        pytest.param("vault", "down", marks=pytest.mark.long),
        pytest.param("gate", "back", marks=pytest.mark.long),
    ],
)
async def test_a_kill_during_the_reload_loses_nothing(tmp_path: Path, name: str, moment: str) -> None:
    """At once when the old mind is down, or when the new one has been started and is not ready."""
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        mind = agent.supervisor.mind.pid
        saying = [asyncio.create_task(agent.say(f"{n}", id=f"{n}", room=f"{n}", wait=60)) for n in range(10)]
        write(file, name="Ada Two")
        if moment == "down":
            await until(lambda: not Path(f"/proc/{mind}").exists())
        else:
            await until(lambda: agent.supervisor.mind.pid != mind)
        agent.kill(name)
        told = await asyncio.gather(*saying)
        await until(lambda: bool(taken_in(agent)), seconds=60)
        leaves = await agent.leaves()
        after = await agent.say("and now?", id="after", wait=60)
        now = await package(agent)

    assert agent.supervisor.plan.agents[0].character.name == "Ada Two"
    assert [len(answer["messages"]) for answer in told] == [1] * 10
    assert sum(isinstance(entry, leaf.Intent) for entry in leaves) == 10
    assert after["state"] == "answered"
    assert epochs(leaves)[-1][1] == now == plans.package_hash(agent.supervisor.plan.agents[0].character)


async def test_a_new_name_is_on_the_page_at_the_old_address(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        url, gate = agent.url, agent.supervisor.gate.pid
        write(file, name="Beatrice", bio="Another line.")
        await until(lambda: bool(taken_in(agent)))
        async with httpx.AsyncClient(base_url=url, timeout=30) as browser:
            page = await browser.get("/chat/ada")

    assert page.status_code == 200
    assert "Beatrice" in page.text
    assert agent.supervisor.gate.pid != gate
    assert taken_in(agent)[0].endswith("; called Beatrice now, at the address /chat/ada until a restart")


async def test_only_the_changed_agent_gets_an_epoch_and_the_gate_goes_on(tmp_path: Path) -> None:
    ada, eve = write(tmp_path / "ada.json"), write(tmp_path / "eve.json", name="Eve")
    async with running(tmp_path / "data", [str(ada), str(eve)]) as agent:
        gate = agent.supervisor.gate.pid
        write(eve, name="Eve", system="Another Eve.")
        await until(lambda: bool(taken_in(agent)))
        first, second = [await agent.leaves(one["agent"]) for one in agent.supervisor.identities]

    assert [len(epochs(first)), len(epochs(second))] == [1, 2]
    assert agent.supervisor.gate.pid == gate


async def test_a_change_in_what_a_file_extends_is_taken_in(tmp_path: Path) -> None:
    base = tmp_path / "base.json"
    base.write_text('{"topics": ["ships"]}')
    file = write(tmp_path / "ada.json", extends=["base.json"])
    async with running(tmp_path / "data", [str(file)]) as agent:
        base.write_text('{"topics": ["ships", "stars"]}')
        await until(lambda: bool(taken_in(agent)))

        assert "stars" in agent.supervisor.plan.agents[0].character.topics


async def test_changed_knowledge_is_taken_in_wherever_the_character_names_it(tmp_path: Path) -> None:
    lamps, harbour = tmp_path / "lamps.md", tmp_path / "knowledge" / "harbour"
    lamps.write_text("The lamp burns paraffin.")
    harbour.mkdir(parents=True)
    (harbour / "old.txt").write_text("The harbour is old.")
    file = write(tmp_path / "ada.json", knowledge=[{"path": "lamps.md"}, {"directory": "harbour"}])

    def known(agent: Running) -> list[str]:
        return [item.text for item in agent.supervisor.plan.agents[0].character.knowledge]

    async def change(agent: Running, name: str, edit: Callable[[], object]) -> None:
        before = len(taken_in(agent))
        edit()
        await until(lambda: len(taken_in(agent)) > before)
        assert taken_in(agent)[-1].startswith(f"{name} changed: package ")

    async with running(tmp_path / "data", [str(file)]) as agent:
        assert known(agent) == ["The lamp burns paraffin.", "The harbour is old."]
        await change(agent, "lamps.md", lambda: lamps.write_text("The lamp burns colza oil."))
        await change(agent, "harbour", lambda: (harbour / "new.txt").write_text("A new pier was built."))
        assert known(agent) == ["The lamp burns colza oil.", "A new pier was built.", "The harbour is old."]
        await change(agent, "harbour", (harbour / "old.txt").unlink)
        write(file, knowledge=[{"path": "tides.md"}])
        await until(lambda: any("tides.md" in line and "does not exist" in line for line in agent.told))
        await change(agent, "tides.md", lambda: (tmp_path / "tides.md").write_text("The moon moves them."))

        assert known(agent) == ["The moon moves them."]
        assert len(epochs(await agent.leaves())) == 6


async def test_a_character_added_to_an_array_needs_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "team.json"
    team = [{"name": "Ada", "bio": "One."}, {"name": "Eve", "bio": "Two."}]
    file.write_text(json.dumps(team))
    async with running(tmp_path / "data", [str(file)]) as agent:
        file.write_text(json.dumps([*team, {"name": "Moss", "bio": "Three."}]))
        await until(lambda: bool(agent.told))
        file.write_text(json.dumps([team[0], {"name": "Eve", "bio": "Changed."}]))
        await until(lambda: bool(taken_in(agent)))

    assert agent.told[0] == (
        "team.json is not taken in, what ran before goes on: characters were added or removed (a restart takes that in)"
    )
    assert re.fullmatch(r"team.json changed: Eve's package .{4}… → .{4}…, epoch 2", agent.told[1])


async def test_wallets_cannot_be_changed_by_an_edit(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        legacy = {"tee": {"derivation": "eliza-legacy"}, "secrets": {"WALLET_SECRET_SALT": "salt"}}
        write(file, settings=legacy)
        await until(lambda: bool(agent.told))

        assert (await agent.say("still you?", id="1"))["state"] == "answered"
        assert len(epochs(await agent.leaves())) == 1
    assert "pinned at its first start" in agent.told[0]


async def test_a_mind_that_cannot_start_again_leaves_all_as_it_was(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)]) as agent:
        store, aside, mind = tmp_path / "data" / "mind.db", tmp_path / "aside", agent.supervisor.mind
        before = await package(agent)
        os.rename(store, aside)
        store.mkdir()
        write(file, system="second")
        await until(lambda: any("ada.json is not taken in" in line for line in agent.told))
        store.rmdir()
        aside.rename(store)
        await until(lambda: "the mind is back" in agent.told)

        assert mind.process is not None
        assert (await agent.say("still you?", id="1"))["state"] == "answered"
        assert epochs(await agent.leaves())[-1][1] == before


async def test_no_reload_leaves_a_changed_file_for_the_next_start(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with running(tmp_path / "data", [str(file)], reload=False) as agent:
        write(file, system="second")
        await asyncio.sleep(2.5)

        assert len(await agent.leaves()) == 1
    assert agent.told == []


async def test_the_command_tells_of_a_reload(tmp_path: Path) -> None:
    file = write(tmp_path / "ada.json")
    async with started("run", file, "--data", tmp_path / "data") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while b"web page" not in await process.stdout.readline():
            pass
        write(file, system="second")
        line = await asyncio.wait_for(process.stderr.readline(), 30)

    assert re.fullmatch(r"· ada.json changed: package .{4}… → .{4}…, epoch 2\n", line.decode())
