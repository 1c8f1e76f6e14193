"""What anyone may take away and check: an agent's bundle, as one file."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from teehee.evidence import bundle
from teehee.gate.conversation import Conversation
from teehee.wire.client import Client
from teehee.wire.strict import Malformed

Json = Any
QUOTE_SECONDS = 30.0


class Evidence:
    """`collateral` is the simulator's own, in development; on hardware it is Intel's, fetched by whoever verifies."""

    def __init__(self, conversation: Conversation, public: Client, collateral: str) -> None:
        self.conversation = conversation
        self.public = public
        self.collateral = collateral

    async def bundle(self, request: Request) -> Response:
        """GET /chat/{agent}/bundle.json?nonce=HEX, and /bundle.json where one agent runs; a nonce is answered by it."""
        face = self.conversation.face(request.path_params.get("agent", ""))
        question = {"agent": face.agent, "nonce": request.query_params.get("nonce", "")}
        given = await self.public.call("bundle", question, patience=QUOTE_SECONDS)
        told = {"collateral": self.collateral, "collateral_from": "simulator" if self.collateral else ""}
        try:
            file = bundle.Bundle(**{**given, **told, "as_of": given["as_of"] or int(time.time())})
        except ValueError as error:
            raise Malformed(f"the vault's bundle does not hold: {error}") from error
        return Response(file.encode(), media_type="application/json")
