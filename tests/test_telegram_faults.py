"""When Telegram, the network or the token fail: a typed outcome, a sentence for the owner, nothing lost or doubled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from telegram import Bot

from teehee.supervisor.owner import Owner
from teehee.testing import until
from teehee.testing.processes import free_port
from teehee.wire.client import Client
from telegram_stage import Stage, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
CLOSE = 1.2  # seconds in which a doubled message would have shown


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with on_stage(tmp_path_factory.mktemp("faults")) as one:
        yield one


async def alarms(stage: Stage) -> list[str]:
    """What whoever runs this is shown just now, by code."""
    told = await stage.up.door.call("status", {"agent": "ada"})
    return [alarm["code"] for alarm in told["alarms"]]


async def ended(stage: Stage, number: int = 1) -> list[tuple[str, str]]:
    """How so many effects ended."""

    async def are_there() -> bool:
        return len(await stage.outcomes()) >= number

    await until(are_there)
    return await stage.outcomes()


# -- one message


@pytest.mark.parametrize(
    ("fault", "outcome", "texts"),
    [
        ({"status": 429, "retry_after": 1}, ("delivered", ""), 1),
        ({"status": 400, "description": "Bad Request: can't parse entities: odd"}, ("delivered", ""), 1),
        ({"status": 403, "description": "Forbidden: bot was blocked by the user"}, ("failed", "blocked"), 0),
        ({"status": 403, "description": "Forbidden: bot was kicked from the group chat"}, ("failed", "kicked"), 0),
        ({"status": 400, "description": "Bad Request: message is too long"}, ("failed", "too-long"), 0),
        ({"status": 400, "description": "Bad Request: chat not found"}, ("failed", "chat-not-found"), 0),
        ({"status": 500}, ("unknown", "network"), 0),
        ({"status": 502, "page": True}, ("unknown", "network"), 0),
    ],
    ids=["429", "bad markup", "blocked", "kicked", "too long", "chat gone", "500", "a proxy's page"],
)
async def test_a_refused_message_has_an_outcome_and_is_sent_at_most_once(
    stage: Stage, fault: Json, outcome: tuple[str, str], texts: int
) -> None:
    sam, before = stage.world.user("Sam"), len(await stage.outcomes())
    chat = stage.world.private(sam)
    stage.server.fails("sendMessage", **fault)
    sam.says(chat, "hello")

    assert (await ended(stage, before + 1))[before:] == [outcome]
    await asyncio.sleep(CLOSE)
    assert len(stage.texts(chat)) == texts


@pytest.mark.parametrize("after", [True, False], ids=["it had arrived", "it had not"])
async def test_a_connection_that_breaks_leaves_the_message_unknown_and_unrepeated(stage: Stage, after: bool) -> None:
    sam, before = stage.world.user("Sam"), len(await stage.outcomes())
    chat = stage.world.private(sam)
    stage.server.hangs_up("sendMessage", after=after)
    sam.says(chat, "hello")

    assert (await ended(stage, before + 1))[before][0] == "unknown"
    await asyncio.sleep(CLOSE)
    assert len(stage.texts(chat)) == (1 if after else 0)
    sam.says(chat, "still there?")
    await stage.answered(chat, 2 if after else 1)


async def test_while_one_chat_is_held_back_another_goes_on(stage: Stage) -> None:
    sam, mia = stage.world.user("Sam"), stage.world.user("Mia")
    slow, quick = stage.world.private(sam), stage.world.private(mia)
    calls = len(stage.world.calls)
    stage.server.fails("sendMessage", 429, retry_after=3)
    sam.says(slow, "hello")
    await until(lambda: any(call.status == 429 for call in list(stage.world.calls)[calls:]))
    mia.says(quick, "hello")

    await stage.answered(quick)
    assert stage.texts(slow) == []
    assert len(await stage.answered(slow)) == 1


async def test_a_network_that_is_gone_loses_nothing(stage: Stage) -> None:
    sam, before = stage.world.user("Sam"), len(await stage.outcomes())
    chat, asked = stage.world.private(sam), len(stage.model.requests)
    stage.model.pause_seconds = 0.2
    sam.says(chat, "one two three four five")
    await until(lambda: len(stage.model.requests) > asked)
    async with stage.server.refusing():
        sam.says(chat, "and this came while it was gone")
        await asyncio.sleep(3.0)
    stage.model.pause_seconds = 0.0

    texts = await stage.answered(chat, 2, seconds=30)
    assert [text.split()[-1].strip(".!?'\"") for text in texts] == ["five", "gone"]
    assert (await ended(stage, before + 2))[before:] == [("delivered", "")] * 2


async def test_a_message_from_before_a_group_moved_is_delivered_where_it_is_now(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        mia = stage.world.user("Mia")
        group = stage.world.group("Growing", mia)
        stage.model.pause_seconds = 0.3
        mia.says(group, "@teehee_bot tell me something long enough to move house in")
        await until(lambda: bool(stage.model.requests))
        bigger = group.migrate()

        assert len(await stage.answered(bigger)) == 1
        assert await ended(stage) == [("delivered", "")]


# -- the token


async def test_another_reader_of_the_token_is_told_on_every_other_channel(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        stage.server.fails("getUpdates", 409, times=2, description="Conflict: terminated by other getUpdates request")
        sam = stage.world.user("Sam")
        sam.says(stage.world.private(sam), "hello")  # ends the request that is open just now

        await until(lambda: any("409" in line for line in stage.up.told))
        assert "telegram-taken" in await alarms(stage)
        async with aiohttp.ClientSession() as http, http.get(f"{stage.up.url}/readyz") as response:
            assert "telegram-taken" in await response.text()

        async def is_over() -> bool:
            return await alarms(stage) == []

        sam.says(stage.world.private(sam), "hello again")  # the next request that is answered ends the alarm
        await stage.answered(stage.world.private(sam), 2)
        await until(is_over)


async def test_a_revoked_token_is_told_and_a_new_one_brings_what_waited(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        sam = stage.world.user("Sam")
        chat = stage.world.private(sam)
        stage.model.pause_seconds = 0.3
        sam.says(chat, "one two three")
        await until(lambda: bool(stage.model.requests))
        token = stage.world.me.revoke()

        async def is_told() -> bool:
            return "telegram-token" in await alarms(stage)

        await until(is_told)
        sam.says(chat, "anybody?")
        async with Client(stage.up.sockets / "vault-owner.sock") as door:
            owner = Owner(stage.up.supervisor.plan.folder.owner_key)
            await owner.ask(door, "secret.set", {"name": "ada/TELEGRAM_BOT_TOKEN", "value": token})

        assert len(await stage.answered(chat, 2, seconds=40)) == 2
        assert await alarms(stage) == []


async def test_without_a_token_the_agent_says_how_to_get_one(tmp_path: Path) -> None:
    async with on_stage(tmp_path, is_ready=False, secrets={}) as stage:
        await until(lambda: any("teehee secrets set telegram" in line for line in stage.up.told))


async def test_the_token_is_in_no_file_but_sealed_and_in_no_answer(tmp_path: Path) -> None:
    async with on_stage(tmp_path, options={"log_level": "debug"}) as stage:
        token, sam = stage.world.me.token, stage.world.user("Sam")
        chat = stage.world.private(sam)
        stage.server.fails("getUpdates", 500)
        stage.server.fails("sendMessage", 502, page=True)
        sam.says(chat, "hello")
        await ended(stage)
        stage.world.me.revoke()
        await until(lambda: any("token" in line for line in stage.up.told))
        stage.up.kill("gate")
        await asyncio.sleep(1.0)

        secret = token.partition(":")[2].encode()
        held = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and secret in path.read_bytes()]
        assert held == []
        assert not any(token in line for line in stage.up.told)


# -- a webhook in the place of polling


async def test_updates_come_by_webhook_and_from_nobody_else(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with on_stage(tmp_path, settings={"TELEGRAM_WEBHOOK_URL": url}, options={"port": port}) as stage:
        sam = stage.world.user("Sam")
        chat = stage.world.private(sam)
        sam.says(chat, "hello by webhook")
        (text,) = await stage.answered(chat)
        assert "hello by webhook" in text

        forged = {"update_id": 1, "message": {"message_id": 1, "date": 1, "chat": {"id": 5, "type": "private"}}}
        async with aiohttp.ClientSession() as http:
            for headers in ({}, {"X-Telegram-Bot-Api-Secret-Token": "guess"}):
                async with http.post(f"{url}/hooks/ada/telegram", json=forged, headers=headers) as response:
                    assert response.status == 403


async def test_a_webhook_somebody_else_set_is_told_and_taken_back(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as stage:
        sam = stage.world.user("Sam")
        chat = stage.world.private(sam)
        async with Bot(stage.world.me.token, stage.server.base_url) as thief:
            await thief.set_webhook("http://127.0.0.1:9/gone")
        sam.says(chat, "posted to where nobody listens")

        assert "nobody listens" in (await stage.answered(chat, seconds=30))[0]
        assert any("409" in line for line in stage.up.told)
