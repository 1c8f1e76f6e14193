"""A webhook is looked after: who takes it away is told and does not keep it, and so is what Telegram cannot post."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from telegram import Bot

from teehee.connector import ConfigError
from teehee.testing import TelegramServer, until
from teehee_telegram.api import Api
from teehee_telegram.polling import Webhook

Json = Any
LOOK = 0.05  # seconds
OURS = "http://127.0.0.1:9/hooks/ada/telegram"


class Office:
    """What is told to whoever runs the agent, by code, every change of it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def tell(self, code: str, sentence: str) -> None:
        if dict(self.told).get(code, "") != sentence:
            self.told.append((code, sentence))

    def codes(self) -> list[tuple[str, bool]]:
        return [(code, bool(sentence)) for code, sentence in self.told]


@contextlib.asynccontextmanager
async def watched(server: TelegramServer) -> AsyncIterator[tuple[Webhook, Office, "asyncio.Task[None]"]]:
    """A webhook of ours at Telegram that is looked after all the time; nobody listens at its address."""
    async with Api(server.world.me.token, server.url) as api:
        webhook, office = Webhook(OURS, _taken), Office()
        await webhook.open(api)
        task = asyncio.ensure_future(webhook.watch(office, api, LOOK))  # type: ignore[arg-type] # all it needs of one
        try:
            yield webhook, office, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _taken(updates: Sequence[Json]) -> None:
    raise AssertionError("nothing is posted here")


def hook(server: TelegramServer) -> Mapping[str, Json]:
    webhook: Mapping[str, Json] = server.world.me.webhook
    return webhook


async def test_a_webhook_somebody_else_set_is_told_and_taken_back() -> None:
    async with TelegramServer() as server, watched(server) as (webhook, office, _):
        async with Bot(server.world.me.token, server.base_url) as thief:
            await thief.set_webhook("http://127.0.0.1:9/theirs", secret_token="theirs")
        await until(lambda: ("taken", True) in office.codes())
        await until(lambda: ("taken", False) in office.codes())  # the next look finds all well

        assert (hook(server)["url"], hook(server)["secret"]) == (OURS, webhook.secret)
        assert office.codes() == [("taken", True), ("taken", False)]
        assert "somebody else" in office.told[0][1]


async def test_a_webhook_that_is_gone_is_set_again() -> None:
    async with TelegramServer() as server, watched(server) as (_, office, _):
        async with Bot(server.world.me.token, server.base_url) as thief:
            await thief.delete_webhook()
        await until(lambda: ("taken", False) in office.codes())

        assert hook(server)["url"] == OURS


async def test_what_telegram_cannot_post_is_told_in_its_words_with_the_way_out() -> None:
    async with TelegramServer() as server, watched(server) as (_, office, _):
        sam = server.world.user("Sam")
        sam.says(server.world.private(sam), "hello?")
        await until(lambda: bool(office.told))

    assert office.codes()[0] == ("webhook", True)
    assert f"cannot post this bot's messages to {OURS}: Connection failed" in office.told[0][1]
    assert "TELEGRAM_WEBHOOK_URL" in office.told[0][1]


async def test_our_address_with_anothers_secret_is_made_ours_again() -> None:
    async with TelegramServer() as server, watched(server) as (webhook, _, _):
        async with Bot(server.world.me.token, server.base_url) as thief:
            await thief.set_webhook(OURS, secret_token="theirs")
        sam = server.world.user("Sam")
        sam.says(server.world.private(sam), "hello?")
        await until(lambda: hook(server)["secret"] == webhook.secret)


async def test_telegram_being_away_for_long_is_told_and_a_dead_token_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teehee_telegram.polling.PAUSES", (0.01,))
    async with TelegramServer() as server, watched(server) as (_, office, task):
        server.fails("getwebhookinfo", 502, times=6)
        await until(lambda: ("away", True) in office.codes())
        await until(lambda: ("away", False) in office.codes())
        server.world.me.revoke()

        with pytest.raises(ConfigError):
            async with asyncio.timeout(10):
                await task
