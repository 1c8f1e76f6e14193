"""What is attached to a message: which file to ask for, and the line a model reads in its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

from teehee_telegram.fields import Held, Json, Odd, inner, items, label, maybe_whole, needed, token

MOST_BYTES = 20 * 1000 * 1000  # what getFile gives out
MOST_SIZES, MOST_PAID = 32, 10
BRACKETS = str.maketrans("[]", "()")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One thing attached; `file_id` is "" where there is no file. Sizes are in bytes, 0 when not told."""

    kind: str
    file_id: str = ""
    file_unique_id: str = ""
    name: str = ""
    mime: str = ""
    size: int = 0
    seconds: int = 0
    detail: str = ""  # a question, a title, an emoji, a place: what it shows without its file


def attachments(message: Held) -> tuple[Attachment, ...]:
    """All that is attached to `message`. Raises Odd."""
    found = [read(held) for kind, read in READERS.items() if (held := inner(message, kind)) is not None]
    if sizes := items(message, "photo", MOST_SIZES):
        found.insert(0, _photo(sizes))
    kinds = {item.kind for item in found}
    hidden = {shadow for kind, shadow in SHADOWS.items() if kind in kinds}
    return (*(item for item in found if item.kind not in hidden), *_paid(message))


def line(item: Attachment) -> str:
    """What a model reads in the place of the attachment."""
    words = WORDS.get(item.kind, item.kind)
    told = [item.name.translate(BRACKETS)] if item.name else []
    if item.detail and item.kind not in QUIET:
        told.append(item.detail.translate(BRACKETS))
    text = words
    if told:
        text += (": " if item.kind in TITLED else " ") + ", ".join(told)
    if item.seconds:
        text += f", {item.seconds} s"
    if item.size and item.kind == "document":
        text += f", {_shown(item.size)}"
    return f"[{text}]"


def _file(kind: str, detail: str = "") -> Callable[[Held], Attachment]:
    def read(held: Held) -> Attachment:
        return Attachment(
            kind,
            token(held, "file_id"),
            token(held, "file_unique_id"),
            label(held, "file_name"),
            label(held, "mime_type"),
            maybe_whole(held, "file_size") or 0,
            maybe_whole(held, "duration") or 0,
            label(held, detail) if detail else "",
        )

    return read


def _titled(kind: str, field: str = "title", most: int = 300) -> Callable[[Held], Attachment]:
    return lambda held: Attachment(kind, detail=label(held, field, most))


def _audio(held: Held) -> Attachment:
    played = " - ".join(filter(None, (label(held, "performer"), label(held, "title"))))
    return replace(_file("audio")(held), detail=played)


def _contact(held: Held) -> Attachment:
    # The number stays with Telegram: it is a third person's, who never wrote to the agent.
    names = (label(held, "first_name"), label(held, "last_name"))
    return Attachment("contact", detail=" ".join(filter(None, names)))


def _location(held: Held) -> Attachment:
    values: list[Json] = [held.get("latitude"), held.get("longitude")]
    if not all(type(value) in (int, float) and abs(value) <= 180 for value in values):
        raise Odd("malformed location")
    return Attachment("location", detail=", ".join(f"{value:.6g}" for value in values))


def _venue(held: Held) -> Attachment:
    _location(needed(held, "location"))
    return Attachment("venue", detail=", ".join(filter(None, (label(held, "title"), label(held, "address", 256)))))


def _dice(held: Held) -> Attachment:
    return Attachment("dice", detail=f"{label(held, 'emoji', 8)} {maybe_whole(held, 'value') or 0}".strip())


def _photo(sizes: list[Held]) -> Attachment:
    """The largest size that can be fetched; the smallest one when none can."""
    read = [
        ((maybe_whole(size, "width") or 0) * (maybe_whole(size, "height") or 0), _file("photo")(size)) for size in sizes
    ]
    fitting = [pair for pair in read if pair[1].size <= MOST_BYTES]
    return max(fitting, key=itemgetter(0))[1] if fitting else min(read, key=itemgetter(0))[1]


def _paid(message: Held) -> tuple[Attachment, ...]:
    info = inner(message, "paid_media")
    return tuple(Attachment("paid_media") for _ in items(info, "paid_media", MOST_PAID)) if info else ()


def _shown(size: int) -> str:
    """A size as people write it."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


READERS: Mapping[str, Callable[[Held], Attachment]] = {
    "voice": _file("voice"),
    "audio": _audio,
    "video": _file("video"),
    "video_note": _file("video_note"),
    "animation": _file("animation"),
    "live_photo": _file("live_photo"),
    "document": _file("document"),
    "sticker": _file("sticker", "emoji"),
    "contact": _contact,
    "venue": _venue,
    "location": _location,
    "poll": _titled("poll", "question"),
    "dice": _dice,
    "game": _titled("game"),
    "invoice": _titled("invoice"),
    "checklist": _titled("checklist"),
    "story": lambda _: Attachment("story"),
    "giveaway": lambda _: Attachment("giveaway"),
}
# A newer kind comes with the older one it stands for, so that old bots see something.
SHADOWS = {"animation": "document", "live_photo": "photo", "venue": "location"}
WORDS = {
    "voice": "voice message",
    "video_note": "video message",
    "live_photo": "live photo",
    "venue": "location",
    "paid_media": "paid media",
}
TITLED = {"contact", "venue", "poll", "dice", "game", "invoice", "checklist"}
QUIET = {"location"}
