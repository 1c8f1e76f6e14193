"""The gate's entry point."""

import asyncio

import uvloop

from teehee.gate.app import serve
from teehee.wire import boot, child

if __name__ == "__main__":
    child.run(boot.GateBoot, serve, asyncio.Runner(loop_factory=uvloop.new_event_loop))
