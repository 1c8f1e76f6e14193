"""The weights of the local model: put together from packages by the real tools, resumed, checked, refused."""

import asyncio
import hashlib
import json
import os
import random
import re
import shutil
import signal
import tomllib
import zipfile
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from networks import unavailable
from teehee.errors import ConfigError, Unavailable
from teehee.supervisor import plan as plans
from teehee.testing import until
from teehee.testing.command_line import started, teehee
from teehee.weights import assemble, manifest, parts, place

pytestmark = pytest.mark.timeout(120)

Json = Any
PARTS, SIZE = 6, 100_000
QWEN = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"


@dataclass
class Shelf:
    """A model of six made-up parts as wheels in a folder, and the environment in which pip and uv find them."""

    folder: Path
    whole: bytes
    manifest: Path

    @property
    def environment(self) -> dict[str, str]:
        wheels = str(self.folder / "wheels")
        tools = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "UV_NO_INDEX": "1", "UV_FIND_LINKS": wheels}
        ours = {"TEEHEE_LOCAL_MODEL": str(self.manifest), "TEEHEE_CACHE": str(self.folder / "cache")}
        return {**tools, **ours, "TEEHEE_OLLAMA_URL": "off", "TEEHEE_DATA": str(self.folder / "data")}

    @property
    def at(self) -> place.Place:
        found = place.of(str(self.manifest), self.folder / "cache")
        assert found is not None
        return found

    def wheel(self, number: int) -> Path:
        return self.folder / "wheels" / f"made_up_part{number}-1.0-py3-none-any.whl"

    def change(self, **told: Json) -> None:
        """Writes the manifest with other facts; `part` changes the third part."""
        value = json.loads(self.manifest.read_text())
        value["parts"][2] |= told.pop("part", {})
        self.manifest.write_text(json.dumps(value | told))


def wheel(path: Path, package: str, member: str, data: bytes) -> None:
    info = f"{package}-1.0.dist-info"
    files = {
        member: data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, content)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "wheels").mkdir()
    made = Shelf(tmp_path, place.MAGIC + random.Random(1).randbytes(PARTS * SIZE - 4), tmp_path / "made-up.json")
    told = []
    for number in range(PARTS):
        data = made.whole[number * SIZE : (number + 1) * SIZE]
        member = f"made_up_part{number}/data/part.bin"
        wheel(made.wheel(number), f"made_up_part{number}", member, data)
        pinned = hashlib.sha256(made.wheel(number).read_bytes()).hexdigest()
        own = hashlib.sha256(data).hexdigest()
        told.append(
            {"package": f"made-up-part{number}", "version": "1.0", "wheel_sha256": pinned, "member": member,
             "size": SIZE, "sha256": own}
        )  # fmt: skip
    whole = {"name": "made-up", "shown": "Made Up", "file": "made-up.gguf", "size": PARTS * SIZE, "parts": told}
    made.manifest.write_text(json.dumps({**whole, "sha256": hashlib.sha256(made.whole).hexdigest()}))
    return made


async def test_the_parts_are_got_put_together_and_checked(shelf: Shelf) -> None:
    ended = await teehee("model", "install", "--json", environment=shelf.environment)

    assert (ended.code, ended.json["verified"]) == (0, True), ended.err
    assert shelf.at.path.read_bytes() == shelf.whole
    assert {path.name for path in shelf.at.path.parent.iterdir()} == {
        "made-up.gguf", "made-up.gguf.lock", "made-up.gguf.verified"
    }  # fmt: skip
    assert "600,000 of 600,000 bytes" in ended.err


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_pip_and_uv_both_do(shelf: Shelf, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [command for command in parts._commands() if (tool == "uv") == (command[0].endswith("uv"))]
    if not commands:
        unavailable(f"{tool} is not installed")
    monkeypatch.setattr(parts, "_commands", lambda: iter(commands))
    for name, value in shelf.environment.items():
        monkeypatch.setenv(name, value)

    assemble.install(shelf.at, print)

    assert shelf.at.path.read_bytes() == shelf.whole


async def test_a_killed_installation_goes_on_where_it_stopped(shelf: Shelf) -> None:
    async with started("model", "install", environment=shelf.environment) as process:
        await until(lambda: shelf.at.partial.exists() and shelf.at.partial.stat().st_size >= SIZE, seconds=60)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    have = shelf.at.partial.stat().st_size
    told = await teehee("model", "list", "--json", environment=shelf.environment)
    for number in range(have // SIZE):
        shelf.wheel(number).unlink()  # what is here already is not fetched again
    ended = await teehee("model", "install", environment=shelf.environment)

    assert SIZE <= have < PARTS * SIZE
    assert told.json["models"][0]["weights"] == "partial"
    assert "goes on where it stopped" in told.json["models"][0]["fix"]
    assert ended.code == 0, ended.err
    assert shelf.at.path.read_bytes() == shelf.whole


async def test_two_at_once_put_it_together_once(shelf: Shelf) -> None:
    runs = [teehee("model", "install", environment=shelf.environment) for _ in range(2)]
    first, second = await asyncio.gather(*runs)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert (first.err + second.err).count("waiting for it") == 1
    assert shelf.at.path.read_bytes() == shelf.whole


async def test_a_wheel_other_than_the_pinned_one_is_refused(shelf: Shelf) -> None:
    wheel(shelf.wheel(2), "made_up_part2", "made_up_part2/data/part.bin", b"evil" * (SIZE // 4))
    ended = await teehee("model", "install", environment=shelf.environment)

    assert ended.code == Unavailable.exit_code
    assert "could not be got" in ended.err
    assert not shelf.at.path.exists()


@pytest.fixture
def unpacked(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf whose packages are installed, where neither pip nor uv is."""
    for number in range(PARTS):
        with zipfile.ZipFile(shelf.wheel(number)) as archive:
            archive.extractall(shelf.folder / "site")
    monkeypatch.syspath_prepend(shelf.folder / "site")
    monkeypatch.setattr(parts, "_commands", lambda: iter(()))
    return shelf


def test_parts_that_are_installed_are_not_fetched(unpacked: Shelf) -> None:
    weights = unpacked.at.weights
    assert weights is not None
    was_all_there = assemble.all_installed(weights)
    assemble.install(unpacked.at, print)

    assert was_all_there
    assert unpacked.at.path.read_bytes() == unpacked.whole
    assert parts.installed(replace(weights.parts[0], version="2.0")) is None


def test_without_pip_and_uv_it_says_what_else_helps(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_commands", lambda: iter(()))
    with pytest.raises(ConfigError) as refused:
        assemble.install(shelf.at, print)

    assert "ensurepip" in refused.value.hint


def test_what_a_broken_off_installation_left_altered_is_made_again(unpacked: Shelf) -> None:
    unpacked.at.partial.parent.mkdir(parents=True)
    unpacked.at.partial.write_bytes(unpacked.whole[:SIZE] + b"x" * 3 * SIZE)
    assemble.install(unpacked.at, print)

    assert unpacked.at.path.read_bytes() == unpacked.whole


def test_a_part_with_another_digest_is_refused(unpacked: Shelf) -> None:
    unpacked.change(part={"sha256": "0" * 64})
    with pytest.raises(ConfigError, match="it was altered"):
        assemble.install(unpacked.at, print)

    assert not unpacked.at.path.exists()
    assert unpacked.at.partial.stat().st_size == 2 * SIZE  # the good ones stay


def test_parts_that_do_not_give_the_known_whole_are_refused(unpacked: Shelf) -> None:
    unpacked.change(sha256="0" * 64)
    with pytest.raises(ConfigError, match="expected 0000"):
        assemble.install(unpacked.at, print)

    assert not unpacked.at.path.exists()


@pytest.fixture
def whole(unpacked: Shelf, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf whose model is put together already, and which is the local model of this process."""
    for name, value in unpacked.environment.items():
        monkeypatch.setenv(name, value)
    assemble.install(unpacked.at, print)
    return unpacked


def test_a_whole_file_is_taken_when_nothing_better_is_named(whole: Shelf) -> None:
    (agent,) = plans.make(["wren"], {}).agents

    assert agent.choice.shown == "Made Up (local)"
    assert agent.notes == ()
    assert "classic brain answers" in agent.choice.hint


def alter(path: Path) -> None:
    """Changes one byte and puts the times back."""
    about = path.stat()
    with open(path, "r+b") as file:
        file.seek(1000)
        file.write(bytes([file.read(1)[0] ^ 1]))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, SIZE)


@pytest.mark.parametrize(("spoil", "told"), [(alter, "it was altered"), (cut, "expected 600,000")])
async def test_a_file_that_is_not_whole_is_refused_with_what_to_do(whole: Shelf, spoil: Any, told: str) -> None:
    spoil(whole.at.path)
    (agent,) = plans.make(["wren"], {}).agents
    with pytest.raises(ConfigError) as named:
        plans.make(["wren"], {"model_provider": "local"})
    tested = await teehee("model", "test", environment={**whole.environment, "TEEHEE_MODEL_PROVIDER": "local"})

    assert agent.choice.shown == "classic"
    assert told in agent.notes[0]
    assert "`teehee model install` gets it anew" in agent.notes[0]
    assert told in str(named.value)
    assert (tested.code, told in tested.err) == (2, True)


def test_a_whole_file_is_hashed_once(whole: Shelf) -> None:
    hashed: list[int] = []
    place.look(whole.at, hashed.append)
    os.utime(whole.at.path)
    place.look(whole.at, hashed.append)
    place.look(whole.at, hashed.append)

    assert sum(hashed) == len(whole.whole)  # after it was touched, and not before or since


def test_an_altered_file_is_put_together_anew(whole: Shelf) -> None:
    alter(whole.at.path)
    assemble.install(whole.at, print)

    assert whole.at.path.read_bytes() == whole.whole


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.gguf").write_bytes(b"PK not a model")
    (agent,) = plans.make(["wren"], {"local_model": str(tmp_path / "own.gguf")}).agents

    assert agent.choice.shown == "classic"
    assert "is no GGUF file" in agent.notes[0]


def test_a_model_nobody_knows_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError) as refused:
        place.of("gpt-9", Path())

    assert "qwen2.5-coder-1.5b" in refused.value.hint


def test_too_little_room_is_told_before_anything_is_fetched(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 30, 1 << 30, 1 << 20))
    with pytest.raises(ConfigError, match="1 MB free"):
        assemble.install(shelf.at, print)


def test_the_shipped_manifest_pins_what_the_extra_installs() -> None:
    weights = manifest.read(manifest.FOLDER / "qwen2.5-coder-1.5b.json")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    pinned = {f"{part.package}=={part.version}" for part in weights.parts}

    assert (weights.size, weights.sha256) == (1_117_320_768, QWEN)
    assert len(weights.parts) == 22
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for p in weights.parts for digest in (p.sha256, p.wheel_sha256))
    assert pinned == set(project["optional-dependencies"]["local"]) - {"xllamacpp>=2026.10"}
    assert resources.files("teehee.weights").joinpath("qwen2.5-coder-1.5b.json").is_file()
