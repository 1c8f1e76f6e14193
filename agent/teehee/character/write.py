"""Characters written back: in their own era's shape with every key they had, or as the validator of another wants.

No secret is ever written: its name stays, its value is empty.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from teehee.character import eras, knowledge, names, providers
from teehee.character.fields import EMPTY
from teehee.character.model import KEPT, KEPT_ERA, Character, Knowledge, Line
from teehee.character.secrets import Handle, strip_secrets
from teehee.errors import ConfigError
from teehee.ids import string_to_uuid

Json = Any
ERAS = ("v0", "v1", "v2")
FOLDED = ("bio", "lore", "clients", "modelProvider", "plugins", "knowledge")  # written otherwise in some era
USER, NAME = re.compile(r"\{\{\s*user(\d+)\s*\}\}"), re.compile(r"\{\{\s*name(\d+)\s*\}\}")
CLIENTS = {"telegram": "telegram", "x": "twitter", "discord": "discord", "farcaster": "farcaster", "slack": "slack"}
NEEDED = ("@elizaos/plugin-sql", "@elizaos/plugin-bootstrap")  # 1.x does nothing without them


def export(character: Character) -> dict[str, Json]:
    """The character in the shape of its own era, with every key its file had."""
    if KEPT in character.settings:
        return convert(character, character.era)
    return _native(_clean(character))


def convert(character: Character, era: str) -> dict[str, Json]:
    """The character as elizaOS of `era` validates it: 0.25.9, 1.7.2 or 2.0.0-alpha.537.

    What the era has no place for is kept under `settings.characterExtras`, from where `load` takes it back.
    Raises ConfigError for an era that never was.
    """
    if era not in ERAS:
        raise ConfigError(f"era {era!r}: expected one of {', '.join(ERAS)}", hint="--as v0, v1 or v2")
    clean = _clean(character)
    out = _v0(clean) if era == "v0" else _strict(clean, era)
    kept = _left_over(clean, out, era)
    settings = {key: value for key, value in clean.settings.items() if key != KEPT}
    odd = {key: value for key, value in settings.items() if not eras.setting_fits(era, key, value)}
    settings = {key: value for key, value in settings.items() if key not in odd}
    kept |= {"settings": odd} if odd else {}
    settings |= {KEPT: {KEPT_ERA: era, **kept}} if kept else {}
    return {**out, "settings": settings} if settings else out


def _left_over(character: Character, out: dict[str, Json], era: str) -> dict[str, Json]:
    """Puts what else the era has a place for into `out`; gives what it has none for, in the file's own shape."""
    native = _native(character)
    kept = {key: native.get(key, []) for key in FOLDED if key in out and out[key] != native.get(key, [])}
    kept |= {key: native[key] for key in FOLDED if key in native and key not in out}
    for key, value in character.extras.items():
        if key in kept:
            continue
        if key not in out and key not in FOLDED and eras.root_fits(era, key, value):
            out[key] = value
        elif value not in EMPTY:
            kept[key] = value
    return kept


def _clean(character: Character) -> Character:
    """The character without secrets, and without the handles that stand for them here."""
    stripped, _ = strip_secrets(character)
    return replace(stripped, settings=_emptied(stripped.settings), extras=_emptied(stripped.extras))


def _emptied(value: Json) -> Json:
    if isinstance(value, str):
        return "" if isinstance(value, Handle) else value
    if isinstance(value, Mapping):
        return {key: _emptied(item) for key, item in value.items()}
    return [_emptied(item) for item in value] if isinstance(value, list | tuple) else value


# -- the shape of the character's own era


def _native(character: Character) -> dict[str, Json]:
    era = character.era
    out: dict[str, Json] = {"name": character.name}
    told: dict[str, Json] = {
        "id": "" if _is_derived(character) else character.id,
        "username": character.username,
        "system": character.system,
        "modelProvider": character.model_provider,
        "clients": list(character.clients),
        "plugins": list(character.plugins),
        "bio": _bio(character),
        "lore": list(character.lore),
        "knowledge": [knowledge.to_json(item) for item in character.knowledge],
        "messageExamples": talks(character.message_examples, era),
        "postExamples": list(character.post_examples),
        "topics": list(character.topics),
        "adjectives": list(character.adjectives),
        "style": _style(character),
        "templates": dict(character.templates),
        "settings": {key: value for key, value in character.settings.items() if key != KEPT},
    }
    out |= {key: value for key, value in told.items() if value not in EMPTY}
    for key, value in character.extras.items():
        merged = isinstance(value, Mapping) and isinstance(out.get(key), dict)
        out[key] = {**out[key], **value} if merged else value
    return out


def _is_derived(character: Character) -> bool:
    return character.id == string_to_uuid(character.name)


def _bio(character: Character) -> Json:
    return character.bio[0] if character.bio_is_whole and character.bio else list(character.bio)


def _style(character: Character) -> dict[str, Json]:
    parts = {"all": character.style.all, "chat": character.style.chat, "post": character.style.post}
    return {part: list(lines) for part, lines in parts.items() if lines}


def talks(conversations: Iterable[Iterable[Line]], era: str, *, strict: bool = False) -> list[Json]:
    lines = [[_line(line, era, strict) for line in talk] for talk in conversations]
    return [{"examples": talk} for talk in lines] if era == "v2" else lines


def _line(line: Line, era: str, strict: bool) -> dict[str, Json]:
    """A line in the era's shape. With `strict`, what the validator would refuse moves to `content.extras`."""
    rest = dict(line.extras)
    content = dict(rest.pop("content", {}))
    if strict:
        odd = {key: value for key, value in content.items() if not eras.CONTENT[era].get(key, eras.anything)(value)}
        content = {key: value for key, value in content.items() if key not in odd}
        odd |= {key: rest.pop(key) for key in ("user" if era == "v0" else "name",) if key in rest}
        if odd and "extras" in content:
            odd["extras"] = content["extras"]
        content |= {"extras": odd} if odd else {}
    name, text = line.name, line.text
    if strict:
        name, text = _placeholders(name, era), _placeholders(text, era)
    told: dict[str, Json] = {"text": text}
    if line.actions and era == "v0":
        told["action"] = line.actions[0]
        if len(line.actions) > 1:
            told["actions"] = list(line.actions)
    elif line.actions:
        told["actions"] = list(line.actions)
    return {"user" if era == "v0" else "name": name, "content": {**told, **content}, **rest}


def _placeholders(text: str, era: str) -> str:
    return NAME.sub(r"{{user\1}}", text) if era == "v0" else USER.sub(r"{{name\1}}", text)


# -- the shapes the validators want


def _common(character: Character) -> dict[str, Json]:
    out: dict[str, Json] = {"name": character.name}
    if not _is_derived(character):
        out["id"] = character.id
    for key, value in (("username", character.username), ("system", character.system)):
        out |= {key: value} if value else {}
    return out


def _lists(character: Character, era: str) -> dict[str, Json]:
    style = character.style
    return {
        "messageExamples": talks(character.message_examples, era, strict=True),
        "postExamples": list(character.post_examples),
        "topics": list(character.topics),
        "adjectives": list(character.adjectives),
        "style": {"all": list(style.all), "chat": list(style.chat), "post": list(style.post)},
        **({"templates": dict(character.templates)} if character.templates else {}),
    }


def _v0(character: Character) -> dict[str, Json]:
    provider = providers.plain_provider(character.model_provider)
    models = [names.plain_name(plugin) for plugin in character.plugins]
    provider = provider or next((name for name in models if name in providers.V0259), "")
    clients = character.clients or tuple(CLIENTS[name] for name in models if name in CLIENTS)
    return {
        **_common(character),
        "clients": list(clients),
        "modelProvider": provider if provider in providers.V0259 else providers.FALLBACK,
        "plugins": list(character.plugins),
        "bio": _bio(character),
        "lore": list(character.lore),
        "knowledge": list(map(knowledge.to_json, character.knowledge)),
        **_lists(character, "v0"),
    }


def _strict(character: Character, era: str) -> dict[str, Json]:
    """1.x and 2.x know no lore, clients or provider: lore joins the bio, the others become plugins."""
    plugins = dict.fromkeys(character.plugins)
    plain = set(map(names.plain_name, plugins))
    for name in (*character.clients, character.model_provider):
        if name and names.plain_name(name) not in plain and name != "direct":
            written = f"@elizaos/plugin-{name.lower().replace('_', '-')}"
            plugins[written] = None
            plain.add(names.plain_name(written))
    plugins |= dict.fromkeys(NEEDED) if era == "v1" else {}
    bio = [*character.bio, *character.lore] if character.lore else _bio(character)
    files = [item for item in character.knowledge if item.path or item.directory]
    return {
        **_common(character),
        "bio": bio,
        "plugins": list(plugins),
        "knowledge": (
            [_cased(item) for item in files] if era == "v2" else list(map(knowledge.to_json, character.knowledge))
        ),
        **_lists(character, era),
    }


def _cased(item: Knowledge) -> Json:
    if item.path:
        return {"item": {"case": "path", "value": item.path}}
    shared = {"shared": True} if item.shared else {}
    return {"item": {"case": "directory", "value": {"path": item.directory, **shared}}}
