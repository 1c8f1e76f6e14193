"""Files that people sent: the mind asks for one by its id, and the connector of its platform fetches it.

`GET /files/<agent>/<source>/<id>` on the mind's own socket, beside the egress. Fetched is only what an event named that
this gate handed in lately: whoever has taken over a mind can read no other file of the bot's.
"""

import asyncio
import contextlib
import json
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from typing import Any

from teehee.connector import FILE_LIMIT, Fetches
from teehee.errors import ActionFailed, TeeheeError
from teehee.log import get_logger
from teehee.wire.messages import Event

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEPT = 4096  # ids of one agent
AT_ONCE = 4  # fetches of one agent
FETCH_SECONDS = 20.0
STATUS = {"not-yours": 403, "gone": 404, "too-large": 413, "away": 502, "slow": 504}
log = get_logger()


class NoFile(Exception):
    """Why there is none, as a code of STATUS."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Files:
    """What was sent lately, by agent, and who can fetch it in how many seconds. Nothing outlives this process."""

    def __init__(self, seconds: float = FETCH_SECONDS) -> None:
        self.seconds = seconds
        self._seen: dict[str, OrderedDict[tuple[str, str], str]] = {}  # by agent: (source, id) -> principal
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._fetch: dict[tuple[str, str], Fetches] = {}

    def note(self, event: Event) -> None:
        """An event came in here: the files it names may be asked for."""
        for one in event.content.get("attachments", ()):
            seen = self._seen.setdefault(event.agent, OrderedDict())
            seen[event.source, str(one["id"])] = event.principal
            seen.move_to_end((event.source, str(one["id"])))
            if len(seen) > KEPT:
                seen.popitem(last=False)

    def forget(self, agent: str, principal: str) -> None:
        """What this person sent may not be asked for any more."""
        seen = self._seen.get(agent, OrderedDict())
        for key in [key for key, who in seen.items() if who == principal]:
            del seen[key]

    @contextlib.contextmanager
    def fetched_by(self, agent: str, source: str, connector: object) -> Iterator[None]:
        """While this holds, a connector that can fetch files does so for its agent and platform."""
        if isinstance(connector, Fetches):
            self._fetch[agent, source] = connector
        try:
            yield
        finally:
            self._fetch.pop((agent, source), None)

    async def get(self, agent: str, source: str, id: str) -> bytes:
        """The file's bytes, FILE_LIMIT at most. Raises NoFile."""
        fetches = self._fetch.get((agent, source))
        if fetches is None or (source, id) not in self._seen.get(agent, ()):
            raise NoFile("not-yours")
        try:
            async with asyncio.timeout(self.seconds), self._slots[agent]:
                content = await fetches.file(id)
        except TimeoutError:
            raise NoFile("slow") from None
        except ActionFailed as error:
            raise NoFile(error.code if error.code in STATUS else "gone") from None
        except TeeheeError:
            raise NoFile("away") from None
        except Exception as error:  # a connector's failure is its own; what it says may hold its token
            log.warning("file_failed", source=source, error=type(error).__name__)
            raise NoFile("away") from None
        if len(content) > FILE_LIMIT:
            raise NoFile("too-large")
        return content


class Door:
    """An ASGI application, served to one mind: the files of its agents, and behind it whatever else it may ask."""

    def __init__(self, files: Files, agents: Collection[str], beyond: App) -> None:
        self.files = files
        self.agents = frozenset(agents)
        self.beyond = beyond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].split("/", 4) if scope["type"] == "http" else []
        if len(parts) < 5 or parts[1] != "files":
            await self.beyond(scope, receive, send)
            return
        _, _, agent, source, id = parts
        try:
            if scope["method"] != "GET" or agent not in self.agents:
                raise NoFile("not-yours")
            content = await self.files.get(agent, source, id)
        except NoFile as none:
            log.info("file_not_fetched", source=source[:32], code=none.code)
            body = json.dumps({"error": {"code": none.code}}).encode()
            await _answer(send, STATUS[none.code], b"application/json", body)
            return
        log.info("file_fetched", source=source, bytes=len(content))
        await _answer(send, 200, b"application/octet-stream", content)


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
