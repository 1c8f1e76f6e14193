"""Who answers: the classic brain, a plugin's model, this machine's own, or models asked through the gate's egress."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from teehee.mind import actions, failures, prompt, respond
from teehee.plugin import Action, Character, ModelHandler, State, Turn
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


@runtime_checkable
class Completes(Protocol):
    """Goes on with a chat, pictures in it too, on behalf of a message; raises what a brain raises."""

    async def complete(self, chat: prompt.Chat, about: str, hear: Hear, /) -> str: ...


@runtime_checkable
class Transcribes(Protocol):
    """Writes down what is said in an Ogg Opus recording; raises what a brain raises."""

    async def transcribe(self, recording: bytes, about: str) -> str: ...


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


Connect = Callable[[boot.Brain, Character, Sequence[Action]], Brain]


@asynccontextmanager
async def endpoints(sockets: Path, agents: Sequence[boot.MindAgent]) -> AsyncIterator[Connect]:
    """Makes the brains an agent is given; what none of them needs is not loaded."""
    given = [brain for agent in agents for brain in (agent.brain, *agent.fallbacks, agent.eyes, agent.ears)]
    wanted = [brain for brain in given if brain.rule]
    async with AsyncExitStack() as stack:
        makers: dict[bool, Callable[[boot.Brain], Brain]] = {}  # by whether LangChain is to be the client
        if not all(brain.client for brain in wanted):
            from teehee.mind import endpoint

            session = await stack.enter_async_context(endpoint.open_session(sockets))
            makers[False] = lambda brain: endpoint.Endpoint(session, brain)
        if any(brain.client for brain in wanted):
            from teehee.mind import forwarder, provider

            way = await stack.enter_async_context(forwarder.open_forwarder(sockets))
            makers[True] = lambda brain: provider.Provider(brain, way)
        engine: Any = None
        if weighted := next((brain for brain in given if brain.weights), None):
            from teehee.mind import engine as engines

            engine = await stack.enter_async_context(engines.open_engine(sockets, weighted))

        def connect(brain: boot.Brain, character: Character, able: Sequence[Action]) -> Brain:
            if brain.rule:
                return makers[bool(brain.client)](brain)
            from teehee.mind import local

            return local.Local(engine, brain, character, able, Classic(character))

        yield connect


def choose(
    agent: boot.MindAgent,
    character: Character,
    offered: Sequence[ModelHandler],
    connect: Connect,
    able: Sequence[Action] = (),
) -> Brain:
    """The models that are named, a plugin's, one that was found here, the classic brain: the first there is.

    `able` is what the agent can do.
    """
    first = agent.brain
    if offered and (first.found or not (first.rule or first.weights)):
        chosen: Brain = FromPlugin(offered[0])
    else:
        chosen = connect(first, character, able) if first.rule or first.weights else Classic(character)
    if not agent.fallbacks:
        return chosen
    from teehee.mind.failover import Failover, Member

    members = [Member(first.model or "first", chosen, patience(first))]
    for brain in agent.fallbacks:
        chosen = connect(brain, character, able) if brain.rule or brain.weights else Classic(character)
        members.append(Member(brain.model or "classic", chosen, patience(brain)))
    return Failover(members)


def looking(agent: boot.MindAgent, character: Character, connect: Connect) -> Completes | None:
    """Who looks at photos for an agent; None when nobody does."""
    eyes = connect(agent.eyes, character, ()) if agent.eyes.rule else None
    return eyes if isinstance(eyes, Completes) else None


def listening(agent: boot.MindAgent, character: Character, connect: Connect) -> Transcribes | None:
    """Who writes voice messages down for an agent; None when nobody does."""
    ears = connect(agent.ears, character, ()) if agent.ears.rule else None
    return ears if isinstance(ears, Transcribes) else None


def patience(brain: boot.Brain) -> float:
    """Seconds one call may take; the gate gives up first."""
    return brain.timeout_seconds + 2 * MARGIN_SECONDS


def described(agent: boot.MindAgent, offered: Sequence[ModelHandler]) -> dict[str, Json]:
    """Which model answers, and its settings, for whoever asks why an answer came out so."""
    if asked := agent.brain if agent.brain.rule else None:
        settings = {"temperature": asked.temperature, "max_tokens": asked.max_tokens}
        return {"kind": "endpoint", "name": asked.model, **settings}
    return {"kind": "plugin" if offered else "classic", "name": "", "temperature": None, "max_tokens": None}


async def within(
    brain: Brain, seconds: float, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear = unheard
) -> str:
    """The brain's answer, or Unavailable when it takes longer than the turn can wait."""
    try:
        async with asyncio.timeout(seconds):
            return await brain.answer(turn, stable, fresh, reason, hear)
    except TimeoutError:
        raise failures.slow() from None
