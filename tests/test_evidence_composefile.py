"""Docker Compose files: YAML that every reader understands alike, and the paths behind what is mounted."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from tee_vectors import parsed_or_refused, refused
from teehee.evidence import composefile
from teehee.evidence.composefile import Mount


def bomb(width: int, depth: int) -> str:
    """Lists of lists of lists, each an alias of the one before."""
    lines = [f"a0: &a0 [{','.join('x' * width)}]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * width)}]" for i in range(1, depth)]
    return "\n".join(lines)


def merge_of_two(i: int) -> str:
    return f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n"


# What is read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b", {"a": "b"}),
        ("a: yes", {"a": "yes"}),
        ("a: 22:22", {"a": "22:22"}),
        ("a: 0x1F", {"a": "0x1F"}),
        ("a: 2026-08-13", {"a": "2026-08-13"}),
        ("a: null\nb: ~\nc:\nd: ''", {"a": None, "b": None, "c": None, "d": ""}),
        ("a: 'null'", {"a": "null"}),
        ("- a\n- [b, {c: d}]", ["a", ["b", {"c": "d"}]]),
        ("---\na: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("a: &x [1]\nb: *x", {"a": ["1"], "b": ["1"]}),
        ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", {"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "3"}}),
        ("y: {<<: [{a: 1}, {a: 2, c: 4}], b: 3}", {"y": {"a": "1", "c": "4", "b": "3"}}),
        ("'é': \"\\u20ac\"", {"é": "€"}),
        ("just words", "just words"),
    ],
)
def test_a_scalar_stays_the_text_it_is(text: str, value: Any) -> None:
    assert composefile.read(text) == value


MALFORMED: dict[str, tuple[str, str, str]] = {
    "nul": ("composefile.1", "got '\\x00' at 1", "a\x00"),
    "next_line": ("composefile.1", "got '\\x85'", "a: b\x85c: d"),
    "line_separator": ("composefile.1", "got '\\u2028'", "a: b\u2028c: d"),
    "byte_order_mark": ("composefile.1", "got '\\ufeff' at 0", "\ufeffa: b"),
    "half_a_character": ("composefile.1", "got '\\ud800'", "\ud800"),
    "nothing": ("composefile.2", "expected a document, got none", ""),
    "comment": ("composefile.2", "expected a document, got none", "# a\n"),
    "tab": ("composefile.2", "expected YAML", "a:\n\tb: c"),
    "unclosed": ("composefile.2", "expected YAML", "a: [b"),
    "two_documents": ("composefile.2", "another behind it", "a: b\n---\nc: d"),
    "two_documents_the_second_broken": ("composefile.2", "expected YAML", "a: b\n...\n]"),
    "directive": ("composefile.3", "no directives", "%YAML 1.2\n---\na: b"),
    "tag_directive": ("composefile.3", "no directives", "%TAG ! tag:x,2026:\n---\na: b"),
    "unknown_directive": ("composefile.3", "no directives", "%FOO\n---\na: b"),
    "tag": ("composefile.3", "got tag 'tag:yaml.org,2002:str'", "a: !!str b"),
    "tag_of_compose": ("composefile.3", "got tag '!reset'", "a: !reset null"),
    "tag_without_name": ("composefile.3", "got tag '!'", "a: ! b"),
    "tag_of_python": ("composefile.3", "python/object", "a: !!python/object/apply:os.system [id]"),
    "tag_of_a_list": ("composefile.3", "got tag", "a: !!set [b]"),
    "anchor_twice": ("composefile.3", "anchor 'x' again", "a: &x 1\nb: &x 2"),
    "alias_of_nothing": ("composefile.3", "anchor before its alias 'x'", "a: *x"),
    "alias_of_itself": ("composefile.3", "anchor before its alias 'x'", "a: &x [*x]"),
    "alias_of_itself_by_merging": ("composefile.3", "anchor before its alias 'x'", "a: &x {<<: *x}"),
    "too_deep": ("composefile.4", "32 deep", "[" * 34 + "]" * 34),
    "too_deep_by_aliases": ("composefile.4", "32 deep", bomb(1, 40)),
    "too_many": ("composefile.4", "at most 20000 nodes", "[" + "a," * 20_001 + "]"),
    "too_many_by_aliases": ("composefile.4", "at most 20000 nodes", bomb(10, 6)),
    "too_long_by_aliases": ("composefile.4", "at most 20000 nodes", f"a: &a {'x' * 9_000}\nb: [{'*a,' * 250}]"),
    "key_twice": ("composefile.5", "got 'a'", "a: b\na: c"),
    "key_twice_by_quotes": ("composefile.5", "got 'a'", "a: b\n'a': c"),
    "key_of_a_list": ("composefile.5", "got ['a']", "? [a]\n: b"),
    "key_null": ("composefile.5", "got None", "~: b"),
    "merge_of_a_text": ("composefile.5", "merge objects", "<<: b"),
    "merge_of_texts": ("composefile.5", "merge objects", "<<: [b]"),
    "merge_twice": ("composefile.5", "got '<<'", "<<: {a: 1}\n<<: {b: 2}"),
    "merge_in_quotes": ("composefile.5", "got '<<'", '"<<": {a: 1}'),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_readers_disagree_on_is_refused_by_name(name: str) -> None:
    step, says, text = MALFORMED[name]

    refused(step, says, composefile.read, text)


# What is in it


@pytest.mark.parametrize("value", ["true", "yes", "on", "1", "TRUE", "${X}", "what", [], {}])
def test_what_docker_may_take_for_true_is_true(value: Any) -> None:
    assert composefile.is_true(value)


@pytest.mark.parametrize("value", [None, "", "false", "False", "no", "off", "0", "n"])
def test_a_plain_no_is_no(value: Any) -> None:
    assert not composefile.is_true(value)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("$A", True),
        ("${A}", True),
        ("a$_", True),
        ("$$A", False),
        ("$$$A", True),
        ("$", False),
        ("$1", False),
        ("", False),
    ],
)
def test_a_dollar_makes_a_variable_unless_doubled(text: str, has: bool) -> None:
    assert composefile.has_variable(text) is has


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/var/run/dstack.sock", "/run/dstack.sock"),
        ("/var/run", "/run"),
        ("/var/running", "/var/running"),
        ("//var//run/./x/..", "/run"),
        ("/var/lib/../run/docker.sock", "/run/docker.sock"),
        ("./data", "/dstack/data"),
        ("../etc", "/etc"),
        ("../../../../etc", "/etc"),
        ("~", "/root"),
        ("~/../var/lib/docker", "/var/lib/docker"),
        ("/", "/"),
        ("", "/dstack"),
    ],
)
def test_a_path_has_one_form(path: str, normal: str) -> None:
    assert composefile.normal_path(path) == normal


BOUND = {"driver_opts": {"type": "none", "o": "bind", "device": "/var/lib/docker"}}


@pytest.mark.parametrize(
    ("entry", "volumes", "mount"),
    [
        ("/a:/b", None, Mount("volumes[0]", path="/a")),
        ("/a:/b:ro", None, Mount("volumes[0]", path="/a")),
        ("./a:/b", None, Mount("volumes[0]", path="/dstack/a")),
        ("data:/b", {"data": None}, Mount("volumes[0]", volume="data")),
        ("data:/b", {"data": BOUND}, Mount("volumes[0]", path="/var/lib/docker")),
        ("data:/b", {"data": {"driver_opts": {"type": "tmpfs", "device": "/x"}}}, Mount("volumes[0]", volume="data")),
        ("/b", None, None),
        ({"type": "bind", "source": "/a", "target": "/b"}, None, Mount("volumes[0]", path="/a")),
        (
            {"type": "volume", "source": "data", "target": "/b"},
            {"data": BOUND},
            Mount("volumes[0]", path="/var/lib/docker"),
        ),
        ({"type": "image", "source": "x:latest"}, None, Mount("volumes[0]", image="x:latest")),
        ({"type": "tmpfs", "target": "/b"}, None, None),
        ("${X}/y:/b", None, Mount("volumes[0]", path="/dstack/${X}/y")),
    ],
)
def test_a_mount_is_known_by_what_it_shows(entry: Any, volumes: Any, mount: Mount | None) -> None:
    assert list(composefile.mounts({"volumes": [entry]}, volumes)) == ([mount] if mount else [])


# Anything at all

PIECES = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "!x ",
    "|",
    ">",
    "'",
    '"',
    "? ",
    "<<",
    "#",
    "%",
    "---",
]


@fuzzed()
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    parsed_or_refused(composefile.read, text)


VALUES = st.recursive(
    st.none() | st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(max_codepoint=122, min_codepoint=97), min_size=1, max_size=4), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@fuzzed()
@given(VALUES)
def test_json_of_texts_is_read_as_it_is(value: Any) -> None:
    assert composefile.read(json.dumps(value)) == value


@fuzzed()
@given(VALUES)
def test_any_volumes_are_mounts_or_none(value: Any) -> None:
    for mount in composefile.mounts({"volumes": value}, value):
        assert bool(mount.path) + bool(mount.volume) + bool(mount.image) == 1
    for mount in composefile.mounts({"volumes": [value]}, {"a": value}):
        assert mount.where == "volumes[0]"


HOSTILE: dict[str, Callable[[], str]] = {
    "brackets": lambda: "[" * 262_144,
    "brackets_on_lines": lambda: "[\n" * 131_000,
    "items": lambda: "- " * 131_000,
    "questions": lambda: "? " * 131_000,
    "indents": lambda: "".join(" " * i + "a:\n" for i in range(700)),
    "flat_list": lambda: "[" + "a," * 131_000,
    "flat_lines": lambda: "a: b\n" * 52_000,
    "long_text": lambda: "a: " + "x" * 262_000,
    "long_text_of_words": lambda: "a: " + "x " * 131_000,
    "long_block": lambda: "a: |\n" + "  x\n" * 65_000,
    "escapes": lambda: '"' + "\\x41" * 65_000 + '"',
    "open_quote": lambda: '"' + "\n" * 262_000,
    "spaces": lambda: " " * 262_000,
    "comments": lambda: "#a\n" * 87_000,
    "documents": lambda: "---\n" * 65_000,
    "directives": lambda: "%A b\n" * 52_000,
    "anchors": lambda: "&a " * 87_000,
    "aliases": lambda: "a: &a x\nb: [" + "*a," * 87_000,
    "bomb": lambda: bomb(10, 2_000),
    "merges": lambda: "a: &a {" + "k: v, " + "j: v}\n" + "".join(f"b{i}: {{<<: *a}}\n" for i in range(16_000)),
    "merges_of_merges": lambda: "a0: &a0 {k: v}\n" + "".join(map(merge_of_two, range(1, 9_000))),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_takes_no_time(name: str) -> None:
    parsed_or_refused(composefile.read, HOSTILE[name]()[:262_144])
