"""The mind's way out: what the rules name gets through with the gate's key, and nothing else does."""

import asyncio
import contextlib
import gzip
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from yarl import URL

from teehee.gate.egress import ANSWER_LIMIT, REQUEST_LIMIT, Egress
from teehee.testing import ScriptedModel, until
from teehee.testing.scripted_model import Raw, Streamed, completion_bytes
from teehee.wire.boot import EgressRule

Json = Any
pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "sk-known-to-the-gate-only"
WAY = "/egress/model/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "# Received Message\nSam: hi"}]}


class Mind:
    """A mind's side of the gate's socket; paths go out as they are written."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, path: str = WAY, method: str = "POST", **request: Any) -> "Answer":
        if "data" not in request:
            request.setdefault("json", ASKED)
        url = URL(f"http://gate{path}", encoded=True)
        body, whole = b"", True
        async with self.session.request(method, url, allow_redirects=False, **request) as answer:
            try:
                async for data in answer.content.iter_any():
                    body += data
            except aiohttp.ClientPayloadError:
                whole = False
            return Answer(answer.status, answer.headers, body, whole)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True  # whether it ended as an answer ends

    @property
    def refused(self) -> tuple[int, str]:
        """Status and code when the gate itself said no; a code of "" when it did not."""
        return self.status, self.headers.get("x-teehee-egress", "")


@contextlib.asynccontextmanager
async def way_out(
    folder: Path, base_url: str, *, key: str = KEY, timeout_seconds: float = 20.0, scheme: str = "bearer"
) -> AsyncIterator[Mind]:
    """The egress with one rule, served on a real Unix socket, and a mind that holds the other end."""
    rule = EgressRule("model", base_url, ("POST",), ("/chat/completions",), "wren/MODEL_KEY", timeout_seconds, scheme)
    spare = replace(rule, name="spare", base_url="http://127.0.0.1:9/never")
    egress = Egress((rule, spare), {"model": key} if key else {})
    await egress.open()
    path = folder / "gate.sock"
    server = uvicorn.Server(uvicorn.Config(egress, uds=str(path), log_config=None, lifespan="off", ws="none"))
    serving = asyncio.ensure_future(server.serve())
    try:
        await until(lambda: server.started)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            yield Mind(session)
    finally:
        server.should_exit = True
        await serving
        await egress.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mind(tmp_path_factory: pytest.TempPathFactory, endpoint: ScriptedModel) -> AsyncIterator[Mind]:
    async with way_out(tmp_path_factory.mktemp("egress"), endpoint.url) as opened:
        yield opened


@pytest.fixture
def model(endpoint: ScriptedModel) -> ScriptedModel:
    endpoint.forget()
    return endpoint


async def test_what_the_rule_names_gets_through(mind: Mind, model: ScriptedModel) -> None:
    answer = await mind.ask()

    assert answer.status == 200
    assert b"heard: hi" in answer.body
    assert model.requests == [ASKED]


async def test_the_key_is_put_in_at_the_gate_and_the_minds_own_is_dropped(mind: Mind, model: ScriptedModel) -> None:
    await mind.ask(headers={"Authorization": "Bearer of-the-mind", "X-Api-Key": "of-the-mind", "Cookie": "a=b"})

    sent = {name.lower(): value for name, value in model.headers[0].items()}
    assert sent["authorization"] == f"Bearer {KEY}"
    assert "of-the-mind" not in str(sent)
    assert "cookie" not in sent


async def test_a_key_goes_in_the_way_its_provider_wants_it(tmp_path: Path, model: ScriptedModel) -> None:
    async with way_out(tmp_path, model.url, scheme="anthropic") as mind:
        await mind.ask(headers={"X-Api-Key": "of-the-mind", "Anthropic-Version": "1999-01-01", "Anthropic-Beta": "x"})

    sent = {name.lower(): value for name, value in model.headers[0].items()}
    assert (sent["x-api-key"], sent["anthropic-version"]) == (KEY, "2023-06-01")
    assert not {"authorization", "anthropic-beta"} & set(sent)


async def test_a_rule_without_a_key_sends_none(tmp_path: Path, model: ScriptedModel) -> None:
    async with way_out(tmp_path, model.url, key="") as mind:
        await mind.ask(headers={"Authorization": "Bearer of-the-mind"})

    assert "authorization" not in {name.lower() for name in model.headers[0]}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        pytest.param("POST", "/", 404, "no-such-way", id="no way named"),
        pytest.param("POST", "/egress/model", 404, "no-such-way", id="no path"),
        pytest.param("POST", "/chat/completions", 404, "no-such-way", id="no rule named"),
        pytest.param("POST", "//egress/model/chat/completions", 404, "no-such-way", id="slashes in front"),
        pytest.param("POST", "/egress/other/chat/completions", 403, "no-such-rule", id="another rule"),
        pytest.param("POST", "/egress//chat/completions", 403, "no-such-rule", id="an empty rule"),
        pytest.param("POST", "/egress/MODEL/chat/completions", 403, "no-such-rule", id="a rule in capitals"),
        pytest.param("GET", WAY, 403, "method-not-allowed", id="get"),
        pytest.param("DELETE", WAY, 403, "method-not-allowed", id="delete"),
        pytest.param("POST", "/egress/model/models", 403, "path-not-allowed", id="another path"),
        pytest.param("POST", "/egress/model/chat/completionsx", 403, "path-not-allowed", id="a path with a tail"),
        pytest.param("POST", "/egress/model/chat", 403, "path-not-allowed", id="half a path"),
        pytest.param("POST", "/egress/model/chat/completions/..", 403, "path-not-plain", id="two dots"),
        pytest.param("POST", "/egress/model/chat/completions/../../keys", 403, "path-not-plain", id="up and away"),
        pytest.param("POST", "/egress/model/chat/./completions", 403, "path-not-plain", id="one dot"),
        pytest.param("POST", "/egress/model/chat/completions/%2e%2e/x", 403, "path-not-plain", id="escaped dots"),
        pytest.param("POST", "/egress/model/chat/completions/%252e%252e", 403, "path-not-plain", id="twice escaped"),
        pytest.param("POST", "/egress/model/chat//completions", 403, "path-not-plain", id="double slash"),
        pytest.param("POST", "/egress/model//chat/completions", 403, "path-not-plain", id="double slash in front"),
        pytest.param("POST", "/egress/model/chat/completions/", 403, "path-not-plain", id="slash behind"),
        pytest.param("POST", "/egress/model/chat\\completions", 403, "path-not-plain", id="backslash"),
        pytest.param("POST", "/egress/model/chat/completions/%5c..", 403, "path-not-plain", id="escaped backslash"),
        pytest.param("POST", f"{WAY}?key=1", 403, "query-not-allowed", id="query"),
        pytest.param("POST", f"{WAY}/x%3Fkey=1", 403, "path-not-plain", id="escaped question mark"),
        pytest.param("POST", f"{WAY}/x%23part", 403, "path-not-plain", id="escaped hash"),
        pytest.param("POST", f"{WAY}/x%0d%0aHost:evil", 403, "path-not-plain", id="escaped line break"),
        pytest.param("POST", f"{WAY}/x%00", 403, "path-not-plain", id="escaped zero byte"),
    ],
)
async def test_nothing_else_gets_through(
    mind: Mind, model: ScriptedModel, method: str, path: str, status: int, code: str
) -> None:
    answer = await mind.ask(path, method)

    assert answer.refused == (status, code)
    assert model.requests == []


async def test_a_path_below_the_prefix_is_allowed(mind: Mind) -> None:
    answer = await mind.ask(f"{WAY}/batch-1")

    assert answer.refused == (404, "")  # the endpoint's own word: it was reached


async def test_the_host_header_leads_nowhere_else(mind: Mind, model: ScriptedModel) -> None:
    answer = await mind.ask(headers={"Host": "evil.example"})

    assert answer.status == 200
    assert model.headers[0]["Host"] == model.url.removeprefix("http://").removesuffix("/v1")


async def test_a_redirect_is_not_followed(mind: Mind, model: ScriptedModel) -> None:
    model.script = [Raw(b"", 307, {"location": f"{model.url}/chat/completions"})]

    answer = await mind.ask()

    assert answer.status == 307
    assert "location" not in answer.headers
    assert len(model.requests) == 1


async def test_proxy_variables_are_ignored(
    tmp_path: Path, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")

    async with way_out(tmp_path, model.url) as mind:
        answer = await mind.ask()

    assert answer.status == 200


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's advice; the size is the point
async def test_a_request_may_be_large_but_not_endless(mind: Mind, model: ScriptedModel) -> None:
    padding = "x" * (REQUEST_LIMIT - len('{"messages":[{"content":": "}]}'))
    largest = f'{{"messages":[{{"content":": {padding}"}}]}}'.encode()

    model.script = ["taken"]

    taken = await mind.ask(data=largest)
    refused = await mind.ask(data=largest + b" ")

    assert taken.status == 200
    assert refused.refused == (413, "request-too-large")
    assert len(model.requests) == 1


async def test_an_answer_may_be_large_but_not_endless(mind: Mind, model: ScriptedModel) -> None:
    model.script = [Raw(b"x" * ANSWER_LIMIT), Raw(b"x" * (ANSWER_LIMIT + 1))]

    largest, larger = await mind.ask(), await mind.ask()

    assert len(largest.body) == ANSWER_LIMIT
    assert larger.refused == (502, "answer-too-large")


async def test_a_packed_answer_counts_by_what_it_unpacks_to(mind: Mind, model: ScriptedModel) -> None:
    model.script = [Raw(gzip.compress(bytes(ANSWER_LIMIT + 1)), headers={"content-encoding": "gzip"})]

    answer = await mind.ask()

    assert answer.refused == (502, "answer-too-large")


async def test_a_provider_cannot_pass_as_the_gate_or_leave_a_cookie(mind: Mind, model: ScriptedModel) -> None:
    headers = {"x-teehee-egress": "slow", "set-cookie": "a=b", "retry-after": "7", "content-type": "text/plain"}
    model.script = [Raw(b"busy", 429, headers), Raw(completion_bytes("hi"))]

    answer = await mind.ask()
    await mind.ask()

    assert answer.refused == (429, "")
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["content-type"] == "text/plain"
    assert "set-cookie" not in answer.headers
    assert "Cookie" not in model.headers[1]


async def test_an_endpoint_that_takes_too_long_is_told_as_slow(tmp_path: Path, model: ScriptedModel) -> None:
    model.script = [Raw(b"", delay_seconds=3.0)]

    async with way_out(tmp_path, model.url, timeout_seconds=0.2) as mind:
        answer = await mind.ask()

    assert answer.refused == (504, "slow")


async def test_an_endpoint_that_is_away_is_told_as_unreachable(mind: Mind) -> None:
    answer = await mind.ask("/egress/spare/chat/completions")

    assert answer.refused == (502, "unreachable")
    assert b"never" not in answer.body


async def test_a_call_the_mind_has_given_up_is_given_up_here_too(tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with way_out(tmp_path, f"http://127.0.0.1:{port}") as mind:
            with pytest.raises(TimeoutError):
                await mind.ask(timeout=aiohttp.ClientTimeout(total=0.1))

            await asyncio.wait_for(hung_up.wait(), 5)


# -- streams


async def test_a_stream_passes_as_it_comes(mind: Mind, model: ScriptedModel) -> None:
    model.script = [Streamed(["one ", "two ", "three"], pause_seconds=0.15)]
    came: list[tuple[float, bytes]] = []
    begun = time.monotonic()

    async with mind.session.post(URL(f"http://gate{WAY}"), json=ASKED) as answer:
        async for data in answer.content.iter_any():
            came.append((time.monotonic() - begun, data))

    assert answer.content_type == "text/event-stream"
    assert b"one " in came[0][1]
    assert came[0][0] < 0.3 < came[-1][0]
    assert b"".join(data for _, data in came).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/x-ndjson"])
async def test_a_stream_may_be_large_but_not_endless(mind: Mind, model: ScriptedModel, content_type: str) -> None:
    model.script = [Raw(b"x" * (ANSWER_LIMIT + 1), headers={"content-type": content_type})]

    answer = await mind.ask()

    assert answer.status == 200
    assert len(answer.body) < ANSWER_LIMIT + 1000
    assert parting(answer) == "answer-too-large"


async def test_a_stream_that_takes_too_long_ends_with_a_word_on_why(tmp_path: Path, model: ScriptedModel) -> None:
    model.script = [Streamed(itertools.repeat("drip "), pause_seconds=0.05)]

    async with way_out(tmp_path, model.url, timeout_seconds=0.5) as mind:
        answer = await mind.ask()

    assert answer.body.startswith(b"data: ")
    assert parting(answer) == "slow"


async def test_a_stream_that_is_cut_ends_with_a_word_on_why(mind: Mind, model: ScriptedModel) -> None:
    model.script = [Streamed(["one ", "two"], 0.02, cut_after=1)]

    answer = await mind.ask()

    assert b"one " in answer.body
    assert parting(answer) == "unreachable"


async def test_a_stream_the_mind_has_given_up_is_given_up_here_too(mind: Mind, model: ScriptedModel) -> None:
    before = model.hung_up
    model.script = [Streamed(itertools.repeat("drip "), pause_seconds=0.01)]

    async with mind.session.post(URL(f"http://gate{WAY}"), json=ASKED) as answer:
        await answer.content.readany()
        answer.close()

    await until(lambda: model.hung_up == before + 1)


async def test_a_mind_that_does_not_listen_holds_the_provider_back(mind: Mind, model: ScriptedModel) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"data: " + b"x" * 10_000 + b"\n\n"

    model.script = [Streamed(pieces())]
    async with mind.session.post(URL(f"http://gate{WAY}"), json=ASKED) as answer:
        await asyncio.sleep(0.5)
        answer.close()

    assert 0 < sent * 10_000 < ANSWER_LIMIT * 4  # what sockets hold, and no more


def parting(answer: Answer) -> str:
    """The code in the last line of a stream that was ended by the gate."""
    assert not answer.whole
    last = json.loads(answer.body.strip().rsplit(b"\n", 1)[-1].removeprefix(b"data: "))["error"]
    return str(last["code"] if isinstance(last, dict) else last.partition(":")[0])


async def test_one_refused_request_does_not_disturb_the_next(mind: Mind) -> None:
    await mind.ask("/egress/model/models")
    answer = await mind.ask()

    assert answer.status == 200
