"""`--isolate`: agents with a mind each. Whoever has taken over one mind gets nothing of another agent's."""

import asyncio
import json
import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from raw_peer import connected
from teehee.errors import ConfigError, TeeheeError
from teehee.gate.minds import Minds, only_of
from teehee.log import get_logger
from teehee.supervisor import plan as plans
from teehee.testing import Running, ScriptedModel, running, teehee, until
from teehee.testing.command_line import started
from teehee.wire import paths
from teehee.wire.client import Client
from teehee.wire.server import Server
from vaults import rule_of

Json = Any


def team(folder: Path, **of_ada: Json) -> list[str]:
    """The files of Ada and Eve."""
    named: dict[str, Json] = {"Ada": of_ada, "Eve": {}}
    for name, more in named.items():
        (folder / f"{name}.json").write_text(json.dumps({"name": name, "bio": "One of two.", **more}))
    return [str(folder / f"{name}.json") for name in named]


def identity(agent: Running, name: str) -> str:
    return next(str(one["agent"]) for one in agent.supervisor.identities if one["name"] == name)


def socket_of(agent: Running, name: str, which: str) -> Path:
    """A socket of the mind of the agent called `name`."""
    return paths.of_mind(agent.sockets, identity(agent, name)) / f"{which}.sock"


async def say(agent: Running, to: str, text: str, number: str, wait: float = 20.0) -> Json:
    message = {"agent": to.lower(), "text": text, "id": number, "room": "main", "wait": wait}
    told = await agent.door.call("say", message, patience=wait + 20)
    await agent.door.call("seen", {"ids": [m["id"] for m in told["messages"]]})
    return told


async def test_each_agent_has_a_mind_and_a_store_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "data", team(tmp_path), isolate=True) as agent:
        told = [await say(agent, name, f"hello {name}", "1") for name in ("Ada", "Eve")]
        pids = {mind.pid for mind in agent.supervisor.minds}
        stores = {
            name: sqlite3.connect(agent.supervisor.plan.folder.of_mind(identity(agent, name)) / "mind.db")
            for name in ("Ada", "Eve")
        }
        heard = {
            name: "\n".join(str(row[0]) for row in db.execute("SELECT content FROM memories"))
            for name, db in stores.items()
        }

        assert [answer["state"] for answer in told] == ["answered"] * 2
        assert len(pids) == 2
        assert not (agent.sockets / "vault-mind.sock").exists()
        assert not (agent.sockets / "gate.sock").exists()
    assert not (tmp_path / "data" / "mind.db").exists()
    assert "hello Ada" in heard["Ada"]
    assert "hello Eve" not in heard["Ada"]
    assert "hello Ada" not in heard["Eve"]


async def test_a_hostile_mind_cannot_reply_for_another_agent_nor_read_its_fate(tmp_path: Path) -> None:
    async with running(tmp_path / "data", team(tmp_path), isolate=True) as agent:
        eve, mind = identity(agent, "Eve"), agent.supervisor.minds[1]
        first = await say(agent, "Eve", "the first", "1")
        os.kill(mind.pid, signal.SIGSTOP)
        waiting = asyncio.create_task(say(agent, "Eve", "the second", "2", wait=30))
        leaves = len(await agent.leaves(eve))
        reply = {
            "agent": eve, "source": "terminal", "event": "2",
            "parts": [{"verb": "terminal.reply", "room": "terminal:main", "text": "I am Eve"}],
        }  # fmt: skip
        async with Client(socket_of(agent, "Ada", "vault-mind")) as hostile:
            refused = [
                await rule_of(hostile.call("effect.submit", reply)),
                await rule_of(hostile.call("effect.for_event", {"agent": eve, "source": "terminal", "event": "1"})),
                await rule_of(hostile.call("subscribe", {"agent": eve})),
            ]
            fate = await hostile.call("effect.settled", {"effects": [first["messages"][0]["id"]]})
            known = await hostile.call("agents")
        after = len(await agent.leaves(eve))
        os.kill(mind.pid, signal.SIGCONT)
        second = await waiting
        async with Client(socket_of(agent, "Eve", "vault-mind")) as own:
            told = await own.call("effect.settled", {"effects": [first["messages"][0]["id"]]})

    assert refused == ["mind.not-yours"] * 3
    assert fate == {"settled": []}
    assert [one["name"] for one in known["agents"]] == ["Ada"]
    assert leaves == after
    assert len(second["messages"]) == 1
    assert second["messages"][0]["text"] != "I am Eve"
    assert len(told["settled"]) == 1


async def test_outcomes_are_pushed_to_the_mind_concerned_only(tmp_path: Path) -> None:
    async with running(tmp_path / "data", team(tmp_path), isolate=True) as agent:
        async with (
            connected(socket_of(agent, "Ada", "vault-mind")) as ada,
            connected(socket_of(agent, "Eve", "vault-mind")) as eve,
        ):
            await ada.ask("subscribe")
            await eve.ask("subscribe")
            await say(agent, "Eve", "for Eve alone", "1")
            pushed = await eve.read()
            await say(agent, "Ada", "for Ada alone", "1")
            first_of_ada = await ada.read()

        assert pushed["params"]["agent"] == identity(agent, "Eve")
        assert first_of_ada["params"]["agent"] == identity(agent, "Ada")


async def test_a_hostile_mind_cannot_spend_on_another_agents_account(tmp_path: Path) -> None:
    async with (
        ScriptedModel() as model,
        running(tmp_path / "data", team(tmp_path), isolate=True, model_url=model.url) as agent,
    ):
        rules = plans.gate_boot(agent.supervisor.plan, agent.supervisor.identities, "dev", 0)["egress"]
        of = {name: next(r["name"] for r in rules if r["agent"] == identity(agent, name)) for name in ("Ada", "Eve")}
        body = {
            "model": rules[0]["prices"][0]["model"],
            "messages": [{"role": "user", "content": "x"}],
            "max_tokens": 5,
        }
        asked = len(model.requests)
        answers = {}
        connector = aiohttp.UnixConnector(paths.short(socket_of(agent, "Ada", "gate")))
        async with aiohttp.ClientSession(connector=connector) as hostile:
            for name, rule in of.items():
                async with hostile.post(f"http://gate/egress/{rule}/chat/completions", json=body) as answer:
                    answers[name] = answer.status, answer.headers.get("x-teehee-egress")

        assert answers == {"Ada": (200, None), "Eve": (403, "no-such-rule")}
        assert len(model.requests) == asked + 1
        assert (await say(agent, "Eve", "hello", "1"))["messages"][0]["text"] == "heard: hello"
        rooms = (await agent.door.call("costs", {}))["rooms"]
        of_eve = [row["calls"] for row in rooms if row["agent"] == identity(agent, "Eve")]

        assert of_eve == [1]


async def test_what_a_mind_says_of_another_agent_is_dropped(tmp_path: Path) -> None:
    heard: list[str] = []
    log = get_logger()
    own = {"agents": ["ada", "eve"], "vault": True, "disk": "", "waiting": {"ada": 1, "eve": 9}}
    counts = [["teehee_actions", ["ada"], 1], ["teehee_actions", ["eve"], 9]]
    ada = Server("gate", tmp_path / "ada.sock", {"health": lambda _: {**own, "counts": counts}}, log.info)
    eve = Server("gate", tmp_path / "eve.sock", {"health": lambda _: {**own, "agents": [], "counts": []}}, log.info)
    await ada.start()
    await eve.start()

    async def subscribe(link: Client) -> None:
        await link.call("subscribe")

    links = {
        name: Client(
            tmp_path / f"{name}.sock",
            on_connect=subscribe,
            on_notify=only_of(name, lambda method, params: heard.append(f"{method} {params['agent']}")),
        )
        for name in ("ada", "eve")
    }
    async with Minds(links) as minds:
        await until(lambda: all(link.is_up for link in links.values()))
        ada.push("turn.draft", {"agent": "eve", "text": "I am Eve"})
        ada.push("turn.ended", {"agent": "ada"})
        await until(lambda: bool(heard))
        health = await minds.call_now("health", patience=2.0)
    await ada.close()
    await eve.close()

    assert heard == ["turn.ended ada"]
    assert health["agents"] == ["ada"]
    assert health["waiting"]["ada"] == 1
    assert health["counts"] == [["teehee_actions", ["ada"], 1]]


async def test_one_mind_may_die_while_the_other_answers(tmp_path: Path) -> None:
    async with running(tmp_path / "data", team(tmp_path), isolate=True) as agent:
        ada, eve = agent.supervisor.minds
        other = eve.pid
        os.kill(ada.pid, signal.SIGKILL)
        assert (await say(agent, "Eve", "are you there?", "1"))["state"] == "answered"
        assert (await say(agent, "Ada", "and you?", "1", wait=30))["state"] == "answered"

        assert eve.pid == other
    assert agent.told[0].startswith("the mind-ada ended")


async def test_a_reload_restarts_the_changed_agents_mind_only(tmp_path: Path) -> None:
    files = team(tmp_path)
    async with running(tmp_path / "data", files, isolate=True) as agent:
        before = [mind.pid for mind in agent.supervisor.minds]
        team(tmp_path, system="Changed.")
        await until(lambda: bool(agent.told))
        after = [mind.pid for mind in agent.supervisor.minds]

        assert (await say(agent, "Ada", "still there?", "1"))["state"] == "answered"
    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.mark.parametrize(("first", "then", "way"), [(False, True, "leave --isolate out"), (True, False, "--isolate")])
async def test_a_folder_stays_as_it_began_and_says_so(tmp_path: Path, first: bool, then: bool, way: str) -> None:
    files = team(tmp_path)
    async with running(tmp_path / "data", files, isolate=first) as agent:
        await say(agent, "Ada", "remember this", "1")

    with pytest.raises(ConfigError, match="mind") as caught:
        async with running(tmp_path / "data", files, isolate=then):
            pass
    async with running(tmp_path / "data", files, isolate=first) as agent:
        past = await agent.door.call("history", {"agent": "ada"})

    assert way in caught.value.hint
    assert any("remember this" in line["text"] for line in past)


async def test_a_lost_store_of_one_mind_is_not_begun_anew_in_silence(tmp_path: Path) -> None:
    files = team(tmp_path)
    async with running(tmp_path / "data", files, isolate=True) as agent:
        lost = agent.supervisor.plan.folder.of_mind(identity(agent, "Eve")) / "mind.db"
    lost.unlink()

    with pytest.raises(TeeheeError, match="is gone or empty"):
        async with running(tmp_path / "data", files, isolate=True):
            pass


async def test_doctor_reads_the_store_of_each_mind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data, team(tmp_path), isolate=True):
        pass
    looked = await teehee("doctor", "--deep", "--rebuild", "--data", data, "--json")

    stores = [one for one in looked.json if one["about"].endswith("/mind.db")]
    assert [one["mark"] for one in stores] == ["ok", "ok"]


@pytest.mark.parametrize(("option", "sentence"), [((), "share one mind"), (("--isolate",), "have a mind each")])
async def test_the_start_says_who_shares_a_mind(tmp_path: Path, option: tuple[str, ...], sentence: str) -> None:
    said = b""
    async with started("run", *team(tmp_path), "--data", tmp_path / "data", *option) as process:
        assert process.stdout is not None
        while b"no terminal here" not in (line := await asyncio.wait_for(process.stdout.readline(), 30)):
            said += line

    assert re.search(f"^Ada and Eve {sentence}", said.decode(), re.MULTILINE)
