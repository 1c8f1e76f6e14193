"""The durable steps of a turn, numbered, and a way to be killed at each: for the kill tests only.

A process that reaches its armed failpoint sends itself SIGKILL, once: a marker file in the data folder keeps
the next life going. Arming takes the supervisor's boot message; nothing in the environment can.
"""

import os
import signal
from pathlib import Path

from teehee.errors import ConfigError

STEPS = (
    "gate.event.received",  # 1: nothing durable yet
    "gate.event.witnessed",  # 2: both rows committed, the sender not yet told
    "vault.witness.before-commit",  # 3
    "vault.witness.after-commit",  # 4
    "mind.inbox.before-commit",  # 5
    "mind.inbox.after-commit",  # 6
    "mind.model.before-call",  # 7
    "mind.model.after-call",  # 8: answered, not yet journaled
    "mind.submit.before-call",  # 9: the journal's commit goes on beside it
    "mind.journal.before-commit",  # 10
    "mind.journal.after-commit",  # 11
    "vault.intent.before-commit",  # 12
    "vault.intent.after-commit",  # 13: in the ledger, nobody told
    "mind.submit.after-call",  # 14
    "gate.effect.received",  # 15: due, not yet handed to anyone
    "gate.effect.handed-over",  # 16: the client has it, no outcome yet
    "vault.outcome.before-commit",  # 17
    "vault.outcome.after-commit",  # 18
    "gate.outcome.reported",  # 19
    "mind.outcome.before-commit",  # 20
    "mind.outcome.after-commit",  # 21
    "vault.sending.before-commit",  # 22: for a platform without a fence
    "vault.sending.after-commit",  # 23
    "gate.effect.marked",  # 24: marked as on its way, not yet sent
    "gate.effect.sent",  # 25: the platform has answered, no outcome yet
    "gate.effect.settled",  # 26: the same outcome as of 19, for a platform
)

ON_PLATFORMS = STEPS[STEPS.index("vault.sending.before-commit") :]  # passed by nothing that a client pulls
_armed: dict[str, Path] = {}


def arm(step: str, folder: Path) -> None:
    """Makes this process die at `step`, unless its marker in `folder` says that it has."""
    if step and step not in STEPS:
        raise ConfigError(f"no failpoint {step!r}", hint="wire/failpoints.py numbers them all")
    if step:
        folder.mkdir(parents=True, exist_ok=True)
        _armed[step] = folder / step


def hit(step: str) -> None:
    """This durable step is reached; dies here when armed."""
    if _armed and (marker := _armed.pop(step, None)) is not None:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
