"""Files that people sent, asked of the gate: the mind knows their ids, and neither an address nor a token."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

FETCH_SECONDS = 25.0  # the gate gives up first, so that its reason arrives
WORDS: Mapping[str, str] = {  # what a prompt says of a file, by the gate's code
    "too-large": "which is too large to be read",
    "gone": "which is not there any more",
    "not-yours": "which cannot be fetched any more",
    "slow": "which took too long to come",
    "away": "which could not be fetched just now",
}
FOR_NOW = ("slow", "away")  # another try may fare better


class Unread(Exception):
    """Something sent that could not be read; `str` goes on where the line that stands for it ends."""

    def __init__(self, why: str = "which could not be read", *, for_now: bool = False) -> None:
        super().__init__(why)
        self.for_now = for_now


class Files(Protocol):
    """Where the bytes of a file come from."""

    async def fetch(self, agent: str, source: str, id: str) -> bytes:
        """Raises Unread."""
        ...


class GateFiles:
    """The gate's, by its socket. Nothing is opened before the first file."""

    def __init__(self, sockets: Path) -> None:
        self.sockets = sockets

    async def fetch(self, agent: str, source: str, id: str) -> bytes:
        import aiohttp
        import yarl

        from teehee.mind.endpoint import open_session

        url = yarl.URL.build(scheme="http", host="gate", path=f"/files/{agent}/{source}/{id}")
        try:
            async with asyncio.timeout(FETCH_SECONDS), open_session(self.sockets) as session:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return await answer.read()
                    code = str((await answer.json()).get("error", {}).get("code", ""))
        except TimeoutError:
            code = "slow"
        except (aiohttp.ClientError, OSError, ValueError):
            code = "away"
        raise Unread(WORDS.get(code, WORDS["away"]), for_now=code in FOR_NOW)
