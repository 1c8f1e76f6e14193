"""What a turn says becomes parts: words under the first verb, buttons where there are any, nothing undeclared."""

from teehee.mind import saying
from teehee.mind.saying import Words
from teehee.plugin import Verb
from teehee.wire.messages import Part

SAY, REACT = Verb("telegram.send_message", buttons=True), Verb("telegram.set_reaction")


def test_words_go_under_the_first_verb() -> None:
    assert saying.parts((SAY, REACT), [Words("hello")]) == (Part("telegram.send_message", "", "hello"),)


def test_what_was_done_beside_talking_goes_first() -> None:
    parts = saying.parts((SAY, REACT), [Words("hello")], [Part("telegram.set_reaction", "elsewhere", "👍")])

    assert parts == (Part("telegram.set_reaction", "", "👍"), Part("telegram.send_message", "", "hello"))


def test_an_effect_nobody_declared_for_this_room_is_left_out() -> None:
    assert saying.parts((SAY,), [Words("hello")], [Part("x.post", "", "spam")]) == (
        Part("telegram.send_message", "", "hello"),
    )


def test_choices_are_buttons_where_there_are_buttons_and_lines_elsewhere() -> None:
    words = Words("Shall I?", ("Approve", "Deny"), "owner")

    assert saying.parts((SAY,), [words]) == (
        Part("telegram.send_message", "", "Shall I?", ("Approve", "Deny"), "owner"),
    )
    assert saying.parts((Verb("web.reply"),), [words]) == (Part("web.reply", "", "Shall I?\n\n1. Approve\n2. Deny"),)
