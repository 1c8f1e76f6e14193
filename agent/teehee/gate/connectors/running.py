"""Runs the connectors: each is imported, handed its office, and run again when it falls; none takes another with it."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

from teehee.connector import Connect, Connector, Settings
from teehee.errors import TeeheeError
from teehee.gate.connectors.courier import Courier
from teehee.gate.connectors.office import GateOffice
from teehee.gate.mailroom import parse_due
from teehee.gate.metrics import Counts
from teehee.log import get_logger
from teehee.wire import boot

PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)  # seconds before a fallen connector is run again
STEADY_SECONDS = 60.0  # one that ran so long starts over with the first pause
CLOSE_SECONDS = 5.0
log = get_logger()


@contextlib.asynccontextmanager
async def running(
    connectors: Sequence[boot.ConnectorBoot], office_of: Callable[[boot.ConnectorBoot], GateOffice], counts: Counts
) -> AsyncIterator[None]:
    """While this holds, the connectors receive and deliver. One that cannot be imported or opened is out, and told."""
    async with contextlib.AsyncExitStack() as stack:
        for one in connectors:
            office = office_of(one)
            try:
                connect = cast(Connect, importlib.import_module(one.module).connect)
                connector = await stack.enter_async_context(connect(office, Settings(one.client_config, one.settings)))
            except ImportError as error:
                office.tell("out", f"{error.name or one.module} is not installed: pip install 'teehee[{one.plugin}]'")
                continue
            except TeeheeError as error:
                office.tell("out", f"{error}. {error.hint}".strip())
                continue
            await stack.enter_async_context(_served(office, connector, counts))
        yield


@contextlib.asynccontextmanager
async def _served(office: GateOffice, connector: Connector, counts: Counts) -> AsyncIterator[None]:
    office.courier = courier = Courier(office.vault, connector, counts)
    key = (office.agent, office.source)
    office.mailroom.couriers[key] = courier.take
    due = parse_due(await office.vault.call("effect.due"))
    courier.take([effect for effect in due if (effect.agent, effect.source) == key])
    task = asyncio.get_running_loop().create_task(_run(office, connector))
    try:
        with office.files.fetched_by(office.agent, office.source, connector):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del office.mailroom.couriers[key]
        await courier.close(CLOSE_SECONDS)


async def _run(office: GateOffice, connector: Connector) -> None:
    """A connector's life: what it raises ends this life of it, and the next one begins."""
    clock, falls = asyncio.get_running_loop().time, 0
    while True:
        began = clock()
        try:
            await connector.run()
        except TeeheeError as error:
            log.warning("connector_fell", source=office.source, error=str(error), hint=error.hint)
        except Exception:  # a connector's supervisor: whatever one raises ends its own life alone
            log.exception("connector_fell", source=office.source)
        falls = 0 if clock() - began > STEADY_SECONDS else falls + 1
        await asyncio.sleep(PAUSES[min(falls, len(PAUSES)) - 1 if falls else 0])
