"""Pages about one reply and about the visitor: its receipt, why it came out so, and the wish to be forgotten."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from teehee.errors import VerificationError
from teehee.evidence import receipt as receipts
from teehee.gate.conversation import Conversation
from teehee.gate.web import sessions
from teehee.gate.web.api import EFFECT_SHAPE, ChatApi
from teehee.gate.web.layout import e, facts, inner_head, page
from teehee.wire.boot import Face
from teehee.wire.client import Client
from teehee.wire.messages import Effect
from teehee.wire.strict import Malformed

Json = Any
PROVES_NOTHING = (
    "This page comes from the agent, so it proves nothing by itself: take the receipt and check it from a machine of "
    "your own."
)
FORGETTING = (
    "What you said, what was said to you and what was learnt of you are deleted, in every room where you met, and the "
    "key it was sealed under is destroyed. Nobody can undo that. The log keeps that replies were sent, not to whom and "
    "not what they said: old receipts still hold, but nobody can show their words any more."
)


class About:
    """What a visitor may ask about their own conversation."""

    def __init__(self, conversation: Conversation, api: ChatApi, public: Client) -> None:
        self.conversation = conversation
        self.api = api
        self.public = public

    async def receipt(self, request: Request) -> Response:
        """GET /chat/{agent}/receipts/{effect}: the proof of one reply, for people."""
        face = self.conversation.face(request.path_params["agent"])
        effect = _effect_id(request)
        found = await self.public.call("receipt", {"effect": effect})
        own = await self._own(request, face, effect)
        return page(f"Receipt · {face.name}", inner_head(face, "Receipt") + _receipt(found, own))

    async def why(self, request: Request) -> Response:
        """GET /chat/{agent}/why/{effect}: what went into one reply, for whom it was written to."""
        face = self.conversation.face(request.path_params["agent"])
        own = await self._own(request, face, _effect_id(request))
        if own is None:
            raise Malformed("there is no such reply in your conversation")
        made = await self.conversation.why_event(face, own.source, own.event)
        return page(f"Why · {face.name}", inner_head(face, "Why this answer") + _said(own.text) + why(made))

    async def ask_to_forget(self, request: Request) -> Response:
        """GET /chat/{agent}/forget"""
        face = self.conversation.face(request.path_params["agent"])
        ask = (
            f'{inner_head(face, f"Shall {face.name} forget you?")}<main><p>{e(FORGETTING)}</p><form class="plain" '
            f'method="post" action="/chat/{e(face.slug)}/forget"><button class="grave">Forget me</button> '
            f'<a href="/chat/{e(face.slug)}#end">No, go back</a></form></main>'
        )
        return page(f"Forget me · {face.name}", ask)

    async def forget(self, request: Request) -> Response:
        """POST /chat/{agent}/forget"""
        face = self.conversation.face(request.path_params["agent"])
        session = sessions.of(request)
        if session.is_new:
            return RedirectResponse(f"/chat/{face.slug}", 303)
        given = await self.conversation.forget(face, self.api.guest(session, ""))
        return page(f"Forgotten · {face.name}", inner_head(face, "You are forgotten") + _forgotten(face, given))

    async def _own(self, request: Request, face: Face, effect: str) -> Effect | None:
        """The reply of this id, if it was said in the visitor's own room."""
        session = sessions.of(request)
        if session.is_new:
            return None
        said = await self.conversation.latest(face, self.api.guest(session, ""))
        return next((one for one in said if one.id == effect), None)


def _effect_id(request: Request) -> str:
    effect: str = request.path_params["effect"]
    if not EFFECT_SHAPE.fullmatch(effect):
        raise Malformed("a reply is asked for by its id, a UUID")
    return effect


def _said(text: str) -> str:
    return f'<blockquote class="said">{e(text)}</blockquote>'


def _receipt(found: Json, own: Effect | None) -> str:
    try:
        words = {"text": own.text, "salt": own.salt} if own is not None else {}
        checked = receipts.verify(found, **words)
    except VerificationError as error:
        return f'<main><p class="verdict bad">✗ This receipt does not hold: {e(str(error))}</p></main>'
    verdict = "Said by this agent, in exactly these words" if own else "Said by this agent"
    if found["forgotten_at"]:
        verdict = "Said by this agent, and forgotten at the wish of whom it was said to"
    outcome = "none yet" if checked.outcome_index is None else f"{checked.state}, leaf {checked.outcome_index}"
    rows = [
        ("effect", checked.effect), ("intent", f"leaf {checked.intent_index}"), ("outcome", outcome),
        ("log", found["origin"]), ("leaves", str(checked.size)), ("signed by", found["key"]), ("trust", found["trust"]),
    ]  # fmt: skip
    raw = f"/api/receipts/{e(checked.effect)}"
    return (
        f'{_said(own.text) if own else ""}<main><p class="verdict good">✓ {e(verdict)}</p>{facts(rows)}'
        f'<p>{e(PROVES_NOTHING)}</p><p><a class="raw" href="{raw}">The receipt itself, as JSON</a></p></main>'
    )


def why(made: Json) -> str:
    """What an answer was made of, as a page's main part: names, sizes and times, no words."""
    if not made.get("recorded"):
        return "<main><p>No record is kept of how this answer was made.</p></main>"
    model = made["model"]
    name = model.get("name") or {"classic": "the classic brain"}.get(model.get("kind", ""), model.get("kind", ""))
    milliseconds = sum(call["ms"] for call in made["calls"])
    policy = made["policy"]
    rows = [
        ("brain", name), ("asked", f"{_times(len(made['calls']))}, {milliseconds / 1000:.2f} s in all"),
        ("asked again", "; ".join(made["reasons"]) or "no need"),
        ("actions", ", ".join(made["decision"]["actions"]) or "none"),
        ("policy", f"{policy.get('verdict', '')} by {policy.get('rule', '')}" if policy else "not asked"),
        ("plugins", ", ".join(made["plugins"]) or "none"),
    ]  # fmt: skip
    memories = [(one["by"], f"{one['count']} from {one['from']}") for one in made["memories"]]
    recalled = f"<h2>What it remembered</h2>{facts(memories, plainly=True)}" if memories else ""
    return (
        f'<main>{facts(rows, plainly=True)}<h2>What it was told</h2><p class="soft">The parts of the '
        f"prompt, in order, in characters. Faint ones are new with every message.</p>"
        f"{_bars(made['prompt'])}{recalled}</main>"
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _bars(parts: list[Json]) -> str:
    """The prompt's parts with their sizes, each as a bar."""
    most = max((part["chars"] for part in parts), default=1)
    items = "".join(
        f"<li><span>{e(part['name'].replace('_', ' ').lower())}</span>"
        f'<meter class="{"stable" if part["stable"] else "fresh"}" max="{most}" value="{part["chars"]}"></meter>'
        f"<span>{part['chars']:,}</span></li>"
        for part in parts
    )
    return f'<ol class="bars">{items}</ol>'


def _forgotten(face: Face, given: Json) -> str:
    again = f'<p><a href="/chat/{e(face.slug)}">Begin anew</a></p>'
    if not given:
        return f"<main><p>Nothing was kept of you here.</p>{again}</main>"
    leaf = receipts.verify_forgotten(given)
    kept = (
        f"{given['effects']} {'reply' if given['effects'] == 1 else 'replies'}, all you said and the key it was sealed "
        f"under are destroyed. Leaf {leaf} of "
        f"{given['origin']} says so. Only this receipt shows that the leaf is about you, and it is kept nowhere else: "
        "save it if you want to be able to show it."
    )
    file = json.dumps(given, indent=1)
    verdict = f'<p class="verdict good">✓ {e(face.name)} does not know you any more</p>'
    shown = f"<details><summary>The receipt</summary><pre>{e(file)}</pre></details>"
    return f"<main>{verdict}<p>{e(kept)}</p>{shown}{again}</main>"
