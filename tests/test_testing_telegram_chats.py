"""The simulated people and chats: what a bot hears of them, read by python-telegram-bot without loss."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from telegram import MessageOriginHiddenUser, MessageOriginUser, TelegramObject, Update

from teehee.testing.telegram_server import Bot, Twist
from telegram_cast import Cast, telegram_cast

Json = Any


@pytest.fixture
async def cast() -> AsyncIterator[Cast]:
    async with telegram_cast() as made:
        yield made


async def test_with_privacy_a_bot_hears_what_is_meant_for_it(cast: Cast) -> None:
    mia, group = cast.mia, cast.group
    own = await cast.bot.send_message(group.id, "hello")
    cast.world.me.updates.drop()

    mia.says(group, "good morning all")
    mia.says(group, "@teehee_bot are you there?")
    mia.says(group, "@somebody_else are you there?")
    mia.says(group, "/help@teehee_bot")
    mia.says(group, "/help@other_bot")
    mia.says(group, "and?", reply_to=own.message_id)

    assert await cast.heard() == ["@teehee_bot are you there?", "/help@teehee_bot", "and?"]


async def test_a_command_without_a_name_goes_to_the_bot_that_spoke_last(cast: Cast) -> None:
    other = cast.world.bot("other_bot")
    cast.group.join(other)
    await cast.bot.send_message(cast.group.id, "I spoke last")
    await cast.news()

    cast.mia.says(cast.group, "/help")
    other.says(cast.group, "now I did")
    cast.mia.says(cast.group, "/help again")

    assert await cast.heard() == ["/help"]


@pytest.mark.parametrize("way", ["privacy off", "admin"])
async def test_without_privacy_or_as_admin_a_bot_hears_everything(cast: Cast, way: str) -> None:
    if way == "admin":
        cast.group.promote(cast.world.me)
    else:
        cast.world.me.privacy = False
    await cast.news()

    cast.mia.says(cast.group, "good morning all")

    assert await cast.heard() == ["good morning all"]


async def test_a_bot_hears_another_bot_only_when_it_is_meant(cast: Cast) -> None:
    other = cast.world.bot("other_bot")
    cast.group.join(other)
    cast.world.me.privacy = False
    own = await cast.bot.send_message(cast.group.id, "hello")
    await cast.news()

    other.says(cast.group, "beep")
    other.says(cast.group, "@teehee_bot beep")
    other.says(cast.group, "boop", reply_to=own.message_id)
    updates = await cast.news()

    assert [u.message.text for u in updates if u.message] == ["@teehee_bot beep", "boop"]
    assert all(u.message and u.message.from_user and u.message.from_user.is_bot for u in updates)


async def test_an_admin_without_privacy_hears_every_bot(cast: Cast) -> None:
    other = cast.world.bot("other_bot")
    cast.group.join(other)
    cast.group.promote(cast.world.me)
    cast.world.me.privacy = False
    await cast.news()

    other.says(cast.group, "beep")
    cast.world.me.bot_to_bot = False
    other.says(cast.group, "beep beep")

    assert await cast.heard() == ["beep"]


async def test_two_bots_of_one_group_hear_one_another(cast: Cast) -> None:
    second = cast.world.bot("second_bot")
    cast.group.join(second)
    client = await cast.bots(second.token)
    await cast.bot.send_message(cast.group.id, "what do you say, @second_bot?")

    (update,) = [u for u in await client.get_updates() if u.message and u.message.text]

    assert update.message is not None
    assert update.message.from_user is not None
    assert update.message.from_user.id == cast.world.me.id


async def test_an_addition_and_a_removal_are_told(cast: Cast) -> None:
    group = cast.world.supergroup("New here", cast.mia)
    group.kick(cast.world.me)

    updates = await cast.news()

    members = [u.my_chat_member for u in updates if u.my_chat_member]
    assert [(m.old_chat_member.status, m.new_chat_member.status) for m in members] == [
        ("left", "member"),
        ("member", "kicked"),
    ]
    assert [m.from_user.id for m in members] == [cast.mia.id, cast.mia.id]
    assert any(u.message and u.message.new_chat_members for u in updates)


async def test_people_who_come_and_go_are_told_to_an_admin_that_asks(cast: Cast) -> None:
    cast.group.promote(cast.world.me)
    await cast.bot.get_updates(allowed_updates=Update.ALL_TYPES)
    await cast.news()
    ned = cast.world.user("Ned")
    cast.group.join(ned, by=cast.mia)
    cast.group.leave(ned)

    updates = await cast.news()

    assert [u.chat_member.new_chat_member.status for u in updates if u.chat_member] == ["member", "left"]


async def test_a_topic_names_its_thread_and_what_opened_it(cast: Cast) -> None:
    forum = cast.world.supergroup("Library", cast.mia, forum=True)
    thread = forum.topic("Poems")
    cast.mia.says(forum, "@teehee_bot a haiku, please", thread=thread)
    cast.mia.says(forum, "@teehee_bot and in general?")

    told, general = [u.message for u in (await cast.news())[-2:]]
    assert told is not None
    assert told.reply_to_message is not None
    assert told.reply_to_message.forum_topic_created is not None
    assert general is not None
    assert (told.message_thread_id, told.is_topic_message, told.chat.is_forum) == (thread, True, True)
    assert general.message_thread_id is None
    sent = await cast.bot.send_message(forum.id, "old pond", message_thread_id=thread)
    assert (sent.message_thread_id, cast.world.sent[-1].thread) == (thread, thread)


async def test_media_of_every_kind_come(cast: Cast) -> None:
    mia, chat = cast.mia, cast.private
    mia.sends(chat, "photo", "look @teehee_bot")
    for kind in ("voice", "document", "sticker", "video", "audio"):
        mia.sends(chat, kind)
    mia.sends_location(chat, 52.5, 13.4)

    messages = [u.message for u in await cast.news() if u.message]

    kinds = ("photo", "voice", "document", "sticker", "video", "audio", "location")
    assert [next(kind for kind in kinds if getattr(m, kind)) for m in messages] == list(kinds)
    assert messages[0].parse_caption_entities(["mention"]) == {messages[0].caption_entities[0]: "@teehee_bot"}


async def test_an_album_shares_one_group_and_one_caption(cast: Cast) -> None:
    cast.mia.sends_album(cast.private, 3, "my holidays")

    messages = [u.message for u in await cast.news() if u.message]

    assert len({m.media_group_id for m in messages}) == 1
    assert [m.caption for m in messages] == ["my holidays", None, None]


async def test_a_forward_names_who_said_it(cast: Cast) -> None:
    ned = cast.world.user("Ned")
    cast.mia.forwards(cast.private, "I said so", ned)
    cast.mia.forwards(cast.private, "who knows")

    origins = [u.message.forward_origin for u in await cast.news() if u.message]

    assert isinstance(origins[0], MessageOriginUser)
    assert origins[0].sender_user.id == ned.id
    assert isinstance(origins[1], MessageOriginHiddenUser)


async def test_an_edit_keeps_the_message_and_changes_the_text(cast: Cast) -> None:
    said = cast.mia.says(cast.private, "teh cat")
    cast.mia.edits(cast.private, said, "the cat")

    first, second = await cast.news()

    assert first.message is not None
    assert second.edited_message is not None
    assert second.edited_message.message_id == first.message.message_id
    assert (second.edited_message.text, bool(second.edited_message.edit_date)) == ("the cat", True)


async def test_a_channels_posts_have_no_sender(cast: Cast) -> None:
    channel = cast.world.channel("News", cast.mia)
    post = cast.mia.says(channel, "extra, extra")
    cast.mia.edits(channel, post, "extra")

    updates = await cast.news()

    posts = [u.channel_post for u in updates if u.channel_post]
    assert [(p.text, p.from_user) for p in posts] == [("extra, extra", None)]
    assert [u.edited_channel_post.text for u in updates if u.edited_channel_post] == ["extra"]


async def test_an_anonymous_admin_speaks_as_the_group(cast: Cast) -> None:
    cast.mia.says_as(cast.group, "@teehee_bot hush", cast.group)

    (update,) = await cast.news()

    assert update.message is not None
    assert update.message.sender_chat is not None
    assert update.message.sender_chat.id == cast.group.id


async def test_reactions_come_from_private_chats_and_to_admins(cast: Cast) -> None:
    await cast.bot.get_updates(allowed_updates=["message_reaction"])
    sent = await cast.bot.send_message(cast.group.id, "hello")
    cast.mia.reacts(cast.group, sent.message_id)
    assert await cast.news() == []

    cast.group.promote(cast.world.me)
    cast.mia.reacts(cast.group, sent.message_id, "🔥")
    cast.mia.reacts(cast.group, sent.message_id, "")

    told = [u.message_reaction for u in await cast.news() if u.message_reaction]
    assert [[getattr(r, "emoji", "") for r in one.new_reaction] for one in told] == [["🔥"], []]


async def test_numbers_of_two_private_chats_never_meet(cast: Cast) -> None:
    ned = cast.world.private(cast.world.user("Ned"))

    assert cast.mia.says(cast.private, "a")["message_id"] != cast.mia.says(ned, "b")["message_id"]


@pytest.mark.parametrize("twist", [Twist(repeat=0.5), Twist(shuffle=True), Twist(gaps=True), Twist(0.5, True, True)])
async def test_a_twist_loses_nothing(cast: Cast, twist: Twist) -> None:
    cast.world.me.updates.twisted(twist)
    for number in range(60):
        cast.mia.says(cast.private, str(number))

    got: list[Update] = []
    offset = 0
    while updates := await cast.bot.get_updates(offset=offset, limit=20):
        got += updates
        offset = max(offset, *(update.update_id + 1 for update in updates))

    numbers = [int(u.message.text or "") for u in got if u.message]
    assert set(numbers) == set(range(60))
    assert (len(numbers) > 60) is bool(twist.repeat)
    assert (numbers != sorted(numbers)) is bool(twist.repeat or twist.shuffle)
    ids = sorted({u.update_id for u in got})
    assert (ids[-1] - ids[0] > 59) is twist.gaps


async def test_the_client_reads_every_update_without_loss(cast: Cast) -> None:
    """What python-telegram-bot writes of an update has every value that the server gave it."""
    everything(cast)
    raw = [json.loads(update.body) for update in cast.world.me.updates.waiting]
    assert {next(key for key in update if key != "update_id") for update in raw} >= {
        "message", "edited_message", "channel_post", "edited_channel_post", "callback_query", "message_reaction",
        "my_chat_member", "chat_member", "managed_bot", "guest_message",
    }  # fmt: skip

    for update in raw:
        read = Update.de_json(update, cast.bot)
        assert read is not None
        assert leftover(read) == []
        assert missing(update, json.loads(read.to_json())) == []


def everything(cast: Cast) -> None:
    world, mia, ned = cast.world, cast.mia, cast.world.user("Ned")
    world.me.updates.allow(Update.ALL_TYPES)
    cast.group.promote(world.me)
    said = mia.says(cast.group, "hello @teehee_bot and Ned, see https://a.example/b #tag", mentions=ned)
    mia.edits(cast.group, said, "changed")
    mia.reacts(cast.group, said)
    cast.group.join(ned)
    cast.group.mute(ned)
    cast.group.leave(ned)
    forum = world.supergroup("Forum", mia, forum=True)
    mia.says(forum, "/start@teehee_bot", thread=forum.topic("One"))
    for kind in ("photo", "voice", "document", "sticker", "video", "audio"):
        mia.sends(cast.private, kind, "caption @teehee_bot")
    mia.sends_location(cast.private, 1.0, 2.0)
    mia.forwards(cast.private, "so", ned)
    mia.says_as(cast.group, "anonymous", cast.group)
    channel = world.channel("News", mia)
    mia.edits(channel, mia.says(channel, "post"), "other post")
    keyboard = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    asked = cast.private.post(world.me, {"text": "Sure?", "reply_markup": keyboard})
    mia.presses(cast.private, asked, "Yes")
    world.group("Small", mia).migrate()
    mia.blocks(world.me)
    managed: Bot = world.bot("child_bot", manager=world.me)
    managed.revoke()
    mia.summons(world.me, world.supergroup("Elsewhere", mia, bot=False), "@teehee_bot help")


def leftover(value: Json) -> list[str]:
    """What the client put aside as unknown to it."""
    if isinstance(value, list | tuple):
        return [key for one in value for key in leftover(one)]
    if not isinstance(value, TelegramObject):
        return []
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    inner = [leftover(getattr(value, name, None)) for name in slots if not name.startswith("_")]
    return [f"{type(value).__name__}.{key}" for key in value.api_kwargs] + [key for keys in inner for key in keys]


def missing(given: Json, read: Json, path: str = "") -> list[str]:
    """What the server said and the client does not have."""
    if isinstance(given, dict):
        return [
            lost
            for key, value in given.items()
            for lost in (
                missing(value, read[key], f"{path}.{key}") if key in read else lost_key(value, f"{path}.{key}")
            )
        ]
    if isinstance(given, list):
        return [x for place, value in enumerate(given) for x in missing(value, read[place], f"{path}[{place}]")]
    return [] if given == read else [f"{path}: {given!r} is {read!r}"]


def lost_key(value: Json, path: str) -> list[str]:
    """The client leaves out empty lists and epoch 0, which is "for ever"."""
    return [] if value in ([], 0) and value is not False else [path]
