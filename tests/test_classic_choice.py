from teehee.character import Character, Knowledge, Line
from teehee.mind.classic_choice import Choice, Chooser, Room
from teehee.mind.classic_lines import read_shelf
from teehee.mind.classic_rules import script

WREN = Character(
    id="",
    name="Wren",
    bio=("I keep a chair by the window.", "I count gulls on Sundays."),
    knowledge=(Knowledge("Tea is brewed for four minutes."),),
    topics=("tea", "gulls"),
    message_examples=(
        (Line("{{name1}}", "Hello!"), Line("Wren", "Mind the step, it is older than it looks.")),
        (Line("{{name1}}", "I lost my keys."), Line("Wren", "Keys are Tuesdays. Where did you hear them last?")),
    ),
)
CHOOSER = Chooser(read_shelf(WREN, script()), script())


def choose(text: str, said: str = "", seed: int = 1) -> Choice:
    return CHOOSER.choose(script().hear(text, "Wren"), Room(said, said, seed))


def test_an_example_of_the_question_comes_first() -> None:
    assert choose("hi") == choose("hello")
    assert (choose("hi").line.path, choose("hi").how) == ("messageExamples[0][1]", "answers")


def test_an_example_about_another_thing_stays_away() -> None:
    assert choose("I lost my keys!").how == "answers"
    assert choose("I lost my hat!").line.kind != "example"


def test_a_line_about_the_subject_comes_second() -> None:
    assert (choose("what do you think about gulls?").line.path, choose("gulls?").how) == ("bio[1]", "knows")


def test_a_line_that_suits_the_rule_comes_third() -> None:
    assert (choose("I feel so sad").line.path, choose("I feel so sad").how) == ("bio[0]", "suits")


def test_the_thread_of_the_last_words_is_taken_up() -> None:
    assert choose("why?", "Somebody let the tea stand.").line.path == "knowledge[0]"


def test_what_was_said_waits_until_all_else_is_said() -> None:
    said = "I count gulls on Sundays."

    assert choose("gulls?", said).line.text != said
    everything = "\n".join(line.text for line in read_shelf(WREN, script()).lines)
    assert choose("gulls?", everything).line.text in everything


def test_topics_about_the_matter_come_first_and_fresh_ones_before_others() -> None:
    assert CHOOSER.phrases("topic", ["gull"], Room("gulls", "", 0))[0] == ("topics[1]", "gulls")
    assert CHOOSER.phrases("topic", [], Room("gulls", "", 0))[0] == ("topics[0]", "tea")
