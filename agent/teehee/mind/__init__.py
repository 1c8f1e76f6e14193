"""The mind: it reads what was said and decides what to answer."""
