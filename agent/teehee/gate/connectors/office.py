"""What the gate lends a connector: the way in, the vault's public word, and its own secrets, for one agent only."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from teehee.connector import Gone, Posted, Pressed, Signal
from teehee.errors import Refused, Unavailable
from teehee.gate.accounts import Accounts
from teehee.gate.connectors.courier import Courier
from teehee.gate.credentials import SecretNews
from teehee.gate.doorway import Doorway
from teehee.gate.files import Files
from teehee.gate.mailroom import Mailroom, parse_due
from teehee.wire import strict
from teehee.wire.boot import Face
from teehee.wire.client import Client
from teehee.wire.messages import CHOICE, MESSAGE, Effect, Event

Json = Any
QUOTE_SECONDS = 30.0
LOOK_SECONDS = 60.0  # between two looks whether a secret has changed: the vault tells, and a word can be lost


class GateOffice:
    """The gate's `teehee.connector.Office`.

    `tell` takes an agent's name, a code and a sentence; `shown` is what it may say: the trust, the page's public URL.
    """

    def __init__(
        self,
        face: Face,
        source: str,
        doorway: Doorway,
        mailroom: Mailroom,
        public: Client,
        tell: Callable[[str, str, str], None],
        hooks: dict[tuple[str, str], Posted],
        shown: tuple[str, str],
        files: Files,
        news: SecretNews,
        accounts: Accounts,
    ) -> None:
        self.agent, self.slug, self.name = face.agent, face.slug, face.name
        self.source, (self.trust, url) = source, shown
        self.url = url.rstrip("/")
        self.doorway, self.mailroom, self.public = doorway, mailroom, public
        self.vault = mailroom.vault
        self.courier: Courier | None = None
        self._tell = tell
        self.hooks = hooks
        self.files = files
        self._news, self._accounts = news, accounts

    async def receive(self, event: Event) -> bool:
        self._own(event)
        key = (event.agent, event.source, event.event)
        if event.kind in (MESSAGE, CHOICE):
            self.mailroom.drafts.begin(key)
        try:
            new = await self.doorway.receive(event)
        except BaseException:
            self.mailroom.drafts.drop(key)
            raise
        if not new:
            self.mailroom.drafts.drop(key)
        return new

    async def answer(self, event: Event, text: str, verb: str) -> None:
        self._own(event)
        await self.vault.call("command.answer", self._words(event, text, verb))

    async def answers(self, event: Event) -> Sequence[Effect]:
        self._own(event)
        return await self.mailroom.answered(event.agent, event.source, event.event)

    async def order(self, event: Event, order: str, text: str, verb: str) -> bool:
        self._own(event)
        assert self.courier is not None
        asked = self._words(event, text, verb) | {"order": order, "by": self.courier.life}
        told = await self.vault.call("owner.word", asked)
        self.courier.take(parse_due(told), marked=True)
        return bool(told["changed"])

    async def quiet(self, event: Event, quiet: bool) -> None:
        self._own(event)
        asked = {"agent": event.agent, "source": event.source, "event": event.event, "quiet": quiet}
        await self.vault.call("chat.quiet", asked)

    async def quiet_chats(self) -> frozenset[str]:
        return frozenset((await self.vault.call("chat.quiet.list", {"agent": self.agent}))["chats"])

    async def press(self, event: Event, reference: str, option: int) -> Pressed:
        self._own(event)
        asked = {
            "agent": event.agent,
            "source": event.source,
            "event": event.event,
            "principal": event.principal,
            "room": event.room,
            "reference": reference,
            "option": option,
        }
        told = await self.vault.call("choice.press", asked)
        return Pressed(told["state"], told["label"])

    async def signal(self, event: Event, after: int, seconds: float) -> Signal:
        key = (event.agent, event.source, event.event)
        return Signal(**asdict(await self.mailroom.drafts.next(key, after, seconds)))

    async def forget(self, principal: str) -> Mapping[str, Json]:
        return dict(await self.doorway.forget(self.agent, principal))

    async def secret(self, name: str) -> tuple[int, str]:
        held = await self.vault.call("secret.get", {"name": f"{self.slug}/{name}"})
        return int(held["version"]), str(held["value"])

    async def rotate(self, name: str, version: int, value: str) -> int:
        asked = {"name": f"{self.slug}/{name}", "version": version, "value": value}
        return int((await self.vault.call("secret.rotate", asked))["version"])

    async def changed(self, name: str, version: int) -> None:
        while True:
            told = self._news.next(f"{self.slug}/{name}")  # before the look: no word falls between the two
            with contextlib.suppress(Unavailable):  # while the vault is away nobody can have changed it
                if await self._version(name) != version:
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await told.wait()

    async def _version(self, name: str) -> int:
        try:
            return (await self.secret(name))[0]
        except Refused:
            return 0

    async def account(
        self, number: str, secrets: Sequence[str] = (), powers: Sequence[str] = (), guards: Sequence[str] = ()
    ) -> None:
        named = [f"{self.slug}/{name}" for name in secrets]
        asked = {"agent": self.agent, "platform": self.source, "id": number, "secrets": named}
        await self.vault.call("account.report", asked)
        self._accounts.remember(self.agent, self.source, powers, guards)

    async def referred(self, reference: str) -> Effect | None:
        found = await self.vault.call("effect.referred", {"agent": self.agent, "reference": reference})
        return strict.parse(Effect, found, "effect") if found else None

    async def receipt(self, effect: str) -> Mapping[str, Json]:
        return dict(await self.public.call("receipt", {"effect": effect}))

    async def bundle(self, nonce: str = "") -> Mapping[str, Json]:
        asked = {"agent": self.agent, "nonce": nonce}
        return dict(await self.public.call("bundle", asked, patience=QUOTE_SECONDS))

    async def lately(self, seconds: float) -> Sequence[Gone]:
        now = time.time_ns() // 1_000_000
        asked = {"agent": self.agent, "source": self.source, "since": now - int(seconds * 1000)}
        told = (await self.vault.call("effect.lately", asked))["gone"]
        return [Gone(one["room"], one["event"], max(0, now - one["at"]) / 1000) for one in told]

    async def today(self) -> Mapping[str, Json]:
        return dict(await self.vault.call("agent.today", {"agent": self.agent}))

    @contextlib.contextmanager
    def hook(self, posted: Posted) -> Iterator[None]:
        key = (self.slug, self.source)
        self.hooks[key] = posted
        try:
            yield
        finally:
            self.hooks.pop(key, None)

    def tell(self, code: str, sentence: str) -> None:
        self._tell(self.name, f"{self.source}-{code}", sentence)

    def _words(self, event: Event, text: str, verb: str) -> dict[str, Json]:
        parts = [{"verb": verb, "room": event.room, "text": text}]
        return {"agent": event.agent, "source": event.source, "event": event.event, "parts": parts}

    def _own(self, event: Event) -> None:
        """A connector speaks for its own agent and platform only."""
        if (event.agent, event.source) != (self.agent, self.source):
            raise ValueError(f"a connector of {self.source} brought an event of {event.source!r} for {event.agent!r}")
