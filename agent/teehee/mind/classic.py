"""The classic brain: instant, deterministic, without weights, speaking from the character's own lines.

In the spirit of ELIZA (Weizenbaum, 1966): ranked keywords, decomposition, and the person's words turned round. What
she had to say came from a script; here it comes from bio, lore, examples, posts and knowledge, and every answer
names the lines it is made of.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from teehee.character import Character
from teehee.mind.classic_choice import Choice, Chooser, Room
from teehee.mind.classic_lines import read_shelf
from teehee.mind.classic_rules import Heard, script
from teehee.mind.classic_voice import whole
from teehee.mind.classic_words import STOPWORDS, stem, stems_of, words_of

MAX_ANSWER = 400
NEVER_PICKED = frozenset(("REPLY", "IGNORE", "NONE"))
NEGATIONS = frozenset(("not", "never"))
SLOT = re.compile(r"\{(\w+)\}")
SPEAKER = re.compile(r"[^\W_][\w '’-]{0,23}")
NAMELESS = frozenset(("user", "you", "guest", "anonymous", "unknown", "stranger", "someone"))


@dataclass(frozen=True, slots=True)
class Skill:
    """An action the brain may pick."""

    name: str
    similes: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say or do, the paths of the character's lines it is made of, and the rule that made it."""

    text: str
    actions: tuple[str, ...]
    trace: tuple[str, ...]
    rule: str


class ClassicBrain:
    """One character, ready to talk; building it indexes every line once."""

    def __init__(self, character: Character) -> None:
        self._ear = script()
        self._name = " ".join(character.name.split())[:60]
        self._shelf = read_shelf(character, self._ear)
        self._chooser = Chooser(self._shelf, self._ear)

    def answer(self, text: str, *, said: Sequence[str] = (), skills: Sequence[Skill] = (), speaker: str = "") -> Answer:
        """An answer to `text` that repeats nothing in `said` while the character has another fitting line."""
        heard = self._ear.hear(text, self._name.split(" ")[0])
        skill = _picked(skills, heard.words)
        if skill and heard.rule.name != "crisis":
            return Answer("", (skill.name,), (), "skill")
        digest = sha256(f"{self._name}\0{text}".encode("utf-8", "replace")).digest()
        room = Room("\n".join(said), said[-1] if said else "", int.from_bytes(digest[:8], "big"))
        choice = self._chooser.choose(heard, room)
        known = speaker.strip()
        if not SPEAKER.fullmatch(known) or known.lower() in NAMELESS:
            known = ""
        for template in _templates(heard, choice, room):
            answer = self._framed(template, heard, choice, room, known)
            if answer and len(answer.text) <= MAX_ANSWER:
                return answer
        return Answer(choice.line.to(known), ("REPLY",), (choice.line.path,), heard.rule.name)

    def _framed(self, template: str, heard: Heard, choice: Choice, room: Room, speaker: str) -> Answer | None:
        """The template filled in, or None when the character or the message has nothing for one of its slots."""
        values = {"you": f", {speaker}" if speaker else "", "name": self._name}
        if speaker:
            values["speaker"] = speaker
        trace: list[str] = []
        for slot in SLOT.findall(template):
            if slot not in values:
                values[slot], path = self._slot(slot, heard, choice, room, speaker)
                if not values[slot]:
                    return None
                trace += [path] if path else []
        text = whole(SLOT.sub(lambda found: values[found[1]], template))
        rule = "example" if choice.how == "answers" else heard.rule.name
        return Answer(text, ("REPLY",), tuple(dict.fromkeys(trace)) or ("name",), rule)

    def _slot(self, slot: str, heard: Heard, choice: Choice, room: Room, speaker: str) -> tuple[str, str]:
        """What goes into a slot, and the path it comes from if that is the character."""
        if slot == "line":
            return choice.line.to(speaker), choice.line.path
        if slot.isdigit():
            return heard.echo(int(slot)), ""
        if slot == "noun":
            return heard.noun(), ""
        if slot == "called":
            given = heard.echo(1).split()
            return (" ".join(given).title() if len(given) <= 2 and given[0].lower() not in STOPWORDS else ""), ""
        kind = "topic" if slot in ("other", "subject") else slot
        phrases = self._chooser.phrases(kind, choice.line.stems if kind == "topic" else heard.stems, room)
        path, text = next(iter(phrases[1:] if slot == "other" else phrases), ("", ""))
        if slot == "subject" and not choice.line.stems & set(stems_of(words_of(text))):
            return "", ""
        return text, path


def _templates(heard: Heard, choice: Choice, room: Room) -> Iterator[str]:
    """The ways to say it, those not said before first."""
    if choice.how == "answers":
        yield "{line}"
        return
    rule = heard.rule
    templates = room.turned(rule.knows if choice.how == "knows" and rule.knows else rule.says)
    is_plain = "tender" in rule.flags and choice.how == "passes"  # no time for a line that does not suit
    said = room.said.lower()

    def fault(template: str) -> tuple[bool, bool]:
        frame = max(SLOT.split(template)[::2], key=len).strip(" .,?!:")
        return is_plain == ("{line}" in template), len(frame) > 3 and frame.lower() in said

    for template in sorted(templates, key=fault):
        head, line, _ = template.partition("{line}")
        yield head + line if choice.line.is_question else template  # one question is enough


def _picked(skills: Sequence[Skill], words: Sequence[str]) -> Skill | None:
    """The skill whose name or simile has all its words in the message; of several the one with the most words."""
    if not skills or not words:
        return None
    stems = list(map(stem, words))
    best: tuple[int, Skill] | None = None
    for skill in skills:
        if skill.name.upper() in NEVER_PICKED:
            continue
        for name in (skill.name, *skill.similes):
            asked = {stem(word) for word in name.lower().split("_") if word}
            if asked and asked <= set(stems) and not _is_denied(asked, stems) and len(asked) > (best[0] if best else 0):
                best = (len(asked), skill)
    return best[1] if best else None


def _is_denied(asked: set[str], stems: Sequence[str]) -> bool:
    """Whether the message says not to: `don't roll the dice`, but not `why don't you roll the dice?`."""
    first = next(at for at, word in enumerate(stems) if word in asked)
    before = [word for word in stems[:first] if word not in ("pleas", "ever", "you", "just")]
    return bool(before) and before[-1] in NEGATIONS and "why" not in before
