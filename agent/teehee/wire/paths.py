"""Unix sockets: where each lies, and paths of any length (Linux takes 107 bytes, a data folder may be deeper)."""

import hashlib
import os
import socket
from pathlib import Path

LIMIT = 100
_folders: dict[str, int] = {}


def socket_in(folder: Path, name: str) -> Path:
    """Where the socket `name` lies: in `folder`, or in the volume that a container has there for this one alone."""
    volume = folder / name
    return (volume if volume.is_dir() else folder) / f"{name}.sock"


def of_mind(sockets: Path, agent: str) -> Path:
    """The folder of the sockets between an agent's own mind and the others, where each agent has one."""
    return sockets / "minds" / hashlib.sha256(agent.encode()).hexdigest()[:32]


def short(path: Path) -> str:
    """`path`, or the same socket through /proc/self/fd when its name is too long for the kernel."""
    if len(os.fsencode(path)) <= LIMIT:
        return str(path)
    folder = str(path.parent)
    known = _folders.get(folder)
    if known is None or not os.path.samestat(os.fstat(known), os.stat(folder)):  # it may have been made anew
        if known is not None:
            os.close(known)
        _folders[folder] = known = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{known}/{path.name}"


def bind(path: Path) -> socket.socket:
    """A Unix socket bound at `path`, for this user only. A leftover of a killed process is replaced."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(short(path))
    finally:
        os.umask(mask)
    sock.setblocking(False)
    return sock
