"""The chat page: rendered here, works without script; a small script only spares the reload."""

import html
import uuid
from importlib import resources
from urllib.parse import parse_qs

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from teehee.gate.conversation import Conversation
from teehee.gate.web import sessions
from teehee.gate.web.api import ChatApi, body
from teehee.wire import notices
from teehee.wire.boot import Face
from teehee.wire.strict import Malformed

FORM_WAIT = 20.0  # seconds the page without script waits for the answer before it shows
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
KEPT = "Your message is kept; the answer is on its way. Reload to see it."
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
STATIC_TYPES = {"chat.js": "text/javascript", "chat.css": "text/css"}


class ChatPage:
    """GET shows the conversation, POST says something and shows it again."""

    def __init__(self, conversation: Conversation, api: ChatApi, trust: str) -> None:
        self.conversation = conversation
        self.api = api
        self.trust = trust

    async def home(self, request: Request) -> Response:
        """GET /: the one agent's page, or a list of all."""
        faces = list(self.conversation.faces.values())
        if len(faces) == 1:
            return RedirectResponse(f"/chat/{faces[0].slug}", 303)
        links = "".join(f'<li><a href="/chat/{e(f.slug)}">{e(f.name)}</a> {e(f.bio)}</li>' for f in faces)
        return page("Agents", f"<main><h1>Agents running here</h1><ul>{links}</ul></main>")

    async def show(self, request: Request) -> Response:
        """GET /chat/{agent}"""
        face = self.conversation.face(request.path_params["agent"])
        session = sessions.of(request)
        guest = self.api.guest(session, "")
        said = [] if session.is_new else await self.conversation.history(face, guest)
        effects = [] if session.is_new else await self.conversation.latest(face, guest)
        lines = [(line.at, "you", line.text, "") for line in said]
        lines += [(effect.at, "agent", effect.text, effect.id) for effect in effects]
        cursor = max((effect.seq for effect in effects), default=0)
        notice = _notice(request.query_params.get("notice", ""), face)
        seen = [effect.id for effect in effects if effect.state == "due"]
        done = BackgroundTask(self._handed_over, seen) if seen else None
        response = page(face.name, render(face, self.trust, sorted(lines), cursor, notice), done)
        if session.is_new:
            response.headers["set-cookie"] = sessions.cookie(session)
        return response

    async def say(self, request: Request) -> Response:
        """POST /chat/{agent}: the form without script."""
        face = self.conversation.face(request.path_params["agent"])
        form = _form(await body(request))
        guest = self.api.guest(sessions.of(request), "")
        told = await self.conversation.say(face, guest, form.get("text", ""), form.get("id", ""), FORM_WAIT)
        suffix = "" if told["messages"] else f"?notice={told['state']}"
        return RedirectResponse(f"/chat/{face.slug}{suffix}#end", 303)

    async def static(self, request: Request) -> Response:
        """GET /static/{name}: one of our two files."""
        name = request.path_params["name"]
        if name not in STATIC_TYPES:
            return Response("no such file", 404, media_type="text/plain")
        content = resources.files("teehee.gate.web").joinpath("static", name).read_text()
        return Response(content, media_type=STATIC_TYPES[name], headers={"cache-control": "max-age=300"})

    async def _handed_over(self, seen: list[str]) -> None:
        self.conversation.mailroom.handed_over(seen)


def refusal(status: int, sentence: str) -> Response:
    """An error as a page, with the way back."""
    text = f'<main><h1>That did not work</h1><p>{e(sentence)}</p><p><a href="/">Back to the conversation</a></p></main>'
    response = page("That did not work", text)
    response.status_code = status
    return response


def _notice(code: str, face: Face) -> str:
    if not code:
        return ""
    return notices.sentence(code, face.name) if code in notices.NOTICES else KEPT


def page(title: str, content: str, background: BackgroundTask | None = None) -> Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{e(title)}</title><link rel="stylesheet" href="/static/chat.css"></head><body>{content}</body></html>'
    )
    return Response(text, media_type="text/html; charset=utf-8", headers=dict(HEADERS), background=background)


Shown = tuple[int, str, str, str]  # when, who (you or agent), words, effect id or ""


def render(face: Face, trust: str, lines: list[Shown], cursor: int, notice: str) -> str:
    """The page's body: who this is, what was said, where to say more."""
    items = "".join(_line(who, text, effect) for _, who, text, effect in lines)
    empty = "" if items else f'<li class="hint">Say hello to {e(face.name)}.</li>'
    note = f'<p class="notice" role="status"{"" if notice else " hidden"}>{e(notice)}</p>'
    return (
        f"<header><h1>{e(face.name)}</h1><p>{e(face.bio)}</p>"
        f'<p class="trust">brain: {e(face.brain)} · <a href="/chat/{e(face.slug)}/verify">trust: {e(trust)}</a> · '
        f'every reply has a receipt</p></header><main><ol id="talk" data-agent="{e(face.slug)}" data-after="{cursor}" '
        f'aria-live="polite">{empty}{items}</ol>{note}<form method="post" action="/chat/{e(face.slug)}" id="say">'
        f'<input type="hidden" name="id" value="{uuid.uuid4()}"><label for="text">Message</label>'
        '<textarea id="text" name="text" rows="2" maxlength="4000" required autofocus></textarea>'
        '<button>Send</button></form><span id="end"></span></main><script src="/static/chat.js" defer></script>'
    )


def _line(who: str, text: str, effect: str) -> str:
    if not effect:
        return f'<li class="{who}"><p>{e(text)}</p></li>'
    receipt = f'<a class="receipt" href="/api/receipts/{e(effect)}">receipt</a>'
    return f'<li class="{who}" id="{e(effect)}"><p>{e(text)}</p> {receipt}</li>'


def _form(data: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(data.decode(), max_num_fields=8)
    except ValueError:
        raise Malformed("the form is not UTF-8") from None
    return {name: values[0] for name, values in fields.items()}


def e(text: str) -> str:
    """Escapes `text` for HTML content and attributes."""
    return html.escape(text, quote=True)
