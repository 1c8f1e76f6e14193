"""Parts: a reply is cut at the best places, into parts that fit, with no word lost and no mark broken."""

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fuzzing import share
from teehee.parts import Parts, split

FENCE_LINE = re.compile(r"^[ \t>]*(?:```|~~~).*$", re.MULTILINE)
READER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable(["code", "lheading"])


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def letters(text: str) -> str:
    """What no cut may change: letters and digits, but for the lines that open and close a fence."""
    return "".join(filter(str.isalnum, FENCE_LINE.sub("", text)))


def styled(markdown: str) -> list[tuple[str, frozenset[str]]]:
    """Each visible letter as an independent reader of Markdown sees it, with the styles it stands in."""
    seen: list[tuple[str, frozenset[str]]] = []
    blocks: list[str] = []
    for token in READER.parse(markdown):
        if token.type == "fence":
            seen += [
                (letter, frozenset(["fence", *token.info.split()[:1]]))
                for letter in token.content
                if not letter.isspace()
            ]
        elif token.type in ("blockquote_open", "heading_open"):
            blocks.append(token.type)
        elif token.type in ("blockquote_close", "heading_close"):
            blocks.pop()
        styles: list[str] = list(blocks)
        for child in token.children or ():
            if child.nesting == 1:
                styles.append(child.tag + str(child.attrGet("href") or ""))
            elif child.nesting == -1:
                styles.pop()
            else:
                own = [child.type] if child.type == "code_inline" else []
                seen += [(letter, frozenset([*styles, *own])) for letter in child.content if not letter.isspace()]
    return seen


def whole(text: str, limit: int) -> tuple[str, ...]:
    parts = split(text, limit, 1000)
    assert not parts.is_cut
    return parts.texts


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert split(" **Hello** \n", 4096, 10) == Parts((" **Hello** \n",), False)
    assert split("🙂" * 8, 16, 1) == Parts(("🙂" * 8,), False)


def test_a_text_of_nothing_has_no_parts() -> None:
    assert split("", 4096, 10) == split(" \n\t" * 50, 20, 10) == Parts((), False)


@pytest.mark.parametrize(("limit", "most"), [(15, 3), (100, 0)])
def test_a_limit_without_room_for_words_is_a_mistake_of_the_caller(limit: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"got parts of {limit} units, {most} at most"):
        split("text", limit, most)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One two.\nThree four.\n\nFive six. Seven eight nine ten", "One two.\nThree four."),
        ("One two three four\nFive six. Seven eight nine ten", "One two three four"),
        ("One two three four. Five six seven eight nine ten", "One two three four."),
        ("One two three (four.) Five six seven eight nine ten", "One two three (four.)"),
        ("One two three four five six seven eight nine ten", "One two three four five six"),
        ("One two three, e.g. four five six seven eight", "One two three, e.g. four five"),
        ("これは長い文です。もっともっともっと長い文がここにあります。終わり。", "これは長い文です。"),
        ("x" * 70, "x" * 30),
    ],
)
def test_a_cut_falls_at_the_best_place_there_is(text: str, first: str) -> None:
    assert whole(text, 30 if "これ" not in text else 20)[0] == first


def test_a_paragraph_too_near_the_start_does_not_make_a_part_of_a_few_words() -> None:
    text = "Yes.\n\n" + "word " * 30

    assert units(whole(text, 100)[0]) > 50


def test_a_heading_and_a_lead_in_stay_with_what_they_announce() -> None:
    assert whole("Some words that come before.\n\n# Heading\n\nIts words, a few of them.", 45)[1].startswith(
        "# Heading"
    )
    assert whole("Some words that come before.\n\nNamely these:\n- one\n- two\n- three", 46)[1].startswith("Namely")


@pytest.mark.parametrize(
    "character",
    ["👩‍👩‍👧‍👦", "👍🏽", "🇫🇷", "e\u0301", "❤️", "각", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"],
)
def test_a_character_made_of_several_is_not_cut(character: str) -> None:
    for text in (character * 40, "a" + character * 40):
        for part in whole(text, 50):
            assert part.removeprefix("a").replace(character, "") == ""


def test_a_fence_that_must_be_cut_is_closed_and_opened_again_with_its_language() -> None:
    code = [f"    line_{number} = {number}" for number in range(20)]

    parts = whole("```python\n" + "\n".join(code) + "\n```", 100)

    assert len(parts) > 3
    for part in parts:
        assert part.startswith("```python\n    line_")
        assert part.endswith("\n```")
    assert "\n".join(part.removeprefix("```python\n").removesuffix("\n```") for part in parts).split("\n") == code


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("~~~~ c++ title", "~~~~"), ("````md", "````"), ("> ```py", "> ```"), ("- ```py", "  ```"), ("```", "")],
)
def test_every_kind_of_fence_is_closed_as_it_was_opened(opening: str, closing: str) -> None:
    lead = "> " if opening.startswith(">") else "  " if opening.startswith("-") else ""
    lines = [f"{lead}```inner" if number == 9 and "````" in opening else f"{lead}line {number}" for number in range(20)]
    text = "\n".join([opening, *lines, closing, "", "Behind it."])

    parts = whole(text, 80)

    assert len(parts) > 2
    assert [letter for part in parts for letter in styled(part)] == styled(text)


def test_a_fence_that_fits_in_a_part_is_not_cut() -> None:
    fence = "```py\n" + "\n".join(f"line {number}" for number in range(10)) + "\n```"

    assert whole(f"Words before it, some.\n\n{fence}\n\nWords after it.", 100)[1].startswith(fence)


@pytest.mark.parametrize("marks", ["**", "*", "_", "__", "***", "~~", "||", "`", "``"])
def test_a_span_goes_whole_into_the_next_part_or_is_closed_and_opened_again(marks: str) -> None:
    short, long = "four words in it", "some more words in it " * 8 + "end"

    parts = whole(f"Some more words in front of it {marks}{short}{marks} and {marks}{long}{marks} and done.", 48)

    assert parts[1].startswith(f"{marks}{short}{marks}")
    assert all(part.count(marks) % 2 == 0 for part in parts)
    assert len(parts) > 4


def test_marks_within_a_fence_do_not_close_it_when_their_line_is_cut() -> None:
    text = "````md\n" + "some words and ````` some more ```` and\n``````` more of them again\n" * 3 + "````"

    for limit in range(50, 90):
        assert [letter for part in whole(text, limit) for letter in styled(part)] == styled(text)


def test_code_in_line_between_three_marks_does_not_become_a_fence() -> None:
    for limit in range(20, 60):
        for part in whole("Some words ```and code in\nthe line``` and words. " * 3, limit):
            assert not part.startswith("```")


def test_a_link_is_never_cut() -> None:
    link = "[the words of a link](https://example.org/a_(b)?q=1)"

    for limit in range(60, 90):
        assert any(link in part for part in whole(f"Some words, then more, and more, {link} and so on. " * 3, limit))


def test_a_table_is_cut_only_when_it_must_be_and_then_between_rows() -> None:
    rows = [f"| name {number} | {number} |" for number in range(12)]
    table = "\n".join(["| name | size |", "|---|---:|", *rows])

    assert whole("Words before.\n\n" + table + "\n\nWords after.", 220)[0] == "Words before."
    assert "\n".join(whole(table, 100)) == table


def test_a_list_is_cut_between_items_and_never_behind_a_bullet() -> None:
    text = "\n".join(f"- item {number}: " + "word " * 6 for number in range(9))

    for limit in range(40, 120):
        for part in whole(text, limit):
            assert part.startswith(("- item", "word", f"{part.split(':')[0]}: "))
            assert not part.endswith("-")


def test_words_that_would_look_like_a_mark_at_the_start_of_a_part_do_not_start_one() -> None:
    for limit in range(20, 40):
        for part in whole("We know that 12 - 3 + 4 is thirteen # and 5 > 4 * 1. but not 20. more " * 3, limit):
            assert not re.match(r"[-+#>*]|\d+\.", part)


def test_a_quote_and_a_heading_go_on_as_such() -> None:
    assert all(part.startswith("> ") for part in whole("> " + "quoted words " * 12, 50))
    assert all(part.startswith("## ") for part in whole("## " + "heading words " * 12, 50))


def test_what_does_not_fit_is_told() -> None:
    parts = split("Words and words. " * 40, 100, 3)

    assert parts.is_cut
    assert len(parts.texts) == 3
    assert parts.texts[-1].endswith("words. …")
    assert all(units(part) <= 100 for part in parts.texts)


def test_what_does_not_fit_is_told_outside_of_code_and_of_links() -> None:
    assert split("```py\n" + "word\n" * 99 + "```", 50, 2).texts[-1].endswith("word\n```\n…")
    assert split("**" + "word " * 99 + "end**", 50, 2).texts[-1].endswith("word** …")
    assert split("https://example.org/a " * 9, 50, 2).texts[-1].endswith("/a …")


def test_parts_are_filled_before_words_are_lost() -> None:
    text = "Short. " + "\n\n".join(["one two three four five six seven" * 2] * 9)

    assert not split(text, 100, 8).is_cut


WORDS = st.text("abcdefghijé漢🙂", min_size=1, max_size=9)
FUZZ = st.lists(
    st.one_of(
        WORDS,
        st.sampled_from(
            r"* ** *** _ __ ~~ || ` `` ``` ```py ~~~ [ ] ( ) ]( [ab](https://c.d/f_g) # > - 1. | |- --- \ \* <".split()
        ),
        st.sampled_from([" ", " ", "\n", "\n\n", "\n    ", "\n> ", "\n- ", "\n```py\n", "\n```\n", "\t", ". ", "! "]),
        st.sampled_from(["\u0301", "\u200d", "\ufe0f", "🇫", "\ud83d", "\ude00", "\x00", "\r\n", "\u3002", "&amp;"]),
    ),
    max_size=120,
).map("".join)


@share(0.3)
@given(FUZZ, st.integers(40, 200))
def test_no_letter_is_lost_or_added_and_every_part_fits(text: str, limit: int) -> None:
    assume(all(units(line) <= limit // 2 for line in FENCE_LINE.findall(text)))  # or they are cut, and so compared

    parts = split(text, limit, 1000)

    assert not parts.is_cut
    assert letters("\n".join(parts.texts)) == letters(text)
    for part in parts.texts:
        assert part.strip()
        assert units(part) <= limit


@share(0.3)
@given(FUZZ, st.integers(16, 100), st.integers(1, 4))
def test_no_limit_is_ever_passed_and_what_is_cut_is_told(text: str, limit: int, most: int) -> None:
    parts = split(text, limit, most)

    assert len(parts.texts) <= most
    assert all(units(part) <= limit and part.strip() for part in parts.texts)
    assert not parts.is_cut or (len(parts.texts) == most and parts.texts[-1].endswith("…"))
    assert bool(parts.texts) == bool(text.strip())


def marked(words: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Words in marks that stand well, apart from their neighbours."""
    plain = st.lists(words, min_size=1, max_size=12).map(" ".join)
    return st.one_of(
        plain,
        plain.map("`{}`".format),
        st.tuples(st.sampled_from(["**", "*", "_", "~~", "***"]), plain).map(lambda pair: pair[1].join([pair[0]] * 2)),
        plain.map(lambda text: f"**{text} *{text}* {text}**"),
        plain.map(lambda text: f"[{text[:12].strip()}](https://example.org/{len(text)})"),
    )


ASCII = st.text("abcdefghij", min_size=1, max_size=9)
LINE = st.lists(marked(ASCII), min_size=1, max_size=5).map(" ".join)
DOCUMENT = st.lists(
    st.one_of(
        LINE,
        st.lists(LINE, min_size=1, max_size=3).map("\n".join),
        LINE.map("## {}".format),
        st.lists(LINE, min_size=1, max_size=4).map(lambda lines: "\n".join(f"- {line}" for line in lines)),
        st.lists(LINE, min_size=1, max_size=4).map(lambda lines: "\n".join(f"> {line}" for line in lines)),
        st.lists(ASCII, min_size=1, max_size=30).map(lambda lines: "```py\n    " + "\n    ".join(lines) + "\n```"),
    ),
    min_size=1,
    max_size=8,
).map("\n\n".join)


@share(0.03)
@given(DOCUMENT, st.integers(70, 300))
def test_every_letter_keeps_its_style_across_parts(text: str, limit: int) -> None:
    parts = split(text, limit, 1000)

    assert not parts.is_cut
    assert [letter for part in parts.texts for letter in styled(part)] == styled(text)


@share(0.03)
@given(st.lists(ASCII, min_size=20, max_size=200).map(" ".join), st.integers(1, 5))
def test_words_that_fit_with_a_little_to_spare_are_never_cut(text: str, most: int) -> None:
    limit = max(100, len(text) // most * 5 // 4 + 20)

    assert not split(text, limit, most).is_cut


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[a](",
        "**a ",
        "*a _b ~~c ",
        "` `` ``` ",
        "> " * 50,
        "|-",
        "https://*",
        "\\",
        " " * 99,
        "🇫🇷",
        "\u0301",
        "```\n",
    ],
)
def test_a_hostile_text_takes_time_only_by_its_length(piece: str) -> None:
    text = (piece * 200_000)[:200_000]

    began = time.process_time()
    split(text, 4096, 10)

    assert time.process_time() - began < 5
