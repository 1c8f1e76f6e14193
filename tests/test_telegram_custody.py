"""Whose token a bot speaks by: replaced inside where it is managed, kept before it is used, and dead outside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from telegram.error import InvalidToken

from teehee.connector import Office, Unavailable
from teehee.errors import Refused
from teehee.testing import ScriptedModel, TelegramServer, TelegramWorld, running, teehee, until
from teehee.testing.telegram_server.people import Bot
from teehee_telegram import custody
from teehee_telegram.custody import MANAGER, OWN, REPLACED, Held
from telegram_cast import Bots
from telegram_stage import character
from vaults import Vault, config, encodings, vault_at

Json = Any


@dataclass
class Safe:
    """What custody asks of an office, over a real vault; `agent` is one agent's name there."""

    vault: Vault
    told: list[tuple[str, str]] = field(default_factory=list)
    name: str = "Ada"
    dies_before_keeping: bool = False

    async def secret(self, name: str) -> tuple[int, str]:
        held = await self.vault.gate("secret.get", {"name": f"ada/{name}"})
        return held["version"], held["value"]

    async def rotate(self, name: str, version: int, value: str) -> int:
        if self.dies_before_keeping:
            raise asyncio.CancelledError  # as good as a kill here: nothing after this line runs
        asked = {"name": f"ada/{name}", "version": version, "value": value}
        return int((await self.vault.gate("secret.rotate", asked))["version"])

    async def changed(self, name: str, version: int) -> None:
        while True:
            with contextlib.suppress(Refused):
                if (await self.secret(name))[0] != version:
                    return
            await asyncio.sleep(0.01)

    def tell(self, code: str, sentence: str) -> None:
        self.told.append((code, sentence))

    async def set(self, name: str, value: str) -> None:
        await self.vault.owner("secret.set", {"name": f"ada/{name}", "value": value})

    @property
    def office(self) -> Office:
        return cast(Office, self)


@dataclass
class Scene:
    """A bot that a manager manages, and the safe of the agent that is to speak by it."""

    server: TelegramServer
    safe: Safe
    manager: Bot
    bot: Bot
    bots: Bots

    async def held(self, void: Held | None = None, *, bot: int | None = None, safe: Safe | None = None) -> Held:
        replace = custody.replace_at(self.server.url)
        async with asyncio.timeout(10):
            return await custody.held((safe or self.safe).office, self.bot.id if bot is None else bot, replace, void)

    async def is_live(self, token: str) -> bool:
        bot = self.bots.cold(token)
        await bot.request.initialize()
        try:
            return (await bot.get_me()).id == self.bot.id
        except InvalidToken:
            return False
        finally:
            await bot.request.shutdown()

    @property
    def replaced(self) -> int:
        """How often a token was asked to be replaced."""
        return sum(call.method == "replacemanagedbottoken" for call in self.server.world.calls)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with (
        vault_at(tmp_path, config()) as vault,
        TelegramServer() as server,
        contextlib.AsyncExitStack() as stack,
    ):
        manager = server.world.bot("keeper_bot")
        bot = server.world.bot("ada_bot", manager=manager)
        safe = Safe(vault)
        await safe.set(MANAGER, manager.token)
        yield Scene(server, safe, manager, bot, Bots(server, stack))


# -- a managed bot


async def test_the_token_its_maker_knows_is_dead_once_the_gate_had_it_replaced(scene: Scene) -> None:
    known_outside = scene.bot.token

    held = await scene.held()

    assert (held.name, held.version, held.secrets) == (REPLACED, 1, (REPLACED, MANAGER))
    assert not await scene.is_live(known_outside)
    assert await scene.is_live(held.token)
    assert await scene.safe.secret(REPLACED) == (1, held.token)


async def test_the_vault_knows_that_nobody_gave_it(scene: Scene) -> None:
    await scene.held()

    kept = {one["name"]: one["giver"] for one in (await scene.safe.vault.owner("secret.names"))["secrets"]}
    assert kept == {f"ada/{MANAGER}": "owner", f"ada/{REPLACED}": "gate"}


async def test_it_is_replaced_once_and_found_again(scene: Scene) -> None:
    first = await scene.held()

    assert await scene.held() == first
    assert scene.replaced == 1


async def test_a_token_its_owner_gave_is_left_aside_where_the_bot_is_managed(scene: Scene) -> None:
    await scene.safe.set(OWN, scene.bot.token)

    assert (await scene.held()).name == REPLACED


async def test_killed_between_the_replacing_and_the_keeping_it_is_replaced_again(scene: Scene) -> None:
    scene.safe.dies_before_keeping = True
    with pytest.raises(asyncio.CancelledError):
        await scene.held()
    lost = scene.bot.token
    scene.safe.dies_before_keeping = False

    held = await scene.held()

    assert scene.replaced == 2
    assert not await scene.is_live(lost)
    assert await scene.is_live(held.token)


async def test_an_answer_that_is_lost_on_the_way_loses_nothing(scene: Scene) -> None:
    scene.server.hangs_up("replacemanagedbottoken", after=True)

    with pytest.raises(Unavailable):
        await scene.held()

    assert await scene.is_live((await scene.held()).token)


async def test_killed_while_a_token_is_replaced_again_the_dead_one_is_noticed(scene: Scene) -> None:
    first = await scene.held()
    scene.bot.revoke()
    scene.safe.dies_before_keeping = True
    with pytest.raises(asyncio.CancelledError):
        await scene.held(first)
    scene.safe.dies_before_keeping = False

    found = await scene.held()  # a new life knows of no void token yet
    assert found == first
    assert not await scene.is_live(found.token)
    assert await scene.is_live((await scene.held(found)).token)


async def test_two_gates_at_once_end_with_one_live_token(scene: Scene) -> None:
    other = Safe(scene.safe.vault)

    found = list(await asyncio.gather(scene.held(), scene.held(safe=other)))
    for _ in range(3):  # whoever holds a dead one finds out at its first call
        found = [one if await scene.is_live(one.token) else await scene.held(one) for one in found]

    assert await scene.is_live((await scene.safe.secret(REPLACED))[1])
    assert {one.token for one in found} == {scene.bot.token}


async def test_a_token_of_another_bot_is_not_taken_for_this_ones(scene: Scene) -> None:
    first = await scene.held()
    another = scene.server.world.bot("eve_bot", manager=scene.manager)

    second = await scene.held(bot=another.id)

    assert second.token == another.token
    assert second.version == first.version + 1


async def test_a_bot_the_manager_does_not_manage_is_told_and_waited_for(scene: Scene) -> None:
    stranger = scene.server.world.bot("stranger_bot")
    await scene.safe.set(OWN, stranger.token)  # never a way round: custody was asked for
    waiting = asyncio.create_task(scene.held(bot=stranger.id))
    await until(lambda: any("does not let the manager replace" in sentence for _, sentence in scene.safe.told))
    assert not waiting.done()

    stranger.manager = scene.server.world.bot("other_keeper_bot")
    await scene.safe.set(MANAGER, stranger.manager.token)

    assert (await waiting).token == stranger.token


async def test_a_managers_dead_token_is_told_and_waited_for(scene: Scene) -> None:
    scene.manager.revoke()
    waiting = asyncio.create_task(scene.held())
    await until(lambda: any("secrets set telegram-manager" in sentence for _, sentence in scene.safe.told))

    await scene.safe.set(MANAGER, scene.manager.token)

    assert (await waiting).name == REPLACED


@pytest.mark.parametrize("status", [429, 502])
async def test_while_telegram_cannot_the_gate_tries_again_later(scene: Scene, status: int) -> None:
    scene.server.fails("replacemanagedbottoken", status, retry_after=1 if status == 429 else 0)

    with pytest.raises(Unavailable):
        await scene.held()

    assert (await scene.held()).name == REPLACED


async def test_a_token_is_in_no_text_of_what_is_held(scene: Scene) -> None:
    held = await scene.held()

    assert held.token not in repr(held)


# -- a bot of its owner's


async def test_without_any_token_it_waits_and_tells_how_to_go_on(scene: Scene) -> None:
    waiting = asyncio.create_task(scene.held(bot=0))
    await until(lambda: scene.safe.told != [])
    assert scene.safe.told == [("token", custody.NO_TOKEN)]
    assert not waiting.done()

    await scene.safe.set(OWN, scene.bot.token)

    held = await waiting
    assert (held.token, held.name, held.secrets) == (scene.bot.token, OWN, (OWN,))
    assert scene.replaced == 0


async def test_without_a_managers_token_its_owners_is_used(scene: Scene) -> None:
    safe = Safe(scene.safe.vault)
    scene.safe.vault.core.db.execute("DELETE FROM secrets")
    await safe.set(OWN, scene.bot.token)

    assert (await scene.held(safe=safe)).name == OWN


async def test_an_owners_token_that_telegram_refused_is_not_used_again(scene: Scene) -> None:
    await scene.safe.set(OWN, scene.bot.token)
    void = await scene.held(bot=0)
    waiting = asyncio.create_task(scene.held(void, bot=0))
    await until(lambda: scene.safe.told != [])
    assert not waiting.done()

    await scene.safe.set(OWN, scene.bot.revoke())

    assert (await waiting).version == 2


# -- through the front door


async def test_a_managed_bot_talks_by_a_token_that_nobody_has_seen_whatever_is_killed(tmp_path: Path) -> None:
    world = TelegramWorld()
    manager = world.bot("keeper_bot")
    bot = world.bot("ada_bot", manager=manager)
    given, mia = bot.token, world.user("Mia")
    chat = world.private(mia, bot)
    async with TelegramServer(world) as server, ScriptedModel() as model:
        server.hangs_up("replacemanagedbottoken", after=True)  # replaced, and the gate never hears what it is now
        file = character(tmp_path, server, {"TELEGRAM_MANAGED_BOT_ID": str(bot.id)}, secrets={OWN: given})
        async with running(tmp_path / "data", [file], model_url=model.url) as up:
            await teehee("secrets", "set", "telegram-manager", "--data", up.folder, stdin=manager.token)
            await until(lambda: bot.token != given, seconds=20)
            up.kill("gate")
            mia.says(chat, "who are you?")
            await until(lambda: world.texts(chat) == ["heard: who are you?"], seconds=30)

            told = (await teehee("accounts", "--json", "--data", up.folder)).json
            everything = b"".join(path.read_bytes() for path in up.folder.rglob("*") if path.is_file())

    (account,) = told[0]["accounts"]
    assert (account["platform"], account["id"]) == ("telegram", str(bot.id))
    assert [(one["name"], one["giver"]) for one in account["secrets"]] == [(REPLACED, "gate"), (MANAGER, "owner")]
    assert world.bot_of(given) is None
    for token in (given, bot.token, manager.token):
        assert not [form for form in encodings(token.encode()) if form in everything]
