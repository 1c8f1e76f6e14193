"""Hot reload: character files are looked at once a second, with all they extend and the knowledge they name, and a
changed one is taken in while the agents run.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from teehee import character as characters
from teehee.character import extends, fragments
from teehee.character.model import Knowledge
from teehee.errors import ConfigError, TeeheeError
from teehee.supervisor import plan as plans
from teehee.supervisor.plan import Plan

LOOK_SECONDS = 1.0
SETTLE_SECONDS = 0.2  # a file that changed is read once it has not changed for so long

Look = dict[Path, tuple[int, int, int] | None]


class Run(Protocol):
    """What a reload needs of the supervisor."""

    plan: Plan
    tell: Callable[[str], None]

    async def change(self, wanted: Plan, places: list[int]) -> list[int]:
        """Goes on with `wanted`, where the agents at `places` are others; gives their epochs."""


class Watched:
    """A character's file with all it extends and knows, and how they looked when they were last read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.knowledge: list[Knowledge] = []  # of a file that does not load just now: what it named before
        self.read()

    def read(self) -> None:
        """Remembers how the files look now: before they are read, so that a later change is seen."""
        with contextlib.suppress(ConfigError):
            self.knowledge = [item for one in characters.read(self.path) for item in one.character.knowledge]
        self.files = (*extends.chain(self.path), *fragments.places(self.knowledge, self.path.parent))
        self.look = self._look()

    def has_changed(self) -> bool:
        return self._look() != self.look

    def changed(self) -> str:
        """The name of what has changed."""
        now = self._look()
        return next((path.name for path in self.files if now[path] != self.look[path]), self.path.name)

    async def settled(self) -> None:
        """Waits until whoever writes the files has ended."""
        self.read()
        await asyncio.sleep(SETTLE_SECONDS)
        while self.has_changed():
            self.read()
            await asyncio.sleep(SETTLE_SECONDS)

    def _look(self) -> Look:
        return {path: _look(path) for path in self.files}


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Reload:
    """Watches the files of one run. Whatever a file holds, the agents go on: as before, or as it says."""

    def __init__(self, run: Run) -> None:
        self.run = run
        paths = {name: plans.path_of(name) for name in run.plan.names}
        self.files = {name: Watched(path) for name, path in paths.items() if path is not None}

    async def watch(self) -> None:
        """Looks once a second, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for name, watched in self.files.items():
                if watched.has_changed():
                    file = watched.changed()
                    await watched.settled()
                    await self._take(name, file)

    async def _change(self, wanted: Plan, places: list[int]) -> list[int]:
        try:
            return await self.run.change(wanted, places)
        except ConfigError:
            raise
        except TeeheeError:  # a process that was killed on the way, say: all is as before, so once more
            return await self.run.change(wanted, places)

    async def _take(self, name: str, file: str) -> None:
        said: list[str] = []
        try:
            before, wanted = self.run.plan, await asyncio.to_thread(plans.again, self.run.plan, name, said.append)
            places = [n for n, pair in enumerate(zip(before.agents, wanted.agents, strict=True)) if _differ(*pair)]
            if not places:
                return
            epochs = await self._change(wanted, places)
        except (TeeheeError, OSError) as error:
            way_out = getattr(error, "hint", "")
            self.run.tell(
                f"{file} is not taken in, what ran before goes on: {error}" + (f" ({way_out})" * bool(way_out))
            )
            return
        for place, epoch in zip(places, epochs, strict=True):
            self.run.tell(_told(file, before.agents[place], wanted.agents[place], epoch))
            said += [f"{wanted.agents[place].character.name}: {note}" for note in _new_notes(before, wanted, place)]
        for sentence in said:
            self.run.tell(sentence)


def _differ(one: plans.PlannedAgent, other: plans.PlannedAgent) -> bool:
    return (one.character, one.effective, one.secrets, one.choice, one.salt) != (
        other.character, other.effective, other.secrets, other.choice, other.salt,
    )  # fmt: skip


def _new_notes(before: Plan, wanted: Plan, place: int) -> list[str]:
    return [note for note in wanted.agents[place].notes if note not in before.agents[place].notes]


def _told(file: str, before: plans.PlannedAgent, now: plans.PlannedAgent, epoch: int) -> str:
    """The one line on an agent that changed."""
    old, new = plans.package_hash(before.character), plans.package_hash(now.character)
    which = "" if "#" not in now.slot else f"{now.character.name}'s "
    package = f"package {old[:4]}… → {new[:4]}…" if old != new else f"package {new[:4]}… as before"
    named = f"; called {now.character.name} now, at the address /chat/{now.slug} until a restart"
    return f"{file} changed: {which}{package}, epoch {epoch}" + (named * (before.character.name != now.character.name))
