"""kill -9 while Telegram's updates come and answers leave: nothing is lost, nothing is said twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import telegram_ledger as ledger
from teehee.evidence import leaf
from teehee.testing import TelegramWorld, until
from teehee.testing.telegram_server import Chat, User
from teehee.wire.failpoints import STEPS
from telegram_ledger import Watched
from telegram_stage import Stage, on_stage

MARKED, SENT = "gate.effect.marked", "gate.effect.sent"
PULLED = ("gate.effect.handed-over", "gate.outcome.reported")  # passed where clients come for their messages
PASSED = [step for step in STEPS if step not in PULLED]

# Each of these is another way to be cut off; the rest, which test_kill.py has for the terminal, is for `make long`.
NOW = ("gate.event.witnessed", "vault.sending.before-commit", "vault.sending.after-commit", MARKED, SENT)
COMMAND_STEPS = [
    "gate.event.witnessed", "vault.witness.after-commit", "mind.inbox.before-commit", "gate.effect.received",
    "vault.sending.after-commit", "vault.outcome.before-commit",
]  # fmt: skip


def some_now(steps: Sequence[str], now: Sequence[str]) -> list[Any]:
    """The steps, those not in `now` marked as long."""
    assert set(now) <= set(steps)
    return [pytest.param(step, marks=() if step in now else pytest.mark.long) for step in steps]


def watched(folder: Path) -> tuple[TelegramWorld, Watched]:
    world = TelegramWorld(privacy=False)
    world.me.updates = updates = Watched(world.clock, folder / "data")
    return world, updates


async def at_rest(stage: Stage, updates: Watched) -> None:
    """Returns once every update is confirmed, every turn has ended and every effect has its outcome."""

    async def is_at_rest() -> bool:
        await asyncio.sleep(0.05)
        states = ledger.effects(stage.up.folder)
        is_over = not (updates.waiting or states["due"] or states["sending"])
        return is_over and not ledger.kept(stage.up.folder, "open")

    await until(is_at_rest, seconds=45)


def assert_each_is_handled_once(stage: Stage, updates: Watched) -> None:
    """Every update that was confirmed was on disk by then, once; at rest that is all there were."""
    once = Counter(set(updates.confirmed))
    assert updates.early == []
    assert ledger.witnessed(stage.up.folder) == once
    assert ledger.kept(stage.up.folder) == once


async def outcomes(stage: Stage) -> Counter[tuple[str, str]]:
    """Outcomes in the log; every intent has exactly one."""
    leaves = await stage.up.leaves()
    ended = Counter(one.effect for one in leaves if isinstance(one, leaf.Outcome))
    assert ended == Counter(one.effect for one in leaves if isinstance(one, leaf.Intent))
    return Counter((one.state, one.detail) for one in leaves if isinstance(one, leaf.Outcome))


@pytest.mark.parametrize("step", some_now(PASSED, NOW))
async def test_a_kill_at_this_step_neither_loses_nor_doubles_a_message(tmp_path: Path, step: str) -> None:
    world, updates = watched(tmp_path)
    async with on_stage(tmp_path, world=world, failpoint=step) as stage:
        chat = world.private(sam := world.user("Sam"))
        sam.says(chat, "first")
        await until((stage.up.folder / "failpoints" / step).exists)
        sam.says(chat, "second")
        await until(lambda: "heard: second" in stage.texts(chat), seconds=45)
        await at_rest(stage, updates)

        first = [] if step == MARKED else ["heard: first"]
        unknown = 1 if step in (MARKED, SENT) else 0
        assert stage.texts(chat) == [*first, "heard: second"]
        assert await outcomes(stage) == Counter(
            {("delivered", ""): 2 - unknown} | ({("unknown", "gate-restarted"): 1} if unknown else {})
        )
        assert_each_is_handled_once(stage, updates)


@pytest.mark.parametrize("step", some_now(COMMAND_STEPS, ("vault.sending.after-commit",)))
async def test_a_command_is_answered_once_whatever_is_killed_meanwhile(tmp_path: Path, step: str) -> None:
    world, updates = watched(tmp_path)
    async with on_stage(tmp_path, world=world, failpoint=step) as stage:
        chat = world.private(sam := world.user("Sam"))
        sam.says(chat, "/status")
        await until((stage.up.folder / "failpoints" / step).exists)
        await stage.answered(chat, seconds=45)
        await at_rest(stage, updates)

        (text,) = stage.texts(chat)
        assert "Ada is running" in text
        assert await outcomes(stage) == Counter({("delivered", ""): 1})
        assert_each_is_handled_once(stage, updates)


# -- at any moment


class Crowd:
    """People in private chats and groups who all write at once; each message that is for the agent has a word."""

    def __init__(self, world: TelegramWorld, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        people = [world.user(f"Person{number}") for number in range(12)]
        self.places: list[tuple[User, Chat, str]] = [(one, world.private(one), "") for one in people]
        for number in range(4):
            group = world.supergroup(f"Group {number}", *people[3 * number : 3 * number + 3])
            self.places += [(one, group, "@teehee_bot ") for one in people[3 * number : 3 * number + 3]]
        self.asked: list[str] = []
        world.me.updates.drop()  # that the bot was let in makes no row

    def speaks(self) -> None:
        """Somebody says something: mostly to the agent, sometimes to the others, sometimes a command."""
        person, chat, call = self.random.choice(self.places)
        number = len(self.asked)
        if call and self.random.random() < 0.4:
            person.says(chat, f"so I said to them {number}")
        elif self.random.random() < 0.15:
            person.says(chat, f"/prove{'@teehee_bot' if call else ''} {number:032x}")
            self.asked.append(f"{number:032x}")
        else:
            person.says(chat, f"{call}word{number:04d}")
            self.asked.append(f"word{number:04d}")


@pytest.mark.parametrize("name", ["gate", "vault", "mind"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_a_kill_at_any_moment_of_a_burst_neither_loses_nor_doubles(tmp_path: Path, name: str, seed: int) -> None:
    world, updates = watched(tmp_path)
    crowd = Crowd(world, seed)
    async with on_stage(tmp_path, world=world) as stage:
        on_their_way = 0
        for _ in range(2):
            for _ in range(25):
                crowd.speaks()
                await asyncio.sleep(0.01)
            await asyncio.sleep(crowd.random.uniform(0.0, 0.5))
            stage.up.kill(name)
            await asyncio.sleep(0.1)  # what was in the killed one's pipes is read, and no new one is there yet
            on_their_way += ledger.effects(stage.up.folder)["sending"]
            await until(lambda: f"the {name} is back" in stage.up.told)
            stage.up.told.clear()
        await until(lambda: len(updates.confirmed) > 0)
        await at_rest(stage, updates)

        assert_each_is_handled_once(stage, updates)
        arrived = Counter(word for word in crowd.asked for sent in world.sent if word in sent.text)
        ended = await outcomes(stage)
        unknown = ended.pop(("unknown", "gate-restarted"), 0)
        assert ended == Counter({("delivered", ""): len(crowd.asked) - unknown})
        assert unknown <= (on_their_way if name == "gate" else 0)
        assert set(arrived.values()) == {1}
        assert len(arrived) >= len(crowd.asked) - unknown
        assert world.limits.breaches == []


async def test_what_was_sent_before_a_kill_counts_after_it(tmp_path: Path) -> None:
    """A private chat takes three messages at once, and one a second after that."""
    world, updates = watched(tmp_path)
    chat = world.private(sam := world.user("Sam"))
    async with on_stage(tmp_path, world=world) as stage:
        for number in range(7):
            sam.says(chat, f"message {number}")
        await until(lambda: ledger.effects(stage.up.folder)["delivered"] >= 3)
        stage.up.kill("gate")
        await at_rest(stage, updates)

        assert world.limits.breaches == []
        ended = await outcomes(stage)
        assert sum(ended.values()) == 7
        assert ended["delivered", ""] >= 6


# -- forgetting


@pytest.mark.parametrize(
    "step",
    some_now(
        ["gate.event.witnessed", "gate.effect.received", "vault.sending.after-commit", MARKED, SENT,
         "gate.effect.settled"],
        (SENT,),
    ),
)  # fmt: skip
async def test_who_asks_again_after_a_kill_is_forgotten_to_the_last_byte(tmp_path: Path, step: str) -> None:
    world, updates = watched(tmp_path)
    ferdinand = world.user("Ferdinand")
    chat = world.private(ferdinand)
    async with on_stage(tmp_path, world=world) as stage:
        ferdinand.says(chat, "my secret is bergamot")
        await stage.answered(chat)
        await at_rest(stage, updates)

    async with on_stage(tmp_path, world=world, failpoint=step) as stage:
        ferdinand.says(chat, "/forget yes")
        await until((stage.up.folder / "failpoints" / step).exists)
        told = 0 if step == MARKED else 1
        await stage.answered(chat, 1 + told, seconds=45)
        await until(lambda: not updates.waiting, seconds=45)
        ferdinand.says(chat, "/forget yes")

        await until(lambda: len(stage.texts(chat)) >= 2 + told, seconds=45)
        await until(lambda: _nothing_is_left(stage, [b"bergamot", b"Ferdinand", str(ferdinand.id).encode()]))
        assert len(stage.texts(chat)) == 2 + told
        await outcomes(stage)


def _nothing_is_left(stage: Stage, words: list[bytes]) -> bool:
    files = [path for path in stage.up.folder.rglob("*") if path.is_file()]
    return not any(word in path.read_bytes() for path in files for word in words)
