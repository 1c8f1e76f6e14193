"""Cuts a reply into parts that fit a platform's messages, at the best places and never through its markup."""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from unicodedata import category

from teehee.markup import Span, spans

SMALLEST = 16  # units; below this there is no room for marks beside words
TOLD = "…"
ROOM_TO_TELL = 2  # a space or a line's end, and the sign

LINE = re.compile("\n")
WIDE = re.compile("[\U00010000-\U0010ffff]")
GAP = re.compile(r"\s+|(?<=[。！？])(?=[^\s。！？])")
CLOSERS = "\"'”’»)]*_~|`"
_QUOTE = r"[ \t]{0,40}(?:>[ \t]?){0,9}"
LEAD = re.compile(rf"{_QUOTE}(?:#{{1,6}}[ \t]{{1,9}})?")
ITEM = re.compile(rf"{_QUOTE}[ \t]{{0,40}}(?:(?:[-*+]|\d{{1,9}}[.)]|#{{1,6}})[ \t]{{1,40}})?")
FENCED = re.compile(r"[ \t>]{0,40}(?:```|~~~)")
BLOCK = re.compile(r"(?:[-*+#]|\d{1,9}[.)]|#{2,6})(?:\s|$)|>|\|(?!\|)|```|~~~|(?:[-*_=][ \t]*){3,}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Parts:
    """A text in parts, in order; none is empty."""

    texts: tuple[str, ...]
    is_cut: bool  # there was more than fits; the last part ends with "…"


@dataclass(frozen=True, slots=True)
class _Cut:
    end: int  # where this part ends
    next: int  # where the next one begins
    close: str = ""
    reopen: str = ""


def split(text: str, limit: int, most: int) -> Parts:
    """Cut `text`, as models write Markdown, into at most `most` parts of at most `limit` UTF-16 units each.

    A cut falls between paragraphs if it can, else between lines, sentences, words; only a word longer than a part is
    cut, and no character ever is. Fences, code, bold and the like that must be cut are closed and opened again; links
    stay whole. Marks that leave no room for words (in a link longer than a part, say) count as text. Raises ValueError
    for a limit below 16 units or no parts at all.
    """
    if limit < SMALLEST or most < 1:
        raise ValueError(f"got parts of {limit} units, {most} at most; expected {SMALLEST} or more, and 1 or more")
    if len(text) * 2 <= limit or len(text.encode("utf-16-le", "surrogatepass")) <= limit * 2:
        return Parts((text,) if text.strip() else (), False)
    if not (text := text.strip()):
        return Parts((), False)
    source = _Source(text, limit)
    parts = _taken(source, most, is_tight=False)
    return _taken(source, most, is_tight=True) if parts.is_cut else parts


def _taken(source: "_Source", most: int, *, is_tight: bool) -> Parts:
    texts: list[str] = []
    cut = _Cut(0, 0)
    while True:
        at, opened = cut.next, cut.reopen
        room = source.limit - len(opened)
        if source.fits(at, room):
            return Parts((*texts, opened + source.text[at:]), False)
        is_last = len(texts) == most - 1
        cut = source.cut(at, room - ROOM_TO_TELL if is_last else room, is_tight=is_tight and not is_last)
        body = source.text[at : cut.end]
        if is_last:
            sign = ("\n" if cut.close.startswith("\n") else " ") + TOLD
            return Parts((*texts, opened + body + cut.close + sign), True)
        if body.strip():
            texts.append(opened + body + cut.close)


class _Source:
    """A text that is too long, its spans, and its length in UTF-16 units up to any character."""

    def __init__(self, text: str, limit: int) -> None:
        self.text, self.limit = text, limit
        self.wide = [wide.start() for wide in WIDE.finditer(text)]
        self.lines = [0, *(line.end() for line in LINE.finditer(text))]
        self.spans = spans(text)
        self.starts = [span.start for span in self.spans]
        self.outer: list[int] = []  # of each span, the one around it; -1: none
        stack: list[int] = []
        for number, span in enumerate(self.spans):
            while stack and self.spans[stack[-1]].end <= span.start:
                stack.pop()
            self.outer.append(stack[-1] if stack else -1)
            stack.append(number)

    def units(self, at: int) -> int:
        """How many UTF-16 units stand before the character `at`."""
        return at + bisect_left(self.wide, at)

    def reach(self, at: int, room: int) -> int:
        """The last place that is no more than `room` units from `at`."""
        places = range(at, len(self.text) + 1)
        return at + bisect_right(places, self.units(at) + room, key=self.units) - 1

    def line(self, at: int) -> int:
        """Where the line begins that a part ending at `at` ends in."""
        return self.lines[bisect_right(self.lines, at) - 1]

    def fits(self, at: int, room: int) -> bool:
        return self.units(len(self.text)) - self.units(at) <= room

    def around(self, place: int) -> list[Span]:
        """The spans that a cut at `place` goes through, outer first."""
        number = bisect_left(self.starts, place) - 1
        found = []
        while number >= 0:
            if self.spans[number].end > place:
                found.append(self.spans[number])
            number = self.outer[number]
        return found[::-1]

    def is_atom(self, span: Span) -> bool:
        return self.units(span.end) - self.units(span.start) <= self.limit

    def cut(self, at: int, room: int, *, is_tight: bool) -> _Cut:
        """Where to end the part that begins at `at` and may have `room` units."""
        far = self.reach(at, room)
        enough = self.reach(at, room * 9 // 10 if is_tight else room // 2)
        ranked = []
        for gap in GAP.finditer(self.text, at + 1):
            end, start = gap.span()
            if end > far:
                break
            is_free = is_tight or not any(map(self.is_atom, self.around(end)))
            if is_free and end < enough:
                ranked.append(((1, 0, end), start))
            else:
                ranked.append(((2 if is_free else 0, self.rank(gap), end), start))
        for (_, _, end), start in sorted(ranked, reverse=True):
            if cut := self.mended(at, end, start, room):
                return cut
        for end in range(far, at, -1):
            if cut := self.mended(at, end, end, room):
                return cut
        return _Cut(max(far, at + 1), max(far, at + 1))

    def rank(self, gap: re.Match[str]) -> int:
        """4 between paragraphs, 3 between lines, 2 between sentences, 1 between words."""
        text, end = self.text, gap.start()
        if "\n" in gap[0]:
            is_lead_in = text[end - 1] == ":" or text.startswith("#", self.line(end))
            return 1 if is_lead_in else 4 if gap[0].count("\n") > 1 else 3
        if not gap[0]:
            return 2
        before = text[max(0, end - 8) : end].rstrip(CLOSERS)
        return 2 if before[-1:] in (*".!?…",) and before[-3:-1].isalpha() else 1

    def mended(self, at: int, end: int, start: int, room: int) -> _Cut | None:
        """The cut that ends at `end` and goes on at `start`, with marks closed and opened again; None if it harms."""
        text, around = self.text, self.around(end)
        line = self.line(end)
        in_fence = any(span.is_fence for span in around)
        is_midline = "\n" not in text[end:start]
        if is_midline and not in_fence and (end <= _match_end(ITEM, text, line) or BLOCK.match(text, start)):
            return None
        if is_midline and in_fence and (FENCED.match(text, start) or FENCED.match(text, line)):
            return None  # a half of the line might close the fence
        if text[end - 1] == "\\" or _is_glued(text, end) or not text[at:end].strip():
            return None
        if in_fence and not is_midline:
            start = text.rfind("\n", end, start) + 1  # what follows keeps its indentation
        for span in around:
            if span.is_whole and self.is_atom(span):
                return None
            if not (text[span.first : end].strip() and text[start : span.last].strip()):
                return None
        close = "".join(span.close for span in reversed(around))
        reopen = "".join(span.reopen for span in around)
        lead = ""
        if is_midline or (reopen and not in_fence):
            lead = text[line if is_midline else start : _match_end(LEAD, text, line if is_midline else start)]
            lead = lead if lead.strip() else ""
            start = start if is_midline else start + len(lead)
        if len(close) + len(reopen) + len(lead) > self.limit // 2:
            return _Cut(end, start)
        if self.units(end) - self.units(at) + len(close) > room:
            return None
        return _Cut(end, start, close, reopen + lead if in_fence else lead + reopen)


def _match_end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _is_glued(text: str, at: int) -> bool:
    """Whether the characters before and after `at` are seen as one, as far as the standard library can tell."""
    if at == len(text):
        return False
    before, after = text[at - 1], text[at]
    if before == "\u200d" or "\U0001f3fb" <= after <= "\U0001f3ff" or "\u1160" <= after <= "\u11ff":
        return True  # joined; a tone of skin; a Hangul syllable
    if category(after) in ("Mn", "Me", "Mc", "Cf"):
        return True
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return True
    if not "\U0001f1e6" <= after <= "\U0001f1ff":
        return False
    flags = 0
    while flags < at and "\U0001f1e6" <= text[at - 1 - flags] <= "\U0001f1ff":
        flags += 1
    return flags % 2 == 1
