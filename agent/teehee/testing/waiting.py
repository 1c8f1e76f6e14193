"""Waits for what announces itself to nobody: a file, a row, a process that is gone."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 0.01


async def until(claim: Callable[[], bool | Awaitable[bool]], *, seconds: float = 20.0) -> None:
    """Returns once `claim` holds. Raises TimeoutError, naming the claim, when it does not within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                held = claim()
                if await held if inspect.isawaitable(held) else held:
                    return
                await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"not within {seconds:g} s: {getattr(claim, '__qualname__', claim)}") from None
