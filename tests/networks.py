"""A network namespace for the mind: loopback at most."""

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

UP = 'ip link set lo up && exec "$0" "$@"'


def own_network(*, loopback: bool = True) -> list[str]:
    """The command that gives what follows it a network of its own; where there is none to give, see `unavailable`."""
    prefix = ["unshare", "--net", "--", *(["sh", "-c", UP] if loopback else [])]
    tried = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True, check=False)
    if not tried or tried.returncode:
        unavailable(f"unshare --net does not work here: {tried.stderr.decode().strip() if tried else 'not installed'}")
    return prefix


def unavailable(reason: str) -> NoReturn:
    """Skips, where tools may be missing; else fails."""
    if os.environ.get("TEEHEE_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)
