"""The Bot API's methods on loopback, each called by python-telegram-bot: what they take, refuse and leave behind."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InputTextMessageContent,
    MessageEntity,
    ReplyParameters,
)
from telegram.constants import ReactionEmoji
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError

from teehee.testing import telegram_process, until
from telegram_cast import Cast, telegram_cast

Json = Any


@pytest.fixture
async def cast() -> AsyncIterator[Cast]:
    async with telegram_cast() as made:
        yield made


def keyboard(data: str = "yes") -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data=data)]])


async def test_a_reply_needs_its_target_unless_it_may_go_without(cast: Cast) -> None:
    with pytest.raises(BadRequest, match="to be replied not found"):
        await cast.bot.send_message(cast.private.id, "re", reply_parameters=ReplyParameters(999))

    lone = ReplyParameters(999, allow_sending_without_reply=True)
    sent = await cast.bot.send_message(cast.private.id, "re", reply_parameters=lone)

    assert sent.reply_to_message is None


async def test_a_thread_must_be_there(cast: Cast) -> None:
    with pytest.raises(BadRequest, match="thread not found"):
        await cast.bot.send_message(cast.group.id, "hello", message_thread_id=77)


async def test_an_entity_outside_the_text_is_refused(cast: Cast) -> None:
    with pytest.raises(BadRequest):
        await cast.bot.send_message(cast.private.id, "short", entities=[MessageEntity("bold", 3, 9)])
    with pytest.raises(BadRequest, match=r"(?i)middle of a utf-16 symbol"):
        await cast.bot.send_message(cast.private.id, "😀😀", entities=[MessageEntity("bold", 0, 1)])


@pytest.mark.parametrize(
    ("mode", "source", "said"),
    [
        ("HTML", '<b>a <i>b</i></b> &lt; <a href="https://x.example">c</a>', "bold:a b italic:b text_link:c"),
        ("HTML", '<pre><code class="language-python">x = 1</code></pre>', "pre:x = 1"),
        (
            "HTML",
            "<blockquote expandable>q</blockquote><tg-spoiler>s</tg-spoiler>",
            "expandable_blockquote:q spoiler:s",
        ),
        ("MarkdownV2", r"*a _b_* 1\.5 [c](https://x.example)", "bold:a b italic:b text_link:c"),
        ("MarkdownV2", "```python\nx = 1\n``` ||s||", "pre:x = 1 spoiler:s"),
        ("MarkdownV2", ">quoted\n>more\nplain", "blockquote:quoted\nmore"),
        ("Markdown", "*a* _b_ `c`", "bold:a italic:b code:c"),
    ],
)
async def test_markup_becomes_entities(cast: Cast, mode: str, source: str, said: str) -> None:
    sent = await cast.bot.send_message(cast.private.id, source, parse_mode=mode)

    assert " ".join(f"{e.type}:{text.strip()}" for e, text in sent.parse_entities().items()) == said


@pytest.mark.parametrize(
    ("mode", "source", "why"),
    [
        ("HTML", "a < b", "Unsupported start tag"),
        ("HTML", "a < b > c", "Unsupported start tag"),
        ("HTML", "<h1>a</h1>", 'Unsupported start tag "h1" at byte offset 0'),
        ("HTML", "<b>a", "Can't find end tag corresponding to start tag"),
        ("HTML", "é<b>a</i>", 'Unmatched end tag at byte offset 6, expected "</b>", found "</i>"'),
        ("HTML", "a</b>", "Unexpected end tag at byte offset 1"),
        ("MarkdownV2", "1.5", "Character '.' is reserved"),
        ("MarkdownV2", "*a", "Can't find end of Bold entity at byte offset 0"),
        ("Markdown", "a_b", "Can't find end of the entity starting at byte offset 1"),
    ],
)
async def test_bad_markup_is_refused_with_its_place(cast: Cast, mode: str, source: str, why: str) -> None:
    with pytest.raises(BadRequest) as told:
        await cast.bot.send_message(cast.private.id, source, parse_mode=mode)

    # The client takes "Bad Request: " away and writes what follows in its own case.
    assert f"can't parse entities: {why}".lower() in str(told.value).lower()


async def test_a_button_carries_1_to_64_bytes(cast: Cast) -> None:
    await cast.bot.send_message(cast.private.id, "?", reply_markup=keyboard("x" * 64))
    for data in ("x" * 65, "é" * 33):
        with pytest.raises(BadRequest, match=r"(?i)button_data_invalid"):
            await cast.bot.send_message(cast.private.id, "?", reply_markup=keyboard(data))


async def test_a_press_reaches_the_bot_and_its_answer_the_person(cast: Cast) -> None:
    sent = await cast.bot.send_message(cast.group.id, "Sure?", reply_markup=keyboard())
    query = cast.mia.presses(cast.group, sent.message_id, "Yes")

    (update,) = await cast.news()
    assert update.callback_query is not None
    assert (update.callback_query.data, update.callback_query.from_user.id) == ("yes", cast.mia.id)
    await update.callback_query.answer("done", show_alert=True)

    assert cast.world.answers == {query: {"text": "done", "show_alert": True}}
    cast.clock.at += 3600
    with pytest.raises(BadRequest, match=r"(?i)query is too old"):
        await cast.bot.answer_callback_query(query)


async def test_a_draft_is_for_private_chats(cast: Cast) -> None:
    await cast.bot.send_message_draft(cast.private.id, 5, "Well, I")

    assert cast.world.drafts == [(cast.private.id, 5, "Well, I")]
    with pytest.raises(BadRequest, match="only for private chats"):
        await cast.bot.send_message_draft(cast.group.id, 5, "Well, I")


async def test_typing_is_seen(cast: Cast) -> None:
    await cast.bot.send_chat_action(cast.private.id, "typing")

    assert cast.world.actions == [(cast.private.id, 0, "typing")]
    with pytest.raises(BadRequest, match="Wrong parameter action"):
        await cast.bot.send_chat_action(cast.private.id, "dancing")


async def test_every_emoji_the_client_knows_is_a_reaction_and_no_other(cast: Cast) -> None:
    said = cast.mia.says(cast.private, "hello")["message_id"]
    for emoji in ReactionEmoji:
        await cast.bot.set_message_reaction(cast.private.id, said, emoji)

    with pytest.raises(BadRequest, match=r"(?i)reaction_invalid"):
        await cast.bot.set_message_reaction(cast.private.id, said, "🧮")
    with pytest.raises(BadRequest, match=r"(?i)reactions_too_many"):
        await cast.bot.set_message_reaction(cast.private.id, said, ["👍", "🔥"])
    with pytest.raises(BadRequest, match="to react not found"):
        await cast.bot.set_message_reaction(cast.private.id, 999, "👍")
    await cast.bot.set_message_reaction(cast.private.id, said, [])
    assert cast.private.reactions[said, cast.world.me.id] == []


async def test_a_bot_edits_its_own_messages_only(cast: Cast) -> None:
    sent = await cast.bot.send_message(cast.private.id, "one")
    said = cast.mia.says(cast.private, "mine")

    edited = await cast.bot.edit_message_text("two", cast.private.id, sent.message_id)

    assert isinstance(edited, type(sent))
    assert (edited.text, [edit.text for edit in cast.world.edits]) == ("two", ["two"])
    with pytest.raises(BadRequest, match="is not modified"):
        await cast.bot.edit_message_text("two", cast.private.id, sent.message_id)
    cast.clock.at += 10
    with pytest.raises(BadRequest, match="can't be edited"):
        await cast.bot.edit_message_text("yours", cast.private.id, said["message_id"])
    with pytest.raises(BadRequest, match="to edit not found"):
        await cast.bot.edit_message_text("?", cast.private.id, 999)


async def test_a_bot_deletes_what_it_may(cast: Cast) -> None:
    sent = await cast.bot.send_message(cast.group.id, "mine")
    said = cast.mia.says(cast.group, "yours")["message_id"]

    await cast.bot.delete_message(cast.group.id, sent.message_id)
    with pytest.raises(BadRequest, match="to delete not found"):
        await cast.bot.delete_message(cast.group.id, sent.message_id)
    with pytest.raises(BadRequest, match="can't be deleted"):
        await cast.bot.delete_message(cast.group.id, said)
    cast.group.promote(cast.world.me)
    await cast.bot.delete_message(cast.group.id, said)

    assert cast.world.deleted == [(cast.group.id, sent.message_id), (cast.group.id, said)]


async def test_a_file_is_fetched_up_to_20_mb(cast: Cast) -> None:
    cast.mia.sends(cast.private, "voice", content=b"spoken")
    cast.mia.sends(cast.private, "document", content=b"", size=21 << 20)
    voice, document = [update.message for update in await cast.news()]
    assert voice is not None
    assert voice.voice is not None
    assert document is not None
    assert document.document is not None

    assert bytes(await (await cast.bot.get_file(voice.voice.file_id)).download_as_bytearray()) == b"spoken"
    with pytest.raises(BadRequest, match=r"(?i)file is too big"):
        await cast.bot.get_file(document.document.file_id)
    with pytest.raises(BadRequest, match=r"(?i)wrong file_id"):
        await cast.bot.get_file("nothing")


async def test_a_photo_and_a_document_are_uploaded_and_sent_again_by_their_id(cast: Cast) -> None:
    photo = await cast.bot.send_photo(cast.private.id, b"\x89PNG picture", caption="<b>see</b>", parse_mode="HTML")
    paper = await cast.bot.send_document(cast.private.id, b"a,b", filename="table.csv")
    again = await cast.bot.send_photo(cast.group.id, photo.photo[-1].file_id)

    assert (photo.caption, photo.caption_entities[0].type) == ("see", "bold")
    assert paper.document is not None
    assert (paper.document.file_name, paper.document.file_size) == ("table.csv", 3)
    file = await cast.bot.get_file(again.photo[-1].file_id)
    assert bytes(await file.download_as_bytearray()) == b"\x89PNG picture"


async def test_members_and_admins_are_told(cast: Cast) -> None:
    helper = cast.world.bot("helper_bot")
    cast.group.join(helper)
    cast.group.promote(helper)
    bot, group = cast.bot, cast.group

    assert (await bot.get_chat_member(group.id, cast.mia.id)).status == "creator"
    assert (await bot.get_chat_member(group.id, cast.world.me.id)).status == "member"
    assert (await bot.get_chat_member(group.id, cast.world.user("Ned").id)).status == "left"
    assert [m.user.id for m in await bot.get_chat_administrators(group.id)] == [cast.mia.id]
    assert len(await bot.get_chat_administrators(group.id, return_bots=True)) == 2
    cast.group.mute(cast.world.me)
    assert (await bot.get_chat_member(group.id, cast.world.me.id)).status == "restricted"
    with pytest.raises(BadRequest, match=r"(?i)not enough rights"):
        await bot.send_message(group.id, "mmh")


async def test_a_chat_is_described_and_left(cast: Cast) -> None:
    chat = await cast.bot.get_chat(cast.group.id)
    assert (chat.title, chat.type) == ("Readers", "supergroup")

    await cast.bot.leave_chat(cast.group.id)

    with pytest.raises(Forbidden, match="not a member"):
        await cast.bot.send_message(cast.group.id, "hello")
    (update,) = [update for update in await cast.news() if update.my_chat_member]
    assert update.my_chat_member is not None
    assert update.my_chat_member.new_chat_member.status == "left"


async def test_commands_are_set_and_checked(cast: Cast) -> None:
    await cast.bot.set_my_commands([("verify", "how to check me")])

    assert [command.command for command in await cast.bot.get_my_commands()] == ["verify"]
    with pytest.raises(BadRequest, match=r"(?i)bot_command_invalid"):
        await cast.bot.set_my_commands([("Not-This", "no")])


async def test_a_managed_bots_token_is_replaced_at_once(cast: Cast) -> None:
    child = cast.world.bot("child_bot", manager=cast.world.me)
    (made,) = await cast.news()
    assert made.managed_bot is not None
    assert made.managed_bot.bot.id == child.id
    old = await cast.bot.get_managed_bot_token(child.id)
    client = await cast.bots(old)

    new = await cast.bot.replace_managed_bot_token(child.id)

    assert new != old
    with pytest.raises(InvalidToken):
        await client.get_me()
    assert (await (await cast.bots(new)).get_me()).id == child.id
    assert await cast.bot.get_managed_bot_token(child.id) == new
    with pytest.raises(BadRequest):
        await (await cast.bots(new)).replace_managed_bot_token(cast.world.me.id)


async def test_a_guest_answers_where_it_is_not(cast: Cast) -> None:
    away = cast.world.supergroup("Elsewhere", cast.mia, bot=False)
    cast.mia.summons(cast.world.me, away, "@teehee_bot what is this?")
    (update,) = await cast.news()
    assert update.guest_message is not None
    assert update.guest_message.guest_query_id is not None
    answer = InlineQueryResultArticle("1", "answer", InputTextMessageContent("a cat"))

    sent = await cast.bot.answer_guest_query(update.guest_message.guest_query_id, answer)

    assert sent.inline_message_id
    assert cast.world.texts(away) == ["a cat"]
    with pytest.raises(BadRequest):
        await cast.bot.answer_guest_query(update.guest_message.guest_query_id, answer)


@pytest.mark.parametrize("supported", [True, False])
async def test_an_ephemeral_message_is_for_one_where_the_server_knows_it(cast: Cast, supported: bool) -> None:
    cast.world.supports_ephemeral = supported
    only = {"ephemeral_message_parameters": {"receiver_user_id": cast.mia.id}}

    sent = await cast.bot.send_message(cast.group.id, "psst", api_kwargs=only)

    assert cast.world.sent[0].only_for == (cast.mia.id if supported else 0)
    assert ("ephemeral_message_id" in sent.api_kwargs) is supported


async def test_an_ephemeral_answer_to_a_button_has_15_seconds(cast: Cast) -> None:
    cast.world.supports_ephemeral = True
    asked = await cast.bot.send_message(cast.group.id, "Sure?", reply_markup=keyboard())
    query = cast.mia.presses(cast.group, asked.message_id, "yes")
    only = {"ephemeral_message_parameters": {"receiver_user_id": cast.mia.id, "callback_query_id": query}}

    await cast.bot.send_message(cast.group.id, "in time", api_kwargs=only)
    cast.clock.at += 16
    with pytest.raises(BadRequest):
        await cast.bot.send_message(cast.group.id, "too late", api_kwargs=only)


class Hook:
    """A webhook that answers what it is told, and keeps what it got."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[str, str]] = []
        self.url = ""

    async def __aenter__(self) -> "Hook":
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 200
        update = await request.json()
        self.got.append((request.headers.get("X-Telegram-Bot-Api-Secret-Token", ""), update["message"]["text"]))
        return web.Response(status=status)


async def test_a_webhook_gets_updates_in_order_until_it_takes_them(cast: Cast) -> None:
    async with Hook() as hook:
        hook.answers = [500, 302, 404]
        cast.mia.says(cast.private, "one")
        await cast.bot.set_webhook(hook.url, secret_token="s3cret_-")
        cast.mia.says(cast.private, "two")

        await until(lambda: len(hook.got) == 5)

        assert hook.got == [("s3cret_-", text) for text in ("one", "one", "one", "one", "two")]
        info = await cast.bot.get_webhook_info()
        assert (info.url, info.last_error_message) == (hook.url, "Wrong response from the webhook: 404 Not Found")
        await until(lambda: not cast.world.me.updates.waiting)
        assert await cast.bot.delete_webhook()
    assert await cast.heard() == []


async def test_a_webhook_and_polling_exclude_one_another(cast: Cast) -> None:
    async with Hook() as hook:
        poll = asyncio.create_task(cast.bot.get_updates(timeout=20))
        await until(lambda: cast.world.me.poller is not None)
        await cast.bot.set_webhook(hook.url)

        with pytest.raises(Conflict, match="terminated by setWebhook"):
            await poll
        with pytest.raises(Conflict, match="while webhook is active"):
            await cast.bot.get_updates()
        await cast.bot.delete_webhook()
        assert await cast.bot.get_updates() == ()


@pytest.mark.parametrize("dropped", [True, False])
async def test_deleting_the_webhook_drops_what_waits_only_when_asked(cast: Cast, dropped: bool) -> None:
    await cast.bot.set_webhook("http://127.0.0.1:9/nobody")
    cast.mia.says(cast.private, "waiting")
    await until(lambda: "last_error_message" in cast.world.me.webhook)
    assert (await cast.bot.get_webhook_info()).pending_update_count == 1

    await cast.bot.delete_webhook(drop_pending_updates=dropped)

    assert await cast.heard() == ([] if dropped else ["waiting"])


async def test_the_server_runs_as_a_process_that_is_told_what_people_do() -> None:
    async with telegram_process() as telegram, Bot(telegram.token, telegram.base_url) as bot:
        mia = await telegram.do("world", "user", "Mia", "mia_writes")
        chat = await telegram.do("world", "private", mia)
        said = await telegram.do(mia, "says", chat, "hello")
        (update,) = await bot.get_updates()
        assert update.message is not None
        assert (update.message.text, update.message.message_id) == ("hello", said["message_id"])

        await bot.send_message(chat["chat"], "hello Mia")
        assert [sent["text"] for sent in await telegram.do("world", "sent")] == ["hello Mia"]
        assert await telegram.do("world", "sent", since=1) == []
        assert await telegram.do("world", "breaches") == []

        await telegram.do("server", "fails", "sendMessage", 500)
        with pytest.raises(NetworkError):
            await bot.send_message(chat["chat"], "again")
        await telegram.do("server", "refuse", 0.5)
        await asyncio.sleep(0.2)
        with pytest.raises(NetworkError):
            await bot.get_me()
        await asyncio.sleep(0.6)
        assert (await bot.get_me()).id == telegram.bot_id
        with pytest.raises(LookupError, match="'clock' is none of"):
            await telegram.do("world", "clock")


async def test_two_hundred_updates_a_second_cost_little(cast: Cast) -> None:
    cast.world.me.privacy = False
    before = time.process_time()

    for number in range(400):
        cast.mia.says(cast.group, f"number {number}")
    got, offset = 0, 0
    async with aiohttp.ClientSession() as session:
        while updates := await raw_updates(session, cast, offset):
            got, offset = got + len(updates), updates[-1]["update_id"] + 1

    assert got == 400
    assert time.process_time() - before < 0.5  # a quarter of the two seconds they may take; measured: 0.03


async def raw_updates(session: aiohttp.ClientSession, cast: Cast, offset: int) -> Json:
    url = f"{cast.server.base_url}{cast.world.me.token}/getUpdates"
    async with session.get(url, params={"offset": offset}) as answer:
        return (await answer.json())["result"]
