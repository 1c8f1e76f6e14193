"""A mind on the workbench: real store, turn and inbox, a scripted brain, and a stand-in vault on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from teehee.errors import Refused
from teehee.mind import models, prompt
from teehee.mind import turn as turns
from teehee.mind.afterwards import Afterwards
from teehee.mind.agent import Agent
from teehee.mind.inbox import Inbox
from teehee.mind.recent import Recent
from teehee.mind.state import StateComposer
from teehee.plugin import Action, Character, Evaluator, EventHandler, Provider, State, Turn
from teehee.store.mind_store import MindStore, Row
from teehee.testing import until
from teehee.wire.client import Client
from teehee.wire.messages import Effect, Ended, Event, Settled
from teehee.wire.server import Server
from teehee_bootstrap import plugin as bootstrap

Json = Any
AGENT = "00000000-0000-0000-0000-00000000000a"
ADA = Character(AGENT, "Ada")
NOON_MS = 1_767_268_800_000  # 2026-01-01 12:00 UTC


def event(text: str = "hello", *, id: str = "e-1", room: str = "terminal:main", at: int = NOON_MS) -> Event:
    return Event(AGENT, "terminal", id, "terminal:0", room, "message", text, at, name="Sam")


class ScriptedBrain:
    """Answers from a list, then repeats the last; an exception in it is raised. `prompts` holds each prompt.

    What it answers is heard letter by letter.
    """

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []
        self.reasons: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def answer(self, turn: Turn, stable: State, fresh: State, reason: str, hear: models.Hear) -> str:
        chat = prompt.compose(turn, stable, fresh, reason)
        self.prompts.append("\n".join(message["content"] for message in chat))
        self.reasons.append(reason)
        await self.gate.wait()
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Exception):
            raise said
        for letter in said:
            hear(letter)
        return said


def agent(
    brain: Any,
    *,
    actions: Sequence[Action] = (),
    providers: Sequence[Provider] = (),
    evaluators: Sequence[Evaluator] = (),
    events: Mapping[str, tuple[EventHandler, ...]] | None = None,
    character: Character = ADA,
) -> Agent:
    """Ada, with the bootstrap plugin and what is given."""
    return Agent(
        id=AGENT,
        character=character,
        brain=brain,
        patience=10.0,
        actions=(*bootstrap.actions, *actions),
        state=StateComposer([*bootstrap.providers, *providers]),
        evaluators=tuple(evaluators),
        events=events or {},
    )


@dataclass
class Vault:
    """The mind's door of a vault that witnessed everything. `refuse` names the rule it says no with."""

    path: Path
    effects: dict[str, list[Effect]] = field(default_factory=dict)
    submissions: list[Json] = field(default_factory=list)
    refuse: str = ""
    refuse_times: int = 1_000_000

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        methods = {"effect.submit": self.submit, "effect.for_event": self.for_event, "effect.settled": self.settled}
        self.server = Server("mind", self.path, methods, lambda *_, **__: None)
        await self.server.start()
        try:
            yield
        finally:
            await self.server.close()

    def submit(self, wanted: dict[str, Json]) -> Json:
        self.submissions.append(wanted)
        if self.refuse and self.refuse_times > 0:
            self.refuse_times -= 1
            raise Refused(self.refuse, "the rule says no")
        new = [self._effect(wanted, number) for number in range(len(wanted["parts"]))]
        return self._told(self.effects.setdefault(wanted["event"], new))

    def for_event(self, asked: dict[str, Json]) -> Json:
        return self._told(self.effects.get(asked["event"], []))

    def settled(self, asked: dict[str, Json]) -> Json:
        ended = [e for group in self.effects.values() for e in group if e.id in asked["effects"] and e.state != "due"]
        return {"settled": [_settled(e).to_json() for e in ended]}

    def deliver(self, event: str, state: str = "delivered") -> None:
        """Writes the outcome of an event's effects and tells the mind."""
        self.effects[event] = [replace(effect, state=state) for effect in self.effects[event]]
        for effect in self.effects[event]:
            self.server.push("effect.settled", _settled(effect).to_json())

    def texts(self, event: str = "e-1") -> list[str]:
        return [effect.text for effect in self.effects.get(event, [])]

    def _effect(self, wanted: dict[str, Json], number: int) -> Effect:
        seq = sum(map(len, self.effects.values())) + number + 1
        part = wanted["parts"][number]
        return Effect(
            f"{wanted['event']}/{number}", seq, wanted["agent"], wanted["source"], wanted["event"], number,
            part["verb"], part["room"], part["text"], seq, NOON_MS + seq, "due", "00",
        )  # fmt: skip

    def _told(self, effects: list[Effect]) -> Json:
        return {"effects": [effect.to_json() for effect in effects]}


def _settled(effect: Effect) -> Settled:
    return Settled(effect.id, effect.seq, effect.agent, effect.source, effect.event, effect.state)


@dataclass
class Mind:
    """Everything of one mind but its sockets to the gate. `told` is what the gate would hear of ended turns."""

    agent: Agent
    vault: Vault
    desk: turns.Desk
    inbox: Inbox
    told: list[Ended]

    @property
    def store(self) -> MindStore:
        return self.desk.store

    async def accept(self, said: Event) -> bool:
        """True when the event is new."""
        return bool((await self.inbox.accept(said.to_json()))["new"])

    async def run(self, said: Event | None = None, answer: str | None = None) -> list[Effect]:
        """One turn, without the inbox; `answer` is what an earlier life journaled."""
        said = said or event()
        seq = await self.store.commit.run(lambda: self.store.accept(said))
        assert seq is not None
        return await turns.run(self.desk, self.agent, Row(seq, said, answer))

    async def answered(self, *ids: str) -> None:
        """Returns once each of these events has its effects or its end."""
        ended = self.told
        await until(lambda: all(id in self.vault.effects or id in {e.event for e in ended if e.final} for id in ids))

    def row(self, id: str = "e-1") -> tuple[str, str, str | None]:
        return self.store.row_state(AGENT, "terminal", id)


@contextlib.asynccontextmanager
async def mind(folder: Path, of: Agent, *, parallel: int = 8) -> AsyncIterator[Mind]:
    """A mind in `folder`; its inbox is recovered first, as at every start."""
    vault = Vault(folder / "vault-mind.sock")
    store = MindStore(folder / "mind.db")
    told: list[Ended] = []

    def hear(method: str, params: Json) -> None:
        afterwards.heard(Settled(**params))

    async def subscribe(link: Client) -> None:
        await link.call("subscribe")

    async with vault.open(), Client(vault.path, on_connect=subscribe, on_notify=hear) as link:
        desk = turns.Desk(store, Recent(store), link)
        afterwards = Afterwards(desk, {AGENT: of})
        inbox = Inbox(desk, {AGENT: of}, afterwards, told.append, parallel)
        await inbox.recover()
        await link.call("effect.settled", {"effects": []})  # both ends of the socket are there before anyone leaves
        try:
            yield Mind(of, vault, desk, inbox, told)
        finally:
            await inbox.close(0.0)
            await afterwards.close()
            await asyncio.sleep(0)  # a journal entry may still be on its way to the disk
            store.close()
