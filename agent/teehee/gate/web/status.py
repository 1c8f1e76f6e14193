"""How this agent is doing, for machines: alive, ready, and in numbers."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from teehee import __version__
from teehee.gate.health import Health, Report
from teehee.gate.metrics import Counts, Labels, text
from teehee.gate.web.api import reply
from teehee.wire.boot import Face

Json = Any
TEXT_FORMAT = "text/plain; version=1.0.0; charset=utf-8"
CLOSED = "Metrics tell who is busy when. Bound wider than this machine, they are shown for TEEHEE_METRICS_TOKEN only.\n"


class Status:
    """`token_hash` is the SHA-256 of the token that /metrics asks for; without one, it is `open` to this machine."""

    def __init__(
        self, health: Health, counts: Counts, faces: Mapping[str, Face], trust: str, token_hash: str, *, open: bool
    ) -> None:
        self.health = health
        self.counts = counts
        self.faces = faces
        self.trust = trust
        self.token_hash = token_hash
        self.open = open

    async def alive(self, request: Request) -> Response:
        """GET /healthz: this process serves."""
        return reply({"ok": True, "agents": sorted(self.faces)})

    async def ready(self, request: Request) -> Response:
        """GET /readyz: may people be sent here? If not, 503 and every reason."""
        report = await self.health.look()
        return reply(report.to_json(), 200 if report.ready else 503)

    async def metrics(self, request: Request) -> Response:
        """GET /metrics: numbers for Prometheus."""
        if not self._may_read(request.headers.get("authorization", "")):
            return Response(CLOSED, 403, media_type="text/plain")
        report = await self.health.look()
        names = {face.agent: face.slug for face in self.faces.values()}
        shown = text(self.counts, report.mind.get("counts", ()), self._gauges(report), names)
        return Response(shown, headers={"content-type": TEXT_FORMAT})

    def _may_read(self, authorization: str) -> bool:
        if not self.token_hash:
            return self.open
        scheme, _, given = authorization.partition(" ")
        digest = hashlib.sha256(given.strip().encode()).hexdigest()
        return scheme.lower() == "bearer" and hmac.compare_digest(digest, self.token_hash)

    def _gauges(self, report: Report) -> dict[str, dict[Labels, float]]:
        waiting: Mapping[str, int] = report.mind.get("waiting", {})
        return {
            "teehee_ready": {(): float(report.ready)},
            "teehee_link_up": {(peer,): float(up) for peer, up in report.links.items()},
            "teehee_agent_stopped": {(slug,): float(slug in report.stopped) for slug in self.faces},
            "teehee_messages_waiting": {(face.agent,): waiting.get(face.agent, 0) for face in self.faces.values()},
            "teehee_info": {(__version__, self.trust): 1.0},
        }
