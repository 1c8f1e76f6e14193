"""One OpenAI-shaped endpoint, by way of the gate, which holds its address and key: the thin chat model."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import yarl

from teehee.errors import AskAgain, Unavailable
from teehee.mind import notes, prompt
from teehee.plugin import State, Turn
from teehee.wire import boot, paths

Json = Any


class Endpoint:
    """Asks by POST /chat/completions on the gate's socket."""

    def __init__(self, session: aiohttp.ClientSession, brain: boot.Brain) -> None:
        self.session = session
        self.brain = brain
        self.url = yarl.URL(f"http://gate/egress/{brain.rule}/chat/completions")

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str) -> str:
        asked = {
            "model": self.brain.model,
            "messages": prompt.compose(turn, stable, fresh, reason),
            "temperature": self.brain.temperature,
            "max_tokens": self.brain.max_tokens,
        }
        data = json.dumps(asked, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "accept": "application/json"}
        try:
            async with self.session.post(self.url, data=data, headers=headers) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the gate is away: {type(error).__name__}", code="model-down") from None
        _check_status(answer.status, answer.headers, content)
        return _content(content)


def open_session(sockets: Path) -> aiohttp.ClientSession:
    """The mind's only HTTP client: it can reach the gate's socket and nothing else."""
    connector = aiohttp.UnixConnector(paths.short(sockets / "gate.sock"), limit=64)
    untimed = aiohttp.ClientTimeout(total=None)  # `within` bounds every call
    return aiohttp.ClientSession(
        connector=connector, timeout=untimed, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    )


def _check_status(status: int, headers: Any, content: bytes) -> None:
    """Raises Unavailable with a code people get a sentence for; a provider's own words go to the log only."""
    refused = headers.get("x-teehee-egress", "")
    if refused == "slow":
        raise Unavailable("the model took too long", code="model-slow", retry_after=5.0)
    if refused == "answer-too-large":
        raise AskAgain("it was far too long")
    if refused or status >= 500:
        raise Unavailable(f"the model is down ({status} {refused})", code="model-down", retry_after=2.0)
    if status == 429:
        raise Unavailable("the model is busy", code="model-busy", retry_after=_seconds(headers.get("retry-after", "")))
    if status in (401, 403):
        raise Unavailable(f"the model denied us ({status})", code="model-denied", retry_after=30.0)
    if status != 200:
        raise Unavailable(f"the model answered {status}: {content[:200]!r}", code="model-down", retry_after=10.0)


def _seconds(text: str) -> float:
    return min(float(text), 120.0) if text.isascii() and text.isdigit() else 5.0


def _content(content: bytes) -> str:
    """The words in a chat completion. Raises AskAgain for an empty one, Unavailable for what is none."""
    try:
        value = json.loads(content.decode())
        text = value["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise Unavailable("the model's answer is no chat completion", code="model-down", retry_after=5.0) from None
    _note_usage(value.get("usage"))
    if not isinstance(text, str) or not text.strip():
        raise AskAgain("it was empty")
    return text.encode("utf-8", "replace").decode()


def _note_usage(usage: Json) -> None:
    """What the call cost, where the endpoint says so in numbers."""
    if not isinstance(usage, dict):
        return
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(read) is int and type(written) is int and 0 <= min(read, written) and max(read, written) < 1 << 40:
        notes.now().tokens(read, written)
