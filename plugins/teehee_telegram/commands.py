"""What the agent does at a command, in code: no model is asked, so these work when nothing else does."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from teehee.connector import Event, Office, Refused, TeeheeError
from teehee_telegram.inbound import Inbound

Json = Any
ABOUT = {
    "start": "who I am",
    "help": "what can be asked",
    "verify": "which code and which keys run here",
    "receipt": "as a reply to a message of mine: the proof that it is mine",
    "prove": "a fresh statement that answers your own NONCE",
    "status": "how I am doing, and your own id",
    "forget": "have everything of yours destroyed",
    "quiet": "for a group's admins: silence here",
    "speak": "for a group's admins: the end of it",
    "stop": "for my owners: silence me",
    "resume": "for my owners: let me speak again",
}
OWNERS = ("stop", "resume")
ADMINS = ("quiet", "speak")
NONCE = re.compile(r"(?:[0-9a-f]{2}){8,64}")
RUNGS = {"dev": "development: nobody else can rely on it", "tdx": "Intel TDX hardware"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as it was given: `event` is witnessed, `inbound` says what it replies to."""

    office: Office
    event: Event
    inbound: Inbound

    @property
    def argument(self) -> str:
        return self.inbound.command.arguments.strip() if self.inbound.command else ""


async def answer(asked: Asked) -> str:
    """The words that answer a command; what went wrong is said in them."""
    name = asked.inbound.command.name if asked.inbound.command else "help"
    try:
        return await ANSWERS[name](asked)
    except Refused as refusal:
        return f"That was refused: {refusal.reason}."
    except TeeheeError as error:
        return f"That did not work just now: {error}. Ask again in a moment."


async def _start(asked: Asked) -> str:
    name = asked.office.name
    return (
        f"I am {name}, a program that answers by itself: nobody types for me, and everything I say has a receipt.\n"
        "/verify shows what runs here, /help what else can be asked, /forget takes back all you told me."
    )


async def _help(asked: Asked) -> str:
    lines = [f"/{name} {'NONCE ' if name == 'prove' else ''}– {about}" for name, about in ABOUT.items()]
    return "\n".join(["In a group I answer who mentions me or replies to me.", "", *lines])


async def _status(asked: Asked) -> str:
    office, today = asked.office, await asked.office.today()
    state = "stopped by an owner" if today["stopped"] else "running"
    return (
        f"{office.name} is {state}.\nToday: {today['messages_today']} messages in, {today['replies_today']} replies.\n"
        f"Trust: {office.trust} ({RUNGS.get(office.trust, 'unknown')}).\nYou are {asked.event.principal} to me."
    )


async def _verify(asked: Asked) -> str:
    office, found = asked.office, await asked.office.bundle()
    said = _statement(found)
    lines = [
        f"Trust: {office.trust}, {RUNGS.get(office.trust, 'unknown')}.",
        f"Code (compose hash): `{said['compose_hash'] or 'none'}`",
        f"Character (package): `{said['package_hash']}`",
        f"Policy: `{said['policy_hash']}`",
        f"Log: {said['log_size']} leaves, root `{said['log_root']}`",
    ]
    if office.url:
        page = f"{office.url}/chat/{office.slug}"
        lines += [f"What a check shows and what not: {page}/verify", f"Check it yourself: `teehee verify {page}`"]
    else:
        lines.append("My page has no public address, so ask whoever runs me for the bundle, and check it yourself.")
    return "\n".join([*lines, "I say this myself, so it proves nothing until you check it."])


async def _receipt(asked: Asked) -> str:
    reply = asked.inbound.reply_to
    if reply is None or not reply.is_me:
        return "Reply to a message of mine with /receipt, and I show the proof of that message."
    effect = await asked.office.referred(f"telegram:{asked.inbound.chat.id}/{reply.message_id}")
    if effect is None:
        return "I have no receipt for that message: if it stands under my name, it is not mine, or it was forgotten."
    found = await asked.office.receipt(effect.id)
    lines = [
        f"Yes, I said that: effect `{effect.id}`, {found['state']}.",
        f"Leaf {effect.leaf} of the log {found['origin']}, salt `{effect.salt}`.",
    ]
    if asked.office.url:
        lines.append(f"Proof: {asked.office.url}/chat/{asked.office.slug}/receipts/{effect.id}")
    return "\n".join(lines)


async def _prove(asked: Asked) -> str:
    if not asked.argument:
        return "Send /prove with a NONCE of your own, such as 32 random hex digits: my statement then answers it."
    nonce = asked.argument.lower()
    note = ""
    if not NONCE.fullmatch(nonce):
        nonce = sha256(asked.argument.encode()).hexdigest()
        note = " (the SHA-256 of what you sent)"
    found = await asked.office.bundle(nonce)
    said = _statement(found)
    lines = [
        f"Nonce `{nonce}`{note}",
        f"Statement of {said['issued_at']} ms since 1970, SHA-256 `{sha256(found['statement'].encode()).hexdigest()}`",
        f"Quote SHA-256 `{sha256(bytes.fromhex(found['quote'])).hexdigest()}`, trust {said['trust']}",
        f"Log: {said['log_size']} leaves, root `{said['log_root']}`",
    ]
    if asked.office.url:
        lines.append(f"All of it: {asked.office.url}/chat/{asked.office.slug}/bundle.json?nonce={nonce}")
    return "\n".join(lines)


async def _forget(asked: Asked) -> str:
    """Asks first; the forgetting itself is the connector's (see `wants_to_be_forgotten`)."""
    return (
        "I would forget all you said to me here and all I told you, in every chat, for good; my log keeps only that "
        "there was something. To do so, send: /forget yes"
    )


def wants_to_be_forgotten(inbound: Inbound) -> bool:
    command = inbound.command
    return command is not None and command.name == "forget" and command.arguments.strip().lower() == "yes"


def forgotten(receipt: Mapping[str, Json]) -> str:
    """What somebody is told who was forgotten; `receipt` is {} when nothing was kept of them."""
    if not receipt:
        return "There was nothing of yours to forget."
    index = receipt["leaves"][0]["index"]
    return (
        f"Forgotten: your messages, my answers to you and the key they were sealed under are destroyed.\n"
        f"Receipt: leaf {index} of the log {receipt['origin']}, salt `{receipt['salt']}`. Keep the salt: with your id "
        f"({receipt['person']}) it opens the leaf, and I do not have it any more. This message is forgotten too, once "
        "it has left."
    )


async def _order(asked: Asked) -> str:
    return "Only my owners may do that: people whose ids stand in my policy."


async def _admin(asked: Asked) -> str:
    return "That is for the admins of a group, in the group."


ANSWERS: Mapping[str, Callable[[Asked], Awaitable[str]]] = {
    "start": _start, "help": _help, "status": _status, "verify": _verify, "receipt": _receipt, "prove": _prove,
    "forget": _forget, "stop": _order, "resume": _order, "quiet": _admin, "speak": _admin,
}  # fmt: skip


def _statement(found: Mapping[str, Json]) -> Mapping[str, Json]:
    import json

    said: Mapping[str, Json] = json.loads(found["statement"])
    return said
