"""The courier and connectors that misbehave: each effect gets its outcome, and the next one its turn."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teehee.connector import Failed, Sent, Unknown
from teehee.gate.connectors.courier import Courier
from teehee.gate.metrics import Counts
from teehee.testing import until
from teehee.wire import strict
from teehee.wire.messages import Effect
from test_vault_platform_door import SAY, said
from vaults import Vault, config, vault_at

Json = Any


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with vault_at(tmp_path, config("Ada", verbs={"telegram": [SAY]})) as one:
        yield one


class Link:
    """The gate's way to the vault."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    async def call(self, method: str, params: Json = None) -> Json:
        return await self.vault.gate(method, params)


class Odd:
    """A connector that gives this for the first effect, raises it if it is an error, and does well afterwards.

    `wait` and `over` break instead when `breaks` names them.
    """

    def __init__(self, result: Json, breaks: str = "") -> None:
        self.result, self.breaks = result, breaks

    def wait(self, effect: Effect) -> float:
        self._break("wait")
        return 0.0

    def over(self, effect: Effect) -> None:
        self._break("over")

    def _break(self, name: str) -> None:
        if self.breaks == name:
            self.breaks = ""
            raise ZeroDivisionError(name)

    async def deliver(self, effect: Effect) -> Json:
        result, self.result = self.result, Sent("telegram:-100/56")
        if isinstance(result, Exception):
            raise result
        return result

    async def settled(self, effect: Effect) -> None:
        pass


@pytest.mark.parametrize(
    ("result", "breaks", "state", "told"),
    [
        (Failed("Bad Request: chat not found"), "", "failed", "Bad-Request:-chat-not-found"),
        (Failed("x" * 200), "", "failed", "x" * 64),
        (Unknown("schlie\u00dflich\n"), "", "unknown", "schlie-lich-"),
        (Sent("a name with spaces"), "", "delivered", ""),
        (Sent("x" * 200), "", "delivered", ""),
        (Sent("telegram:-100/55"), "", "delivered", "telegram:-100/55"),
        (None, "", "unknown", "connector-failed"),
        ("sent", "", "unknown", "connector-failed"),
        (KeyError("no"), "", "unknown", "connector-failed"),
        (Sent(), "wait", "unknown", "connector-failed"),
        (Sent(), "over", "unknown", "connector-failed"),
    ],
)
async def test_whatever_a_connector_does_its_effect_has_an_outcome_and_the_next_one_its_turn(
    vault: Vault, result: Json, breaks: str, state: str, told: str
) -> None:
    effects = [strict.parse(Effect, await said(vault, name), "effect") for name in ("e1", "e2")]
    courier = Courier(Link(vault), Odd(result, breaks), Counts())  # type: ignore[arg-type]

    courier.take(effects)
    await until(lambda: courier.waiting == 0)

    first, second = vault.core.db.execute("SELECT state, detail || reference FROM effects ORDER BY seq").fetchall()
    assert first == (state, told)
    assert second[0] == "delivered"
