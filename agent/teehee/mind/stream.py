"""A chat completion that comes in pieces: server-sent events in, the words out, and whether they are whole."""

import json
from typing import Any

from teehee.errors import AskAgain, TeeheeError
from teehee.mind import failures, notes
from teehee.mind.models import Hear

Json = Any
LIMIT = 1 << 20  # characters of an answer; what is longer is no chat


class Words:
    """What of an answer has come. `feed` takes bytes as they arrive; `whole` gives the words, or raises."""

    def __init__(self, hear: Hear) -> None:
        self.hear = hear
        self.ended = False
        self._line = b""
        self._pieces: list[str] = []
        self._size = 0
        self._reason = ""
        self._called_a_tool = False

    def feed(self, data: bytes) -> None:
        """Raises Unavailable for what is no stream of a chat completion, AskAgain for one that is far too long."""
        lines = (self._line + data).split(b"\n")
        self._line = lines.pop()
        if len(self._line) > LIMIT:
            raise AskAgain("it was far too long")
        for line in lines:
            if line.startswith(b"data:") and not self.ended:  # comments, event names and what a proxy puts between
                self._event(line[5:].strip())

    def whole(self) -> str:
        """The words, once the provider has said that they are all. Raises Unavailable, or AskAgain."""
        if self._line.startswith(b"data:") and not self.ended:
            self._event(self._line[5:].strip())
        if not (self.ended or self._reason):
            raise failures.cut("was cut before its end")
        return fit("".join(self._pieces), self._reason, called_a_tool=self._called_a_tool)

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            value = json.loads(data.decode())
            if value.get("error"):
                raise of_event(value["error"])
            notes.now().usage(value.get("usage"))
            if not (choices := value.get("choices")):
                return  # a server's last word on what it cost
            delta = choices[0].get("delta") or choices[0].get("message") or {}
            piece, self._reason = delta.get("content") or "", choices[0].get("finish_reason") or self._reason
            self._called_a_tool |= bool(delta.get("tool_calls") or delta.get("function_call"))
            piece = clean(piece)
        except (ValueError, AttributeError, IndexError, KeyError, TypeError, RecursionError):
            raise failures.cut("is no chat completion") from None
        if piece:
            self._size += len(piece)
            if self._size > LIMIT:
                raise AskAgain("it was far too long")
            self._pieces.append(piece)
            self.hear(piece)


def of_event(error: Json) -> TeeheeError:
    """The failure behind an error in a stream: the gate's own, told by its code, or a provider's."""
    code = error.get("code") if isinstance(error, dict) else None
    return failures.of_gate(code) if code in failures.OF_GATE else failures.of_error(json.dumps(error))


def content(body: bytes) -> str:
    """The words of a chat completion that came in one. Raises Unavailable for what is none, or AskAgain."""
    try:
        value = json.loads(body.decode())
        if isinstance(value, dict) and value.get("error") and not value.get("choices"):
            raise of_event(value["error"])
        notes.now().usage(value.get("usage"))
        choice = value["choices"][0]
        message = choice["message"]
        text, tools = message.get("content"), message.get("tool_calls") or message.get("function_call")
        if not isinstance(text, str | None):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise failures.cut("is no chat completion") from None
    return fit(clean(text or ""), choice.get("finish_reason") or "", called_a_tool=bool(tools))


def fit(text: str, reason: str, *, called_a_tool: bool = False) -> str:
    """`text` when there is something in it to use. Raises AskAgain with what was wrong."""
    if reason == "content_filter":
        raise AskAgain("the provider's filter took it away")
    if text.strip():
        return text
    if called_a_tool:
        raise AskAgain("it called a tool, and there are none: only the block counts")
    raise AskAgain("it ran out of tokens before a word was said" if reason == "length" else "it was empty")


def clean(text: str) -> str:
    """Text that can be written as UTF-8: a half of a surrogate pair becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
