"""Character files of every era as hypothesis makes them, and what it means that one written back has lost nothing."""

from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from teehee.ids import string_to_uuid

Json = Any
Path = tuple[str | int, ...]
ERAS = ("v0", "v1", "v2")
MOST_FIELDS = 9  # of those an era knows, in one file
CANARY = "canary-of-the-locked-drawer"
NUMBER_CANARY = 90210447713  # a secret may be written as a number
SECRETS = (("secrets",), ("settings", "secrets"))  # what lies here is written back without its values


# -- what a file written back owes to its original


def lost(raw: Json, written: Json, path: Path = ()) -> list[str]:
    """The paths of `raw` that `written` does not have, or has with another value.

    A number or boolean may have become text, a lone value a list of one; a secret is blank.
    """
    if isinstance(raw, dict):
        if not isinstance(written, dict):
            return [f"{named(path)}: an object became {written!r}"]
        inside = [lost(value, written[key], (*path, key)) for key, value in raw.items() if key in written]
        gone = [f"{named((*path, key))}: gone" for key in raw if key not in written]
        return [*gone, *(item for items in inside for item in items)]
    if isinstance(raw, list):
        if not isinstance(written, list) or len(raw) != len(written):
            return [f"{named(path)}: {raw!r} became {written!r}"]
        return [item for n, value in enumerate(raw) for item in lost(value, written[n], (*path, n))]
    if any(path[: len(place)] == place for place in SECRETS):
        return [] if written == "" else [f"{named(path)}: a secret is not blank"]
    if is_secret(raw):
        return []
    return [] if written in (raw, as_text(raw), [raw], [as_text(raw)]) else [f"{named(path)}: {raw!r} is {written!r}"]


def named(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in ("$", *path))[1:]


def as_text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_secret(value: Json) -> bool:
    return CANARY in str(value) or str(NUMBER_CANARY) in str(value)


def leaves(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


# -- JSON of any kind

words = st.sampled_from(
    ("", "a", "tide", "Wren", "{{user1}}", "{{name1}}", "{{ user2 }}", "secret:tide", "ü 🦔", "a\nb", "null", "{}", "7")
) | st.text(max_size=6)
names = st.sampled_from(("Wren", "Snib 🦔", "A", "b850bc30-45f8-0041-a00a-83df46d8555d", "Halma Quill"))
keys = st.sampled_from(("tide", "text", "name", "user", "content", "id", "extras", "", "a b", "ü", "0", "path", "item"))
scalars = st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | words
empties: SearchStrategy[Any] = st.sampled_from((None, "", [], {}))
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
flags = st.booleans()
some_uuids = st.sampled_from(
    ("0f0c1b1e-5e2a-4b0f-9d0a-7a4f6f1c2d3e", "1F0C1B1E-5E2A-0B0F-9D0A-7A4F6F1C2D3E", string_to_uuid("Wren"))
)


def mostly(usual: SearchStrategy[Any], *odd: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """The usual shape twice out of three times, else one of the odd ones."""
    return st.one_of(usual, usual, usual, usual, st.one_of(*odd), empties)


def objects(
    required: dict[str, SearchStrategy[Any]] | None = None, /, **optional: SearchStrategy[Any]
) -> SearchStrategy[dict[str, Json]]:
    return st.fixed_dictionaries(required or {}, optional=optional)


def lists(item: SearchStrategy[Any], most: int = 3) -> SearchStrategy[list[Json]]:
    return st.lists(item, max_size=most)


def with_unknown(known: SearchStrategy[dict[str, Json]]) -> SearchStrategy[dict[str, Json]]:
    """An object with keys Eliza does not know, now and then; a known key keeps its value."""
    unknown = st.dictionaries(keys | st.sampled_from(("mood", "weather", "people")), json_values, max_size=2)
    return known | st.builds(lambda more, given: {**more, **given}, unknown, known)


# -- the fields of the files

texts = mostly(lists(words), words, lists(scalars), lists(objects(text=words)), lists(json_values), json_values)
message_like = objects(user=words, content=objects(text=words))
attachment = objects(
    {"id": words, "url": words},
    title=words, contentType=mostly(st.sampled_from(("image", "link")), words), description=scalars,
)  # fmt: skip
content = mostly(
    with_unknown(
        objects(
            {"text": words},
            action=mostly(words, lists(words), scalars),
            actions=mostly(lists(words), words, lists(scalars)),
            thought=mostly(words, scalars),
            providers=mostly(lists(words), words),
            source=words,
            target=words,
            url=mostly(words, scalars),
            inReplyTo=mostly(some_uuids, words),
            channelType=mostly(st.sampled_from(("DM", "GROUP", "FEED")), words),
            attachments=mostly(lists(attachment, 2), json_values),
        )
    ),
    objects(text=scalars),
    json_values,
)
known_files = st.sampled_from(("tides.md", "notes/fog.txt", "shelf"))
knowledge_item = mostly(
    words
    | objects({"path": known_files}, shared=flags)
    | objects({"directory": known_files}, shared=flags)
    | objects({"id": words, "path": known_files, "content": words}),
    objects({"item": objects({"case": st.just("path"), "value": known_files})}),
    with_unknown(objects(path=words, directory=words, text=words, shared=scalars)),
    json_values,
)
cased_item = objects({"item": objects({"case": st.just("path"), "value": known_files})}) | objects(
    {"item": objects({"case": st.just("directory"), "value": objects({"path": known_files}, shared=flags)})}
)
plugin_names = st.sampled_from(
    (
        *("@elizaos/plugin-sql", "@elizaos/plugin-bootstrap", "@elizaos/plugin-openai", "@elizaos/plugin-telegram"),
        *("web-search", "discord", "./plugins/spoons", "dice!", "@elizaos-plugins/client-twitter", "X", "grok"),
    )
)
plugins = mostly(
    lists(plugin_names, 4),
    lists(objects({"name": words, "description": words}, actions=st.just([]))),
    lists(plugin_names | objects(name=plugin_names, package=plugin_names)),
    json_values,
)
client_names = st.sampled_from(
    ("direct", "telegram", "twitter", "discord", "auto", "slack", "farcaster", "lens", "simsai", "Telegram", "DISCORD")
)
model_providers = st.sampled_from(
    (
        *("openai", "anthropic", "grok", "groq", "google", "llama_local", "ollama", "venice", "akash_chat_api"),
        *("lmstudio", "mistral", "livepeer", "deepseek", "bedrock", "nearai", "OpenAI", "gpt4", "your-model-provider"),
    )
)
style = mostly(with_unknown(objects(all=texts, chat=texts, post=texts)), json_values)
templates = mostly(
    st.dictionaries(st.sampled_from(("replyTemplate", "goalsTemplate")), words, max_size=2),
    st.dictionaries(keys, json_values, max_size=2),
    json_values,
)
secret_names = st.sampled_from(("OPENAI_API_KEY", "BOT_TOKEN", "PIN", "a b"))
name_values = empties | st.dictionaries(
    secret_names, empties | lists(empties) | st.dictionaries(secret_names, empties, max_size=2), max_size=2
)
settings_v0 = with_unknown(
    objects(
        secrets=name_values,
        voice=mostly(objects(model=words, url=words), json_values),
        model=mostly(words, scalars),
        modelConfig=mostly(objects(temperature=st.floats(0, 1), maxOutputTokens=st.integers(1, 9)), json_values),
        embeddingModel=words,
        chains=objects(evm=lists(words), solana=lists(words)),
        ragKnowledge=flags,
        retries=st.integers(0, 9),
        nothing=st.none(),
    )
)
settings_v1 = with_unknown(
    objects(secrets=name_values, avatar=words, temperature=st.floats(0, 1), on=scalars, deep=json_values)
)
settings_v2 = with_unknown(
    objects(
        shouldRespondModel=mostly(words, scalars),
        useMultiStep=mostly(flags, scalars),
        maxMultistepIterations=mostly(st.integers(0, 9), scalars),
        defaultTemperature=mostly(st.floats(0, 1), scalars),
        alwaysRespondChannels=mostly(words, scalars),
        extra=mostly(st.dictionaries(keys, json_values, max_size=2), json_values),
        secrets=name_values,
    )
)


def line(speaker: str, other: str) -> SearchStrategy[Any]:
    usual = objects({speaker: words, "content": content})
    return mostly(
        with_unknown(usual),
        objects({speaker: words, "content": content}, **{other: scalars}),
        with_unknown(objects({other: words, "content": content})),
        objects(**{speaker: words}),
        st.tuples(words, words).map(list),
        json_values,
    )


def talks(speaker: str, other: str, *, wrapped: bool) -> SearchStrategy[Any]:
    one = line(speaker, other)
    plain, examples = lists(lists(one)), lists(with_unknown(objects({"examples": lists(one)})))
    flat = lists(objects({speaker: words, "content": content}))
    return mostly(*((examples, plain) if wrapped else (plain, examples)), flat, lists(lists(one) | json_values))


def any_era(talk: SearchStrategy[Any], knowledge: SearchStrategy[Any]) -> dict[str, SearchStrategy[Any]]:
    return {
        "id": mostly(some_uuids, words, scalars),
        "username": mostly(words, scalars, json_values),
        "system": mostly(words, scalars, json_values),
        "bio": mostly(words | lists(words), texts, json_values),
        "messageExamples": talk,
        "postExamples": mostly(texts, lists(message_like)),
        "topics": texts,
        "adjectives": texts,
        "knowledge": knowledge,
        "plugins": plugins,
        "style": style,
        "templates": templates,
    }


def knowledge_lists(item: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return mostly(lists(item), st.dictionaries(keys, json_values, max_size=3), lists(json_values), json_values)


profile = objects({"username": words, "screenName": words, "bio": words}, id=words, nicknames=lists(words))
no_bots = objects(shouldIgnoreBotMessages=flags, shouldIgnoreDirectMessages=flags, allowedGroupIds=lists(words))
V0_FIELDS = any_era(talks("user", "name", wrapped=False), knowledge_lists(knowledge_item)) | {
    "email": scalars,
    "lore": texts,
    "clients": mostly(lists(client_names), lists(words), json_values),
    "modelProvider": mostly(model_providers, words, json_values),
    "imageModelProvider": mostly(model_providers, json_values),
    "imageVisionModelProvider": model_providers,
    "modelEndpointOverride": mostly(words, json_values),
    "clientConfig": mostly(objects(discord=no_bots, telegram=no_bots, slack=json_values), json_values),
    "twitterProfile": mostly(profile, json_values),
    "instagramProfile": profile,
    "simsaiProfile": json_values,
    "nft": mostly(objects(prompt=words), json_values),
    "postProcessors": lists(words),
    "extends": mostly(lists(words), json_values),
    "twitterSpaces": json_values,
    "description": mostly(words, json_values),
    "settings": mostly(settings_v0, json_values),
    "secrets": name_values,
}
V1_FIELDS = any_era(talks("name", "user", wrapped=False), knowledge_lists(knowledge_item)) | {
    "settings": mostly(settings_v1, json_values),
    "secrets": name_values,
}
V2_FIELDS = any_era(talks("name", "user", wrapped=True), knowledge_lists(cased_item)) | {
    "settings": mostly(settings_v2, json_values),
    "secrets": name_values,
    "advancedPlanning": mostly(flags, json_values),
    "advancedMemory": flags,
}
FIELDS = {"v0": V0_FIELDS, "v1": V1_FIELDS, "v2": V2_FIELDS}
UNKNOWN = st.sampled_from(("people", "battlePersona", "modelSettings", "nickname", "core_identity", "a b", "ü", "tags"))


def files(era: str) -> SearchStrategy[dict[str, Json]]:
    """Character files of an era: most fields as documented, some odd, some absent, some nobody ever heard of."""
    fields = FIELDS[era]

    @st.composite
    def file(draw: st.DrawFn) -> dict[str, Json]:
        chosen = draw(st.lists(st.sampled_from(sorted(fields)), max_size=MOST_FIELDS, unique=True))
        unknown = draw(st.dictionaries(UNKNOWN, json_values, max_size=2))
        return {"name": draw(names), **unknown, **{key: draw(fields[key]) for key in chosen}}

    return file()


def changed(value: Json, path: Sequence[int], new: Json, *, drop: bool = False) -> Json:
    """`value` with another value, or none, at the place that `path` leads to, by positions."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    key = list(value)[path[0] % len(value)] if isinstance(value, dict) else path[0] % len(value)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if drop and len(path) == 1:
        del copy[key]
    else:
        copy[key] = changed(value[key], path[1:], new, drop=drop)
    return copy
