import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.mind.classic_voice import MAX_LINE, YOU, Voice, pieces, unaddressed, whole

SNIB = Voice("Snib", ["She files books.", "Snib likes her moths."])


def spoken(line: str) -> str:
    return whole(SNIB.own(line, is_about_agent=True))


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("Snib is a goblin.", "I am a goblin."),
        (
            "She stands tall in her boots and insists that they count.",
            "I stand tall in my boots and insist that they count.",
        ),
        ("Snib rarely sleeps, and she has tried.", "I rarely sleep, and I have tried."),
        ("The moths elected Snib their mayor.", "The moths elected me their mayor."),
        ("Nobody gets lost in Snib's stacks.", "Nobody gets lost in my stacks."),
        ("Even Snib only dusts it.", "Even I only dust it."),
        ("believes in tea", "I believe in tea."),
        ("a goblin who sorts books", "I am a goblin who sorts books."),
        ("once sued a comet", "I once sued a comet."),
        ("They call her the Snib.", "They call me the Snib."),
        ("former pirate", "I am a former pirate."),
        ("obsessed with jam 🍓", "I am obsessed with jam."),
        ("A library is a quiet place.", "A library is a quiet place."),
        ("{{agentName}} keeps bees", "I keep bees."),
        ("I charge fines in buttons.", "I charge fines in buttons."),
    ],
)
def test_a_line_about_the_agent_is_turned_to_i(line: str, own: str) -> None:
    assert spoken(line) == own


def test_a_line_about_the_world_keeps_its_words() -> None:
    assert SNIB.own("She was the first to map the moon.", is_about_agent=False) == "She was the first to map the moon."


@pytest.mark.parametrize(
    ("line", "silent", "called"),
    [
        ("Hello {{user1}}!", "Hello!", f"Hello {YOU}!"),
        ("Come in, {{name1}}, sit.", "Come in, sit.", f"Come in, {YOU}, sit."),
        ("{{user1}}, sit down.", "sit down.", f"{YOU}, sit down."),
        ("{{user1}} owes me rent.", "Somebody owes me rent.", f"{YOU} owes me rent."),
        ("I told {{user1}} so.", "I told you so.", ""),
        ("This is {{user2}}'s hat.", "This is your hat.", ""),
        ("So it is, {{unknown}}.", "So it is.", ""),
        ("Plain.", "Plain.", ""),
    ],
)
def test_a_placeholder_becomes_a_name_or_vanishes(line: str, silent: str, called: str) -> None:
    assert unaddressed(line) == (silent, called)


def test_a_long_line_comes_in_whole_sentences() -> None:
    found = pieces("One is short. " * 40 + "word " * 100)

    assert all(len(piece) <= MAX_LINE for piece in found)
    assert found[0].endswith("One is short.")
    assert found[-1].endswith("…")


@given(st.text(), st.text(min_size=1))
def test_any_line_can_be_spoken(line: str, name: str) -> None:
    own = Voice(name, [line]).own(line, is_about_agent=True)

    for text in unaddressed(own):
        assert "{{" not in text
        assert all(whole(piece) == piece for piece in pieces(text))
