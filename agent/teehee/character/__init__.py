"""Eliza's character files: every shape in, one frozen model inside."""

from teehee.character.load import load, loads
from teehee.character.model import Character, Line, Style

__all__ = ["Character", "Line", "Style", "load", "loads"]
