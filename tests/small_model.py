"""A small real model for the tests: SmolLM2, which speaks but does not think, got and checked by our own installer."""

import os
import sys
from functools import cache
from pathlib import Path

from networks import unavailable
from teehee.errors import TeeheeError
from teehee.weights import assemble, place

MANIFEST = Path(__file__).parent / "vectors/weights/smollm2.json"
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teehee-tests"


@cache
def small_model() -> Path:
    """The file, 98 MB; got once per machine."""
    at = place.of(str(MANIFEST), FOLDER)
    assert at is not None
    try:
        assemble.install(at, print)
    except TeeheeError as error:
        unavailable(f"no small model: {error} ({error.hint})")
    return at.path


if __name__ == "__main__":
    sys.stdout.write(f"{small_model()}\n")
