"""Character templates: what Eliza prints, what we print instead on purpose; and no template fails or costs much."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import EXAMPLES
from teehee.mind import template as templates
from teehee.mind.template import NESTING, OUTPUT_LENGTH, STEPS, TEMPLATE_LENGTH, mentioned, render, with_names

Json = Any

VECTORS = Path(__file__).parent / "vectors" / "templates"
LETTERS = list("abcdefghij") * 100
# What templates are made of, whole and broken.
FRAGMENTS = (
    *("{{a}}", "{{ b }}", "{{{c}}}", "{{&a}}", "{{~a~}}", "{{a.b}}", "{{../a}}", "{{this}}", "{{.}}", "{{@index}}"),
    *("{{#each a}}", "{{#each b as |c d|}}", "{{/each}}", "{{#if a}}", "{{/if}}", "{{else}}", "{{else if b}}", "{{^}}"),
    *("{{#with a}}", "{{/with}}", "{{#unless b}}", "{{/unless}}", "{{#a}}", "{{^a}}", "{{/a}}", "{{#c}}", "{{/c}}"),
    *("{{lookup a b}}", "{{lookup a (lookup b 0)}}", "{{log a}}", "{{f a b=1}}", "{{> a}}", "{{#> a}}", "{{#*a}}"),
    *("{{! x }}", "{{!-- x --}}", "{{!--", "--}}", "{{!", "\\{{a}}", "\\\\{{b}}", "\\", "{{{{a}}}}", "{{{{/a}}}}"),
    *("{{", "}}", "{{{", "}}}", "{", "}", "{{~", "~}}", "{{#", "{{/", "{{^", "{{&", "{{>", "{{@", "{{[", "]}}"),
    *("(", ")", "[", "]", '"', "'", "=", "|", " as |", "..", ".", "/", "@", "a", "b", "c", "this", "0", "-1.5", "null"),
    *(" ", "\n", "\r\n", "\t", "\n  ", "x", "é", "\x00", "\ud800", "constructor", "__proto__", "__class__", "length"),
)
KEYS = st.sampled_from(["a", "b", "c", "d", "0", "length", "this", "@index", "", "constructor"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["{{a}}", "{{#if"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TEMPLATES = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=24).map("".join)


def cases(file: str, era: str) -> list[Any]:
    found = json.loads((VECTORS / file).read_text(encoding="utf-8"))
    return [pytest.param({"era": era, **case}, id=case["name"]) for case in found if case.get("era", era) == era]


def told(**values: Json) -> str:
    return render("{{value}}", values)


@pytest.mark.parametrize("case", cases("v1.json", "v1"))
def test_it_prints_what_eliza_1_7_prints(case: dict[str, Json]) -> None:
    assert render(case["template"], case["values"]) == case["expected"]


@pytest.mark.parametrize("case", cases("v0.json", "v0"))
def test_it_prints_what_eliza_0_25_prints(case: dict[str, Json]) -> None:
    assert render(case["template"], case["values"], "v0") == case["expected"]


@pytest.mark.parametrize("case", cases("deviations.json", "v1") + cases("deviations.json", "v0"))
def test_it_differs_on_purpose(case: dict[str, Json]) -> None:
    printed = render(case["template"], case["values"], case["era"])

    assert printed == case["expected"]
    assert printed != case.get("eliza")
    assert case["why"]


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(cases("v1.json", "v1")) >= 250
    assert len(cases("v0.json", "v0")) >= 40


def test_values_are_never_rendered_again() -> None:
    values = {"a": "{{b}} {{#if b}}yes{{/if}}", "b": "{{a}}"}

    assert render("{{a}}|{{#each l}}{{this}}{{/each}}", values | {"l": ["{{a}}"]}) == "{{b}} {{#if b}}yes{{/if}}|{{a}}"
    assert render("{{a}}", values, "v0") == values["a"]


def test_numbers_print_as_in_javascript_where_they_are_of_common_size() -> None:
    printed = [told(value=value) for value in (1.0, -0.5, 0, 10**20, 1e300, True, False, [1.0, [2, None]])]

    assert printed == ["1", "-0.5", "0", "100000000000000000000", "1e+300", "true", "false", "1,2,"]


def test_what_is_no_json_prints_nothing() -> None:
    circle: dict[str, Json] = {}
    circle["a"] = circle
    odd: list[Json] = [object(), b"x", circle, {"a": object()}, 10**5000, {"a"}, render]

    assert [told(value=value) for value in odd] == [""] * len(odd)


def test_attributes_of_values_are_out_of_reach() -> None:
    class Thing(dict[str, Json]):
        secret = "s3cret"

    template = "{{thing.secret}}{{thing.__class__}}{{thing.keys}}{{lookup thing 'secret'}}{{text.upper}}{{list.append}}"

    assert render(template, {"thing": Thing(), "text": "x", "list": [1]}) == ""


def test_mentioned_names_the_first_keys() -> None:
    template = """{{bio}} {{{ style.all }}} {{#if topics}}{{#each people}}{{name}} {{../place.city}}{{/each}}
        {{else}}{{&lore}}{{/if}} {{lookup this "facts"}} {{lookup map (lookup keys 0)}} {{@root.time}} {{[a b]}}
        {{#posts}}{{@index}}{{.}}{{/posts}}{{^goals}}{{> partial}}{{! comment }}{{/goals}} {{shout word tone=mood}}"""

    assert mentioned(template) == {
        *("bio", "style", "topics", "people", "name", "place", "lore", "facts", "map", "keys", "time", "a b"),
        *("posts", "goals", "word"),
    }


def test_mentioned_reads_a_broken_template_as_v0_would() -> None:
    assert mentioned("{{#if a}}{{b}} {{c.d}} {{e}}") == {"b", "e"}
    assert mentioned("\\{{a}} {{b}} {{#if c}}{{else}}{{/if}}") == {"b", "c"}
    assert mentioned("\\{{a}} {{b}} {{#if c}}{{else}}{{/if}}", "v0") == {"a", "b", "else"}


def test_a_number_is_the_same_name_in_both_forms() -> None:
    text = "{{name1}}: hi {{user2}}\n{{user1}}: hi {{name2}}"

    assert with_names(text, ["Ada", "Bo"]) == "Ada: hi Bo\nAda: hi Bo"


def test_a_number_without_a_name_stays() -> None:
    assert with_names("{{name0}} {{name3}} {{user11}} {{name01}} {{ name1 }} {{{name1}}}", ["Ada", "Bo"]) == (
        "{{name0}} {{name3}} {{user11}} {{name01}} {{ name1 }} {Ada}"
    )
    assert with_names("{{name10}} {{user1}}", list("abcdefghijk")) == "j a"


def test_a_name_is_not_replaced_again() -> None:
    assert with_names("{{name1}} {{name2}}", ["{{name2}}", r"\1"]) == r"{{name2}} \1"


@pytest.mark.timeout(300)
@settings(max_examples=EXAMPLES // 8, deadline=None)
@given(template=TEMPLATES, values=st.dictionaries(KEYS, VALUES, max_size=5), era=st.sampled_from(["v1", "v0"]))
def test_no_template_fails(template: str, values: dict[str, Json], era: str) -> None:
    printed = render(template, values, era)

    assert len(printed) <= OUTPUT_LENGTH
    assert isinstance(mentioned(template), frozenset)
    assert isinstance(with_names(printed, ["Ada"]), str)


@settings(max_examples=EXAMPLES // 10, deadline=None)
@given(template=st.text(st.characters(exclude_characters="{\\")), values=st.dictionaries(KEYS, VALUES, max_size=3))
def test_text_without_tags_stays_as_it_is(template: str, values: dict[str, Json]) -> None:
    assert render(template, values) == render(template, values, "v0") == template


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "fragment",
    [
        *FRAGMENTS,
        *(
            "{{a}} \n",
            "\n{{!-- x",
            "{{a ",
            '{{a "',
            '{{"\\"',
            "{{((",
            "{{#if (",
            "{{#each a as |",
            "{{a b=",
            "{{a[",
            "{{[\\]",
        ),
        *(
            "{{#if a}}{{/if}}",
            "{{#if a}}\n",
            "{{#a}}{{else}}",
            "{{a a a a}}",
            "{{ \n",
            "{{ else",
            "{{a.b.c.d",
            "{{{{a ",
            "{{~a",
        ),
    ],
)
def test_a_long_hostile_template_is_read_in_time(fragment: str) -> None:
    template = fragment * (TEMPLATE_LENGTH // len(fragment) - 1)

    for end in ("", "}}"):
        assert len(render(template + end, {"a": LETTERS, "b": "b", "c": {"d": 1}})) <= OUTPUT_LENGTH
    assert isinstance(mentioned(template), frozenset)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "inside",
    [
        *(
            "",
            "x",
            "{{this}}",
            "{{@root.a}}",
            "{{@root}}",
            "{{#if b}}{{/if}}" * 1000,
            "{{b}}" * 10_000,
            "{{lookup @root @root}}",
        ),
        *("{{@root." + ".".join("c" * 200) + "}}", "{{#if " + "(lookup " * 20 + "@root" + ' "c")' * 20 + "}}{{/if}}"),
        *(
            "{{#with @root}}" * 50 + "{{b}}" + "{{/with}}" * 50,
            "{{#each @root.a}}" * 20 + "{{this}}" + "{{/each}}" * 20,
        ),
    ],
)
def test_loops_in_loops_end_where_the_steps_are_used_up(inside: str) -> None:
    deep: dict[str, Json] = {}
    for _ in range(200):
        deep = {"c": deep}

    printed = render("{{#each a}}{{#each @root.a}}{{#each @root.a}}" + inside + "{{/each}}" * 3, {"a": LETTERS, **deep})

    assert len(printed) <= OUTPUT_LENGTH


def test_a_loop_within_bounds_is_whole() -> None:
    assert render("{{#each a}}<{{this}}>{{/each}}", {"a": LETTERS}) == "".join(f"<{letter}>" for letter in LETTERS)


def test_a_loop_past_the_steps_is_cut() -> None:
    printed = render("{{#each a}}x{{/each}}!", {"a": [0] * STEPS})

    assert STEPS // 3 < len(printed) < STEPS
    assert set(printed) == {"x"}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("era", ["v1", "v0"])
def test_the_output_is_cut(era: str) -> None:
    huge = "x" * (OUTPUT_LENGTH - 1)

    assert render("{{a}}yz", {"a": huge}, era) == huge + "y"
    assert len(render("{{a}}" * 10_000, {"a": huge}, era)) == OUTPUT_LENGTH


@pytest.mark.timeout(10)
@pytest.mark.parametrize("depth", [100, 10_000])
def test_deep_and_circular_values_print_in_time(depth: int) -> None:
    nested: Json = []
    mapped: Json = {}
    circle: list[Json] = []
    circle.extend([circle] * 10)
    for _ in range(depth):
        nested, mapped = [nested], {"a": mapped}

    for value in (nested, mapped, circle):
        assert len(render("{{a}}" * 10_000, {"a": value})) <= OUTPUT_LENGTH


def test_blocks_nest_as_deep_as_allowed() -> None:
    def nested(depth: int) -> str:
        return "{{#if a}}" * depth + "{{a}}" + "{{/if}}" * depth

    assert render(nested(NESTING), {"a": "x"}) == "x"
    assert render(nested(NESTING + 2), {"a": "x"}) == nested(NESTING + 2).replace("{{a}}", "x")


def test_a_template_past_its_length_has_only_its_plain_keys_filled_in() -> None:
    long = "{{#if a}}{{a}}{{/if}}" + "." * TEMPLATE_LENGTH

    assert render(long, {"a": "x"}).startswith("{{#if a}}x{{/if}}.")
    assert mentioned(long) == {"a"}


def test_a_tag_past_its_length_does_not_parse() -> None:
    assert render("{{a" + " " * templates.TAG_LENGTH + "}}", {"a": "x"}) == "x", "space does not count"
    assert render("{{b}}{{a." + "b." * templates.TAG_LENGTH + "c}}", {"b": "x"}).startswith("x{{a.")


def test_brackets_in_brackets_end() -> None:
    for count in (10, 100, 490):
        template = "{{#if " + "(a " * count + ")" * count + "}}x{{/if}}"

        assert render(template, {"a": "x"}) in ("", template)
