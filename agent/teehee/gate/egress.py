"""The way out for the mind: named rules of (method, host, path prefix), credentials put in here.

The mind asks `/egress/<rule>/<path>` on the gate's Unix socket. Where that leads, and with which key, is the
rule's business; redirects are not followed, proxy and CA variables are not read, TLS roots come with the package.
An answer that is a stream passes as it comes, within the same limits of size and time. Calls of models are on
account: what does not fit under a cap does not go out.
"""

import asyncio
import json
import posixpath
import sqlite3
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from teehee.gate import till
from teehee.gate.bound import Unbounded
from teehee.gate.metrics import Counts
from teehee.gate.spend import OverBudget, Spend
from teehee.log import get_logger
from teehee.wire.boot import EgressRule
from teehee.wire.messages import ABOUT

if TYPE_CHECKING:
    import aiohttp

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

REQUEST_LIMIT = 4 << 20
ANSWER_LIMIT = 2 << 20
FORWARDED = frozenset({b"content-type", b"accept"})
RETURNED = frozenset({"content-type", "retry-after"})
STREAMED = frozenset({"text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json"})
SCHEMES: Mapping[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"authorization": f"Bearer {key}"},
    "anthropic": lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
}
log = get_logger()


class EgressRefused(Exception):
    """An answer of the gate itself, told apart from the provider's by the header `x-teehee-egress`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Egress:
    """An ASGI application, served to the mind only. `credentials` maps a rule's name to its key."""

    def __init__(
        self,
        rules: tuple[EgressRule, ...],
        credentials: Mapping[str, str],
        spend: Spend | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.credentials = credentials
        self.spend = spend
        self.counts = counts or Counts()
        self.session: aiohttp.ClientSession | None = None
        self.timeouts: dict[str, aiohttp.ClientTimeout] = {}  # by rule

    async def open(self) -> None:
        """Opens the pool towards the providers; without a rule there is no way out and nothing to load."""
        if not self.rules:
            return
        import aiohttp

        self.timeouts = {
            rule.name: aiohttp.ClientTimeout(total=rule.timeout_seconds, sock_connect=10)
            for rule in self.rules.values()
        }
        encrypted = any(rule.base_url.startswith("https:") for rule in self.rules.values())
        connector = aiohttp.TCPConnector(limit=256, ssl=_packaged_roots() if encrypted else True)
        self.session = aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        name, started = "none", time.perf_counter()
        try:
            rule, rest = self._rule(scope)
            name = rule.name
            body = await _read(receive)
            with self._opened(rule, rest, scope, body) as call:
                await _while_wanted(receive, self._forward(rule, rest, scope, call, send))
            self.counts.took("teehee_egress_seconds", time.perf_counter() - started, name)
        except EgressRefused as refused:
            self.counts.add("teehee_egress_answers", name, refused.code)
            log.warning("egress_refused", code=refused.code, path=scope["path"][:200], reason=str(refused))
            value = {"error": {"code": refused.code, "message": str(refused)}}
            await _answer(send, refused.status, value, refused.code)

    def _rule(self, scope: Scope) -> tuple[EgressRule, str]:
        """The rule that allows this request, and the path below its base. Anything else is refused."""
        parts = scope["path"].split("/", 3)
        if len(parts) < 4 or parts[1] != "egress":
            raise EgressRefused(404, "no-such-way", "expected /egress/<rule>/<path>")
        rule = self.rules.get(parts[2])
        if rule is None:
            raise EgressRefused(403, "no-such-rule", f"no egress rule {parts[2][:64]!r}")
        rest = "/" + parts[3]
        if b"%" in scope["raw_path"] or "//" in rest or posixpath.normpath(rest) != rest or "\\" in rest:
            raise EgressRefused(403, "path-not-plain", "the path must be plain: no escapes, no dots, no double slashes")
        if scope["method"] not in rule.methods:
            raise EgressRefused(403, "method-not-allowed", f"{scope['method']} is not allowed by rule {rule.name!r}")
        if not any(rest == prefix or rest.startswith(prefix + "/") for prefix in rule.prefixes):
            raise EgressRefused(403, "path-not-allowed", f"{rest[:100]!r} is not below a path of rule {rule.name!r}")
        if scope.get("query_string"):
            raise EgressRefused(403, "query-not-allowed", "this way out takes no query")
        return rule, rest

    def _opened(self, rule: EgressRule, rest: str, scope: Scope, body: bytes) -> till.Call:
        """The call, on its account where it has one."""
        about = next((value for name, value in scope["headers"] if name == ABOUT.encode()), b"")
        try:
            return till.opened(self.spend, rule, rest, about.decode("latin-1"), body)
        except Unbounded as error:
            raise EgressRefused(403, "unbounded", str(error)) from None
        except OverBudget as error:
            raise EgressRefused(402, error.code, str(error)) from None
        except sqlite3.Error as error:
            raise EgressRefused(503, "account-away", f"the account cannot be written: {error}") from None

    async def _forward(self, rule: EgressRule, rest: str, scope: Scope, call: till.Call, send: Send) -> None:
        import aiohttp

        assert self.session is not None
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"] if k in FORWARDED}
        if call.kind:
            headers["content-type"] = call.kind
        if key := self.credentials.get(rule.name):
            headers |= SCHEMES[rule.scheme](key)
        url = rule.base_url.rstrip("/") + rest
        timeout = self.timeouts[rule.name]
        passing: _Passing | None = None
        last = b""
        try:
            async with self.session.request(
                scope["method"], url, data=call.body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                streams = answer.status == 200 and answer.content_type in STREAMED
                call.answered(answer.status, streams=streams)
                if not streams:
                    last = await _read_answer(answer)
                    call.feed(last)
                    call.whole()
                self.counts.add("teehee_egress_answers", rule.name, str(answer.status))
                await send({"type": "http.response.start", "status": answer.status, "headers": _headers_back(answer)})
                if streams:
                    passing = _Passing(answer, call, send)
                    await passing.run()
        except (TimeoutError, aiohttp.ClientError, OSError, EgressRefused) as error:
            refused = _refusal(rule, error)
            if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
                call.unsent()
            if passing is None:
                raise refused from None
            self.counts.add("teehee_egress_answers", rule.name, refused.code)
            log.warning("egress_cut", code=refused.code, path=scope["path"][:200], reason=str(refused))
            await send({"type": "http.response.body", "body": passing.parting(refused), "more_body": True})
            return  # without the end, so that the server breaks the connection: no client takes this for all there is
        await send({"type": "http.response.body", "body": last})


def _refusal(rule: EgressRule, error: Exception) -> EgressRefused:
    if isinstance(error, EgressRefused):
        return error
    if isinstance(error, TimeoutError):
        return EgressRefused(504, "slow", f"{_host(rule)} took longer than {rule.timeout_seconds:g} s")
    return EgressRefused(502, "unreachable", f"{_host(rule)}: {type(error).__name__}")


def _headers_back(answer: "aiohttp.ClientResponse") -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode(), value.encode("latin-1", "replace"))
        for name, value in answer.headers.items()
        if name.lower() in RETURNED
    ]


class _Passing:
    """A stream on its way through: each piece as it comes; the mind's pace is the provider's."""

    def __init__(self, answer: "aiohttp.ClientResponse", call: till.Call, send: Send) -> None:
        self.answer = answer
        self.call = call
        self.send = send
        self.is_events = answer.content_type == "text/event-stream"
        self.at_line_start = True

    async def run(self) -> None:
        size = 0
        async for chunk in self.answer.content.iter_any():
            size += len(chunk)
            if size > ANSWER_LIMIT:
                self.answer.close()
                raise EgressRefused(502, "answer-too-large", f"the answer passed {ANSWER_LIMIT} bytes")
            self.call.feed(chunk)
            await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
            self.at_line_start = chunk.endswith(b"\n")
        self.call.whole()

    def parting(self, refused: EgressRefused) -> bytes:
        """The last words of a stream that ends too soon, in a form the providers' own clients take for an error."""
        said = {"type": refused.code, "code": refused.code, "message": str(refused)}
        if self.is_events:
            return b"\n\nevent: error\ndata: %s\n\n" % json.dumps({"type": "error", "error": said}).encode()
        line = json.dumps({"error": f"{refused.code}: {refused}"}).encode() + b"\n"
        return line if self.at_line_start else b"\n" + line


async def _while_wanted(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` to its end, or gives it up when the mind hangs up: nobody pays for an answer nobody waits for."""
    this = asyncio.current_task()
    hung_up = asyncio.ensure_future(receive())
    gone = False

    def give_up(done: "asyncio.Future[Any]") -> None:
        nonlocal gone
        if this is not None and not done.cancelled():
            gone = this.cancel()

    hung_up.add_done_callback(give_up)
    try:
        await work
    except asyncio.CancelledError:
        if gone and this is not None and this.uncancel() == 0:
            raise EgressRefused(400, "gone", "the mind went away") from None
        raise
    finally:
        hung_up.remove_done_callback(give_up)
        hung_up.cancel()


async def _read(receive: Receive) -> bytes:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EgressRefused(400, "gone", "the mind went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > REQUEST_LIMIT:
            raise EgressRefused(413, "request-too-large", f"a request may have {REQUEST_LIMIT} bytes")
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


async def _read_answer(answer: "aiohttp.ClientResponse") -> bytes:
    chunks, size = [], 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > ANSWER_LIMIT:
            answer.close()
            raise EgressRefused(502, "answer-too-large", f"the answer passed {ANSWER_LIMIT} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _answer(send: Send, status: int, value: object, code: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"x-teehee-egress", code.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


def _packaged_roots() -> ssl.SSLContext:
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


def _host(rule: EgressRule) -> str:
    return urlsplit(rule.base_url).netloc
