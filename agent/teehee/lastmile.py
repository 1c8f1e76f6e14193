"""The last look at a text before a person may read it.

Models and providers leave things behind that nobody should be shown: raw JSON, tags, tool syntax, lines of our own
prompt, error texts, keys. `check` repairs what is safe to repair and refuses the rest by rule. Code in backticks is
left alone, for people do ask for code and do speak of tags; keys are refused there too.

It is pure, and linear in the length of the text: every repeat in a pattern is bounded or stops where the next match
could start. `tests/vectors/lastmile/` holds a case for every defect.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LONG_LINE = 40  # characters; a line of the prompt as long as this is no coincidence


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be shown of a text, and which rule changed that."""

    text: str  # what may be shown; "" when refused
    rule: str  # "" when clean; else the name of the rule that repaired or refused
    refused: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of leftover; `found` is asked only of a text that, in lower case, holds one of the marks."""

    name: str
    marks: tuple[str, ...]
    found: Callable[[str], object]


def check(text: str, *, instructions: Sequence[str] = ()) -> Verdict:
    """Say what of `text` a person may read; `instructions` are the fixed lines of the prompt it answers.

    Never raises. Checking what may be shown once more changes nothing.
    """
    shown, repair = _repaired(text)
    refusal = _refusal(shown, repair, instructions)
    return Verdict("", refusal, True) if refusal else Verdict(shown, repair, False)


def _repaired(text: str) -> tuple[str, str]:
    """The text without what can safely go, and the name of the last repair that changed it."""
    shown = text.strip()
    rule = "whitespace" if shown != text else ""
    for name, repair in REPAIRS:
        if (after := repair(shown)) != shown:
            rule, shown = name, after.strip()
    return shown, rule


def _refusal(text: str, repair: str, instructions: Sequence[str]) -> str:
    """The rule that keeps a repaired `text` from people, or ""."""
    if NOTHING.fullmatch(text):
        return repair if repair not in ("", "whitespace") else "empty"
    if repair and _repaired(text)[0] != text:
        return repair  # one repair uncovered work for another: nobody wrote that on purpose
    body = _unfenced(text)
    if _is_json(body) or _mostly_fenced(text):
        return "json"
    prose = CODE.sub("`", body) if "`" in body else body
    echo = "prompt-echo" if _echoes(text, instructions) else ""
    return _first(SECRETS, text) or _first(LEFTOVERS, prose) or echo


def _first(rules: Sequence[Rule], text: str) -> str:
    lowered = text.lower()
    for rule in rules:
        if any(map(lowered.__contains__, rule.marks)) and rule.found(text):
            return rule.name
    return ""


# -- Repairs -----------------------------------------------------------------------------------------------------

# C0 and C1 but tab and newline, bidi overrides and isolates, byte order mark, lone surrogates, invisible tags.
_UNSEEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f"
UNSEEN = re.compile(f"[{_UNSEEN}]")
# The flags of England, Scotland and Wales are a black flag with tags behind it: those tags stay.
UNSEEN_RUN = re.compile(
    rf"(\U0001f3f4[\U000e0020-\U000e007e]{{1,8}}\U000e007f)|\x1b\[[0-?]{{0,20}}[ -/]{{0,4}}[@-~]|[{_UNSEEN}]"
)
FENCE = re.compile(r"```.*?```", re.DOTALL)
CODE = re.compile(rf"{FENCE.pattern}|`[^`\n]{{1,300}}`", re.DOTALL)
THINKING = re.compile(r"<(?P<end>/?)(?:think|thought|thinking|reasoning)(?:\s[^<>]{0,60})?>", re.IGNORECASE)
CODE_OR_THINKING = re.compile(f"{CODE.pattern}|{THINKING.pattern}", re.IGNORECASE | re.DOTALL)


def _without_unseen(text: str) -> str:
    if not UNSEEN.search(text):
        return text
    return UNSEEN_RUN.sub(r"\1", text.replace("\r\n", "\n").replace("\r", "\n"))


def _without_thinking(text: str) -> str:
    """Drops thoughts. One that never closes runs to the end; one that was never opened began at the start."""
    if "<" not in text:
        return text
    kept: list[str] = []
    inside, at = False, 0
    while mark := (THINKING if inside else CODE_OR_THINKING).search(text, at):
        if mark["end"] is None:  # code, which may speak of tags
            kept.append(text[at : mark.end()])
        elif mark["end"]:
            kept = kept if inside else []
            inside = False
        else:
            kept.append("" if inside else text[at : mark.start()])
            inside = True
        at = mark.end()
    return "".join(kept) + ("" if inside else text[at:])


def _unwrapped(text: str) -> str:
    if not (text.startswith("<response>") and text.endswith("</response>")):
        return text
    inner = text.removeprefix("<response>").removesuffix("</response>")
    _, opened, rest = inner.partition("<text>")
    said, closed, _ = rest.rpartition("</text>")
    return said if opened and closed else inner


REPAIRS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("control-characters", _without_unseen),
    ("thinking", _without_thinking),
    ("response-wrapper", _unwrapped),
)

# -- Nothing, and JSON -------------------------------------------------------------------------------------------

# Quotes, markdown rules, empty brackets and what has no ink. "...", "?!", ":)" and "-_-" are answers.
_INKLESS = r"\u00ad\u200b-\u200f\u2060\u2800\u3164\ufe0e\ufe0f"
NOTHING = re.compile(rf"[\s\"'`“”‘’«»„*#|\\,;{_INKLESS}]*|-+|_+|=+|[.:]|(?:\(\)|\[\]|\{{\}}|<>|[\s\"'])+")
# An answer that is one fence of these languages is data, not code that somebody asked for.
DATA_FENCE = re.compile(r"```(?:json[5c]?|xml|tool_code|tool_calls?|action)?(?=[\s{\[<])", re.IGNORECASE)
KEY = re.compile(
    r"[\"'](actions?|text|user|name|arguments|parameters|error|thought|tools?|tool_calls|function|function_call"
    r"|content|role|message)[\"']\s{0,20}:"
)
FIRST_KEY = re.compile(r"\[?\s{0,20}\{\s{0,40}[\"'][\w .$-]{1,80}[\"']\s{0,20}:")
CALL_KEY = re.compile(
    r"^[ \t]{0,20}\{\s{0,40}[\"'](?:actions?|tool|tool_calls|function|function_call|thought|error|arguments)[\"']\s?:"
    r"|[\"']name[\"']\s?:\s{0,9}[\"'][\w.:-]{1,80}[\"'],\s{0,40}[\"'](?:arguments|parameters|args|input)[\"']\s?:",
    re.MULTILINE,
)


def _unfenced(text: str) -> str:
    """The inside of an answer that is nothing but data in backticks; any other text as it is."""
    fence = DATA_FENCE.match(text)
    body = text[fence.end() :].removesuffix("```") if fence else text.strip("`")
    data = fence or (text.startswith("`") and body.lstrip()[:1] in ("{", "["))
    return body.strip() if data and "`" not in body else text


def _is_json(text: str) -> bool:
    if text[:1] + text[-1:] not in ("{}", "[]"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _mostly_fenced(text: str) -> bool:
    """A fence with an answer of ours in it, or with a call, fills half of the text or more."""
    fences = FENCE.finditer(text) if "```" in text else ()
    return any(_is_answer(fence[0]) for fence in fences if 2 * len(fence[0]) >= len(text))


def _is_answer(fence: str) -> bool:
    keys = set(KEY.findall(fence))
    return bool(("text" in keys and keys & {"action", "actions", "user", "thought"}) or CALL_KEY.search(fence))


def _mostly_json(prose: str) -> bool:
    """An object, whole or cut short, fills half of the text or more; or a call stands on a line of its own."""
    opened, closed = prose.find("{"), prose.rfind("}")
    held = prose[opened : closed + 1 if closed > opened else len(prose)]
    fills = 2 * len(held) >= len(prose) and (KEY.search(held) or FIRST_KEY.match(prose))
    return bool(fills or CALL_KEY.search(prose))


# -- Tags, tokens, tools -----------------------------------------------------------------------------------------

_CONTROL = (
    r"response|thought|think|thinking|reasoning|scratchpad|actions|providers|evaluators|parameters?|tool_calls?|tool_use"
    r"|tool_results?|tool_response|tool_code|function_calls?|function_results|invoke|antml:\w{1,40}|instructions|system"
    r"|system_prompt|assistant"
)
# Help texts say "/remind <user> <text>", so these count when closed or when a line opens with one.
_EVERYDAY = (
    r"text|user|human|message|name|action|function|answer|output|reply|final|keys|task|simple|context|tools?|reflection"
)
CONTROL_TAG = re.compile(
    rf"</(?i:{_CONTROL}|{_EVERYDAY})\s{{0,8}}>"
    rf"|<(?:{_CONTROL})(?:/?>|[\s=][^<>]{{0,300}}>)|(?<!\w)<(?i:{_CONTROL})/?>|<function=\w"
    rf"|^[ \t]{{0,8}}<(?:{_EVERYDAY})>",
    re.MULTILINE,
)
SPECIAL_TOKEN = re.compile(
    r"<[|｜][\w▁ /:-]{1,60}[|｜]>|<[|｜]\w{2,40}(?:>|\Z)|◁/?think▷"
    r"|\[/?(?:INST|SYS|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS|SYSTEM_PROMPT)\]|<</?SYS>>"
    r"|</?(?:s|unk|pad|bos|eos|mask|start_of_turn|end_of_turn)>|<0x[0-9A-F]{2}>"
    r"|▁\w|[a-z]Ġ[a-z]"  # spaces as tokenizers write them; "▁▂▃" alone is a chart
    r"|\A(?:assistant|system)\n|[.!?]assistant(?:\n|\Z)"  # a chat header whose brackets were dropped
)
_ACTION = r"(?:[A-Z]{2,40}(?:_[A-Z]{2,40}){1,9}|REPLY|IGNORE|RESPOND|CONTINUE)"
WHOLE_CALL = re.compile(
    r"\[?(?:print\()?[A-Za-z_][\w.]{1,80}\("
    r"(?:\s{0,20}[A-Za-z_]\w{0,60}\s{0,4}=(?!=).*|\s{0,20}[\[{\"'].*|)"
    r"\){1,2}\]?;?"
    r"|\w{0,40}\s?to=functions\.\w.*"
    rf"|\[?{_ACTION}(?:, ?{_ACTION}){{0,9}}\]?|\[(?:STOP|NONE)\]",
    re.DOTALL,
)
REACT = re.compile(r"^[ \t]{0,8}(Thought|Action|Action Input|Observation|Final Answer):", re.MULTILINE)
FIELD = re.compile(r"^(thought|actions?|providers|text):[ \n]", re.MULTILINE)
PLACEHOLDER = re.compile(
    r"\{\{\{?[#/^>!&]?\s{0,8}[A-Za-z_][\w.]{1,60}\s{0,8}\}\}|\[object Object\]|\A(?:undefined|null|NaN)\Z"
)
TURN_MARKER = re.compile(
    r"^#{2,3} ?(?:Instructions?|Response|Input|System|Assistant|User|Human):[ \t]{0,8}$|^(?:Human|Assistant): ?(?=\S)",
    re.MULTILINE,
)


def _is_react(prose: str) -> bool:
    steps = set(REACT.findall(prose))
    return "Action Input" in steps or ("Thought" in steps and len(steps) > 1)


def _is_fields(prose: str) -> bool:
    fields = set(FIELD.findall(prose))
    return "text" in fields and len(fields) > 1


def _is_turns(prose: str) -> bool:
    markers = {marker.strip() for marker in TURN_MARKER.findall(prose)}
    return any(marker.startswith("#") for marker in markers) or len(markers) > 1


# -- Errors of providers, proxies and runtimes -------------------------------------------------------------------

# Sentences only a machine writes, in lower case; they count wherever they stand.
_SENTENCES = (
    # OpenAI, Azure and those who speak like them
    "you exceeded your current quota, please check|incorrect api key provided|you didn't provide an api key"
    "|the server had an error while processing your request|overloaded with other requests|in organization org-"
    "|does not exist or you do not have access to it|is not supported with this model"
    "|azure openai's content management policy|we could not parse the json body of your request"
    # Anthropic
    "|your credit balance is too low to access|would exceed your organization's rate limit|invalid x-api-key"
    "|would exceed the rate limit for your organization"
    # Google
    "|resource has been exhausted (e.g. check quota)|please pass a valid api key|quota exceeded for quota metric"
    "|[googlegenerativeai error]|the model is overloaded. please try again later"
    # Ollama, llama.cpp, Hugging Face, GPUs
    "|not found, try pulling it first|llama runner process has terminated|model requires more system memory"
    "|exceeds the available context size|unable to get response in less than|cuda out of memory|cuda error: "
    # OpenRouter, Groq, Mistral
    "|no endpoints found |this request requires more credits, or fewer max_tokens|provider returned error"
    "|no auth credentials found|free-models-per-|request too large for model|service tier capacity exceeded for this"
    # LangChain
    "|could not parse llm output|agent stopped due to iteration limit"
    # proxies and the network
    "|upstream connect error or disconnect/reset|max retries exceeded with url|connectionpool(host="
    "|request failed with status code|connect econnrefused|read econnreset|getaddrinfo enotfound|[errno |dial tcp "
    "|[ssl: certificate_verify_failed]"
    # runtimes
    "|traceback (most recent call last)|' panicked at |exception in thread \"|cannot read properties of undefined"
)
ERROR_SENTENCES = tuple(_SENTENCES.split("|"))
_REASON = (
    r"bad request|unauthorized|payment required|forbidden|not found|(?:request entity|payload) too large|bad gateway"
    r"|too many requests|internal server error|service (?:temporarily )?unavailable|gateway time-?out|overloaded"
    r"|client error|server error"
)
# "429 Too Many Requests", "HTTP/1.1 502 Bad Gateway", "Error code: 401 - {", "401 Client Error: ... for url"
STATUS_LINE = re.compile(
    r"\W{0,3}(?:(?:api )?error|http(?:/\d(?:\.\d)?)?|status)?(?: code)?[\s:]{0,3}"
    rf"[45]\d\d[\s:,-]{{1,3}}(?:{_REASON})(?=\W{{0,2}}\Z|\W{{0,3}}\n|\s?[(<{{\[-]|:\s?[{{\[\"'<h]|.{{0,40}} for url)"
    r"|\W{0,3}(?:api )?error(?: code)?[\s:]{1,3}\d{3,4}(?: - |:? ?[{\[]|\W{0,2}\Z)",
    re.IGNORECASE,
)
WHOLE_ERROR = re.compile(
    r"\W{0,4}(?:[\w ]{0,30}(?:error|exception|failed)\W{1,4})?"
    r"(?:rate limit (?:exceeded|reached)|too many requests|internal server error|bad gateway|gateway time-?out"
    r"|service (?:temporarily )?unavailable|(?:the )?request timed out|connection (?:error|refused|reset by peer)"
    r"|connection timed out|invalid (?:api key|authentication|bearer token)|insufficient (?:balance|quota|credits)"
    r"|fetch failed|socket hang up|network error|upstream request timeout|no healthy upstream|stream timeout"
    r"|context length exceeded)"
    r"(?: ?\(?\d{3}\)?)?[.!]?(?:\s(?:please )?(?:try again|retry|wait)[^\n]{0,80})?",
    re.IGNORECASE,
)
# Sentences that need their number to be told from talk.
COUNTED_ERROR = re.compile(
    r"\brate limit reached for (?:model|`|gpt|\S{1,60} in )|\b(?:client|server) error '[45]\d\d "
    r"|\bprompt is too long: \d|\bmaximum context length (?:is|of) \d|\bmax_tokens: \d"
    r"|\blimit:? \d[\d,]{0,12}, (?:used|requested|current)",
    re.IGNORECASE,
)
# Inside a printed answer of an API.
ERROR_CODE = re.compile(
    r"[\"'](?:type|code|status)[\"']\s{0,4}:\s{0,4}[\"'](?:\w{0,40}_error|insufficient_quota|rate_limit_exceeded"
    r"|context_length_exceeded|model_not_found|invalid_api_key|RESOURCE_EXHAUSTED|UNAVAILABLE|INVALID_ARGUMENT"
    r"|PERMISSION_DENIED|UNAUTHENTICATED)\b"
)
EXCEPTION = re.compile(
    r"\W{0,3}(?:\w{1,40}\.){0,6}(?:AI_)?(?:"
    r"(?:Value|Type|Key|Index|Attribute|Runtime|Timeout|Connection|Connect|JSONDecode|UnicodeDecode|Assertion|Recursion"
    r"|OS|Syntax|Reference|Range|Fetch|HTTP|HTTPStatus|RemoteProtocol|ClientConnector|ServerDisconnected|Response"
    r"|Validation|API|APICall|APIConnection|APIStatus|APITimeout|Retry|RateLimit|Authentication|PermissionDenied"
    r"|BadRequest|NotFound|InternalServer|ServiceUnavailable|ContextWindowExceeded|OutOfMemory)Error"
    r"|(?:OutputParser|Throttling|Validation|ModelError)Exception|ReadTimeout|ConnectTimeout|ResourceExhausted"
    r")(?:: |:?\n|\(|\[|\Z)"
)
STACK = re.compile(
    r"^[ \t]{1,8}at (?:async )?[\w.<>$ ]{1,80} \([^()\n]{1,200}:\d{1,6}:\d{1,6}\)|^goroutine \d{1,6} \[", re.MULTILINE
)
ERROR_PAGE = re.compile(
    r"\A<(?:!doctype|html|head|body|\?xml)\b|<h1>[^<]{0,40}\b[45]\d\d\b|<title>[^<]{0,80}(?:\b[45]\d\d\b|cloudflare)"
    r"|<center>(?:nginx|cloudflare)|\bcloudflare ray id\b",
    re.IGNORECASE,
)

# -- Keys, and our own prompt ------------------------------------------------------------------------------------

CREDENTIAL = re.compile(
    r"(?<![\w-])(?:sk-[\w-]{20}|[sr]k_(?:live|test)_\w{16}|xox[abeoprs]-[\w-]{10}|xapp-\d-[\w-]{10}"
    r"|gh[opsur]_[A-Za-z0-9]{30}|github_pat_\w{22}|glpat-[\w-]{20}|npm_[A-Za-z0-9]{30}|hf_[A-Za-z0-9]{30}"
    r"|gsk_[A-Za-z0-9]{30}|xai-[A-Za-z0-9]{30}|AIza[\w-]{35}|A[KS]IA[0-9A-Z]{16}(?![0-9A-Z])"
    r"|\d{8,10}:AA[\w-]{33}(?![\w-])"  # Telegram bot
    r"|eyJ[\w-]{10,4000}\.[\w-]{10,8000}\.[\w-]{10})"  # JWT
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY"
    r"|://[^\s:/@]{1,64}:[^\s:/@]{4,100}@\w"
    r"|(?i:private[ _]?key|secret[ _]?key)[\"'`]?(?: is|:|=)[ \"'`]{1,3}(?:0x)?[0-9a-fA-F]{64}\b"
)
# Eliza's own prompts; a heading or two may be chance, so two count.
PROMPT_HEADINGS = frozenset(
    "available actions|available providers|possible response actions|action examples|task|instructions|providers"
    "|capabilities|conversation messages|received message|recent messages|focus your response|message directions"
    "|post directions|example conversations|response format|output format".split("|")
)
PROMPT_SENTENCES = tuple(
    "response format should be formatted in a valid json block|your response should be formatted in a valid json"
    "|respond using xml format like this|respond using json format like this|your response must only contain the"
    "|your response text here|your thought here".split("|")
)


def _echoes(text: str, instructions: Sequence[str]) -> bool:
    if any(line in text for line in map(str.strip, instructions) if len(line) >= LONG_LINE):
        return True
    said = {_heading(line) for line in text.splitlines() if line.startswith("#")} if "#" in text else set()
    ours = (_heading(line) for line in instructions if line.startswith("#"))
    return len(said) > 1 and len(said & PROMPT_HEADINGS.union(ours)) > 1


def _heading(line: str) -> str:
    return line.lstrip("#").partition(":")[0].strip().lower()


# -- The rules, in the order they are asked ----------------------------------------------------------------------

_KEY_MARKS = (
    "sk- k_live_ k_test_ xox xapp- gho_ ghp_ ghs_ ghu_ ghr_ github_pat_ glpat- npm_ hf_ gsk_ xai- aiza akia asia :aa"
    " eyj -----begin :// key"
)
SECRETS = (Rule("credential", tuple(_KEY_MARKS.split()), CREDENTIAL.search),)
LEFTOVERS = (
    Rule("error-page", ("<", "cloudflare"), ERROR_PAGE.search),
    Rule("special-token", ("<", "[", "▁", "ġ", "◁", "assistant", "system\n"), SPECIAL_TOKEN.search),
    Rule("control-tag", ("<",), CONTROL_TAG.search),
    Rule("placeholder", ("{{", "[object ", "undefined", "null", "nan"), PLACEHOLDER.search),
    Rule("react", ("thought:", "action input:"), _is_react),
    Rule("response-fields", ("text:",), _is_fields),
    Rule("provider-error", ERROR_SENTENCES, bool),
    Rule("provider-error", ("",), STATUS_LINE.match),
    Rule("provider-error", ("",), WHOLE_ERROR.fullmatch),
    Rule("provider-error", ("overloaded",), re.compile("overloaded", re.IGNORECASE).fullmatch),
    Rule("provider-error", ("error", "exception", "timeout", "exhausted"), EXCEPTION.match),
    Rule("provider-error", ("limit", "too long", "context", "max_tokens", " error '"), COUNTED_ERROR.search),
    Rule("provider-error", ("type", "code", "status"), ERROR_CODE.search),
    Rule("provider-error", ("  at ", "\tat ", "goroutine "), STACK.search),
    Rule("json", ("{",), _mostly_json),
    Rule("prompt-echo", PROMPT_SENTENCES, bool),
    Rule(
        "tool-call",
        ("(", "_", "reply", "ignore", "respond", "continue", "[stop]", "[none]", "to=f"),
        WHOLE_CALL.fullmatch,
    ),
    Rule("turn-marker", ("##", "human:"), _is_turns),
)
