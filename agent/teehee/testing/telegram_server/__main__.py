"""`python -m teehee.testing.telegram_server --port N`: the loopback Bot API until it is told to end.

Its first line of output is JSON: the url, and the first bot's id and token.
"""

import argparse
import asyncio
import json
import signal
import sys

from teehee.testing.telegram_server.server import TelegramServer
from teehee.testing.telegram_server.world import World


async def serve(port: int, username: str, token: str) -> None:
    world = World(username=username, token=token)
    async with TelegramServer(world, port=port) as server:
        told = {"url": server.url, "bot": world.me.id, "token": world.me.token, "username": username}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m teehee.testing.telegram_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 is any that is free")
    parser.add_argument("--username", default="teehee_bot")
    parser.add_argument("--token", default="", help="of the first bot; made up when not given")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.username, given.token))


main()
