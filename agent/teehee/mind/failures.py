"""What a provider's "no" means: a typed failure with a code people get a sentence for, and a hint for the operator.

A provider's own words go to the log only.
"""

from teehee.errors import ActionFailed, AskAgain, TeeheeError, Unavailable

WORDS_READ = 4096  # of an error's body, to tell what kind it is
WORDS_LOGGED = 300
LONGEST_WAIT = 120.0

OF_GATE = ("slow", "answer-too-large", "unreachable", "request-too-large")  # what the gate itself says no with
QUOTA = ("insufficient_quota", "quota", "billing", "credit balance", "payment")
TOO_LONG = (
    "context_length",
    "context length",
    "context window",
    "maximum context",
    "prompt is too long",
    "too many tokens",
)
FILTERED = ("content_filter", "content filter", "content_policy", "content management policy", "safety")


def of_gate(code: str) -> TeeheeError:
    """The failure behind the gate's own refusal (`x-teehee-egress`)."""
    if code == "slow":
        return slow()
    if code == "answer-too-large":
        return AskAgain("it was far too long")
    if code.startswith("budget-"):
        return ActionFailed("the gate lets no call through: a cap is reached", code=code, hint=_hint("budget"))
    if code == "unbounded":
        return ActionFailed("the gate lets no such call through: its log says why", code="model-refused")
    if code == "request-too-large":
        return ActionFailed(
            "the request is larger than the gate lets out", code="model-too-long", hint=_hint("model-too-long")
        )
    return Unavailable(
        f"the model is out of reach ({code})", code="model-down", retry_after=2.0, hint=_hint("model-down")
    )


def slow() -> Unavailable:
    return Unavailable("the model took too long", code="model-slow", retry_after=5.0, hint=_hint("model-slow"))


def cut(why: str) -> Unavailable:
    """What came is no whole answer, so it is none."""
    return Unavailable(f"the model's answer {why}", code="model-down", retry_after=5.0, hint=_hint("model-down"))


def of_status(status: int, words: str = "", retry_after: str = "") -> TeeheeError:
    """The failure behind a provider's status; `words` is the body it came with, `retry_after` the header."""
    said = words[:WORDS_READ].lower()
    told = f"the model answered {status}: {words[:WORDS_LOGGED]!r}"
    if status in (400, 413, 422):
        return _of_request(said, told)
    if status == 402 or (status in (403, 429) and any(word in said for word in QUOTA)):
        return _away(told, "model-quota", 60.0)
    if status == 429:
        return _away(told, "model-busy", seconds(retry_after))
    if status in (401, 403):
        return _away(told, "model-denied", 30.0)
    if status in (404, 410):
        return _away(told, "model-gone", 30.0)
    if status in (408, 504):
        return _away(told, "model-slow", 5.0)
    return _away(told, "model-down", seconds(retry_after) if retry_after else 2.0 if status >= 500 else 10.0)


def of_error(words: str) -> TeeheeError:
    """The failure behind an error that a provider put into a stream it had begun."""
    said = words[:WORDS_READ].lower()
    if (code := said.partition(":")[0]) in OF_GATE:  # where an error has no room for a code of its own
        return of_gate(code)
    if "insufficient_quota" in said:
        return of_status(402, words)
    if "rate_limit" in said or "rate limit" in said:
        return of_status(429, words)
    if any(word in said for word in (*TOO_LONG, *FILTERED)):
        return of_status(400, words)
    return of_status(500, words)


def seconds(header: str) -> float:
    """What a `retry-after` asks for, within reason; 5 when it cannot be read."""
    plain = header.strip()
    return min(float(plain), LONGEST_WAIT) if plain.isascii() and plain.replace(".", "", 1).isdigit() else 5.0


def _of_request(said: str, told: str) -> ActionFailed:
    """A request that will not do: asking again would give the same, so the turn ends and people are told."""
    if any(word in said for word in TOO_LONG):
        return ActionFailed(told, code="model-too-long", hint=_hint("model-too-long"))
    return ActionFailed(told, code="model-refused", hint=_hint("model-refused"))


def _away(told: str, code: str, retry_after: float) -> Unavailable:
    return Unavailable(told, code=code, retry_after=retry_after, hint=_hint(code))


def _hint(code: str) -> str:
    return {
        "budget": "`teehee costs` shows what was spent; MODEL_CENTS_PER_DAY and its like set the caps",
        "model-down": "`teehee doctor` tries the endpoint; MODEL_FALLBACKS names who answers meanwhile",
        "model-slow": "a larger MODEL_TIMEOUT waits longer; a smaller MAX_TOKENS is sooner done",
        "model-busy": "the provider limits this key; MODEL_FALLBACKS names who answers meanwhile",
        "model-denied": "mend MODEL_KEY: the provider does not take it",
        "model-quota": "the account has nothing left: top it up, or give another MODEL_KEY",
        "model-gone": "mend MODEL or MODEL_URL: the provider does not know the model or the path",
        "model-too-long": "the character's prompt and the room do not fit this model: take one with a larger context",
        "model-refused": "the provider would not take the request: its words, in this line, say why",
    }[code]
