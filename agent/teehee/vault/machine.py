"""The machine this vault woke up in: its guest agent, what it measured, and who vouches for it.

`trust` is `tdx` when Intel's root signed this machine's own quote and `dev` otherwise. No setting says so.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from teehee.errors import ConfigError, VerificationError
from teehee.tee.client import Client
from teehee.tee.guest import Api, Era, GuestAgent, Quoted

Json = Any
FIRST_REPORT = b"teehee/boot/v1".ljust(64, b"\x00")
NOT_MEASURED = "0" * 64


@dataclass(slots=True)
class Machine:
    """`app_id` and `compose_hash` are what was measured, in hex; `app_compose` hashes to the latter or is empty.

    Without a guest agent that quotes (a developer's seed alone) nothing is measured.
    """

    guest: GuestAgent
    trust: str = "dev"
    app_id: str = NOT_MEASURED[:40]
    compose_hash: str = NOT_MEASURED
    app_compose: bytes = b""
    vm_config: str = ""

    @property
    def api(self) -> Api:
        return self.guest.api

    async def quote(self, report_data: bytes) -> Quoted:
        """A quote over these 64 bytes. Raises Unavailable while the guest agent gives none."""
        return await self.guest.get_quote(report_data)


async def wake(endpoint: str, pinned: Era | None) -> Machine:
    """Meets the guest agent at `endpoint` and reads what this machine is. Raises ConfigError when it cannot be trusted.

    1. It answers by the API that was pinned at genesis, or by the newest when this is the first start.
    2. It gives a quote whose signatures hold up to some root.
    3. The event log leads to the quote's registers.
    4. The log is that of a known release.
    """
    client = Client(endpoint)
    await client.probe(pinned)  # 1
    quoted, info = await asyncio.gather(client.get_quote(FIRST_REPORT), client.info())
    try:
        trust, app_id, compose_hash = await asyncio.to_thread(_read, quoted)
    except VerificationError as error:
        raise ConfigError(
            f"this machine's own quote does not hold: {error}",
            hint="a broken guest agent, or something between it and the vault; nothing is started on it",
        ) from error
    known = sha256(info.app_compose).hexdigest() == compose_hash
    return Machine(client, trust, app_id, compose_hash, info.app_compose if known else b"", quoted.vm_config)


def _read(quoted: Quoted) -> tuple[str, str, str]:
    """(trust, app id, compose hash), from the signed parts only."""
    from teehee.evidence import eventlog, quote, signatures

    parsed = quote.parse(quoted.quote)
    trust = "tdx" if signatures.root_of(parsed) == signatures.INTEL_ROOT else "dev"  # 2
    events = eventlog.parse(quoted.event_log)
    eventlog.check_replay(events, parsed.td.rtmrs)  # 3
    booted = eventlog.boot(events)  # 4
    return trust, booted.app_id.hex(), booted.compose_hash.hex()
