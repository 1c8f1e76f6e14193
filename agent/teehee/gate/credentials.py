"""Secrets as they change: who waits for one is woken, and keys of the mind's ways out are always the newest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from teehee.errors import Refused, Unavailable
from teehee.wire.boot import EgressRule
from teehee.wire.client import Client


class SecretNews:
    """Wakes whoever waits for the next version of a secret."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def tell(self, name: str = "") -> None:
        """This secret changed; without a name: any may have."""
        for one in [name] if name else list(self._waiting):
            if (event := self._waiting.pop(one, None)) is not None:
                event.set()

    def next(self, name: str) -> asyncio.Event:
        """Is set by the next word on this secret."""
        return self._waiting.setdefault(name, asyncio.Event())


@contextlib.asynccontextmanager
async def handed_over(vault: Client, rules: Sequence[EgressRule], news: SecretNews) -> AsyncIterator[Mapping[str, str]]:
    """The keys by the rules that name them, newest ones while this holds; a rule whose key is missing goes without."""
    keys: dict[str, str] = {}

    async def watch(name: str) -> None:
        while True:
            told = news.next(name)
            with contextlib.suppress(Unavailable):
                keys.update(await _fetched(vault, [rule for rule in rules if rule.credential == name]))
            await told.wait()

    named = sorted({rule.credential for rule in rules} - {""})
    keys.update(await _fetched(vault, rules))
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(watch(name)) for name in named]
    try:
        yield keys
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fetched(vault: Client, rules: Sequence[EgressRule]) -> dict[str, str]:
    found = {}
    for rule in rules:
        if rule.credential:
            with contextlib.suppress(Refused):
                found[rule.name] = (await vault.call("secret.get", {"name": rule.credential}))["value"]
    return found
