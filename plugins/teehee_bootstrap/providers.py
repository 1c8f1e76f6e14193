"""CHARACTER, ACTIONS, PROVIDERS, RECENT_MESSAGES, TIME: headings are Eliza's, so that templates feel at home."""

import json
import random
import re
from collections.abc import Sequence

from teehee.plugin import Character, Provided, Turn, provider

BIO_LINES, LORE_LINES, TOPICS, EXAMPLES, POSTS = 10, 10, 5, 5, 10
NAMES = ("Ari", "Bo", "Cleo", "Dara", "Eli", "Finn", "Gus", "Hana")
PLACEHOLDER = re.compile(r"\{\{\s*(?:user|name)(\d+)\s*\}\}")
POST_ROOMS = ("FEED", "THREAD")


@provider("CHARACTER", position=-10, stable=True)
async def character(turn: Turn) -> Provided:
    """Who the agent is: bio, lore, topics, style, examples."""
    who, pick = turn.character, turn.sample
    posting = turn.message.room_type in POST_ROOMS
    style = (*who.style.all, *(who.style.post if posting else who.style.chat))
    topics = pick.sample(who.topics, min(len(who.topics), TOPICS + 1))
    bio = " ".join(who.bio if who.bio_is_whole else _some(who.bio, BIO_LINES, pick))
    values = {
        "agentName": who.name,
        "system": who.system,
        "bio": bio,
        "lore": "\n".join(_some(who.lore, LORE_LINES, pick)),
        "adjective": pick.choice(who.adjectives) if who.adjectives else "",
        "topic": topics[0] if topics else "",
        "topics": ", ".join(topics[1:]),
        "messageDirections": "\n".join(f"- {line}" for line in style),
        "knowledge": "\n".join(f"- {line}" for line in who.knowledge[:12]),
        "characterMessageExamples": _examples(who, pick),
        "characterPostExamples": "\n".join(_some(who.post_examples, POSTS, pick)),
    }
    sections = [
        ("", who.system),
        (f"# About {who.name}", "\n".join(filter(None, (bio, values["lore"])))),
        ("", f"{who.name} is {values['adjective']}." if values["adjective"] else ""),
        ("", f"{who.name} is currently interested in {values['topic']}." if values["topic"] else ""),
        ("", f"{who.name} also likes {values['topics']}." if values["topics"] else ""),
        ("# Knowledge", values["knowledge"]),
        _shown_examples(who.name, values, posting=posting),
        (f"# {'Post' if posting else 'Message'} Directions for {who.name}", values["messageDirections"]),
    ]
    text = "\n\n".join("\n".join(filter(None, section)) for section in sections if section[1])
    return Provided(text, values)


@provider("ACTIONS", position=-5, stable=True)
async def actions(turn: Turn) -> Provided:
    """What the agent can do, with the arguments each action takes."""
    lines = []
    for item in turn.actions:
        lines.append(f"- **{item.name}**: {' '.join(item.description.split())}")
        if item.arguments is not None:
            fields = item.arguments.model_json_schema().get("properties", {})
            lines.append(f"  parameters: {json.dumps(fields, ensure_ascii=False)}")
    names = ", ".join(item.name for item in turn.actions)
    return Provided("# Available Actions\n" + "\n".join(lines), {"actionNames": names, "actions": names})


@provider("PROVIDERS", position=-4, stable=True)
async def providers(turn: Turn) -> Provided:
    """What more the agent can look up when it names it."""
    offered = [f"- **{item.name}**: {item.description}" for item in turn.providers if item.dynamic and not item.private]
    text = "# Providers\n" + "\n".join(offered) if offered else ""
    return Provided(text, {"providersWithDescriptions": "\n".join(offered)})


@provider("RECENT_MESSAGES", position=100)
async def recent_messages(turn: Turn) -> Provided:
    """What was said in this room lately, oldest first."""
    lines = "\n".join(f"{line.name}: {line.text}" for line in turn.recent)
    values = {"recentMessages": lines, "senderName": turn.message.name, "recentMessage": turn.message.text}
    return Provided(f"# Conversation Messages\n{lines}" if lines else "", values)


@provider("TIME", position=200)
async def time(turn: Turn) -> Provided:
    """The current time, in UTC."""
    said = f"{turn.now:%A, %d %B %Y, %H:%M} UTC"
    return Provided(f"# Time\nIt is {said}.", {"time": said})


def _some(lines: Sequence[str], count: int, pick: random.Random) -> list[str]:
    chosen = list(lines)
    pick.shuffle(chosen)
    return chosen[:count]


def _shown_examples(name: str, values: dict[str, str], *, posting: bool) -> tuple[str, str]:
    if posting:
        return (f"# Example Posts for {name}", values["characterPostExamples"])
    return (f"# Example Conversations for {name}", values["characterMessageExamples"])


def _examples(who: Character, pick: random.Random) -> str:
    """Some example conversations, with made-up names for the people in them."""
    chosen = pick.sample(who.message_examples, min(len(who.message_examples), EXAMPLES))
    talks = []
    for talk in chosen:
        names = pick.sample(NAMES, len(NAMES))
        lines = []
        for line in talk:
            actions_named = f" (actions: {', '.join(line.actions)})" if line.actions else ""
            lines.append(_named(f"{line.name}: {line.text}{actions_named}", names))
        talks.append("\n".join(lines))
    return "\n\n".join(talks)


def _named(text: str, names: Sequence[str]) -> str:
    return PLACEHOLDER.sub(lambda found: names[(int(found[1]) - 1) % len(names)], text)
