"""The conversation in the terminal: lines in, replies out, each shown once and then settled."""

import asyncio
import os
import shutil
import sys
import textwrap
import threading
import uuid
from typing import Any

from teehee.errors import TeeheeError, VerificationError
from teehee.evidence import receipt as receipts
from teehee.wire.client import Client

Json = Any
WAIT_SECONDS = 90.0
POLL_SECONDS = 20.0
HELP = "/receipt shows the proof of the last reply · /quit ends (so do Ctrl-D and Ctrl-C) · anything else is said"


class Screen:
    """What is on the screen already, so that nothing is shown twice."""

    def __init__(self, door: Client, face: Json) -> None:
        self.door = door
        self.face = face
        self.url: str = face["url"]
        self.shown: set[str] = set()
        self.last: Json = None

    async def show(self, messages: list[Json]) -> None:
        """Prints what is new and tells the agent so: only then is it delivered."""
        new = [message for message in messages if message["id"] not in self.shown]
        for message in new:
            self.shown.add(message["id"])
            self.last = message
            print_line(wrapped(f"{self.face['name']} › {message['text']}"))
        if messages:  # those shown before too: their word may have been lost
            await self.door.call("seen", {"ids": [message["id"] for message in messages]})


async def converse(door: Client, face: Json, stopped: asyncio.Event) -> None:
    """Talks until the lines end or `stopped` is set."""
    screen = Screen(door, face)
    interactive = sys.stdin.isatty()
    if interactive:
        print_line(wrapped(f"Say something to {face['name']}. {HELP}"))
    loop = asyncio.get_running_loop()
    lines = read_lines(loop)
    late = loop.create_task(_late(screen))
    stop = loop.create_task(stopped.wait())
    try:
        while not stopped.is_set():
            if interactive:
                sys.stdout.write("you › ")
                sys.stdout.flush()
            reading = loop.create_task(lines.get())
            await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() or (line := reading.result()) is None:
                reading.cancel()
                break
            if not await _obey(screen, line.strip(), stop):
                break
    finally:
        late.cancel()
        stop.cancel()
        print_line("")


async def _obey(screen: Screen, line: str, stop: "asyncio.Task[Any]") -> bool:
    """One line of the person's; False when it ends the talk."""
    if line in ("/quit", "/exit"):
        return False
    if line == "/help":
        print_line(HELP)
    elif line == "/receipt":
        await _receipt(screen)
    elif line:
        saying = asyncio.ensure_future(_say(screen, line))
        await asyncio.wait({saying, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not saying.done():
            saying.cancel()
            return False
    return True


async def _say(screen: Screen, text: str) -> None:
    message = {"agent": screen.face["slug"], "text": text, "id": str(uuid.uuid4()), "wait": WAIT_SECONDS}
    try:
        told = await screen.door.call("say", message, patience=WAIT_SECONDS + 30)
    except TeeheeError as error:
        print_line(f"· {error}")
        return
    await screen.show(told["messages"])
    if not told["messages"]:
        print_line(f"· {told.get('notice', 'no answer yet; it will be shown when it comes')}")


async def _receipt(screen: Screen) -> None:
    if screen.last is None:
        print_line("· nothing was said yet, so there is no receipt")
        return
    last = screen.last
    found = await screen.door.call("receipt", {"effect": last["id"]})
    try:
        checked = receipts.verify(found, text=last["text"], salt=last["receipt"]["salt"])
    except VerificationError as error:
        print_line(f"✗ this receipt does not hold: {error}")
        return
    print_line(f"✓ effect {checked.effect}: said by this agent, in these words")
    print_line(
        f"  intent is leaf {checked.intent_index}, {checked.state or 'no outcome yet'}: leaf {checked.outcome_index}"
    )
    print_line(
        f"  of {checked.size} in {found['origin']}, signed by log key {found['key'][:16]}…; trust: {found['trust']}"
    )
    print_line(f"  the whole of it: {screen.url}/api/receipts/{checked.effect}")


async def _late(screen: Screen) -> None:
    """Shows what comes outside an exchange: a postponed answer, one from before a restart."""
    while True:
        try:
            asked = {"agent": screen.face["slug"], "wait": POLL_SECONDS}
            messages = await screen.door.call("pull", asked, patience=POLL_SECONDS + 30)
        except TeeheeError:
            await asyncio.sleep(1.0)
            continue
        # An answer to what is being said right now is shown by the exchange itself, a moment later.
        await asyncio.sleep(0.2)
        await screen.show(messages)


def read_lines(loop: asyncio.AbstractEventLoop) -> "asyncio.Queue[str | None]":
    """The lines of standard input as they come, then None. A terminal, a pipe and a file all do.

    A thread reads, by `os.read`: making a terminal's stdin non-blocking would make its stdout so too, and a thread
    blocked inside `sys.stdin` cannot be left behind at exit.
    """
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        rest = b""
        while data := os.read(0, 65536):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                loop.call_soon_threadsafe(lines.put_nowait, line.decode("utf-8", "replace"))
        if rest:
            loop.call_soon_threadsafe(lines.put_nowait, rest.decode("utf-8", "replace"))
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def wrapped(text: str) -> str:
    """`text` broken at words to the terminal's width; in a pipe, as it is."""
    if not sys.stdout.isatty():
        return text
    width = max(shutil.get_terminal_size().columns - 1, 20)
    return "\n".join(textwrap.fill(line, width, subsequent_indent="  ") for line in text.splitlines())


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
