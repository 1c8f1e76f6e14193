"""Updates whose command or button a rule refuses: skipped when it always would be, tried again when it would not."""

from types import SimpleNamespace
from typing import Any

import pytest

from teehee.connector import Refused
from teehee_telegram import settings
from teehee_telegram.connector import TelegramConnector
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


def connector(rule: str) -> TelegramConnector:
    """One whose vault refuses every command and button by this rule."""

    async def refuse(*_: object) -> None:
        raise Refused(rule, "a rule said no")

    office: Any = SimpleNamespace(agent="ada", name="Ada", receive=refuse, press=refuse)
    found, _ = settings.read({}, {})
    one = TelegramConnector(office, found)
    one.me = Me(7_000_001_001, "teehee_bot")
    return one


@pytest.mark.parametrize("update", [COMMAND, PRESSED], ids=["a command", "a button"])
async def test_what_a_rule_refuses_is_not_asked_for_again(update: Json) -> None:
    await connector("base.event-not-witnessed").take([update])


@pytest.mark.parametrize("update", [COMMAND, PRESSED], ids=["a command", "a button"])
async def test_what_a_vault_that_knows_nobody_yet_refuses_is_asked_for_again(update: Json) -> None:
    with pytest.raises(Refused):
        await connector("base.agent-unknown").take([update])
