"""Public doubles and stand-ins, for the tests of plugins and of teehee itself."""

from teehee.testing.processes import Running, running
from teehee.testing.scripted_model import ScriptedModel
from teehee.testing.turns import fake_turn

__all__ = ["Running", "ScriptedModel", "fake_turn", "running"]
