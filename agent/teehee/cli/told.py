"""What the terminal shows beside the talk itself: drafts, receipts, reasons, how an agent stands."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from teehee.errors import VerificationError
from teehee.evidence import checkpoint
from teehee.evidence import receipt as receipts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

Json = Any
BAR = 24  # characters of the longest bar
PIPE_WIDTH = 100


def plain(text: str) -> str:
    """`text` without what could steer a terminal."""
    return "".join(c for c in text if c.isprintable() or c == "\n")


def dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m"


class Draft:
    """The words of an answer while they are written: faint, and gone with the context."""

    def __init__(self, wrapped: Callable[[str], str]) -> None:
        self.wrapped = wrapped
        self._live: Live | None = None

    def __enter__(self) -> "Draft":
        return self

    def show(self, text: str) -> None:
        """Shows this in place of what was shown before."""
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=_console(), transient=True, auto_refresh=False)
            self._live.start()
        rows = self.wrapped(text or "…").splitlines()
        most = max(shutil.get_terminal_size().lines - 3, 3)  # what has scrolled away cannot be taken back
        self._live.update(Text("\n".join(rows[-most:]), style="dim"), refresh=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


def receipt(found: Json, last: Json, url: str) -> Iterator[str]:
    """A reply's receipt, checked before it is shown."""
    try:
        checked = receipts.verify(found, text=last["text"], salt=last["receipt"]["salt"])
    except VerificationError as error:
        yield f"✗ this receipt does not hold: {error}"
        return
    outcome = "no outcome yet" if checked.outcome_index is None else f"{checked.state}: leaf {checked.outcome_index}"
    yield f"✓ effect {checked.effect}: said by this agent, in these words"
    yield f"  intent is leaf {checked.intent_index}, {outcome}"
    yield f"  of {checked.size} in {found['origin']}, signed by log key {found['key'][:16]}…; trust: {found['trust']}"
    yield f"  the whole of it: {url}/api/receipts/{checked.effect}"


def forgotten(given: Json, name: str) -> Iterator[str]:
    """The receipt of a forgetting, checked before it is shown."""
    if not given:
        yield f"· {name} kept nothing of you"
        return
    try:
        leaf = receipts.verify_forgotten(given)
    except VerificationError as error:
        yield f"✗ this receipt does not hold: {error}"
        return
    replies = _number(given["effects"], "reply", "replies")
    yield f"✓ forgotten: {replies}, all you said, and the key it was sealed under"
    yield f"  leaf {leaf} of {given['origin']} says so; salt {given['salt']} shows that it is about you,"
    yield "  and is kept nowhere else"


def status(found: Json) -> Iterator[str]:
    """How an agent stands; the log's checkpoint is checked."""
    try:
        key = checkpoint.vkey(found["origin"], bytes.fromhex(found["log_key"]))
        signed = (
            f"{checkpoint.verify(found['checkpoint'], key).size} leaves, signed by log key {found['log_key'][:16]}…"
        )
    except VerificationError as error:
        signed = f"✗ its checkpoint does not hold: {error}"
    standing = "stopped by its owner" if found["stopped"] else "answering"
    messages, replies = _number(found["messages_today"], "message"), _number(found["replies_today"], "reply", "replies")
    yield f"{plain(found['name'])} · {standing} · trust: {found['trust']}"
    yield f"  brain  {plain(found['brain'])}"
    yield f"  up     {_duration(found['up_seconds'])}"
    yield f"  today  {messages}, {replies}"
    yield f"  log    {signed}"
    yield f"  page   {found['url']}"
    for account in found["accounts"]:
        yield f"  speaks as {account['platform']}:{account['id']}; who can do what with that: `teehee accounts`"
    for alarm in found["alarms"]:
        yield f"  ! {plain(alarm['message'])}"


def why(found: Json, name: str) -> None:
    """Prints what an answer was made of."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    if not found.get("recorded"):
        console.print(Text("· no record of that answer is kept"))
        return
    facts = Table.grid(padding=(0, 2))
    for label, value in _facts(found):
        facts.add_row(Text(label, style="dim"), Text(plain(value)))
    console.print(facts)
    console.print()
    parts = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    parts.add_column("what it was told")
    parts.add_column("characters", justify="right")
    parts.add_column("")
    most = max((part["chars"] for part in found["prompt"]), default=1)
    for part in found["prompt"]:
        bar = Text("█" * max(round(BAR * part["chars"] / most), 1), style="" if part["stable"] else "dim")
        parts.add_row(Text(plain(part["name"])), f"{part['chars']:,}", bar)
    console.print(parts)
    console.print(Text("Faint bars are new with every message, the others the same all day.", style="dim"))


def _facts(found: Json) -> Iterator[tuple[str, str]]:
    model, calls, policy = found["model"], found["calls"], found["policy"]
    seconds = sum(call["ms"] for call in calls) / 1000
    yield "brain", model.get("name") or model.get("kind", "unknown")
    yield "asked", f"{'once' if len(calls) == 1 else f'{len(calls)} times'}, {seconds:.2f} s{_cost(calls)}"
    for reason in found["reasons"]:
        yield "again", reason
    for provider in found["providers"]:
        if provider["how"] == "failed":
            yield "failed", f"provider {provider['name']}"
    for memory in found["memories"]:
        yield "memory", f"{memory['count']} of {memory['from']}, by {memory['by']}"
    yield "actions", ", ".join(f"{a['name']} ({a['how']})" for a in found["actions"]) or "none"
    if policy:
        yield "policy", f"{policy['verdict']} by {policy['rule']}"
    for effect in found["effects"]:
        yield "said", f"{effect['verb']}, leaf {effect['leaf']}, {effect['state']}"


def _cost(calls: list[Mapping[str, Json]]) -> str:
    counted = [call["tokens"] for call in calls if call["tokens"]]
    read, written = sum(tokens["input"] for tokens in counted), sum(tokens["output"] for tokens in counted)
    return f", {read:,} tokens in, {written:,} out" if counted else ""


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{_number(days, 'day')} {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {seconds % 60} s"


def _console() -> "Console":
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
