"""The gate's links to the minds, where each agent has a mind of its own: what one says is of its own agent only."""

import asyncio
from collections.abc import Mapping
from typing import Any

from teehee.wire.client import PATIENCE, Client, Notify

Json = Any


class Minds(Client):
    """Stands for the one mind: a call goes to the mind of the agent it names."""

    def __init__(self, links: Mapping[str, Client]) -> None:
        self.links = links

    async def __aenter__(self) -> "Minds":
        await asyncio.gather(*(link.__aenter__() for link in self.links.values()))
        return self

    async def __aexit__(self, *what: object) -> None:
        await asyncio.gather(*(link.__aexit__(*what) for link in self.links.values()))

    async def call(self, method: str, params: dict[str, Json] | None = None, *, patience: float = PATIENCE) -> Json:
        """As `Client.call`; `params` name the agent."""
        link = self.links[(params or {})["agent"]]
        return await link.call(method, params, patience=patience)

    async def call_now(self, method: str, *, patience: float) -> Json:
        """The health of all minds as if they were one. Raises Unavailable when one is away or silent."""
        said = await asyncio.gather(*(link.call_now(method, patience=patience) for link in self.links.values()))
        own = list(zip(self.links, said, strict=True))
        return {
            "agents": [agent for agent, one in own if agent in one["agents"]],
            "vault": all(one["vault"] for one in said),
            "disk": next((one["disk"] for one in said if one["disk"]), ""),
            "waiting": {agent: one["waiting"].get(agent, 0) for agent, one in own},
            "counts": [count for agent, one in own for count in one["counts"] if count[1][:1] == [agent]],
        }


def only_of(agent: str, hear: Notify) -> Notify:
    """`hear` for the mind of one agent: what it says of another is dropped."""

    def heard(method: str, params: dict[str, Json]) -> None:
        if params.get("agent") == agent:
            hear(method, params)

    return heard
