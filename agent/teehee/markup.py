"""Where Markdown's marks stand in a text as models write it, so that nobody cuts through them.

It knows what models use: fences, tables, code, links, bold, italic, strikethrough and spoilers. It is linear in the
length of the text, and what it takes for no mark is text.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import category

DEEPEST = 8  # marks open at once; those further out count as text

_LEAD = r"[ \t]*(?:>[ \t]*)*"
_RULE = r"[ \t]*+:?-++:?[ \t]*+"
FENCE = re.compile(
    rf"^(?P<lead>{_LEAD}(?:(?:[-*+]|\d{{1,9}}[.)])[ \t]+)?)(?P<marks>`{{3,}}|~{{3,}})(?P<info>[^\n]*)$", re.MULTILINE
)
TABLE = re.compile(
    rf"^[^\n|]*\|[^\n]*\n[ \t]*+\|?{_RULE}(?:\|{_RULE})*+\|?[ \t]*$(?:\n[^\n|]*\|[^\n]*)*+", re.MULTILINE
)
LANGUAGE = re.compile(r"[ \t]*([\w+#.-]{0,24})", re.ASCII)
TICKS = re.compile("`+")
PARAGRAPH = re.compile(r"[^\n]+(?:\n(?![ \t]*(?:\n|$))[^\n]+)*+")
TOKEN = re.compile(
    r"\\."
    r"|(?P<ticks>`+)"
    r"|(?P<link>!?\[(?:[^\[\]\\]|\\.)*+\]"
    r"\((?:<[^<>\n]*>|(?:[^()\\\s]|\\.|\([^()\s]*\))*+)(?:\s\"[^\"]*\")?\)|<[a-z][a-z\d+.-]+:[^\s<>]*>)"
    r"|https?://[^\s<>`|\[\]]*[^\s<>`|\[\]*_~.,;:!?)'\"]"
    r"|(?P<run>\*+|_+|~~|\|\|)",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Span:
    """What a pair of marks holds: `start` to `end` with its marks, `first` to `last` without."""

    start: int
    first: int
    last: int
    end: int
    reopen: str = ""  # what opens it anew after a cut
    close: str = ""  # what closes it before one
    is_fence: bool = False
    is_whole: bool = False  # no marks can mend a cut


def spans(text: str) -> list[Span]:
    """Every span of `text`, outer before inner; two either nest or lie apart."""
    fences = list(_fences(text))
    found, at = list[Span](), 0
    for block in sorted([*fences, *_tables(text, fences)], key=lambda span: span.start):
        found += [*_inline(text, at, block.start), block]
        found += [] if block.is_fence else _inline(text, block.start, block.end)
        at = block.end
    return sorted([*found, *_inline(text, at, len(text))], key=lambda span: (span.start, -span.end))


def _fences(text: str) -> Iterator[Span]:
    at = 0
    while opening := FENCE.search(text, at):
        lead, marks, info = opening["lead"], opening["marks"], opening["info"]
        if marks[0] == "`" and "`" in info:
            at = opening.end()
            continue
        beyond = r"|^(?![ \t]*>)" if ">" in lead else ""  # a quote that ends takes its fence along
        closing = re.compile(rf"^{_LEAD}{marks[0]}{{{len(marks)},}}[ \t]*$(?P<own>){beyond}", re.MULTILINE)
        shut = closing.search(text, opening.end() + 1)
        last = shut.start() - 1 if shut else len(text)
        at = len(text) if shut is None else shut.end() if shut["own"] is not None else last
        lead = re.sub(r"[^>\s]", " ", lead)
        reopen = lead + marks + (language[1] if (language := LANGUAGE.match(info)) else "") + "\n"
        yield Span(opening.start(), opening.end(), last, at, reopen, f"\n{lead}{marks}", is_fence=True)


def _tables(text: str, fences: list[Span]) -> Iterator[Span]:
    starts = [fence.start for fence in fences]
    for table in TABLE.finditer(text):
        start, end = table.span()
        before = bisect_right(starts, start)
        is_apart = before == 0 or fences[before - 1].end <= start
        if is_apart and (before == len(fences) or end <= starts[before]):
            yield Span(start, start, end, end)


def _inline(text: str, start: int, end: int) -> list[Span]:
    """The spans between `start` and `end`, where no block begins; none reaches beyond its paragraph."""
    found: list[Span] = []
    for paragraph in PARAGRAPH.finditer(text, start, end):
        found += _paragraph(text, *paragraph.span())
    return found


def _paragraph(text: str, at: int, end: int) -> Iterator[Span]:
    ticks: dict[int, list[int]] = {}
    for run in TICKS.finditer(text, at, end):
        ticks.setdefault(len(run[0]), []).append(run.start())
    open_runs: list[tuple[int, str]] = []  # where each begins, and its marks
    while token := TOKEN.search(text, at, end):
        start, at = token.span()
        if token["link"]:
            yield Span(start, start, at, at, is_whole=True)
        elif token["ticks"]:
            starts = ticks.get(at - start, [])
            if (number := bisect_right(starts, start)) < len(starts):
                last = starts[number]
                mark = token[0] if at - start < 3 else ""  # at the start of a part, three would open a fence
                yield Span(start, at, last, last + at - start, mark, mark, is_whole=not mark)
                at = last + at - start
        elif token["run"] and len(token[0]) <= 3:
            yield from _paired(text, start, token[0], open_runs)


def _paired(text: str, start: int, run: str, open_runs: list[tuple[int, str]]) -> Iterator[Span]:
    """The spans that this run of marks closes; what is left of it is kept as an opener, if it can be one."""
    may_open, may_close = _flanks(text, start, start + len(run), run[0])
    while run and may_close:
        of_kind = [i for i, (_, marks) in enumerate(open_runs) if marks[0] == run[0]]
        if not of_kind:
            break
        begin, marks = open_runs[of_kind[-1]]
        del open_runs[of_kind[-1] :]
        pair = run[: min(len(run), len(marks))]
        first = begin + len(marks)
        yield Span(first - len(pair), first, start, start + len(pair), pair, pair)
        if rest := marks[len(pair) :]:
            open_runs.append((begin, rest))
        start, run = start + len(pair), run[len(pair) :]
    if run and may_open:
        open_runs.append((start, run))
        del open_runs[:-DEEPEST]


def _flanks(text: str, start: int, end: int, mark: str) -> tuple[bool, bool]:
    """Whether marks from `start` to `end` may open and may close, by CommonMark's rule of flanks."""
    before, after = text[start - 1 : start] or " ", text[end : end + 1] or " "
    blank_before, blank_after = before.isspace(), after.isspace()
    sign_before, sign_after = category(before)[0] in "PS", category(after)[0] in "PS"
    left = not blank_after and (not sign_after or blank_before or sign_before)
    right = not blank_before and (not sign_before or blank_after or sign_after)
    if mark == "_":
        return left and (not right or sign_before), right and (not left or sign_after)
    return left, right
