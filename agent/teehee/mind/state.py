"""Composes the state of a turn: providers asked in parallel, a failing one left out by name."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence

from teehee.log import get_logger
from teehee.mind import notes
from teehee.plugin import Provided, Provider, State, Turn

PROVIDER_SECONDS = 5.0
KEPT = 512  # rooms whose stable texts are kept
log = get_logger()


class StateComposer:
    """Asks an agent's providers. Stable ones are asked once per room and day."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        ordered = sorted(providers, key=lambda p: p.position)
        self.providers = ordered
        self._stable = [p for p in ordered if p.stable and not p.dynamic and not p.private]
        self._fresh = [p for p in ordered if not p.stable and not p.dynamic and not p.private]
        self._kept: OrderedDict[tuple[str, str, str], State] = OrderedDict()

    async def stable(self, turn: Turn) -> State:
        """What depends on character, room and day only."""
        key = (turn.message.room_id, turn.message.room_type, turn.now.date().isoformat())
        if key in self._kept:
            self._kept.move_to_end(key)
            for name, text in self._kept[key].texts.items():
                notes.now().provided(name, 0.0, len(text), "kept")
            return self._kept[key]
        told = await _ask_all(turn, self._stable)
        if None not in told:  # one that failed is asked again next time
            self._kept[key] = _joined(self._stable, told)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return _joined(self._stable, told)

    async def fresh(self, turn: Turn, named: Iterable[str] = (), keys: Collection[str] = ()) -> State:
        """What is true of this very turn, and the dynamic providers the model named or a template needs."""
        wanted = set(named)
        dynamic = [p for p in self.providers if p.dynamic and (p.name in wanted or not set(p.gives).isdisjoint(keys))]
        return await compose(turn, [*self._fresh, *dynamic])

    def forget(self, rooms: Collection[str]) -> None:
        """Drops what is kept for these rooms."""
        for key in [key for key in self._kept if key[0] in rooms]:
            del self._kept[key]

    def offers(self, names: Iterable[str]) -> bool:
        """Is any of `names` a dynamic provider that can be consulted?"""
        return any(p.dynamic and p.name in set(names) for p in self.providers)


async def compose(turn: Turn, providers: Sequence[Provider]) -> State:
    """The state of these providers, in their order; a failing one tells nothing."""
    return _joined(providers, await _ask_all(turn, providers))


async def _ask_all(turn: Turn, providers: Sequence[Provider]) -> list[Provided | None]:
    """What each tells, asked side by side; one that takes too long has failed."""
    asked = [asyncio.ensure_future(_ask(provider, turn)) for provider in providers]
    if not asked:
        return []
    try:
        async with asyncio.timeout(PROVIDER_SECONDS):
            return await asyncio.gather(*asked)
    except TimeoutError:
        await asyncio.wait(asked)
        return [
            _failed(provider, 0.0, f"took longer than {PROVIDER_SECONDS:g} s") if one.cancelled() else one.result()
            for provider, one in zip(providers, asked, strict=True)
        ]


def _joined(providers: Sequence[Provider], told: Sequence[Provided | None]) -> State:
    given = [one or Provided() for one in told]
    texts = {provider.name: one.text for provider, one in zip(providers, given, strict=True)}
    return State(texts, {key: value for one in given for key, value in one.values.items()})


async def _ask(provider: Provider, turn: Turn) -> Provided | None:
    """What the provider tells; None when it failed, which is logged by its name."""
    notes.BY.set(provider.name)  # this is a task of its own
    started = time.perf_counter()
    try:
        given = await provider.get(turn)
        if isinstance(given, str):
            given = Provided(given)
        if not isinstance(given, Provided) or not isinstance(given.text, str) or not isinstance(given.values, Mapping):
            raise TypeError(f"gave {type(given).__name__}, expected text or Provided")
    except Exception as error:  # the action runner's rule: a plugin's failure is its own
        return _failed(provider, started, f"{type(error).__name__}: {error}")
    notes.now().provided(provider.name, started, len(given.text), "asked")
    return given


def _failed(provider: Provider, started: float, error: str) -> Provided | None:
    log.warning("provider_failed", provider=provider.name, error=error)
    notes.now().provided(provider.name, started, 0, "failed")
    return None
