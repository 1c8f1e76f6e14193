"""Speaks to the vault of an agent elsewhere, as its owner: checked first, then sealed to it alone."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from teehee.cli.bundle import fetched, read_file
from teehee.errors import ConfigError, Unavailable, VerificationError

Json = Any
ANSWER_SECONDS = 15.0
ANSWER_BYTES = 1 << 20
APP_ID = re.compile(r"[0-9a-f]{40}(?=[-.]|$)")  # dstack's gateway has addresses of the form APP-PORT.GATEWAY

Url = Annotated[
    str,
    typer.Option("--url", metavar="URL", help="Address of an agent elsewhere. [default: the one that runs here]"),
]
AppId = Annotated[
    str, typer.Option("--app-id", metavar="HEX", help="Which app that must be. [default: the one its address names]")
]
Rung = Annotated[int, typer.Option("--rung", metavar="N", help="The rung it must reach, 1 or 2.")]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Which agent is meant, and what whoever asks will believe of it."""

    url: str
    app_id: str = ""
    rung: int = 1
    dev_root: Path | None = None
    kms_root: str = ""
    collateral: Path | None = None


class Vault:
    """The vault behind `there`, checked; `key` is the owner's."""

    def __init__(self, there: Elsewhere, owner_key: Path) -> None:
        from teehee.supervisor.owner import Owner

        if not owner_key.exists():
            raise ConfigError(
                f"there is no owner's key at {str(owner_key)!r}",
                hint="name the folder that has it with --data; `teehee owner` makes one, for --owner of the vault",
            )
        self.owner = Owner(owner_key)
        self.address = there.url
        self.key = checked(there)

    def ask(self, method: str, params: Json) -> Json:
        """The vault's answer to one signed request. Raises what it refuses with; VerificationError for another's."""
        import json

        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        from teehee.wire import channel, frames

        text = json.dumps(self.owner.signed(method, params, to=self.key.hex())).encode()
        sealed, exchange = channel.request(text, self.key, X25519PrivateKey.generate())
        try:
            told = json.loads(channel.unseal(exchange.answering, _post(self.address, sealed)))
        except ValueError as error:
            raise VerificationError(
                "channel.1",
                f"the answer is not the vault's: {error}",
                hint="whether it did what was asked is not known; ask again, from another network if need be",
            ) from error
        if "error" in told:
            frames.raise_failure(told["error"])
        return told["result"]


def checked(there: Elsewhere) -> bytes:
    """The key of its vault, out of a statement that holds.

    No nonce is asked for: a stop must not wait for a quote, and an old statement leads to the same key. Raises
    VerificationError for evidence that does not hold or is of another app.
    """
    import time

    from teehee.cli.verify import root_of, unhex
    from teehee.evidence import bundle, statement
    from teehee.evidence import verify as pipeline

    app_id = _app_id(there)
    given = pipeline.of_bundle(bundle.parse(fetched(there.url, "")))
    if there.collateral:
        given = replace(given, collateral=read_file(there.collateral))
    terms = pipeline.Terms(
        now=int(time.time()), dev_root=root_of(there.dev_root), kms_root=unhex(there.kms_root, "--kms-root")
    )
    verdict = pipeline.verify(given, terms)
    if verdict.rejects or verdict.rung < there.rung:
        codes = ", ".join(f"{reject.code} ({reject.found})" for reject in verdict.rejects)
        raise VerificationError(
            "afar.1",
            f"{there.url!r} does not hold: rung {verdict.rung}, expected {there.rung}"
            + (f"; {codes}" if codes else ""),
            hint=f"`teehee verify {there.url}` says more; nothing was sent",
        )
    said = statement.parse(given.statement or b"")
    if said.app_id != app_id:
        raise VerificationError(
            "afar.2",
            f"{there.url!r} is app {said.app_id}, expected {app_id}",
            hint="nothing was sent; check the address",
        )
    return bytes.fromhex(said.keys["owner-channel"])


def _app_id(there: Elsewhere) -> str:
    """Which app it must be: anybody can have an agent whose evidence holds."""
    from urllib.parse import urlsplit

    found = APP_ID.match(there.app_id.removeprefix("0x") or urlsplit(there.url).hostname or "")
    if found is None:
        raise ConfigError(
            "which app that must be is not known" if not there.app_id else f"--app-id {there.app_id[:60]!r}: no app id",
            hint="give its 40 hex digits with --app-id: any agent's evidence may hold, and yours is the one meant",
        )
    return found[0]


def _post(url: str, sealed: bytes) -> bytes:
    """What the agent's gate hands back."""
    import json
    import urllib.error
    import urllib.request
    from urllib.parse import urlsplit

    from teehee.errors import Refused

    at = urlsplit(url)
    headers = {"content-type": "application/octet-stream"}
    request = urllib.request.Request(f"{at.scheme}://{at.netloc}/owner", sealed, headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            told: bytes = answer.read(ANSWER_BYTES)
            return told
    except urllib.error.HTTPError as error:
        try:
            why = json.loads(error.read(ANSWER_BYTES))["error"]
        except (ValueError, KeyError, TypeError):
            why = {"code": "owner.relay", "message": f"{url!r} answers {error.code}"}
        kind = Unavailable(why["message"], code=why["code"]) if error.code == 503 else None
        raise kind or Refused(why["code"], why["message"]) from error
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise Unavailable(f"{url!r} cannot be reached: {getattr(error, 'reason', error)}") from error
