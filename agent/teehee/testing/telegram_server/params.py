"""The parameters of a call, typed: forms bring every value as text, JSON bodies bring JSON.

https://core.telegram.org/bots/api#making-requests
"""

import json
from dataclasses import dataclass, field
from typing import Any

from teehee.testing.telegram_server.faults import Rejected

Json = Any


@dataclass(slots=True)
class Params:
    given: dict[str, Json]
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # by part: file name, content

    def text(self, name: str, default: str = "") -> str:
        value = self.given.get(name, default)
        return value if isinstance(value, str) else json.dumps(value)

    def number(self, name: str, default: int = 0) -> int:
        value = self.given.get(name, default)
        try:
            return int(value)
        except (TypeError, ValueError):
            raise Rejected(400, f"Bad Request: invalid {name} specified") from None

    def flag(self, name: str) -> bool:
        return str(self.given.get(name, "")).lower() in ("true", "1", "yes")

    def json(self, name: str) -> Json:
        """A compound value, or None when it is not given."""
        value = self.given.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise Rejected(400, f"Bad Request: can't parse {name} JSON object") from None
