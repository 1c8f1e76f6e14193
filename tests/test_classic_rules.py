import re

from hypothesis import given
from hypothesis import strategies as st

from teehee.mind.classic_rules import SCRIPT, read_script, script

SMALL = """
# a comment
@colour red green
    blue

paint 5 closed from bio
< * my @colour =* / paint ?it
~ painting walls
> First. {line}
+ Second. {line}

rest 1
> Third.
"""


def test_a_script_is_read_as_written() -> None:
    rules, classes = read_script(SMALL)

    assert classes == {"colour": {"red", "green", "blue"}}
    assert [(rule.name, rule.rank, rule.kinds) for rule in rules] == [
        ("paint", 5, ("bio",)),
        ("rest", 1, ("bio", "lore", "post", "knowledge")),
    ]
    assert rules[0].flags == {"closed"}
    assert len(rules[0].heard) == 2
    assert rules[0].cues == {"paint", "wall"}
    assert (rules[0].says, rules[0].knows) == (("First. {line}",), ("Second. {line}",))


def test_every_answer_of_our_script_can_be_given() -> None:
    rules, _ = read_script(SCRIPT.read_text(encoding="utf-8"))
    slots = ("{line}", "{topic}", "{style}", "{name}")

    assert len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        assert len(rule.says) > 1, rule.name
        assert all(any(slot in text for slot in slots) for text in rule.says + rule.knows), rule.name
        assert any(set(re.findall(r"{(\w+)}", text)) <= {"line", "name", "you", "1"} for text in rule.says), rule.name


def test_the_highest_rank_is_heard_whatever_the_order() -> None:
    assert script().hear("hello, my mother is sad").rule.name == "kin"
    assert script().hear("I feel sad, hello").rule.name == "low"


def test_what_was_captured_can_be_echoed() -> None:
    heard = script().hear("I can't find my way to you")

    assert heard.echo(1) == ""
    assert script().hear("I can't reach my brother's house").echo(1) == "reach your brother's house"
    assert script().hear("my old red bike is broken").noun() == "old red bike"


@given(st.text())
def test_any_text_is_heard_as_something(text: str) -> None:
    heard = script().hear(text, "Wren")

    assert heard.rule.says
    assert len(heard.echo(1)) <= 80
