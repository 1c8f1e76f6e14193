"""The contract of a connector: the gate half of a plugin, which brings a platform's events in and takes effects out.

A plugin names its module in `Plugin.connector`; the gate imports that, and nobody else does. The module has a function

    connect(office: Office, settings: Settings) -> Connector

called once for each agent whose character names the plugin. What a connector may do is in `Office`, and no more: it
holds its platform's token, and neither keys nor memories nor a model.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from teehee.errors import ActionFailed, ConfigError, Refused, TeeheeError, Unavailable
from teehee.log import get_logger
from teehee.wire.messages import Effect, Event

__all__ = [
    "FILE_LIMIT", "ActionFailed", "ConfigError", "Connector", "Effect", "Event", "Failed", "Fetches", "Gone", "Later",
    "Office", "Posted", "Pressed", "Refused", "Result", "Sent", "Settings", "Signal", "TeeheeError", "Unavailable",
    "Unknown", "get_logger",
]  # fmt: skip

Json = Any
FILE_LIMIT = 20_000_000  # bytes of a file that a mind may ask for


@dataclass(frozen=True, slots=True)
class Settings:
    """What the character says of its platforms, secrets taken out: Eliza's `clientConfig` and `settings`."""

    client_config: Mapping[str, Json] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """The platform took it, and calls it by this name."""

    reference: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """It certainly did not arrive, and will not; `detail` is a short code without spaces."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether it arrived: it is not sent again."""

    detail: str


@dataclass(frozen=True, slots=True)
class Later:
    """It certainly did not arrive, and may be tried again after so many seconds."""

    seconds: float


Posted = Callable[[Mapping[str, str], bytes], Awaitable[int]]  # headers (names in lower case), body: an HTTP status
Result = Sent | Failed | Unknown | Later


@dataclass(frozen=True, slots=True)
class Signal:
    """How a turn stands: `thinking`, `writing` with a draft in `text`, or `ended`. `number` grows with every change."""

    number: int = 0
    state: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """What left for a room, in answer to an event, so many seconds ago."""

    room: str
    event: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Pressed:
    """What came of a press on a button: `taken`, `again`, `theirs-not` or `gone`; and what the button said."""

    state: str
    label: str


class Office(Protocol):
    """What a connector is handed. A call may raise Unavailable while vault or mind are away; all may be repeated."""

    agent: str
    slug: str
    name: str
    source: str  # of this connector's events, and the first part of its verbs
    trust: str  # dev or tdx, as the vault judged its own machine
    url: str  # where people reach the web page; empty when nobody said

    async def receive(self, event: Event) -> bool:
        """Hands an event to vault and mind, and returns when both have it on disk; False when it was known."""

    async def answer(self, event: Event, text: str, verb: str) -> None:
        """Answers a command, in words made by code. Raises Refused."""

    async def answers(self, event: Event) -> Sequence[Effect]:
        """What was said in answer to an event, as it stands now."""

    async def order(self, event: Event, order: str, text: str, verb: str) -> bool:
        """An owner's `stop` or `resume`; is that a change? Raises Refused when they are no owner of this agent's."""

    async def quiet(self, event: Event, quiet: bool) -> None:
        """Silence in the chat where the command `event` was given by an admin of it, or the end of it.

        An event of kind `moved` may bring the silence of the chat that moved along.
        """

    async def quiet_chats(self) -> frozenset[str]:
        """The chats, as in rooms but without a topic, in which the agent is to be silent."""

    async def press(self, event: Event, reference: str, option: int) -> Pressed:
        """A button under the message `reference` was pressed; a taken press is an event of kind `choice`."""

    async def signal(self, event: Event, after: int, seconds: float) -> Signal:
        """How the turn about `event` stands once that is newer than `after`."""

    async def forget(self, principal: str) -> Mapping[str, Json]:
        """Forgets whoever asks for it, everywhere; gives the receipt of it, {} when nothing was kept of them."""

    async def secret(self, name: str) -> tuple[int, str]:
        """(version, value) of a secret of this agent's. Raises Refused when there is none."""

    async def rotate(self, name: str, version: int, value: str) -> int:
        """Replaces a secret, if it is still at this version; 0: if there is none. Raises Refused when it is not."""

    async def account(
        self, number: str, secrets: Sequence[str] = (), powers: Sequence[str] = (), guards: Sequence[str] = ()
    ) -> None:
        """The platform's own number of the account this connector speaks for: it stands in the next statement.

        For `teehee accounts`: the names of the secrets that open it, the one in use first; in sentences, what people
        can do with it all the same (`powers`), and what is done about that (`guards`).
        """

    async def referred(self, reference: str) -> Effect | None:
        """The effect that the platform knows by this name."""

    async def receipt(self, effect: str) -> Mapping[str, Json]:
        """Where an effect stands in the signed log."""

    async def bundle(self, nonce: str = "") -> Mapping[str, Json]:
        """The newest statement with what a check needs; with a nonce (hex), one that answers it."""

    async def lately(self, seconds: float) -> Sequence["Gone"]:
        """What left for this platform in the last so many seconds, oldest first: its limits count that still."""

    async def today(self) -> Mapping[str, Json]:
        """Is the agent stopped, and how much came and left since midnight, UTC?"""

    async def changed(self, name: str, version: int) -> None:
        """Returns when the secret is no longer at this version."""

    def hook(self, posted: Posted) -> AbstractContextManager[None]:
        """While this holds, what is posted to the web page's /hooks/<slug>/<source> is answered by `posted`."""

    def tell(self, code: str, sentence: str) -> None:
        """Something whoever runs this should know, shown until it is told to be over with an empty sentence."""


class Connector(Protocol):
    """One account of one agent on one platform."""

    async def run(self) -> None:
        """Brings events in until it is cancelled. What it raises is logged, and it is run again after a pause."""

    def wait(self, effect: Effect) -> float:
        """Seconds until this may be sent, by the platform's limits; 0: now, and it is on its way until it is `over`."""

    def over(self, effect: Effect) -> None:
        """What `wait` let go has been delivered, or not, or is not to be sent after all."""

    async def deliver(self, effect: Effect) -> Result:
        """Makes the one platform call for an effect. What it raises counts as Unknown."""

    async def settled(self, effect: Effect) -> None:
        """The outcome of an effect is on disk."""


@runtime_checkable
class Fetches(Protocol):
    """What a connector has beside, when people can send files: the mind asks for what came with their messages.

    Events name a file in Eliza's way: `content["attachments"]` is a list of objects with `id` (the platform's own),
    `kind` (photo, voice, document …), `title` (the line in the text that stands for it), `name`, `mime` and `size`.
    """

    async def file(self, id: str) -> bytes:
        """The file of this id, which an event named; no byte more than FILE_LIMIT is taken in.

        Raises ActionFailed with the code `gone` or `too-large`, Unavailable while the platform is away.
        """


class Connect(Protocol):
    """The function a connector's module has."""

    def __call__(self, office: Office, settings: Settings) -> AbstractAsyncContextManager[Connector]: ...
