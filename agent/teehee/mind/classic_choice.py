"""Which of the character's lines fits what was heard, and has not been said yet."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from teehee.mind.classic_lines import COMMON_STEMS, Shelf, SpokenLine
from teehee.mind.classic_rules import USUAL, Ear, Heard, Rule
from teehee.mind.classic_words import stem, stems_of, words_of

SAME_QUESTION = 0.7  # an example whose question is this much like the message answers it
SAME_KIND = 0.3  # the same, when the rule agrees already
TELLING_SHARE = 0.25  # of what matters in the message, that a line must be about
CLOSED_SHARE = 0.6  # the same, when the rule needs no subject

PERSONS = frozenset(map(stem, ("i", "me", "my", "you", "your")))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Room:
    """What the agent has said here, and how one message orders what it could say next."""

    said: str
    last: str
    seed: int

    def order(self, line: SpokenLine) -> int:
        """Breaks ties by a hash of message and line: the same each time, and another line for another message."""
        return line.salt ^ self.seed

    def turned(self, items: Sequence[T]) -> list[T]:
        """`items` from another place on for another message."""
        start = self.seed % len(items) if items else 0
        return [*items[start:], *items[:start]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A line, and how it relates to the message: answers it, knows about it, suits its kind, or is only not amiss."""

    line: SpokenLine
    how: Literal["answers", "knows", "suits", "passes"]


class Chooser:
    """Picks lines of one character."""

    def __init__(self, shelf: Shelf, ear: Ear) -> None:
        self._shelf = shelf
        self._rules = ear.rules
        self._top = max(shelf.weight.values(), default=1.0)
        self._by_rule: defaultdict[str, list[int]] = defaultdict(list)
        for at, line in enumerate(shelf.lines):
            if line.rule:
                self._by_rule[line.rule].append(at)
        self._pools: dict[str, tuple[list[SpokenLine], ...]] = {}  # by rule, each made when it is first needed

    def choose(self, heard: Heard, room: Room) -> Choice:
        """The best fresh line: an example of the question, a line on the subject, one that suits the rule."""
        similar = self._shelf.similar(heard.words)
        if line := self._example(heard, similar, room):
            return Choice(line, "answers")
        is_guarded = "guarded" in heard.rule.flags
        share = CLOSED_SHARE if "closed" in heard.rule.flags else TELLING_SHARE
        if not is_guarded and (line := self._about(heard.stems, share, heard.rule, room)):
            return Choice(line, "knows")
        if "follows" in heard.rule.flags and (line := self._about(_stems(room.last), 0.01, heard.rule, room)):
            return Choice(line, "knows")
        is_early = "early" in heard.rule.flags
        stems = () if is_guarded or is_early else heard.stems
        if not is_early and any("{topic}" in template for template in heard.rule.says):
            stems += tuple(one for _, topic in self.phrases("topic", heard.stems, room)[:1] for one in _stems(topic))
        if line := self._about(stems, 0.01, heard.rule, room):
            return Choice(line, "suits")
        for number, pool in enumerate(self._pool(heard.rule)):
            if line := self._fresh(pool if is_early else sorted(pool, key=room.order), room):
                return Choice(line, "passes" if number else "suits")
        return Choice(self._longest_ago(heard.rule, room), "passes")

    def phrases(self, kind: str, about: Iterable[str], room: Room) -> list[tuple[str, str]]:
        """Topics, adjectives or rules of style: those with a stem in `about` first, then those not said yet."""
        wanted = set(about)
        return sorted(
            room.turned(self._shelf.short.get(kind, ())),
            key=lambda phrase: (not wanted & set(_stems(phrase[1])), phrase[1] in room.said),
        )

    def _example(self, heard: Heard, similar: dict[int, float], room: Room) -> SpokenLine | None:
        """The example whose question is most like the message, or of its kind and not about something else."""
        lines = self._shelf.lines
        alike = [at for at, share in similar.items() if share >= SAME_QUESTION and self._is_same(lines[at], heard)]
        mates = [at for at in self._by_rule[heard.rule.name] if _is_mate(lines[at], heard, similar.get(at, 0.0))]
        for group in (alike, mates):
            ordered = sorted(group, key=lambda at: (-round(similar.get(at, 0.0), 2), room.order(lines[at])))
            if line := self._fresh([lines[at] for at in ordered], room):
                return line
        return None

    def _is_same(self, line: SpokenLine, heard: Heard) -> bool:
        """Whether an example's question is the same as the message in subject, kind and person."""
        subject = set(line.asked) - COMMON_STEMS
        if not line.rule or not subject <= set(heard.stems):
            return False
        if line.rule == heard.rule.name or not subject:
            return line.rule == heard.rule.name
        other = self._rules[line.rule].flags
        is_strict = "guarded" in heard.rule.flags | other or ("closed" in heard.rule.flags and "closed" in other)
        return not is_strict and PERSONS & set(line.asked) == PERSONS & set(heard.words)

    def _about(self, stems: Iterable[str], share: float, rule: Rule, room: Room) -> SpokenLine | None:
        """The fresh line that is most about `stems`, if it covers their share."""
        wanted = tuple(stems)
        total = sum(self._shelf.weight.get(one, self._top) for one in wanted)
        found = {at: score for at, score in self._shelf.about_these(wanted).items() if score >= share * total}
        lines = self._shelf.lines
        ordered = sorted(found, key=lambda at: (-round(found[at], 1), room.order(lines[at])))
        fitting = [lines[at] for at in ordered if self._is_loose(lines[at], rule) and _is_about(lines[at], set(wanted))]
        return self._fresh(fitting, room)

    def _is_loose(self, line: SpokenLine, rule: Rule) -> bool:
        """Whether the line may be said without its question."""
        flags = self._rules[line.rule].flags if line.rule else frozenset()
        return line.stands_alone and (line.rule == rule.name or not flags & {"closed", "guarded", "tender"})

    def _pool(self, rule: Rule) -> tuple[list[SpokenLine], ...]:
        """All lines that may do, by how well they suit the rule."""
        if rule.name in self._pools:
            return self._pools[rule.name]
        lines = self._shelf.lines
        is_open = not rule.flags & {"closed", "guarded"}
        kind = [line for line in lines if line.kind in rule.kinds]
        self._pools[rule.name] = (
            sorted((line for line in kind if line.stems & rule.cues), key=lambda line: -len(line.stems & rule.cues)),
            kind,
            [line for line in lines if line.kind in USUAL],
            [line for line in lines if line.kind == "example" and self._is_loose(line, rule)] if is_open else [],
            [line for line in lines if line.kind == "name"],
        )
        return self._pools[rule.name]

    def _fresh(self, lines: Iterable[SpokenLine], room: Room) -> SpokenLine | None:
        return next((line for line in lines if not room.said or line.core not in room.said), None)

    def _longest_ago(self, rule: Rule, room: Room) -> SpokenLine:
        pool = next(pool for pool in self._pool(rule)[1:] if pool)
        return min(pool, key=lambda line: (room.said.rfind(line.core), room.order(line)))


def _is_about(line: SpokenLine, wanted: set[str]) -> bool:
    """Whether the line itself has what is wanted, or its question asks for nothing else."""
    return not line.asked or set(line.asked) - COMMON_STEMS <= wanted or bool((line.stems - set(line.asked)) & wanted)


def _is_mate(line: SpokenLine, heard: Heard, similarity: float) -> bool:
    """Whether an example of the same rule is about the same thing, or about nothing beyond what the rule is about."""
    rule = heard.rule
    theirs = set(line.asked) - COMMON_STEMS - rule.vocabulary
    ours = set(heard.stems) - rule.vocabulary
    if "guarded" in rule.flags:
        return True
    if "closed" in rule.flags:
        return not theirs - ours or not ours - theirs
    return similarity >= SAME_KIND and theirs <= ours


def _stems(text: str) -> tuple[str, ...]:
    return stems_of(words_of(text))
