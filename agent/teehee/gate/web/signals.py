"""A turn in progress as server-sent events: thinking, drafts, the end. The answer itself is not among them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from teehee.errors import Unavailable
from teehee.gate.conversation import Conversation, Guest
from teehee.gate.drafts import ENDED, Signal
from teehee.gate.web import sessions
from teehee.gate.web.api import ChatApi
from teehee.wire.boot import Face
from teehee.wire.strict import Malformed

HEARTBEAT_SECONDS = 15.0
LIFE_SECONDS = 180.0  # of one stream; no turn is watched for longer
STREAMS, STREAMS_EACH = 256, 4  # open at once, in all and of one visitor
ID_LIMIT = 128
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no", "x-content-type-options": "nosniff"}


class Signals:
    """GET /api/chat/{agent}/signals?id=&room=: for whoever wrote the message, while it is being answered."""

    def __init__(self, conversation: Conversation, api: ChatApi) -> None:
        self.conversation = conversation
        self.api = api
        self._open: Counter[str] = Counter()

    async def watch(self, request: Request) -> Response:
        face = self.conversation.face(request.path_params["agent"])
        message = request.query_params.get("id", "")
        if not 0 < len(message) <= ID_LIMIT:
            raise Malformed(f"id: expected 1 to {ID_LIMIT} characters, the message's own")
        session = sessions.of(request)
        if session.is_new:
            raise Malformed("nobody is known by this token, so there is no turn to watch")
        guest = self.api.guest(session, request.query_params.get("room", ""))
        if self._open.total() >= STREAMS or self._open[guest.principal] >= STREAMS_EACH:
            raise Unavailable("too many turns are watched at once", code="busy")
        events = self._events(face, guest, message)
        return StreamingResponse(events, media_type="text/event-stream", headers=dict(HEADERS))

    async def _events(self, face: Face, guest: Guest, message: str) -> AsyncIterator[bytes]:
        self._open[guest.principal] += 1
        until = asyncio.get_running_loop().time() + LIFE_SECONDS
        seen = 0
        try:
            while asyncio.get_running_loop().time() < until:
                signal = await self.conversation.signal(face, guest, message, seen, HEARTBEAT_SECONDS)
                if signal.state == ENDED:
                    break
                yield _event(signal) if signal.number > seen else b": still here\n\n"
                seen = signal.number
            yield _event(Signal(state=ENDED))
        finally:
            self._open[guest.principal] -= 1
            if not self._open[guest.principal]:
                del self._open[guest.principal]


def _event(signal: Signal) -> bytes:
    data = json.dumps({"text": signal.text}, ensure_ascii=False).encode("utf-8", "replace")
    return b"event: %s\ndata: %s\n\n" % (signal.state.encode(), data)
