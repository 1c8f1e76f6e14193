"""A network namespace for the mind: loopback at most."""

import os
import shutil
import subprocess
import sys
from typing import NoReturn

import pytest

# Brings loopback up (SIOCSIFFLAGS, IFF_UP), then becomes the command that follows.
UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def own_network(*, loopback: bool = True) -> list[str]:
    """The command that gives what follows it a network of its own; where there is none to give, see `unavailable`."""
    prefix = ["unshare", "--net", "--", *([sys.executable, "-c", UP] if loopback else [])]
    tried = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True, check=False)
    if not tried or tried.returncode:
        unavailable(f"unshare --net does not work here: {tried.stderr.decode().strip() if tried else 'not installed'}")
    return prefix


def unavailable(reason: str) -> NoReturn:
    """Skips, where tools may be missing; else fails."""
    if os.environ.get("TEEHEE_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)
