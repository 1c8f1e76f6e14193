"""Character templates, filled in as Eliza fills them: a template reads the values it is given and does nothing else.

Where this differs on purpose (tests/vectors/templates/deviations.json has both answers, each with its reason):
- Objects print as compact JSON; numbers print their digits and are never added up; objects loop in the order given;
  `.length` counts characters; NUL is a character; prototypes do not exist.
- Eliza makes `{{x}}` into `{{{x}}}`, which breaks `{{^x}}`, `{{&x}}`, `{{~x~}}`, `{{else if x}}`, `{{x}}}` and comments
  holding a tag; here they mean what they mean in Handlebars. `{{list.0}}` is `{{list.[0]}}`.
- Unknown helpers, known ones misused, partials, decorators and raw blocks print nothing where Eliza throws or prints.
  `(x)` is the value of x. Block parameters bind in `each`, `with` and sections over lists, and never hide `@index`.
- What does not parse, or is past a bound below, is filled in as v0.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile, islice
from typing import Any, TypeAlias

Json = Any

TEMPLATE_LENGTH = 200_000  # characters
TAG_LENGTH = 500
NESTING = 64  # blocks in blocks, lists in lists
STEPS = 100_000  # texts, tags and rounds of a loop; the output ends where they are used up
OUTPUT_LENGTH = 1_000_000  # characters; the output is cut there

HELPERS = frozenset({"if", "unless", "each", "with", "lookup", "log", "helperMissing", "blockHelperMissing"})
BLOCKS = ("if", "unless", "each", "with")
CONTEXTS = frozenset({".", "..", "this"})
PLAIN = re.compile(r"\{\{(\w+)\}\}", re.ASCII)
NAMED = re.compile(r"\{\{(?:name|user)(10|[1-9])\}\}")
INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
TAG = re.compile(
    r"""\{\{(?:(?P<raw>\{\{\s*+([^\s{}]++)[^{}]*+\}\}\}\}.*?\{\{\{\{/\2\}\}\}\}) | (?P<before>~?)
    (?P<sign>!(?=--).*?--(?=~?\}\}) | !(?!--).*?(?=~?\}\}) | >.*?(?=~?\}\})
        | \#> | \#\* | [\#/^&*] | (?P<triple>\{) | \s*+else(?=\s|~?\}\}) | (?![!>\#/^&*{]))
    (?P<inner>(?:[^"'\[{}~]++ | "(?:\\"|[^"])*" | '(?:\\'|[^'])*' | \[(?:\\\]|[^\]])*\])*+)
    (?(triple)\})(?P<after>~?)\}\})""",
    re.VERBOSE | re.DOTALL,
)
ESCAPED = re.compile(r"...*?(?=\\{0,2}\{\{|\Z)", re.DOTALL)
ESCAPED_VALUE = re.compile(r"\A\{\{(?![{#/!>]|\s*+else\s*+\}\})(.*?)\}\}", re.DOTALL)
BLANK, LINE_END, LINE_REST = re.compile(r"\s*+"), re.compile(r"[^\S\n]*+(?:\n|\Z)"), re.compile(r"[ \t]*+\r?\n?")
SEGMENT = re.compile(r"""\.{1,2}(?=[/\s)]|\Z)|[^\s!"\#%-,./;->@\[-\^`{-~]++|\[(?:\\\]|[^\]])*\]""")
WORD = re.compile(
    rf"""as\s++\|(?P<names>[^|]*+)\| | (?:(?P<key>[^\s="'()|]++)\s*+=\s*+)?(?:(?P<bracket>\()
    | (?P<text>"(?:\\"|[^"])*"|'(?:\\'|[^'])*')
    | (?P<literal>(?:true|false|undefined|null|-?[0-9]++(?:\.[0-9]++)?)(?=[\s)]|\Z))
    | (?P<path>@?(?:{SEGMENT.pattern})(?:[./](?:{SEGMENT.pattern}))*(?=[\s)]|\Z))) | (?P<other>\S)""",
    re.VERBOSE,
)
COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), skipkeys=True, default=lambda _: None)


@dataclass(frozen=True, slots=True)
class Tag:
    """A value: keys, read `up` contexts above (root `.`), from a loop (`@`) or from either; or what a helper is given."""

    written: str
    keys: tuple[str, ...]
    root: str = "."
    up: int = 0
    sign: str = ""
    helper: str = ""
    params: Sequence["Expression"] = ()
    zero: "Expression" = None
    names: Sequence[str] = ()
    body: list["Node"] = field(default_factory=list)
    other: list["Node"] = field(default_factory=list)


Node: TypeAlias = str | Tag
Expression: TypeAlias = Tag | str | float | None
Token: TypeAlias = str | re.Match[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a tag sees, innermost first: contexts, and for each loop its `@` values and block parameters."""

    contexts: tuple[Json, ...]
    frames: tuple[Mapping[str, Json], ...]

    def inside(self, context: Json, seen: Mapping[str, Json]) -> "Scope":
        """What is seen in `context`; one that equals the present one adds no `../`."""
        top = self.contexts[0]
        same = context is top or (isinstance(context, str | int | float) and context == top)
        frames = ({**self.frames[0], **seen}, *self.frames[0 if "@index" in seen else 1 :])
        return Scope(self.contexts if same else (context, *self.contexts), frames)


def render(template: str, values: Mapping[str, Json], era: str = "v1") -> str:
    """`template` with `values` in it as elizaOS 1.7 (`v1`: Handlebars, unescaped) or 0.25 (`v0`: `{{key}}`) prints it.

    Always gives a text, and never renders a value again.
    """
    nodes = (_parse(template) if era != "v0" else None) or _plain(template)
    kept, room = [], OUTPUT_LENGTH
    for piece in islice(_pieces(nodes, Scope((values,), ({"@root": values},))), STEPS):
        kept.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return "".join(kept)


def mentioned(template: str) -> frozenset[str]:
    """The first keys of all that `template` asks for in either era, inside blocks too."""
    return frozenset(_keys([*_plain(template), *(_parse(template) or ())]))


def with_names(text: str, names: Sequence[str]) -> str:
    """`text` with `{{name3}}` and `{{user3}}` as the third of `names`, up to ten; a number nobody has stays."""
    return NAMED.sub(lambda found: names[int(found[1]) - 1] if int(found[1]) <= len(names) else found[0], text)


def _keys(nodes: Iterable[Expression]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Tag):
            if not node.helper:
                yield from node.keys[1:2] if node.keys[:1] == ("@root",) else node.keys[:1]
            yield from (param for param in node.params if isinstance(param, str))  # as in `lookup this "bio"`
            yield from _keys((*node.params, *node.body, *node.other))


def _plain(template: str) -> list[Node]:
    return [Tag(text, (text,)) if at % 2 else text for at, text in enumerate(PLAIN.split(template))]


def _parse(template: str) -> list[Node] | None:
    """The tree of `template`, or None where it is not Handlebars or past a bound."""
    opened = [(top := Tag("", ()), top.body)]
    try:
        for token in _tokens(template):
            _place(token, opened)
    except ValueError:
        return None
    return top.body if len(opened) == 1 and len(template) <= TEMPLATE_LENGTH else None


def _tokens(template: str) -> Iterator[Token]:
    """Texts and tags, without the lines of tags that stand alone and without the space that `~` takes."""
    at = kept = 0
    while (start := template.find("{{", at)) >= 0:
        text, line = template[kept:start], template[at:start]
        escaped = text.endswith("\\") and not text.endswith("\\\\")
        if not (found := (ESCAPED if escaped else TAG).match(template, start)):
            raise ValueError(f"no tag at {start}")
        begins = "\n" in line[len(line.rstrip()) :] or not (at or line.strip())
        at = kept = found.end()
        if escaped:
            yield from (text[:-1], ESCAPED_VALUE.sub(r"{{{\1}}}", found[0]))
            continue
        alone = found["sign"] not in ("", "{", "&", "*") and begins and LINE_END.match(template, at)
        yield text.rstrip() if found["before"] else text.rstrip(" \t") if alone else text.removesuffix("\\")
        yield found
        if (found["after"] or alone) and (taken := (BLANK if found["after"] else LINE_REST).match(template, at)):
            kept = taken.end()
    yield template[kept:]


def _place(token: Token, opened: list[tuple[Tag, list[Node]]]) -> None:
    """Puts the token into the innermost of the blocks around; a tag may open, part or close one."""
    block, into = opened[-1]
    if isinstance(token, str):
        return into.append(token)
    sign, inner = "!" if token["raw"] else token["sign"].strip(), token["inner"] or ""
    if sign == "else" or (sign == "^" and not inner.strip()):
        if into is not block.body or len(opened) == 1:
            raise ValueError("else without a block")
        into = block.other
        opened[-1] = (block, into)
    if sign[:1] in ("!", ">") or (sign in ("else", "^") and not inner.strip()):
        return None
    if len(inner) > TAG_LENGTH or len(opened) > NESTING:
        raise ValueError("too long or too deep")
    tag = _tag(WORD.finditer(inner), sign)
    if sign[:1] in ("#", "^", "e"):
        opened.append((tag, tag.body))
    if sign in ("", "{", "&", "#", "^", "else"):
        into.append(tag)
    elif sign == "/":
        while block.sign == "else":
            opened.pop()
            block, _ = opened[-1]
        if opened.pop()[0].written != tag.written:
            raise ValueError(f"{block.written!r} is closed by {tag.written!r}")
    return None


def _tag(words: Iterator[re.Match[str]], sign: str) -> Tag:
    """The tag that the words make up to their end, or as a subexpression, sign `(`, up to the closing bracket."""
    given: list[Expression] = []
    options: dict[str, Expression] = {}
    names: Sequence[str] = ()
    end = None
    for word in words:
        if end := word["other"]:
            break
        if word["names"]:
            names = word["names"].split()[:2]
        elif word["key"]:
            options[word["key"]] = _expression(word, words)
        else:
            given.append(_expression(word, words))
    if not given or end != (")" if sign == "(" else None):
        raise ValueError(f"unexpected {end!r}")
    head, *params = given
    if not isinstance(head, Tag):
        text = head if isinstance(head, str) else COMPACT.encode(head)
        head = Tag(text, (text,))
    name = head.keys[0] if head.keys else "this"
    is_helper = params or options or (head.root == "" and head.keys[1:] == () and name in HELPERS)
    zero = options.get("includeZero")
    return replace(head, sign=sign, helper=name if is_helper else "", params=params, zero=zero, names=names)


def _expression(word: re.Match[str], words: Iterator[re.Match[str]]) -> Expression:
    if word["bracket"]:
        return _tag(words, "(")
    if text := word["text"]:
        return text[1:-1].replace("\\" + text[0], text[0])
    if literal := word["literal"]:
        return None if literal == "undefined" else float(literal) if literal[-1].isdigit() else json.loads(literal)
    segments = SEGMENT.findall(word["path"])
    keys = list(dropwhile(CONTEXTS.__contains__, segments))
    if CONTEXTS.intersection(keys):
        raise ValueError(f"no path: {word['path']!r}")
    root, up = "." if keys != segments else "", segments[: len(segments) - len(keys)].count("..")
    keys = [key[1:-1].replace("\\]", "]") if key[0] == "[" else key for key in keys]
    if keys and word["path"][0] == "@":
        root, keys[0] = "@", "@" + keys[0]
    return Tag(word["path"], tuple(keys), root, up)


def _pieces(nodes: Iterable[Node], scope: Scope) -> Iterator[str]:
    """The text in small pieces; every tag and every round gives at least one, so that whoever counts them can stop."""
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif node.sign in ("", "{", "&") or (node.helper and (node.helper not in BLOCKS or len(node.params) != 1)):
            yield from _texts(_value(node, scope))
        else:
            inner = None
            for inner in _rounds(node, scope):
                yield ""
                yield from _pieces(node.body if node.sign != "^" else node.other, inner)
            yield ""
            if inner is None:
                yield from _pieces(node.other if node.sign != "^" else node.body, scope)


def _rounds(tag: Tag, scope: Scope) -> Iterator[Scope]:
    """What is seen each time that a block shows its body; where there is no time, it shows its other branch."""
    value = _value(tag.params[0] if tag.helper else tag, scope)
    if tag.helper in ("if", "unless"):
        if _holds(value, zero=_holds(_value(tag.zero, scope))) == (tag.helper == "if"):
            yield scope
    elif tag.helper == "with" and _holds(value, zero=True):
        yield scope.inside(value, dict(zip(tag.names, (value,), strict=False)))
    elif isinstance(value, list | tuple) or (tag.helper == "each" and isinstance(value, Mapping)):
        for index, (key, item) in enumerate(value.items() if isinstance(value, Mapping) else enumerate(value)):
            loop = {"@key": key, "@index": index, "@first": index == 0, "@last": index == len(value) - 1}
            yield scope.inside(item, loop | dict(zip(tag.names, (item, key), strict=False)))
    elif not tag.helper and value is not None and value is not False:
        yield scope if value is True else scope.inside(value, {})


def _value(expression: Expression, scope: Scope) -> Json:
    if not isinstance(expression, Tag):
        return expression
    tag = expression
    if tag.helper:
        if tag.helper != "lookup" or len(tag.params) != 2:
            return None
        holder, key = (_value(param, scope) for param in tag.params)
        return _member(holder, "" if isinstance(key, Mapping) else next(_texts(key)))
    is_looped = tag.root == "@" or (tag.root == "" and tag.keys[0] in scope.frames[0])
    sources: tuple[Json, ...] = scope.frames if is_looped else scope.contexts
    value = sources[tag.up] if tag.up < len(sources) else None
    for key in tag.keys:
        value = _member(value, key)
    return value


def _member(value: Json, key: str) -> Json:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | tuple | str):
        if key == "length":
            return len(value)
        if INDEX.fullmatch(key) and int(key) < len(value):
            return value[int(key)]
    return None


def _holds(value: Json, zero: bool = False) -> bool:
    """Whether JavaScript takes `value` for true; an empty list, and zero as said, are as Handlebars takes them."""
    if value == 0 and value is not False:
        return zero
    return isinstance(value, Mapping) or (bool(value) and value == value)


def _texts(value: Json, depth: int = 0) -> Iterator[str]:
    """`value` as JavaScript joins it into a text; objects as JSON."""
    if isinstance(value, list | tuple):
        yield ""
        for index, item in enumerate(value if depth < NESTING else ()):
            yield "," if index else ""
            yield from _texts(item, depth + 1)
    elif value is None or isinstance(value, str):
        yield value or ""
    else:
        whole = isinstance(value, float) and value.is_integer()
        try:
            encoded = (
                islice(COMPACT.iterencode(value), STEPS)
                if isinstance(value, Mapping)
                else [COMPACT.encode(int(value) if whole else value)]
            )
            yield "".join(encoded)
        except (ValueError, RecursionError):
            yield ""
