"""What whoever runs this should know just now: told once when it begins, shown until it is over."""

from collections.abc import Callable

from teehee.log import get_logger

log = get_logger()


class Alarms:
    """Open alarms by agent and code; `say` reaches the terminal in which this runs."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.open: dict[tuple[str, str], str] = {}

    def tell(self, agent: str, code: str, sentence: str) -> None:
        """Opens an alarm, or ends it when the sentence is empty; the same sentence again says nothing new."""
        key = (agent, code)
        if not sentence:
            if self.open.pop(key, None) is not None:
                log.info("alarm_over", agent=agent, code=code)
            return
        if self.open.get(key) != sentence:
            self.open[key] = sentence
            log.warning("alarm", agent=agent, code=code, sentence=sentence)
            self.say(f"{agent}: {sentence}")

    def of(self, agent: str = "") -> list[dict[str, str]]:
        """What is open, of one agent or of all."""
        return [
            {"agent": who, "code": code, "message": sentence}
            for (who, code), sentence in self.open.items()
            if agent in ("", who)
        ]
