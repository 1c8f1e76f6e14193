"""The words of an answer while it is still being written: never said, never kept, gone when the answer is there.

A draft shows only what the last-mile check lets through, and not the word that is still growing: a key or a tag is told
from talk only once it is whole.
"""

import asyncio
import html
import json
import re
from collections.abc import Callable, Sequence

from teehee import lastmile
from teehee.errors import AskAgain
from teehee.mind import actions, respond

Show = Callable[[str], None]  # told what the draft reads now; "" takes it back
PAUSE_SECONDS = 0.05  # between two showings
LONGEST = 4000  # characters; no message is longer
RAW_LIMIT = 200_000  # characters of an answer looked at, as in `respond`

ASCII_WORD = "".join(map(chr, range(0x21, 0x7F)))
LONGEST_TAG = 80  # characters
JSON_TEXT = re.compile(r'"text"\s*:\s*"((?:[^"\\]|\\.)*)("?)', re.DOTALL)


def unseen(text: str) -> None:
    """For turns nobody watches."""


class Draft:
    """Hears an answer piece by piece and shows its words, at most so often. It is a `models.Hear`."""

    def __init__(self, show: Show, instructions: Sequence[str] = ()) -> None:
        self.show = show
        self.instructions = instructions
        self._pieces: list[str] = []
        self._size = 0
        self._shown, self._shown_at = "", 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """An answer begins, maybe once more: what was shown of the last one is taken back."""
        self.end()
        self._pieces.clear()
        self._size = 0
        if self._shown:
            self._shown = ""
            self.show("")

    def end(self) -> None:
        """The answer is whole: nothing more is shown."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __call__(self, piece: str) -> None:
        if self._size > RAW_LIMIT:
            return
        self._size += len(piece)
        self._pieces.append(piece)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = self._shown_at + PAUSE_SECONDS - loop.time()
            if wait <= 0:
                self._look()
            else:
                self._timer = loop.call_later(wait, self._look)

    def _look(self) -> None:
        self._timer = None
        self._pieces = ["".join(self._pieces)]
        verdict = lastmile.check(said_so_far(self._pieces[0])[:LONGEST], instructions=self.instructions)
        if not verdict.refused and verdict.text != self._shown:
            self._shown, self._shown_at = verdict.text, asyncio.get_running_loop().time()
            self.show(verdict.text)


def said_so_far(raw: str) -> str:
    """The words that an answer, cut anywhere, holds so far; "" while it is not clear that they will be said."""
    _, opened, block = raw.rpartition("<response>")  # the last: a model that broke off was followed by another
    if not opened:
        return _from_json(raw)
    head, opened, rest = block.partition("<text>")
    if not opened or not _will_be_said(head):
        return ""
    end = rest.rfind("</text>")
    return html.unescape((rest[:end] if end >= 0 else _whole_words(rest)).strip())


def _will_be_said(head: str) -> bool:
    """Does what stands before the words let them out? Not a silence, not a look at providers first."""
    try:
        decided = actions.audible(respond.parse(f"<response>{head}<text>.</text></response>"))
    except AskAgain:
        return False
    return "REPLY" in decided.actions and not decided.providers


def _from_json(raw: str) -> str:
    if not raw.lstrip().startswith(("{", "```")) or (found := JSON_TEXT.search(raw)) is None:
        return ""
    words, closed = found.groups()
    try:
        return str(json.loads(f'"{words if closed else _whole_words(words)}"', strict=False)).strip()
    except ValueError:
        return ""


def _whole_words(text: str) -> str:
    """`text` without what may still grow: an ASCII word that has no end yet, an entity or an escape in it, a tag."""
    text = text.rstrip(ASCII_WORD)
    tag = text.rfind("<", max(len(text) - LONGEST_TAG, 0))
    return text[:tag] if tag >= 0 and ">" not in text[tag:] else text
