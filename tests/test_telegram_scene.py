"""A harbour's group: ten people, two other bots, topics. Every rule of manners, one after the other, by name."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from teehee.testing import until
from teehee.testing.telegram_server import Bot, Chat, User
from telegram_stage import Stage, on_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any
NAMES = ("Mia", "Tom", "Ida", "Leo", "Eva", "Max", "Zoe", "Ben", "Uma", "Gus")


@dataclass
class Harbour:
    """The group, who is in it, and what the gate's log says of each update."""

    stage: Stage
    group: Chat
    people: dict[str, User]
    pilot: Bot
    crane: Bot
    boats: int
    knots: int

    def verdicts(self) -> list[tuple[str, str]]:
        """(kind, rule) of every update so far, in the order they came."""
        lines = (self.stage.up.folder / "logs/gate.log").read_text().splitlines()
        judged = [entry for line in lines if (entry := json.loads(line))["event"] == "update_judged"]
        ordered = sorted(judged, key=lambda entry: int(entry["update"]))
        return [(entry["kind"], entry["reason"]) for entry in ordered]

    async def rule(self, number: int) -> tuple[str, str]:
        """What was decided about the next update after the first `number`."""
        await until(lambda: len(self.verdicts()) > number)
        return self.verdicts()[number]

    def answers(self) -> int:
        return len(self.stage.texts(self.group))

    async def quiet(self) -> int:
        """How many answers there are once nothing is on its way."""
        await asyncio.sleep(0.6)
        return self.answers()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harbour(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harbour]:
    own = {"TELEGRAM_NAMES": "Ada", "TELEGRAM_BOT_TURNS": "2", "TELEGRAM_USER_PER_MINUTE": "4"}
    async with on_stage(tmp_path_factory.mktemp("scene"), settings=own, options={"log_level": "debug"}) as stage:
        world = stage.world
        world.me.privacy = False
        people = {name: world.user(name, name.lower() + "_h") for name in NAMES}
        pilot, crane = world.bot("pilot_bot"), world.bot("crane_bot")
        group = world.supergroup("Harbour", *people.values(), forum=True)
        for bot in (pilot, crane):
            group.join(bot)
        group.promote(world.me)  # so that every word of the other bots comes through, too
        boats, knots = group.topic("Boats"), group.topic("Knots")
        await asyncio.sleep(0.5)
        yield Harbour(stage, group, people, pilot, crane, boats, knots)


@dataclass
class Says:
    """One thing that happens, which rule decides about it, and whether Ada answers."""

    who: str
    text: str
    kind: str
    rule: str
    topic: str = ""
    reply_to: str = ""  # whose last message


SCENE = [
    Says("Mia", "good morning everybody", "heard", "not_addressed"),
    Says("Tom", "morning! has anybody seen Ada's lamp?", "message", "name"),
    Says("Ida", "yes, Ada keeps it", "heard", "between_humans", reply_to="Tom"),
    Says("Leo", "@mia_h did Ada call you?", "heard", "between_humans"),
    Says("Eva", "@teehee_bot when is high water?", "message", "mention"),
    Says("Max", "and low water?", "message", "reply", reply_to="Ada"),
    Says("Zoe", "/status@pilot_bot", "heard", "other_bot"),
    Says("Ben", "@pilot_bot are you there, Ada?", "heard", "other_bot"),
    Says("Uma", "@teehee_bot which boats are in?", "message", "mention", topic="boats"),
    Says("Gus", "@teehee_bot show me a bowline", "message", "mention", topic="knots"),
    Says("Gus", "/verify@teehee_bot", "command", "command"),
    Says("pilot", "the ferry is late", "heard", "not_addressed"),
    Says("pilot", "@teehee_bot hello", "message", "mention"),
    Says("pilot", "@teehee_bot what do you do?", "message", "mention"),
    Says("crane", "@teehee_bot me too", "heard", "bot_budget"),
    Says("pilot", "@teehee_bot hello again", "heard", "bot_budget"),
    Says("crane", "@teehee_bot @pilot_bot a loop?", "heard", "other_bot"),
    Says("Mia", "@teehee_bot one", "message", "mention"),
    Says("Mia", "@teehee_bot two", "message", "mention"),
    Says("Mia", "@teehee_bot three", "message", "mention"),
    Says("Mia", "@teehee_bot four", "message", "mention"),
    Says("Mia", "@teehee_bot five", "heard", "user_quota_hint"),
    Says("Mia", "@teehee_bot six", "heard", "user_quota"),
    Says("Tom", "@teehee_bot am I still heard?", "message", "mention"),
    Says("pilot", "@teehee_bot and I, now that people spoke?", "message", "mention"),
]


async def test_every_rule_of_manners_in_one_long_morning(harbour: Harbour) -> None:
    stage, last = harbour.stage, dict[str, Json]()
    decided, expected, answers = [], [], await harbour.quiet()
    for line in SCENE:
        number = len(harbour.verdicts())
        speaker = {"pilot": harbour.pilot, "crane": harbour.crane}.get(line.who) or harbour.people[line.who]
        thread = {"boats": harbour.boats, "knots": harbour.knots}.get(line.topic, 0)
        reply_to = stage.sent(harbour.group)[-1].message_id if line.reply_to == "Ada" else last.get(line.reply_to, 0)
        last[line.who] = speaker.says(harbour.group, line.text, reply_to=reply_to, thread=thread)
        decided.append((line.text, *(await harbour.rule(number))))
        expected.append((line.text, line.kind, line.rule))
        if line.kind in ("message", "command") or line.rule.endswith("_hint"):
            answers += 1
            await until(lambda: harbour.answers() >= answers)  # noqa: B023 - awaited before it changes

    assert decided == expected
    assert await harbour.quiet() == answers
    topics = {sent.thread for sent in stage.sent(harbour.group)}
    assert {harbour.boats, harbour.knots} <= topics


async def test_what_others_forward_or_pin_or_say_without_a_face_is_not_for_the_agent(harbour: Harbour) -> None:
    stage, answers = harbour.stage, await harbour.quiet()
    channel = stage.world.channel("News", bot=False)
    number = len(harbour.verdicts())
    harbour.people["Eva"].forwards(harbour.group, "@teehee_bot buy this", harbour.people["Leo"])
    harbour.people["Eva"].says_as(harbour.group, "@teehee_bot hear me", channel)

    rules = [await harbour.rule(number), await harbour.rule(number + 1)]

    assert rules == [("heard", "not_addressed"), ("heard", "anonymous")] or rules[0][1] == "forwarded"
    assert await harbour.quiet() == answers


async def test_an_edit_or_a_reaction_brings_no_second_answer(harbour: Harbour) -> None:
    stage = harbour.stage
    said = harbour.people["Leo"].says(harbour.group, "@teehee_bot hello there")
    answers = await harbour.quiet()

    harbour.people["Leo"].edits(harbour.group, said, "@teehee_bot hello there, friend")
    harbour.people["Zoe"].reacts(harbour.group, said, "🔥")

    assert await harbour.quiet() == answers
    assert stage.world.limits.breaches == []


async def test_the_agent_leaves_a_group_where_it_is_not_to_be(tmp_path: Path) -> None:
    config = {"telegram": {"shouldOnlyJoinInAllowedGroups": True, "allowedGroupIds": ["-1009999"]}}
    async with on_stage(tmp_path, clientConfig=config) as stage:
        mia = stage.world.user("Mia")
        group = stage.world.supergroup("Elsewhere", mia)
        mia.says(group, "@teehee_bot hello")

        await until(lambda: any(call.method == "leavechat" for call in stage.world.calls))
        assert stage.texts(group) == []


async def test_what_came_while_the_agent_was_away_is_answered_in_one_line(tmp_path: Path) -> None:
    async with on_stage(tmp_path, settings={"TELEGRAM_STALE_SECONDS": "60"}) as stage:
        sam = stage.world.user("Sam")
        chat = stage.world.private(sam)
        stage.world.clock = lambda: time.time() - 600
        sam.says(chat, "are you there?")
        sam.says(chat, "hello??")
        stage.world.clock = time.time
        assert "I was away" in (await stage.answered(chat, seconds=30))[0]
        sam.says(chat, "still nothing")
        texts = await stage.answered(chat, 2)
        await asyncio.sleep(0.7)

        assert stage.texts(chat) == texts
        assert "still nothing" in texts[1]
