"""Makes of Markdown, as models write it, what Telegram shows: a text and its entities, never a string to be parsed.

With entities there is no such thing as bad markup: what is no Markdown is text. Offsets and lengths are UTF-16 units.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

LIMIT = 4096  # units of a message
LONG_QUOTE = 600  # units; a longer one is shown folded
WIDE_TABLE = 48  # columns; a wider one breaks its lines on a phone
BULLET = "• "
RULE = "———"

MARKS = re.compile(r"[*_`~<|\\]|\]\(|^[ \t]*(?:[#>]|--|[-+][ \t]|\d{1,9}[.)][ \t])", re.MULTILINE)
SURROGATE = re.compile("[\ud800-\udfff]")
WIDE = re.compile("[\U00010000-\U0010ffff]")
LANGUAGE = re.compile(r"[\w+#.-]{1,32}", re.ASCII)
INLINE = {"strong": "bold", "em": "italic", "s": "strikethrough", "spoiler": "spoiler"}


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text that is shown in a way; the fields are those of the Bot API's MessageEntity."""

    type: str
    offset: int
    length: int
    url: str = ""  # of a text_link
    language: str = ""  # of a pre

    def as_json(self) -> dict[str, str | int]:
        """The entity as the Bot API takes it."""
        fields: dict[str, str | int] = {"type": self.type, "offset": self.offset, "length": self.length}
        return fields | ({"url": self.url} if self.url else {}) | ({"language": self.language} if self.language else {})


@dataclass(frozen=True, slots=True)
class Rendered:
    """What Telegram is to show."""

    text: str
    entities: tuple[Entity, ...] = ()


def render(markdown: str) -> Rendered:
    """What Telegram is to show for `markdown`; what fits in a message as Markdown fits in one rendered. Never raises.

    Text without marks comes back as it is, less the blank at its ends. Tables are aligned, or written row by row where
    they would not fit.
    """
    return _rendered(markdown, is_plain=False)


def plain(markdown: str) -> str:
    """`markdown` without its marks, for where there are no entities; a link's address follows its words."""
    return _rendered(markdown, is_plain=True).text


def _rendered(markdown: str, *, is_plain: bool) -> Rendered:
    text = _clean(markdown)
    if not MARKS.search(text):
        return Rendered(text)
    from teehee_telegram.markdown import read

    tree, room = read(text), max(LIMIT, _units(text))
    for is_compact in (False, True):
        rendered = _Writer(text.split("\n"), is_plain=is_plain, is_compact=is_compact).written(tree)
        if rendered.text and _units(rendered.text) <= room:
            return rendered
    return Rendered(text)  # nothing but marks, or short of room by a sign or two


def _clean(text: str) -> str:
    if SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@dataclass(eq=False, slots=True)
class _Style:
    """One opened style; two of a kind side by side are two."""

    type: str
    url: str = ""
    language: str = ""


class _Writer:
    """Writes a tree as runs of text, each with the styles it stands in."""

    def __init__(self, lines: list[str], *, is_plain: bool, is_compact: bool) -> None:
        self.lines = lines  # of the Markdown, to tell where it has blank ones
        self.is_plain, self.is_compact = is_plain, is_compact
        self.runs: list[tuple[str, tuple[_Style, ...]]] = []
        self.styles: list[_Style] = []
        self.depth = 0  # of lists
        self.marker = ""  # of an item that has not begun
        self.blocks = {
            "heading": self._heading,
            "paragraph": self._paragraph,
            "fence": self._fence,
            "hr": self._rule,
            "blockquote": self._quote,
            "bullet_list": self._list,
            "ordered_list": self._list,
            "table": self._table,
        }

    def written(self, tree: "SyntaxTreeNode") -> Rendered:
        self._children(tree)
        text = "".join(run for run, _ in self.runs)
        lead = len(text) - len(text.lstrip())
        text = text.strip()
        return Rendered(text, () if self.is_plain else tuple(_entities(text, self.runs, lead)))

    def put(self, text: str) -> None:
        if text:
            self.runs.append((text, tuple(self.styles)))

    def _put_alone(self, text: str, style: _Style) -> None:
        """Code stands in no style but a quote; the others end before it and go on behind it."""
        if text:
            quotes = [outer for outer in self.styles if outer.type == "blockquote"]
            self.runs.append((text, (*quotes, style)))

    @contextmanager
    def style(self, kind: str, url: str = "") -> Iterator[None]:
        """What is put meanwhile has this style; one within its own kind is not opened twice."""
        if any(style.type == kind for style in self.styles):
            yield
            return
        self.styles.append(_Style(kind, url))
        yield
        self.styles.pop()

    # -- Blocks

    def _children(self, node: "SyntaxTreeNode") -> None:
        for child in node.children:
            self.blocks.get(child.type, self._paragraph)(child)

    def _begin(self, line: int) -> None:
        """Begins a block: on a new line, behind a blank one where the Markdown has it, with the item's marker."""
        if self.runs:
            self._gap(line)
        levels = 0 if self.is_compact else self.depth - 1 if self.marker else self.depth
        self.put("  " * levels + self.marker)
        self.marker = ""

    def _begin_alone(self, line: int) -> None:
        """Begins an item whose text does not stand beside its marker."""
        self.marker = self.marker.rstrip()
        self._begin(line)

    def _gap(self, line: int) -> None:
        self.put("\n" if self.lines[line - 1].strip(" \t>") else "\n\n")

    def _paragraph(self, node: "SyntaxTreeNode") -> None:
        self._begin(_line(node))
        self._inline(node)

    def _heading(self, node: "SyntaxTreeNode") -> None:
        self._begin(_line(node))
        with self.style("bold"):
            self._inline(node)

    def _rule(self, node: "SyntaxTreeNode") -> None:
        self._begin(_line(node))
        self.put(RULE)

    def _fence(self, node: "SyntaxTreeNode") -> None:
        language = LANGUAGE.match(node.info.strip())
        self._preformatted(_line(node), dedent(node.content).strip("\n"), language[0] if language else "")

    def _preformatted(self, line: int, text: str, language: str = "") -> None:
        if self.marker:
            self._begin_alone(line)
            self.put("\n")
        elif self.runs:
            self._gap(line)
        self._put_alone(text, _Style("pre", language=language))

    def _quote(self, node: "SyntaxTreeNode") -> None:
        if self.marker:
            self._begin_alone(_line(node))
        with self.style("blockquote"):
            self._children(node)

    def _list(self, node: "SyntaxTreeNode") -> None:
        self.depth += 1
        number = 0
        for item in node.children:
            if node.type == "ordered_list":
                number = max(number + 1, int(item.info or 0))  # as written, or counted where all are written 1
            self.marker += f"{number}. " if node.type == "ordered_list" else BULLET
            self._children(item)
            if self.marker:  # of an empty item
                self._begin_alone(_line(item))
        self.depth -= 1

    def _table(self, node: "SyntaxTreeNode") -> None:
        rows = [row.children for part in node.children for row in part.children]
        if not (self.is_plain or self.is_compact or any(child.type in ("link", "image") for child in node.walk())):
            aligned = _aligned(rows)
            if _columns(aligned.partition("\n")[0]) <= WIDE_TABLE:
                self._preformatted(_line(node), aligned)
                return
        self._begin(_line(node))
        for number, cells in enumerate(rows):
            self.put("\n" if number else "")
            for place, cell in enumerate(cells):
                self.put(" | " if place else "")
                if number:
                    self._inline(cell)
                    continue
                with self.style("bold"):
                    self._inline(cell)

    # -- Inline

    def _inline(self, node: "SyntaxTreeNode") -> None:
        for child in node.children:
            if child.type == "inline":
                self._inline(child)
            elif child.type in ("softbreak", "hardbreak"):
                self.put("\n" + ("" if self.is_compact else "  " * self.depth))
            elif child.type == "code_inline":
                self._code(child.content)
            elif child.type in INLINE:
                with self.style(INLINE[child.type]):
                    self._inline(child)
            elif child.type in ("link", "image"):
                self._link(child, str(child.attrs.get("href") or child.attrs.get("src") or ""))
            else:
                self.put(child.content)

    def _code(self, text: str) -> None:
        if any(style.type == "text_link" for style in self.styles):
            self.put(text)  # Telegram shows a link or code, not both, and the address must not be lost
        else:
            self._put_alone(text, _Style("code"))

    def _link(self, node: "SyntaxTreeNode", url: str) -> None:
        words = _words(node).strip()
        is_mail = url.startswith("mailto:")
        address = url.removeprefix("mailto:")
        if not url:
            self.put("[" if node.type == "link" else "![")
            self._inline(node)
            self.put("]()")
        elif not words or words == address or node.markup == "autolink":
            self.put(words or address)
        elif self.is_plain or is_mail:  # Telegram takes no text_link to a mailbox, but finds one by itself
            self._inline(node)
            self.put(f" ({address})")
        else:
            with self.style("text_link", url):
                self._inline(node) if node.type == "link" else self.put(words)


def _line(node: "SyntaxTreeNode") -> int:
    """The first line of a block in the Markdown."""
    return node.map[0] if node.map else 0


def _words(node: "SyntaxTreeNode") -> str:
    leaves = [child for child in node.walk() if not child.children]
    return "".join(" " if leaf.type.endswith("break") else leaf.content for leaf in leaves)


def _columns(text: str) -> int:
    """How many columns `text` takes where every letter is as wide as the next."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _aligned(rows: "list[list[SyntaxTreeNode]]") -> str:
    """A table in columns, its first row underlined."""
    texts = [[_words(cell).strip() for cell in row] for row in rows]
    widths = [max(map(_columns, column)) for column in zip(*texts, strict=True)]
    texts.insert(1, ["-" * width for width in widths])
    is_right = ["right" in str(cell.attrs.get("style", "")) for cell in rows[0]]
    lines = []
    for row in texts:
        cells = []
        for text, width, right in zip(row, widths, is_right, strict=True):
            blank = " " * (width - _columns(text))
            cells.append(blank + text if right else text + blank)
        lines.append("  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)


def _entities(text: str, runs: list[tuple[str, tuple[_Style, ...]]], lead: int) -> Iterator[Entity]:
    """The entities of `text`, which is what the runs say without `lead` blanks in front; outer before inner."""
    found: list[tuple[_Style, int, int]] = []
    open_styles: dict[_Style, int] = {}  # of each, the place of what is found of it
    at = -lead
    for run, styles in runs:
        end = at + len(run)
        for style in styles:
            if style in open_styles and found[open_styles[style]][2] == at:
                found[open_styles[style]] = (style, found[open_styles[style]][1], end)
            else:
                open_styles[style] = len(found)
                found.append((style, at, end))
        at = end
    wide = [match.start() for match in WIDE.finditer(text)]
    for style, start, end in sorted(found, key=lambda item: (item[1], -item[2])):
        start, end = _trimmed(text, max(0, start), max(0, end), "\n" if style.type == "pre" else None)
        if end <= start or not text[start:end].strip():
            continue
        offset = start + bisect_left(wide, start)
        length = end + bisect_left(wide, end) - offset
        kind = "expandable_blockquote" if style.type == "blockquote" and length > LONG_QUOTE else style.type
        yield Entity(kind, offset, length, style.url, style.language)


def _trimmed(text: str, start: int, end: int, blank: str | None) -> tuple[int, int]:
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip(blank))
    return start, start + len(inside.strip(blank))
