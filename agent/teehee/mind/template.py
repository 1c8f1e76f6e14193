"""Character templates, filled in as Eliza fills them: a template reads the values it is given and does nothing else.

Where this differs on purpose (tests/vectors/templates/deviations.json has both answers, each with its reason):
- Objects print as compact JSON; numbers print their digits and are never added up; objects loop in the order given;
  `.length` counts characters; NUL is a character; nothing is looked up in 0, `false` or a prototype.
- Eliza makes `{{x}}` into `{{{x}}}`, which breaks `{{^x}}`, `{{&x}}`, `{{~x~}}`, `{{else if x}}`, `{{x}}}` and comments
  holding a tag; here they mean what they mean in Handlebars. `{{list.0}}` is `{{list.[0]}}`, `(x)` the value of x.
- Unknown helpers, known ones misused, partials, decorators and raw blocks print nothing where Eliza throws or prints.
- Block parameters bind in `each`, `with` and sections over lists, and never hide `@index`; `with` counts in `@../`.
- What does not parse, or is past a bound below, is filled in as v0.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeAlias

Json = Any

TEMPLATE_LENGTH = 200_000  # characters
TAG_LENGTH = 500
NESTING = 64  # blocks in blocks, lists in lists
STEPS = 100_000  # texts, tags and rounds of a loop; the output ends where they are used up
OUTPUT_LENGTH = 1_000_000  # characters; the output is cut there

BLOCKS = ("if", "unless", "each", "with")
HELPERS = (*BLOCKS, "lookup", "log", "helperMissing", "blockHelperMissing")
VALUES = ("", "{", "&", "*")  # signs of the tags that never take their line with them
PLAIN = re.compile(r"\{\{(\w+)\}\}", re.ASCII)
NAMED = re.compile(r"\{\{(?:name|user)(10|[1-9])\}\}")
INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
TAG = re.compile(r"""(?xs)\{\{(?P<before>~?)(?P<sign>\{\{\s*+([^\s{}]++)[^{}]*+\}\}\}\}.*?\{\{\{\{/\3\}\}(?=\}\})
        | !(?=--).*?--(?=~?\}\}) | !(?!--).*?(?=~?\}\}) | >.*?(?=~?\}\})
        | \#> | \#\* | [\#/^&*] | (?P<triple>\{) | \s*+else(?=\s|~?\}\}) | (?![!>\#/^&*{]))
    (?P<inner>(?:[^"'\[{}~]++ | "(?:\\"|[^"])*" | '(?:\\'|[^'])*' | \[(?:\\\]|[^\]])*\])*+)
    (?(triple)\})(?P<after>~?)\}\}""")
ESCAPED = re.compile(r"(?s)\A\{\{(?![{#/!>]|\s*+else\s*+\}\})(.*?)\}\}")
BLANK, LINE_END, LINE_REST = re.compile(r"\s*+"), re.compile(r"[^\S\n]*+(?:\n|\Z)"), re.compile(r"[ \t]*+\r?\n?")
KEY = re.compile(r"""(?!this(?:[\s)./]|\Z))[^\s!"\#%-,./;->@\[-\^`{-~]++|\[(?:\\\]|[^\]])*\]""")
WORD = re.compile(rf"""(?x)as\s++\|(?P<names>[^|]*+)\| | (?:(?P<option>[^\s="'()|]++)\s*+=\s*+)?(?:(?P<bracket>\()
    | (?P<text>"(?:\\"|[^"])*"|'(?:\\'|[^'])*')
    | (?P<literal>(?:true|false|undefined|null|-?[0-9]++(?:\.[0-9]++)?)(?=[\s)]|\Z))
    | (?P<path>(?=[^\s)])(?P<data>@?)(?P<above>(?:(?:\.\.?|this)(?:[./]|(?=[\s)]|\Z)))*+)
        (?P<keys>(?:{KEY.pattern})(?:[./](?:{KEY.pattern}))*)?)(?=[\s)]|\Z)) | (?P<other>\S)""")
COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=lambda _: None)


@dataclass(frozen=True, slots=True)
class Tag:
    """A value: keys, read `up` levels above, in a context (`.`), a loop (`@`) or either; or a helper and what it gets."""

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
    """`template` with `values` in it as elizaOS 1.7 (`v1`: Handlebars, unescaped) or 0.25 (`v0`: `{{key}}`) prints it.

    Always gives a text, and never renders a value again.
    """
    kept, room = [], OUTPUT_LENGTH
    for piece in islice(_pieces(_parse(template, era), [{"": values, "@root": values}]), STEPS):
        kept.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return "".join(kept)


def mentioned(template: str) -> frozenset[str]:
    """The first keys of all that `template` asks for in either era, inside blocks too."""
    nodes: list[Node] = [*_parse(template, "v0"), *_parse(template, "v1")]
    found: set[str] = set()
    for node in nodes:  # which grows meanwhile
        if isinstance(node, Tag):
            found.update(() if node.helper else node.keys[1:2] if node.keys[:1] == ("@root",) else node.keys[:1])
            found.update(param for param in node.params if isinstance(param, str))  # as in `lookup this "bio"`
            nodes += [*node.params, *node.body, *node.other]
    return frozenset(found)


def with_names(text: str, names: Sequence[str]) -> str:
    """`text` with `{{name3}}` and `{{user3}}` as the third of `names`, up to ten; a number nobody has stays."""
    return NAMED.sub(lambda found: names[int(found[1]) - 1] if int(found[1]) <= len(names) else found[0], text)


def _parse(template: str, era: str) -> list[Node]:
    top = Tag("", ())
    if era != "v0" and len(template) <= TEMPLATE_LENGTH:
        with suppress(ValueError):
            if _fill(top, _tokens(template)) is None:
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
        begins = "\n" in line[len(line.rstrip()) :] or not (at or line.strip())
        at = kept = unread = found.end()
        alone = found["sign"] not in VALUES and begins and LINE_END.match(template, at)
        yield text.rstrip() if found["before"] else text.rstrip(" \t") if alone else text.removesuffix("\\")
        yield found
        if (found["after"] or alone) and (taken := (BLANK if found["after"] else LINE_REST).match(template, at)):
            kept = taken.end()
    yield ESCAPED.sub(r"{{{\1}}}", template[kept:])


def _fill(block: Tag, tokens: Iterator[str | re.Match[str]], depth: int = 0) -> Tag | None:
    """Takes what belongs into `block` from `tokens`, and gives the tag that closes it."""
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
            tag = _tag(WORD.finditer(inner), sign)
            if sign == "/":
                return tag
            into += [] if sign in ("*", "#*", "#>") else [tag]
            if is_else:
                return _fill(tag, tokens, depth + 1)
            if sign[:1] in ("#", "^") and (_fill(tag, tokens, depth + 1) or block).written != tag.written:
                raise ValueError(f"{tag.written!r} is not closed")
    return None


def _tag(words: Iterator[re.Match[str]], sign: str) -> Tag:
    """The tag that the words make up to their end, or as a subexpression, sign `(`, up to the closing bracket."""
    given: list[Node] = []
    options: dict[str, Node] = {}
    names: Sequence[str] = ()
    end = None
    for word in words:
        if end := word["other"]:
            break
        if word["names"]:
            names = word["names"].split()[:2]
        elif word["option"]:
            options[word["option"]] = _node(word, words)
        else:
            given.append(_node(word, words))
    if not given or end != (")" if sign == "(" else None) or (isinstance(given[0], Tag) and given[0].sign):
        raise ValueError(f"unexpected {end!r}")
    head, *params = given
    if not isinstance(head, Tag):
        text = head if isinstance(head, str) else COMPACT.encode(head)
        head = Tag(text, (text,))
    is_helper = params or options or (head.root == "" and head.keys[0] in HELPERS and len(head.keys) == 1)
    helper, zero = next(iter(head.keys), "this") if is_helper else "", options.get("includeZero")
    return replace(head, sign=sign, helper=helper, params=params, zero=zero, names=names)


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
                yield from _pieces(("", *body), inner)
            if inner is None:
                yield from _pieces(other, levels)


def _rounds(tag: Tag, levels: Levels) -> Iterator[Levels]:
    """What is seen each time that a block shows its body; where there is no time, it shows its other branch."""
    value = _value(tag.params[0] if tag.helper else tag, levels)
    if tag.helper in ("if", "unless"):
        if _holds(value, zero=_holds(_value(tag.zero, levels))) == (tag.helper == "if"):
            yield levels
    elif tag.helper == "with" and _holds(value, zero=True):
        yield _inside(levels, value, dict(zip(tag.names, (value,), strict=False)))
    elif isinstance(value, list | tuple) or (tag.helper == "each" and isinstance(value, Mapping)):
        for index, (key, item) in enumerate(value.items() if isinstance(value, Mapping) else enumerate(value)):
            loop = {"@key": key, "@index": index, "@first": index == 0, "@last": index == len(value) - 1}
            yield _inside(levels, item, loop | dict(zip(tag.names, (item, key), strict=False)))
    elif not tag.helper and value is not None and value is not False:
        yield levels if value is True else _inside(levels, value, {})


def _inside(levels: Levels, context: Json, seen: Mapping[str, Json]) -> Levels:
    above = levels[0][""]
    is_same = context is above or (isinstance(context, str | int | float) and context == above)
    return [
        {**levels[0], **seen, "": context},
        *levels[is_same:],
    ]  # for `../`, a block that changes nothing is no level


def _value(node: Node, levels: Levels) -> Json:
    if not isinstance(node, Tag):
        return node
    keys: Iterable[str] = node.keys
    if node.helper == "lookup" and len(node.params) == 2:
        value, key = (_value(param, levels) for param in node.params)
        keys = [] if isinstance(key, Mapping) else islice(_texts(key), 1)
    elif node.helper:
        return None
    else:
        level = levels[node.up] if node.up < len(levels) else {}
        value = level if node.root == "@" or (node.root == "" and node.keys[0] in level) else level.get("")
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif not isinstance(value, list | tuple | str):
            return None
        elif key == "length":
            value = len(value)
        else:
            value = value[int(key)] if INDEX.fullmatch(key) and int(key) < len(value) else None
    return value


def _holds(value: Json, zero: bool = False) -> bool:
    """Whether `if` takes `value` for true: as JavaScript does, but not an empty list, and 0 if so said."""
    return zero if value == 0 and value is not False else bool(value) or isinstance(value, Mapping)


def _texts(value: Json, depth: int = 0) -> Iterator[str]:
    """`value` as JavaScript joins it into a text, but objects as JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value if depth < NESTING else ()):
            yield "," if index else ""
            yield from _texts(item, depth + 1)
    elif value is not None:
        whole = isinstance(value, float) and value.is_integer()
        with suppress(ValueError, RecursionError):
            yield "".join(islice(COMPACT.iterencode(int(value) if whole else value), STEPS))
