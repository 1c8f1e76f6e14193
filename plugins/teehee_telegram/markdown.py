"""Reads Markdown as models write it: CommonMark less what they never mean, with tables, strikethrough and spoilers.

It imports markdown-it, so it is itself imported only for a text that has marks.
"""

import re
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.tree import SyntaxTreeNode

# Not meant by models: indented code, underlined headings (they mean a rule), definitions of links and entities of HTML.
UNMEANT = ["code", "lheading", "reference", "entity"]

_HOST = r"(?:[\w-]+\.)+[\w-]+"
# Telegram refuses a message with a link it cannot parse: no user, a host with a dot, a port that can be.
LINK = re.compile(
    rf"https?://{_HOST}(?::(?!0)\d{{1,4}})?(?:[/?#]\S*)?"
    rf"|tg://(?!user\b)[\w-]+/?(?:\?\S*)?"
    rf"|mailto:[\w.!#$&'*+/=^`{{|}}~-]+@{_HOST}",
    re.ASCII | re.IGNORECASE,
)
TEXT = re.compile(r"[^\n!#$%&*+\-:<=>@\[\\\]^_`{}~|]+")
SCHEME = re.compile(r"\b(?:https?|tg)$", re.IGNORECASE)
ADDRESS = re.compile(r"://[^\s<>`|\[\]]*[^\s<>`|\[\]()*_~.,;:!?'\"]")
NAME = re.compile(r"@[a-z\d_]*[a-z\d]", re.IGNORECASE)
SPOILER = "|"


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        return LINK.fullmatch(url) is not None


def read(text: str) -> SyntaxTreeNode:
    """What `text` says, as a tree; a link that Telegram would not take stays as it is written."""
    return SyntaxTreeNode(_reader().parse(text))


@cache
def _reader() -> MarkdownIt:
    reader = _Markdown("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(UNMEANT)
    reader.inline.ruler.at("text", _text)
    reader.inline.ruler.push("address", _address)
    reader.inline.ruler.push("name", _name)
    reader.inline.ruler.push("spoiler", _spoiler)
    reader.inline.ruler2.before("emphasis", "spoiler", _spoilers)
    return reader


def _text(state: StateInline, silent: bool) -> bool:
    """Text up to the next character that may be a mark; unlike markdown-it's own rule, `|` is one."""
    return _taken(state, TEXT.match(state.src, state.pos, state.posMax), silent)


def _address(state: StateInline, silent: bool) -> bool:
    """A bare address, whose underscores and stars are no marks."""
    if state.src[state.pos] != ":" or not SCHEME.search(state.src[max(0, state.pos - 5) : state.pos]):
        return False
    return _taken(state, ADDRESS.match(state.src, state.pos, state.posMax), silent)


def _name(state: StateInline, silent: bool) -> bool:
    return _taken(state, NAME.match(state.src, state.pos, state.posMax), silent)


def _taken(state: StateInline, found: re.Match[str] | None, silent: bool) -> bool:
    if found is None:
        return False
    if not silent:
        state.pending += found[0]
    state.pos = found.end()
    return True


def _spoiler(state: StateInline, silent: bool) -> bool:
    """Two bars, which may open or close a spoiler; which of them do is known when all are."""
    if silent or not state.src.startswith(SPOILER * 2, state.pos, state.posMax):
        return False
    bars = state.scanDelims(state.pos, True)
    for _ in range(bars.length // 2):
        state.push("text", "", 0).content = SPOILER * 2
        state.delimiters.append(Delimiter(ord(SPOILER), 0, len(state.tokens) - 1, -1, bars.can_open, bars.can_close))
    if bars.length % 2:
        state.push("text", "", 0).content = SPOILER
    state.pos += bars.length
    return True


def _spoilers(state: StateInline) -> None:
    """Makes tokens of the bars that were found to be pairs, here and within other marks."""
    within = [meta["delimiters"] for meta in state.tokens_meta if meta and "delimiters" in meta]
    for delimiters in (state.delimiters, *within):
        for opening in delimiters:
            if opening.marker != ord(SPOILER) or opening.end == -1:
                continue
            for delimiter, kind, nesting in ((opening, "open", 1), (delimiters[opening.end], "close", -1)):
                token = state.tokens[delimiter.token]
                token.type, token.tag, token.content = f"spoiler_{kind}", "spoiler", ""
                token.nesting = 1 if nesting == 1 else -1
