"""A character's written line as a sentence the agent can say: of itself as I, without placeholders, whole."""

import re
from collections import Counter
from collections.abc import Iterable

MAX_LINE = 280
SELF = "xSelfx"  # the agent's name while a sentence is being turned
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
YOU = "\0"  # where the listener's name goes
PIECE = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)
SENTENCE_GAP = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’)])\s+")
WHOLE = re.compile(r"[.!?…][\"'”’)*]*$")
USER = re.compile(r"\{\{\s*(?:user|name)\s*\d*\s*\}\}", re.IGNORECASE)
AGENT = re.compile(r"\{\{\s*(?:agentName|agent|char)\s*\}\}", re.IGNORECASE)
ANY_PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}|\{\{|\}\}")
CALL = re.compile(
    r"(?:^|(?<=\bhello)|(?<=\bhi)|(?<=\bhey)|(?<=\bthanks)|(?<=\byou)|(?<=\bwelcome)|(?<=bye)|(?<=\bnight)|(?<=\bdear)"
    r"|(?<=\bmorning)|(?<=\bevening)|(?<=\byes)|(?<=\bno)|(?<=\bwell)|(?<=[,.!?;:]))\s*\0(?=\s*(?:[,.!?;:…]|$))",
    re.IGNORECASE,
)
SUBJECT = re.compile(r"\s*\0(?= \w)")

SWAPS = {
    "he": {"he": "I", "him": "me", "his": "my", "himself": "myself", "he's": "I'm"},
    "she": {"she": "I", "her": "my", "hers": "mine", "herself": "myself", "she's": "I'm"},
    "they": {},  # as a rule somebody else
}
IRREGULAR = {"is": "am", "has": "have", "does": "do", "goes": "go", "isn't": "am not", "doesn't": "don't"}
ADVERBS = frozenset("always once never often sometimes still also just now even rarely only seldom usually".split())
JOINS = frozenset("and but or yet then while".split())
OPENERS = JOINS | frozenset("that because what when where if as which how why though although whom than".split())
PAST = frozenset("was had would could will can must did may might should".split())
AFTER_OBJECT = frozenset("to and with for that in at on as by about because from or but when while if into".split())
AFTER_VERB = frozenset(
    "a an the this that these those his her their its my your our it them him me you every each no nobody nothing"
    " everything everyone any anyone what how why where whether myself".split()
)
TELLING = frozenset(
    "believes knows thinks loves likes hates keeps says tells sees reads writes speaks sings makes takes gives finds"
    " wants needs refuses collects remembers understands prefers lives works runs holds carries insists dreams hopes"
    " enjoys thrives builds fights claims considers charges tends files stands spends wears eats drinks sleeps teaches"
    " helps has is does goes talks".split()
)
FINITE = frozenset("is are was were has have had can will must should does do did would could may".split())
DESCRIBED = frozenset(
    "known obsessed famous fascinated convinced driven dedicated passionate allergic afraid proud fluent".split()
)


class Voice:
    """How one character speaks of itself: its names and its pronoun, both turned to I."""

    def __init__(self, name: str, lines: Iterable[str]) -> None:
        first = (name.split() or [name])[0]
        names = {name, first} if len(first) > 2 and first.lower() != "the" else {name}
        spelled = "|".join(sorted(map(re.escape, names), key=lambda spelling: (-len(spelling), spelling)))
        self._named = re.compile(rf"(?<!\w)(?<!\bthe )(?:{spelled})(?!\w)", re.IGNORECASE)
        counts = Counter(word for line in lines for word in re.findall(r"\bs?he\b", line.lower()))
        self._swap = SWAPS[max(("he", "she"), key=lambda word: counts[word]) if counts else "they"]

    def own(self, line: str, *, is_about_agent: bool) -> str:
        """`line` as the agent would say it; a line about the world keeps its words."""
        text = " ".join(AGENT.sub(lambda _: SELF, CONTROL.sub(" ", line)).split())
        if is_about_agent:
            text = _with_subject(text)
        if is_about_agent or self._named.match(text) or SELF in text:
            text = " ".join(self._turned(sentence) for sentence in SENTENCE_GAP.split(text))
        return text

    def _turned(self, sentence: str) -> str:
        found = [match.groups() for word in self._named.sub(SELF, sentence).split() if (match := PIECE.fullmatch(word))]
        cores = [core.lower() for _, core, _ in found]
        if not any(core.startswith(SELF.lower()) or core in self._swap for core in cores):
            return sentence
        turned: list[str] = []
        is_verb_due = is_joined = False
        for at, (lead, core, trail) in enumerate(found):
            low, after = cores[at], cores[at + 1] if at + 1 < len(cores) and not trail else ""
            if low in ADVERBS or (low.endswith("ly") and (is_verb_due or is_joined)):
                turned.append(lead + core + trail)
                continue  # still waiting for the verb
            spoken = self._pronoun(low, cores[at - 1] if at else "", cores[at + 1 :], after)
            if spoken is None and (is_verb_due or (is_joined and _is_verb(low, after))):
                spoken = _first_person(core)
            is_verb_due = spoken in ("I",)
            is_joined = low in JOINS
            turned.append(lead + (core if spoken is None else spoken) + trail)
        return " ".join(turned)

    def _pronoun(self, low: str, before: str, rest: list[str], after: str) -> str | None:
        if low == SELF.lower():
            verb = next((word for word in rest if word not in ADVERBS), "")
            is_subject = not before or before in OPENERS or verb in PAST or _is_verb(verb, "the")
            return "I" if is_subject else "me"
        if low in (f"{SELF.lower()}'s", f"{SELF.lower()}’s"):
            return "my"
        if low == "her" and "her" in self._swap and (not after or after in AFTER_OBJECT or after in ("a", "the")):
            return "me"
        if low == "his" and "his" in self._swap and not after:
            return "mine"
        return self._swap.get(low)


def _with_subject(text: str) -> str:
    """A bio written as a fragment, `believes in tea`, gets the subject it leaves out."""
    words = text.split(" ", 1)
    low = words[0].lower()
    if low in TELLING or (text[:1].islower() and low.endswith("s") and _is_verb(low, "the")):
        return f"{SELF} {words[0].lower()} {' '.join(words[1:])}".strip()
    after = words[-1].split(" ")[0]
    is_past = low == "once" and after[:1].islower() and after not in ("a", "the", "upon", "when", "you", "i")
    is_told = text[:1].islower() and low.endswith("ed") and after.lower() in AFTER_VERB
    if is_past or is_told or (low in ("never", "always", "often") and _is_verb(after, "the")):
        return f"{SELF} {text[:1].lower()}{text[1:]}"
    head = re.split(r"\b(?:who|that|which|with|whose)\b", text.lower(), maxsplit=1)[0]
    if FINITE & set(head.split()):
        return text
    if low in ("a", "an") or low in DESCRIBED:
        return f"I am {text[:1].lower()}{text[1:]}"
    if low in ("former", "retired") or low.startswith(("ex-", "self-")):
        return f"I am {'an' if low[0] in 'aeiou' else 'a'} {text[:1].lower()}{text[1:]}"
    return text


def _is_verb(word: str, after: str) -> bool:
    has_ending = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "'s"))
    return word in TELLING or (has_ending and word not in ("always", "perhaps", "this") and after in AFTER_VERB)


def _first_person(verb: str) -> str:
    low = verb.lower()
    if low in IRREGULAR:
        return IRREGULAR[low]
    if len(low) > 4 and low.endswith("ies"):
        return verb[:-3] + "y"
    if low.endswith(("sses", "shes", "ches", "xes", "zes")):
        return verb[:-2]
    return verb[:-1] if len(low) > 2 and low.endswith("s") and not low.endswith(("ss", "us", "as", "is")) else verb


def whole(text: str) -> str:
    """`text` as a complete sentence: a capital first, a full stop last. Empty when it holds no words."""
    text = text.strip(" \t-*•–—")
    if not re.search(r"[^\W_]", text):
        return ""
    if not WHOLE.search(text):
        text = re.sub(r"[^\w)\]\"'”’*%]+$", "", text) + "."
    first = re.search(r"[^\W_]", text)
    at = first.start() if first else 0
    return text[:at] + text[at].upper() + text[at + 1 :]


def pieces(text: str) -> list[str]:
    """`text` in whole sentences of at most `MAX_LINE` characters a piece."""
    found: list[str] = []
    for sentence in SENTENCE_GAP.split(text):
        if len(sentence) > MAX_LINE:
            sentence = sentence[:MAX_LINE].rsplit(" ", 1)[0][: MAX_LINE - 1].rstrip(" ,;:") + "…"
        if found and len(found[-1]) + len(sentence) < MAX_LINE:
            found[-1] += f" {sentence}"
        else:
            found.append(sentence)
    return [piece for part in found if (piece := whole(part))]


def unaddressed(text: str) -> tuple[str, str]:
    """`text` for a listener without a name, and a form with `YOU` where the name goes ("" if nowhere)."""
    marked = ANY_PLACEHOLDER.sub("", USER.sub(YOU, text))
    if YOU not in marked:
        return _tidy(marked), ""
    if SUBJECT.match(marked):
        return _tidy(SUBJECT.sub("Somebody", marked)), _tidy(SUBJECT.sub("\x01", marked)).replace("\x01", YOU)
    called = CALL.sub(" \x01", marked)  # \x01 calls the listener by name; what is left of YOU means "you"
    silent = re.sub(r",?\s*\x01\s*(?=[.!?;:…]|$)", "", called)
    silent = re.sub(r"(^|[,.!?;:])\s*\x01\s*[,:]\s*", r"\1 ", silent).replace("\x01", "")
    return _tidy(silent), (_tidy(called).replace("\x01", YOU) if "\x01" in called else "")


def _tidy(text: str) -> str:
    text = re.sub(rf"{YOU}['’]s\b", "your", text).replace(YOU, "you")
    text = re.sub(r"\s+([,.!?;:…])", r"\1", text)
    text = re.sub(r",+(?=[.!?;:…])", "", text)
    return re.sub(r"^[\s,;:]+|\s+$", "", re.sub(r"[^\S\n]{2,}", " ", text))
