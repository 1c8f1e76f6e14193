"""Buttons under the agent's words, pressed by people and witnessed; and posts that a schedule asks for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from teehee.testing import until
from teehee.testing.scripted_model import block
from telegram_stage import Stage, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKS = '''"""Asks before it does something."""
from teehee.plugin import Plugin, Result, Turn, action


@action("ASK_FIRST")
async def ask(turn: Turn) -> Result:
    """Ask whether to go on."""
    return Result("Shall I light the lamp?", choices=("Yes", "No"))


@action("ASK_OWNER")
async def ask_owner(turn: Turn) -> Result:
    """Ask an owner whether to go on."""
    return Result("May I?", choices=("Approve", "Deny"), who="owner")


plugin = Plugin("asks", "Asks.", actions=[ask, ask_owner])
'''
OWNER = 4711


def shelf(folder: Path) -> str:
    """A folder with the plugin `asks` in it."""
    package = folder / "shelf" / "teehee_asks"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(ASKS)
    about = folder / "shelf" / "teehee_asks-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: teehee-asks\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[teehee.plugins]\nasks = teehee_asks:plugin\n")
    return str(folder / "shelf")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("choices")
    own = {"OWNERS": f"telegram:{OWNER}"}
    async with on_stage(
        folder, settings=own, options={"plugin_path": shelf(folder)}, plugins=["telegram", "asks"]
    ) as one:
        yield one


async def test_a_button_is_pressed_once_by_the_one_who_was_asked_and_the_agent_hears_of_it(stage: Stage) -> None:
    mia, tom = stage.world.user("Mia"), stage.world.user("Tom")
    group = stage.world.supergroup("Lamp", mia, tom)
    stage.model.script.append(block("", actions="ASK_FIRST"))
    mia.says(group, "@teehee_bot it gets dark")
    await stage.answered(group)
    asked = stage.sent(group)[0].message
    buttons = [row[0]["text"] for row in asked["reply_markup"]["inline_keyboard"]]

    tom.presses(group, asked, "Yes")
    mia.presses(group, asked, "No")
    await stage.answered(group, 2)
    mia.presses(group, asked, "Yes")
    await asyncio.sleep(0.7)

    assert buttons == ["Yes", "No"]
    assert len(stage.texts(group)) == 2
    assert "pressed the button 'No'" in str(stage.model.requests[-1])
    told = [call.params["text"] for call in stage.world.calls if call.method == "answercallbackquery"]
    assert told == ["This choice is for somebody else.", "No", "You chose 'No' before."]


async def test_an_owners_choice_is_an_owners(stage: Stage) -> None:
    mia, owner = stage.world.user("Mia"), stage.world.user("Olga", id=OWNER)
    group = stage.world.supergroup("Bank", mia, owner)
    stage.model.script.append(block("", actions="ASK_OWNER"))
    mia.says(group, "@teehee_bot pay me")
    await stage.answered(group)
    asked = stage.sent(group)[0].message

    mia.presses(group, asked, "Approve")
    await asyncio.sleep(0.5)
    assert len(stage.texts(group)) == 1
    owner.presses(group, asked, "Deny")

    await stage.answered(group, 2)


async def test_a_silent_channel_gets_a_post_where_the_character_asks_for_one(tmp_path: Path) -> None:
    posts = {
        "enabled": True, "monitorTime": 200, "inactivityThreshold": 600, "mainChannelId": "-1007000",
        "minTimeBetweenPosts": 1200,
    }  # fmt: skip
    async with on_stage(tmp_path, clientConfig={"telegram": {"autoPost": posts}}) as stage:
        mia = stage.world.user("Mia")
        group = stage.world.supergroup("Main", mia)
        stage.world.chats.pop(group.id, None)
        group.id = -1007000
        stage.world.chats[group.id] = group

        texts = await stage.answered(group, 2, seconds=20)

        assert texts
        assert all(
            call.params.get("reply_parameters") is None for call in stage.world.calls if call.method == "sendmessage"
        )


async def test_without_a_schedule_nothing_is_posted_unasked(tmp_path: Path) -> None:
    posts = {"enabled": False, "monitorTime": 200, "inactivityThreshold": 400, "mainChannelId": "-1007000"}
    async with on_stage(tmp_path, clientConfig={"telegram": {"autoPost": posts}}) as stage:
        await asyncio.sleep(2.0)

        assert not any(call.method == "sendmessage" for call in stage.world.calls)
        await until(stage.is_listening)
