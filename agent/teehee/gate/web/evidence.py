"""What anyone may take away and check: an agent's bundle as one file, and a page that says how."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from teehee.evidence import bundle, statement
from teehee.gate.accounts import Accounts
from teehee.gate.collateral import Collateral
from teehee.gate.conversation import Conversation
from teehee.gate.web.layout import e, facts, inner_head, page
from teehee.wire.boot import Face
from teehee.wire.client import Client
from teehee.wire.strict import Malformed

Json = Any
QUOTE_SECONDS = 30.0
DEVELOPMENT = "a developer's own machine signed this: nobody else can rely on it"
HARDWARE = "signed by Intel TDX hardware"
SHOWN = (
    "Intel's hardware signed the statement, and Intel's word on that platform was good at the time.",
    "Exactly this app-compose was booted, on a known production operating system, and who it lets in.",
    "The wallets and the log key were derived in this machine by a known key service; no person was given them.",
    "The log it signs has this many leaves and this root; every reply's receipt leads to it.",
)
SHOWN_IN_DEVELOPMENT = (
    "The whole way from keys to quote holds together, under a root that only this developer should trust.",
)
NOT_SHOWN = (
    "Who may authorise another app-compose for this app: that code would get the same keys.",
    "That the host will not stop it, clone it or roll it back.",
    "That what it says is true or wise: only that it was the one to say it.",
)


class Evidence:
    """The vault's evidence with Intel's word on the platform added, and the page about it."""

    def __init__(
        self, conversation: Conversation, public: Client, collateral: Collateral, accounts: Accounts
    ) -> None:  # fmt: skip
        self.conversation = conversation
        self.public = public
        self.collateral = collateral
        self.accounts = accounts

    async def bundle(self, request: Request) -> Response:
        """GET /chat/{agent}/bundle.json?nonce=HEX, and /bundle.json where one agent runs; a nonce is answered by it."""
        face = self.conversation.face(request.path_params.get("agent", ""))
        question = {"agent": face.agent, "nonce": request.query_params.get("nonce", "")}
        given = await self.public.call("bundle", question, patience=QUOTE_SECONDS)
        word, source = await self.collateral.of(bytes.fromhex(given["quote"]))
        told = {"collateral": word, "collateral_from": source}
        try:
            file = bundle.Bundle(**{**given, **told, "as_of": given["as_of"] or int(time.time())})
        except ValueError as error:
            raise Malformed(f"the vault's bundle does not hold: {error}") from error
        return Response(file.encode(), media_type="application/json")

    async def verify(self, request: Request) -> Response:
        """GET /chat/{agent}/verify: what the agent states, what a check can show and what not, how to repeat it."""
        face = self.conversation.face(request.path_params["agent"])
        given = await self.public.call("bundle", {"agent": face.agent}, patience=QUOTE_SECONDS)
        said = statement.parse(given["statement"].encode())
        host = request.headers.get("host", "")
        held = await self.accounts.of(face.agent)
        shown = _shown(face, said, f"{request.url.scheme}://{host}/chat/{face.slug}", held)
        return page(f"Verify {face.name}", shown)


def _shown(face: Face, said: statement.Statement, address: str, held: Sequence[Json]) -> str:
    wallets = [(f"{chain} wallet", wallet) for chain, wallet in said.addresses.items()]
    accounts = [(f"{platform} account", account) for platform, account in said.accounts.items()]
    rows = [
        ("app", said.app_id), ("compose hash", said.compose_hash), ("character package", said.package_hash),
        ("policy", said.policy_hash), *wallets, *accounts, ("key id", said.key_id),
        ("log", f"size {said.log_size}, root {said.log_root}"), ("last seen", _day(said.issued_at)),
    ]  # fmt: skip
    is_dev = said.trust == "dev"
    trust, shown = (DEVELOPMENT, SHOWN_IN_DEVELOPMENT) if is_dev else (HARDWARE, SHOWN)
    command = f"teehee verify {address}" + (" --dev-root DATA/dev-root.pem" if is_dev else "")
    bundle_at = f'<a href="/chat/{e(face.slug)}/bundle.json">the bundle</a>'
    return (
        f"{inner_head(face, f'Verify {face.name}', f'trust: {said.trust} · {trust}')}"
        f"<main><p>This page comes from the agent, so it proves nothing by itself. Check it from a machine of your own:"
        f"</p><pre>{e(command)}</pre><p>or take {bundle_at}, one file with "
        f"everything a check needs, and do it by hand.</p><h2>What it states, under its machine&#x27;s signature</h2>"
        f"{facts(rows)}<h2>What a check shows</h2><ul>{_items(shown)}</ul>"
        f"<h2>What it does not show</h2><ul>{_items(NOT_SHOWN)}</ul>{''.join(map(_held, held))}"
        "</main>"
    )


def _held(account: Json) -> str:
    """Who holds what of one account; the agent's own word, like all of the page."""
    seen = [one["seen"] for one in account["secrets"]]
    told = [("Who has seen what opens it", seen), ("What people can do all the same", account["powers"]),
            ("What guards against that", account["guards"])]  # fmt: skip
    parts = "".join(f"<p>{e(title)}</p><ul>{_items(sentences)}</ul>" for title, sentences in told if sentences)
    return f"<h2>Its account {e(account['platform'])} {e(account['id'])}</h2>{parts}"


def _items(sentences: Sequence[str]) -> str:
    return "".join(f"<li>{e(sentence)}</li>" for sentence in sentences)


def _day(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
