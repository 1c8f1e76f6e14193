"""What is true of a turn: ACTIONS, PROVIDERS, RECENT_MESSAGES, ENTITIES, KNOWLEDGE, FACTS, TIME and the rest.

Headings and template keys are Eliza's, so that her authors' templates feel at home.
"""

import json

from teehee.plugin import Action, Provided, Spoken, Turn, provider
from teehee_bootstrap.persona import short_knowledge
from teehee_bootstrap.words import headed, listed

HITS, HIT_LENGTH = 5, 1500
FACTS = 6
POSTS = ("FEED", "THREAD")


@provider("ACTIONS", position=-5, stable=True)
async def actions(turn: Turn) -> Provided:
    """What the agent can do, with the arguments each action takes."""
    plain = "\n".join(f"- **{item.name}**: {' '.join(item.description.split())}" for item in turn.actions)
    full = "\n".join(map(_described, turn.actions))
    names = "Possible response actions: " + ", ".join(item.name for item in turn.actions)
    examples = "\n\n".join(
        "\n".join(f"{line.name}: {line.text}" for line in talk) for item in turn.actions for talk in item.examples
    )
    values = {
        "actionNames": names,
        "actions": headed("# Available Actions", plain),
        "actionsWithDescriptions": headed("# Available Actions", plain),
        "actionsWithParams": headed("# Available Actions with Parameters", full),
        "actionExamples": headed("# Action Examples", examples),
    }
    return Provided(headed("# Available Actions", full).strip(), values)


def _described(action: Action) -> str:
    line = f"- **{action.name}**: {' '.join(action.description.split())}"
    if action.arguments is None:
        return line
    fields = action.arguments.model_json_schema().get("properties", {})
    return f"{line}\n  parameters: {json.dumps(fields, ensure_ascii=False)}"


@provider("PROVIDERS", position=-4, stable=True)
async def providers(turn: Turn) -> Provided:
    """What more the agent can look up when it names it."""
    offered = [f"- **{item.name}**: {item.description}" for item in turn.providers if item.dynamic and not item.private]
    told = "\n".join(offered)
    return Provided(headed("# Providers", told).strip(), {"providersWithDescriptions": headed("# Providers", told)})


@provider("EVALUATORS", position=-3, private=True, dynamic=True, gives=(
    "evaluators", "evaluatorNames", "evaluatorExamples", "evaluatorsData",
))  # fmt: skip
async def evaluators(turn: Turn) -> Provided:
    """What the agent looks back on after it spoke."""
    told = ",\n".join(f"'{item.name}: {' '.join(item.description.split())}'" for item in turn.evaluators)
    values = {
        "evaluators": headed("# Available Evaluators", told),
        "evaluatorNames": ",\n".join(f"'{item.name}'" for item in turn.evaluators),
        "evaluatorExamples": "",
        "evaluatorsData": [{"name": item.name, "description": item.description} for item in turn.evaluators],
    }
    return Provided("", values)


@provider("KNOWLEDGE", position=50)
async def knowledge(turn: Turn) -> Provided:
    """What the character's files and texts say about the message."""
    whole = short_knowledge(turn.character)
    found = [] if whole or not turn.character.knowledge else await turn.search(turn.message.text, limit=HITS)
    texts = whole or [item.text[:HIT_LENGTH] for item in found]
    told = "\n".join(f"- {text}" for text in texts)
    values = {
        "knowledge": "\n\n".join(texts) if turn.character.era == "v0" else headed("# Knowledge", told),
        "knowledgeData": [{"text": text} for text in texts],
        "ragKnowledgeData": [{"text": text} for text in texts],
    }
    return Provided("" if whole else headed("# Knowledge", told).strip(), values)


@provider("RECENT_MESSAGES", position=100)
async def recent_messages(turn: Turn) -> Provided:
    """What was said in this room lately, oldest first."""
    lines = "\n".join(map(_line, turn.recent))
    posts = "\n\n".join(f"Name: {line.name}\nText: {line.text}" for line in turn.recent)
    values = {
        "recentMessages": headed("# Conversation Messages", lines),
        "recentPosts": headed("# Posts in Thread", posts),
        "recentMessagesData": [{"name": line.name, "text": line.text} for line in turn.recent],
        "recentMessage": f"{turn.message.name}: {turn.message.text}",
        "senderName": turn.message.name,
        "roomId": turn.message.room_id,
    }
    posting = turn.message.room_type in POSTS
    return Provided(str(values["recentPosts" if posting else "recentMessages"]).strip(), values)


def _line(line: Spoken) -> str:
    return f"{line.name}: {line.text}"


@provider("ENTITIES", position=110, dynamic=True, gives=("entities", "actors", "actorsData"))
async def entities(turn: Turn) -> Provided:
    """Who is in the room: everyone who spoke lately, and the one who speaks now."""
    names = list(dict.fromkeys([turn.character.name, *(line.name for line in turn.recent), turn.message.name]))
    told = "\n".join(f"- {name}" for name in names)
    values = {
        "entities": headed("# People in the Room", told),
        "actors": headed("# Actors", "\n".join(names)),
        "actorsData": [{"name": name} for name in names],
    }
    return Provided(str(values["entities"]).strip(), values)


@provider("FACTS", position=120, dynamic=True, gives=("facts",))
async def facts(turn: Turn) -> Provided:
    """What the agent has come to know in this room."""
    told = "\n".join(f"- {fact.text}" for fact in await turn.recall(table="facts", limit=FACTS))
    return Provided(headed("# Facts", told).strip(), {"facts": told})


@provider("WORLD", position=130, dynamic=True, gives=("worldInfo", "worldName", "currentChannelName"))
async def world(turn: Turn) -> Provided:
    """Where the talk is: the platform and the kind of room."""
    where = f"A {turn.message.room_type} room on {turn.message.source}."
    told = headed("# World Information", where)
    values = {"worldInfo": told, "worldName": turn.message.source, "currentChannelName": turn.message.room_type}
    return Provided(told.strip(), values)


@provider("ANXIETY", position=140, private=True, dynamic=True, gives=("anxiety",))
async def anxiety(turn: Turn) -> Provided:
    """A word of restraint, where a template asks for one."""
    others = [line.name for line in turn.recent[-4:] if not line.own and line.name != turn.message.name]
    crowd = f" {listed(list(dict.fromkeys(others)))} may be talking to each other." if others else ""
    told = headed("# Restraint", f"Say less rather than more; silence is an answer too.{crowd}")
    return Provided("", {"anxiety": told})


@provider("TIME", position=200)
async def time(turn: Turn) -> Provided:
    """The current time, in UTC."""
    said = f"{turn.now:%A, %d %B %Y, %H:%M} UTC"
    return Provided(f"# Time\nIt is {said}.", {"time": said})
