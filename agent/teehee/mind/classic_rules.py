"""ELIZA's ear: finds the rule of the script that a message calls for, and what it captured."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from teehee.mind.classic_words import Clause, Part, clauses_of, match, part, reflect, stem, stems_of

USUAL = ("bio", "lore", "post", "knowledge")
SCRIPT = Path(__file__).with_name("classic_script.txt")
ASKING = frozenset(
    "what who whom whose where when why how which do does did is are can could will would should".split()
)
NOUN_ENDS = frozenset(
    "is are was were am be been has have had do does did will would can could should must may might who that which"
    " because and or but so when while if then than as in on at to from with without for of about like really just"
    " always never keeps keep makes made says said told thinks loves likes hates wants needs went ran got goes left"
    " came broke stopped started died lives works feels seems looks not also still very too".split()
)


@dataclass(frozen=True)
class Rule:
    """One thing people say and the ways to answer it; `classic_script.txt` explains the fields."""

    name: str
    rank: int
    flags: frozenset[str]
    kinds: tuple[str, ...]
    heard: tuple[tuple[Part, ...], ...]
    cues: frozenset[str]
    says: tuple[str, ...]
    knows: tuple[str, ...]

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The stems of all words in its patterns."""
        return frozenset(stem(word) for parts in self.heard for part in parts for word in part.words or ())


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as understood: its rule, the captured words, and what it is about."""

    rule: Rule
    captured: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    stems: tuple[str, ...]

    def echo(self, number: int) -> str:
        """The captured part `number`, turned round; empty if there is none fit to repeat."""
        return reflect(self.captured[number - 1]) if number <= len(self.captured) else ""

    def noun(self) -> str:
        """The noun phrase that the first captured part begins with; empty if it has none."""
        phrase: list[str] = []
        for word in self.captured[0] if self.captured else ():
            if word.lower() in NOUN_ENDS or (phrase and len(word) > 4 and word.endswith("ed")):
                break
            phrase.append(word)
        return reflect(phrase) if len(phrase) <= 3 else ""


class Ear:
    """The script, indexed by the rarest word of each pattern, so that few patterns are tried per message."""

    def __init__(self, rules: Sequence[Rule], classes: Mapping[str, frozenset[str]]) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self._foreign = classes.get("foreign", frozenset())
        uses = Counter(step.words for rule in rules for steps in rule.heard for step in steps if step.words)
        counts: Counter[str] = Counter()
        for words, times in uses.items():
            for word in words:
                counts[word] += times
        weight = {words: sum(counts[word] for word in words) for words in uses}
        self._by_word: defaultdict[str, list[tuple[int, int, Rule, tuple[Part, ...]]]] = defaultdict(list)
        for rule in rules:
            for steps in rule.heard:
                fixed = [step.words for step in steps if step.words and not step.is_optional]
                for word in min(fixed, key=weight.__getitem__):
                    self._by_word[word].append((rule.rank, len(fixed), rule, steps))

    def hear(self, text: str, name: str = "") -> Heard:
        """The highest-ranked rule that `text` calls for; a message no pattern knows gets a fallback rule."""
        clauses = clauses_of(text, name)
        words = tuple(word for clause in clauses for word in clause.words)
        stems = stems_of(word for word in words if word != name.lower())
        best: tuple[int, int] = (0, 0)
        found: tuple[Rule, tuple[tuple[str, ...], ...]] | None = None
        for clause in clauses:
            for rank, fixed, rule, parts in self._candidates(clause):
                if (rank, fixed) > best and (spans := match(parts, clause.words)) is not None:
                    best, found = (rank, fixed), (rule, tuple(clause.written[a:b] for a, b in spans))
        rule, captured = found or (self.rules[self._fallback(text, clauses, words)], ())
        return Heard(rule, captured, words, stems)

    def _candidates(self, clause: Clause) -> Iterator[tuple[int, int, Rule, tuple[Part, ...]]]:
        for word in dict.fromkeys(clause.words):
            yield from self._by_word.get(word, ())

    def _fallback(self, text: str, clauses: Sequence[Clause], words: Sequence[str]) -> str:
        if not words:
            return "noise" if text.strip() else "silence"
        letters = "".join(words)
        is_strange = sum(ord(letter) > 0x24F for letter in letters) * 2 > len(letters)
        if is_strange or sum(word in self._foreign for word in words) * 2 >= max(len(words), 3):
            return "foreign"
        if not any(_is_sayable(word) for word in words):
            return "noise"
        is_question = "?" in text or clauses[0].words[0] in ASKING
        return "question" if is_question else "statement"


def _is_sayable(word: str) -> bool:
    """Whether `word` might be one: it has a vowel, and letters only, and not too many of them in a heap."""
    vowels = sum(letter in "aeiouyàáâäèéêëìíîïòóôöùúûüø" for letter in word)
    return word.replace("'", "").isalpha() and vowels * 5 >= len(word) and len(word) <= 20


@cache
def script() -> Ear:
    """The ear for the script that comes with teehee; read once."""
    return Ear(*read_script(SCRIPT.read_text(encoding="utf-8")))


def read_script(text: str) -> tuple[list[Rule], Mapping[str, frozenset[str]]]:
    """The rules in a script, in order, and its classes of words."""
    known: dict[str, Part] = {}
    classes: dict[str, frozenset[str]] = {}
    rules: list[Rule] = []
    name, block = "", _Block()
    for line in text.splitlines():
        mark, rest = line[:1], line[2:]
        if mark == "@":
            name, *words = line[1:].split()
            classes[name] = frozenset(words)
        elif mark == " ":
            classes[name] |= frozenset(line.split())
        elif mark == "<":
            for token in rest.split():
                if token not in known:
                    known[token] = part(token, classes)
            block.heard += [tuple(known[token] for token in one.split()) for one in rest.split(" / ")]
        elif mark == "~":
            block.cues += rest.split()
        elif mark in (">", "+"):
            (block.says if mark == ">" else block.knows).append(rest)
        elif mark.isalpha():
            block = _Block(line)
        elif not mark and block.heading:
            rules.append(block.rule())
            block = _Block()
    return rules + ([block.rule()] if block.heading else []), classes


@dataclass
class _Block:
    """One rule while it is being read."""

    heading: str = ""
    heard: list[tuple[Part, ...]] = field(default_factory=list)
    cues: list[str] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    knows: list[str] = field(default_factory=list)

    def rule(self) -> Rule:
        head, _, kinds = self.heading.partition(" from ")
        name, rank, *flags = head.split()
        return Rule(
            name=name,
            rank=int(rank),
            flags=frozenset(flags),
            kinds=tuple(kinds.split()) or USUAL,
            heard=tuple(self.heard),
            cues=frozenset(stems_of(self.cues)),
            says=tuple(self.says),
            knows=tuple(self.knows),
        )
