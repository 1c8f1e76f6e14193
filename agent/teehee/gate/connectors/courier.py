"""Takes what is due to a platform that cannot tell a second copy from a second message: one attempt each, at most.

Before the call the vault marks the effect as on its way, so that after a crash at any point it is either still due,
or its fate is `unknown` and visible, and never sent twice. Each room is served in order, rooms side by side.
"""

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Sequence

from teehee.connector import Connector, Failed, Later, Result, Sent, Unknown
from teehee.errors import TeeheeError
from teehee.gate.metrics import Counts
from teehee.log import get_logger
from teehee.wire import failpoints
from teehee.wire.client import Client
from teehee.wire.messages import DELIVERED, FAILED, UNKNOWN, Effect

RESTARTED = "gate-restarted"
BROKEN = Unknown("connector-failed")
PAUSE_SECONDS = 1.0  # while the vault is away
DETAIL_LIMIT, REFERENCE_LIMIT = 64, 128  # characters, what the vault takes; printable ones without spaces
ODD = re.compile(r"[^!-~]+")
log = get_logger()


class Courier:
    """Delivers the due effects of one agent on one platform."""

    def __init__(self, vault: Client, connector: Connector, counts: Counts) -> None:
        self.vault = vault
        self.connector = connector
        self.counts = counts
        self.life = secrets.token_hex(8)  # whose marks are our own, when the vault is asked again
        self._held: set[str] = set()  # effects in a queue or on their way
        self._rooms: dict[str, deque[Effect]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, effects: Sequence[Effect], *, marked: bool = False) -> None:
        """These are due; `marked` ones were marked for this courier. One it has already is not taken twice."""
        for effect in effects:
            if effect.id in self._held:
                continue
            self._held.add(effect.id)
            if effect.state == "sending" and not marked:
                self._spawn(self._lost(effect))
            elif effect.room in self._rooms:
                self._rooms[effect.room].append(effect)
            else:
                self._rooms[effect.room] = deque([effect])
                self._spawn(self._serve(effect.room))

    @property
    def waiting(self) -> int:
        """How many effects are in hand."""
        return len(self._held)

    async def close(self, seconds: float) -> None:
        """Lets calls under way end, so that their outcome is known; what is only queued stays due."""
        for queue in self._rooms.values():
            while len(queue) > 1:
                queue.pop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, room: str) -> None:
        queue = self._rooms[room]
        while queue:
            effect = queue[0]
            try:
                await self._bring(effect)
            except Exception:  # a connector may raise anything; the effect must have its outcome, and the next its turn
                log.exception("connector_failed", verb=effect.verb)
                await self._settle(effect, BROKEN)
            self._held.discard(effect.id)
            queue.popleft()
        del self._rooms[room]

    async def _lost(self, effect: Effect) -> None:
        """It was on its way when an earlier gate died: whether it arrived nobody can say."""
        await self._settle(effect, Unknown(RESTARTED))
        self._held.discard(effect.id)

    async def _bring(self, effect: Effect) -> None:
        marked = effect.state == "sending"
        while True:
            while (seconds := self.connector.wait(effect)) > 0:  # noqa: ASYNC110 - a limit of the platform's, by time
                await asyncio.sleep(seconds)
            try:
                if not marked and not await self._mark(effect):
                    return  # stopped, expired or forgotten meanwhile
                failpoints.hit("gate.effect.marked")
                result = await self._call(effect)
            finally:
                self.connector.over(effect)
            failpoints.hit("gate.effect.sent")
            if not isinstance(result, Later):
                return await self._settle(effect, result)
            await self._unmark(effect)
            marked = False
            await asyncio.sleep(result.seconds)

    async def _call(self, effect: Effect) -> Result:
        try:
            result = await self.connector.deliver(effect)
        except Exception:
            log.exception("delivery_failed", verb=effect.verb)
            return BROKEN
        if not isinstance(result, Sent | Failed | Unknown | Later):
            log.error("delivery_without_result", verb=effect.verb, result=type(result).__name__)
            return BROKEN
        return result

    async def _mark(self, effect: Effect) -> bool:
        while True:
            try:
                asked = {"effects": [effect.id], "by": self.life}
                return effect.id in (await self.vault.call("effect.sending", asked))["effects"]
            except TeeheeError as error:
                log.warning("effect_not_marked", error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _unmark(self, effect: Effect) -> None:
        while True:
            try:
                await self.vault.call("effect.unsent", {"id": effect.id})
                return
            except TeeheeError as error:
                log.warning("effect_not_unmarked", error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _settle(self, effect: Effect, result: Sent | Failed | Unknown) -> None:
        outcome = {"id": effect.id, "state": _state(result)}
        if isinstance(result, Sent):
            outcome["reference"] = _reference(result.reference)
        else:
            outcome["detail"] = ODD.sub("-", str(result.detail))[:DETAIL_LIMIT]
            log.warning("not_delivered", state=outcome["state"], detail=result.detail, verb=effect.verb)
        while True:
            try:
                await self.vault.call("effect.outcome", outcome)
                break
            except TeeheeError as error:
                log.warning("outcome_not_written", effect=effect.id, error=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
        self.counts.add("teehee_outcomes", outcome["state"])
        failpoints.hit("gate.effect.settled")
        try:
            await self.connector.settled(effect)
        except Exception:  # the outcome stands, whatever a connector makes of it
            log.exception("after_delivery_failed", verb=effect.verb)


def _state(result: Sent | Failed | Unknown) -> str:
    return {Sent: DELIVERED, Failed: FAILED, Unknown: UNKNOWN}[type(result)]


def _reference(name: str) -> str:
    """A platform's name for a message, or none where it is one that the vault does not keep."""
    return "" if ODD.search(str(name)) or len(str(name)) > REFERENCE_LIMIT else str(name)
