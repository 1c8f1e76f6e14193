"""A stand-in for dstack's guest agent: the same wire, its own keys, quotes that a developer's root has signed.

Everything in it agrees: the compose hash is that of the bytes it was given, in event log, registers, quote and `Info`;
its chains lead to its own key service; its quotes pass the strict checks of a verifier that was given `root_der`.
It holds no secret worth anything, and what it vouches for has `trust: dev`.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from teehee.errors import ConfigError
from teehee.tee.devpki import DeveloperPki
from teehee.tee.guest import SEED_BYTES
from teehee.tee.sim_ask import Ask
from teehee.tee.sim_certs import Authority
from teehee.tee.sim_http import NO_SUCH_PAGE, Reply, Web, json_reply
from teehee.tee.sim_keys import PROVIDERS, AppKeys, Failed, KeyService
from teehee.tee.sim_machine import DEFAULT_COMPOSE, ERAS, Boot, Machine
from teehee.tee.sim_methods import Methods

Json = Any

APP_ID_BYTES = 20
SLOW_SECONDS = 600.0
STALE_SECONDS = 40 * 86_400  # collateral lasts 30 days

# What can be wrong with it. The first four are of the wire and leave `Version` alone, so that a client finds it.
FAULTS = {
    "slow": "it answers after ten minutes",
    "status-400": "it refuses every question",
    "garbage": "its answers are no JSON",
    "vanish": "it goes away in the middle of an answer",
    "wrong-chain": "another key than the app's signs for its keys",
    "debug": "its quotes are of a machine that can be debugged",
    "dev-os": "it runs the development image, which differs in RTMR2 alone",
    "stale-collateral": "its collateral is 40 days old",
    "forged-late-event": "an app event after system-ready claims another app id",
    "duplicate-compose-hash": "two compose hashes are measured",
}


class Simulator:
    """One pretended machine. `async with` closes it; it listens from `listen` on.

    The same seed gives the same key service, developer root and, with `kms`, the same keys for an app. Raises
    ConfigError when it cannot be what was asked for.
    """

    trust: Literal["dev"] = "dev"

    def __init__(
        self,
        seed: bytes,
        *,
        era: str = "0.5.11",
        provider: str = "kms",
        app_compose: bytes = DEFAULT_COMPOSE,
        app_id: bytes = b"",
        instance_seed: bytes = b"",
        fault: str = "",
    ) -> None:
        _known("era", era, ERAS)
        _known("provider", provider, PROVIDERS)
        _known("fault", fault, ["", *FAULTS])
        if len(seed) != SEED_BYTES or len(app_id) not in (0, APP_ID_BYTES):
            raise ConfigError(f"a seed has {SEED_BYTES} bytes and an app id {APP_ID_BYTES}")
        boot = Boot(era, provider, app_compose, app_id, fault=fault)
        if instance_seed:
            boot = replace(boot, instance_seed=instance_seed)
        self.fault = fault
        self.pki = DeveloperPki(seed)
        service = KeyService(seed)
        self.machine = Machine(boot, service.info(provider))
        self.keys = AppKeys(
            service, provider, self.machine.app_id, self.machine.sealed_to, wrong_chain=fault == "wrong-chain"
        )
        self.anchor = service.anchor if provider == "kms" else b""
        authority = Authority(self.machine, self.keys.ca, service.ca if provider == "kms" else None)
        self.methods = Methods(self.machine, self.keys, authority, self.pki)
        self._surfaces = self.methods.surfaces()
        self._web = Web(self._answer)
        self.endpoints: list[str] = []

    @property
    def root_der(self) -> bytes:
        """The developer root its quotes verify under, for its owner to store."""
        return self.pki.root_der

    def collateral(self, now: int) -> dict[str, str]:
        """The collateral for its quotes at `now`, in seconds since 1970."""
        return self.pki.collateral(now - STALE_SECONDS if self.fault == "stale-collateral" else now)

    async def __aenter__(self) -> "Simulator":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def listen(self, *, socket: Path | None = None, port: int | None = None) -> str:
        """Listens at a Unix socket or on a loopback port (0: any free one) and says where."""
        try:
            if socket is not None:
                await self._web.listen_at(socket)
                where = str(socket)
            else:
                where = f"http://127.0.0.1:{await self._web.listen_on(port or 0)}"
        except OSError as error:
            raise ConfigError(f"cannot listen at {socket or port}: {error.strerror or error}") from error
        self.endpoints.append(where)
        return where

    async def close(self) -> None:
        """Stops listening, drops who is connected, removes its socket."""
        await self._web.close()
        self.endpoints.clear()

    async def _answer(self, path: str, fields: dict[str, Json]) -> Reply:
        prefix, _, name = path.rpartition("/")
        methods = self._surfaces.get(prefix + "/")
        if methods is None or not name:
            return Reply(404, NO_SUCH_PAGE, page=True)
        if prefix == "/prpc":
            name = name.removeprefix("Tappd.")
        method = methods.get(name)
        if method is None:
            return json_reply(404, {"error": f"Service not found: {name}"})
        try:
            reply = json_reply(200, method(Ask(fields)))
        except Failed as error:
            reply = json_reply(400, {"error": str(error)})
        return reply if name == "Version" else await self._with_fault(reply)

    async def _with_fault(self, reply: Reply) -> Reply:
        match self.fault:
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
            case "status-400":
                return json_reply(400, {"error": "the simulator was told to refuse"})
            case "garbage":
                return Reply(200, b"\x00\xff this is no JSON " + reply.body[::-1])
            case "vanish":
                return replace(reply, cut=True)
        return reply


def _known(what: str, given: str, known: "list[str] | tuple[str, ...] | dict[str, str]") -> None:
    if given not in known:
        names = ", ".join(one for one in known if one)
        raise ConfigError(f"unknown {what} {given!r}", hint=f"known are {names}")
