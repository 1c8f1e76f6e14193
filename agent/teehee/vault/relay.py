"""Owners' requests from afar: the gate carries them, sealed, and gets no more than a sealed answer."""

import json
from dataclasses import dataclass
from typing import Any

from teehee.errors import Refused, TeeheeError
from teehee.vault.keyring import KeyRing
from teehee.vault.log import log
from teehee.vault.owner_door import OwnerDoor
from teehee.wire import channel, frames, strict
from teehee.wire.server import Handler

Json = Any


class Relay:
    """The gate's way to the owner's door: what is inside passes the same signature and the same number."""

    def __init__(self, ring: KeyRing, door: OwnerDoor) -> None:
        self.ring = ring
        self.door = door

    def methods(self) -> dict[str, Handler]:
        return {"owner.relay": self.relay}

    async def relay(self, params: dict[str, Json]) -> Json:
        """Raises Refused for what was not sealed to this vault; whatever else is wrong is told inside."""
        try:
            sealed = bytes.fromhex(strict.parse(_Carried, params).sealed)
            if len(sealed) > channel.MOST_BYTES:
                raise channel.NotSealed(f"a request may have {channel.MOST_BYTES} bytes")
            asker, rest = sealed[: channel.KEY_BYTES], sealed[channel.KEY_BYTES :]
            exchange = await self.ring.exchange(asker)
            text = channel.unseal(exchange.asking, rest)
        except ValueError as error:  # no hex, no key, or not for this vault
            raise Refused("owner.not-sealed", f"no request that was sealed to this vault: {error}") from None
        return {"sealed": channel.seal(exchange.answering, await self._answer(text)).hex()}

    async def _answer(self, text: bytes) -> bytes:
        """Result or error, in the form in which a socket tells them."""
        try:
            return frames.result(None, await self.door.from_afar(json.loads(text)))
        except (ValueError, RecursionError):
            return frames.failure(None, strict.Malformed("request: expected JSON"))
        except TeeheeError as error:
            log("request_refused", role="owner from afar", error=str(error))
            return frames.failure(None, error)


@dataclass(frozen=True, slots=True)
class _Carried:
    sealed: str
