"""Caps through the front door: real processes, a model that tells its usage, sixty-four rooms, a mind gone bad."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from teehee.gate import costs
from teehee.gate.egress import ANSWER_LIMIT
from teehee.supervisor import plan as plans
from teehee.testing import Running, ScriptedModel, running, teehee, until
from teehee.testing.scripted_model import Raw, Streamed, block, echo
from teehee.wire import notices, paths

Json = Any
ROOMS = 64
MICROS_PER_TOKEN = 10
PRICED: dict[str, Json] = {"model": "m", "model_price": f"{MICROS_PER_TOKEN}/{MICROS_PER_TOKEN}"}
OPEN: dict[str, Json] = {"model_cents_per_user": 0, "model_cents_per_room": 0, "model_cents_in_all": 0}


def whole(asked: Json) -> tuple[int, int]:
    """A model that uses all it may: a token for every byte, and the longest answer."""
    return len(json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode()), asked["max_tokens"]


def little(asked: Json) -> tuple[int, int]:
    return 2_000, 50


async def spent(agent: Running) -> Json:
    return await agent.door.call("costs", {})


def bill(model: ScriptedModel) -> int:
    """What the provider would charge for all it was asked, in micro-dollars."""
    return sum(sum(model.usage(asked)) for asked in model.requests) * MICROS_PER_TOKEN


@pytest.mark.parametrize("usage", [whole, little])
async def test_the_bill_stays_under_the_cap_with_64_rooms_at_once(tmp_path: Path, usage: Any) -> None:
    async with (
        ScriptedModel(usage=usage, pause_seconds=0.01) as model,
        running(tmp_path, ["wren"], model_url=model.url, model_cents_per_day=100, **PRICED, **OPEN) as agent,
    ):
        told = await asyncio.gather(
            *(agent.say(f"hello {n}", id=str(n), room=f"room-{n}", wait=50.0) for n in range(ROOMS))
        )
        account = await spent(agent)

        answered = [one for one in told if one["state"] == "answered"]
        refused = [one for one in told if one["state"] == "budget-day"]
        assert len(answered) + len(refused) == ROOMS
        assert answered
        assert refused
        assert bill(model) <= 1_000_000
        assert account["in_all"]["microdollars"] == bill(model)
        assert (account["in_all"]["open"], account["in_all"]["unknown"]) == (0, 0)
        assert {one["notice"] for one in refused} == {notices.sentence("budget-day", "Wren")}


async def test_a_used_up_budget_is_said_in_one_sentence_never_retried_and_leaves_all_else_working(
    tmp_path: Path,
) -> None:
    async with (
        ScriptedModel(usage=whole) as model,
        running(tmp_path, ["wren"], model_url=model.url, model_cents_per_room=25, **PRICED) as agent,
    ):
        states = [(await agent.say(f"hi {n}", id=str(n)))["state"] for n in range(4)]
        elsewhere = (await agent.say("hi", id="9", room="attic"))["state"]
        asked = len(model.requests)
        await asyncio.sleep(1.2)  # past the first two pauses of what is retried

        first = states.index("budget-room")
        assert first > 0
        assert set(states[first:]) == {"budget-room"}
        assert elsewhere == "answered"
        assert len(model.requests) == asked
        account = await spent(agent)
        room = next(row for row in account["rooms"] if row["room"] == "terminal:main")
        assert 0 <= room["left"]["microdollars"] < room["microdollars"] / first
        assert (await teehee("costs", "--data", tmp_path, "--json")).json["in_all"] == account["in_all"]
        shown = (await teehee("costs", "--data", tmp_path)).out
        assert all(word in shown for word in ("Wren", "terminal:main", "by model", "left today", "caps renew at"))
        assert len(await agent.leaves()) > 0
    at_rest = await teehee("costs", "--data", tmp_path, "--days", "7", "--json")
    assert at_rest.json["in_all"]["calls"] == account["in_all"]["calls"]


async def test_the_classic_brain_answers_for_a_model_whose_budget_is_used_up(tmp_path: Path) -> None:
    async with (
        ScriptedModel(usage=whole) as model,
        running(
            tmp_path, ["wren"], model_url=model.url, model_cents_per_room=25, model_fallbacks="classic", **PRICED
        ) as agent,
    ):
        told = [await agent.say(f"hello {n}", id=str(n)) for n in range(5)]

        assert {one["state"] for one in told} == {"answered"}
        assert 0 < len(model.requests) < 5
        assert bill(model) <= 250_000


async def test_a_folder_where_no_model_was_called_has_nothing_to_tell(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"], ollama_url="off") as agent:
        await agent.say("hello", id="1")
        up = await teehee("costs", "--data", tmp_path)
    down = await teehee("costs", "--data", tmp_path, "--json")

    assert "no model was called" in up.out
    assert down.json["agents"] == []


async def test_half_most_and_all_of_a_day_reach_the_operators_terminal(tmp_path: Path) -> None:
    async with (
        ScriptedModel(usage=lambda asked: (2_000, 500)) as model,
        running(tmp_path, ["wren"], model_url=model.url, model_cents_per_day=120, **PRICED, **OPEN) as agent,
    ):
        number = 0
        while (await agent.say("hi", id=str(number)))["state"] == "answered":
            number += 1
        await until(lambda: any("used up" in sentence for sentence in agent.told))

        said = [sentence.split(" ")[1] for sentence in agent.told if sentence.startswith("Wren: ")]
        assert said == ["50", "80", "today's"]
        assert "all agents" not in str(agent.told)


async def test_a_gate_killed_in_the_middle_of_a_call_counts_it_as_spent(tmp_path: Path) -> None:
    first = asyncio.Event()

    async def slow_once(asked: Json) -> Any:
        if not first.is_set():
            first.set()
            await asyncio.sleep(30)
        return echo(asked)

    async with (
        ScriptedModel(speak=slow_once, usage=little) as model,
        running(tmp_path, ["wren"], model_url=model.url, **PRICED) as agent,
    ):
        said = asyncio.ensure_future(agent.say("hello", id="1", wait=40.0))
        await asyncio.wait_for(first.wait(), 20)
        assert costs.read(tmp_path, 1)["in_all"]["open"] == 1
        agent.kill("gate")
        await said
        await until(lambda: len(model.requests) == 2)
        await until(lambda: costs.read(tmp_path, 1)["in_all"]["open"] == 0)

        (person,) = (await spent(agent))["people"]  # the call after the kill is on the same person's account
        assert (person["calls"], person["unknown"]) == (2, 1)
        assert person["tokens"] == sum(little({})) + _held(tmp_path)


def _held(folder: Path) -> int:
    db = sqlite3.connect(folder / costs.FILE)
    try:
        return int(db.execute("SELECT tokens FROM calls WHERE state='unknown'").fetchone()[0])
    finally:
        db.close()


# -- a mind gone bad: the test holds its end of the gate's socket


class Mind:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, *, claim: str = "", **more: Json) -> tuple[int, str]:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}
        headers = {"x-teehee-message": claim} if claim else {}
        url = "http://gate/egress/model-wren/chat/completions"
        async with self.session.post(url, json=body, headers=headers) as answer:
            await answer.read()
            return answer.status, answer.headers.get("x-teehee-egress", "")


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(speak=lambda asked: block("words"), usage=whole) as opened:
        yield opened


@pytest.fixture
async def agent(tmp_path: Path, model: ScriptedModel) -> AsyncIterator[Running]:
    options = {**PRICED, **OPEN, "model_cents_per_day": 200, "max_tokens": 100}
    async with running(tmp_path, ["wren"], model_url=model.url, **options) as opened:
        yield opened


@pytest.fixture
async def mind(agent: Running) -> AsyncIterator[Mind]:
    connector = aiohttp.UnixConnector(paths.short(agent.sockets / "gate.sock"), limit=50)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Mind(session)


@pytest.mark.parametrize("calls", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_thousands_of_tiny_calls_for_nobody_spend_a_tenth_and_no_more(
    mind: Mind, model: ScriptedModel, calls: int
) -> None:
    claims = ["", "forged", "0" * 36, "'; DELETE FROM calls; --"]

    told = await asyncio.gather(*(mind.ask(claim=claims[n % 4], max_tokens=1) for n in range(calls)))

    assert set(told) == {(200, ""), (402, "budget-day")}
    assert 0 < bill(model) <= 200_000


async def test_what_a_bad_mind_spends_for_nobody_leaves_people_their_answers(agent: Running, mind: Mind) -> None:
    while (await mind.ask())[0] == 200:
        pass

    assert (await agent.say("hello", id="1"))["state"] == "answered"


async def test_a_huge_answer_is_asked_for_as_the_setting_allows(mind: Mind, model: ScriptedModel) -> None:
    for more in (
        {"max_tokens": 10**9},
        {"max_tokens": None},
        {"max_completion_tokens": 10**9},
        {"max_tokens": "10000"},
    ):
        await mind.ask(**more)
        assert [v for k, v in model.requests[-1].items() if k.startswith("max_")] == [100]

    assert len(model.requests) == 4


async def test_more_answers_and_dearer_models_do_not_go_out(mind: Mind, model: ScriptedModel) -> None:
    told = [await mind.ask(n=100), await mind.ask(model="dearest"), await mind.ask(service_tier="priority")]

    assert told == [(403, "unbounded")] * 3
    assert model.requests == []


async def test_an_endless_stream_is_cut_and_counts_in_full(agent: Running, mind: Mind, model: ScriptedModel) -> None:
    model.script.append(Streamed(["x" * 60_000] * (2 * ANSWER_LIMIT // 60_000)))

    with pytest.raises(aiohttp.ClientPayloadError):
        await mind.ask(stream=True)

    account = await spent(agent)
    assert account["in_all"]["unknown"] == 1
    assert account["in_all"]["microdollars"] > 100 * MICROS_PER_TOKEN


async def test_a_stream_the_mind_hangs_up_on_counts_in_full(agent: Running, mind: Mind, model: ScriptedModel) -> None:
    model.script.append(Streamed(["x"] * 100, pause_seconds=0.1))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await mind.ask(stream=True)
    await until(lambda: costs.read(agent.folder, 1)["in_all"]["open"] == 0)

    assert (await spent(agent))["in_all"]["unknown"] == 1


async def test_what_a_provider_refuses_costs_nothing(agent: Running, mind: Mind, model: ScriptedModel) -> None:
    model.script += [Raw(b"{}", status) for status in (400, 401, 429, 500, 503)]
    for _ in range(5):
        await mind.ask()
    model.script.append(Raw(b"{}", 504))
    await mind.ask()

    account = (await spent(agent))["in_all"]
    assert (account["calls"], account["unknown"]) == (1, 1)


# -- what is known of prices before anything is asked


def planned(url: str, model: str, **options: Json) -> tuple[Json, Json]:
    """The purse and the notes of an agent with these settings."""
    plan = plans.make(["wren"], {"model_url": url, "model": model, **options})
    boot = plans.gate_boot(plan, [{"agent": "a"}], "dev", 0)
    return boot["purses"][0], plan.agents[0].notes


def test_an_unknown_price_is_told_and_its_tokens_are_capped() -> None:
    purse, notes = planned("https://api.example.com/v1", "nobody-knows-9")

    assert purse["day"]["tokens"] == 2_000_000
    assert "nobody-knows-9" in str(notes)
    assert "MODEL_PRICE" in str(notes)


def test_a_known_price_is_capped_in_money_and_a_model_next_door_not_at_all() -> None:
    openai, notes = planned("https://api.openai.com/v1", "gpt-4o-mini-2024-07-18")
    near, near_notes = planned("http://127.0.0.1:11434/v1", "llama3.2")

    assert openai["day"] == {"tokens": 0, "cents": 500}
    assert near["day"]["tokens"] == near["user"]["tokens"] == near["room"]["tokens"] == 0
    assert (notes, near_notes) == ((), ())


def test_a_cap_on_tokens_that_somebody_set_counts_everywhere() -> None:
    near, _ = planned("http://127.0.0.1:11434/v1", "llama3.2", model_tokens_per_day=7)

    assert near["day"]["tokens"] == 7
