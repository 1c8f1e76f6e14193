"""Docker Compose files: YAML, read strictly, into objects, arrays, texts and null; and what a service mounts.

Source: YAML 1.1, as libyaml reads it for Docker too; the Compose specification.

Readers of YAML disagree on what `yes`, `22:22` or a key given twice mean, and the one that counts is Docker's. So a
scalar stays the text it is, and what readers disagree on is refused. Of PyYAML only scanner and parser are used, which
make events: there is nothing here that could make an object of a tag.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from teehee.errors import VerificationError

MAX_NODES = 20_000
TEXT_OF_A_NODE = 100
MAX_DEPTH = 32
WORK_DIRECTORY = "/dstack"  # where Docker Compose runs, so where relative paths begin

Yaml = Any
"""A dict whose keys are texts, a list, a text, or None."""

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_FALSE = frozenset(("", "false", "f", "no", "n", "off", "0"))
# Controls, line ends of YAML 1.1 that 1.2 does not have, the byte order mark, halves of characters.
_DISPUTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_VARIABLE = re.compile(r"\$[{A-Za-z_]")


@dataclass(frozen=True, slots=True)
class Mount:
    """What a service mounts: a path of the machine, in its shortest form, or else a volume's or an image's name."""

    where: str
    path: str = ""
    volume: str = ""
    image: str = ""


def read(text: str) -> Yaml:
    """The document in `text`.

    1. It has no character that versions of YAML disagree on.
    2. It is one document of YAML.
    3. It has no directives and no tags; anchors have different names, and an alias names one before it.
    4. It nests at most 32 deep and has at most 20,000 nodes, a text counted once more per 100 characters, an alias for
       all that it repeats.
    5. Keys are texts, no object has one twice, and `<<` merges objects only.
    """
    from yaml.error import YAMLError  # imported here: nothing else needs YAML
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class Events(Reader, Scanner, Parser):
        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)

    if disputed := _DISPUTED.search(text):  # 1
        raise VerificationError("composefile.1", f"expected plain text, got {disputed[0]!r} at {disputed.start()}")
    if _DIRECTIVE.search(text):  # 3, since PyYAML passes over directives it does not know
        raise VerificationError("composefile.3", "expected no directives, got one")
    try:
        return _Document(Events(text)).read()
    except YAMLError as fault:  # 2
        raise VerificationError("composefile.2", f"expected YAML: {' '.join(str(fault).split())[:200]}") from None


def texts(value: Yaml) -> Iterator[str]:
    """Every text in a value, keys apart."""
    if isinstance(value, str):
        yield value
    elif value is not None:
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def is_true(value: Yaml) -> bool:
    """Whether Docker may take it for true: anything but a plain no, and a variable too."""
    return value is not None and (not isinstance(value, str) or value.lower() not in _FALSE)


def has_variable(text: str) -> bool:
    """Whether Docker Compose puts a variable of the environment into this text; `$$` is a dollar."""
    return bool(_VARIABLE.search(text.replace("$$", "")))


def items(value: Yaml) -> Iterator[tuple[str, Yaml]]:
    """Name and value of what may be written as an object or as an array of `name=value`."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        for item in value:
            name, _, written = str(item).partition("=")
            yield name, written


def mounts(service: dict[str, Yaml], volumes: Yaml) -> Iterator[Mount]:
    """What a service mounts, in short or long form; a volume that its driver binds to a path counts as that path."""
    entries = service.get("volumes")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        where = f"volumes[{index}]"
        kind, source = "", str(entry).split(":")[0]
        if isinstance(entry, dict):
            kind, source = str(entry.get("type")), str(entry.get("source") or "")
        elif ":" not in str(entry):
            continue  # a path in the container alone: a new volume
        source = device(volumes.get(source) if isinstance(volumes, dict) else None) or source
        if kind == "image":
            yield Mount(where, image=source)
        elif kind == "bind" or source[:1] in ("/", ".", "~", "$"):
            yield Mount(where, path=normal_path(source))
        elif source and kind in ("", "volume"):
            yield Mount(where, volume=source)


def device(volume: Yaml) -> str:
    """The path or address that the driver of a declared volume binds it to; empty when it is a plain volume."""
    options = volume.get("driver_opts") if isinstance(volume, dict) else None
    if not isinstance(options, dict) or options.get("type") == "tmpfs":
        return ""
    return str(options.get("device") or "")


def normal_path(path: str) -> str:
    """The one form of a path on the machine: absolute, no dots, no doubled slashes, /run for /var/run."""
    path = "/root" + path[1:] if path.startswith("~") else posixpath.join(WORK_DIRECTORY, path)
    path = posixpath.normpath("/" + path.lstrip("/"))
    return path[4:] if path == "/var/run" or path.startswith("/var/run/") else path


@dataclass(slots=True)
class _Node:
    value: Yaml
    nodes: int
    depth: int
    plain: bool = False


class _Document:
    """Builds the value of a document out of events."""

    def __init__(self, events: Any) -> None:
        self.next = events.get_event
        self.anchors: dict[str, _Node | None] = {}
        self.nodes = 0

    def read(self) -> Yaml:
        self.next()  # the stream
        start = self.next()
        if _kind(start) != "DocumentStart":  # 2
            raise VerificationError("composefile.2", "expected a document, got none")
        node = self.node(self.next(), 0)
        self.next()  # the end of the document
        if _kind(self.next()) != "StreamEnd":  # 2
            raise VerificationError("composefile.2", "expected one document, got another behind it")
        return node.value

    def node(self, event: Any, depth: int) -> _Node:
        kind = _kind(event)
        if kind == "Alias":
            node = self.anchors.get(event.anchor)
            if node is None:  # 3
                raise VerificationError("composefile.3", f"expected an anchor before its alias {event.anchor[:64]!r}")
            self.count(node.nodes, depth + node.depth)
            return node
        if event.tag is not None or event.anchor in self.anchors:  # 3
            got = f"tag {event.tag!r:.64}" if event.tag is not None else f"anchor {event.anchor[:64]!r} again"
            raise VerificationError("composefile.3", f"expected no tag and no anchor twice, got {got}")
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # not to be named before it is whole
        self.count(1, depth)
        if kind == "Scalar":
            plain = event.style is None
            weight = len(event.value) // TEXT_OF_A_NODE
            self.count(weight, depth)
            node = _Node(None if plain and event.value in _NULLS else event.value, 1 + weight, 0, plain)
        else:
            node = self.mapping(depth) if kind == "MappingStart" else self.sequence(depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def count(self, nodes: int, depth: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:  # 4
            raise VerificationError("composefile.4", f"expected at most {MAX_NODES} nodes, {MAX_DEPTH} deep, got more")

    def children(self, depth: int) -> Iterator[_Node]:
        while _kind(event := self.next()) not in ("SequenceEnd", "MappingEnd"):
            yield self.node(event, depth + 1)

    def sequence(self, depth: int) -> _Node:
        found = list(self.children(depth))
        return _whole([node.value for node in found], found)

    def mapping(self, depth: int) -> _Node:
        found = list(self.children(depth))
        own: dict[str, Yaml] = {}
        merged: dict[str, Yaml] = {}
        for key, node in zip(found[::2], found[1::2], strict=True):
            if not isinstance(key.value, str) or key.value in own or (key.value == "<<" and not key.plain):  # 5
                raise VerificationError("composefile.5", f"expected every key once, and a text, got {key.value!r:.64}")
            own[key.value] = node.value
        if "<<" in own:
            bases = own.pop("<<")
            for base in bases if isinstance(bases, list) else [bases]:
                if not isinstance(base, dict):  # 5
                    raise VerificationError("composefile.5", f"expected << to merge objects, got {base!r:.64}")
                merged = {**base, **merged}
        return _whole({**merged, **own}, found)


def _kind(event: Any) -> str:
    return type(event).__name__.removesuffix("Event")


def _whole(value: Yaml, parts: list[_Node]) -> _Node:
    return _Node(value, 1 + sum(part.nodes for part in parts), 1 + max((part.depth for part in parts), default=0))
