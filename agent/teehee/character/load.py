"""Character files of every era, read into the one `Character`, with an account of what was changed on the way.

Nothing is dropped: what no field takes stays in `extras` under its own key, and `write` puts it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from teehee.character import examples, extends, given, knowledge, names, providers, source, write
from teehee.character.fields import EMPTY, Fields, kind
from teehee.character.model import ELIZA_KEYS, KEPT, KEPT_ERA, Character, Line, Style
from teehee.character.secrets import redactor
from teehee.errors import ConfigError
from teehee.ids import UUID_SHAPE, string_to_uuid

Json = Any
V0_ONLY = ("clients", "modelProvider", "lore")
BIO_INSTEAD = ("description", "core_identity")
NAME_HINT = 'a character needs at least {"name": "..."}'
UNKNOWN_JUDGED = 200  # unknown keys looked at for what they were meant to be
ABSENT = object()
FOLDED_INTO = {"bio": ("lore",), "plugins": ("clients", "modelProvider")}  # edit the one, and the others are in it
MISTAKEN = {"examples": "messageExamples", "conversations": "messageExamples", "prompt": "system", "tags": "topics"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A character and the account of its file: `understood` and `ignored` keys, `changes`, `warnings`, `origins`.

    `origins` maps a field of the file to where its value is from, for all that is not simply the file itself.
    """

    character: Character
    changes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    understood: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    origins: Mapping[str, str] | None = None


def load(path: Path) -> list[Character]:
    """Every character in the file at `path`. Raises ConfigError when it holds none, or one that cannot run."""
    return [reading.character for reading in read(path)]


def loads(text: str | bytes, where: str) -> list[Character]:
    """Every character in `text`; `where` is what errors call it. Raises ConfigError."""
    return [reading.character for reading in reads(text, where)]


def read(path: Path) -> list[Reading]:
    """Every character in the file at `path`, each with its account. Raises ConfigError."""
    return reads(source.read(path), str(path), path)


def reads(text: str | bytes, where: str, path: Path | None = None) -> list[Reading]:
    """Every character in `text`; with `path`, what it `extends` is read from the folder it lies in."""
    parsed = source.parse(text, where)
    if isinstance(parsed.value, list) and not parsed.value:
        raise source.refusal(where, "is an empty list", "put at least one character with a name in it")
    if not isinstance(parsed.value, list):
        return [_reading(parsed.value, where, parsed, path)]
    if len(parsed.value) > source.LIMIT_CHARACTERS:
        problem = f"is a list of {len(parsed.value):,}, expected {source.LIMIT_CHARACTERS} characters at most"
        raise source.refusal(where, problem, "split it into several files")
    return [_reading(item, f"{where}[{index}]", parsed, path) for index, item in enumerate(parsed.value)]


def _reading(raw: Json, where: str, parsed: source.Parsed, path: Path | None, era: str = "") -> Reading:
    _refuse_what_is_none(raw, where)
    merged = _lifted(extends.resolve(raw, where, path))
    _refuse_a_bad_name(merged.value, where)
    fields = Fields(dict(merged.value))
    fields.changes += [*parsed.changes, *merged.changes]
    fields.warnings += [*parsed.warnings, *merged.warnings]
    origins = dict(merged.origins)
    character = _character(fields, merged.value, origins, era or _era(merged.value))
    if KEPT in character.settings:
        reading = _unfolded(merged.value, where, character)
        told = (*parsed.changes, *merged.changes, f"$.settings.{KEPT}: put back where it was before the conversion")
        return replace(reading, changes=(*told, *reading.changes), warnings=(*parsed.warnings, *reading.warnings))
    _warn_of_unknown_keys(fields)
    ignored = tuple(
        key
        for key, value in fields.left.items()
        if value not in EMPTY and key not in fields.reshaped and key not in ELIZA_KEYS
    )
    try:
        shown = redactor(character)  # people paste a key into the wrong field: no account repeats it
    except ConfigError as error:
        raise source.refusal(where, str(error), error.hint) from error
    changes, warnings = tuple(map(shown, fields.changes)), tuple(map(shown, fields.warnings))
    return Reading(character, changes, warnings, tuple(fields.understood), tuple(map(shown, ignored)), origins)


def _lifted(merged: extends.Merged) -> extends.Merged:
    """The same with `settings.extra` among the settings, where elizaOS 2 moves what it has no field for.

    Only for a file that we converted and it wrote again: else `extra` is an author's own word.
    """
    settings = merged.value.get("settings")
    extra = settings.get("extra") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or not isinstance(extra, dict) or KEPT not in extra:
        return merged
    held = {key: value for key, value in settings.items() if key != "extra"}
    told = [*merged.changes, "$.settings.extra: read as settings; elizaOS 2 keeps there what it has no field for"]
    return replace(merged, value={**merged.value, "settings": _joined(extra, held)}, changes=told)


def _unfolded(raw: Mapping[str, Json], where: str, folded: Character) -> Reading:
    """A file that `write.convert` made: what its era had no place for goes back where it was.

    A value that was reshaped for the era is restored only while the file still holds what the conversion wrote:
    an author who edited it since is right.
    """
    kept = folded.settings[KEPT]
    kept = {key: value for key, value in kept.items() if key != KEPT_ERA} if isinstance(kept, dict) else {}
    held = {key: value for key, value in raw["settings"].items() if key != KEPT}
    inner = kept.get("settings", {})
    settings = _joined(inner, held) if isinstance(inner, dict) else held or inner
    whole = {**raw, **{key: _joined(raw.get(key), value) for key, value in kept.items()}}
    whole |= {"settings": settings, "name": raw["name"]}
    again = write.convert(_plain(whole, where, folded.era).character, folded.era)
    may_be = [key for key in {**kept, **FOLDED_INTO} if key in write.FOLDED or (key in raw and key != "settings")]
    edited = [key for key in may_be if again.get(key, ABSENT) != raw.get(key, ABSENT)]
    edited += [inside for key in edited for inside in FOLDED_INTO.get(key, ()) if inside not in raw]
    restored = {key: value for key, value in whole.items() if key not in edited or key in raw}
    restored |= {key: _joined(kept.get(key), raw[key]) for key in edited if key in raw}
    reading = _plain(restored, where, folded.era)
    marked = {**reading.character.settings, KEPT: {}}
    return replace(reading, character=replace(reading.character, settings=marked))


def _joined(under: Json, over: Json) -> Json:
    """Both objects in one, however deep; where they disagree, as `over` has it."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {**under, **{key: _joined(under.get(key), value) for key, value in over.items()}}


def _plain(raw: dict[str, Json], where: str, era: str) -> Reading:
    """The reading of a value that extends nothing more and was converted from nothing."""
    if isinstance(raw["settings"], dict):
        raw["settings"].pop(KEPT, None)
    return _reading(raw, where, source.Parsed(raw), None, era)


def _refuse_what_is_none(raw: Json, where: str) -> None:
    if not isinstance(raw, dict):
        raise source.refusal(where, f"$: expected an object, got {kind(raw)}", NAME_HINT)
    if not raw:
        raise source.refusal(where, "is an empty object", NAME_HINT)
    if "name" not in raw and "properties" in raw and ("$schema" in raw or raw.get("type") == "object"):
        raise source.refusal(where, "is a JSON schema, not a character", "load a file written to the schema")


def _refuse_a_bad_name(raw: Mapping[str, Json], where: str) -> None:
    name = raw.get("name")
    if "name" not in raw:
        near = names.nearest("name", [key for key, value in raw.items() if isinstance(value, str)])
        meant = f" (did you mean it by {near!r}?)" if near else ""
        raise source.refusal(where, f"$.name is missing, expected a string{meant}", NAME_HINT)
    if not isinstance(name, str):
        raise source.refusal(where, f"$.name: expected a string, got {kind(name)}", "put the name in double quotes")
    if not name.strip():
        raise source.refusal(where, "$.name is empty, expected a name", NAME_HINT)


def _character(fields: Fields, raw: Mapping[str, Json], origins: dict[str, str], era: str) -> Character:
    name = str(raw["name"])
    fields.taken("name")
    settings, secrets = given.settings(fields, era)
    style = fields.mapping("style")
    parts = [_style_part(fields, style, part) for part in ("all", "chat", "post")]
    if style:
        fields.left["style"] = style
    return Character(
        id=_id(fields, name, origins),
        name=name,
        era=era,
        username=fields.text("username"),
        system=fields.text("system"),
        bio_is_whole=isinstance(raw.get("bio"), str),
        bio=_bio(fields, origins),
        lore=fields.strings("lore"),
        message_examples=_conversations(fields, raw, era),
        post_examples=fields.strings("postExamples"),
        topics=fields.strings("topics"),
        adjectives=fields.strings("adjectives"),
        style=Style(*parts),
        knowledge=knowledge.items(fields),
        model_provider=_provider(fields, era),
        plugins=fields.strings("plugins", inside=("name", "package")),
        clients=_clients(fields),
        templates=_templates(fields),
        secrets=secrets,
        settings=settings,
        extras=fields.left,
    )


def _conversations(fields: Fields, raw: Mapping[str, Json], era: str) -> tuple[tuple[Line, ...], ...]:
    """The example conversations; their raw value is kept when `write` would spell it otherwise."""
    talks = examples.conversations(fields)
    if examples.KEY in fields.understood and write.talks(talks, era) != raw[examples.KEY]:
        fields.left[examples.KEY] = raw[examples.KEY]
        fields.reshaped.add(examples.KEY)
    return talks


def _clients(fields: Fields) -> tuple[str, ...]:
    written = fields.strings("clients", inside=("name", "type"))
    lowered = tuple(client.lower() for client in written)
    if lowered != written:
        fields.left.setdefault("clients", list(written))
        fields.reshaped.add("clients")
    return lowered


def _era(raw: Mapping[str, Json]) -> str:
    """v0, v1 or v2, by what only that era writes; a converted file says it itself."""
    settings = raw.get("settings")
    kept = settings.get(KEPT) if isinstance(settings, dict) else None
    if isinstance(kept, dict) and kept.get(KEPT_ERA) in write.ERAS:
        return str(kept[KEPT_ERA])
    talks = raw.get("messageExamples")
    listed = talks if isinstance(talks, list) else []
    known = raw.get("knowledge")
    cased = any(isinstance(item, dict) and "item" in item for item in (known if isinstance(known, list) else ()))
    if cased or any(isinstance(talk, dict) and "examples" in talk for talk in listed):
        return "v2"
    lines = [line for talk in listed if isinstance(talk, list) for line in talk if isinstance(line, dict)]
    is_v0 = any(key in raw for key in V0_ONLY) or any("user" in line and "name" not in line for line in lines)
    return "v0" if is_v0 else "v1"


def _id(fields: Fields, name: str, origins: dict[str, str]) -> str:
    written = fields.left.get("id")
    if isinstance(written, str) and UUID_SHAPE.fullmatch(written):
        fields.taken("id", keep=written == string_to_uuid(name))
        return written
    if written not in EMPTY:
        fields.warn("$.id", "no UUID; kept, but the agent's id is derived from its name, as Eliza does")
    origins["id"] = "derived from the name"
    return string_to_uuid(name)


def _bio(fields: Fields, origins: dict[str, str]) -> tuple[str, ...]:
    bio = fields.strings("bio", lone="a bio may be one string")
    if bio:
        return bio
    for key in BIO_INSTEAD:
        if isinstance(text := fields.left.get(key), str) and text.strip():
            fields.warn("$.bio", f"is missing; {key!r} is read in its place")
            fields.taken(key, keep=True)
            origins["bio"] = f"$.{key}"
            return (text,)
    fields.warn("$.bio", "is missing: the agent knows its name and little else")
    return ()


def _provider(fields: Fields, era: str) -> str:
    written = fields.text("modelProvider")
    if written and providers.plain_provider(written) not in providers.V0259:
        near = names.nearest(providers.plain_provider(written), providers.V0259)
        meant = f"did you mean {near!r}? " if near else ""
        fields.warn("$.modelProvider", f"no provider {written!r} ({meant}the settings of the model decide)")
    elif not written and era == "v0":
        fields.warn("$.modelProvider", "is missing: the settings of the model decide")
    return written


def _style_part(fields: Fields, style: dict[str, Json], part: str) -> tuple[str, ...]:
    """The lines of one part; it is taken out of `style` unless something in it was no plain text."""
    value = style.get(part)
    if value in EMPTY:
        return ()
    texts, odd = fields.items(f"$.style.{part}", value if isinstance(value, list) else [value])
    if not odd:
        del style[part]
    return texts


def _templates(fields: Fields) -> dict[str, str]:
    held = fields.mapping("templates")
    odd = {key: value for key, value in held.items() if not isinstance(value, str)}
    if odd:
        fields.left["templates"] = odd
        fields.warn("$.templates", f"no template: {', '.join(sorted(odd))[:120]}; kept, not used")
    return {key: value for key, value in held.items() if isinstance(value, str)}


def _warn_of_unknown_keys(fields: Fields) -> None:
    for key in list(fields.left)[:UNKNOWN_JUDGED]:
        if key in ELIZA_KEYS or key in fields.reshaped:
            continue
        meant = MISTAKEN.get(key.lower()) or names.nearest(key, ELIZA_KEYS)
        if meant and meant not in fields.understood:
            fields.warn(f"$.{key}", f"no field of Eliza's (did you mean {meant!r}?); kept, not used")
