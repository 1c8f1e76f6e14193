"""Every way a model fails, by every client that may ask it: a typed failure with a hint, and nothing else."""

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import uvicorn

from teehee.errors import ActionFailed, AskAgain, TeeheeError, Unavailable
from teehee.gate.egress import ANSWER_LIMIT, Egress
from teehee.mind import endpoint, failures, forwarder, models, provider, way_out
from teehee.plugin import State
from teehee.testing import ScriptedModel, fake_turn, until
from teehee.testing.scripted_model import Raw, Reset, Script, Streamed, block
from teehee.testing.wires import ANTHROPIC, OLLAMA, OPENAI, Wire, chunk, event, line
from teehee.wire.boot import Brain, EgressRule

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

Json = Any
WIRES = {"thin": OPENAI, "openai": OPENAI, "anthropic": ANTHROPIC, "ollama": OLLAMA, "mistralai": OPENAI}
TIMEOUT_SECONDS = 1.5
HALF = "<response><actions>REPLY</actions><text>half a"
PAGE = b"<!doctype html><html><body><h1>502 Bad Gateway</h1>nginx</body></html>"


def says(words: str, status: int, **headers: str) -> Raw:
    body = json.dumps({"type": "error", "error": {"type": "some_error", "message": words}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Raw(body, status, {"content-type": "application/json", **named})


def page(status: int) -> Raw:
    return Raw(PAGE, status, {"content-type": "text/html"})


def stream_of(body: bytes) -> Callable[[Wire], Script]:
    return lambda wire: Raw(body, headers={"content-type": wire.content_type})


def tool_call(wire: Wire) -> Script:
    if wire is ANTHROPIC:
        tool = {"type": "tool_use", "id": "toolu_1", "name": "send_money", "input": {}}
        begun = event("content_block_start", index=1, content_block=tool)
        return Streamed([begun, event("content_block_stop", index=1)], finish_reason="tool_use")
    if wire is OLLAMA:
        call = {"function": {"name": "send_money", "arguments": {}}}
        message = {"role": "assistant", "content": "", "tool_calls": [call]}
        return Streamed([line("", message=message)])
    called = {"index": 0, "id": "1", "type": "function", "function": {"name": "send_money", "arguments": "{}"}}
    return Streamed([chunk({"tool_calls": [called]})], finish_reason="tool_calls")


def null(wire: Wire) -> Script:
    return Streamed([chunk({"content": None})] if wire is OPENAI else [])


def in_stream(words: str) -> Callable[[Wire], Script]:
    """An error that a provider puts into a stream it has begun."""
    error = {"type": "some_error", "message": words}
    told = {
        ANTHROPIC.path: event("error", error=error),
        OLLAMA.path: json.dumps({"error": words}).encode() + b"\n",
        OPENAI.path: b"data: %s\n\n" % json.dumps({"error": error}).encode(),
    }
    return lambda wire: Streamed([HALF, told[wire.path]], finish_reason=None, done=False)


def reason(name: str) -> Callable[[Wire], Script]:
    return lambda wire: Streamed(["some"], finish_reason=name)


def always(said: Script) -> Callable[[Wire], Script]:
    return lambda wire: said


UNTOLD = ("a slow drip", "a limit in the stream")  # for Mistral's client, which reads no error in a stream: a cut one
DOWN, UNFIT = (Unavailable, "model-down"), (AskAgain, "failed")
MODES: dict[str, tuple[Callable[[Wire], Script], tuple[type[TeeheeError], str]]] = {
    "a server error": (always(says("boom", 500)), DOWN),
    "overloaded": (always(says("overloaded", 529)), DOWN),
    "a proxy's page": (always(page(502)), DOWN),
    "a page in place of an answer": (always(page(200)), DOWN),
    "another content type": (always(Raw(b"hello", headers={"content-type": "text/plain"})), DOWN),
    "a rate limit with a time": (always(says("slow down", 429, retry_after="7")), (Unavailable, "model-busy")),
    "a rate limit": (always(says("slow down", 429)), (Unavailable, "model-busy")),
    "a quota that is used up": (always(says("insufficient_quota", 429)), (Unavailable, "model-quota")),
    "a bill to pay": (always(says("pay first", 402)), (Unavailable, "model-quota")),
    "a wrong key": (always(says("invalid key", 401)), (Unavailable, "model-denied")),
    "a key without the right": (always(says("not yours", 403)), (Unavailable, "model-denied")),
    "a model that is gone": (always(says("no such model", 404)), (Unavailable, "model-gone")),
    "a timeout of its own": (always(says("too slow", 408)), (Unavailable, "model-slow")),
    "a context too long": (
        always(says("context_length_exceeded: the maximum context is 8192", 400)),
        (ActionFailed, "model-too-long"),
    ),
    "a request it does not take": (always(says("unknown parameter", 400)), (ActionFailed, "model-refused")),
    "a filter before the answer": (always(says("content_policy violation", 400)), (ActionFailed, "model-refused")),
    "a redirect": (always(Raw(b"", 302, {"location": "http://127.0.0.1:9/"})), DOWN),
    "a reset connection": (always(Reset()), DOWN),
    "no body": (always(Raw(b"")), DOWN),
    "an empty stream": (stream_of(b""), DOWN),
    "no word": (always(Streamed([])), UNFIT),
    "blanks": (always(Streamed([" ", "\n"])), UNFIT),
    "null for words": (null, UNFIT),
    "a tool call": (tool_call, UNFIT),
    "10 MB": (always(Streamed(["x" * 100_000] * 100)), UNFIT),
    "words without end": (always(Streamed(itertools.repeat("and on " * 2000))), UNFIT),
    "a slow drip": (
        always(Streamed(itertools.repeat("drip "), pause_seconds=0.05)),
        (Unavailable, "model-slow"),
    ),
    "silence": (always(Raw(b"", delay_seconds=5)), (Unavailable, "model-slow")),
    "a stream cut within": (always(Streamed([HALF, " line"], 0.02, cut_after=1)), DOWN),
    "a stream that ends without its end": (always(Streamed([HALF], finish_reason=None, done=False)), DOWN),
    "invalid UTF-8": (stream_of(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n'), DOWN),
    "garbage": (stream_of(b"\x00\x01\x02 nonsense\n\n\n{oops\n" * 50), DOWN),
    "another shape": (stream_of(b'data: {"object": "list", "data": []}\n\n'), DOWN),
    "an error in the stream": (in_stream("boom"), DOWN),
    "a limit in the stream": (in_stream("rate_limit_exceeded"), (Unavailable, "model-busy")),
    "a gzip bomb": (
        always(Raw(gzip.compress(bytes(ANSWER_LIMIT + 1)), headers={"content-encoding": "gzip"})),
        UNFIT,
    ),
    "a content filter": (
        lambda wire: Streamed(["some"], finish_reason="refusal" if wire is ANTHROPIC else "content_filter"),
        UNFIT,
    ),
}


@dataclass
class Call:
    """One client on its way through a real gate's egress to the scripted model."""

    client: str
    model: ScriptedModel
    brain: models.Brain
    heard: list[str]

    async def ask(self) -> str:
        self.heard.clear()
        return await models.within(self.brain, 20.0, fake_turn("hi"), State(), State(), "", self.heard.append)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Call]]:
    folder = tmp_path_factory.mktemp("gate")
    async with ScriptedModel() as model:
        bases = {name: model.url if wire is OPENAI else model.root for name, wire in WIRES.items()}
        rules = [EgressRule(name, url, ("POST",), ("",), "", TIMEOUT_SECONDS) for name, url in bases.items()]
        egress = Egress(tuple(rules), {})
        await egress.open()
        config = uvicorn.Config(egress, uds=str(folder / "gate.sock"), log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        async with forwarder.open_forwarder(folder) as langchain:
            thin = way_out.WayOut(folder / "gate.sock")
            found: dict[str, Call] = {}
            for name in WIRES:
                brain = Brain(name, "scripted", timeout_seconds=TIMEOUT_SECONDS, client="" if name == "thin" else name)
                maker = endpoint.Endpoint(thin, brain) if name == "thin" else provider.Provider(brain, langchain)
                if isinstance(maker, provider.Provider):
                    await maker.opening
                found[name] = Call(name, model, maker, [])
            yield found
            thin.close()
        server.should_exit = True
        await serving
        await egress.close()


@pytest.fixture(params=WIRES)
def call(calls: dict[str, Call], request: pytest.FixtureRequest) -> Call:
    found = calls[request.param]
    found.model.forget()
    return found


async def test_what_is_well_is_heard_as_it_comes(call: Call) -> None:
    call.model.script = [block("all is well")]

    assert await call.ask() == block("all is well")
    assert "".join(call.heard) == block("all is well")
    assert len([piece for piece in call.heard if piece]) > 2


@pytest.mark.filterwarnings("ignore:Received unexpected tool content block")  # langchain-anthropic's remark
@pytest.mark.parametrize("mode", MODES)
async def test_each_failure_is_a_typed_one_with_a_hint(call: Call, mode: str) -> None:
    script, (kind, code) = MODES[mode]
    if call.client == "mistralai" and mode in UNTOLD:
        kind, code = DOWN
    call.model.script = [script(WIRES[call.client])]

    with pytest.raises(TeeheeError) as caught:
        await call.ask()

    assert (type(caught.value), getattr(caught.value, "code", "")) == (kind, code), caught.value
    assert caught.value.hint or kind is AskAgain
    assert len(call.model.requests) == 1  # nobody tries again behind our back


async def test_after_every_failure_the_next_answer_is_whole(call: Call) -> None:
    call.model.script = [Streamed([HALF, "x"], cut_after=1), block("back again")]
    with pytest.raises(Unavailable):
        await call.ask()

    assert await call.ask() == block("back again")


async def test_a_call_nobody_waits_for_is_cancelled_up_to_the_provider(call: Call) -> None:
    before = call.model.hung_up
    call.model.script = [Streamed(itertools.repeat("drip "), pause_seconds=0.01)]
    asking = asyncio.ensure_future(call.ask())
    await until(lambda: len(call.heard) > 2)

    asking.cancel()

    await until(lambda: call.model.hung_up == before + 1)


async def test_a_stream_under_another_name_is_read_all_the_same(calls: dict[str, Call]) -> None:
    thin = calls["thin"]
    thin.model.script = [Raw(chunk({"content": block("fine")}, "stop"), headers={"content-type": "text/plain"})]

    assert await thin.ask() == block("fine")


NEWER = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
    "temperature": "Unsupported value: 'temperature' does not support 0.7 with this model.",
}


async def test_the_thin_client_leaves_out_what_a_model_does_not_take_and_remembers(calls: dict[str, Call]) -> None:
    thin = calls["thin"]
    thin.model.forget()
    thin.model.speak = lambda asked: next((says(NEWER[name], 400) for name in NEWER if name in asked), block("fine"))

    told = [await thin.ask(), await thin.ask()]

    assert told == [block("fine")] * 2
    assert len(thin.model.requests) == 4  # two refusals, once
    last = thin.model.requests[-1]
    assert last["max_completion_tokens"] == 1024
    assert not {"max_tokens", "temperature"} & set(last)


async def test_a_wait_that_is_asked_for_is_kept_within_reason() -> None:
    assert [failures.seconds(text) for text in ("7", "0.5", "99999", "", "Wed, 21 Oct", "-1")] == [7, 0.5, 120, 5, 5, 5]
