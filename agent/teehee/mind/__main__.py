"""The mind's entry point."""

import asyncio

import uvloop

from teehee.mind.runtime import serve
from teehee.wire import boot, child

if __name__ == "__main__":
    child.run(boot.MindBoot, serve, asyncio.Runner(loop_factory=uvloop.new_event_loop))
