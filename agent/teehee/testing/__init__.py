"""Public doubles and stand-ins, for the tests of plugins and of teehee itself."""

from teehee.testing.command_line import teehee
from teehee.testing.people import Person, TerminalPerson, WebPerson
from teehee.testing.processes import Running, running
from teehee.testing.scripted_model import ScriptedModel
from teehee.testing.turns import fake_turn
from teehee.testing.waiting import until

__all__ = [
    "Person", "Running", "ScriptedModel", "TerminalPerson", "WebPerson", "fake_turn", "running", "teehee", "until",
]  # fmt: skip
