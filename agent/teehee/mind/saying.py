"""What a turn wants to say, as the vault is asked for it: one part for each call of the platform."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from teehee.log import get_logger
from teehee.plugin import Verb
from teehee.wire.messages import Part

BUILT_IN = {"web": (Verb("web.reply"),), "terminal": (Verb("terminal.reply"),)}
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
    return (*wanted, *(_part(verbs[0], words) for words in said))


def in_words(verbs: Sequence[Verb], verb: str) -> bool:
    """Does an effect of this verb say words?"""
    return verb == verbs[0].name


def _part(verb: Verb, words: Words) -> Part:
    if not words.choices or verb.buttons:
        return Part(verb.name, "", words.text, words.choices, words.who)
    lines = [f"{number}. {label}" for number, label in enumerate(words.choices, 1)]
    return Part(verb.name, "", "\n".join([words.text, "", *lines]))
