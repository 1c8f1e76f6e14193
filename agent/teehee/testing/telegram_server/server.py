"""The Bot API over HTTP on loopback, for tests that must not reach Telegram.

https://core.telegram.org/bots/api#making-requests
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web

from teehee.testing.telegram_server import control
from teehee.testing.telegram_server.accounts import METHODS
from teehee.testing.telegram_server.delivery import polled, post_to_webhook
from teehee.testing.telegram_server.faults import PAGE, Fault, Rejected
from teehee.testing.telegram_server.params import Params
from teehee.testing.telegram_server.people import Bot
from teehee.testing.telegram_server.world import Call, World

Json = Any
TOKEN = re.compile(r"[0-9]{1,16}:[A-Za-z0-9_-]{30,50}")
HOST = "127.0.0.1"


class TelegramServer:
    """`async with TelegramServer() as telegram:` serves `telegram.world` until the end of the block.

    A client takes `base_url` and `file_url` and the token of `world.me`. `port` 0 is any that is free.
    """

    def __init__(self, world: World | None = None, *, port: int = 0) -> None:
        self.world = world or World()
        self.port = port
        self.webhook_pause_seconds, self.longest_webhook_pause_seconds = 0.05, 5.0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/bot"

    @property
    def file_url(self) -> str:
        return f"{self.url}/file/bot"

    async def __aenter__(self) -> "TelegramServer":
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/bot{token:[^/]+}/{method}", self._call)
        app.router.add_get("/file/bot{token:[^/]+}/{path:.+}", self._download)
        app.router.add_post("/control", self._control)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        assert self._runner is not None
        assert self._session is not None
        self._cut_connections()
        await self._runner.cleanup()
        await self._session.close()

    def fails(
        self,
        method: str,
        status: int,
        *,
        times: int = 1,
        retry_after: int = 0,
        description: str = "",
        page: bool = False,
    ) -> None:
        """The next `times` calls of `method` ("*": any but getUpdates) are refused and not carried out.

        `page` answers with a proxy's HTML in place of JSON.
        """
        self.world.faults.add(method, Fault(status, description, retry_after, page), times)

    def hangs_up(self, method: str, *, after: bool, times: int = 1) -> None:
        """The connection breaks before an answer; `after` says that the call was carried out all the same."""
        self.world.faults.add(method, Fault(cut=True, after=after), times)

    def slows(self, method: str, seconds: float, *, after: bool, times: int = 1) -> None:
        """The answer comes this much later; a client that gives up waiting has nothing done, or with `after` all."""
        self.world.faults.add(method, Fault(delay_seconds=seconds, after=after), times)

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Nobody listens within the block; connections that were open break."""
        assert self._runner is not None
        for site in list(self._runner.sites):
            await site.stop()
        self._cut_connections()
        try:
            yield
        finally:
            await self._listen()

    def refuse(self, seconds: float) -> None:
        """Refuses connections from soon on, for `seconds`."""

        async def away() -> None:
            await asyncio.sleep(0.05)
            async with self.refusing():
                await asyncio.sleep(seconds)

        self._tasks["refuse"] = asyncio.create_task(away())

    async def _listen(self) -> None:
        assert self._runner is not None
        await web.TCPSite(self._runner, HOST, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    def _cut_connections(self) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            connection.force_close()

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"].lower()
        world, params, bot = self.world, Params({}), None
        fault = Fault()
        try:
            bot = self._authorized(request.match_info["token"])
            params = await params_of(request)
            fault = world.faults.take(method) or fault
            if not fault.after:
                await asyncio.sleep(fault.delay_seconds)
            if fault.cut and not fault.after:
                world.calls.append(Call(bot.id, method, params.given, world.clock(), 0))
                return aborted(request)
            if fault.status:
                if fault.retry_after and (chat := params.number("chat_id")):
                    world.limits.hush(bot.id, chat, fault.retry_after)
                raise fault.rejected()
            status, body = 200, b'{"ok":true,"result":' + await self._carried_out(bot, method, params) + b"}"
        except Rejected as rejected:
            status, body = rejected.status, json.dumps(rejected.body()).encode()
        world.calls.append(Call(bot.id if bot else 0, method, params.given, world.clock(), status))
        if fault.after:
            await asyncio.sleep(fault.delay_seconds)
            if fault.cut:
                return aborted(request)
        if fault.page:
            return web.Response(body=PAGE, status=status, content_type="text/html")
        return web.Response(body=body, status=status, content_type="application/json")

    async def _carried_out(self, bot: Bot, method: str, params: Params) -> bytes:
        if method == "getupdates":
            return await polled(bot, params)
        if method not in METHODS:
            raise Rejected(404, "Not Found: method not found")
        result = METHODS[method](self.world, bot, params)
        if method == "setwebhook" and bot.webhook["url"]:
            self._post(bot)
        return json.dumps(result, ensure_ascii=False).encode()

    def _authorized(self, token: str) -> Bot:
        """404 for what is no token, 401 for one that is void (https://core.telegram.org/bots/api#authorizing-your-bot)."""
        if not TOKEN.fullmatch(token):
            raise Rejected(404, "Not Found")
        if (bot := self.world.bot_of(token)) is None:
            raise Rejected(401, "Unauthorized")
        return bot

    def _post(self, bot: Bot) -> None:
        name = f"webhook {bot.id}"
        if name in self._tasks:
            self._tasks[name].cancel()
        assert self._session is not None
        pauses = self.webhook_pause_seconds, self.longest_webhook_pause_seconds
        self._tasks[name] = asyncio.create_task(post_to_webhook(bot, self._session, *pauses))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """https://core.telegram.org/bots/api#file"""
        try:
            self._authorized(request.match_info["token"])
        except Rejected as rejected:
            return web.json_response(rejected.body(), status=rejected.status)
        if (fault := self.world.faults.take("download")) is not None:
            await asyncio.sleep(fault.delay_seconds)
            if fault.cut:
                return aborted(request)
        for file in self.world.files.values():
            if file["file_path"] == request.match_info["path"]:
                return web.Response(body=file["content"])
        return web.json_response(Rejected(404, "Not Found").body(), status=404)

    async def _control(self, request: web.Request) -> web.StreamResponse:
        try:
            asked, at = await request.json(), self.world.clock()
            if isinstance(asked, list):
                results = [control.act(self, one) for one in asked]
                waiting = self.world.me.updates.waiting
                return web.json_response({"results": results, "at": at, "waiting": len(waiting)})
            return web.json_response({"result": control.act(self, asked)})
        except (LookupError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)


async def params_of(request: web.Request) -> Params:
    """From the query, and a body that is JSON or a form."""
    params = Params(dict(request.query))
    if request.content_type == "application/json":
        params.given |= await request.json()
    elif request.method == "POST":
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                params.files[name] = (value.filename, await asyncio.to_thread(value.file.read))
            else:
                params.given[name] = value if isinstance(value, str) else value.decode()
    return params


def aborted(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
