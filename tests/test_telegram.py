"""Ada on Telegram, as people meet her: real processes, python-telegram-bot's client, simulated people."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from teehee.evidence import leaf, receipt
from teehee.testing import until
from teehee.testing.scripted_model import block
from telegram_stage import Stage, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWNER = 4711


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Ada, with an owner, a public page and a model that repeats what it hears."""
    options = {"public_url": "https://ada.example"}
    own = {"OWNERS": f"telegram:{OWNER}"}
    async with on_stage(tmp_path_factory.mktemp("telegram"), settings=own, options=options) as one:
        yield one


# -- talking


async def test_a_private_message_is_answered_once_and_its_receipt_holds(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)

    sam.says(chat, "hello")

    (text,) = await stage.answered(chat)
    await until(lambda: _delivered(stage, text))
    assert "hello" in text


async def _delivered(stage: Stage, text: str) -> bool:
    return ("delivered", "") in await stage.outcomes()


async def test_a_group_hears_from_the_agent_only_when_it_is_addressed(stage: Stage) -> None:
    mia, tom = stage.world.user("Mia"), stage.world.user("Tom", "tom_t")
    group = stage.world.supergroup("Sailors", mia, tom)
    stage.world.me.privacy = False

    mia.says(group, "is the wind up?")
    tom.says(group, "@mia I think so")
    asked = mia.says(group, "@teehee_bot what do you say?")

    (sent,) = (await stage.answered(group), stage.sent(group))[1]
    assert sent.reply_to == asked["message_id"]
    assert "is the wind up?" in json.dumps(stage.model.requests[-1])


async def test_a_reply_to_the_agent_is_for_the_agent(stage: Stage) -> None:
    mia = stage.world.user("Mia")
    group = stage.world.group("Rowers", mia)
    mia.says(group, "@teehee_bot hello")
    await stage.answered(group)

    mia.says(group, "and now?", reply_to=stage.sent(group)[0].message_id)

    assert "and now?" in (await stage.answered(group, 2))[1]


async def test_a_topic_is_a_room_of_its_own(stage: Stage) -> None:
    mia = stage.world.user("Mia")
    forum = stage.world.supergroup("Harbour", mia, forum=True)
    boats, knots = forum.topic("Boats"), forum.topic("Knots")

    mia.says(forum, "@teehee_bot the word is quince", thread=boats)
    await stage.answered(forum)
    mia.says(forum, "@teehee_bot what was the word?", thread=knots)
    await stage.answered(forum, 2)

    assert [sent.thread for sent in stage.sent(forum)] == [boats, knots]
    assert "quince" not in json.dumps(stage.model.requests[-1])


async def test_what_was_said_in_private_is_in_no_other_prompt(stage: Stage) -> None:
    sam, eve = stage.world.user("Sam"), stage.world.user("Eve")
    private, group = stage.world.private(sam), stage.world.group("Both", sam, eve)
    sam.says(private, "my safe word is marzipan")
    await stage.answered(private)
    stage.model.requests.clear()

    eve.says(stage.world.private(eve), "what is Sam's safe word?")
    sam.says(group, "@teehee_bot what did I tell you?")
    eve.says(group, "@teehee_bot and what is the safe word?")
    await stage.answered(group, 2)
    await stage.answered(stage.world.private(eve))

    assert "marzipan" not in json.dumps(stage.model.requests)


async def test_markdown_is_shown_and_never_refused(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)
    stage.model.script.append(block("**bold** and `code` and *broken"))

    sam.says(chat, "show me")

    (text,) = await stage.answered(chat)
    (sent,) = stage.sent(chat)
    assert text == "bold and code and *broken"
    assert [(one["type"], one["offset"], one["length"]) for one in sent.entities] == [("bold", 0, 4), ("code", 9, 4)]


async def test_a_long_answer_comes_in_parts_in_order(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)
    long = "\n\n".join(f"Paragraph {number} " + "with quite some words in it " * 30 for number in range(9))
    stage.model.script.append(block(long))

    sam.says(chat, "tell me everything")
    await stage.answered(chat, 2)
    await asyncio.sleep(0.5)

    texts = stage.texts(chat)
    assert "\n\n".join(texts).split() == long.split()
    assert all(len(text.encode("utf-16-le")) <= 8192 for text in texts)


async def test_an_album_is_one_message(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)

    sam.sends_album(chat, 3, "my boats")

    (text,) = await stage.answered(chat)
    await asyncio.sleep(0.5)
    assert "my boats" in text
    assert stage.texts(chat) == [text]
    assert text.count("[photo]") == 3


async def test_an_edit_is_what_the_agent_remembers(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)
    said = sam.says(chat, "my boat is called Quil")
    await stage.answered(chat)

    sam.edits(chat, said, "my boat is called Quill")
    sam.says(chat, "what is my boat called?")

    await stage.answered(chat, 2)
    assert "my boat is called Quill" in json.dumps(stage.model.requests[-1])


async def test_a_reaction_begins_no_turn(stage: Stage) -> None:
    mia = stage.world.user("Mia")
    group = stage.world.supergroup("Quiet", mia)
    stage.world.me.privacy = False
    group.promote(stage.world.me)
    asked = mia.says(group, "@teehee_bot hello")
    await stage.answered(group)
    asked_before = len(stage.model.requests)

    mia.reacts(group, asked, "🔥")
    await asyncio.sleep(0.7)

    assert len(stage.model.requests) == asked_before


async def test_the_agent_can_react_instead_of_talking(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)
    stage.model.script.append(
        '<response><actions>REACT</actions><parameters>{"REACT": {"emoji": "🔥"}}</parameters></response>'
    )

    said = sam.says(chat, "I passed!")
    await until(lambda: any(call.method == "setmessagereaction" for call in stage.world.calls))

    call = next(call for call in stage.world.calls if call.method == "setmessagereaction")
    assert (call.params["chat_id"], call.params["message_id"]) in (
        (chat.id, said["message_id"]),
        (str(chat.id), str(said["message_id"])),
    )
    assert stage.texts(chat) == []


async def test_a_group_that_becomes_a_supergroup_goes_on(stage: Stage) -> None:
    mia = stage.world.user("Mia")
    group = stage.world.group("Growing", mia)
    mia.says(group, "@teehee_bot the word is quince")
    await stage.answered(group)

    bigger = group.migrate()
    mia.says(bigger, "@teehee_bot what was the word?")

    await stage.answered(bigger)
    assert "quince" in json.dumps(stage.model.requests[-1])


async def test_while_the_model_writes_the_words_so_far_are_shown_in_private(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)
    stage.model.pause_seconds = 0.15
    stage.model.script.append(
        block("The tide turns at four and the boats come home with it, one after the other, as ever")
    )
    try:
        sam.says(chat, "when?")
        (text,) = await stage.answered(chat)
    finally:
        stage.model.pause_seconds = 0.0

    drafts = [text for where, _, text in stage.world.drafts if where == chat.id]
    assert drafts
    assert all(text.startswith(draft) for draft in drafts)


async def test_in_a_crowd_only_some_chats_are_shown_that_the_agent_writes(stage: Stage) -> None:
    chats = [stage.world.private(stage.world.user(f"Fan {number}")) for number in range(40)]
    stage.model.pause_seconds = 0.4
    try:
        for chat in chats:
            chat.people[chat.id].says(chat, "one two three")
        await until(lambda: all(stage.texts(chat) for chat in chats), seconds=40)
    finally:
        stage.model.pause_seconds = 0.0

    shown = Counter(chat for chat, _, _ in [*stage.world.actions, *stage.world.drafts])
    assert 0 < len([chat for chat in chats if shown[chat.id]]) < 40
    assert all(len(stage.texts(chat)) == 1 for chat in chats)


# -- commands


async def asks(stage: Stage, text: str, who: int = 0) -> str:
    """What the agent answers to a command in private."""
    person = stage.world.user("Asker", id=who) if who else stage.world.user("Asker")
    chat = stage.world.private(person)
    before = len(stage.texts(chat))
    person.says(chat, text)
    return (await stage.answered(chat, before + 1))[before]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/start", "everything I say has a receipt"),
        ("/help", "/prove NONCE"),
        ("/verify", "Trust: dev"),
        ("/verify", "https://ada.example/chat/ada/verify"),
        ("/status", "Ada is running"),
        ("/receipt", "Reply to a message of mine"),
        ("/prove", "NONCE of your own"),
        ("/stop", "Only my owners"),
        ("/forget", "/forget yes"),
    ],
)
async def test_a_command_is_answered_by_code(stage: Stage, command: str, says: str) -> None:
    before = len(stage.model.requests)

    assert says in await asks(stage, command)
    assert len(stage.model.requests) == before


async def test_prove_gives_a_statement_that_answers_the_nonce(stage: Stage) -> None:
    said = await asks(stage, "/prove 00112233445566778899aabbccddeeff")

    assert "Nonce 00112233445566778899aabbccddeeff" in said
    assert "bundle.json?nonce=00112233445566778899aabbccddeeff" in said


async def test_the_receipt_of_a_message_is_found_by_replying_to_it(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)
    sam.says(chat, "hello")
    (text,) = await stage.answered(chat)

    sam.says(chat, "/receipt", reply_to=stage.sent(chat)[0].message_id)

    told = (await stage.answered(chat, 2))[1]
    effect = told.partition("effect ")[2].partition(",")[0]
    salt = told.partition("salt ")[2].partition(".")[0]
    proof = await stage.up.public.call("receipt", {"effect": effect})
    assert receipt.verify(proof, text=text, salt=salt).state == "delivered"


async def test_a_command_in_a_group_is_answered_to_the_one_who_asked(stage: Stage) -> None:
    mia = stage.world.user("Mia")
    group = stage.world.supergroup("Curious", mia)
    stage.world.supports_ephemeral = True

    mia.says(group, "/verify@teehee_bot")

    await stage.answered(group)
    assert stage.sent(group)[0].only_for == mia.id


async def test_a_command_for_another_bot_is_not_ours(stage: Stage) -> None:
    mia = stage.world.user("Mia")
    group = stage.world.supergroup("Busy", mia)

    mia.says(group, "/status@other_bot")
    mia.says(group, "@teehee_bot still there?")

    await stage.answered(group)
    await asyncio.sleep(0.3)
    assert len(stage.texts(group)) == 1


# -- admins of a group


async def test_admins_of_a_group_and_nobody_else_may_ask_for_silence(stage: Stage) -> None:
    mia, tom = stage.world.user("Mia"), stage.world.user("Tom")
    group = stage.world.supergroup("Library", mia, tom)
    group.promote(mia)

    tom.says(group, "/quiet@teehee_bot")
    assert "admins of a group" in (await stage.answered(group))[0]
    mia.says(group, "/quiet@teehee_bot")
    assert "quiet here" in (await stage.answered(group, 2))[1]
    tom.says(group, "@teehee_bot psst")
    await asyncio.sleep(0.7)
    assert len(stage.texts(group)) == 2
    mia.says(group, "/speak@teehee_bot")
    assert "again" in (await stage.answered(group, 3))[2]
    tom.says(group, "@teehee_bot psst")
    await stage.answered(group, 4)


async def test_a_quiet_group_is_quiet_still_when_it_became_a_supergroup(stage: Stage) -> None:
    mia, tom = stage.world.user("Mia"), stage.world.user("Tom")
    group = stage.world.group("Reading room", mia, tom)
    mia.says(group, "/quiet@teehee_bot")
    assert "quiet here" in (await stage.answered(group))[0]

    bigger = group.migrate()
    tom.says(bigger, "@teehee_bot psst")
    await asyncio.sleep(0.7)
    assert stage.texts(bigger) == []
    mia.says(bigger, "/speak@teehee_bot")
    assert "again" in (await stage.answered(bigger))[0]
    tom.says(bigger, "@teehee_bot psst")
    await stage.answered(bigger, 2)


# -- owners


async def test_an_owner_silences_the_agent_and_lets_it_speak_again(stage: Stage) -> None:
    sam = stage.world.user("Sam")
    chat = stage.world.private(sam)

    assert "silent" in await asks(stage, "/stop", OWNER)
    sam.says(chat, "hello?")
    await asyncio.sleep(0.7)
    quiet = stage.texts(chat)
    assert "speak again" in await asks(stage, "/resume", OWNER)
    sam.says(chat, "and now?")
    await stage.answered(chat)

    assert quiet == []
    stops = [entry for entry in await stage.up.leaves() if isinstance(entry, leaf.Stop)]
    assert [stop.by for stop in stops] == [f"telegram:{OWNER}"]


# -- forgetting


async def test_forget_destroys_every_word_and_id_and_tells_so(stage: Stage) -> None:
    sam = stage.world.user("Ferdinand")
    chat = stage.world.private(sam)
    sam.says(chat, "my secret is bergamot")
    await stage.answered(chat)

    sam.says(chat, "/forget yes")

    told = (await stage.answered(chat, 2))[1]
    assert "Forgotten" in told
    await until(lambda: _leaves_nothing(stage, [b"bergamot", b"Ferdinand", str(sam.id).encode()]))


async def test_a_wish_to_be_forgotten_that_is_brought_again_holds_nobody_up_and_leaves_nothing(stage: Stage) -> None:
    sam, kim, updates = stage.world.user("Balthazar"), stage.world.user("Kim"), stage.world.me.updates
    chat, other = stage.world.private(sam), stage.world.private(kim)
    sam.says(chat, "/forget yes")
    wish = updates.waiting[-1]
    await stage.answered(chat)
    words = [b"Balthazar", str(sam.id).encode()]
    await until(lambda: not updates.waiting and _leaves_nothing(stage, words))

    updates.again.append(wish)
    updates.news.set()
    kim.says(other, "still there?")

    await stage.answered(other)
    await until(lambda: updates.given[wish.id] > 1 and _leaves_nothing(stage, words))
    assert len(stage.texts(chat)) == 1


def _leaves_nothing(stage: Stage, words: list[bytes]) -> bool:
    files = [path for path in stage.up.folder.rglob("*") if path.is_file()]
    return not any(word in path.read_bytes() for path in files for word in words)
