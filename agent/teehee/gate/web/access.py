"""The access token: asked for where the page is open to more than this machine; proofs stay for everyone.

Numbers for operators have a token of their own.
"""

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from teehee.errors import TeeheeError
from teehee.gate.web.api import body, reply
from teehee.gate.web.layout import form, page

COOKIE = "teehee_access"
PUBLIC = re.compile(
    r"/healthz|/readyz|/metrics|/favicon\.ico|/static/[\w.-]+|/bundle\.json|/chat/[\w-]+/(?:bundle\.json|verify)|/api/receipts/[\w-]+"
    r"|/api/agents|/hooks/[\w-]+/[\w-]+|/owner"  # the last is for whoever has an owner's key
)
ASKING = (
    '<main class="alone"><h1>This agent asks for a token</h1><p>It was printed where the agent was started, as part of '
    'the web page&#x27;s address.</p><form class="token" method="post" action="/access"><label for="token">Access token'
    '</label><input id="token" name="token" type="password" autocomplete="off" required autofocus><button>Open</button>'
    "</form>%s</main>"
)
WRONG = '<p class="notice" role="alert">That is not the token.</p>'


class Access:
    """Lets in whoever shows the token: once in the address or the form, then by cookie; programs as a bearer."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._digest = _digest(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or PUBLIC.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        if (shown := request.query_params.get("token")) and scope["method"] == "GET" and self._is_it(shown):
            await self._welcome(shown, _without_token(request))(scope, receive, send)
        elif scope["path"] == "/access" and scope["method"] == "POST":
            await (await self._answer(request))(scope, receive, send)
        elif self._is_it(_bearer(request)):
            # The token says that they may come in, not who they are: everyone has the same.
            del MutableHeaders(scope=scope)["authorization"]
            await self.app(scope, receive, send)
        elif self._is_it(request.cookies.get(COOKIE, "")):
            await self.app(scope, receive, send)
        else:
            await self._refusal(request)(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            given = form(await body(request)).get("token", "").strip()
        except TeeheeError:
            given = ""
        if self._is_it(given):
            return self._welcome(given, "/")
        return page("This agent asks for a token", ASKING % WRONG, status=401)

    def _is_it(self, given: str) -> bool:
        return hmac.compare_digest(_digest(given), self._digest)

    def _welcome(self, token: str, where: str) -> Response:
        response = RedirectResponse(where, 303)
        cookie = f"{COOKIE}={token}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
        response.headers["set-cookie"] = cookie
        response.headers["cache-control"] = "no-store"
        response.headers["referrer-policy"] = "no-referrer"
        return response

    def _refusal(self, request: Request) -> Response:
        if request.scope["path"].startswith("/api/"):
            sentence = "This agent asks for its access token, as a bearer in the Authorization header."
            return reply({"error": {"code": "token-missing", "message": sentence}}, 401)
        wrong = WRONG if "token" in request.query_params else ""
        return page("This agent asks for a token", ASKING % wrong, status=401)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _bearer(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _without_token(request: Request) -> str:
    """The address asked for, on this site and without the token. Never another site's: `//evil` is a path here."""
    path = "/" + request.url.path.lstrip("/\\")
    rest = [(name, value) for name, value in parse_qsl(request.url.query) if name != "token"]
    return path + (f"?{urlencode(rest)}" if rest else "")
