"""Where owners' requests from afar come in: sealed to the vault, so that the gate only carries them."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from teehee.errors import Unavailable
from teehee.gate.web.api import body
from teehee.wire import channel
from teehee.wire.client import Client

A_SECOND = 20  # requests, from whomever: opening one costs the vault about half a millisecond
VAULT_SECONDS = 10.0


class OwnerPost:
    """Hands what is posted to the vault and its answer back, both closed to this process."""

    def __init__(self, vault: Client) -> None:
        self.vault = vault
        self._second, self._taken = 0, 0

    async def relay(self, request: Request) -> Response:
        """POST /owner"""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        if self._taken > A_SECOND:
            raise Unavailable("too many owners' requests come in just now", code="owner-busy", retry_after=1.0)
        sealed = await body(request, channel.MOST_BYTES)
        told = await self.vault.call("owner.relay", {"sealed": sealed.hex()}, patience=VAULT_SECONDS)
        return Response(bytes.fromhex(told["sealed"]), media_type="application/octet-stream")
