"""Who holds what of an agent's accounts: the vault's word on its secrets, the connectors' on their platforms."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from teehee.wire.client import Client

Json = Any
SEEN = {
    "start": "came with the start, by environment or character file: whoever starts the agents has seen it",
    "owner": "was handed over while the agent ran, by `teehee secrets set`: its owner has seen it",
    "gate": "was got from the platform by the gate, inside, and is kept sealed: nobody was shown it",
    "": "was given before this was recorded: somebody has seen it",
}
DEVELOPMENT = "trust is dev: no hardware guards this machine; whoever reads its data folder can read every secret"


class Accounts:
    """`remember` is for connectors; what they say is gone with this process and said again by the next."""

    def __init__(self, public: Client, trust: str) -> None:
        self.public = public
        self.trust = trust
        self._said: dict[tuple[str, str], tuple[Sequence[str], Sequence[str]]] = {}

    def remember(self, agent: str, platform: str, powers: Sequence[str], guards: Sequence[str]) -> None:
        """What people can do with the account of a platform, and what is done about it, in sentences."""
        self._said[agent, platform] = tuple(powers), tuple(guards)

    async def of(self, agent: str) -> list[Json]:
        """Each account of an agent: who has seen what opens it, which powers remain, what guards against them."""
        told = []
        for account in (await self.public.call("accounts", {"agent": agent}))["accounts"]:
            powers, guards = self._said.get((agent, account["platform"]), ((), ()))
            told.append(
                {
                    "platform": account["platform"],
                    "id": account["id"],
                    "since": account["since"],
                    "secrets": [_seen(kept) for kept in account["secrets"]],
                    "powers": [*powers, *([DEVELOPMENT] if self.trust == "dev" else [])],
                    "guards": list(guards),
                    "connected": (agent, account["platform"]) in self._said,
                }
            )
        return told


def _seen(kept: Mapping[str, Json]) -> Json:
    """A secret with the sentence on who could read it, and since when."""
    name = kept["name"].partition("/")[2]
    day = time.strftime(" (%Y-%m-%d %H:%M UTC)", time.gmtime(kept["at"] / 1000)) if kept["at"] else ""
    return {"name": name, "giver": kept["giver"], "at": kept["at"], "seen": f"{name} {SEEN[kept['giver']]}{day}"}
