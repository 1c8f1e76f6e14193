"""Character templates, filled in as Eliza fills them: a template reads the values it is given and does nothing else.

Where this differs on purpose (tests/vectors/templates/deviations.json has both answers, each with its reason):
- Objects print as compact JSON; numbers are never added up, and print as Python has them if huge or tiny; objects loop
  in the order given; `.length` counts characters; NUL is one; nothing is looked up in 0, `false` or a prototype.
- Eliza makes `{{x}}` into `{{{x}}}`, which breaks `{{^x}}`, `{{&x}}`, `{{~x~}}`, `{{else if x}}`, `{{x}}}` and comments
  holding a tag; here they mean what they mean in Handlebars. `{{list.0}}` is `{{list.[0]}}`, `(x)` the value of x.
- Unknown helpers, known ones misused, partials, decorators and raw blocks print nothing where Eliza throws or prints.
- Block parameters bind in `each`, `with` and sections over lists, never hide `@index`; `@../` leaves what `../` leaves.
- What does not parse, or is past a bound below, is filled in as v0.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

Json = Any

TEMPLATE_LENGTH = 100_000  # characters
TAG_LENGTH = 500
NESTING = 64  # blocks in blocks, lists in lists
STEPS = 50_000  # texts, tags and rounds of a loop; the output ends where they are used up
OUTPUT_LENGTH = 1_000_000  # characters; the output is cut there

BLOCKS = ("if", "unless", "each", "with")
HELPERS = (*BLOCKS, "lookup", "log", "helperMissing", "blockHelperMissing")
VALUES = ("", "{", "&", "*")  # signs of the tags that never take their line with them
PLAIN = re.compile(r"\{\{(\w+)\}\}", re.ASCII)
NAMED = re.compile(r"\{\{(?:name|user)(10|[1-9])\}\}")
INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
TAG = re.compile(r"""(?xs)\{\{(?P<before>~?)(?P<sign>\{\{\s*+([^\s{}]++)[^{}]*+\}\}\}\}.*?\{\{\{\{/\3\}\}(?=\}\})
    | !(?=--).*?--(?=~?\}\}) | !(?!--).*?(?=~?\}\}) | >.*?(?=~?\}\}) | \#[>*]? | [/^&*] | (?P<triple>\{)
    | \s*+else(?=\s|~?\}\}) | (?![!>\#/^&*{]))
    (?P<inner>(?:[^"'\[{}~]++ | "(?:\\"|[^"])*" | '(?:\\'|[^'])*' | \[(?:\\\]|[^\]])*\])*+)
    (?(triple)\})(?P<after>~?)\}\}""")
ESCAPED = re.compile(r"(?s)\A\{\{(?![{#/!>]|\s*+else\s*+\}\})(.*?)\}\}")  # it too gets Eliza's third brace
BLANK, LINE_END, LINE_REST = re.compile(r"\s*+"), re.compile(r"[^\S\n]*+(?:\n|\Z)"), re.compile(r"[ \t]*+\r?\n?")
KEY = re.compile(r"""(?!this(?:[\s)./]|\Z))[^\s!"\#%-,./;->@\[-\^`{-~]++|\[(?:\\\]|[^\]])*\]""")
WORD = re.compile(rf"""(?x)(?:(?P<option>[^\s="'()|]++)\s*+=\s*+)?(?:(?P<bracket>\()
    | (?P<text>"(?:\\"|[^"])*"|'(?:\\'|[^'])*') | (?P<literal>(?:true|false|undefined|null|-?\d+(?:\.\d+)?)(?=[\s)]|\Z))
    | (?P<path>(?=[^\s)])(?P<data>@?)(?P<above>(?:(?:\.\.?|this)(?:[./]|(?=[\s)]|\Z)))*+)
        (?P<keys>(?:{KEY.pattern})(?:[./](?:{KEY.pattern}))*)?)(?=[\s)]|\Z)) | (?P<other>\S)""")
COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=dict)


@dataclass(frozen=True, slots=True)
class Tag:
    """A value: keys, read `up` levels above, in a context (`.`), loop (`@`) or either; or a helper and what it gets."""

    written: str
    keys: tuple[str, ...]
    root: str = "."
    up: int = 0
    sign: str = ""
    helper: str = ""
    params: Sequence["Node"] = ()
    zero: "Node" = None
    names: Sequence[str] = ()
    body: list["Node"] = field(default_factory=list)
    other: list["Node"] = field(default_factory=list)


Node: TypeAlias = Tag | str | float | None
Levels: TypeAlias = Sequence[Mapping[str, Json]]  # innermost first; each holds a context as "", `@index`, names of `as`


def render(template: str, values: Mapping[str, Json], era: str = "v1") -> str:
    """`template` with `values`, as elizaOS 1.7 (`v1`: Handlebars) or 0.25 (`v0`: `{{key}}`) prints it; never raises."""
    kept, room = [], OUTPUT_LENGTH
    for piece in islice(_pieces(_parse(template, era), [{"": values, "@root": values}]), STEPS):
        kept.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return "".join(kept)


def mentioned(template: str, era: str = "v1") -> frozenset[str]:
    """The first keys of all that `template` asks for, inside blocks too; never raises."""
    nodes: list[Node] = [*_parse(template, era)]
    found: set[str] = set()
    for node in nodes:  # which grows meanwhile
        if isinstance(node, Tag):
            found.update(() if node.helper else node.keys[1:2] if node.root == "@" else node.keys[:1])
            found.update(param for param in node.params if isinstance(param, str))  # as in `lookup this "bio"`
            nodes += [*node.params, *node.body, *node.other]
    return frozenset(found)


def with_names(text: str, names: Sequence[str]) -> str:
    """`text` with `{{name3}}` and `{{user3}}` as the third of `names`, up to ten; a number nobody has stays."""
    return NAMED.sub(lambda found: names[int(found[1]) - 1] if int(found[1]) <= len(names) else found[0], text)


@lru_cache(maxsize=128)  # a character's template is filled in at every turn
def _parse(template: str, era: str) -> Sequence[Node]:
    if era != "v0" and len(template) <= TEMPLATE_LENGTH:
        with suppress(ValueError, RecursionError):
            if _fill(top := Tag("", ()), _tokens(template)) is None:
                return top.body
    return [Tag(text, (text,)) if at % 2 else text for at, text in enumerate(PLAIN.split(template))]


def _tokens(template: str) -> Iterator[str | re.Match[str]]:
    """Texts and tags, without the lines of tags that stand alone and without the space that `~` takes."""
    at = kept = unread = 0
    while (start := template.find("{{", unread)) >= 0:
        text, line = ESCAPED.sub(r"{{{\1}}}", template[kept:start]), template[at:start]
        if text.endswith("\\") and not text.endswith("\\\\"):
            yield text[:-1]
            at, kept, unread = start, start, start + 2
            continue
        if not (found := TAG.match(template, start)):
            raise ValueError(f"no tag at {start}")
        text, begins = text.removesuffix("\\"), "\n" in line[len(line.rstrip()) :] or not (at or line.strip())
        at = kept = unread = found.end()
        alone = found["sign"] not in VALUES and begins and LINE_END.match(template, at)
        yield text.rstrip() if found["before"] else text.rstrip(" \t") if alone else text
        yield found
        if (found["after"] or alone) and (taken := (BLANK if found["after"] else LINE_REST).match(template, at)):
            kept = taken.end()
    yield ESCAPED.sub(r"{{{\1}}}", template[kept:])


def _fill(block: Tag, tokens: Iterator[str | re.Match[str]], depth: int = 0) -> str | None:
    """Takes what belongs into `block` from `tokens`, and gives the name in the tag that closes it."""
    into = block.body
    for token in tokens:
        if isinstance(token, str):
            into.append(token)
        elif not token["sign"].startswith(("!", ">", "{{")):
            sign, inner = token["sign"].strip(), token["inner"].strip()
            is_else = sign == "else" or (sign == "^" and not inner)
            if len(inner) > TAG_LENGTH or depth > NESTING or (is_else and (into is block.other or not depth)):
                raise ValueError(f"no place for {token[0]!r}")
            into = block.other if is_else else into
            if is_else and not inner:
                continue
            if sign == "/":
                return inner
            inner, _, names = inner.partition(" as |")
            tag = _tag(WORD.finditer(inner), sign, names.rstrip("|").split()[:2])
            into += [] if sign in ("*", "#*", "#>") else [*[""] * (len(inner) // 16), tag]  # a long tag is many steps
            if is_else:
                return _fill(tag, tokens, depth + 1)
            if sign[:1] in ("#", "^") and _fill(tag, tokens, depth + 1) != tag.written:
                raise ValueError(f"{tag.written!r} is not closed")
    return None


def _tag(words: Iterator[re.Match[str]], sign: str, names: Sequence[str] = ()) -> Tag:
    """The tag that the words make up to their end, or as a subexpression, sign `(`, up to the closing bracket."""
    given: list[tuple[str, Node]] = []
    end = None
    for word in words:
        if end := word["other"]:
            break
        given.append((word["option"], _node(word, words)))
    head, *params = (node for option, node in given if not option)
    if end != (")" if sign == "(" else None) or (isinstance(head, Tag) and head.sign):
        raise ValueError(f"unexpected {end!r}")
    if not isinstance(head, Tag):
        head = Tag(text := COMPACT.encode(head), (head if isinstance(head, str) else text,))
    is_helper = given[1:] or (head.root == "" and head.keys[0] in HELPERS and len(head.keys) == 1)
    helper, zero = next(iter(head.keys), "this") if is_helper else "", dict(given).get("includeZero")
    return Tag(head.written, head.keys, head.root, head.up, sign, helper, params, zero, names)


def _node(word: re.Match[str], words: Iterator[re.Match[str]]) -> Node:
    if word["bracket"]:
        return _tag(words, "(")
    if text := word["text"]:
        return text[1:-1].replace("\\" + text[0], text[0])
    if literal := word["literal"]:
        return None if literal == "undefined" else json.loads(literal)
    keys = [key[1:-1].replace("\\]", "]") if key[0] == "[" else key for key in KEY.findall(word["keys"] or "")]
    root = "." if not keys or (word["above"] and not word["data"]) else word["data"]
    return Tag(word["path"], (word["data"] + keys[0], *keys[1:]) if keys else (), root, word["above"].count(".."))


def _pieces(nodes: Iterable[Node], levels: Levels) -> Iterator[str]:
    """The text in small pieces; every tag and every round gives at least one, so that whoever counts them can stop."""
    for node in nodes:
        yield node if isinstance(node, str) else ""
        if isinstance(node, Tag):
            if node.sign in VALUES or (node.helper and (node.helper not in BLOCKS or len(node.params) != 1)):
                yield from _texts(_value(node, levels))
                continue
            body, other = (node.body, node.other) if node.sign != "^" else (node.other, node.body)
            inner = None
            for inner in _rounds(node, levels):
                yield ""
                yield from _pieces(body, inner)
            if inner is None:
                yield from _pieces(other, levels)


def _rounds(tag: Tag, levels: Levels) -> Iterator[Levels]:
    """What is seen each time that a block shows its body; where there is no time, it shows its other branch."""
    value = _value(tag.params[0] if tag.helper else tag, levels)
    zero = tag.helper == "with" or bool(_value(tag.zero, levels))
    holds = zero if value == 0 and value is not False else bool(value) or isinstance(value, Mapping)
    if tag.helper in ("if", "unless"):
        yield from [levels] * (holds == (tag.helper == "if"))
    elif tag.helper == "with" and holds:
        yield [{**levels[0], **dict.fromkeys(tag.names[:1], value), "": value}, *levels]
    elif isinstance(value, list | tuple) or (tag.helper == "each" and isinstance(value, Mapping)):
        for index, (key, item) in enumerate(value.items() if isinstance(value, Mapping) else enumerate(value)):
            loop = {"": item, "@key": key, "@index": index, "@first": not index, "@last": index == len(value) - 1}
            yield [{**levels[0], **dict(zip(tag.names, (item, key), strict=False)), **loop}, *levels]
    elif not tag.helper and value is not None and value is not False:
        yield levels if value is True else [{**levels[0], "": value}, *levels]


def _value(node: Node, levels: Levels) -> Json:
    if not isinstance(node, Tag):
        return node
    keys: Sequence[str] = node.keys
    if node.helper == "lookup" and len(node.params) == 2:
        value, key = (_value(param, levels) for param in node.params)
        keys = [next(_texts("" if isinstance(key, Mapping) else key), "")]
    elif node.helper:
        return None
    else:
        level = levels[node.up] if node.up < len(levels) else {}
        value = level if node.root == "@" or (node.root == "" and node.keys[0] in level) else level.get("")
    for key in keys:
        if isinstance(value, list | tuple | str) and (key == "length" or INDEX.fullmatch(key)):
            value = len(value) if key == "length" else value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _texts(value: Json, depth: int = 0) -> Iterator[str]:
    """`value` as JavaScript joins it into a text, but objects as JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value if depth < NESTING else ()):
            yield "," if index else ""
            yield from _texts(item, depth + 1)
    elif value is not None:
        try:
            yield COMPACT.encode(value).removesuffix(".0")
        except (TypeError, ValueError, RecursionError):
            yield from [""] * (STEPS // 100)  # it may have taken long to find out
