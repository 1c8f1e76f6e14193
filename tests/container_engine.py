"""A container engine for tests: podman behind Docker's API, driven by Docker's own Compose, and the image built for it.

Nothing is pulled: the base image is a Debian made here, and packages come by the lock, through pip as it is configured.
What takes long to fetch is kept outside the checkout. A machine's own engine and its containers are not touched.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

Json = Any
ROOT = Path(__file__).parents[1]
DEBIAN, PYTHON = "bookworm", "3.11"
BASE_PACKAGES = "python3,python3-venv"
IMAGE = "localhost/teehee:test"
INSTALLED = "localhost/teehee-packages:test"  # the image's stage with all packages but ours
BUILT_OF = ("Dockerfile", ".dockerignore", "requirements/run.txt", "pyproject.toml", "README.md", "LICENSE")
BUILT_OF_FOLDERS = ("agent", "plugins", "characters")
MAKE_SECONDS = 400
SECONDS = 60.0
PACKAGES = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "iptables": "iptables"}

MAY_BUILD = pytest.mark.timeout(2 * MAKE_SECONDS)
"""For `pytestmark` of a module that needs the image: its first test may wait for it to be made."""

# As few demands on the machine as possible: no systemd, no cgroups of its own, no raised limits.
CONFIGURATION = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
"""
UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that runs: `folder` has its images and containers, `socket` speaks Docker's API."""

    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "api.sock"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "DISABLE_HC_SYSTEMD": "true",  # health checks are asked for, not timed by systemd
            "DOCKER_HOST": f"unix://{self.socket}",
        }

    def podman(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run([*self.command(), *map(str, words)], check=check)

    def command(self) -> list[str]:
        roots = ["--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        return [tool("podman"), *roots, "--storage-driver", "overlay"]

    def compose(self, file: Path, *words: object, environment: Mapping[str, str] | None = None) -> str:
        """Docker Compose on `file`, in a project of its folder's name; gives what it says."""
        line = [str(fetched("tools") / "docker-compose"), "-p", file.parent.name, "-f", str(file)]
        return self.run([*line, *map(str, words)], environment=environment).stdout

    def run(
        self, line: Sequence[str], *, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            line,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MAKE_SECONDS,
        )
        if check and ended.returncode:
            raise AssertionError(
                f"{line[0]} ended with {ended.returncode}:\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}"
            )
        return ended

    def inspect(self, name: str) -> Json:
        return json.loads(self.podman("inspect", name).stdout)[0]


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """The engine, with the image of this checkout built. Ends every container it started."""
    if os.geteuid() != 0:
        unavailable("containers with networks of their own need root")
    for name, package in PACKAGES.items():
        tool(name, package)
    made = Engine(cache() / "engine")
    made.folder.mkdir(exist_ok=True)
    (made.folder / "containers.conf").write_text(CONFIGURATION)
    with turn("engine"):
        build(made)
        made.socket.unlink(missing_ok=True)
        service = subprocess.Popen(
            [*made.command(), "system", "service", "--time", "0", f"unix://{made.socket}"], env=made.environment
        )
        try:
            wait_for(made.socket.is_socket)
            yield made
        finally:
            made.podman("rm", "--all", "--force", "--time", "0", check=False)
            made.podman("volume", "prune", "--force", check=False)
            service.terminate()
            service.wait(20)


def build(made: Engine) -> None:
    """The image, from the Dockerfile and the lock, without a network."""
    with ThreadPoolExecutor() as pool:
        base, *_ = pool.map(fetched, ("base", "wheels", "tools"))
    if made.podman("image", "exists", debian(), check=False).returncode:
        made.podman("import", "--quiet", base / "root.tar", debian())
    build_from(made, ROOT, IMAGE)
    made.podman("image", "prune", "--force", "--filter", "until=24h")


def build_again(made: Engine, folder: Path, tag: str) -> None:
    """The image once more, from a copy of the sources in `folder`: what is ours is built anew, whatever is cached."""
    for name in BUILT_OF:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
        (folder / name).chmod(0o600)
    for name in BUILT_OF_FOLDERS:
        shutil.copytree(ROOT / name, folder / name, copy_function=shutil.copyfile)
    build_from(made, ROOT, INSTALLED, "--target", "packages")
    build_from(made, folder, tag, "--no-cache", "--build-context", f"packages=container-image://{INSTALLED}")


def build_from(made: Engine, source: Path, tag: str, *how: str) -> None:
    given = {"BASE": debian(), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    arguments = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    offline = ("--pull=never", "--network", "none", "--volume", f"{fetched('wheels')}:/wheels:ro")
    made.podman("build", "--quiet", "--timestamp", "1", *how, *offline, *arguments, "--tag", tag, source)


def debian() -> str:
    """The name of the base image."""
    return f"localhost/{fetched('base').name}:test"


# -- what is fetched once and kept


@functools.cache
def fetched(name: str) -> Path:
    """The folder with `base` (a Debian), `wheels` (the lock's) or `tools` (Compose, hadolint)."""
    make, made_of = MAKERS[name]
    key = hashlib.sha256("\n".join(map(str, made_of())).encode()).hexdigest()[:16]
    folder = cache() / f"{name}-{key}"
    with turn(name):
        if not folder.is_dir():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            make(making)
            making.rename(folder)
    return folder


def make_base(folder: Path) -> None:
    options = [f"--dpkgopt=path-exclude={path}" for path in UNNEEDED]
    packages = f"--include={BASE_PACKAGES}"
    run("mmdebstrap", "--quiet", "--variant=minbase", packages, *options, DEBIAN, str(folder / "root.tar"))


def make_wheels(folder: Path) -> None:
    """For the base's Python, whatever runs the tests."""
    pip = pip_in(folder / "venv")
    platforms = [f"--platform=manylinux{age}_x86_64" for age in ("2014", "_2_17", "_2_24", "_2_28", "_2_34")]
    target = [f"--python-version={PYTHON}", "--implementation=cp", *platforms]
    lock = ROOT / "requirements/run.txt"
    run(*pip, "download", "--require-hashes", "--only-binary=:all:", *target, "-r", str(lock), "-d", str(folder))
    shutil.rmtree(folder / "venv")


def make_tools(folder: Path) -> None:
    """Compose comes as a source distribution with Docker's own program in it."""
    lock = ROOT / "requirements/container.txt"
    run(*pip_in(folder), "install", "--require-hashes", "-r", str(lock))
    (program,) = folder.glob("lib/*/site-packages/compose/docker-compose")
    (folder / "docker-compose").symlink_to(program.relative_to(folder))


def pip_in(folder: Path) -> list[str]:
    """pip, in a virtual environment made for it."""
    run(sys.executable, "-m", "venv", str(folder))
    return [str(folder / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]


MAKERS: dict[str, tuple[Callable[[Path], None], Callable[[], Sequence[object]]]] = {
    "base": (make_base, lambda: (DEBIAN, BASE_PACKAGES, UNNEEDED)),
    "wheels": (make_wheels, lambda: (PYTHON, (ROOT / "requirements/run.txt").read_text())),
    "tools": (make_tools, lambda: (sys.executable, (ROOT / "requirements/container.txt").read_text())),
}


def run(*line: str) -> None:
    try:
        subprocess.run(line, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MAKE_SECONDS)
    except FileNotFoundError:
        unavailable(f"needs {line[0]}")
    except subprocess.CalledProcessError as error:
        unavailable(f"{' '.join(line[:4])} … could not be done:\n{error.stderr[-2000:]}")
    except subprocess.TimeoutExpired:
        unavailable(f"{' '.join(line[:4])} … took more than {MAKE_SECONDS} seconds")


def cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teehee-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def turn(name: str) -> Iterator[None]:
    """One process at a time makes a thing."""
    with (cache() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def wait_for(claim: Callable[[], bool], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s")
        time.sleep(0.05)


def tool(name: str, package: str = "") -> str:
    return shutil.which(name) or unavailable(f"needs {name} (apt install {package or name})")


def unavailable(reason: str) -> NoReturn:
    """Skips, where tools may be missing; else fails."""
    if os.environ.get("TEEHEE_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


if __name__ == "__main__":
    with engine() as up:
        sys.stdout.write(up.inspect(IMAGE)["Digest"] + "\n")
