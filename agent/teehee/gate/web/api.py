"""The chat's JSON API: post a message, pull what came after, fetch a receipt."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from teehee import compact
from teehee.errors import Refused, TeeheeError, Unavailable
from teehee.gate.conversation import Conversation, Guest, shown
from teehee.gate.web import sessions
from teehee.log import get_logger
from teehee.wire import strict
from teehee.wire.boot import Face
from teehee.wire.client import Client
from teehee.wire.strict import Malformed

Json = Any
SOURCE = "web"
BODY_LIMIT = 64 << 10
BODY_SECONDS = 10.0
ROOM_SHAPE = re.compile(r"[a-z0-9-]{1,64}")
EFFECT_SHAPE = re.compile(r"[0-9a-f-]{36}")
log = get_logger()
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Post:
    """A message: `id` is the sender's own, so sending again is harmless; `room` names a shared room.

    `wait` is how many seconds to wait for the answer.
    """

    text: str
    id: str
    room: str = ""
    name: str = ""
    wait: float = 0.0


class ChatApi:
    """Endpoints over one Conversation. A reply counts as delivered once it is written to its client."""

    def __init__(self, conversation: Conversation, public: Client) -> None:
        self.conversation = conversation
        self.public = public

    async def post(self, request: Request) -> Response:
        """POST /api/chat/{agent}/messages"""
        face = self._face(request)
        post = strict.parse(Post, _json(await body(request)), "body")
        session = sessions.of(request)
        guest = self.guest(session, post.room, post.name)
        told = await self.conversation.say(face, guest, post.text, post.id, post.wait)
        if session.is_new:
            told["session"] = session.token
        seen = [message["id"] for message in told["messages"]]
        return self._answer(told, session, seen, status=200 if told["messages"] else 202)

    async def pull(self, request: Request) -> Response:
        """GET /api/chat/{agent}/messages?after=&wait=&room="""
        face = self._face(request)
        session = sessions.of(request)
        guest = self.guest(session, request.query_params.get("room", ""))
        effects = await self.conversation.pull(face, guest, _number(request, "after"), float(_number(request, "wait")))
        return self._answer({"messages": [shown(e) for e in effects]}, session, [e.id for e in effects])

    async def forget(self, request: Request) -> Response:
        """POST /api/chat/{agent}/forget: forgets the visitor whose token this is."""
        session = sessions.of(request)
        if session.is_new:
            raise Malformed("nobody is known by this token, so there is nobody to forget")
        return reply({"receipt": await self.conversation.forget(self._face(request), self.guest(session, ""))})

    async def receipt(self, request: Request) -> Response:
        """GET /api/receipts/{effect}: the leaf, its audit path, the signed checkpoint."""
        effect = request.path_params["effect"]
        if not EFFECT_SHAPE.fullmatch(effect):
            raise Malformed("a receipt is asked for by the message's id, a UUID")
        return reply(await self.public.call("receipt", {"effect": effect}))

    async def agents(self, request: Request) -> Response:
        """GET /api/agents: who runs here, under which log key."""
        return reply(await self.public.call("agents"))

    def guest(self, session: sessions.Session, room: str, name: str = "") -> Guest:
        """The visitor in their own room, or in the shared room `room`."""
        if not room:
            return Guest(SOURCE, session.principal, f"dm:{session.principal}", name=name[:64])
        if not ROOM_SHAPE.fullmatch(room):
            raise Malformed("room: expected 1 to 64 of a-z, 0-9 and -")
        return Guest(SOURCE, session.principal, f"room:{room}", room_type="API", name=name[:64])

    def _face(self, request: Request) -> Face:
        return self.conversation.face(request.path_params["agent"])

    def _answer(self, value: Json, session: sessions.Session, seen: list[str], status: int = 200) -> Response:
        after = BackgroundTask(self._handed_over, seen) if seen else None
        response = reply(value, status, after)
        if session.is_new:
            response.headers["set-cookie"] = sessions.cookie(session)
        return response

    async def _handed_over(self, seen: list[str]) -> None:
        self.conversation.mailroom.handed_over(seen)


def reply(value: Json, status: int = 200, background: BackgroundTask | None = None) -> Response:
    return Response(compact.encode(value), status, media_type="application/json", background=background)


def told(error: TeeheeError) -> tuple[int, Json]:
    """The status and body for an error that people can act on."""
    if isinstance(error, Unavailable):
        return 503, {"error": {"code": error.code, "message": str(error), "hint": error.hint}}
    if isinstance(error, Refused):
        return 403, {"error": {"code": error.rule, "message": error.reason}}
    return 400, {"error": {"code": "bad-request", "message": str(error)}}


class Guarded:
    """The web edge: our errors become answers, anything else a 500 that tells nothing.

    An ASGI application itself, so that a request passes no wrapper but this one.
    """

    def __init__(self, endpoint: Endpoint, refusal: Callable[[int, str], Response] | None = None) -> None:
        self.endpoint = endpoint
        self.refusal = refusal  # how a person is told; None: JSON, for programs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        try:
            return await self.endpoint(request)
        except TeeheeError as error:
            status, value = told(error)
        except Exception:
            log.exception("request_failed", path=request.url.path)
            status, value = 500, {"error": {"code": "internal", "message": "Something went wrong here; it is logged."}}
        return reply(value, status) if self.refusal is None else self.refusal(status, value["error"]["message"])


async def body(request: Request, most: int = BODY_LIMIT) -> bytes:
    """The request's body. Raises Malformed when it is too long or too slow, before it is all read."""
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise Malformed(f"a request may have {most} bytes")
                chunks.append(chunk)
    except TimeoutError:
        raise Malformed(f"the request was not whole after {BODY_SECONDS:g} s") from None
    return b"".join(chunks)


def _json(data: bytes) -> Json:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError):
        raise Malformed("the body is not UTF-8 JSON") from None


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Malformed(f"{name}: expected a whole number")
    return int(text)
