"""teehee runs any Eliza character as an agent nobody can puppet."""

__version__ = "0.1.0"
