"""What a turn wants to say, as the vault is asked for it: one part for each call of the platform."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from teehee.log import get_logger
from teehee.parts import split
from teehee.plugin import Verb
from teehee.wire.messages import Part

BUILT_IN = {"web": (Verb("web.reply"),), "terminal": (Verb("terminal.reply"),)}
MOST = 4  # parts of one reply, as the base policy has it
log = get_logger()


@dataclass(frozen=True, slots=True)
class Words:
    """Words for the room; `choices` are buttons under them, which `who` may press."""

    text: str
    choices: tuple[str, ...] = ()
    who: str = "asker"


def parts(verbs: Sequence[Verb], said: Sequence[Words], effects: Sequence[Part] = ()) -> tuple[Part, ...]:
    """The parts, still without a room: what the plugins did beside talking first, then the words.

    `verbs` are those that may answer here, the first of which says words. An effect under another verb is left out, by
    name. Where the platform has no buttons, choices become lines.
    """
    known = {verb.name for verb in verbs}
    wanted = []
    for part in effects:
        if part.verb in known:
            wanted.append(replace(part, room=""))
        else:
            log.warning("effect_left_out", verb=part.verb, reason="no plugin here declares it for this room")
    for words in said:
        wanted += _parts(verbs[0], words, max(1, MOST - len(wanted)))
    return tuple(wanted)


def in_words(verbs: Sequence[Verb], verb: str) -> bool:
    """Does an effect of this verb say words?"""
    return verb == verbs[0].name


def _parts(verb: Verb, words: Words, most: int) -> list[Part]:
    """The words in parts that fit, buttons under the last."""
    text, choices = words.text, words.choices
    if choices and not verb.buttons:
        text = "\n".join([text, "", *(f"{number}. {label}" for number, label in enumerate(choices, 1))])
        choices = ()
    found = split(text, verb.limit, most)
    if found.is_cut:
        log.info("reply_cut", verb=verb.name, characters=len(text))
    *others, last = (Part(verb.name, "", one) for one in found.texts)
    return [*others, replace(last, choices=choices, who=words.who) if choices else last]
