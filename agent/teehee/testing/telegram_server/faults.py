"""Failures on order: the next calls of a method go wrong in a way that was chosen."""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

Json = Any
ANY = "*"
SAID = {
    400: "Bad Request: refused by the test",
    403: "Forbidden: refused by the test",
    429: "Too Many Requests: retry after {retry_after}",
    500: "Internal Server Error",
    502: "Bad Gateway",
}
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"


class Rejected(Exception):
    """An answer that is not ok (https://core.telegram.org/bots/api#making-requests)."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status, self.description, self.parameters = status, description, parameters

    def body(self) -> Json:
        more = {"parameters": self.parameters} if self.parameters else {}
        return {"ok": False, "error_code": self.status, "description": self.description, **more}


@dataclass(frozen=True, slots=True)
class Fault:
    """One call that goes wrong. `cut` breaks the connection, `delay_seconds` holds the answer back.

    `after`: both happen once the call is carried out, else before.
    """

    status: int = 0
    description: str = ""
    retry_after: int = 0
    page: bool = False  # a proxy's HTML in place of JSON
    cut: bool = False
    delay_seconds: float = 0.0
    after: bool = False

    def rejected(self) -> Rejected:
        said = self.description or SAID.get(self.status, "Error").format(retry_after=self.retry_after)
        return Rejected(self.status, said, **({"retry_after": self.retry_after} if self.retry_after else {}))


class Faults:
    """Those that are still to come, by method; "*" is any method but getUpdates."""

    def __init__(self) -> None:
        self._next: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def add(self, method: str, fault: Fault, times: int = 1) -> None:
        self._next[method.lower()].extend([fault] * times)

    def take(self, method: str) -> Fault | None:
        for name in (method, ANY):
            if self._next[name] and not (name == ANY and method == "getupdates"):
                return self._next[name].popleft()
        return None

    def clear(self) -> None:
        self._next.clear()
