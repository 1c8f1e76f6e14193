"""People at the doors: they say a thing until it is taken, show each reply once, and acknowledge what they show."""

import asyncio
import secrets
from typing import Any, Protocol

import aiohttp

from teehee.errors import Unavailable
from teehee.wire.client import Client

Json = Any
PULL_SECONDS = 5
PAUSE_SECONDS = 0.05


class Person(Protocol):
    """Somebody who talks to an agent. `shown` holds the texts on their screen by message id, in order."""

    shown: dict[str, str]

    async def say(self, text: str, *, id: str) -> Json:
        """Posts until the message is taken; gives what was told with the last post."""
        ...

    async def hear(self, replies: int) -> list[str]:
        """Pulls until `replies` are shown; gives their texts."""
        ...

    async def settle(self) -> None:
        """Acknowledges everything shown once more, in case an acknowledgement was lost."""
        ...


class TerminalPerson:
    """At the terminal's socket; a `Client` sends again by itself what a dead gate did not answer."""

    def __init__(self, door: Client, *, agent: str = "", room: str = "main") -> None:
        self.door = door
        self.place = {"agent": agent, "room": room}
        self.shown: dict[str, str] = {}

    async def say(self, text: str, *, id: str, wait: float = 0.0) -> Json:
        told = await self._call("say", {**self.place, "text": text, "id": id, "wait": wait})
        await self._show(told["messages"])
        return told

    async def hear(self, replies: int) -> list[str]:
        while len(self.shown) < replies:
            await self._show(await self._call("pull", {**self.place, "wait": PULL_SECONDS}))
        return list(self.shown.values())

    async def settle(self) -> None:
        while unseen := await self._call("pull", {**self.place, "wait": 0}):
            await self._show(unseen)

    async def _show(self, messages: Json) -> None:
        for message in messages:
            self.shown.setdefault(message["id"], message["text"])
        if messages:
            await self._call("seen", {"ids": [message["id"] for message in messages]})

    async def _call(self, method: str, params: Json) -> Json:
        while True:
            try:
                return await self.door.call(method, params)
            except Unavailable:
                await asyncio.sleep(PAUSE_SECONDS)


class WebPerson:
    """At the HTTP API, with a session token and a cursor."""

    def __init__(self, http: aiohttp.ClientSession, url: str, slug: str, *, room: str = "", token: str = "") -> None:
        self.http = http
        self.url = f"{url}/api/chat/{slug}/messages"
        self.room = room
        self.headers = {"authorization": f"Bearer {token or secrets.token_urlsafe(32)}"}
        self.shown: dict[str, str] = {}
        self.after = 0

    async def say(self, text: str, *, id: str, wait: float = 0.0, name: str = "") -> Json:
        post = {"text": text, "id": id, "room": self.room, "name": name, "wait": wait}
        told = await self._ask("POST", json=post)
        self._show(told["messages"])
        return told

    async def hear(self, replies: int) -> list[str]:
        while len(self.shown) < replies:
            await self._pull(PULL_SECONDS)
        return list(self.shown.values())

    async def settle(self) -> None:
        await self._pull(0)

    async def _pull(self, wait: int) -> None:
        place = {"after": self.after, "wait": wait, "room": self.room}
        messages = (await self._ask("GET", params=place))["messages"]
        self._show(messages)
        # Only a pull moves the cursor: a post tells one answer, and an earlier one may still be on its way.
        self.after = max([self.after, *(message["seq"] for message in messages)])

    def _show(self, messages: Json) -> None:
        for message in messages:
            self.shown.setdefault(message["id"], message["text"])

    async def _ask(self, method: str, **request: Any) -> Json:
        while True:
            try:
                async with self.http.request(method, self.url, headers=self.headers, **request) as answer:
                    if answer.status in (200, 202):
                        return await answer.json()
                    if answer.status != 503:
                        raise AssertionError(f"{method} {self.url}: {answer.status} {await answer.text()}")
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(PAUSE_SECONDS)
