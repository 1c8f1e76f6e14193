"""Texts in pieces a mind can search: by headings, blank lines and sentences, never inside a word."""

import re
from bisect import bisect
from itertools import pairwise

ABOUT, MOST, LEAST = 1_000, 1_500, 200  # characters of a fragment: wanted, never more, seldom less

NEWLINE = re.compile(r"\r\n?")
MARK = re.compile(r"^ {0,3}(?:(#{1,6}(?:[ \t].*)?$)|(`{3,}(?=[^`\n]*$)|~{3,})(.*))", re.MULTILINE)
BLANK = re.compile(r"\n[ \t]*\n")
SENTENCE = re.compile(r"[.!?…][\"'’”»)\]]{0,3}\s")
LINE = re.compile(r"\n")
SPACE, SPACES = re.compile(r"\s"), re.compile(r"\s*")
SENTENCE_WITHOUT_SPACE = re.compile(r"[。！？；]")


def split(text: str) -> list[str]:
    """`text` in fragments of about `ABOUT` characters and `MOST` at most, without overlap; a heading starts one."""
    text = NEWLINE.sub("\n", text)
    sections, fences = _outline(text)
    pieces: list[str] = []
    for (start, body), (next_start, _) in pairwise([*sections, (len(text), 0)]):
        end = start + len(text[start:next_start].rstrip())
        start = _skip_space(text, start)
        while end - start > MOST:
            stop = _stop(text, start, end, body, fences)
            pieces.append(text[start:stop].rstrip())
            start = _skip_space(text, stop)
        if start < end:
            pieces.append(text[start:end])
    return pieces


def _outline(text: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Where each section starts and where its words do; where code blocks start and end, in turn.

    Headings with nothing between them share a section, and what looks like one inside a code block is a comment.
    """
    sections, fences, opened = [(0, 0)], list[int](), ""
    for found in MARK.finditer(text):
        heading, fence, rest = found.groups()
        if opened:
            if fence and fence[0] == opened[0] and len(fence) >= len(opened) and not rest.strip():
                fences.append(found.end())
                opened = ""
        elif fence:
            fences.append(found.start())
            opened = fence
        elif heading:
            follows_heading = sections[-1][1] >= found.start()
            start = sections.pop()[0] if follows_heading else found.start()
            sections.append((start, _skip_space(text, found.end())))
    return sections, fences


def _stop(text: str, start: int, end: int, body: int, fences: list[int]) -> int:
    """Where the fragment at `start` stops: after a paragraph, else a sentence, a line, a word; in a word at last."""
    least = max(start + LEAST, body)  # a heading stays with some of its words
    limit = start + MOST + 1  # one more: the space after the last word is not part of the fragment
    for boundary in (BLANK, SENTENCE, LINE, SPACE):
        stops = [found for found in boundary.finditer(text, start, limit) if found.end() > least]
        if boundary in (BLANK, SENTENCE):
            stops = [found for found in stops if not bisect(fences, found.start()) % 2]  # code has neither
        if stops:
            break
    else:
        word = max((found.end() for found in SPACE.finditer(text, start, limit)), default=start)
        if word > start and (end - word <= MOST or SPACE.search(text, limit, word + MOST + 1)):
            return word  # the next word has room in a fragment of its own
        stops = list(SENTENCE_WITHOUT_SPACE.finditer(text, least, start + MOST))
    wanted = start + ABOUT
    return min((found.end() for found in stops), key=lambda stop: abs(stop - wanted), default=start + MOST)


def _skip_space(text: str, start: int) -> int:
    found = SPACES.match(text, start)
    return found.end() if found else start
