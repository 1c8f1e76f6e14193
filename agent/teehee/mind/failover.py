"""Several brains in order: the first that answers, and after a failure the one that works, for a while."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from teehee.errors import ActionFailed, AskAgain, TeeheeError, Unavailable
from teehee.log import get_logger
from teehee.mind import models
from teehee.plugin import State, Turn

STAY_SECONDS = 120.0
log = get_logger()


@dataclass(frozen=True, slots=True)
class Member:
    """One brain of the list, its name for the log, and the seconds it may take."""

    name: str
    brain: models.Brain
    patience: float


class Failover:
    """Asks the first; when it is away the next, which then stays first for STAY_SECONDS before the old order counts.

    An answer of the wrong form fails over nowhere: the same brain is told why. A request one brain will not take
    goes to the next, and changes nothing for others.
    """

    def __init__(self, members: Sequence[Member], now: Callable[[], float] = time.monotonic) -> None:
        self.members = tuple(members)
        self.now = now
        self.first = 0
        self.until = 0.0

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: models.Hear) -> str:
        if self.first and self.now() >= self.until:
            log.info("model_first_tried_again", model=self.members[0].name)
            self.first = 0
        begun = self.first
        first_error: TeeheeError | None = None
        heard = _Once(hear)
        for step in range(len(self.members)):
            number = (begun + step) % len(self.members)
            member = self.members[number]
            try:
                said = await models.within(member.brain, member.patience, turn, stable, fresh, reason, heard.through())
            except AskAgain:
                raise
            except (Unavailable, ActionFailed) as error:
                first_error = first_error or error
                log.warning("model_failed", model=member.name, code=error.code, reason=str(error), hint=error.hint)
                continue
            if step and isinstance(first_error, Unavailable):
                self._stay(number)
            return said
        assert first_error is not None
        raise first_error

    def _stay(self, number: int) -> None:
        self.first, self.until = number, self.now() + STAY_SECONDS
        log.warning("model_failed_over", model=self.members[number].name, for_seconds=STAY_SECONDS)


class _Once:
    """Passes on what one brain says; once it has said something, those after it go unheard: words would be mixed."""

    def __init__(self, hear: models.Hear) -> None:
        self.hear = hear
        self.spoken = False

    def through(self) -> models.Hear:
        return models.unheard if self.spoken else self._hear

    def _hear(self, piece: str) -> None:
        self.spoken = True
        self.hear(piece)
