"""`teehee secrets`: a token goes from its owner's hands into the vault of a running agent, and nowhere else."""

import asyncio
import contextlib
import os
import pty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from teehee.testing import Running, ScriptedModel, TelegramServer, running, teehee, until
from teehee.testing.command_line import FRESH, command_line
from telegram_stage import character
from vaults import encodings

Json = Any
OTHER = "7000000002:" + "B" * 35
SHAPED = "7000000001:AAEcanary-canary-canary-canary_0001"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramServer]:
    async with TelegramServer() as server:
        yield server


@pytest.fixture
async def ada(tmp_path: Path, telegram: TelegramServer) -> AsyncIterator[Running]:
    """Ada, whose character names Telegram and who has no token."""
    async with ScriptedModel() as model:
        file = character(tmp_path, telegram, secrets={})
        async with running(tmp_path / "data", [file], model_url=model.url, replies_per_minute=1000) as up:
            yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked_in_vain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Ada, for whatever is refused and so changes nothing of her."""
    folder = tmp_path_factory.mktemp("ada")
    async with TelegramServer() as server:
        file = character(folder, server, secrets={})
        async with running(folder / "data", [file]) as up:
            yield up


def is_connected(telegram: TelegramServer) -> bool:
    return any(call.method == "getupdates" for call in telegram.world.calls)


async def answered(telegram: TelegramServer, text: str) -> None:
    """Mia says it in private, and hears the agent repeat it."""
    mia = telegram.world.user("Mia")
    chat = telegram.world.private(mia)
    mia.says(chat, text)
    await until(lambda: telegram.world.texts(chat) == [f"heard: {text}"], seconds=15)


def test_the_canary_has_the_form_of_a_token() -> None:
    assert len(SHAPED.partition(":")[2]) == 35


async def test_an_agent_waiting_for_its_token_talks_once_it_is_set(ada: Running, telegram: TelegramServer) -> None:
    await until(lambda: any("teehee secrets set telegram" in told for told in ada.told), seconds=15)
    assert not is_connected(telegram)

    done = await teehee("secrets", "set", "telegram", "--data", ada.folder, stdin=f"  {telegram.world.me.token}\n")

    assert done.code == 0, done.err
    assert done.out == "TELEGRAM_BOT_TOKEN: version 1, sealed in the vault; the gate takes it up within seconds\n"
    await answered(telegram, "hello")
    everything = b"".join(path.read_bytes() for path in ada.folder.rglob("*") if path.is_file())
    for form in encodings(telegram.world.me.token.encode()):
        assert form not in everything + done.out.encode() + done.err.encode()


async def test_a_revoked_token_is_replaced_while_the_agent_runs(ada: Running, telegram: TelegramServer) -> None:
    await teehee("secrets", "set", "telegram", "--data", ada.folder, stdin=telegram.world.me.token)
    await answered(telegram, "before")
    telegram.world.me.revoke()

    began = asyncio.get_running_loop().time()
    done = await teehee("secrets", "set", "telegram", "--data", ada.folder, stdin=telegram.world.me.token)

    assert "version 2" in done.out
    await answered(telegram, "after")
    assert asyncio.get_running_loop().time() - began < 20  # not at the slow look, which is once a minute


async def test_the_same_token_again_changes_nothing(ada: Running) -> None:
    await teehee("secrets", "set", "telegram", "--data", ada.folder, stdin=SHAPED)

    done = await teehee("secrets", "set", "TELEGRAM_BOT_TOKEN", "--data", ada.folder, stdin=SHAPED)

    assert (done.code, done.out) == (
        0, "TELEGRAM_BOT_TOKEN: version 1, as before: the vault had this value already\n",
    )  # fmt: skip


async def test_on_a_terminal_the_value_is_asked_for_and_not_shown(ada: Running) -> None:
    code, shown = await on_a_terminal("secrets", "set", "telegram", "--data", ada.folder, typed=SHAPED)

    assert code == 0, shown
    assert "TELEGRAM_BOT_TOKEN (not shown): " in shown
    assert "version 1, sealed in the vault" in shown
    assert SHAPED not in shown


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "value", ["", " ", "hello", "123:abc", f"{SHAPED}x", f"bot{SHAPED}", f"{SHAPED}\n{SHAPED}", "x" * 70_000]
)
async def test_what_is_no_token_is_not_sent(asked_in_vain: Running, value: str) -> None:
    done = await teehee("secrets", "set", "telegram", "--data", asked_in_vain.folder, stdin=value)

    assert (done.code, done.out) == (2, "")
    assert "expected digits, a colon and 35 characters, as @BotFather gives it" in done.err
    assert SHAPED not in done.err
    assert (await names(asked_in_vain)) == {}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("arguments", [["telegram", SHAPED], [f"TELEGRAM_BOT_TOKEN={SHAPED}"], [SHAPED]])
async def test_a_value_on_the_command_line_is_refused_and_not_repeated(
    asked_in_vain: Running, arguments: list[str]
) -> None:
    done = await teehee("secrets", "set", *arguments, "--data", asked_in_vain.folder, stdin=SHAPED)

    assert (done.code, done.out) == (2, "")
    assert "the value is asked for, or read from a pipe" in done.err
    assert "revoke it" in done.err
    assert SHAPED not in done.err
    assert (await names(asked_in_vain)) == {}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_name_that_is_no_secrets_is_refused(asked_in_vain: Running) -> None:
    done = await teehee("secrets", "set", "TELEGRAM_STALE_SECONDS", "--data", asked_in_vain.folder, stdin="5")

    assert done.code == 2
    assert "TELEGRAM_STALE_SECONDS: by its name no secret" in done.err


async def test_without_a_running_agent_the_way_out_is_told(tmp_path: Path) -> None:
    for arguments in (["set", "telegram"], ["list"]):
        done = await teehee("secrets", *arguments, "--data", tmp_path / "none", stdin=SHAPED)

        assert (done.code, done.out) == (2, "")
        assert "no agent runs in" in done.err
        assert "start it with `teehee run` and hand the secret over then" in done.err


async def names(up: Running) -> dict[str, str]:
    """The secrets by name, with who gave them."""
    found = (await teehee("secrets", "list", "--json", "--data", up.folder)).json
    return {one["name"]: one["giver"] for one in found}


async def test_a_list_has_names_and_givers_and_no_value(ada: Running) -> None:
    await teehee("secrets", "set", "telegram", "--data", ada.folder, stdin=SHAPED)
    await teehee("secrets", "set", "telegram-manager", "--data", ada.folder, stdin=OTHER)

    done = await teehee("secrets", "list", "--data", ada.folder)

    assert await names(ada) == {"ada/TELEGRAM_BOT_TOKEN": "owner", "ada/TELEGRAM_MANAGER_BOT_TOKEN": "owner"}
    assert len(done.out.splitlines()) == 2
    assert "version 1" in done.out
    assert "by its owner" in done.out
    assert SHAPED not in done.out
    assert OTHER not in done.out


async def test_one_that_came_with_the_start_is_told_to_come_again(tmp_path: Path, telegram: TelegramServer) -> None:
    file = character(tmp_path, telegram)
    async with running(tmp_path / "data", [file]) as up:
        done = await teehee("secrets", "set", "telegram", "--data", up.folder, stdin=SHAPED)

        assert "version 2, sealed in the vault" in done.out
        assert "the next start brings it back" in done.out
        assert (await names(up))["ada/TELEGRAM_BOT_TOKEN"] == "owner"


async def test_of_several_agents_one_has_to_be_named(tmp_path: Path) -> None:
    async with running(tmp_path / "data", ["wren", "moss"]) as up:
        unclear = await teehee("secrets", "set", "telegram", "--data", up.folder, stdin=SHAPED)
        done = await teehee("secrets", "set", "telegram", "--agent", "Moss", "--data", up.folder, stdin=SHAPED)

        assert unclear.code == 2
        assert "name one with --agent: wren, moss" in unclear.err
        assert done.code == 0
        assert await names(up) == {"moss/TELEGRAM_BOT_TOKEN": "owner"}


async def test_a_models_key_that_is_replaced_goes_out_with_the_next_call(tmp_path: Path) -> None:
    async with ScriptedModel() as model:
        options = {"model_url": model.url, "model_key": "first-model-key"}
        async with running(tmp_path / "data", ["wren"], **options) as up:
            await up.say("one", id="1")
            (name,) = await names(up)
            done = await teehee("secrets", "set", name.partition("/")[2], "--data", up.folder, stdin="second-model-key")
            await asyncio.sleep(0.5)
            await up.say("two", id="2")

    assert done.code == 0, done.err
    sent = [headers["Authorization"] for headers in model.headers]
    assert (sent[0], sent[-1]) == ("Bearer first-model-key", "Bearer second-model-key")


async def on_a_terminal(*arguments: object, typed: str) -> tuple[int, str]:
    """Runs `teehee` on a terminal of its own and types a line once it asks; (exit code, what the screen showed)."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        "setsid", "--ctty", *command_line(*arguments), env=FRESH, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown, loop = bytearray(), asyncio.get_running_loop()
    reading = asyncio.create_task(asyncio.to_thread(_read_all, ours, shown))
    try:
        await until(lambda: b"(not shown)" in shown, seconds=20)
        await loop.run_in_executor(None, os.write, ours, f"{typed}\n".encode())
        return await asyncio.wait_for(process.wait(), 20), shown.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading
        os.close(ours)


def _read_all(file: int, shown: bytearray) -> None:
    with contextlib.suppress(OSError):  # the other side of the terminal is closed
        while piece := os.read(file, 4096):
            shown.extend(piece)
