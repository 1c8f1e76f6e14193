"""Answers that leave in one piece: uvicorn writes a head and a body apart, which wakes whoever reads them twice."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWrite(HttpToolsProtocol):
    """uvicorn's own protocol, on a transport that writes once a turn of the loop."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own does
        super().connection_made(cast(asyncio.Transport, _Gathering(transport)))


class _Gathering:
    """A transport that keeps what is written until the loop comes round again."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.is_closing = transport.is_closing
        self._kept: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        if not self._kept:
            asyncio.get_running_loop().call_soon(self._flush)
        self._kept.append(data)

    def close(self) -> None:
        self._flush()
        self.transport.close()

    def _flush(self) -> None:
        kept, self._kept = self._kept, []
        if kept and not self.transport.is_closing():
            self.transport.write(b"".join(kept))
