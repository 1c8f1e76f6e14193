"""The conversation in the terminal: lines in, replies out, each shown once and then settled."""

import asyncio
import shutil
import sys
import textwrap
import uuid
from typing import Any

from teehee.cli import lines, told
from teehee.cli.lines import Lines
from teehee.errors import TeeheeError
from teehee.wire.client import Client

Json = Any
WAIT_SECONDS = 90.0
POLL_SECONDS = 20.0
WATCH_SECONDS = 10.0
PAST_SHOWN = 6  # lines of an earlier talk
HELP = (
    "/receipt  the proof of the last reply, checked here",
    "/why      what the last answer was made of",
    "/status   how the agent stands",
    "/forget   makes the agent forget you, for good",
    "/quit     ends the talk; so do Ctrl-D and Ctrl-C",
    "A line that ends in \\ goes on in the next. Anything else is said.",
)


class Screen:
    """What is on the screen already, so that nothing is shown twice."""

    def __init__(self, door: Client, face: Json, source: Lines) -> None:
        self.door = door
        self.face = face
        self.source = source
        self.is_terminal = sys.stdout.isatty()
        self.shown: set[str] = set()
        self.last: Json = None
        self.asked = ""  # the id of the last message said here

    @property
    def name(self) -> str:
        return told.plain(self.face["name"])

    async def show(self, messages: list[Json]) -> None:
        """Prints what is new and tells the agent so: only then is it delivered."""
        new = [message for message in messages if message["id"] not in self.shown]
        for message in new:
            self.shown.add(message["id"])
            self.last = message
            self.source.interrupted_by(self.wrapped(f"{self.name} › {told.plain(message['text'])}"))
        if messages:  # those shown before too: their word may have been lost
            await self.door.call("seen", {"ids": [message["id"] for message in messages]})

    def say(self, text: str) -> None:
        self.source.interrupted_by(text)

    def wrapped(self, text: str) -> str:
        """`text` broken at words to the terminal's width; in a pipe, as it is."""
        if not self.is_terminal:
            return text
        width = max(shutil.get_terminal_size().columns - 1, 20)
        return "\n".join(textwrap.fill(line, width, subsequent_indent="  ") for line in text.splitlines())


async def converse(door: Client, face: Json, stopped: asyncio.Event) -> None:
    """Talks until the lines end or `stopped` is set."""
    source = lines.of_stdin()
    screen = Screen(door, face, source)
    loop = asyncio.get_running_loop()
    if screen.is_terminal:
        await _greet(screen)
    late = loop.create_task(_late(screen))
    stop = loop.create_task(stopped.wait())
    try:
        while not stopped.is_set():
            reading = loop.create_task(_line(source))
            await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() or (line := reading.result()) is None:
                reading.cancel()
                break
            obeying = loop.create_task(_obey(screen, line.strip()))
            await asyncio.wait({obeying, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not obeying.done() or not obeying.result():
                obeying.cancel()
                await asyncio.wait({obeying})
                break
    finally:
        late.cancel()
        stop.cancel()
        source.close()
        lines.show("")


async def _line(source: Lines) -> str | None:
    """The next line; one that ends in a backslash goes on in the next."""
    whole: list[str] = []
    while (line := await source.next(lines.GOES_ON if whole else "you › ")) is not None and line.endswith("\\"):
        whole.append(line[:-1])
    if line is None and not whole:
        return None
    return "\n".join([*whole, line or ""])


async def _greet(screen: Screen) -> None:
    """What was said last time, and what can be typed."""
    past = await screen.door.call("history", {"agent": screen.face["slug"]})
    screen.source.recall(line["text"] for line in past if line["who"] == "you")
    for line in past[-PAST_SHOWN:]:
        name = screen.name if line["who"] == "agent" else "you"
        screen.say(told.dim(screen.wrapped(f"{name} › {told.plain(line['text'])}")))
        screen.shown.add(line["id"])
    screen.say(screen.wrapped(f"Say something to {screen.name}. /help shows what else can be typed."))


async def _obey(screen: Screen, line: str) -> bool:
    """One line of the person's; False when it ends the talk."""
    command, _, rest = line.partition(" ")
    if command in ("/quit", "/exit"):
        return False
    if not line:
        return True
    if command not in COMMANDS and (len(command) < 2 or not command[1:].isalpha() or command[0] != "/"):
        await _say(screen, line)
        return True
    try:
        if command in COMMANDS:
            await COMMANDS[command](screen, rest.strip())
        else:
            screen.say(f"· there is no {command}; /help shows what there is")
    except TeeheeError as error:
        screen.say(f"· {error}")
    return True


async def _say(screen: Screen, text: str) -> None:
    screen.asked = str(uuid.uuid4())
    message = {"agent": screen.face["slug"], "text": text, "id": screen.asked, "wait": WAIT_SECONDS}
    saying = asyncio.create_task(screen.door.call("say", message, patience=WAIT_SECONDS + 30))
    try:
        if screen.is_terminal:
            await _watch(screen, saying)
        answer = await saying
    except TeeheeError as error:
        screen.say(f"· {error}")
        return
    finally:
        saying.cancel()
    await screen.show(answer["messages"])
    if not answer["messages"]:
        screen.say(f"· {answer.get('notice', 'no answer yet; it will be shown when it comes')}")


async def _watch(screen: Screen, saying: "asyncio.Task[Json]") -> None:
    """Shows the draft while the answer is written, and takes it away when the answer is there."""
    with told.Draft(lambda text: screen.wrapped(f"{screen.name} › {text}")) as draft:
        asked = {"agent": screen.face["slug"], "id": screen.asked, "after": 0, "wait": WATCH_SECONDS}
        while not saying.done():
            signal = asyncio.create_task(screen.door.call("signal", asked, patience=WATCH_SECONDS + 5))
            await asyncio.wait({signal, saying}, return_when=asyncio.FIRST_COMPLETED)
            if not signal.done():
                signal.cancel()
            elif signal.exception() is not None or signal.result()["state"] == "ended":
                break
            else:
                asked["after"] = signal.result()["number"]
                draft.show(told.plain(signal.result()["text"]))
        await asyncio.wait({saying})


async def _help(screen: Screen, rest: str) -> None:
    for line in HELP:
        screen.say(line)


async def _receipt(screen: Screen, rest: str) -> None:
    if screen.last is None:
        screen.say("· nothing was said yet, so there is no receipt")
        return
    found = await screen.door.call("receipt", {"effect": screen.last["id"]})
    for line in told.receipt(found, screen.last, screen.face["url"]):
        screen.say(line)


async def _why(screen: Screen, rest: str) -> None:
    if not (name := screen.asked or (screen.last or {}).get("id", "")):
        screen.say("· nothing was said yet, so there is nothing to explain")
        return
    told.why(await screen.door.call("why", {"agent": screen.face["slug"], "id": name}), screen.name)


async def _status(screen: Screen, rest: str) -> None:
    for line in told.status(await screen.door.call("status", {"agent": screen.face["slug"]})):
        screen.say(line)


async def _forget(screen: Screen, rest: str) -> None:
    if rest != "yes":
        screen.say(f"· {screen.name} would forget all you said here, all you were told and the key it is sealed under,")
        screen.say("  in every room of this terminal, for good; the log keeps only that there was something.")
        screen.say("  To do so, type: /forget yes")
        return
    for line in told.forgotten(await screen.door.call("forget", {"agent": screen.face["slug"]}), screen.name):
        screen.say(line)
    screen.last, screen.asked = None, ""
    screen.source.recall(())


COMMANDS = {
    "/help": _help, "/receipt": _receipt, "/why": _why, "/status": _status, "/forget": _forget,
}  # fmt: skip


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
