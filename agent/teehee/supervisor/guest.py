"""Which guest agent the vault gets: the one named, the TEE's own, or a simulator for development."""

import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from teehee.errors import ConfigError
from teehee.supervisor.plan import Plan

IMAGE_MARK = Path("/etc/teehee/image")  # the container image has it: what runs there runs in a TEE or not at all
SOCKETS = tuple(
    Path(folder) / name
    for name in ("dstack.sock", "tappd.sock")
    for folder in ("/var/run", "/run", "/var/run/dstack", "/run/dstack")
)
PATH_LIMIT = 100
DEV_ROOT = "dev-root.pem"


@dataclass(frozen=True, slots=True)
class Guest:
    """Where it listens. A simulator brings the collateral for its own quotes along, as JSON."""

    endpoint: str
    collateral: str = ""


@contextlib.asynccontextmanager
async def met(plan: Plan, *, mark: Path = IMAGE_MARK, sockets: Sequence[Path] = SOCKETS) -> AsyncIterator[Guest]:
    """The guest agent for a run. Raises ConfigError inside an image without one: there is no other place for keys."""
    if named := plan.run.settings.guest or _socket(sockets):
        yield Guest(named)
        return
    if _in_image(mark):
        raise _missing()
    async with _simulated(plan) as guest:
        yield guest


def mounted(sockets: Sequence[Path] = SOCKETS) -> str:
    """The TEE's own guest agent. Raises ConfigError without one: there is no other place for keys."""
    if found := _socket(sockets):
        return found
    raise _missing()


def _missing() -> ConfigError:
    return ConfigError(
        "this image runs only in a TEE: no guest agent's socket is mounted",
        hint=f"mount {SOCKETS[0]} into the vault's container; for development use `teehee run` outside the image",
    )


def refuse_in_image(mark: Path = IMAGE_MARK) -> None:
    """Raises ConfigError inside an image, where no simulator may run."""
    if _in_image(mark):
        raise ConfigError("this image has no simulator", hint="run teehee simulator outside the image")


def _socket(paths: Sequence[Path]) -> str:
    return next((str(path) for path in paths if path.is_socket()), "")


def _in_image(mark: Path) -> bool:
    return mark.exists()


@contextlib.asynccontextmanager
async def _simulated(plan: Plan) -> AsyncIterator[Guest]:
    """A simulator on this folder's own seed, and its root beside it for whoever is to trust it."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_certificate

    from teehee.tee.guest import read_or_make_seed
    from teehee.tee.simulator import Simulator

    data = plan.folder.path
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(read_or_make_seed(data / "developer-seed")))
        root = load_der_x509_certificate(simulator.root_der).public_bytes(Encoding.PEM)
        (data / DEV_ROOT).write_bytes(root)
        socket = plan.folder.sockets / "guest.sock"
        if len(str(socket).encode()) > PATH_LIMIT:
            socket = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="teehee-"))) / "guest.sock"
        socket.unlink(missing_ok=True)
        endpoint = await simulator.listen(socket=socket)
        yield Guest(endpoint, json.dumps(simulator.collateral(int(time.time()))))
