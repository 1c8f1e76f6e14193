"""A character's lines as the agent can say them, indexed by what they are about and what they answer."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from teehee.character import Character
from teehee.mind.classic_rules import Ear
from teehee.mind.classic_voice import AGENT, MAX_LINE, YOU, Voice, pieces, unaddressed, whole
from teehee.mind.classic_words import STOPWORDS, stem, stems_of, words_of

USER_NAME = re.compile(r"\{\{\s*(?:user|name)?\s*\d*\s*\}\}", re.IGNORECASE)
AGENT_NAMES = frozenset(("agent", "assistant", "{{agentname}}", "{{char}}", "{{agent}}"))
# A reply that begins so needs its question.
LEANING = re.compile(
    r"(?:yes|no|yeah|nope|that|it|its|it's|they|he|she|this|those|these|because|so|then|there|ah|oh|good|sure|exactly"
    r"|thanks?|hello|hi|hey|goodbye|bye|only|maybe|never|both|neither|less|more|i am,|of course|you are welcome)\b",
    re.IGNORECASE,
)
LONGEST = 4000  # of a longer line only the beginning is said
COMMON_STEMS = frozenset(map(stem, STOPWORDS))
COMMON = 0.25  # what words without meaning weigh when two questions are compared


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """One line of the character, ready to say: `called` has `YOU` where the listener's name goes."""

    path: str
    kind: str
    text: str
    called: str = ""
    rule: str = ""  # of the question it answers
    asked: tuple[str, ...] = ()
    stems: frozenset[str] = frozenset()
    core: str = ""  # the longest part that is the same whoever listens
    salt: int = 0

    @property
    def is_question(self) -> bool:
        return self.text.rstrip("\"'”’)*").endswith("?")

    @property
    def stands_alone(self) -> bool:
        """Whether it can be said without the question it was written for."""
        return self.kind != "example" or (len(self.text) > 40 and LEANING.match(self.text) is None)

    def to(self, speaker: str) -> str:
        """The line as said to `speaker`, who may be nameless."""
        return self.called.replace(YOU, speaker) if self.called and speaker else self.text


@dataclass(frozen=True, slots=True)
class Shelf:
    """All lines of one character, and where to find them."""

    lines: tuple[SpokenLine, ...]
    about: dict[str, tuple[int, ...]]  # stem -> lines that hold it
    weight: dict[str, float]  # stem -> how telling it is
    asked: dict[str, tuple[tuple[int, float], ...]]  # stem of a question -> examples, and its share in each
    short: dict[str, tuple[tuple[str, str], ...]]  # topics, adjectives and rules of style, each with its path

    def similar(self, words: Sequence[str]) -> dict[int, float]:
        """How much the questions of the examples are like `words`, from 0 to 1."""
        stems = dict.fromkeys(map(stem, words))
        weights = {one: COMMON if one in COMMON_STEMS else self.weight.get(one, 1.0) for one in stems}
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        found: defaultdict[int, float] = defaultdict(float)
        for one, weight in weights.items():
            for at, share in self.asked.get(one, ()):
                found[at] += weight / norm * share
        return found

    def about_these(self, stems: Iterable[str]) -> dict[int, float]:
        """How much of what matters in `stems` each line is about."""
        found: defaultdict[int, float] = defaultdict(float)
        for one in stems:
            for at in self.about.get(one, ()):
                found[at] += self.weight[one]
        return found


def read_shelf(character: Character, ear: Ear) -> Shelf:
    """The lines of `character`; `ear` tells which rule each example's question belongs to."""
    lines = tuple(_unique([*_lines(character, ear), _own_name(character.name)]))
    about: defaultdict[str, list[int]] = defaultdict(list)
    for at, line in enumerate(lines):
        for one in line.stems:
            about[one].append(at)
    weight = {one: math.log(1 + len(lines) / len(holders)) for one, holders in about.items()}
    asked: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for at, line in enumerate(lines):
        weights = {one: COMMON if one in COMMON_STEMS else weight.get(one, 1.0) for one in line.asked}
        norm = math.sqrt(sum(value * value for value in weights.values())) or 1.0
        for one, value in weights.items():
            asked[one].append((at, value / norm))
    return Shelf(
        lines,
        {one: tuple(holders) for one, holders in about.items()},
        weight,
        {one: tuple(shares) for one, shares in asked.items()},
        {
            "topic": _phrases("topics", character.topics),
            "adjective": _phrases("adjectives", character.adjectives),
            "style": _phrases("style.all", character.style.all, 160)
            + _phrases("style.chat", character.style.chat, 160),
        },
    )


def _lines(character: Character, ear: Ear) -> Iterator[SpokenLine]:
    own = Voice(character.name, character.bio + character.lore)
    groups = (
        ("bio", "bio", character.bio),
        ("lore", "lore", character.lore),
        ("knowledge", "knowledge", [item.text for item in character.knowledge if not item.source]),
        ("post", "postExamples", character.post_examples),
    )
    for kind, path, written in groups:
        for at, text in enumerate(written):
            spoken = own.own(text[:LONGEST], is_about_agent=kind in ("bio", "lore"))
            yield from _pieces(f"{path}[{at}]", kind, spoken)
    yield from _examples(character, ear)


def _pieces(path: str, kind: str, text: str, rule: str = "", asked: str = "") -> Iterator[SpokenLine]:
    silent, called = unaddressed(text)
    is_short = max(len(silent), len(called)) < MAX_LINE
    named = whole(called) if called and is_short else ""
    for number, piece in enumerate(pieces(silent)):
        is_answer = asked != "" and number == 0
        addressed = named if is_short and piece == whole(silent) else ""
        yield SpokenLine(
            path=path,
            kind=kind,
            text=piece,
            called=addressed,
            core=max(addressed.split(YOU), key=len).strip(" ,") if addressed else piece,
            rule=rule if is_answer else "",
            asked=tuple(dict.fromkeys(map(stem, words_of(asked)))) if is_answer else (),
            stems=frozenset(stems_of(words_of(f"{piece} {asked if is_answer else ''}"))),
            salt=int.from_bytes(sha256(f"{path}#{number}".encode()).digest()[:8], "big"),
        )


def _examples(character: Character, ear: Ear) -> Iterator[SpokenLine]:
    first = (character.name.split() or [character.name])[0]
    own = {character.name.casefold(), first.casefold()} | AGENT_NAMES
    speakers = {line.name.casefold() for talk in character.message_examples for line in talk}
    if not own & speakers:  # a renamed character: whoever is no placeholder speaks for it
        own |= {name for name in speakers if not USER_NAME.fullmatch(name)}
    for at, talk in enumerate(character.message_examples):
        asked: list[str] = []
        for number, line in enumerate(talk):
            if line.name.casefold() not in own:
                asked.append(USER_NAME.sub(" ", line.text))
                continue
            question = " ".join(asked)
            rule = ear.hear(question, first).rule.name if question.strip() else ""
            text = AGENT.sub(lambda _: character.name, line.text[:LONGEST])
            yield from _pieces(f"messageExamples[{at}][{number}]", "example", text, rule, question)
            asked = []


def _own_name(name: str) -> SpokenLine:
    """What is left to say when a character has no other line."""
    text = f"I am {' '.join(unaddressed(name)[0].split())[:60]}."
    return SpokenLine("name", "name", text, core=text)


def _unique(lines: Iterable[SpokenLine]) -> Iterator[SpokenLine]:
    seen: set[str] = set()
    for line in lines:
        if line.text not in seen and len(line.text.split()) > 1:
            seen.add(line.text)
            yield line


def _phrases(path: str, written: Sequence[str], longest: int = 80) -> tuple[tuple[str, str], ...]:
    plain = [" ".join(unaddressed(text)[0].split()).rstrip(".!?,;: ") for text in written]
    return tuple((f"{path}[{at}]", text) for at, text in enumerate(plain) if 0 < len(text) <= longest)
