"""Words as the classic brain hears them: clauses, light stems, ELIZA's patterns and her turning of I into you."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

HEARD_CHARACTERS = 1000  # a longer message is judged by its beginning
CLAUSE_WORDS = 40
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
CLAUSE_END = re.compile(r"[.,!?;:…\n()\"“”|]+|\s[-–—]+\s|\b(?=because\b)|\bbut\b", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\{\{[^{}]*\}\}|[{}]+")
PLAIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ]+(?:['’][A-Za-z]+)*")
LAUGH = re.compile(r"(?:ha|he|hi|ah){2,}h?|lo+l+|lol(?:ol)+|rofl|lmf?ao+", re.IGNORECASE)

OPENED = {
    word: tuple(opened.split())
    for word, opened in (
        pair.split("=")
        for pair in (
            "i'm=i am|im=i am|i've=i have|ive=i have|i'd=i would|i'll=i will|you're=you are|youre=you are|u=you|ur=your"
            "|you've=you have|you'd=you would|you'll=you will|ya=you|r=are|it's=it is|that's=that is"
            "|thats=that is|what's=what is|whats=what is|who's=who is|whos=who is|where's=where is|how's=how is"
            "|hows=how is|there's=there is|here's=here is|he's=he is|she's=she is|they're=they are|we're=we are"
            "|let's=let us|don't=do not|dont=do not|doesn't=does not|doesnt=does not|didn't=did not|didnt=did not"
            "|can't=can not|cant=can not|cannot=can not|couldn't=could not|couldnt=could not|won't=will not"
            "|wont=will not|wouldn't=would not|isn't=is not|isnt=is not|aren't=are not|arent=are not|wasn't=was not"
            "|weren't=were not|haven't=have not|havent=have not|hasn't=has not|shouldn't=should not|wanna=want to"
            "|gonna=going to|gotta=got to|gimme=give me|lemme=let me|pls=please|plz=please|thx=thanks|ty=thanks"
            "|tysm=thanks|thankyou=thank you|y=why|idk=i do not know|wdym=what do you mean|hru=how are you|wyd=what are"
            " you doing|sup=what is up|wassup=what is up|whatsup=what is up|gn=good night|cuz=because"
            "|cos=because|coz=because|tho=though|thru=through|whatcha=what are you|dunno=do not know"
        ).split("|")
    )
}

STOPWORDS = frozenset(
    (
        "a an the this that these those there here some any all each every no not nor none and or but if then than so"
        " because as of at by for from in into on onto to with without about over under again out up down off through"
        " i me my mine myself you your yours yourself he him his she her hers it its we us our they them their one who"
        " whom whose what which when where why how is am are was were be been being do does did doing done have has"
        " had having can could will would shall should may might must ought let get got getting go going gone come"
        " coming came make made making take took put say says said tell told ask think thought know knew want need"
        " like just really very too also even still only much many more most less lot bit well good bad nice great ok"
        " okay yes yeah oh ah hey hi hello please thank thanks thing things something anything nothing someone anyone"
        " everyone everything now today always never ever often sometimes maybe perhaps way kind sort new old own same"
        " other believe left leave live lives guess suppose seem happen happens start stop wonder remember understand"
        " care wait yesterday tomorrow another such while before after until since back give given use used try look"
        " see saw seen feel felt mean means people person day time year bring keep kept talk speak mind right sure"
        " long first last two ago yet around both few little big between rather quite enough though however instead"
        " almost already else isn don"
    ).split()
)
SAME = dict(  # irregular forms, and words for the same thing
    pair.split("=")
    for pair in (
        "dice=die lost=lose found=find told=tell wrote=write written=write sang=sing slept=sleep dreamt=dream"
        " bought=buy sold=sell broke=break broken=break spoke=speak flew=fly ate=eat grew=grow grown=grow taught=teach"
        " thrown=throw children=child mice=mouse men=man women=woman knives=knife shelves=shelf"
        " feet=foot teeth=tooth geese=goose died=death dead=death alone=lonely exhausted=tired sleepy=tired"
        " unhappy=sad depressed=sad miserable=sad glad=happy mom=mother mum=mother dad=father favourite=favorite"
        " colour=color robots=bot robot=bot chatbot=bot photo=picture seaside=sea ocean=sea"
    ).split()
)
SWAP = {
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
}
AFTER_OBJECT = frozenset(
    "to about and with for that in at on so very too more now today please again as or a the my".split()
)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Clause:
    """One breath of a message: its words in lower case, contractions opened, and the same words as written."""

    words: tuple[str, ...]
    written: tuple[str, ...]


class AnyWord(frozenset[str]):
    """The words of `..`: all of them."""

    def __contains__(self, word: object) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a pattern: any number of words (`words` is None), or one of some words."""

    words: frozenset[str] | None
    is_captured: bool
    is_optional: bool


def clauses_of(text: str, name: str = "") -> tuple[Clause, ...]:
    """The clauses of `text`, without the agent's own `name` where it only calls the agent."""
    plain = PLACEHOLDER.sub(" ", text[:HEARD_CHARACTERS])
    heard = [clause for breath in CLAUSE_END.split(plain) if (clause := _clause(breath, name.lower())).words]
    return tuple(heard[:12])


def _clause(breath: str, name: str) -> Clause:
    written: list[str] = []
    for found in WORD.findall(breath)[:CLAUSE_WORDS]:
        word = found.replace("’", "'")
        lower = word.lower()
        if lower in OPENED:
            written.extend(OPENED[lower])
        elif LAUGH.fullmatch(lower):
            written.append("haha")
        else:
            # Names keep their capital when echoed; the first word and shouting lose it.
            written.append(word if written and word.istitle() else lower)
    for edge in (0, -1):
        if name and len(written) > 1 and written[edge].lower() == name:
            del written[edge]
    return Clause(tuple(word.lower() for word in written), tuple(written))


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """`word` without its common endings, so that lost umbrellas and losing an umbrella meet."""
    word = word.removesuffix("'s").replace("'", "")
    word = SAME.get(word, word)
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            word = word.removesuffix(ending)
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word.removesuffix("e") if len(word) > 3 else word


def stems_of(words: Iterable[str]) -> tuple[str, ...]:
    """The stems of the words that carry meaning, each once, in order."""
    return tuple(dict.fromkeys(stem(word) for word in words if word not in STOPWORDS and len(word) > 1))


def words_of(text: str) -> list[str]:
    """All words of `text` in lower case, contractions opened."""
    found = (word.lower().replace("’", "'") for word in WORD.findall(text))
    return [opened for word in found for opened in OPENED.get(word, (word,))]


def part(token: str, classes: Mapping[str, frozenset[str]]) -> Part:
    """One step of a pattern in ELIZA's notation; see the head of `classic_script.txt`."""
    word = token.lstrip("?=")
    words: frozenset[str] | None = AnyWord() if word == ".." else frozenset(word.split("|"))
    if word == "*":
        words = None
    elif word.startswith("@"):
        words = classes[word[1:]]
    return Part(words, "=" in token or "@" in token, token.startswith("?"))


def match(parts: Sequence[Part], words: Sequence[str], first: int = 0, at: int = 0) -> tuple[Span, ...] | None:
    """The captured spans when `parts` cover all of `words`, else None; stars take as little as they can."""
    if first == len(parts):
        return () if at == len(words) else None
    step = parts[first]
    if step.words is None:
        ends = range(at, len(words) + 1) if first < len(parts) - 1 else (len(words),)
        for end in ends:
            if (rest := match(parts, words, first + 1, end)) is not None:
                return ((at, end), *rest) if step.is_captured else rest
        return None
    if at < len(words) and words[at] in step.words and (rest := match(parts, words, first + 1, at + 1)) is not None:
        return ((at, at + 1), *rest) if step.is_captured else rest
    return match(parts, words, first + 1, at) if step.is_optional else None


def reflect(written: Sequence[str]) -> str:
    """The words turned round for saying them back: `my heart` becomes `your heart`. Empty if unfit to echo."""
    if not 0 < len(written) <= 9 or not all(PLAIN.fullmatch(word) for word in written):
        return ""  # numbers, addresses and long stretches are not repeated
    turned: list[str] = []
    lower = [word.lower() for word in written]
    for at, word in enumerate(lower):
        before = lower[at - 1] if at else ""
        after = lower[at + 1] if at + 1 < len(lower) else ""
        if word == "you":
            is_object = before != "" and (not after or after in AFTER_OBJECT) and before not in ("are", "that")
            turned.append("me" if is_object else "I")
        elif word in ("am", "was") and (at == 0 or "i" in (before, after)):  # at the start, an "I" came before
            turned.append("are" if word == "am" else "were")
        elif word in ("are", "were") and "you" in (before, after):
            turned.append("am" if word == "are" else "was")
        else:
            turned.append(SWAP.get(word, written[at]))
    text = " ".join(turned)
    return text if len(text) <= 70 else ""
