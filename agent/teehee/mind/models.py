"""Who answers: the classic brain, a plugin's model, or one OpenAI-shaped endpoint through the gate's egress."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from teehee.mind import actions, failures, prompt, respond
from teehee.plugin import Character, ModelHandler, State, Turn
from teehee.wire import boot

Json = Any
Hear = Callable[[str], None]  # called with each next piece of the raw answer as it arrives; never raises
MARGIN_SECONDS = 5.0  # the gate gives up first, so that its reason arrives


def unheard(piece: str) -> None:
    """For callers who only want the whole."""


class Brain(Protocol):
    """Answers a turn in Eliza's response format; raises Unavailable or AskAgain.

    What `hear` was told may be void: only the whole that is given back is the answer.
    """

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear) -> str: ...


class Classic:
    """The classic brain: no weights, no network, the character's own lines."""

    def __init__(self, character: Character) -> None:
        from teehee.mind import classic  # only a classic agent pays for its tables

        self.brain = classic.ClassicBrain(character)
        self.skill = classic.Skill

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear) -> str:
        skills = [self.skill(a.name, a.similes, a.description) for a in turn.actions if actions.fits(turn, a)]
        said = [line.text for line in turn.recent if line.own]
        found = self.brain.answer(turn.message.text, said=said, skills=skills, speaker=turn.message.name)
        return respond.write(found.text, found.actions)


class FromPlugin:
    """A model a plugin brought, under Eliza's type TEXT_LARGE."""

    def __init__(self, handler: ModelHandler) -> None:
        self.handler = handler

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear) -> str:
        return await self.handler(prompt.compose(turn, stable, fresh, reason))


Connect = Callable[[boot.Brain], Brain]


@asynccontextmanager
async def endpoints(sockets: Path, agents: Sequence[boot.MindAgent]) -> AsyncIterator[Connect]:
    """Makes endpoint brains over one connection pool to the gate; nothing is loaded when no agent needs one."""
    if not any(agent.brain.rule for agent in agents):
        yield _no_endpoint
        return
    from teehee.mind import endpoint

    async with endpoint.open_session(sockets) as session:
        yield lambda brain: endpoint.Endpoint(session, brain)


def _no_endpoint(brain: boot.Brain) -> Brain:
    raise LookupError(f"no endpoint was opened for rule {brain.rule!r}")


def choose(agent: boot.MindAgent, character: Character, offered: Sequence[ModelHandler], connect: Connect) -> Brain:
    """The configured endpoint, else a plugin's model, else the classic brain."""
    if agent.brain.rule:
        return connect(agent.brain)
    if offered:
        return FromPlugin(offered[0])
    return Classic(character)


async def within(
    brain: Brain, seconds: float, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear = unheard
) -> str:
    """The brain's answer, or Unavailable when it takes longer than the turn can wait."""
    try:
        async with asyncio.timeout(seconds):
            return await brain.answer(turn, stable, fresh, reason, hear)
    except TimeoutError:
        raise failures.slow() from None
