"""A model through LangChain's package for its provider, whose own client speaks to the gate by a loopback port."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from teehee.errors import AskAgain, TeeheeError, Unavailable
from teehee.log import get_logger
from teehee.mind import failures, prompt
from teehee.mind.forwarder import Way
from teehee.mind.models import MARGIN_SECONDS, Hear
from teehee.mind.stream import LIMIT, clean, fit, of_event
from teehee.plugin import State, Turn
from teehee.wire import boot
from teehee.wire.messages import ABOUT

Json = Any
# Where providers say why an answer ended; one that ends without is cut.
ENDINGS = ("finish_reason", "stop_reason", "done_reason", "stopReason")
REASONS = {"max_tokens": "length", "refusal": "content_filter"}  # in OpenAI's words
about: ContextVar[str] = ContextVar("about", default="")  # the message that is answered, for clients without headers
log = get_logger()


class Provider:
    """Asks by LangChain's interface. Its packages are imported beside the mind's start; the first answer waits."""

    def __init__(self, brain: boot.Brain, way: Way) -> None:
        self.brain = brain
        self.opening = asyncio.ensure_future(asyncio.to_thread(_open, brain, way))

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear) -> str:
        return await self.complete(prompt.compose(turn, stable, fresh, reason), turn.message.id, hear)

    async def complete(self, chat: prompt.Chat, message: str, hear: Hear) -> str:
        """What follows on `chat`, asked on behalf of `message`."""
        about.set(message)
        model = await asyncio.shield(self.opening)
        try:
            return await self._listen(model, chat, hear)
        except TeeheeError:
            raise
        except Exception as error:  # a provider's client may raise anything; a turn knows our failures only
            raise failure(error) from None

    async def _listen(self, model: Any, chat: prompt.Chat, hear: Hear) -> str:
        pieces: list[str] = []
        size, ending, called_a_tool = 0, "", False
        headers = {"extra_headers": {ABOUT: about.get()}} if self.brain.client in ("openai", "anthropic") else {}
        async with aclosing(model.astream(chat, **headers)) as chunks:
            async for chunk in chunks:
                said = chunk.response_metadata
                ending = next((str(said[name]) for name in ENDINGS if said.get(name)), ending)
                called_a_tool |= bool(chunk.tool_call_chunks)
                if piece := clean(str(chunk.text)):
                    size += len(piece)
                    if size > LIMIT:
                        raise AskAgain("it was far too long")
                    pieces.append(piece)
                    hear(piece)
        if not ending:
            raise failures.cut("was cut before its end")
        return fit("".join(pieces), REASONS.get(ending, ending), called_a_tool=called_a_tool)


def failure(error: Exception) -> TeeheeError:
    """What a client's exception means: by the gate's word in it, by its status, else by its own words."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", {})
    status = getattr(error, "status_code", getattr(response, "status_code", None))
    body = getattr(error, "body", None) or getattr(error, "error", None)
    told = body.get("error", body) if isinstance(body, Mapping) else None
    code = told.get("code") if isinstance(told, Mapping) else None
    if refused := headers.get("x-teehee-egress") or (code if code in failures.OF_GATE else None):
        return failures.of_gate(refused)
    words = f"{error} {body or ''}".strip()
    if isinstance(status, int) and status >= 300:
        return failures.of_status(status, words, headers.get("retry-after", ""))
    if told is not None:
        return of_event(told)
    if status is not None:  # an error within a stream
        return failures.of_error(words)
    return failures.cut(f"could not be read ({type(error).__name__})")


async def _say_about(request: Any) -> None:
    request.headers[ABOUT] = about.get()


def _open(brain: boot.Brain, way: Way) -> Any:
    """The chat model; waits for its imports, a second or more. Raises Unavailable when there can be none."""
    try:
        from langchain.chat_models import init_chat_model

        model = init_chat_model(brain.model, model_provider=brain.client, **_arguments(brain, way))
    except Exception as error:  # packages of others: whatever their import or their settings raise
        log.exception("model_out", client=brain.client, model=brain.model)
        told, hint = f"{brain.client}'s client does not start: {error}", "`model_out` in the mind's log says why"
        raise Unavailable(told, code="model-down", retry_after=30.0, hint=hint) from None
    log.info("model_opened", client=brain.client, model=brain.model)
    return model


def _arguments(brain: boot.Brain, way: Way) -> dict[str, Json]:
    """What each provider's class calls its settings; one that is not known here gets what most have."""
    url = f"{way.url}/egress/{brain.rule}"
    common = {"base_url": url, "temperature": brain.temperature}
    keyed = {**common, "api_key": way.word, "max_tokens": brain.max_tokens, "max_retries": 0}
    patience = brain.timeout_seconds + MARGIN_SECONDS
    if brain.client == "openai":
        shunned = {"frequency_penalty": brain.frequency_penalty, "presence_penalty": brain.presence_penalty}
        plain = {"timeout": patience, "stream_chunk_timeout": None, "stream_usage": False, "use_responses_api": False}
        return keyed | plain | {name: value for name, value in shunned.items() if value}
    if brain.client == "anthropic":
        return {**keyed, "timeout": patience, "temperature": min(brain.temperature, 1.0)}
    if brain.client == "ollama":
        client = {
            "headers": {"authorization": f"Bearer {way.word}"},
            "timeout": patience,
            "event_hooks": {"request": [_say_about]},
        }
        return {**common, "num_predict": brain.max_tokens, "client_kwargs": client}
    return keyed
