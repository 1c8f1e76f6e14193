"""Eliza's character files: every shape in, one frozen model inside, every shape out."""

from teehee.character.load import Reading, load, loads, read, reads
from teehee.character.model import Character, Knowledge, Line, Style
from teehee.character.write import convert, export

__all__ = [
    "Character", "Knowledge", "Line", "Reading", "Style", "convert", "export", "load", "loads", "read", "reads",
]  # fmt: skip
