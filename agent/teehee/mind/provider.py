"""A model through LangChain's package for its provider, whose own client speaks to the gate by a loopback port."""

import asyncio
from collections.abc import Mapping
from typing import Any

from teehee.errors import AskAgain, TeeheeError
from teehee.log import get_logger
from teehee.mind import failures, prompt
from teehee.mind.forwarder import Way
from teehee.mind.models import MARGIN_SECONDS, Hear
from teehee.mind.stream import LIMIT, clean, fit, of_event
from teehee.plugin import State, Turn
from teehee.wire import boot

Json = Any
# Where each provider says why an answer ended; one that ends without is cut.
ENDINGS = {"openai": "finish_reason", "anthropic": "stop_reason", "ollama": "done_reason"}
REASONS = {"max_tokens": "length", "refusal": "content_filter"}  # in OpenAI's words
log = get_logger()


class Provider:
    """Asks by LangChain's interface. Its packages are imported beside the mind's start; the first answer waits."""

    def __init__(self, brain: boot.Brain, way: Way) -> None:
        self.brain = brain
        self.opening = asyncio.ensure_future(asyncio.to_thread(_open, brain, way))

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear) -> str:
        chat = prompt.compose(turn, stable, fresh, reason)
        try:
            model = await asyncio.shield(self.opening)
            return await self._listen(model, chat, hear)
        except TeeheeError:
            raise
        except Exception as error:  # a provider's client may raise anything; a turn knows our failures only
            raise failure(error) from error

    async def _listen(self, model: Any, chat: prompt.Chat, hear: Hear) -> str:
        pieces: list[str] = []
        size, ending, called_a_tool = 0, "", False
        async for chunk in model.astream(chat):
            said = chunk.response_metadata
            ending = str(said.get(ENDINGS.get(self.brain.client, "finish_reason")) or ending)
            called_a_tool |= bool(chunk.tool_call_chunks)
            if piece := clean(str(chunk.text)):
                size += len(piece)
                if size > LIMIT:
                    raise AskAgain("it was far too long")
                pieces.append(piece)
                hear(piece)
        if not ending and self.brain.client in ENDINGS:
            raise failures.cut("was cut before its end")
        return fit("".join(pieces), REASONS.get(ending, ending), called_a_tool=called_a_tool)


def failure(error: Exception) -> TeeheeError:
    """What a client's exception means: by the gate's word in it, by its status, else by its own words."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    if refused := headers.get("x-teehee-egress"):
        return failures.of_gate(refused)
    status, body = getattr(error, "status_code", None), getattr(error, "body", None)
    words = f"{error} {body or ''}".strip()
    if isinstance(status, int) and status >= 300:
        return failures.of_status(status, words, headers.get("retry-after", ""))
    if isinstance(body, Mapping):
        return of_event(body.get("error", body))
    if status is not None:  # an error within a stream
        return failures.of_error(words)
    return failures.cut(f"could not be read ({type(error).__name__}: {words[:200]})")


def _open(brain: boot.Brain, way: Way) -> Any:
    """The chat model; waits for its imports, a second or more."""
    from langchain.chat_models import init_chat_model

    url = f"{way.url}/egress/{brain.rule}"
    common = {"base_url": url, "temperature": brain.temperature}
    keyed = {**common, "api_key": way.word, "max_tokens": brain.max_tokens, "max_retries": 0}
    patience = brain.timeout_seconds + MARGIN_SECONDS
    arguments: dict[str, Json] = keyed
    if brain.client == "openai":
        shunned = {"frequency_penalty": brain.frequency_penalty, "presence_penalty": brain.presence_penalty}
        arguments = {**keyed, "timeout": patience, "stream_usage": False, "use_responses_api": False}
        arguments |= {name: value for name, value in shunned.items() if value}
    elif brain.client == "anthropic":
        arguments = {**keyed, "timeout": patience, "temperature": min(brain.temperature, 1.0)}
    elif brain.client == "ollama":
        client = {"headers": {"authorization": f"Bearer {way.word}"}, "timeout": patience}
        arguments = {**common, "num_predict": brain.max_tokens, "client_kwargs": client}
    model = init_chat_model(brain.model, model_provider=brain.client, **arguments)
    log.info("model_opened", client=brain.client, model=brain.model)
    return model
