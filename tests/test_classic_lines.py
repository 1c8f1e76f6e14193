from teehee.character import Character, Line, Style
from teehee.mind.classic_lines import read_shelf
from teehee.mind.classic_rules import script

TALK = (
    Line("{{user1}}", "Do you like jam?"),
    Line("Snib", "Only the labels, {{user1}}."),
    Line("{{user1}}", "Why?"),
    Line("Snib", "They were my first book."),
)
SNIB = Character(
    id="",
    name="Snib",
    bio=("Snib sorts books.", "word"),
    lore=("She sorts moths.",),
    topics=("jam labels.", ""),
    adjectives=("gruff",),
    style=Style(all=("be brief",), chat=("ask once",)),
    post_examples=("Closed today.", "Closed today."),
    message_examples=(TALK,),
)
SHELF = read_shelf(SNIB, script())


def test_every_line_is_on_the_shelf_once_under_its_path() -> None:
    assert {line.path: line.text for line in SHELF.lines} == {
        "bio[0]": "I sort books.",
        "lore[0]": "I sort moths.",
        "postExamples[0]": "Closed today.",
        "messageExamples[0][1]": "Only the labels.",
        "messageExamples[0][3]": "They were my first book.",
        "name": "I am Snib.",
    }


def test_topics_adjectives_and_rules_of_style_are_phrases() -> None:
    assert SHELF.short == {
        "topic": (("topics[0]", "jam labels"),),
        "adjective": (("adjectives[0]", "gruff"),),
        "style": (("style.all[0]", "be brief"), ("style.chat[0]", "ask once")),
    }


def test_an_example_knows_its_question_and_its_listener() -> None:
    line = next(line for line in SHELF.lines if line.path == "messageExamples[0][1]")

    assert (line.rule, line.kind) == ("do_you", "example")
    assert line.to("Mia") == "Only the labels, Mia."
    assert line.to("") == "Only the labels."
    assert line.core == "Only the labels"
    assert not line.stands_alone


def test_a_question_is_most_like_itself() -> None:
    paths = {SHELF.lines[at].path: share for at, share in SHELF.similar(["do", "you", "like", "jam"]).items()}

    assert round(paths["messageExamples[0][1]"], 3) == 1.0


def test_lines_are_found_by_what_they_are_about() -> None:
    assert {SHELF.lines[at].path for at in SHELF.about_these(["moth"])} == {"lore[0]"}


def test_a_renamed_character_keeps_its_examples() -> None:
    renamed = Character(id="", name="Other", message_examples=(TALK,))

    assert "Only the labels." in {line.text for line in read_shelf(renamed, script()).lines}
