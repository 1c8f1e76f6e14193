"""The loopback Bot API as python-telegram-bot finds it: polling, sending, limits, failures."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from telegram import (
    Bot,
    MessageEntity,
    ReplyParameters,
    Update,
)
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TimedOut,
)
from telegram.ext import Application, MessageHandler, filters

from teehee.testing import until
from teehee.testing.telegram_server import Chat, TelegramServer, User, World
from telegram_cast import Bots, Clock

Json = Any


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def telegram(clock: Clock) -> AsyncIterator[TelegramServer]:
    async with TelegramServer(World(clock=clock)) as server:
        yield server


@pytest.fixture
def world(telegram: TelegramServer) -> World:
    return telegram.world


@pytest.fixture
def mia(world: World) -> User:
    return world.user("Mia", "mia_writes")


@pytest.fixture
def private(world: World, mia: User) -> Chat:
    return world.private(mia)


@pytest.fixture
def group(world: World, mia: User) -> Chat:
    return world.supergroup("Readers", mia)


@pytest.fixture
async def bots(telegram: TelegramServer) -> AsyncIterator[Bots]:
    async with AsyncExitStack() as stack:
        yield Bots(telegram, stack)


@pytest.fixture
async def bot(bots: Bots, world: World) -> Bot:
    return await bots(world.me.token)


async def texts(bot: Bot, offset: int | None = None) -> list[str | None]:
    updates = await bot.get_updates(offset=offset)
    return [update.effective_message.text for update in updates if update.effective_message]


async def test_a_bot_is_who_its_token_says(bot: Bot, world: World) -> None:
    me = await bot.get_me()

    assert (me.id, me.username, me.is_bot) == (world.me.id, "teehee_bot", True)
    assert me.can_read_all_group_messages is False


async def test_an_update_comes_until_an_offset_confirms_it(bot: Bot, mia: User, private: Chat) -> None:
    mia.says(private, "one")
    mia.says(private, "two")

    first = await bot.get_updates()
    assert await texts(bot) == ["one", "two"]

    assert await texts(bot, first[0].update_id + 1) == ["two"]
    assert await texts(bot) == ["two"]
    assert await texts(bot, first[1].update_id + 1) == []


async def test_a_negative_offset_forgets_all_but_the_last(bot: Bot, mia: User, private: Chat) -> None:
    for number in range(5):
        mia.says(private, str(number))

    assert await texts(bot, -2) == ["3", "4"]
    assert await texts(bot) == ["3", "4"]


async def test_no_more_than_the_limit_comes_at_once(bot: Bot, mia: User, private: Chat) -> None:
    for number in range(120):
        mia.says(private, str(number))

    assert len(await bot.get_updates(limit=7)) == 7
    assert len(await bot.get_updates()) == 100


async def test_a_long_poll_answers_when_something_is_said(bot: Bot, mia: User, private: Chat) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(0.2, lambda: mia.says(private, "late"))
    began = loop.time()

    updates = await bot.get_updates(timeout=10)

    assert [update.message.text for update in updates if update.message] == ["late"]
    assert 0.15 < loop.time() - began < 5


async def test_a_long_poll_ends_empty_after_its_time(bot: Bot) -> None:
    began = asyncio.get_running_loop().time()

    assert await bot.get_updates(timeout=1) == ()

    assert asyncio.get_running_loop().time() - began >= 0.9


async def test_updates_are_kept_for_a_day(bot: Bot, mia: User, private: Chat, clock: Clock) -> None:
    mia.says(private, "yesterday")
    clock.at += 20 * 3600
    mia.says(private, "today")
    assert await texts(bot) == ["yesterday", "today"]

    clock.at += 5 * 3600

    assert await texts(bot) == ["today"]


async def test_only_kinds_that_are_allowed_come_and_the_choice_stays(
    bot: Bot, mia: User, private: Chat, group: Chat
) -> None:
    said = mia.says(private, "before the choice")
    await bot.get_updates(allowed_updates=["edited_message", "message_reaction"])
    mia.says(private, "unwanted")
    mia.edits(private, said, "changed")
    mia.reacts(private, said)

    kinds = [kind_of(update) for update in await bot.get_updates(offset=-2)]

    assert kinds == ["edited_message", "message_reaction"]


async def test_reactions_do_not_come_unless_asked_for(bot: Bot, mia: User, private: Chat) -> None:
    said = mia.says(private, "hello")
    mia.reacts(private, said)

    assert [kind_of(update) for update in await bot.get_updates()] == ["message"]


def kind_of(update: Update) -> str:
    return next(key for key in update.to_dict() if key != "update_id")


async def test_the_older_of_two_polls_is_ended(bots: Bots, world: World) -> None:
    one, two = await bots(world.me.token), await bots(world.me.token)
    older = asyncio.create_task(one.get_updates(timeout=20))
    await until(lambda: world.me.poller is not None)

    newer = asyncio.create_task(two.get_updates(timeout=1))

    with pytest.raises(Conflict, match="terminated by other getUpdates request"):
        await older
    assert await newer == ()


async def test_what_a_bot_says_arrives_with_its_entities_and_its_target(
    bot: Bot, world: World, mia: User, private: Chat
) -> None:
    said = mia.says(private, "hello")
    bold = MessageEntity("bold", 3, 4)  # after a character of two units

    sent = await bot.send_message(
        private.id, "😀 bold @mia_writes", entities=[bold], reply_parameters=ReplyParameters(said["message_id"])
    )

    assert sent.reply_to_message is not None
    assert sent.reply_to_message.text == "hello"
    assert sent.parse_entities(["bold", "mention"]) == {
        sent.entities[0]: "bold",
        sent.entities[1]: "@mia_writes",
    }
    (arrived,) = world.sent
    assert (arrived.chat, arrived.text, arrived.reply_to) == (mia.id, "😀 bold @mia_writes", said["message_id"])


async def test_a_text_has_4096_units_after_its_markup(bot: Bot, private: Chat, clock: Clock) -> None:
    await bot.send_message(private.id, "😀" * 2048)
    await bot.send_message(private.id, f"<b>{'a' * 4096}</b>", parse_mode="HTML")

    with pytest.raises(BadRequest, match=r"(?i)message is too long"):
        await bot.send_message(private.id, "😀" * 2048 + "a")
    clock.at += 5
    with pytest.raises(BadRequest, match=r"(?i)message text is empty"):
        await bot.send_message(private.id, " \n ")


@pytest.mark.parametrize("retry", [1, 7])
async def test_a_scripted_429_names_its_seconds(telegram: TelegramServer, bot: Bot, private: Chat, retry: int) -> None:
    telegram.fails("sendMessage", 429, retry_after=retry)

    with pytest.raises(RetryAfter) as told:
        await bot.send_message(private.id, "hello")

    assert told.value._retry_after.total_seconds() == retry
    assert telegram.world.texts() == []


async def test_a_call_before_the_time_is_over_is_refused_and_recorded(
    telegram: TelegramServer, bot: Bot, world: World, private: Chat, clock: Clock
) -> None:
    telegram.fails("sendMessage", 429, retry_after=5)
    with pytest.raises(RetryAfter):
        await bot.send_message(private.id, "hello")
    assert world.limits.breaches == []

    clock.at += 4
    with pytest.raises(RetryAfter):
        await bot.send_message(private.id, "too early")
    clock.at += 1
    await bot.send_message(private.id, "in time")

    assert [breach.limit for breach in world.limits.breaches] == ["early"]
    assert world.texts() == ["in time"]


async def test_a_private_chat_takes_a_burst_and_then_one_a_second(
    bot: Bot, world: World, private: Chat, clock: Clock
) -> None:
    for number in range(3):
        await bot.send_message(private.id, str(number))

    with pytest.raises(RetryAfter):
        await bot.send_message(private.id, "one too many")
    clock.at += 1
    await bot.send_message(private.id, "3")

    assert world.texts(private) == ["0", "1", "2", "3"]
    assert [(breach.limit, breach.chat) for breach in world.limits.breaches] == [("chat", private.id)]


async def test_a_group_takes_twenty_a_minute(bot: Bot, world: World, group: Chat, clock: Clock) -> None:
    for number in range(20):
        await bot.send_message(group.id, str(number))
        clock.at += 1

    with pytest.raises(RetryAfter) as told:
        await bot.send_message(group.id, "21st")
    assert told.value._retry_after.total_seconds() == 40
    clock.at += 40
    await bot.send_message(group.id, "21st")

    assert [breach.limit for breach in world.limits.breaches] == ["group"]


async def test_a_bot_sends_thirty_a_second(bot: Bot, world: World, clock: Clock) -> None:
    people = [world.private(world.user(f"P{number}")) for number in range(31)]
    for chat in people[:30]:
        await bot.send_message(chat.id, "hello")

    with pytest.raises(RetryAfter):
        await bot.send_message(people[30].id, "hello")

    assert [breach.limit for breach in world.limits.breaches] == ["bot"]


async def test_limits_that_are_not_enforced_are_recorded(bot: Bot, world: World, private: Chat) -> None:
    world.limits.enforced = False

    for number in range(5):
        await bot.send_message(private.id, str(number))

    assert len(world.sent) == 5
    assert len(world.limits.breaches) == 2


@pytest.mark.parametrize(("status", "kind"), [(500, NetworkError), (502, NetworkError), (400, BadRequest)])
async def test_a_scripted_failure_is_the_clients_error_once(
    telegram: TelegramServer, bot: Bot, private: Chat, status: int, kind: type[Exception]
) -> None:
    telegram.fails("sendMessage", status)

    with pytest.raises(kind):
        await bot.send_message(private.id, "hello")
    await bot.send_message(private.id, "again")

    assert telegram.world.texts() == ["again"]


async def test_a_proxys_page_is_a_network_error(telegram: TelegramServer, bot: Bot, private: Chat) -> None:
    telegram.fails("*", 502, page=True)

    with pytest.raises(NetworkError, match="Bad Gateway"):
        await bot.send_message(private.id, "hello")


@pytest.mark.parametrize(("after", "arrived"), [(False, []), (True, ["hello"])])
async def test_a_cut_connection_leaves_the_client_without_an_answer(
    telegram: TelegramServer, bot: Bot, private: Chat, after: bool, arrived: list[str]
) -> None:
    telegram.hangs_up("sendMessage", after=after)

    with pytest.raises(NetworkError):
        await bot.send_message(private.id, "hello")

    assert telegram.world.texts() == arrived


@pytest.mark.parametrize(("after", "arrived"), [(False, []), (True, ["hello"])])
async def test_a_client_that_gives_up_waiting_cannot_know(
    telegram: TelegramServer, bot: Bot, private: Chat, after: bool, arrived: list[str]
) -> None:
    telegram.slows("sendMessage", 0.5, after=after)

    with pytest.raises(TimedOut):
        await bot.send_message(private.id, "hello", read_timeout=0.2)
    await asyncio.sleep(0.5)

    assert telegram.world.texts() == arrived


async def test_nobody_listens_for_a_while(telegram: TelegramServer, bot: Bot, mia: User, private: Chat) -> None:
    async with telegram.refusing():
        with pytest.raises(NetworkError):
            await bot.send_message(private.id, "hello")
        mia.says(private, "anybody?")

    await bot.send_message(private.id, "back")
    assert await texts(bot) == ["anybody?"]


async def test_a_void_token_is_refused_and_a_poll_under_it_ends(bots: Bots, bot: Bot, world: World) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await until(lambda: world.me.poller is not None)

    token = world.me.revoke()

    with pytest.raises(InvalidToken, match="Unauthorized"):
        await poll
    with pytest.raises(InvalidToken, match="Unauthorized"):
        await bot.get_me()
    assert (await (await bots(token)).get_me()).id == world.me.id


async def test_what_is_no_token_is_not_found(bots: Bots) -> None:
    with pytest.raises(InvalidToken, match="rejected by the server"):
        await bots("12:short")


async def test_a_bot_does_not_reach_who_blocked_it(bot: Bot, mia: User, private: Chat, world: World) -> None:
    mia.blocks(world.me)

    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(private.id, "hello")
    (update,) = await bot.get_updates()
    assert update.my_chat_member is not None
    assert update.my_chat_member.new_chat_member.status == "kicked"

    mia.unblocks(world.me)
    await bot.send_message(private.id, "hello again")


async def test_a_bot_does_not_begin_with_people(bot: Bot, world: World) -> None:
    stranger = world.user("Ned")

    with pytest.raises(Forbidden, match="can't initiate conversation"):
        await bot.send_message(stranger.id, "hello")
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(12345, "hello")


async def test_a_bot_does_not_reach_a_group_that_kicked_it(bot: Bot, group: Chat, world: World) -> None:
    group.kick(world.me)

    with pytest.raises(Forbidden, match="bot was kicked from the supergroup chat"):
        await bot.send_message(group.id, "hello")

    statuses = [u.my_chat_member.new_chat_member.status for u in await bot.get_updates() if u.my_chat_member]
    assert statuses == ["member", "kicked"]


async def test_a_group_that_moved_names_its_new_id(bot: Bot, world: World, mia: User) -> None:
    group = world.group("Small", mia)
    new = group.migrate()

    with pytest.raises(ChatMigrated) as told:
        await bot.send_message(group.id, "hello")
    assert told.value.new_chat_id == new.id
    await bot.send_message(told.value.new_chat_id, "hello")

    moves = [
        (u.message.migrate_to_chat_id, u.message.migrate_from_chat_id) for u in await bot.get_updates() if u.message
    ]
    assert moves[-2:] == [(new.id, None), (None, group.id)]


async def test_the_clients_own_application_runs_against_it(
    telegram: TelegramServer, world: World, mia: User, private: Chat
) -> None:
    builder = Application.builder().token(world.me.token).base_url(telegram.base_url)
    app = builder.base_file_url(telegram.file_url).build()

    async def answer(update: Update, context: Json) -> None:
        assert update.effective_message is not None
        await update.effective_message.reply_text(f"you said {update.effective_message.text}", do_quote=True)

    app.add_handler(MessageHandler(filters.TEXT, answer))
    async with app:
        await app.start()
        assert app.updater is not None
        await app.updater.start_polling(timeout=1)
        said = mia.says(private, "hello")
        await until(lambda: world.texts() == ["you said hello"])
        await app.updater.stop()
        await app.stop()

    assert world.sent[0].reply_to == said["message_id"]


def test_nothing_of_it_is_loaded_until_it_is_named() -> None:
    program = """
import sys, teehee.testing
loaded = [name for name in sys.modules if name.startswith(("telegram", "starlette", "teehee.testing.telegram"))]
teehee.testing.TelegramServer
print(loaded, "teehee.testing.telegram_server" in sys.modules, "telegram" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout == "[] True False\n"
