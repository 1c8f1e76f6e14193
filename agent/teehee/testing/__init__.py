"""Public doubles and stand-ins, for the tests of plugins and of teehee itself."""

import importlib
from typing import TYPE_CHECKING, Any

from teehee.testing.command_line import teehee
from teehee.testing.people import Person, TerminalPerson, WebPerson
from teehee.testing.processes import Running, running
from teehee.testing.scripted_model import ScriptedModel
from teehee.testing.turns import fake_turn
from teehee.testing.waiting import until

if TYPE_CHECKING:
    from teehee.testing.telegram_server import TelegramProcess, TelegramServer, TelegramWorld, telegram_process

__all__ = [
    "Person", "Running", "ScriptedModel", "TelegramProcess", "TelegramServer", "TelegramWorld", "TerminalPerson",
    "WebPerson", "fake_turn", "running", "teehee", "telegram_process", "until",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The simulated Telegram is loaded when it is first named."""
    if name in __all__ and name.lower().startswith("telegram"):
        return getattr(importlib.import_module("teehee.testing.telegram_server"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
