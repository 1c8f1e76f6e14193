"""Unix socket paths of any length: Linux takes 107 bytes, a data folder may be deeper."""

import os
from pathlib import Path

LIMIT = 100
_folders: dict[str, int] = {}


def short(path: Path) -> str:
    """`path`, or the same socket through /proc/self/fd when its name is too long for the kernel."""
    if len(os.fsencode(path)) <= LIMIT:
        return str(path)
    folder = str(path.parent)
    if folder not in _folders:
        _folders[folder] = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{_folders[folder]}/{path.name}"
