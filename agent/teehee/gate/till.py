"""One model call on account: bounded and reserved before it goes out, metered while it comes back, settled after."""

from types import TracebackType

from teehee.gate.bound import bounded
from teehee.gate.spend import Reservation, Spend
from teehee.gate.usage import Meter, Usage
from teehee.wire.boot import EgressRule

NO_ANSWER_YET = (504, 524)  # somebody on the way gave up waiting: the model may have gone on


class Call:
    """A call whose request is `body`; used as a context, at whose end the account is settled.

    What happened is told by the one who makes the call: `unsent`, or `answered` and `feed` and `whole`. Told nothing,
    the call counts as made, and all that was held for it as spent.
    """

    def __init__(
        self,
        body: bytes,
        spend: Spend | None = None,
        held: Reservation | None = None,
        wire: str = "",
        kind: str = "",
    ) -> None:
        self.body = body
        self.kind = kind
        self.spend = spend
        self.held = held
        self.wire = wire
        self._meter: Meter | None = None
        self._unpaid = False
        self._whole = False

    def unsent(self) -> None:
        """Nothing reached the provider."""
        self._unpaid = True

    def answered(self, status: int, *, streams: bool) -> None:
        """An answer begins; providers charge nothing for an error."""
        self._unpaid = status >= 300 and status not in NO_ANSWER_YET
        if self.held is not None:
            self._meter = Meter(self.wire, streamed=streams)

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the answer."""
        if self._meter is not None:
            self._meter.feed(chunk)

    def whole(self) -> None:
        """The answer was read to its end."""
        self._whole = True

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.spend is None or self.held is None:
            return
        if self._unpaid:
            self.spend.release(self.held)
        else:
            self.spend.settle(self.held, self._told())

    def _told(self) -> Usage | None:
        return None if self._meter is None else self._meter.told(complete=self._whole)


def opened(spend: Spend | None, rule: EgressRule, path: str, message: str, body: bytes) -> Call:
    """The call under its bound and its caps; a rule without prices is not on account.

    `message` is what the mind says it answers. Raises Unbounded, OverBudget, and sqlite3.Error when the account
    cannot be written: then nothing goes out.
    """
    if spend is None or not rule.prices:
        return Call(body)
    asked = bounded(rule, path, body)
    return Call(asked.body, spend, spend.reserve(rule.agent, message, asked), asked.wire, asked.kind)
