"""`teehee accounts`: who has seen what opens an agent's account, which powers remain, what guards against them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from telegram.error import Conflict

from teehee.evidence import statement
from teehee.testing import running, teehee, until
from telegram_cast import Bots
from telegram_stage import Stage, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with on_stage(tmp_path_factory.mktemp("accounts")) as one:
        await until(lambda: accounts_known(one), seconds=20)
        yield one


async def accounts_known(stage: Stage) -> bool:
    return bool((await told(stage))["accounts"])


async def told(stage: Stage) -> Json:
    (one,) = (await teehee("accounts", "--json", "--data", stage.up.folder)).json
    return one


async def test_who_holds_what_is_told_in_sentences(stage: Stage) -> None:
    done = await teehee("accounts", "--data", stage.up.folder)
    words = " ".join(done.out.split())

    assert done.code == 0, done.err
    assert words.startswith(f"Ada · trust: dev telegram:{stage.world.me.id} ")
    for sentence in (
        "TELEGRAM_BOT_TOKEN came with the start, by environment or character file: whoever starts the agents has seen",
        "whoever made the bot can read its token in @BotFather",
        "who only writes is not noticed",
        "Telegram can do whatever it likes with the account",
        "whoever reads its data folder can read every secret",
        "each message of the agent's has a receipt",
    ):
        assert sentence in words
    assert max(map(len, done.out.splitlines())) <= 100
    assert stage.world.me.token not in done.out


async def test_the_account_is_the_one_the_statement_names(stage: Stage) -> None:
    (account,) = (await told(stage))["accounts"]
    given = await stage.up.public.call("bundle", {"agent": stage.up.agent["agent"]}, patience=30)

    said = statement.parse(given["statement"].encode())
    assert said.accounts == {account["platform"]: account["id"]} == {"telegram": str(stage.world.me.id)}


async def test_the_page_says_the_same(stage: Stage) -> None:
    (account,) = (await told(stage))["accounts"]
    async with httpx.AsyncClient(base_url=stage.up.url, timeout=30) as browser:
        page = (await browser.get("/chat/ada/verify")).text

    assert f"Its account telegram {stage.world.me.id}" in page
    for sentence in [*account["powers"], *account["guards"]]:
        assert sentence.replace("'", "&#x27;") in page


async def test_the_talk_names_the_account_in_its_status(stage: Stage) -> None:
    done = await teehee("chat", "--data", stage.up.folder, stdin="/status\n")

    assert f"speaks as telegram:{stage.world.me.id}; who can do what with that: `teehee accounts`" in done.out


async def test_a_token_in_other_hands_is_an_alarm_everywhere_else(stage: Stage) -> None:
    async with AsyncExitStack() as stack:
        thief = await Bots(stage.server, stack)(stage.world.me.token)

        async def is_told() -> bool:
            with contextlib.suppress(Conflict):
                await thief.get_updates(timeout=1)
            return bool((await told(stage))["alarms"])

        await until(is_told, seconds=30)
        shown = await teehee("accounts", "--data", stage.up.folder)
        status = await teehee("chat", "--data", stage.up.folder, stdin="/status\n")

    assert "alarm" in shown.out
    assert "somebody else is reading this bot's messages" in " ".join(shown.out.split())
    assert "! somebody else is reading this bot's messages" in status.out
    assert any("somebody else is reading this bot's messages" in one for one in stage.up.told)


async def test_a_token_handed_over_later_is_one_its_owner_has_seen(stage: Stage) -> None:
    stage.world.me.revoke()
    await teehee("secrets", "set", "telegram", "--data", stage.up.folder, stdin=stage.world.me.token)

    async def givers() -> bool:
        (account,) = (await told(stage))["accounts"]
        return [one["giver"] for one in account["secrets"]] == ["owner"]

    await until(givers, seconds=20)
    (account,) = (await told(stage))["accounts"]
    assert "its owner has seen it (20" in account["secrets"][0]["seen"]


async def test_an_agent_without_an_account_says_so_and_one_that_does_not_run_how_to_ask(tmp_path: Path) -> None:
    async with running(tmp_path, ["wren"]) as up:
        done = await teehee("accounts", "--data", up.folder)
        status = await asyncio.wait_for(up.door.call("status", {}), 10)
    away = await teehee("accounts", "--data", tmp_path)

    assert done.out == "Wren · trust: dev\n  no account elsewhere: it talks in the terminal and on its page\n"
    assert status["accounts"] == []
    assert away.code == 2
    assert "start it with `teehee run`: its gate and vault are asked" in away.err
