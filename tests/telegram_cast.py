"""Who plays in the tests of the simulated Telegram: one bot through its vendor's client, one person, two chats."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from telegram import Bot, Update
from telegram.request import HTTPXRequest

from teehee.testing.telegram_server import Chat, TelegramServer, User, World


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


class Bots:
    """Makes clients of the server."""

    def __init__(self, telegram: TelegramServer, stack: AsyncExitStack) -> None:
        self.telegram, self.stack = telegram, stack

    async def __call__(self, token: str) -> Bot:
        return await self.stack.enter_async_context(self.cold(token))

    def cold(self, token: str) -> Bot:
        """Not started: it has asked for nothing yet."""
        polls = HTTPXRequest(connection_pool_size=4)
        server = self.telegram
        return Bot(token, server.base_url, server.file_url, get_updates_request=polls)


@dataclass(frozen=True, slots=True)
class Cast:
    server: TelegramServer
    world: World
    clock: Clock
    bots: Bots
    bot: Bot
    mia: User
    private: Chat
    group: Chat

    async def news(self) -> list[Update]:
        """What came since the last call, confirmed."""
        updates = await self.bot.get_updates()
        if updates:
            await self.bot.get_updates(offset=updates[-1].update_id + 1, limit=1)
        return list(updates)

    async def heard(self) -> list[str | None]:
        """The texts that came since the last call."""
        found = [update.effective_message for update in await self.news()]
        return [message.text for message in found if message is not None]


@asynccontextmanager
async def telegram_cast(*, privacy: bool = True) -> AsyncIterator[Cast]:
    """A server with a clock that stands still, and nothing waiting for the bot."""
    clock = Clock()
    async with TelegramServer(World(clock=clock, privacy=privacy)) as server, AsyncExitStack() as stack:
        world, bots = server.world, Bots(server, stack)
        mia = world.user("Mia", "mia_writes")
        private, group = world.private(mia), world.supergroup("Readers", mia)
        cast = Cast(server, world, clock, bots, await bots(world.me.token), mia, private, group)
        await cast.news()
        yield cast
