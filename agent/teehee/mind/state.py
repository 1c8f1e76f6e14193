"""Composes the state of a turn: providers asked in parallel, a failing one left out by name."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from teehee.log import get_logger
from teehee.plugin import Provided, Provider, State, Turn

PROVIDER_SECONDS = 5.0
KEPT = 512  # rooms whose stable texts are kept
log = get_logger()


class StateComposer:
    """Asks an agent's providers. Stable ones are asked once per room and day."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        ordered = sorted(providers, key=lambda p: p.position)
        self.providers = ordered
        self._stable = [p for p in ordered if p.stable and not p.dynamic]
        self._fresh = [p for p in ordered if not p.stable and not p.dynamic and not p.private]
        self._kept: OrderedDict[tuple[str, str, str], State] = OrderedDict()

    async def stable(self, turn: Turn) -> State:
        """What depends on character, room and day only."""
        key = (turn.message.room_id, turn.message.room_type, f"{turn.now:%Y-%m-%d}")
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        state = await compose(turn, self._stable)
        self._kept[key] = state
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return state

    async def fresh(self, turn: Turn, named: Iterable[str] = ()) -> State:
        """What is true of this very turn, and the dynamic providers the model named."""
        wanted = set(named)
        return await compose(turn, [*self._fresh, *(p for p in self.providers if p.dynamic and p.name in wanted)])

    def offers(self, names: Iterable[str]) -> bool:
        """Is any of `names` a dynamic provider that can be consulted?"""
        return any(p.dynamic and p.name in set(names) for p in self.providers)


async def compose(turn: Turn, providers: Sequence[Provider]) -> State:
    """The state of these providers, in their order."""
    told = await asyncio.gather(*(_ask(provider, turn) for provider in providers))
    texts = {provider.name: given.text for provider, given in zip(providers, told, strict=True)}
    values = {name: value for given in told for name, value in given.values.items()}
    return State(texts, values)


async def _ask(provider: Provider, turn: Turn) -> Provided:
    try:
        async with asyncio.timeout(PROVIDER_SECONDS):
            given = await provider.get(turn)
    except Exception as error:  # the action runner's rule: a plugin's failure is its own
        log.warning("provider_failed", provider=provider.name, error=f"{type(error).__name__}: {error}")
        return Provided()
    return Provided(given) if isinstance(given, str) else given
