"""Rendering for Telegram: any text of a model becomes a text and entities that the Bot API cannot refuse."""

import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import combinations
from urllib.parse import urlsplit

import pytest
import telegram
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import share
from teehee.parts import split
from teehee_telegram.render import Entity, Rendered, plain, render

QUOTES = {"blockquote", "expandable_blockquote"}
STYLES = {"bold", "italic", "strikethrough", "spoiler"}
ALONE = {"code", "pre", "text_link"}  # none of them within another


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")  # strict: fails on half a character


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def seen(rendered: Rendered, entity: Entity) -> str:
    """What an entity covers, read as Telegram does; fails if it begins or ends within a character."""
    raw = utf16(rendered.text)
    return raw[entity.offset * 2 : (entity.offset + entity.length) * 2].decode("utf-16-le")


def shown(markdown: str) -> list[tuple[str, str]]:
    rendered = render(markdown)
    check(rendered)
    return [(entity.type, seen(rendered, entity)) for entity in rendered.entities]


def check(rendered: Rendered) -> None:
    """The Bot API's rules of entities, read from its documentation and not from our code."""
    total = units(rendered.text)
    assert rendered.text == rendered.text.strip()
    for entity in rendered.entities:
        inside = seen(rendered, entity)
        assert entity.type in QUOTES | STYLES | ALONE
        assert entity.length > 0
        assert 0 <= entity.offset <= entity.offset + entity.length <= total
        assert inside.strip()
        assert inside == (inside.strip("\n") if entity.type == "pre" else inside.strip())
        assert bool(entity.url) == (entity.type == "text_link")
        assert entity.type == "pre" or not entity.language
        if entity.url:
            url = urlsplit(entity.url)
            assert url.scheme.lower() in ("http", "https", "tg")
            assert url.scheme.lower() == "tg" or "." in str(url.hostname)
            assert url.username is None
            assert url.port is None or 0 < url.port < 65536
            assert utf16(entity.url)
    for one, other in combinations(rendered.entities, 2):
        apart = one.offset + one.length <= other.offset or other.offset + other.length <= one.offset
        if apart:
            continue
        outer, inner = (one, other) if one.length >= other.length else (other, one)
        assert outer.offset <= inner.offset
        assert inner.offset + inner.length <= outer.offset + outer.length
        assert not {one.type, other.type} <= QUOTES
        assert not {one.type, other.type} <= ALONE
        assert one.type != other.type
        if {one.type, other.type} & {"code", "pre"}:
            assert outer.type in QUOTES or (one.offset, one.length) == (other.offset, other.length)
            assert {one.type, other.type} & QUOTES


@pytest.mark.parametrize(
    "text",
    [
        "Hello, Ada! It's 5 o'clock.",
        "snake_case_words and_more_ and __init__",
        "Ask @some_bot_name or @_other_, /forget_me /start@some_bot",
        "See https://example.org/_a_/*b*/c_d_(e)?f=_g_ and http://a_b.org/~~x~~",
        "tg://resolve?domain=some_bot",
        "2 + 3 = 5, 4 > 3, 1 < 2, 50% #tag $x a|b a || b",
        "One.\n\nTwo.\nThree.",
        "😀 漢字 e\u0301",
        "<b>raw</b> &amp; <script>alert(1)</script>",
        "[not a link] (either) [x]: y",
        "* not a list, 3 * 4 * 5",
        "C:\\path\\new",
    ],
)
def test_text_without_marks_is_untouched(text: str) -> None:
    expected = text.replace("__init__", "init").replace("* not", "• not")

    assert render(text).text == expected
    assert plain(text) == expected
    assert [entity.type for entity in render(text).entities] == (["bold"] if "__init__" in text else [])


@pytest.mark.parametrize(
    ("markdown", "text", "entities"),
    [
        ("**b** *i* _i_ __b__", "b i i b", [("bold", "b"), ("italic", "i"), ("italic", "i"), ("bold", "b")]),
        ("***both***", "both", [("italic", "both"), ("bold", "both")]),
        ("~~gone~~ ||secret||", "gone secret", [("strikethrough", "gone"), ("spoiler", "secret")]),
        ("**a *b*** c", "a b c", [("bold", "a b"), ("italic", "b")]),
        ("||a **b** c||", "a b c", [("spoiler", "a b c"), ("bold", "b")]),
        ("**a ||b c||**", "a b c", [("bold", "a b c"), ("spoiler", "b c")]),
        ("||| odd || a||", "||| odd || a||", []),
        ("**a ||b** c||", "a ||b c||", [("bold", "a ||b")]),
        ("`code`", "code", [("code", "code")]),
        ("**a `b` c**", "a b c", [("bold", "a"), ("code", "b"), ("bold", "c")]),
        ("😀**😀x**", "😀😀x", [("bold", "😀x")]),
        ("# Title\ntext", "Title\ntext", [("bold", "Title")]),
        ("## A **b** c\n\ntext", "A b c\n\ntext", [("bold", "A b c")]),
        ("a\n---\nb", "a\n———\nb", []),
        ("a  \nb\\\nc\nd", "a\nb\nc\nd", []),
        (r"\*a\* \[b\](c)", "*a* [b](c)", []),
        ("- a\n- b\n  - c\n    - d\n- e", "• a\n• b\n  • c\n    • d\n• e", []),
        ("- a\n\n- b\n\n  more", "• a\n\n• b\n\n  more", []),
        ("3. a\n4. b\n   - c", "3. a\n4. b\n  • c", []),
        ("1. a\n1. b\n1. c", "1. a\n2. b\n3. c", []),
        ("- - a", "• • a", []),
        ("-\n- a", "•\n• a", []),
        ("> a\n> b\n\nc", "a\nb\n\nc", [("blockquote", "a\nb")]),
        ("> **a** `b`", "a b", [("blockquote", "a b"), ("bold", "a"), ("code", "b")]),
        ("> a\n>> b", "a\nb", [("blockquote", "a\nb")]),
        ("> " + "long " * 130, ("long " * 130).strip(), [("expandable_blockquote", ("long " * 130).strip())]),
        ("```\na\n  b\n```", "a\n  b", [("pre", "a\n  b")]),
        ("x\n```\na *b*", "x\na *b*", [("pre", "a *b*")]),
        ("- a\n  ```\n  b\n  ```", "• a\nb", [("pre", "b")]),
        ("1. ```\n   b\n   ```", "1.\nb", [("pre", "b")]),
        ("    ```\n    x\n      y\n    ```", "x\n  y", [("pre", "x\n  y")]),
        ("[words](https://a.org/b)", "words", [("text_link", "words")]),
        ("[`code`](https://a.org)", "code", [("text_link", "code")]),
        ("**[a](https://a.org)**", "a", [("bold", "a"), ("text_link", "a")]),
        ("![alt](https://a.org/b.png)", "alt", [("text_link", "alt")]),
        ("![](https://a.org/b.png)", "https://a.org/b.png", []),
        ("[https://a.org](https://a.org)", "https://a.org", []),
        ("<https://a.org/b_c_>", "https://a.org/b_c_", []),
        ("[a](tg://resolve?domain=b)", "a", [("text_link", "a")]),
        ("[Ada](mailto:ada@a.org) <ada@a.org>", "Ada (ada@a.org) ada@a.org", []),
        (
            "| a | b |\n|---|--:|\n| x | 1 |\n| yy | 漢 |",
            "a    b\n--  --\nx    1\nyy  漢",
            [("pre", "a    b\n--  --\nx    1\nyy  漢")],
        ),
        (
            "| a | b |\n|---|---|\n| [c](https://a.org) | d |",
            "a | b\nc | d",
            [("bold", "a"), ("bold", "b"), ("text_link", "c")],
        ),
        ("* *\n**", "• •\n**", []),
        ("```\n```", "```\n```", []),
        ("[a **b**]() ![c]()", "[a b]() ![c]()", [("bold", "b")]),
    ],
)
def test_markdown_is_shown_as_it_is_meant(markdown: str, text: str, entities: list[tuple[str, str]]) -> None:
    assert render(markdown).text == text
    assert shown(markdown) == entities


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "ftp://a.org", "/here", "a.org", "#a"),
        *("http://localhost/x", "https://u:p@a.org", "https://a.org:0", "https://a.org:99999", "http://[::1]/"),
        *("tg://user?id=1", "tg:x", "https://", "https://.", "mailto:a@b", "https://a..org"),
    ],
)
def test_a_link_that_telegram_would_not_take_stays_as_it_is_written(url: str) -> None:
    assert render(f"[words]({url})") == Rendered(f"[words]({url})")


def test_a_link_keeps_its_address_and_a_block_its_language() -> None:
    linked = render("[a](https://example.org/b_c?d=e&f)").entities[0]
    code = render("```c++ title\nx\n```").entities[0]

    assert linked.as_json() == {"type": "text_link", "offset": 0, "length": 1, "url": "https://example.org/b_c?d=e&f"}
    assert code.as_json() == {"type": "pre", "offset": 0, "length": 1, "language": "c++"}


def test_without_entities_a_link_shows_its_address() -> None:
    assert plain("# A\n**b** [c](https://d.org) `e`") == "A\nb c (https://d.org) e"


def test_a_wide_table_is_written_row_by_row() -> None:
    rendered = render("| name | size |\n|---|---|\n| " + "word " * 12 + "| **1** |")

    assert rendered.text == "name | size\n" + "word " * 12 + "| 1"
    assert [(entity.type, seen(rendered, entity)) for entity in rendered.entities] == [
        ("bold", "name"), ("bold", "size"), ("bold", "1"),
    ]  # fmt: skip


def test_a_full_message_with_a_table_still_fits() -> None:
    table = "|a|b|\n|-|-|\n|" + "w" * 40 + "|x|\n" + "|a|b|\n" * 100
    markdown = table + "\n" + "y" * (4096 - len(table) - 1)

    rendered = render(markdown)

    assert units(markdown) == 4096
    assert units(rendered.text) <= 4096
    assert "pre" not in {entity.type for entity in rendered.entities}


def test_plain_text_does_not_load_markdown_it() -> None:
    code = (
        "import sys; from teehee_telegram.render import render; render('Hi, @ada. Look: https://a.org/b')\n"
        "print('markdown_it' in sys.modules); render('**b**'); print('markdown_it' in sys.modules)"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert told.split() == ["False", "True"]


PIECES = st.one_of(
    st.text(max_size=4),
    st.sampled_from(list("*_`~|[]()<>#-+\\!:.@/&\n\t 1")),
    st.sampled_from(
        "** __ *** ~~ || ||| ``` ~~~ ```py `a` [a](https://b.org/c) [a]( ](tg://x) ![a](https://b.org) <https://b.org>"
        " @a_b_ https://b.org/_c_ |a|b| |-|-| 😀 漢字 e\u0301 word a_b_c 1. --- &lt;".split()
    ),
    st.sampled_from(
        ["\n\n", "\n> ", "\n- ", "\n  - ", "\n1. ", "\n# ", "\n```\n", "  \n", "\\\n", "\n\t", " ", "\r\n"]
    ),
    st.sampled_from(
        ["\ud83d", "\ude00", "\x00", "\u200b", "\u00a0", "\u2028", "\x0b", "\x85", "\n|a|b|\n|-|-|\n|c|d|\n"]
    ),
)
FUZZ = st.lists(PIECES, max_size=60).map("".join)


@share(0.2)
@given(FUZZ)
def test_no_text_whatever_makes_entities_that_could_be_refused(text: str) -> None:
    rendered = render(text)

    check(rendered)
    assert bool(rendered.text) == bool(text.encode("utf-8", "replace").strip() and text.strip())


@share(0.01)
@given(FUZZ, st.integers(1, 400))
def test_what_fits_as_markdown_fits_rendered(text: str, times: int) -> None:
    full = (text * times)[:4096]
    while units(full) > 4096:
        full = full[:-1]

    assert units(render(full).text) <= 4096
    assert units(plain(full)) <= 4096


@share(0.1)
@given(st.text("abc ABC,.;:!?()'\"%$/=äß漢😀\n", max_size=300))
def test_text_of_plain_characters_comes_back_as_it_is(text: str) -> None:
    assert render(text) == Rendered(text.strip())


class Reader(HTMLParser):
    """Reads HTML strictly: each tag is closed, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def as_message(rendered: Rendered) -> telegram.Message:
    chat = telegram.Chat(1, telegram.Chat.PRIVATE)
    entities = [telegram.MessageEntity(**entity.as_json()) for entity in rendered.entities]  # type: ignore[arg-type]  # as JSON
    return telegram.Message(1, datetime.now(UTC), chat, text=rendered.text, entities=entities)


@share(0.05)
@given(FUZZ)
def test_python_telegram_bot_reads_the_entities_as_they_are_meant(text: str) -> None:
    rendered = render(text)
    message = as_message(rendered)

    parsed = message.parse_entities()

    assert sorted(parsed.values()) == sorted(seen(rendered, entity) for entity in rendered.entities)
    reader = Reader()
    reader.feed(message.text_html)
    reader.close()
    assert reader.open == []
    assert reader.text == rendered.text


@share(0.005)
@given(st.lists(FUZZ, min_size=20, max_size=60).map("\n\n".join), st.integers(100, 4096))
def test_each_part_of_a_long_reply_fits_when_rendered(text: str, limit: int) -> None:
    for part in split(text, 4096, 100).texts:
        assert units(render(part).text) <= 4096


@pytest.mark.parametrize(
    "piece", ["[", "[a](", "**a ", "*a _b ~~c ", "||a ", "` `` ", "> ", "- ", "|-", "\\", "![", "<a"]
)
def test_a_hostile_message_is_rendered_in_a_moment(piece: str) -> None:
    text = (piece * 4096)[:4096]

    began = time.process_time()
    rendered = render(text)

    assert time.process_time() - began < 3
    check(rendered)
    assert re.sub(r"\W", "", rendered.text) in re.sub(r"\W", "", text)
