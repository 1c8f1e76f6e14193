"""How pages look in HTML: their frame, who speaks on them, a conversation, and a refusal."""

import html
import uuid
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from starlette.background import BackgroundTask
from starlette.responses import Response

from teehee.wire.boot import Face
from teehee.wire.strict import Malformed

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
HUES = 6  # colours of the round initials, in chat.css
TEXT_LIMIT = 4000  # characters a person may say at once


@dataclass(frozen=True, slots=True)
class Line:
    """One thing said: by the visitor, or by the agent as the effect of this id."""

    at: int
    who: str  # you or agent
    text: str
    effect: str = ""


def e(text: str) -> str:
    """Escapes `text` for HTML content and attributes."""
    return html.escape(text, quote=True)


def page(title: str, content: str, background: BackgroundTask | None = None, status: int = 200) -> Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{e(title)}</title><link rel="stylesheet" href="/static/chat.css"></head><body>{content}</body></html>'
    )
    return Response(text, status, media_type="text/html; charset=utf-8", headers=dict(HEADERS), background=background)


def refusal(status: int, sentence: str) -> Response:
    """An error as a page, with the way back."""
    text = (
        f'<main class="alone"><h1>That did not work</h1><p>{e(sentence)}</p>'
        '<p><a href="/">Back to the conversation</a></p></main>'
    )
    return page("That did not work", text, status=status)


def form(data: bytes) -> dict[str, str]:
    """The fields of a posted form, the first value of each. Raises Malformed."""
    try:
        fields = parse_qs(data.decode(), max_num_fields=8)
    except ValueError:
        raise Malformed("the form is not UTF-8, or has too many fields") from None
    return {name: values[0] for name, values in fields.items()}


def head(face: Face, trust: str) -> str:
    """Who this is: initial, name, bio, and how far they can be trusted."""
    return (
        f'<header class="who">{initial(face)}<div><h1>{e(face.name)}</h1><p class="bio">{e(face.bio)}</p>'
        f'<p class="trust"><a href="/chat/{e(face.slug)}/verify">trust: {e(trust)}</a>'
        f"<span>brain: {e(face.brain)}</span></p></div></header>"
    )


def inner_head(face: Face, title: str, under: str = "") -> str:
    """The head of a page about something in the conversation, with the way back to it."""
    return (
        f'<header class="inner"><p><a href="/chat/{e(face.slug)}#end">‹ {e(face.name)}</a></p>'
        f"<h1>{e(title)}</h1>{f'<p>{e(under)}</p>' if under else ''}</header>"
    )


def initial(face: Face) -> str:
    letter = next((c for c in face.name if c.isalnum()), "·").upper()
    return f'<span class="initial hue-{zlib.crc32(face.name.encode()) % HUES}" aria-hidden="true">{e(letter)}</span>'


def agents(faces: list[Face]) -> str:
    """All who run here, each with the way to them."""
    items = "".join(
        f'<li><a href="/chat/{e(f.slug)}">{initial(f)}<span><b>{e(f.name)}</b><span>{e(f.bio)}</span></span></a></li>'
        for f in faces
    )
    return f'<main class="alone"><h1>Who is here</h1><ul class="agents">{items}</ul></main>'


def conversation(face: Face, trust: str, lines: list[Line], cursor: int, notice: str) -> str:
    """The whole chat page: who this is, what was said, where to say more."""
    items = "".join(line(face, said) for said in lines)
    empty = "" if items else f'<li class="hint">Say hello to {e(face.name)}.</li>'
    note = f'<p class="notice" role="status"{"" if notice else " hidden"}>{e(notice)}</p>'
    at = f"/chat/{e(face.slug)}"
    return (
        f'{head(face, trust)}<main class="chat"><ol id="talk" data-agent="{e(face.slug)}" data-after="{cursor}" '
        f'aria-live="polite">{empty}{items}</ol>'
        f'<div id="draft" class="agent" aria-hidden="true" hidden><p></p></div>{note}'
        f'<form method="post" action="{at}" id="say"><div class="box"><input type="hidden" name="id" '
        f'value="{uuid.uuid4()}"><label for="text">Message to {e(face.name)}</label><textarea id="text" name="text" '
        f'rows="1" maxlength="{TEXT_LIMIT}" placeholder="Message {e(face.name)}" required autofocus></textarea>'
        '<button>Send</button></div><p class="foot"><span>Every reply is in a signed log before you read it.</span>'
        f' <a href="{at}/forget">Forget me</a></p></form><span id="end"></span></main>'
        '<script src="/static/chat.js" defer></script>'
    )


def line(face: Face, said: Line) -> str:
    if not said.effect:
        return f'<li class="{said.who}"><p>{e(said.text)}</p></li>'
    at = f"/chat/{e(face.slug)}"
    when = datetime.fromtimestamp(said.at / 1000, UTC)
    return (
        f'<li class="{said.who}" id="{e(said.effect)}"><p>{e(said.text)}</p><p class="meta">'
        f'<time datetime="{when:%Y-%m-%dT%H:%M:%SZ}">{when:%H:%M} UTC</time>'
        f'<a class="receipt" href="{at}/receipts/{e(said.effect)}">receipt</a>'
        f'<a class="why" href="{at}/why/{e(said.effect)}">why</a></p></li>'
    )


def facts(rows: list[tuple[str, str]], *, plainly: bool = False) -> str:
    """A table of names and values; `plainly` when the values are words."""
    kind = ' class="plainly"' if plainly else ""
    table = "".join(f"<tr><th>{e(name)}</th><td><code{kind}>{e(value)}</code></td></tr>" for name, value in rows)
    return f'<table class="facts">{table}</table>'
