"""`teehee model test`: one prompt to the model an agent would think with, and how fast the answer came."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teehee.cli import options

if TYPE_CHECKING:
    from teehee.model_settings import Model
    from teehee.settings import Settings

Json = Any
PROMPT = "Say in two sentences what a lighthouse is for."
LOAD, FIRST, ALL = "load_seconds", "first_token_seconds", "tokens_per_second"


def test(
    characters: options.Characters = None,
    model_url: options.ModelUrl = None,
    model: options.Model = None,
    model_provider: options.ModelProvider = None,
    prompt: Annotated[
        str, typer.Option("--prompt", metavar="TEXT", help="What to ask. [default: about lighthouses]")
    ] = PROMPT,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Ask the model once; print the time to its first token and its speed."""
    import asyncio

    from teehee.errors import ConfigError
    from teehee.supervisor import plan as plans

    given = options.given(model_url=model_url, model=model, model_provider=model_provider)
    (agent, *_) = plans.make(characters or [], given).agents
    first = agent.choice.models[0]
    if agent.choice.client(first):
        raise ConfigError(
            f"{first.shown} speaks through {first.wire}'s own client, which this does not time",
            hint="`teehee ask` tries it, the whole way through the gate",
        )
    if first.weights:
        told = asyncio.run(_local(first, agent.effective.settings, prompt))
    elif first.url:
        told = asyncio.run(_endpoint(first, agent.effective.settings, prompt))
    else:
        raise ConfigError("the classic brain has no tokens to time", hint=agent.choice.hint)
    _show({"model": first.shown, **told}, as_json)


def _show(told: Json, as_json: bool) -> None:
    if as_json:
        options.print_json(told)
        return
    loaded = f", loaded in {told[LOAD]:.1f} s" if LOAD in told else ""
    typer.echo(f"{told['model']}{loaded}: {told['text']}")
    typer.echo(f"first token after {told[FIRST]:.2f} s, {told['tokens']} tokens, then {told[ALL]:.1f} a second")


async def _local(model: "Model", settings: "Settings", prompt: str) -> Json:
    """The engine alone, as the mind starts it, in a folder of its own."""
    import tempfile

    from teehee.mind.engine import open_engine
    from teehee.wire import boot

    brain = boot.Brain(model=model.name, weights=model.weights, threads=settings.local_threads)
    with tempfile.TemporaryDirectory(prefix="teehee-") as folder:
        async with open_engine(Path(folder), brain) as engine:
            begun = time.monotonic()
            await engine.start()
            loaded = time.monotonic() - begun
            clock = _Clock()
            text = await engine.ask(0, _chat(prompt), clock.hear, max_tokens=settings.max_tokens)
            return {LOAD: loaded, "text": text, **clock.figures()}


async def _endpoint(model: "Model", settings: "Settings", prompt: str) -> Json:
    """Straight to the endpoint, with its key: what an agent's own way through the gate adds is a millisecond or two."""
    import aiohttp

    from teehee.errors import Unavailable
    from teehee.mind import failures
    from teehee.mind.stream import Words

    asked = {"model": model.name, "messages": _chat(prompt), "stream": True, "max_tokens": settings.max_tokens}
    headers = {"authorization": f"Bearer {model.key}"} if model.key else {}
    clock = _Clock()
    words = Words(clock.hear)
    limit = aiohttp.ClientTimeout(total=settings.model_timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
            session.post(f"{model.url}/chat/completions", json=asked, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise failures.of_status(answer.status, (await answer.read()).decode("utf-8", "replace"))
            async for data in answer.content.iter_any():
                words.feed(data)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        told = f"{model.url} does not answer: {error or type(error).__name__}"
        raise Unavailable(told, hint="`teehee doctor` looks at the endpoint") from None
    return {"text": words.whole(), **clock.figures()}


def _chat(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


class _Clock:
    """When the pieces of an answer came; a piece of a stream is a token, near enough."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.times: list[float] = []

    def hear(self, piece: str) -> None:
        self.times.append(time.monotonic())

    def figures(self) -> Json:
        count = len(self.times)
        spent = self.times[-1] - self.times[0] if count > 1 else 0.0
        first = self.times[0] - self.begun if count else 0.0
        return {FIRST: first, "tokens": count, ALL: (count - 1) / spent if spent else 0.0}
