"""The conversation in the terminal: lines in, replies out, each shown once and then settled."""

import asyncio
import json
import os
import sys
import uuid
from typing import Any

from teehee.errors import TeeheeError
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
        self.shown: set[str] = set()
        self.last = ""

    async def show(self, messages: list[Json]) -> None:
        """Prints what is new and tells the agent so: only then is it delivered."""
        new = [message for message in messages if message["id"] not in self.shown]
        for message in new:
            self.shown.add(message["id"])
            self.last = message["id"]
            print_line(f"{self.face['name']} › {message['text']}")
        if new:
            await self.door.call("seen", {"ids": [message["id"] for message in new]})


async def converse(door: Client, face: Json, stopped: asyncio.Event) -> None:
    """Talks until the lines end or `stopped` is set."""
    screen = Screen(door, face)
    interactive = sys.stdin.isatty()
    if interactive:
        print_line(f"Say something to {face['name']}. {HELP}")
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(os.dup(0), "rb"))
    late = loop.create_task(_late(screen))
    stop = loop.create_task(stopped.wait())
    try:
        while not stopped.is_set():
            if interactive:
                sys.stdout.write("you › ")
                sys.stdout.flush()
            reading = loop.create_task(lines.readline())
            await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() or not (line := reading.result()):
                reading.cancel()
                break
            if not await _obey(screen, line.decode("utf-8", "replace").strip(), stop):
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
    if not screen.last:
        print_line("· nothing was said yet, so there is no receipt")
        return
    receipt = await screen.door.call("receipt", {"effect": screen.last})
    print_line(json.dumps(receipt, indent=2))


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


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
