"""The world listener's routes, and what no request passes without."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from teehee.gate.web.about import About
from teehee.gate.web.api import ChatApi, Guarded
from teehee.gate.web.evidence import Evidence
from teehee.gate.web.hooks import Hooks
from teehee.gate.web.layout import refusal
from teehee.gate.web.owner import OwnerPost
from teehee.gate.web.page import ChatPage
from teehee.gate.web.signals import Signals
from teehee.gate.web.status import Status

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


def routes(
    api: ChatApi, page: ChatPage, about: About, evidence: Evidence, signals: Signals, status: Status, hooks: Hooks,
    owner: OwnerPost,
) -> Router:  # fmt: skip
    async def favicon(request: Request) -> Response:
        """GET /favicon.ico: none, without a complaint."""
        return Response(status_code=204)

    return Router(
        routes=[
            Route("/favicon.ico", Guarded(favicon), methods=["GET"]),
            Route("/api/chat/{agent}/messages", Guarded(api.post), methods=["POST"]),
            Route("/api/chat/{agent}/messages", Guarded(api.pull), methods=["GET"]),
            Route("/api/chat/{agent}/signals", Guarded(signals.watch), methods=["GET"]),
            Route("/api/chat/{agent}/forget", Guarded(api.forget), methods=["POST"]),
            Route("/api/receipts/{effect}", Guarded(api.receipt), methods=["GET"]),
            Route("/api/agents", Guarded(api.agents), methods=["GET"]),
            Route("/bundle.json", Guarded(evidence.bundle), methods=["GET"]),
            Route("/chat/{agent}/verify", Guarded(evidence.verify, refusal), methods=["GET"]),
            Route("/chat/{agent}/bundle.json", Guarded(evidence.bundle), methods=["GET"]),
            Route("/chat/{agent}/receipts/{effect}", Guarded(about.receipt, refusal), methods=["GET"]),
            Route("/chat/{agent}/why/{effect}", Guarded(about.why, refusal), methods=["GET"]),
            Route("/chat/{agent}/forget", Guarded(about.ask_to_forget, refusal), methods=["GET"]),
            Route("/chat/{agent}/forget", Guarded(about.forget, refusal), methods=["POST"]),
            Route("/chat/{agent}", Guarded(page.show, refusal), methods=["GET"]),
            Route("/chat/{agent}", Guarded(page.say, refusal), methods=["POST"]),
            Route("/static/{name}", Guarded(page.static), methods=["GET"]),
            Route("/hooks/{agent}/{source}", Guarded(hooks.post), methods=["POST"]),
            Route("/owner", Guarded(owner.relay), methods=["POST"]),
            Route("/healthz", Guarded(status.alive), methods=["GET"]),
            Route("/readyz", Guarded(status.ready), methods=["GET"]),
            Route("/metrics", Guarded(status.metrics), methods=["GET"]),
            Route("/", Guarded(page.home, refusal), methods=["GET"]),
        ]
    )


class SameSite:
    """Lets in only requests that name this host, and writes only from this site's own pages.

    Against DNS rebinding (a stranger's name that points at loopback) and cross-site posts.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self.app = app
        self.hosts = hosts  # None: bound wider than loopback, any name may lead here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := self._foreign(scope)):
            await Response(reason + "\n", 403, media_type="text/plain")(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _foreign(self, scope: Scope) -> str:
        host = origin = site = ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1").lower()
            elif name == b"origin":
                origin = value.decode("latin-1").lower()
            elif name == b"sec-fetch-site":
                site = value.decode("latin-1").lower()
        if self.hosts is not None and _without_port(host) not in self.hosts:
            return "This agent answers under its own address only."
        if scope["method"] != "GET":
            if origin and origin.partition("://")[2] != host:
                return "Another site may not write here."
            if site and site not in ("same-origin", "none"):
                return "Another site may not write here."
        return ""


def _without_port(host: str) -> str:
    return host.rsplit(":", 1)[0] if not host.endswith("]") else host
