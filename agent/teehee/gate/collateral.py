"""Intel's word on this platform: fetched by the gate, kept for half a day, and missing without harm."""

import asyncio
import time
from dataclasses import dataclass, field

from teehee.log import get_logger

FETCH_SECONDS = 15.0
KEPT_SECONDS = 12 * 3600  # Intel's own lasts some thirty days
RETRY_SECONDS = 60.0  # after a fetch that failed
log = get_logger()


@dataclass(slots=True)
class Collateral:
    """`given` is a simulator's own word and stands in for any fetch; `pccs` is where Intel's is fetched from."""

    given: str
    pccs: str
    _kept: str = ""
    _next: float = 0.0  # when, by the monotonic clock, it is time to fetch again
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, quote: bytes) -> tuple[str, str]:
        """(collateral in JSON, where it is from) for this machine's quotes; both empty when there is none."""
        if self.given:
            return self.given, "simulator"
        async with self._lock:
            if time.monotonic() >= self._next:
                found = await self._fetch(quote)
                self._next = time.monotonic() + (KEPT_SECONDS if found else RETRY_SECONDS)
        return self._kept, self.pccs if self._kept else ""

    async def _fetch(self, quote: bytes) -> bool:
        """Takes what the service says, if it is collateral; the old stays when it is not."""
        import dcap_qvl  # type: ignore[import-untyped]  # Rust and X.509, loaded only where there is hardware

        from teehee.evidence import collateral

        try:
            async with asyncio.timeout(FETCH_SECONDS):
                told = await dcap_qvl.get_collateral(self.pccs, quote)
            self._kept = collateral.parse(told.to_json().encode()).encode().decode()
        except Exception as error:  # a Rust library over the network may raise anything; the bundle goes without
            log.warning("collateral_missing", pccs=self.pccs, error=f"{type(error).__name__}: {error}"[:300])
            return False
        log.info("collateral_fetched", pccs=self.pccs)
        return True
