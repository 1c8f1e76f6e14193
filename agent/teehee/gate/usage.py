"""What a model's answer says it used, read from the three wire formats while the answer passes through."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Any
TELLING = re.compile(rb'"usage"|eval_count"|"message_stop"')  # in every line that matters
TOKENS_LIMIT = 1 << 40  # a provider that says more is not believed
OPENAI, ANTHROPIC, OLLAMA = "openai", "anthropic", "ollama"
SOUND = "sound"  # a second counts as a token


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `prompt` was read anew, `cached` from the provider's cache, `written` into it."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion + self.cached + self.written


class Meter:
    """Keeps one answer as it goes by, within the gate's own limit, and reads it when it is over: that is cheapest."""

    def __init__(self, wire: str, *, streamed: bool) -> None:
        self.wire = wire
        self.streamed = streamed
        self._content = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the answer."""
        self._content += chunk

    def told(self, *, complete: bool) -> Usage | None:
        """The usage it names, or None when it names none that can be believed.

        `complete`: the answer was read to its end. A stream that was cut counts only when it had said its end itself:
        it may have cost more than it told.
        """
        if not self.wire:  # a provider's own form, which nobody reads here
            return None
        if not self.streamed:
            return _of_answer(self.wire, _parsed(bytes(self._content))) if complete else None
        usage, ended = _of_stream(self.wire, bytes(self._content))
        return usage if complete or ended else None


def _of_stream(wire: str, content: bytes) -> tuple[Usage | None, bool]:
    """(usage, whether the stream said its end)."""
    usage = first = None
    ended = False
    for line in content.split(b"\n"):
        if wire != OLLAMA:
            if not line.startswith(b"data:"):
                continue
            line = line[5:].strip()
            ended |= line == b"[DONE]"
        if not TELLING.search(line) or not isinstance(value := _parsed(line), dict):
            continue
        if wire != ANTHROPIC:
            usage = _of_answer(wire, value) or usage
            ended |= wire == OLLAMA and usage is not None
        elif value.get("type") == "message_start" and isinstance(message := value.get("message"), dict):
            first = _of_anthropic(message.get("usage"))  # the prompt's part comes first
        elif value.get("type") == "message_delta" and first and (later := _of_anthropic(value.get("usage"))):
            usage = _larger(first, later)
        else:
            ended |= value.get("type") == "message_stop"
    return usage, ended


def _larger(one: Usage, other: Usage) -> Usage:
    """Both tell totals so far, and either may leave parts out."""
    return Usage(
        max(one.prompt, other.prompt),
        max(one.completion, other.completion),
        max(one.cached, other.cached),
        max(one.written, other.written),
    )


def _parsed(content: bytes) -> Json:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _of_answer(wire: str, value: Json) -> Usage | None:
    if not isinstance(value, dict):
        return None
    if wire == OLLAMA:
        return _of_ollama(value)
    if wire == SOUND:
        return _of_sound(value.get("usage"))
    return _of_anthropic(value.get("usage")) if wire == ANTHROPIC else _of_openai(value.get("usage"))


def _of_openai(told: Json) -> Usage | None:
    """Chat completions and embeddings: the cached part is inside the prompt's number."""
    if not isinstance(told, dict):
        return None
    prompt, completion = _count(told, "prompt_tokens"), _count(told, "completion_tokens", 0)
    if prompt is None or completion is None:
        return None
    # Some count what was thought, not said, in the total alone.
    completion = max(completion, (_count(told, "total_tokens", 0) or 0) - prompt)
    details = told.get("prompt_tokens_details")
    cached = _count(details, "cached_tokens", 0) if isinstance(details, dict) else 0
    cached = min(max(cached or 0, _count(told, "prompt_cache_hit_tokens", 0) or 0), prompt)  # DeepSeek's own name
    return Usage(prompt - cached, completion, cached)


def _of_anthropic(told: Json) -> Usage | None:
    """Messages: the three parts of the prompt stand beside one another."""
    if not isinstance(told, dict):
        return None
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    counts = [_count(told, name, 0) for name in names]
    if None in counts or "output_tokens" not in told:
        return None
    return Usage(*(count or 0 for count in counts))


def _of_ollama(told: Mapping[str, Json]) -> Usage | None:
    """The last line: a prompt it still had in memory has no count at all. `/api/embed` has only the prompt's."""
    if told.get("done") is not True and "embeddings" not in told:
        return None
    counts = [_count(told, name, 0) for name in ("prompt_eval_count", "eval_count")]
    if None in counts or not ("eval_count" in told or "embeddings" in told):
        return None
    return Usage(*(count or 0 for count in counts))


def _of_sound(told: Json) -> Usage | None:
    """A transcription: some tell the seconds they listened to."""
    heard = told.get("seconds") if isinstance(told, dict) else None
    if not isinstance(heard, int | float) or isinstance(heard, bool) or not 0 <= heard <= TOKENS_LIMIT:
        return None
    return Usage(math.ceil(heard))


def _count(told: Mapping[str, Json], name: str, absent: int | None = None) -> int | None:
    """A number of tokens; None when it is none. A null counts as absent."""
    value = told.get(name)
    if value is None:
        return absent
    return value if type(value) is int and 0 <= value <= TOKENS_LIMIT else None
