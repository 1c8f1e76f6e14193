"""Every state key of Eliza's 0.x and 1.x resolves in a template, filled by the provider that docs/eliza.md names."""

import re
from pathlib import Path

import pytest

from teehee import registry
from teehee.character import loads
from teehee.mind import prompt
from teehee.mind.preview import known_keys, preview
from teehee.plugin import Spoken

# reference: elizaOS plugin-bootstrap 1.7.2 providers, core 0.25.9 composeState
V1 = (
    "agentName bio system topic topics adjective messageDirections postDirections directions examples"
    " characterPostExamples characterMessageExamples recentMessages recentPosts recentInteractions"
    " recentMessageInteractions recentPostInteractions recentActionResults recentMessage actionNames"
    " actionsWithDescriptions actionsWithParams actionExamples providers providersWithDescriptions evaluators"
    " evaluatorNames evaluatorExamples evaluatorsData entities facts relationships roles settings tasks attachments"
    " time worldName currentChannelName worldInfo anxiety hasActionResults hasActionPlan currentActionStep"
    " totalActionSteps actionResults completedActions failedActions senderName"
).split()
V0 = (
    "agentId agentName bio lore adjective topic topics characterPostExamples characterMessageExamples"
    " messageDirections postDirections senderName actors actorsData roomId goals goalsData recentMessages"
    " recentMessagesData recentPosts attachments knowledge knowledgeData ragKnowledgeData recentInteractions"
    " recentInteractionsData recentMessageInteractions recentPostInteractions actionNames actions actionExamples"
    " evaluators evaluatorNames evaluatorExamples providers"
).split()
NEVER_FILLED = {*prompt.UNFILLED, "evaluatorExamples"}
NEEDS_MORE = {  # empty for an agent without evaluators, facts, or actions that come with examples
    *("actionExamples", "evaluators", "evaluatorNames", "evaluatorsData", "facts"),
}
ADA = """{"name": "Ada", %s "bio": ["A machinist."], "system": "Be kind.", "topics": ["trains", "looms"],
 "adjectives": ["wry"], "style": {"all": ["short"], "post": ["dry"]}, "postExamples": ["a post"],
 "knowledge": ["Tea is brewed for four minutes."],
 "messageExamples": [[{"%s": "{{%s1}}", "content": {"text": "hi"}}, {"%s": "Ada", "content": {"text": "yo"}}]],
 "templates": {"messageHandlerTemplate": "%s"}}"""


def ada(era: str, template: str) -> str:
    if era == "v0":
        return ADA % ('"lore": ["Born on a train."], "clients": [],', "user", "user", "user", template)
    return ADA % ("", "name", "name", "name", template)


async def rendered(era: str, template: str) -> tuple[str, tuple[str, ...]]:
    [character] = loads(ada(era, template), "ada.json")
    past = (Spoken("Sam", "Morning.", own=False), Spoken("Ada", "Is it?", own=True))
    shown = await preview(character, registry.installed(), "How long is tea brewed?", "GROUP", 1_790_000_000_000, past)
    return shown.chat[1]["content"].split("\n\n# Received Message")[0], shown.unknown_keys


@pytest.mark.parametrize(
    ("era", "key"), [("v1", key) for key in dict.fromkeys(V1)] + [("v0", key) for key in dict.fromkeys(V0)]
)
async def test_a_state_key_resolves(era: str, key: str) -> None:
    text, unknown = await rendered(era, f"<{{{{{key}}}}}>")

    assert unknown == ()
    assert re.fullmatch(r"<.*>", text, re.DOTALL)
    assert "{{" not in text
    value = text[1:-1]
    if key not in NEVER_FILLED | NEEDS_MORE:
        assert value.strip(), f"{key} is said to be filled"


async def test_a_key_nothing_fills_is_told() -> None:
    _, unknown = await rendered("v1", "{{agentName}} {{favouriteColour}}")

    assert unknown == ("favouriteColour",)


async def test_headings_stay_where_authors_expect_them() -> None:
    text, _ = await rendered("v1", "{{bio}}|{{messageDirections}}|{{recentMessages}}|{{actionNames}}|{{entities}}")

    bio, directions, _, names, people = text.split("|")
    assert bio.startswith("# About Ada\n")
    assert directions.startswith("# Message Directions for Ada\nshort")
    assert names.startswith("Possible response actions: ")
    assert people.startswith("# People in the Room\n")


def test_the_docs_tell_of_every_key() -> None:
    told = (Path(__file__).parents[1] / "docs" / "eliza.md").read_text(encoding="utf-8")
    table = told.split("Every state key of either era is a value here:")[1].split("Where our text differs")[0]

    assert {*V0, *V1} <= set(re.findall(r"\w+", table))
    assert set(prompt.UNFILLED) <= known_keys({})
