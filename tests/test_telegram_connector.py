"""Updates that cannot be handled: skipped when they never could be, tried again when they may. None holds others up."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from teehee.connector import Event, Gone, Refused, Unavailable
from teehee_telegram import connector as telegram_connector
from teehee_telegram import settings
from teehee_telegram.connector import TelegramConnector
from teehee_telegram.flood import LONGEST
from teehee_telegram.inbound import Me

Json = Any
SAM = {"id": 500001001, "is_bot": False, "first_name": "Sam"}
COMMAND: Json = {
    "update_id": 1,
    "message": {
        "message_id": 1, "date": 1_795_000_000, "from": SAM, "chat": {"id": SAM["id"], "type": "private"},
        "text": "/status", "entities": [{"type": "bot_command", "offset": 0, "length": 7}],
    },
}  # fmt: skip
PRESSED: Json = {
    "update_id": 2,
    "callback_query": {
        "id": "7", "from": SAM, "data": "0", "chat_instance": "1",
        "message": {"message_id": 2, "date": 1_795_000_000, "chat": {"id": SAM["id"], "type": "private"}},
    },
}  # fmt: skip


MOVED: Json = {
    "update_id": 3,
    "message": {
        "message_id": 3, "date": 1_795_000_000, "from": SAM, "migrate_from_chat_id": -4_000_000_001,
        "chat": {"id": -1_002_000_000_001, "type": "supergroup", "title": "Club"},
    },
}  # fmt: skip
UPDATES = pytest.mark.parametrize("update", [COMMAND, PRESSED, MOVED], ids=["a command", "a button", "a move"])


def connector(error: Exception) -> TelegramConnector:
    """One that cannot bring a command or button to its vault."""

    async def fail(*_: object) -> None:
        raise error

    office: Any = SimpleNamespace(agent="ada", name="Ada", receive=fail, press=fail)
    found, _ = settings.read({}, {})
    one = TelegramConnector(office, found)
    one.me = Me(7_000_001_001, "teehee_bot")
    return one


async def test_what_an_earlier_life_sent_is_recalled_once() -> None:
    asked = []

    async def lately(seconds: float) -> list[Gone]:
        asked.append(seconds)
        left = [Gone("telegram:-1002000000001", f"7-{number}-5", 50.0) for number in range(20)]
        return [*left, Gone("nowhere", "7-20-5", 40.0), *[Gone("telegram:500001001", "7-21-5", 0.5)] * 3]

    office: Any = SimpleNamespace(agent="ada", name="Ada", lately=lately)
    one = TelegramConnector(office, settings.read({}, {})[0])
    await one._recall()
    await one._recall()

    now = time.monotonic()
    assert asked == [LONGEST]
    assert 10 < one.flood.take("-1002000000001", True, now) < 14
    assert 0 < one.flood.take("500001001", False, now) < 2
    assert one.flood.take("500001002", False, now) == 0


QUIET: Json = {
    "update_id": 4,
    "message": {
        **MOVED["message"], "message_id": 4, "text": "/quiet@teehee_bot",
        "entities": [{"type": "bot_command", "offset": 0, "length": 17}],
    },
}  # fmt: skip
del QUIET["message"]["migrate_from_chat_id"]
OLD, NEW = "telegram:-4000000001", "telegram:-1002000000001"


def addressed() -> Json:
    """A message to the agent, of just now."""
    mention = {"type": "mention", "offset": 0, "length": 11}
    told = {"message_id": 5, "date": int(time.time()), "text": "@teehee_bot psst", "entities": [mention]}
    return {"update_id": 5, "message": {**told, "from": SAM, "chat": MOVED["message"]["chat"]}}


def slow_to_quiet() -> tuple[TelegramConnector, list[str]]:
    """One whose vault takes a while to make a chat quiet, and the kinds of events it hears of."""
    quiet, kinds = {OLD}, []

    async def hush(event: Event, _: bool) -> None:
        await asyncio.sleep(0.05)
        quiet.add(event.room)

    async def receive(event: Event) -> bool:
        kinds.append(event.kind)
        return False

    async def quiet_chats() -> frozenset[str]:
        return frozenset(quiet)

    async def nothing(*_: object) -> None:
        pass

    async def admin(*_: object) -> SimpleNamespace:
        return SimpleNamespace(status="creator")

    office: Any = SimpleNamespace(
        agent="ada", name="Ada", receive=receive, quiet=hush, quiet_chats=quiet_chats, answer=nothing
    )
    busy = {"TELEGRAM_USER_PER_MINUTE": "99", "TELEGRAM_CHAT_PER_MINUTE": "99"}
    one = TelegramConnector(office, settings.read({}, busy)[0])
    one.me = Me(7_000_001_001, "teehee_bot")
    one.orders.quiet = frozenset(quiet)
    one.orders.bot = cast(Any, SimpleNamespace(get_chat_member=admin))
    return one, kinds


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "posted side by side"])
@pytest.mark.parametrize("order", [MOVED, QUIET], ids=["a group that moves", "an admin's word"])
async def test_silence_holds_for_what_comes_right_after_it(order: Json, together: bool) -> None:
    one, kinds = slow_to_quiet()
    batches = [[order, addressed()]] if together else [[order], [addressed()]]

    await asyncio.gather(*map(one.take, batches))

    assert kinds == ["moved" if order is MOVED else "command", "heard"]


async def test_what_came_before_the_silence_is_answered() -> None:
    one, kinds = slow_to_quiet()

    await one.take([addressed(), QUIET])

    assert kinds == ["message", "command"]


async def test_of_many_orders_the_last_decides() -> None:
    one, kinds = slow_to_quiet()

    await one.take([*({**QUIET, "update_id": number} for number in range(10, 15)), addressed()])

    assert kinds == ["command"] * 5 + ["heard"]
    assert one._deciding == {}


async def test_what_follows_an_order_that_was_not_kept_comes_again_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one, kinds = slow_to_quiet()

    async def away(*_: object) -> None:
        raise Unavailable("the vault is away")

    monkeypatch.setattr(one.office, "quiet", away)
    with pytest.raises(Unavailable):
        await one.take([MOVED, addressed()])
    await asyncio.sleep(0)
    assert kinds == ["moved"]

    monkeypatch.undo()
    await one.take([MOVED, addressed()])
    assert kinds == ["moved", "moved", "heard"]


async def test_who_floods_with_orders_does_not_hold_up_the_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegram_connector, "COMMAND_SECONDS", 0.3)
    one, kinds = slow_to_quiet()
    flood = [{**QUIET, "update_id": number} for number in range(10, 60)]

    before = time.monotonic()
    await one.take(flood)

    assert kinds == ["command"] * 50
    assert time.monotonic() - before < 50 * 0.05


@UPDATES
async def test_what_a_rule_refuses_is_not_asked_for_again(update: Json) -> None:
    await connector(Refused("base.event-not-witnessed", "too late")).take([update])


@UPDATES
async def test_what_a_vault_that_knows_nobody_yet_refuses_is_asked_for_again(update: Json) -> None:
    with pytest.raises(Refused):
        await connector(Refused("base.agent-unknown", "nobody yet")).take([update])


@UPDATES
async def test_a_mistake_of_ours_is_met_three_times_and_then_costs_this_update_alone(
    update: Json, capsys: pytest.CaptureFixture[str]
) -> None:
    one = connector(KeyError("7000001001:the-token"))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await one.take([update])

    await one.take([update])

    told = "".join(capsys.readouterr())
    assert told.count("update_failed") == 3
    assert "the-token" not in told


@pytest.mark.parametrize("error", [Unavailable("the vault is away"), OSError(28, "No space left on device")], ids=str)
async def test_while_the_vault_is_away_or_the_disk_full_an_update_is_tried_for_ever(error: Exception) -> None:
    one = connector(error)
    for _ in range(9):
        with pytest.raises(Unavailable):
            await one.take([COMMAND])
