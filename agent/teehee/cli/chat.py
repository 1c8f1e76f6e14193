"""`teehee chat`: a conversation with the agent running in the data folder, or with one started for it."""

from teehee.cli import options


def chat(
    characters: options.Characters = None,
    agent: options.AgentName = "",
    data: options.Data = None,
    model_url: options.ModelUrl = None,
    model: options.Model = None,
    debug: options.Debug = False,
) -> None:
    """Talk to a running agent; start one first when none runs."""
    import asyncio

    given = options.given(data=data, model_url=model_url, model=model)
    asyncio.run(_chat(characters or [], agent, given))


async def _chat(names: list[str], agent: str, given: dict[str, object]) -> None:
    import asyncio
    import signal

    from teehee.cli import session, talk

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with session.reach(names, given) as door:
        await talk.converse(door, await session.pick(door, agent), stopped)
