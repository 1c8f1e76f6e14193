"""How far along something long is: a bar on a terminal, a sentence now and then elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator

STEPS = 5


@contextlib.contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives what is to be told each number of bytes that were just done; `total` bytes are all."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            yield lambda size: bar.advance(task, size)
        return
    done = told = 0

    def hear(size: int) -> None:
        nonlocal done, told
        done += size
        if (step := done * STEPS // max(total, 1)) > told:
            told = step
            sys.stderr.write(f"· {what}: {done:,} of {total:,} bytes\n")

    yield hear
