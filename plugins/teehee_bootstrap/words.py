"""Headings, lists and made-up names, as Eliza's prompts have them."""

import random
import re
from collections.abc import Callable, Sequence

NAMES = ("Ari", "Bo", "Cleo", "Dara", "Eli", "Finn", "Gus", "Hana", "Ivo", "Juno")
PLACEHOLDER = re.compile(r"\{\{\s*(?:user|name)(\d{1,3})\s*\}\}")


def headed(heading: str, body: str) -> str:
    """`body` under `heading`, as Eliza's `addHeader` writes it; nothing when there is no body."""
    return f"{heading}\n{body}\n" if body else ""


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def named(pick: random.Random) -> Callable[[str], str]:
    """Puts names in the place of `{{user1}}` and `{{name1}}`, the same name for the same number."""
    names = pick.sample(NAMES, len(NAMES))
    return lambda text: PLACEHOLDER.sub(lambda found: names[(int(found[1]) - 1) % len(names)], text)
