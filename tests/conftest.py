"""What holds for every test: no model of this machine counts; `--hypothesis-profile teehee-long` looks for longer."""

import os

from hypothesis import settings

settings.register_profile("teehee-ci", max_examples=2_000, deadline=None)
settings.register_profile("teehee-long", max_examples=100_000, deadline=None)
os.environ["TEEHEE_OLLAMA_URL"] = "off"  # an Ollama on this machine would answer in the classic brain's place
os.environ["TEEHEE_LOCAL_MODEL"] = "off"  # so would weights in its cache
