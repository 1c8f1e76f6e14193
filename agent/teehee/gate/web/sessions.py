"""Who a visitor is: a random token they keep, known to us by its hash only."""

import hashlib
import re
import secrets
from dataclasses import dataclass

from starlette.requests import HTTPConnection

COOKIE = "teehee_session"
TOKEN_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Session:
    """`is_new` tells that the visitor must be given the token."""

    token: str
    is_new: bool

    @property
    def principal(self) -> str:
        return "web:" + hashlib.sha256(self.token.encode()).hexdigest()[:32]


def of(request: HTTPConnection) -> Session:
    """The visitor's session: from the Authorization header, else the cookie, else a new one."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    token = given.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")
    if TOKEN_SHAPE.fullmatch(token):
        return Session(token, is_new=False)
    return Session(secrets.token_urlsafe(32), is_new=True)


def cookie(session: Session) -> str:
    """The Set-Cookie value: out of scripts' reach, for a year.

    Lax, not Strict: whoever follows a link to this page keeps their talk. Writes from other sites are refused anyway.
    """
    return f"{COOKIE}={session.token}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
