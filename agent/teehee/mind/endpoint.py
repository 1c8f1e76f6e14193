"""One OpenAI-shaped endpoint, by way of the gate, which holds its address and key: the thin chat model."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import yarl

from teehee import compact
from teehee.errors import ActionFailed, AskAgain, Unavailable
from teehee.log import get_logger
from teehee.mind import failures, prompt
from teehee.mind.models import Hear
from teehee.mind.stream import Words, content
from teehee.plugin import State, Turn
from teehee.wire import boot, paths
from teehee.wire.messages import ABOUT

Json = Any
HEADERS = {"content-type": "application/json", "accept": "text/event-stream, application/json"}
TAIL_SECONDS = 0.2  # how long the connection's end is waited for once the words are all there
MAY_GO = ("temperature", "frequency_penalty", "presence_penalty")  # what a model may refuse to be asked
ANSWER_LIMIT = 4 << 20  # bytes; the gate has a lower one of its own
log = get_logger()


class Endpoint:
    """Asks by POST /chat/completions on the gate's socket; the words come as a stream, or in one."""

    def __init__(self, session: aiohttp.ClientSession, brain: boot.Brain) -> None:
        self.session = session
        self.url = yarl.URL(f"http://gate/egress/{brain.rule}/chat/completions")
        self.hearing = yarl.URL(f"http://gate/egress/{brain.rule}/audio/transcriptions")
        self.asked: dict[str, Json] = {
            "model": brain.model,
            "stream": True,
            "temperature": brain.temperature,
            "max_tokens": brain.max_tokens,
        }
        shunned = {"frequency_penalty": brain.frequency_penalty, "presence_penalty": brain.presence_penalty}
        self.asked |= {name: value for name, value in shunned.items() if value}

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: Hear) -> str:
        return await self.complete(prompt.compose(turn, stable, fresh, reason), turn.message.id, hear)

    async def complete(self, chat: prompt.Chat, about: str, hear: Hear) -> str:
        """What follows on `chat`, asked on behalf of the message `about`."""
        while True:
            asked = self.asked
            try:
                return await self._ask({**asked, "messages": chat}, about, hear)
            except ActionFailed as refused:
                if self.asked == asked and not self._gives_way(str(refused)):
                    raise

    async def transcribe(self, recording: bytes, about: str) -> str:
        """What is said in an Ogg Opus recording; the gate makes the form of it that providers take."""
        headers = {"content-type": "audio/ogg", "accept": "application/json", ABOUT: about}
        try:
            async with self.session.post(self.hearing, data=recording, headers=headers) as answer:
                await _check(answer)
                value = json.loads(await _read(answer))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            told = f"the transcription broke off: {type(error).__name__}"
            raise Unavailable(told, code="model-down", retry_after=2.0) from None
        return str(value.get("text", "")) if isinstance(value, dict) else ""

    async def _ask(self, asked: dict[str, Json], about: str, hear: Hear) -> str:
        data = compact.encode(asked)
        try:
            async with self.session.post(self.url, data=data, headers=HEADERS | {ABOUT: about}) as answer:
                await _check(answer)
                if answer.content_type == "text/event-stream":
                    return await _listen(answer, Words(hear))
                return _at_once(await _read(answer), Words(hear))
        except (aiohttp.ClientError, OSError) as error:
            told = f"the answer broke off: {type(error).__name__}"
            raise Unavailable(told, code="model-down", retry_after=2.0) from None

    def _gives_way(self, refusal: str) -> bool:
        """Leaves out what this model does not take, as its refusal names it; False when there is nothing to change."""
        asked = dict(self.asked)
        if "max_completion_tokens" in refusal and "max_tokens" in asked:
            asked["max_completion_tokens"] = asked.pop("max_tokens")  # OpenAI's newer models call it so
        elif named := next((name for name in MAY_GO if name in asked and name in refusal), ""):
            del asked[named]
        else:
            return False
        log.info("model_asked_otherwise", without=sorted(self.asked.keys() - asked.keys()), reason=refusal)
        self.asked = asked
        return True


def open_session(sockets: Path) -> aiohttp.ClientSession:
    """The mind's only HTTP client: it can reach the gate's socket and nothing else."""
    connector = aiohttp.UnixConnector(paths.short(paths.socket_in(sockets, "gate")), limit=64)
    untimed = aiohttp.ClientTimeout(total=None)  # `within` bounds every call
    return aiohttp.ClientSession(
        connector=connector, timeout=untimed, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    )


def _at_once(body: bytes, words: Words) -> str:
    """The words of an answer that came in one; a stream under another name is one as well."""
    if not body.lstrip().startswith(b"data:"):
        return content(body)
    words.feed(body)
    return words.whole()


async def _listen(answer: aiohttp.ClientResponse, words: Words) -> str:
    async for data in answer.content.iter_any():
        words.feed(data)
        if words.ended:
            break
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):  # read to its end, a connection serves again
        async with asyncio.timeout(TAIL_SECONDS):
            while await answer.content.readany():
                pass
    return words.whole()


async def _check(answer: aiohttp.ClientResponse) -> None:
    """Raises what a status means; a provider's own words go to the log only."""
    if refused := answer.headers.get("x-teehee-egress", ""):
        raise failures.of_gate(refused)
    if answer.status != 200:
        words = (await _read(answer)).decode("utf-8", "replace")
        raise failures.of_status(answer.status, words, answer.headers.get("retry-after", ""))


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for data in answer.content.iter_any():
        body += data
        if len(body) > ANSWER_LIMIT:
            raise AskAgain("it was far too long")
    return bytes(body)
