"""Where a talk's lines come from: a keyboard that can edit and recall them, or a pipe or file."""

import asyncio
import contextlib
import os
import queue
import select
import sys
import threading
from collections.abc import Iterable
from typing import Any, Protocol

GOES_ON = "  … "  # the prompt of a line that goes on
PASTE_SECONDS = 0.03  # lines that come closer than that were not typed one by one
PASTE_OFF = "\x1b[?2004l"  # what an interrupted line editor has not put back itself


class Lines(Protocol):
    """Lines as they come. `next` gives None at their end."""

    async def next(self, prompt: str) -> str | None: ...

    def recall(self, said: Iterable[str]) -> None:
        """Puts these in reach of the arrow keys, in place of what was."""
        ...

    def interrupted_by(self, text: str) -> None:
        """Shows `text` above the line being written."""
        ...

    def close(self) -> None: ...


def of_stdin() -> Lines:
    """The keyboard when a person sits at one, else whatever standard input is."""
    return Keyboard() if sys.stdin.isatty() and sys.stdout.isatty() else Piped()


def show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Keyboard:
    """Lines with an editor, by the system's readline, in a thread that is asked for one line at a time."""

    def __init__(self) -> None:
        import readline
        import termios

        self._readline = readline
        self._termios = termios
        self._before = termios.tcgetattr(0)
        self._quiet = termios.tcgetattr(0)
        self._quiet[3] &= ~(termios.ECHO | termios.ICANON)
        self._set(self._quiet)
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._prompt = ""  # not empty while a line is being written
        threading.Thread(target=self._read, daemon=True).start()

    async def next(self, prompt: str) -> str | None:
        self._prompt = prompt
        self._asked.put(prompt)
        line = await self._lines.get()
        self._prompt = ""
        return line

    def recall(self, said: Iterable[str]) -> None:
        self._readline.clear_history()
        for text in said:
            self._readline.add_history(text)

    def interrupted_by(self, text: str) -> None:
        if not self._prompt:
            show(text)
            return
        begun = self._prompt + self._readline.get_line_buffer()
        sys.stdout.write(f"\r\x1b[K{text}\n{begun}")
        sys.stdout.flush()

    def close(self) -> None:
        """Leaves the terminal as it was found; the thread, if it still waits for a key, ends with the process."""
        if self._prompt:
            sys.stdout.write(PASTE_OFF)
            sys.stdout.flush()
        self._set(self._before)

    def _read(self) -> None:
        while True:
            line = self._edited(self._asked.get())
            while line is not None and select.select([0], [], [], PASTE_SECONDS)[0]:
                more = self._edited(GOES_ON)
                line = line if more is None else line.removesuffix("\\") + f"\n{more}"
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

    def _edited(self, prompt: str) -> str | None:
        self._set(self._before)  # the editor echoes only where the terminal does
        try:
            return input(prompt)
        except EOFError:
            return None
        finally:
            self._set(self._quiet)  # keys are kept for the next prompt, and do not show among the words of a draft

    def _set(self, attributes: list[Any]) -> None:
        with contextlib.suppress(self._termios.error):
            self._termios.tcsetattr(0, self._termios.TCSANOW, attributes)


class Piped:
    """Lines of a pipe or file; nothing is shown for them.

    A thread reads, by `os.read`: one blocked inside `sys.stdin` cannot be left behind at exit.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()

        def put(line: bytes | None) -> None:
            text = None if line is None else line.decode("utf-8", "replace")
            loop.call_soon_threadsafe(self._lines.put_nowait, text)

        def read() -> None:
            rest = b""
            while data := os.read(0, 65536):
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    put(line)
            if rest:
                put(rest)
            put(None)

        threading.Thread(target=read, daemon=True).start()

    async def next(self, prompt: str) -> str | None:
        return await self._lines.get()

    def recall(self, said: Iterable[str]) -> None:
        pass

    def interrupted_by(self, text: str) -> None:
        show(text)

    def close(self) -> None:
        pass
