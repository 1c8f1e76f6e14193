"""Words people use as a full-text query: nothing a person writes is ever query syntax."""

import re

MOST_WORDS = 24
WORD = re.compile(r"\w{2,40}")
COMMON = frozenset(
    "the and for are was were you your yours that this these those with what when where which who why how does did"
    " can could would should will have has had not but from they them their there here about into just like tell me"
    " my is it in on of to do be an at as or if so we he she his her i a hi hello hey please".split()
)


def query(text: str) -> str:
    """An FTS5 query for any of the telling words of `text`; empty when it has none."""
    words = [word for word in WORD.findall(text.lower()) if word not in COMMON]
    return " OR ".join(f'"{word}"' for word in list(dict.fromkeys(words))[:MOST_WORDS])
