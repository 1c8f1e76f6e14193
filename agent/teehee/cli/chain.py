"""Asks one Ethereum node of the checker's own, over JSON-RPC, and believes nothing that has another form.

Every answer has a size and a time limit. What the network does wrong is `Unavailable`, tried a few times before; what
the node itself refuses is `NodeRefused`, which a caller may act on by asking for less.
"""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from teehee.errors import ConfigError, TeeheeError, Unavailable
from teehee.evidence.keccak import keccak256

Json = Any
ANSWER_BYTES = 16 << 20
ANSWER_SECONDS = 20.0
ATTEMPTS = 3
MAX_LOGS = 20_000
SAY_EVERY_SECONDS = 2.0
REVERTED = 3  # the code of geth and those after it; others only say so
RETRIED = (408, 425, 429, 500, 502, 503, 504)
OTHER = "ask again later, or name another node by --chain-rpc"
QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,16}")
DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


class NodeRefused(TeeheeError):
    """The node answered this question with an error of its own."""

    exit_code = 4

    def __init__(self, message: str, *, reverted: bool = False) -> None:
        super().__init__(message, hint="name another node by --chain-rpc")
        self.reverted = reverted


@dataclass(frozen=True, slots=True)
class Log:
    """One event of a contract: where it stands, its topics and data."""

    block: int
    index: int
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(slots=True)
class Node:
    """A node by its address. `say` is told how far a long scan is; `pause` is the first wait before asking again."""

    url: str
    say: Callable[[str], None]
    pause: float = 0.5
    _name: str = field(init=False)
    _said_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("--chain-rpc: expected an http or https address", hint="such as http://127.0.0.1:8545")
        self._name = f"the node at {parts.hostname}"  # the rest of an address is often a key

    def ask(self, method: str, *given: Json) -> Json:
        """The result. Raises NodeRefused for an error of the node, Unavailable for no answer or one of another form."""
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(given)}
        for attempt in range(ATTEMPTS):
            try:
                return self._answer(method, self._post(json.dumps(question).encode()))
            except Unavailable:
                if attempt == ATTEMPTS - 1:
                    raise
            time.sleep(self.pause * 2**attempt)
        raise AssertionError("unreachable")

    def number(self, method: str, *given: Json) -> int:
        """A quantity, such as a block number."""
        return self.quantity(self.ask(method, *given))

    def data(self, method: str, *given: Json) -> bytes:
        """Bytes, such as code."""
        return self.bytes_of(self.ask(method, *given))

    def call(self, to: str, block: int, signature: str, *words: bytes) -> bytes | None:
        """What a view function of the contract returns at that block; None if it has none such."""
        asked = selector(signature) + b"".join(word.rjust(32, b"\x00") for word in words)
        try:
            return self.data("eth_call", {"to": to, "data": f"0x{asked.hex()}"}, hex(block))
        except NodeRefused as error:
            if error.reverted:
                return None
            raise

    def logs(self, address: str, topics: list[bytes], first: int, last: int) -> list[Log]:
        """Every event of a contract with one of these first topics, in order; by ranges as short as the node wants."""
        found: list[Log] = []
        at, width = first, max(1, last - first + 1)
        while at <= last:
            end = min(last, at + width - 1)
            self._tell(f"events of {address}: block {at} of {last}")
            asked = {
                "address": address, "fromBlock": hex(at), "toBlock": hex(end),
                "topics": [[f"0x{topic.hex()}" for topic in topics]],
            }  # fmt: skip
            try:
                answer = self.ask("eth_getLogs", asked)
            except NodeRefused as error:
                if end == at:
                    raise Unavailable(f"no events of block {at}: {error}", hint=error.hint) from error
                width = (end - at + 1) // 2
                continue
            found += self._logs_of(answer, address, set(topics), range(at, end + 1))
            if len(found) > MAX_LOGS:
                raise Unavailable(f"{address} has more than {MAX_LOGS} events: it is no app contract")
            at = end + 1
        return found

    def quantity(self, value: Json) -> int:
        """A whole number as nodes write it."""
        if type(value) is not str or not QUANTITY.fullmatch(value):
            raise self._garbage("expected a quantity", value)
        return int(value, 16)

    def bytes_of(self, value: Json, length: int | None = None) -> bytes:
        """Bytes as nodes write them."""
        if type(value) is not str or not DATA.fullmatch(value) or length not in (None, len(value) // 2 - 1):
            raise self._garbage(f"expected {length or 'some'} bytes", value)
        return bytes.fromhex(value[2:])

    def _logs_of(self, answer: Json, address: str, topics: set[bytes], blocks: range) -> list[Log]:
        if not isinstance(answer, list):
            raise self._garbage("expected a list of events", answer)
        found = []
        for item in answer:
            if not isinstance(item, dict) or not isinstance(item.get("topics"), list):
                raise self._garbage("expected an event", item)
            log = Log(
                self.quantity(item.get("blockNumber")),
                self.quantity(item.get("logIndex")),
                tuple(self.bytes_of(topic, 32) for topic in item["topics"]),
                self.bytes_of(item.get("data")),
            )
            mine = str(item.get("address")).lower() == address and not item.get("removed") and log.block in blocks
            if not mine or not log.topics or log.topics[0] not in topics:
                raise self._garbage("expected events that were asked for, got another", item)
            found.append(log)
        places = [(log.block, log.index) for log in found]
        if places != sorted(set(places)):
            raise self._garbage("expected events in their order, each once", answer)
        return found

    def _answer(self, method: str, data: bytes) -> Json:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            raise self._garbage("expected JSON-RPC", data[:40]) from None
        if isinstance(answer, dict) and isinstance(error := answer.get("error"), dict):
            told = str(error.get("message"))[:200]
            reverted = error.get("code") == REVERTED or "revert" in told.lower()
            raise NodeRefused(f"{self._name} refuses {method}: {told!r}", reverted=reverted)
        if not isinstance(answer, dict) or "result" not in answer:
            raise self._garbage("expected JSON-RPC with a result", data[:40])
        return answer["result"]

    def _post(self, question: bytes) -> bytes:
        request = urllib.request.Request(self.url, question, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = self._read(error)
            if said.lstrip().startswith(b"{") and b'"error"' in said and error.code not in RETRIED:
                return said  # its own words are better than the status
            if error.code in RETRIED:
                raise Unavailable(f"{self._name} answers {error.code}", hint=OTHER) from error
            raise ConfigError(f"{self._name} answers {error.code}", hint="check --chain-rpc, and its key") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            why = getattr(error, "reason", None) or error or type(error).__name__
            raise Unavailable(f"{self._name} cannot be reached: {why}", hint=OTHER) from error

    def _read(self, answer: Any) -> bytes:
        """The body, within the limits of size and time; a socket's own time-out starts anew with every byte."""
        data, until = bytearray(), time.monotonic() + ANSWER_SECONDS
        while part := answer.read1(65_536):
            data += part
            if len(data) > ANSWER_BYTES:
                raise Unavailable(f"{self._name} answers with more than {ANSWER_BYTES >> 20} MiB", hint=OTHER)
            if time.monotonic() > until:
                raise Unavailable(f"{self._name} is slower than {ANSWER_SECONDS:g} s an answer", hint=OTHER)
        return bytes(data)

    def _garbage(self, wanted: str, got: Json) -> Unavailable:
        return Unavailable(f"{self._name} answers in no known form: {wanted}, got {str(got)[:80]!r}", hint=OTHER)

    def _tell(self, text: str) -> None:
        if time.monotonic() - self._said_at >= SAY_EVERY_SECONDS:
            self._said_at = time.monotonic()
            self.say(text)


def selector(signature: str) -> bytes:
    """The four bytes by which a function is called."""
    return keccak256(signature.encode())[:4]


def topic(signature: str) -> bytes:
    """The first topic of an event."""
    return keccak256(signature.encode())
