"""The prompt: what rarely changes first, the message last, a character's own template in its place."""

from dataclasses import replace

import pytest

from teehee.mind import prompt
from teehee.plugin import Character, State
from teehee.testing import fake_turn

STABLE = State({"CHARACTER": "# About Ada\nA machinist.", "ACTIONS": "# Actions\n- REPLY"}, {"bio": "A machinist."})
FRESH = State({"RECENT_MESSAGES": "# Conversation Messages\nSam: hey", "TIME": "# Time\nNoon."}, {"time": "noon"})


def test_stable_parts_come_first_and_the_message_last() -> None:
    system, user = prompt.compose(fake_turn("how are you?"), STABLE, FRESH)

    assert system["role"] == "system"
    assert system["content"].startswith("# About Ada\nA machinist.\n\n# Actions\n- REPLY\n\n# How to answer\n")
    assert user == {
        "role": "user",
        "content": "# Conversation Messages\nSam: hey\n\n# Time\nNoon.\n\n# Received Message\nSam: how are you?",
    }


def test_nothing_of_the_turn_is_in_the_stable_part() -> None:
    one, other = (prompt.compose(fake_turn(text, name=text), STABLE, FRESH)[0] for text in ("abc", "xyz"))

    assert one == other


def test_a_reason_to_ask_again_stands_at_the_end() -> None:
    _, user = prompt.compose(fake_turn("hello"), STABLE, FRESH, "there was no block")

    assert user["content"].endswith(
        "Sam: hello\n\nYour last answer could not be used: there was no block. "
        "Answer again with exactly one <response> block as described."
    )


def test_a_provider_that_tells_nothing_leaves_no_gap() -> None:
    _, user = prompt.compose(fake_turn("hello"), STABLE, State({"A": "", "B": "text", "C": ""}))

    assert user["content"] == "text\n\n# Received Message\nSam: hello"


@pytest.mark.parametrize("name", ["messageHandlerTemplate", "replyTemplate"])
def test_a_characters_own_template_is_rendered(name: str) -> None:
    template = "I am {{agentName}}{{ bio }} at {{{time}}}.{{unknown}}\n{{providers}}"
    turn = fake_turn("hello", character=Character("a", "Ada", system="Be kind.", templates={name: template}))

    system, user = prompt.compose(turn, replace(STABLE, values={**STABLE.values, "agentName": "Ada: "}), FRESH)

    assert system["content"].startswith("Be kind.\n\n# How to answer\n")
    assert user["content"].startswith("I am Ada: A machinist. at noon.\n# About Ada\nA machinist.")
    assert user["content"].endswith("# Received Message\nSam: hello")


def test_our_instructions_name_the_agent() -> None:
    lines = prompt.instructions("Ada")

    assert "Decide as Ada and write one block, nothing before or after it:" in lines
    assert not [line for line in lines if "{name}" in line]


@pytest.mark.parametrize(
    ("source", "templates", "chosen"),
    [
        ("telegram", ("telegramMessageHandlerTemplate", "messageHandlerTemplate", "replyTemplate"), 0),
        ("terminal", ("telegramMessageHandlerTemplate", "messageHandlerTemplate", "replyTemplate"), 1),
        ("x", ("twitterMessageHandlerTemplate", "replyTemplate"), 0),
        ("terminal", ("shouldRespondTemplate", "replyTemplate"), 1),
    ],
)
def test_the_template_of_the_platform_comes_first(source: str, templates: tuple[str, ...], chosen: int) -> None:
    character = Character("a", "Ada", templates={name: name for name in templates})

    assert prompt.arrangement(character, source) == templates[chosen]


def test_people_named_by_number_get_a_name_that_lasts_the_day() -> None:
    turn = fake_turn("hello", character=Character("a", "Ada", templates={"replyTemplate": "{{recentMessages}}"}))
    fresh = State({}, {"recentMessages": "{{name1}} and {{user2}} and {{name1}}"})

    one, other = (prompt.compose(turn, STABLE, fresh)[1]["content"] for _ in range(2))

    assert one == other
    first, _, second, _, third = one.splitlines()[0].split()
    assert first == third != second
    assert first in prompt.PEOPLE
