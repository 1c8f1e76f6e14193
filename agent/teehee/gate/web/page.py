"""The chat page: rendered here, works without script; a small script only spares the reload."""

from importlib import resources

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from teehee.gate.conversation import Conversation
from teehee.gate.web import layout, sessions
from teehee.gate.web.api import ChatApi, body
from teehee.gate.web.layout import Line, page
from teehee.wire import notices
from teehee.wire.boot import Face

FORM_WAIT = 20.0  # seconds the page without script waits for the answer before it shows
LOOK_AGAIN_SECONDS = 5  # and how soon it looks again when there was none
KEPT = "Your message is kept; the answer is on its way and will show here."
WAITING = "waiting"
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
        return page("Who is here", layout.agents(faces))

    async def show(self, request: Request) -> Response:
        """GET /chat/{agent}"""
        face = self.conversation.face(request.path_params["agent"])
        session = sessions.of(request)
        guest = self.api.guest(session, "")
        said = [] if session.is_new else await self.conversation.history(face, guest)
        effects = [] if session.is_new else await self.conversation.latest(face, guest)
        lines = [Line(one.at, "you", one.text) for one in said]
        lines += [Line(effect.at, "agent", effect.text, effect.id) for effect in effects]
        lines.sort(key=lambda line: (line.at, line.who != "you"))
        cursor = max((effect.seq for effect in effects), default=0)
        code = request.query_params.get("notice", "")
        seen = [effect.id for effect in effects if effect.state == "due"]
        done = BackgroundTask(self._handed_over, seen) if seen else None
        content = layout.conversation(face, self.trust, lines, cursor, _notice(code, face))
        response = page(face.name, content, done)
        if code == WAITING and lines and lines[-1].who == "you":
            response.headers["refresh"] = str(LOOK_AGAIN_SECONDS)
        if session.is_new:
            response.headers["set-cookie"] = sessions.cookie(session)
        return response

    async def say(self, request: Request) -> Response:
        """POST /chat/{agent}: the form without script."""
        face = self.conversation.face(request.path_params["agent"])
        form = layout.form(await body(request))
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


def _notice(code: str, face: Face) -> str:
    if not code or code in notices.NOTICES:
        return notices.sentence(code, face.name) if code else ""
    return KEPT if code == WAITING else ""
