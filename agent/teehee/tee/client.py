"""The guest-agent client: dstack's v0 and v1 and the older tappd, each asked in its own words.

    era    agents       a key by name                          a quote
    v1     0.6          /v1/GetKey, domain = name              /v1/Attest
    v0     0.4 to 0.6   /GetKey, path = purpose = name         /GetQuote
    tappd  0.3 to 0.6   /prpc/Tappd.DeriveKey, path = name     /prpc/Tappd.TdxQuote, raw

The same name gives another key in each (tappd and v0 share theirs from 0.4 on), so the era is found once, pinned at
genesis, and never changed by the client.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from teehee.errors import ConfigError, Unavailable, VerificationError
from teehee.evidence import keychain
from teehee.tee import answers, exchange, legacy
from teehee.tee.guest import REPORT_BYTES, Algorithm, Api, AppInfo, Era, GuestError, Key, Quoted

Json = Any

ERAS: tuple[Era, ...] = ("v1", "v0", "tappd")  # as they are looked for
PREFIX: dict[Era, str] = {"v1": "/v1/", "v0": "/", "tappd": "/prpc/Tappd."}
FOLDERS = ("/var/run", "/run", "/var/run/dstack", "/run/dstack")
SOCKETS = tuple(f"{folder}/{name}.sock" for name in ("dstack", "tappd") for folder in FOLDERS)
REPORT_AT = {4: 568, 5: 574}  # where a quote of this version carries its report data
NO_AGENT = "mount the guest agent's socket (/var/run/dstack.sock), or start `teehee simulator` and name its endpoint"
ANOTHER_API = "another API gives other keys, so none is asked in its place: use a release that has the pinned one"

_Derived = tuple[bytes, tuple[bytes, ...], Callable[[bytes], bytes], bytes]  # secret, links, claim, public key as told


class Client:
    """One guest agent: `/var/run/dstack.sock`, or `http://127.0.0.1:PORT`.

    Without `api` it can only `probe`. Every method raises Unavailable when the agent is slow, gone or failing,
    ConfigError when it does not speak the pinned API, GuestError when it says no or nonsense, and VerificationError
    when what it says does not hold:

    1. The public key told is that of the private key.
    2. The first link of a chain is a signature.
    3. It names the same app as `app_root`, or as the first key did when that is not given.
    4. A quote is over the report data that was asked for.
    """

    def __init__(
        self, where: str, api: Api | None = None, *, app_root: bytes = b"", seconds: float = exchange.ANSWER_SECONDS
    ) -> None:
        self.endpoint = exchange.endpoint(where)
        self.app_root = app_root
        self.seconds = seconds
        self._api = api

    @property
    def api(self) -> Api:
        if self._api is None:
            raise ConfigError("no API of the guest agent is pinned yet", hint="probe() finds it, once, at genesis")
        return self._api

    async def probe(self, only: Era | None = None) -> Api:
        """Finds which API answers, the newest first, and pins it; with `only`, that one or none.

        Raises ConfigError when nobody listens or none of them is spoken here.
        """
        tried = (only,) if only else ERAS
        for era in tried:
            try:
                version = await self._version(era)
            except Unavailable as error:
                if error.code == "guest-absent":
                    raise ConfigError(str(error), hint=NO_AGENT) from error
                raise
            if version is not None:
                self._api = Api(era, version)
                return self._api
        asked = ", ".join(PREFIX[era] for era in tried)
        hint = ANOTHER_API if only else NO_AGENT
        raise ConfigError(f"{self.endpoint} speaks no guest API we know; asked were {asked}", hint=hint)

    async def get_key(self, name: str, algorithm: Algorithm) -> Key:
        """The key of this name, and the chain that ties it to its app and the app to its key service.

        Agents older than 0.5.7 take any algorithm for secp256k1: the bytes are the same, but the chain names another
        public key, so an ed25519 key comes without one there. tappd has none at all.
        """
        if algorithm not in ("secp256k1", "ed25519"):
            raise ValueError(f"expected secp256k1 or ed25519, got {algorithm!r}")
        derived = {"v1": self._by_domain, "v0": self._by_path, "tappd": self._by_tappd}[self.api.era]
        secret, links, claim, told = await derived(name, algorithm)
        try:
            public = keychain.public_key(secret, algorithm)
        except ValueError:
            raise GuestError(f"the guest agent talks nonsense: its key {name!r} is none of {algorithm}") from None
        if told not in (b"", public):  # 1
            raise VerificationError("guest.1", f"the public key told for {name!r} is not that of its private key")
        root = self._app_named(name, links[0], claim(public)) if links else b""
        return Key(name, algorithm, secret, public, links, root)

    async def get_quote(self, report_data: bytes) -> Quoted:
        """A quote over exactly these 64 bytes."""
        if len(report_data) != REPORT_BYTES:
            raise ValueError(f"report data has {REPORT_BYTES} bytes, got {len(report_data)}")
        if self.api.era == "tappd":
            return await self.tdx_quote(report_data, hash_algorithm="raw")
        if self.api.era == "v1":
            answer = await self._ask("v1", "Attest", report_data=report_data.hex())
            raw = answers.octets(answer, "attestation")
            return _over(_attested(raw), report_data)
        answer = await self._ask("v0", "GetQuote", report_data=report_data.hex())
        log, config = answers.text(answer, "event_log"), answers.text(answer, "vm_config", "")  # agents of 0.4 lack it
        return _over(Quoted(answers.octets(answer, "quote"), answers.json_list(log), config), report_data)

    async def tdx_quote(self, content: bytes, *, hash_algorithm: str = "sha512", prefix: str = "") -> Quoted:
        """tappd's quote over the hash of `prefix:content`, where the prefix is `app-data` when none is given.

        Raises ValueError for a prefix that ends in a colon: tappd adds its own.
        """
        if prefix.endswith(":"):
            raise ValueError(f"tappd puts the colon after the prefix itself, got {prefix!r}")
        expected = legacy.report_data(content, hash_algorithm, prefix)
        question = {"report_data": content.hex(), "hash_algorithm": hash_algorithm, "prefix": prefix}
        answer = await self._ask("tappd", "TdxQuote", **question)
        log = answers.json_list(answers.text(answer, "event_log"))
        return _over(Quoted(answers.octets(answer, "quote"), log, ""), expected)

    async def derive_pem(self, path: str, subject: str = "") -> str:
        """tappd's P-256 key for `path`, in the PEM form `legacy.wallets` takes; `subject` does not change the key."""
        return answers.text(await self._ask("tappd", "DeriveKey", path=path, subject=subject), "key")

    async def info(self) -> AppInfo:
        """What the agent says of the app; evidence of nothing."""
        answer = await self._ask(self.api.era, "Info")
        inner = answer if self.api.era == "v1" else answers.json_object(answers.text(answer, "tcb_info", ""))
        return AppInfo(
            app_id=answers.octets(answer, "app_id"),
            instance_id=answers.octets(answer, "instance_id", b""),
            app_name=answers.text(answer, "app_name", ""),
            compose_hash=answers.octets(answer, "compose_hash", b""),
            app_compose=answers.text(inner, "app_compose", "").encode(),
            device_id=answers.octets(answer, "device_id", b""),
            os_image_hash=answers.octets(answer, "os_image_hash", b""),
            key_provider=answers.text(answer, "key_provider_info", ""),
            vm_config=answers.text(answer, "vm_config", ""),
        )

    async def version(self) -> str:
        """The agent's release, such as `0.5.11`; empty for one older than 0.5.7, which does not tell."""
        version = await self._version(self.api.era)
        if version is None:
            raise ConfigError(f"{self.endpoint} no longer speaks {PREFIX[self.api.era]}", hint=ANOTHER_API)
        return version

    async def _by_domain(self, name: str, algorithm: str) -> _Derived:
        answer = await self._ask("v1", "GetKey", domain=name, algorithm=algorithm)
        told = answers.octets(answer, "public_key")
        claim = lambda public: keychain.claim_v1(name, algorithm, public)  # noqa: E731 - one of three, side by side
        return answers.secret(answer), answers.links(answer), claim, told

    async def _by_path(self, name: str, algorithm: str) -> _Derived:
        answer = await self._ask("v0", "GetKey", path=name, purpose=name, algorithm=algorithm)
        links = answers.links(answer)
        if algorithm != "secp256k1" and not self.api.version:
            links = ()
        return answers.secret(answer), links, lambda public: keychain.claim_v0(name, public), b""

    async def _by_tappd(self, name: str, algorithm: str) -> _Derived:
        return answers.p256_secret(await self.derive_pem(name)), (), lambda public: b"", b""

    def _app_named(self, name: str, link: bytes, claim: bytes) -> bytes:
        """Whom the first link of this key names as the app."""
        try:
            root = keychain.recover(claim, link)
        except VerificationError as error:  # 2
            raise VerificationError("guest.2", f"the chain of {name!r} is no signature: {error}") from None
        self.app_root = self.app_root or root
        if root != self.app_root:  # 3
            raise VerificationError(
                "guest.3",
                f"the chain of {name!r} names {root.hex()} as the app, expected {self.app_root.hex()}",
                hint="this is another app's guest agent, or its chain is forged: take no key from it",
            )
        return root

    async def _version(self, era: Era) -> str | None:
        """The agent's release when it speaks `era`, empty when it does not tell; None when it does not speak it."""
        answer = await exchange.ask(self.endpoint, PREFIX[era] + "Version", {}, self.seconds)
        if answer.status == 404:
            return "" if answers.knows_surface(answer) else None
        return answers.text(answers.read(answer, "Version"), "version")

    async def _ask(self, era: Era, method: str, **question: Json) -> dict[str, Json]:
        answer = await exchange.ask(self.endpoint, PREFIX[era] + method, question, self.seconds)
        if answer.status == 404:
            lacks = f"has no {method}" if answers.knows_surface(answer) else f"does not speak {PREFIX[era]}"
            raise ConfigError(f"the guest agent at {self.endpoint} {lacks}", hint=ANOTHER_API)
        return answers.read(answer, method)


def find_socket(places: Sequence[str] = SOCKETS) -> str:
    """The first of the places where dstack puts its socket that has one. Raises ConfigError when none has."""
    for place in places:
        if os.path.exists(place):
            return place
    raise ConfigError(f"no guest agent: there is none of {', '.join(places)}", hint=NO_AGENT)


def _attested(raw: bytes) -> Quoted:
    """The quote and log in what `Attest` answers."""
    from teehee.evidence import attestation  # MessagePack, which other APIs do without

    try:
        found = attestation.parse(raw)
    except VerificationError as error:
        raise GuestError(f"the guest agent talks nonsense: its attestation does not parse ({error})") from None
    return Quoted(found.quote_bytes, found.event_log(), found.config, raw)


def _over(quoted: Quoted, report_data: bytes) -> Quoted:
    """The quote, when it is of a version we know and over this report data."""
    start = REPORT_AT.get(int.from_bytes(quoted.quote[:2], "little"))
    if start is None or len(quoted.quote) < start + REPORT_BYTES:
        raise GuestError(f"the guest agent talks nonsense: {len(quoted.quote)} bytes that are no TDX quote")
    if quoted.quote[start : start + REPORT_BYTES] != report_data:  # 4
        raise VerificationError("guest.4", "the quote is over other report data than was asked for")
    return quoted
