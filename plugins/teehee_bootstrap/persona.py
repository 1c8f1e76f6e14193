"""CHARACTER: who the agent is, in the words and headings of Eliza's own provider, sampled per room and day."""

import random
from collections.abc import Sequence
from typing import TypeVar

from teehee.plugin import Character, Line, Provided, Turn, provider
from teehee_bootstrap.words import headed, listed, named

T = TypeVar("T")
BIO_LINES = {"v0": 3}  # of 0.x; later eras tell ten
BIO_LINES_LATER, LORE_LINES, TOPICS, TALKS, POSTS = 10, 10, 5, 5, 50
POST_ROOMS = ("FEED", "THREAD")
SHORT_KNOWLEDGE = 2000  # characters of texts written in the file itself that are told whole, unsearched


@provider("CHARACTER", position=-10, stable=True)
async def character(turn: Turn) -> Provided:
    """Who the agent is: bio, lore, topics, style, examples."""
    who, posting = turn.character, turn.message.room_type in POST_ROOMS
    values = values_of(who, turn.sample, posting=posting)
    topic, adjective, topics = (str(values[key]) for key in ("topic", "adjective", "topics"))
    about = headed(f"# About {who.name}", _plain_bio(values, who))
    parts = [
        who.system,
        about,
        str(values["lore"]),
        f"{who.name} is {adjective}" if adjective else "",
        f"{who.name} is currently interested in {topic}" if topic else "",
        topics,
        headed("# Knowledge", "\n".join(f"- {text}" for text in short_knowledge(who))),
        str(values["directions"]),
        str(values["examples"]),
    ]
    return Provided("\n\n".join(part.strip() for part in parts if part.strip()), values)


def values_of(who: Character, pick: random.Random, *, posting: bool) -> dict[str, str]:
    """Every key of Eliza's character state, formatted as the character's era does.

    Source: 1.7.2 plugin-bootstrap `characterProvider`; 0.25.9 core `composeState`.
    """
    old = who.era == "v0"
    bio = " ".join(who.bio if who.bio_is_whole else _some(who.bio, BIO_LINES.get(who.era, BIO_LINES_LATER), pick))
    topics = pick.sample(who.topics, len(who.topics))
    others = topics[: TOPICS if old else TOPICS + 1][0 if old else 1 :]
    also = "is interested in" if old else "is also interested in"
    messages = "\n".join((*who.style.all, *who.style.chat))
    posts = "\n".join((*who.style.all, *who.style.post))
    values = {
        "agentName": who.name,
        "agentId": who.id,
        "system": who.system,
        "bio": bio if old else headed(f"# About {who.name}", bio),
        "lore": "\n".join(_some(who.lore, LORE_LINES, pick)),
        "adjective": pick.choice(who.adjectives) if who.adjectives else "",
        "topic": topics[0] if topics else "",
        "topics": f"{who.name} {also} {listed(others)}" if others else "",
        "messageDirections": headed(f"# Message Directions for {who.name}", messages),
        "postDirections": headed(f"# Post Directions for {who.name}", posts),
        "characterMessageExamples": headed(f"# Example Conversations for {who.name}", _talks(who, pick)),
        "characterPostExamples": headed(
            f"# Example Posts for {who.name}", "\n".join(_some(who.post_examples, POSTS, pick))
        ),
    }
    values["directions"] = values["postDirections" if posting else "messageDirections"]
    values["examples"] = values["characterPostExamples" if posting else "characterMessageExamples"]
    return values


def short_knowledge(who: Character) -> list[str]:
    """The knowledge written in the file itself, when it is little enough to be told whole."""
    texts = [item.text for item in who.knowledge if item.text]
    told_whole = len(texts) == len(who.knowledge) and sum(map(len, texts)) <= SHORT_KNOWLEDGE
    return texts if told_whole and not any(item.source for item in who.knowledge) else []


def _plain_bio(values: dict[str, str], who: Character) -> str:
    return values["bio"].removeprefix(f"# About {who.name}\n").strip()


def _some(lines: Sequence[T], count: int, pick: random.Random) -> list[T]:
    return pick.sample(lines, min(len(lines), count))


def _talks(who: Character, pick: random.Random) -> str:
    """Some example conversations, with made-up names for the people in them."""
    talks = []
    for talk in _some([talk for talk in who.message_examples if talk], TALKS, pick):
        people = named(pick)
        talks.append("\n".join(people(_said(line, who.era)) for line in talk))
    return "\n\n".join(talks)


def _said(line: Line, era: str) -> str:
    actions = f" (actions: {', '.join(line.actions)})" if line.actions and era != "v0" else ""
    return f"{line.name}: {line.text}{actions}"
