"""What one model call may cost at most: its request read, kept to what has a known bound, and written anew.

What goes out is what was judged: the body is made from the parsed value, so that a key said twice cannot mean one
thing here and another at the provider.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from teehee import compact
from teehee.gate import sound
from teehee.gate.usage import ANTHROPIC, OLLAMA, OPENAI, SOUND, Usage
from teehee.wire.boot import EgressRule, Price

Json = Any

# By the path's end, so that no mind can choose how it is read.
WIRES = {
    "/chat/completions": OPENAI,
    "/embeddings": OPENAI,
    "/messages": ANTHROPIC,
    "/api/chat": OLLAMA,
    "/api/generate": OLLAMA,
    "/api/embed": OLLAMA,
}
EMBEDDINGS = ("/embeddings", "/api/embed")
SHARED = frozenset({"model", "messages", "temperature", "top_p", "stream", "tools", "tool_choice"})
# What else may be asked. Not here: more answers, dearer tiers, the provider's own tools, other models to fall back on.
FIELDS = {
    OPENAI: SHARED
    | {
        "max_tokens", "max_completion_tokens", "stop", "seed", "user", "response_format", "stream_options", "input",
        "presence_penalty", "frequency_penalty", "parallel_tool_calls", "reasoning_effort", "encoding_format",
        "dimensions", "safe_prompt", "random_seed",
    },
    ANTHROPIC: SHARED | {"max_tokens", "system", "stop_sequences", "top_k", "thinking", "metadata"},
    OLLAMA: SHARED | {"options", "format", "keep_alive", "think", "prompt", "system", "input", "truncate"},
}  # fmt: skip
TELLS_ANYWAY = frozenset({"api.mistral.ai"})  # tells usage unasked, and takes no field it does not know
TEXTS = frozenset({"text", "tool_use", "tool_result", "thinking", "redacted_thinking"})
IMAGES = frozenset({"image", "image_url"})
IMAGE_TOKENS = 50_000  # more than any provider takes for one: gpt-4o-mini up to 48,169
PICTURE = re.compile(r"(data:image/(?:jpeg|png|gif|webp);base64,)?[A-Za-z0-9+/]*={0,2}", re.ASCII)
FRAME_TOKENS = 64  # what a provider puts around a prompt
TOOLS_TOKENS = 1_024  # and around tools


class Unbounded(Exception):
    """A request whose cost has no known bound; `str` says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A request that may go out: its body, how its answer is to be read, and the most it can use."""

    body: bytes
    wire: str
    price: Price
    most: Usage
    kind: str = ""  # the body's type, where the mind's own word for it does not count


def bounded(rule: EgressRule, path: str, body: bytes) -> Bounded:
    """The request under its bound. Raises Unbounded."""
    wire = next((wire for end, wire in WIRES.items() if path.endswith(end)), "")
    if path.endswith("/audio/transcriptions"):
        return _spoken(rule.prices[0], body)
    if not wire:
        return _unread(rule, path, body)
    asked = _read(body)
    if asked.get("n") in (None, 1):  # more answers than one cost more than one
        asked.pop("n", None)
    if extra := asked.keys() - FIELDS[wire]:
        raise Unbounded(f"{sorted(extra)[0][:64]!r} may not be asked for: its cost has no bound here")
    price = next((price for price in rule.prices if price.model == asked.get("model")), None)
    if price is None:
        raise Unbounded(f"model {str(asked.get('model'))[:64]!r} is not one of this agent's")
    pictures = list(_parts(asked))
    completion = 0 if path.endswith(EMBEDDINGS) else _limited(wire, asked, rule.max_tokens)
    if wire == OPENAI and asked.get("stream") and urlsplit(rule.base_url).hostname not in TELLS_ANYWAY:
        asked["stream_options"] = {"include_usage": True}
    try:
        data = compact.encode(asked)
    except (ValueError, RecursionError):
        raise Unbounded("the request holds what is no JSON") from None
    # A token is a byte at least, and JSON only adds to the bytes of its texts. Those of a picture are no text.
    prompt = (
        len(data)
        - sum(pictures)
        + FRAME_TOKENS
        + len(pictures) * IMAGE_TOKENS
        + (TOOLS_TOKENS if asked.get("tools") else 0)
    )
    most = Usage(0, completion, 0, prompt) if price.written > price.prompt else Usage(prompt, completion)
    return Bounded(data, wire, price, most)


def _spoken(price: Price, recording: bytes) -> Bounded:
    """A recording to be written down: the form it goes out in is made here, its length counted frame by frame."""
    try:
        length = sound.seconds(recording)
    except ValueError as error:
        raise Unbounded(f"the recording is not Ogg Opus: {error}") from None
    mark = token_hex(16)
    fields = {"model": price.model, "response_format": "json"}
    parts = [f'--{mark}\r\ncontent-disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    parts.append(
        f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="voice.ogg"\r\n'
        "content-type: audio/ogg\r\n\r\n"
    )
    body = "".join(parts).encode() + recording + f"\r\n--{mark}--\r\n".encode()
    return Bounded(body, SOUND, price, Usage(math.ceil(length)), f"multipart/form-data; boundary={mark}")


def _unread(rule: EgressRule, path: str, body: bytes) -> Bounded:
    """A call in a provider's own form that nobody reads here: where no money is counted, its size stands for it."""
    if rule.prices[0].known:
        raise Unbounded(f"nobody knows what {path[:64]!r} costs")
    return Bounded(body, "", rule.prices[0], Usage(len(body) + FRAME_TOKENS, rule.max_tokens))


def _read(body: bytes) -> dict[str, Json]:
    try:
        asked = compact.decode(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Unbounded("expected a JSON object")
    return asked


def _limited(wire: str, asked: dict[str, Json], most: int) -> int:
    """The longest answer this request can get, put into it when it names none or a longer one."""
    place, name = asked, "max_tokens"
    if wire == OLLAMA:
        place, name = asked.setdefault("options", {}), "num_predict"
        if not isinstance(place, dict):
            raise Unbounded("options: expected an object")
    elif "max_completion_tokens" in asked:
        asked.pop("max_tokens", None)
        name = "max_completion_tokens"
    wanted = place.get(name)
    given = wanted if type(wanted) is int and 0 < wanted < most else most
    place[name] = given
    thinking = asked.get("thinking")
    if isinstance(thinking, dict) and type(budget := thinking.get("budget_tokens")) is int and budget >= given:
        raise Unbounded(f"thinking: a budget of {budget} tokens is not below the {given} an answer may have")
    return given


def _parts(asked: Mapping[str, Json]) -> Iterable[int]:
    """Looks at every part of the prompt: the bytes of each image in it. Raises Unbounded for what is no text either."""
    for tool in _list(asked.get("tools")):
        if not isinstance(tool, dict) or tool.get("type", "function") not in ("function", "custom"):
            raise Unbounded("tools: only an agent's own may be named")
        _check_cache(tool)
    messages = _list(asked.get("messages"))
    for holder in (asked.get("system"), *(m.get("content") for m in messages if isinstance(m, dict))):
        yield from _of_content(holder)
    for message in messages:
        if isinstance(message, dict):
            yield from map(_bytes, _list(message.get("images")))


def _of_content(content: Json) -> Iterable[int]:
    for part in _list(content):
        if isinstance(part, str):
            continue
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in IMAGES:
            yield _bytes(_data(part))
        elif kind not in TEXTS:
            raise Unbounded(f"a part of type {str(kind)[:32]!r} has no bound here")
        _check_cache(part)
        yield from _of_content(part.get("content"))


def _data(part: Mapping[str, Json]) -> Json:
    """What an image's part holds it in: OpenAI's `image_url.url`, Anthropic's `source.data`."""
    for holder, name in (("image_url", "url"), ("source", "data")):
        if isinstance(inner := part.get(holder), dict):
            return inner.get(name)
    return None


def _bytes(picture: Json) -> int:
    """The bytes of a picture that came along; 0 for one that is elsewhere, or whatever else it is."""
    return len(picture) if isinstance(picture, str) and PICTURE.fullmatch(picture) else 0


def _check_cache(part: Mapping[str, Json]) -> None:
    """Only the usual cache of five minutes: an hour's is dearer than the price list says."""
    cache = part.get("cache_control")
    if cache is not None and (not isinstance(cache, dict) or cache.get("ttl", "5m") != "5m"):
        raise Unbounded("cache_control: only five minutes are priced")


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
