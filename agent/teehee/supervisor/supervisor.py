"""Keeps the three processes up: started side by side, watched, brought back with a growing pause."""

import asyncio
import contextlib
import functools
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from teehee.errors import TeeheeError
from teehee.supervisor import guest as guests
from teehee.supervisor import plan as plans
from teehee.supervisor.children import Child
from teehee.supervisor.owner import Owner
from teehee.supervisor.plan import Plan
from teehee.supervisor.reload import Reload
from teehee.wire.client import Client

Json = Any
Tell = Callable[[str], None]
Ask = Callable[[str, Json], Awaitable[Json]]  # an owner's method and its parameters
Back = asyncio.Future[TeeheeError | None]  # how a start that was asked for went

FIRST_PAUSE, LAST_PAUSE = 0.1, 10.0
CALM_SECONDS = 30.0  # a child that lived this long starts over with the first pause
MIND_SECONDS, GATE_SECONDS, VAULT_SECONDS = 8.0, 5.0, 5.0


class Supervisor:
    """One run: `async with Supervisor(plan, tell) as run` is up when it is entered, and down when it is left.

    `tell` gets a sentence for whoever watches, when a child dies or comes back. `mind_prefix` is put before the
    mind's command line (the tests' network namespace).
    """

    def __init__(self, plan: Plan, tell: Tell, *, mind_prefix: Sequence[str] = ()) -> None:
        self.plan = plan
        self.tell = tell
        self.url = ""
        self.trust = ""
        self.identities: list[dict[str, Json]] = []
        logs = plan.folder.logs
        self.vault = Child("vault", logs)
        self.gate = Child("gate", logs)
        self.isolated = plan.run.settings.isolate
        names = [f"mind-{agent.slug}" for agent in plan.agents] if self.isolated else ["mind"]
        self.minds = [Child(name, logs, mind_prefix, "mind") for name in names]
        self._stack = contextlib.AsyncExitStack()
        self._watchers: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False
        self.reload = Reload(self) if plan.run.settings.reload else None
        self._starting: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # a child starts, or is kept down
        self._asked: dict[str, Back] = {}  # the children that are to begin anew

    @property
    def mind(self) -> Child:
        """The mind; where each agent has its own, the first one's."""
        return self.minds[0]

    async def __aenter__(self) -> "Supervisor":
        try:
            self._stack.enter_context(self.plan.folder.held())
            self.plan.folder.settle_minds(isolated=self.isolated)
            self.plan = await asyncio.to_thread(plans.with_knowledge, self.plan, self.tell)
            self.owner = Owner(self.plan.folder.owner_key)
            self.owner_link = await self._stack.enter_async_context(
                Client(self.plan.folder.sockets / "vault-owner.sock")
            )
            await asyncio.gather(*(child.start() for child in (self.vault, self.gate, *self.minds)))
            self.guest = await self._stack.enter_async_context(guests.met(self.plan))
            await self._boot_vault()
            boots: list[tuple[Child, Callable[[], Any]]] = [
                (mind, functools.partial(self._boot_mind, n)) for n, mind in enumerate(self.minds)
            ]
            await asyncio.gather(self._boot_gate(), *(boot() for _, boot in boots))
            self.plan.folder.mark_born([one["agent"] for one in self.identities] if self.isolated else ())
        except BaseException:
            await self.stop()
            raise
        loop = asyncio.get_running_loop()
        boots += [(self.vault, self._boot_vault), (self.gate, self._boot_gate)]
        self._watchers = [loop.create_task(self._watch(child, again)) for child, again in boots]
        if self.reload is not None:
            self._looking = loop.create_task(self.reload.watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _boot_vault(self) -> None:
        await self.vault.boot(plans.vault_boot(self.plan, (self.owner.public.hex(),), self.guest.endpoint))
        configured = await self.owner.ask(self.owner_link, "configure", plans.configure_request(self.plan))
        self.identities, self.trust = configured["agents"], configured["trust"]

    async def _boot_mind(self, number: int) -> None:
        if self.isolated:
            self.plan.folder.of_mind(self.identities[number]["agent"]).mkdir(mode=0o700, parents=True, exist_ok=True)
        await self.minds[number].boot(plans.mind_boots(self.plan, self.identities)[number])

    async def _boot_gate(self) -> None:
        # A gate that comes back must be where its visitors left it.
        port = int(self.url.rsplit(":", 1)[1]) if self.url else self.plan.run.settings.port
        self.url = (
            await self.gate.boot(plans.gate_boot(self.plan, self.identities, self.trust, port, self.guest.collateral))
        )["url"]

    async def _watch(self, child: Child, boot_again: Callable[[], Any]) -> None:
        """Brings `child` back whenever it ends, with a growing pause while it keeps ending."""
        loop = asyncio.get_running_loop()
        pause, since = FIRST_PAUSE, loop.time()
        while True:
            async for sentence in child.sentences():  # until its output ends, which is when it does
                self.tell(sentence)
            code = await child.wait()
            if self._stopping:
                return
            if child.name not in self._asked:
                if loop.time() - since > CALM_SECONDS:
                    pause = FIRST_PAUSE
                self.tell(f"the {child.name} ended ({_how(code)}); starting it again in {pause:g} s")
                await asyncio.sleep(pause)
                pause, since = min(pause * 2, LAST_PAUSE), loop.time()
            async with self._starting[child.name]:
                if self._stopping:
                    return
                await self._start_again(child, boot_again)

    async def _start_again(self, child: Child, boot_again: Callable[[], Any]) -> None:
        asked = self._asked.pop(child.name, None)
        failed: TeeheeError | None = None
        try:
            await child.start()
            await boot_again()
            if asked is None:
                self.tell(f"the {child.name} is back")
        except TeeheeError as error:
            failed = error
            self.tell(f"the {child.name} did not come back: {error}" + (f" ({error.hint})" if error.hint else ""))
            await child.stop(1.0)
        if asked is not None and not asked.done():
            asked.set_result(failed)

    @contextlib.asynccontextmanager
    async def _down(self, child: Child, seconds: float) -> AsyncIterator[Back]:
        """Within this the child is down, stopped as kindly as at the end; its watcher starts it again afterwards."""
        async with self._starting[child.name]:
            back = self._asked[child.name] = asyncio.get_running_loop().create_future()
            await child.stop(seconds)
            yield back

    async def change(self, wanted: Plan, places: list[int]) -> list[int]:
        """Goes on with `wanted`, in which the agents at `places` are others than before; gives their epochs.

        No turn is lost: mind and gate stop as at the end, and what they had not done waits on disk. Raises
        TeeheeError when the vault refuses or the mind does not come back with it; then all is as before.
        """
        before = self.plan
        minds = [self.minds[place] for place in places] if self.isolated else self.minds
        async with contextlib.AsyncExitStack() as down:  # down first: nothing of the old ones in the new epoch
            backs = [await down.enter_async_context(self._down(mind, MIND_SECONDS)) for mind in minds]
            await self._configure(wanted, places)
        how = [await back for back in backs]
        if failed := next(filter(None, how), None):
            async with contextlib.AsyncExitStack() as down:
                for mind, one in zip(minds, how, strict=True):
                    await down.enter_async_context(self._starting[mind.name] if one else self._down(mind, MIND_SECONDS))
                await self._configure(before, places)
            raise failed
        if self._is_news_to_gate(before, places):
            async with self._down(self.gate, GATE_SECONDS) as back:
                pass
            await back
        return [self.identities[place]["epoch"] for place in places]

    async def _configure(self, wanted: Plan, places: list[int]) -> None:
        """Tells the vault of the agents at `places`; from then on `wanted` is the plan."""
        changed = replace(wanted, agents=tuple(wanted.agents[place] for place in places))
        configured = await self.owner.ask(self.owner_link, "configure", plans.configure_request(changed))
        fresh = {identity["slot"]: identity for identity in configured["agents"]}
        self.identities = [fresh.get(identity["slot"], identity) for identity in self.identities]
        self.plan = wanted

    def _is_news_to_gate(self, before: Plan, places: list[int]) -> bool:
        """Must the gate hear of it: names, brains, ways out, or the secrets it fetched?"""
        told = [plans.gate_boot(plan, self.identities, self.trust, 0) for plan in (before, self.plan)]
        return told[0] != told[1] or any(before.agents[n].secrets != self.plan.agents[n].secrets for n in places)

    async def stop(self) -> None:
        """Ends everything in order: no new messages, running turns finished, replies handed over, stores closed."""
        self._stopping = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self.gate.process is not None and self.gate.process.returncode is None:
            self.gate.tell("drain")
        await asyncio.gather(*(mind.stop(MIND_SECONDS) for mind in self.minds))
        await self.gate.stop(GATE_SECONDS)
        await self.vault.stop(VAULT_SECONDS)
        for watcher in self._watchers:
            watcher.cancel()
        if self._watchers:
            await asyncio.wait(self._watchers)
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def vault_only(plan: Plan) -> AsyncIterator[Client]:
    """A vault without gate and mind, for reading its log; gives the public door."""
    async with vault_alone(plan) as ask:
        await ask("recall", {})
        async with Client(plan.folder.sockets / "vault-public.sock") as public:
            yield public


@contextlib.asynccontextmanager
async def vault_alone(plan: Plan, *, era: str = "") -> AsyncIterator[Ask]:
    """A vault without gate and mind, for what only its owner may ask; `era` is for a store that has none pinned."""
    with plan.folder.held():
        owner = Owner(plan.folder.owner_key)
        child = Child("vault", plan.folder.logs)
        async with contextlib.AsyncExitStack() as stack:
            await child.start()
            stack.push_async_callback(child.stop, VAULT_SECONDS)
            guest = await stack.enter_async_context(guests.met(plan))
            await child.boot(plans.vault_boot(plan, (owner.public.hex(),), guest.endpoint, era))
            link = await stack.enter_async_context(Client(plan.folder.sockets / "vault-owner.sock"))
            yield lambda method, params: owner.ask(link, method, params)


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
