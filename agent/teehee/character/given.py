"""The settings a file gives, and the secrets among them: names stay where they were, values are taken out."""

from typing import Any

from teehee.character.fields import Fields, scalar

Json = Any


def settings(fields: Fields, era: str) -> tuple[dict[str, Json], dict[str, str]]:
    """The settings, where every secret is a name without its value; and the values by name.

    Where one name stands in several places the era's own order decides: 0.x looks into `settings.secrets` before
    `settings`, 1.x into the root's `secrets`, then `settings`, then `settings.secrets`.
    """
    settings = fields.mapping("settings")
    inner, root = settings.get("secrets"), fields.left.get("secrets")
    found = _secrets(inner)
    if era != "v0":
        found |= {name: text for name in found if (text := scalar(settings.get(name)))}
    found |= _secrets(root)
    for holder, key, path in ((settings, "secrets", "$.settings.secrets"), (fields.left, "secrets", "$.secrets")):
        if key in holder:
            filled = sorted(_secrets(holder[key]))
            holder[key] = _blank(holder[key])
            if filled:
                named = ", ".join(filled)[:120]
                fields.warn(path, f"holds values ({named}): the vault takes them, but who has the file has them too")
    if root is not None:
        fields.understood.append("secrets")
        fields.reshaped.add("secrets")
    return settings, found


def _secrets(value: Json, name: str = "") -> dict[str, str]:
    """`name -> value` of every non-empty scalar in a secrets object, however deep; a nested name has dots."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        found: dict[str, str] = {}
        for key, item in parts:
            found |= _secrets(item, f"{name}.{key}" if name else str(key))
        return found
    text = scalar(value)
    return {name or "secrets": text} if text else {}


def _blank(value: Json) -> Json:
    """The names in a secrets object, with nothing in them."""
    if isinstance(value, dict):
        return {key: _blank(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_blank(item) for item in value]
    return ""
