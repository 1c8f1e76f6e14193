"""Registers what pytest must know before it reads a test: `--hypothesis-profile teehee-long` looks for longer."""

from hypothesis import settings

settings.register_profile("teehee-ci", max_examples=5_000, deadline=None)
settings.register_profile("teehee-long", max_examples=100_000, deadline=None)
