"""Telegram's text: lengths in UTF-16 units, what a client marks up by itself, and the three parse modes.

https://core.telegram.org/bots/api#messageentity and https://core.telegram.org/bots/api#formatting-options
"""

import html
import re
from typing import Any

Json = Any

DETECTED = re.compile(
    r"(?P<url>https?://[^\s<>\"]*[^\s<>\".,;:!?)\]]|(?<![\w@/.])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|me)\b"
    r"(?:/(?:[^\s<>\"]*[^\s<>\".,;:!?)\]])?)?)"
    r"|(?<![\w/])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)(?![\w/])"
    r"|(?<![\w`@/.])(?P<mention>@[A-Za-z0-9_]{4,32})(?!\w)"
    r"|(?<![\w&])(?P<hashtag>\#\w*[^\W\d]\w*)",
    re.ASCII | re.IGNORECASE,
)
MOST_ENTITIES = 100  # of one message; the server passes over the rest (https://limits.tginfo.me)
KINDS = {
    "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold", "italic", "underline",
    "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre", "text_link", "text_mention",
    "custom_emoji", "date_time",
}  # fmt: skip
TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
    "span": "spoiler", "code": "code", "pre": "pre", "a": "text_link", "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}  # fmt: skip
RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
NAMES = {
    "*": "Bold", "_": "Italic", "__": "Underline", "~": "Strikethrough", "||": "Spoiler", "`": "Code",
    "```": "PreCode", "[": "TextUrl",
}  # fmt: skip
MARKS = {
    "*": "bold", "_": "italic", "__": "underline", "~": "strikethrough", "||": "spoiler", "`": "code", "```": "pre",
    "[": "text_link",
}  # fmt: skip


class BadMarkup(Exception):
    """What the Bot API says of text that it cannot take."""


def units(text: str) -> int:
    """The length of `text` as Telegram counts it."""
    return len(text) + sum(character > "\uffff" for character in text)


def cut(text: str, entity: Json) -> str:
    """The part of `text` that an entity covers."""
    raw = text.encode("utf-16-le")
    return raw[2 * entity["offset"] : 2 * (entity["offset"] + entity["length"])].decode("utf-16-le", "replace")


def detected(text: str) -> list[Json]:
    """Mentions, commands, links and hashtags, as every client and the server find them."""
    if not any(sign in text for sign in "@/#."):
        return []
    return [
        {"type": match.lastgroup, "offset": units(text[: match.start()]), "length": units(match.group())}
        for match in DETECTED.finditer(text)
    ]


def composed(text: str, mode: str | None, entities: list[Json] | None) -> tuple[str, list[Json]]:
    """A bot's text as it is sent: parsed or checked, trimmed, and with what the server detects by itself.

    Raises BadMarkup. An entity that reaches outside the text is refused here, so that a wrong offset shows.
    """
    if entities:
        entities = [checked(text, entity) for entity in entities]
    elif mode:
        parsers = {"html": parsed_html, "markdownv2": parsed_markdown2, "markdown": parsed_markdown}
        if mode.lower() not in parsers:
            raise BadMarkup("unsupported parse_mode")
        text, entities = parsers[mode.lower()](text)
    text, entities = trimmed(text, entities or [])
    covered = [(entity["offset"], entity["offset"] + entity["length"]) for entity in entities]
    more = [found for found in detected(text) if not any(a <= found["offset"] < b for a, b in covered)]
    found = sorted([*entities, *more], key=lambda entity: (entity["offset"], -entity["length"]))
    return text, found[:MOST_ENTITIES]


def checked(text: str, entity: Json) -> Json:
    raw = text.encode("utf-16-le")
    begin, end = entity["offset"], entity["offset"] + entity["length"]
    if entity["type"] not in KINDS:
        raise BadMarkup(f'can\'t parse MessageEntity: Unsupported type "{entity["type"]}" specified')
    if begin < 0 or entity["length"] <= 0 or 2 * end > len(raw):
        raise BadMarkup(f"ENTITY_BOUNDS_INVALID: {entity} in a text of {units(text)} units")
    try:
        raw[2 * begin : 2 * end].decode("utf-16-le")
    except UnicodeDecodeError:
        raise BadMarkup(f"entity beginning at UTF-16 offset {begin} ends in a middle of a UTF-16 symbol") from None
    return {key: value for key, value in entity.items() if value is not None}


def trimmed(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """Without white space around; entities move along, and those that covered only white space are gone."""
    left = units(text) - units(text.lstrip())
    inner = text.strip()
    size, kept = units(inner), []
    for entity in entities:
        begin = max(entity["offset"] - left, 0)
        end = min(entity["offset"] - left + entity["length"], size)
        if end > begin:
            kept.append({**entity, "offset": begin, "length": end - begin})
    return inner, kept


def parsed_html(source: str) -> tuple[str, list[Json]]:
    """https://core.telegram.org/bots/api#html-style"""
    out, open_tags, found = "", list[tuple[str, int, Json]](), list[Json]()
    at = 0
    for match in re.finditer(r"<(/?)([^<>]*)>|<", source):
        out += html.unescape(source[at : match.start()])
        at = match.end()
        where = len(source[: match.start()].encode())
        closing, inner = bool(match.group(1)), match.group(2) or ""
        tag, _, attributes = inner.partition(" ")
        tag = tag.lower()
        if not closing:
            if tag not in TAGS:
                raise BadMarkup(f'can\'t parse entities: Unsupported start tag "{tag}" at byte offset {where}')
            open_tags.append((tag, units(out), html_extra(tag, attributes, where)))
            continue
        if not open_tags:
            raise BadMarkup(f"can't parse entities: Unexpected end tag at byte offset {where}")
        name, begin, extra = open_tags.pop()
        if tag not in ("", name):
            said = f'Unmatched end tag at byte offset {where}, expected "</{name}>", found "</{tag}>"'
            raise BadMarkup(f"can't parse entities: {said}")
        if units(out) > begin and not (name == "a" and "url" not in extra):
            found.append({"type": TAGS[name], "offset": begin, "length": units(out) - begin, **extra})
    if open_tags:
        raise BadMarkup(f"can't parse entities: Can't find end tag corresponding to start tag \"{open_tags[-1][0]}\"")
    return out + html.unescape(source[at:]), joined_pre(found)


def html_extra(tag: str, attributes: str, where: int) -> Json:
    given = {
        m[1].lower(): html.unescape(m[2].strip("\"'"))
        for m in re.finditer(r"([\w-]+)=(\"[^\"]*\"|'[^']*'|\S+)", attributes)
    }
    if tag == "a" and "href" in given:
        return {"url": given["href"]}
    if tag == "code" and given.get("class", "").startswith("language-"):
        return {"language": given["class"].removeprefix("language-")}
    if tag == "blockquote" and "expandable" in attributes:
        return {"type": "expandable_blockquote"}
    if tag == "span" and given.get("class") != "tg-spoiler":
        raise BadMarkup(f'can\'t parse entities: Tag "span" must have class "tg-spoiler" at byte offset {where}')
    if tag == "tg-emoji":
        return {"custom_emoji_id": given.get("emoji-id", "")}
    return {}


def joined_pre(found: list[Json]) -> list[Json]:
    """<pre><code class="language-x"> is one entity; a code's language means nothing elsewhere."""
    pre = {(entity["offset"], entity["length"]): entity for entity in found if entity["type"] == "pre"}
    kept = []
    for entity in found:
        outer = pre.get((entity["offset"], entity["length"])) if entity["type"] == "code" else None
        language = entity.pop("language", None) if entity["type"] == "code" else None
        if outer is None:
            kept.append(entity)
        elif language:
            outer["language"] = language
    return kept


def parsed_markdown2(source: str) -> tuple[str, list[Json]]:
    """https://core.telegram.org/bots/api#markdownv2-style"""
    return Markdown(source, strict=True).parsed()


def parsed_markdown(source: str) -> tuple[str, list[Json]]:
    """https://core.telegram.org/bots/api#markdown-style"""
    return Markdown(source, strict=False).parsed()


class Markdown:
    """One pass over a text in MarkdownV2 (`strict`: what is reserved must be escaped) or in legacy Markdown."""

    def __init__(self, source: str, *, strict: bool) -> None:
        self.source, self.strict, self.at = source, strict, 0
        self.out = ""
        self.open: list[tuple[str, int, int]] = []  # mark, offset in units, byte offset in the source
        self.found: list[Json] = []

    def parsed(self) -> tuple[str, list[Json]]:
        while self.at < len(self.source):
            self._step()
        self._end_quote()
        if self.open:
            mark, _, where = self.open[-1]
            if self.strict:
                raise BadMarkup(f"can't parse entities: Can't find end of {NAMES[mark]} entity at byte offset {where}")
            raise BadMarkup(f"can't parse entities: Can't find end of the entity starting at byte offset {where}")
        return self.out, sorted(self.found, key=lambda entity: (entity["offset"], -entity["length"]))

    def _step(self) -> None:
        here, rest = self.source[self.at], self.source[self.at : self.at + 3]
        code = self.open[-1][0] if self.open and self.open[-1][0] in ("`", "```") else ""
        escapable = RESERVED | {"\\"} if self.strict else frozenset("_*`[")
        if here == "\\" and rest[1:2] and rest[1] in escapable:
            self.out, self.at = self.out + rest[1], self.at + 2
        elif code:
            if rest.startswith(code):
                self._close(code)
            else:
                self._plain(here)
        elif self.strict and here == ">" and (not self.out or self.out.endswith("\n")):
            if not any(mark == ">" for mark, _, _ in self.open):
                self._begin(">")
            else:
                self.at += 1
        elif here == "\n":
            self._plain(here)
            if not self.source.startswith(">", self.at):
                self._end_quote()
        elif mark := next((m for m in ("```", "__", "||", "`", "*", "_", "~", "[") if self._is(m, rest)), ""):
            if mark != "[" and any(mark == opened for opened, _, _ in self.open):
                self._close(mark)
            else:
                self._begin(mark)
        elif here == "]" and any(mark == "[" for mark, _, _ in self.open):
            self._link()
        elif self.strict and here in RESERVED:
            raise BadMarkup(
                f"can't parse entities: Character '{here}' is reserved and must be escaped with the preceding '\\'"
            )
        else:
            self._plain(here)

    def _is(self, mark: str, rest: str) -> bool:
        return rest.startswith(mark) and (self.strict or mark in ("```", "`", "*", "_", "["))

    def _plain(self, here: str) -> None:
        self.out, self.at = self.out + here, self.at + 1

    def _begin(self, mark: str) -> None:
        self.open.append((mark, units(self.out), len(self.source[: self.at].encode())))
        self.at += len(mark)

    def _close(self, mark: str, **extra: str) -> None:
        opened, begin, where = self.open.pop()
        if opened != mark:
            raise BadMarkup(f"can't parse entities: Can't find end of {NAMES[opened]} entity at byte offset {where}")
        self.at += len(mark)
        if mark == "```" and (named := re.match(r"(\w+)\n", self.out[len(self.out) - self._length(begin) :])):
            keep = len(self.out) - self._length(begin)
            self.out = self.out[:keep] + self.out[keep + named.end() :]
            extra["language"] = named[1]
        if length := units(self.out) - begin:
            self.found.append({"type": MARKS[mark], "offset": begin, "length": length, **extra})

    def _length(self, begin: int) -> int:
        """Characters of `out` from the offset `begin` (in units) on."""
        return len(self.out.encode("utf-16-le")[2 * begin :].decode("utf-16-le"))

    def _link(self) -> None:
        target = re.compile(r"\]\(((?:\\.|[^()\\])*)\)").match(self.source, self.at)
        if target is None:
            raise BadMarkup(f"can't parse entities: Can't find end of a URL at byte offset {self.at}")
        self._close("[", url=re.sub(r"\\(.)", r"\1", target[1]))
        self.at = target.end()

    def _end_quote(self) -> None:
        if self.open and self.open[-1][0] == ">":
            _, begin, _ = self.open.pop()
            length = units(self.out.removesuffix("\n")) - begin
            self.found.append({"type": "blockquote", "offset": begin, "length": length})
