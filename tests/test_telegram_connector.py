"""Updates that cannot be handled: skipped when they never could be, tried again when they may. None holds others up."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from teehee.connector import Gone, Refused, Unavailable
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
