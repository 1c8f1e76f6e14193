"""A hostile mind: no mind runs, the test drives its socket raw; nothing leaves but what the base policy allows."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from raw_peer import RawPeer, connected
from teehee.errors import Refused
from teehee.evidence import leaf
from teehee.supervisor.owner import Owner
from teehee.wire import frames, server, strict
from vaults import (
    VaultProcess,
    config,
    configure,
    envelope,
    intents,
    post,
    reply,
    rule_of,
    vault_process,
    witness,
)

Json = Any
AGENTS = ("agent-ada", "agent-eve")
in_one_vault = pytest.mark.asyncio(loop_scope="module")
LATER = 2**52  # a sequence number beyond what an owner's clock gives


@dataclass
class Siege:
    """A real vault under attack, and what people really said: (agent, source, event) -> room."""

    vault: VaultProcess
    said: dict[tuple[str, str, str], str] = field(default_factory=dict)

    async def someone_says(
        self, event: str, *, agent: str = "agent-ada", source: str = "web", room: str = "room"
    ) -> None:
        """The gate witnesses what a person said."""
        await self.vault.gate("event.witness", witness(event, agent=agent, source=source, room=room))
        self.said.setdefault((agent, source, event), room)

    async def refused(self, submission: Json) -> str:
        """The rule that refuses what the mind submits."""
        return await rule_of(self.vault.submit(submission))

    def mind(self) -> contextlib.AbstractAsyncContextManager[RawPeer]:
        """A raw connection to the mind's socket."""
        return connected(self.vault.socket("mind"))

    @contextlib.asynccontextmanager
    async def unmoved(self) -> AsyncIterator[None]:
        """Whatever happens inside: no log grows, and nothing more is told to leave."""
        before = await self.sizes(), len(await self.vault.leaving())
        yield
        assert (await self.sizes(), len(await self.vault.leaving())) == before

    async def sizes(self) -> dict[str, int]:
        """How many leaves each agent's log has."""
        return {agent: len(await self.vault.verified(agent)) for agent in AGENTS}

    async def holds(self) -> None:
        """Only answers to what was said have left, each once, each with its one leaf; the logs are whole."""
        left = await self.vault.leaving()
        assert len({effect["id"] for effect in left}) == len(left)
        for effect in left:
            assert self.said[effect["agent"], effect["source"], effect["event"]] == effect["room"]
            assert effect["verb"] == f"{effect['source']}.reply"
            assert 0 < len(effect["text"].strip())
            assert len(effect["text"]) <= 4000
        answers = Counter((effect["agent"], effect["source"], effect["event"], effect["part"]) for effect in left)
        assert set(answers.values()) <= {1}
        logged = [effect for agent in AGENTS for effect in intents(await self.vault.verified(agent))]
        assert Counter(logged) == Counter(effect["id"] for effect in left)
        assert "Traceback" not in self.vault.log_text()


@contextlib.asynccontextmanager
async def besieged(folder: Path, **policy: Json) -> AsyncIterator[Siege]:
    """A vault with two agents, to one of whom somebody has said `e1`; afterwards, what must hold."""
    async with vault_process(folder, config("Ada", **policy), config("Eve")) as vault:
        siege = Siege(vault)
        await siege.someone_says("e1")
        yield siege
        await siege.holds()


@pytest.fixture
async def siege(tmp_path: Path) -> AsyncIterator[Siege]:
    async with besieged(tmp_path) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def long_siege(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    """One vault for the many attacks that must change nothing; `e1` is never answered there."""
    async with besieged(tmp_path_factory.mktemp("long-siege")) as one:
        yield one


def parts(*parts: tuple[str, str, str], **more: Json) -> Json:
    """A submission to `e1` with parts of (verb, room, text)."""
    named = [{"verb": verb, "room": room, "text": text} for verb, room, text in parts]
    return {"agent": "agent-ada", "source": "web", "event": "e1", "parts": named, **more}


FINE = ("web.reply", "room", "hello")


def request(method: str, params: Json) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n"


async def test_what_the_base_policy_allows_does_leave(siege: Siege) -> None:
    (effect,) = await siege.vault.submit(reply("e1", "hello"))

    assert await siege.vault.leaving() == [effect]


# -- what is submitted, and which rule refuses it

SUBMISSIONS = {
    "a forged owner": ("base.label-raised", reply(label="owner")),
    "a forged principal": ("base.label-raised", reply(label="principal")),
    "an unknown label": ("base.label-unknown", reply(label="root")),
    "no label": ("base.label-unknown", reply(label="")),
    "a forged summons": ("base.event-not-witnessed", reply("summoned-by-my-owner")),
    "a forged summons at the terminal": ("base.event-not-witnessed", reply("e1", source="terminal")),
    "a reply to a room nobody spoke in": ("base.event-not-witnessed", reply("e2", room="quiet-room")),
    "an event id that only looks alike": ("base.event-not-witnessed", reply("e1 ")),
    "a reply into another room": ("base.room-mismatch", reply(room="another")),
    "a reply into no room": ("base.room-mismatch", reply(room="")),
    "a second part into another room": ("base.room-mismatch", parts(FINE, ("web.reply", "another", "psst"))),
    "money on Ethereum": ("base.value-verb", reply(verb="evm.transfer")),
    "money on Solana": ("base.value-verb", reply(verb="solana.transfer")),
    "money behind a harmless part": ("base.value-verb", parts(FINE, ("evm.transfer", "room", "1 ETH"))),
    "money without being asked": ("base.value-verb", post(verb="evm.transfer")),
    "an unknown verb": ("base.verb-unknown", reply(verb="web.delete")),
    "a platform's verb": ("base.verb-unknown", reply(verb="telegram.send_message")),
    "a verb in capitals": ("base.verb-unknown", reply(verb="WEB.REPLY")),
    "no verb": ("base.verb-unknown", parts(("", "room", "hello"))),
    "the verb of another source": ("base.verb-source", reply(verb="terminal.reply")),
    "a post without being asked": ("base.verb-unknown", post(verb="x.post")),
    "a reply without being asked": ("base.unprompted", {**reply(), "event": "", "key": "k"}),
    "an empty text": ("base.empty", reply("e1", "")),
    "a text of white space": ("base.empty", reply("e1", " \n\t ")),
    "no parts": ("base.empty", parts()),
    "a text of 5,000 characters": ("base.text-too-long", reply("e1", "x" * 5000)),
    "one part more than there may be": ("base.too-many-parts", parts(*[FINE] * 5)),
    "as many parts as the wire carries": ("base.too-many-parts", parts(*[FINE] * strict.OBJECTS_LIMIT)),
    "an agent that is not here": ("base.agent-unknown", reply(agent="agent-nobody")),
    "no agent": ("base.agent-unknown", reply(agent="")),
    "another agent's event": ("base.event-not-witnessed", reply(agent="agent-eve")),
}


@in_one_vault
@pytest.mark.parametrize(("rule", "submission"), list(SUBMISSIONS.values()), ids=list(SUBMISSIONS))
async def test_a_submission_against_the_rules_is_refused_by_name_and_nothing_leaves(
    long_siege: Siege, rule: str, submission: Json
) -> None:
    async with long_siege.unmoved():
        assert await long_siege.refused(submission) == rule


async def test_a_refused_submission_does_not_use_up_its_event(siege: Siege) -> None:
    for _, submission in SUBMISSIONS.values():
        await siege.refused(submission)

    assert len(await siege.vault.submit(reply("e1", "hello"))) == 1


async def test_an_agent_is_called_by_its_id_and_not_by_its_key_or_name(siege: Siege) -> None:
    (known, _) = (await siege.vault.public("agents"))["agents"]

    for name in (known["key_id"], known["name"], known["origin"], known["slot"]):
        assert await siege.refused(reply(agent=name)) == "base.agent-unknown"


async def test_an_answer_that_fits_the_cap_by_half_cannot_break_the_log(tmp_path: Path) -> None:
    async with besieged(tmp_path, replies_per_room_minute=3) as siege:
        for number in range(20):
            await siege.someone_says(f"f{number}")
            with contextlib.suppress(Refused):
                await siege.vault.submit(reply(f"f{number}", "one", "two"))

        await siege.holds()


# -- once is once


async def test_the_same_submission_a_hundred_times_is_one_effect(siege: Siege) -> None:
    told = [await siege.vault.submit(reply("e1", "hello")) for _ in range(100)]

    assert all(effects == told[0] for effects in told)
    assert await siege.vault.leaving() == told[0]


async def test_the_same_submission_a_hundred_times_at_once_is_one_effect(siege: Siege) -> None:
    told = await asyncio.gather(*(siege.vault.submit(reply("e1", "one", "two")) for _ in range(100)))

    assert all(effects == told[0] for effects in told)
    assert await siege.vault.leaving() == told[0]


async def test_a_second_answer_to_one_event_is_refused(siege: Siege) -> None:
    await siege.vault.submit(reply("e1", "hello"))

    assert await siege.refused(reply("e1", "hello again")) == "base.already-answered"
    assert await siege.refused(reply("e1", "hello", "and more")) == "base.already-answered"
    assert len(await siege.vault.leaving()) == 1


async def test_an_answer_stays_the_only_one_after_its_outcome(siege: Siege) -> None:
    (effect,) = await siege.vault.submit(reply("e1", "hello"))
    for state in ("failed", "delivered"):
        await siege.vault.gate("effect.outcome", {"id": effect["id"], "state": state})

        assert await siege.refused(reply("e1", "hello again")) == "base.already-answered"


async def test_of_two_hundred_answers_at_once_exactly_one_is_committed(siege: Siege) -> None:
    told = await asyncio.gather(
        *(siege.vault.submit(reply("e1", f"answer {number}")) for number in range(200)), return_exceptions=True
    )
    rules = Counter(one.rule for one in told if isinstance(one, Refused))

    assert rules == {"base.already-answered": 199}
    assert len(await siege.vault.leaving()) == 1


async def test_of_answers_from_several_connections_at_once_exactly_one_is_committed(siege: Siege) -> None:
    async with siege.mind() as one, siege.mind() as two, siege.mind() as three:
        told = await asyncio.gather(
            *(mind.ask("effect.submit", reply("e1", f"answer {n}")) for n, mind in enumerate((one, two, three)))
        )

    assert Counter("result" in one for one in told) == {True: 1, False: 2}
    assert len(await siege.vault.leaving()) == 1


# -- what is malformed

MALFORMED = {
    "an owner's key in the submission": ("params: unknown key 'owner'", {**reply(), "owner": True}),
    "a principal in the submission": ("params: unknown key 'principal'", {**reply(), "principal": "1"}),
    "a witnessed room in the submission": ("params: unknown key 'room'", {**reply(), "room": "room"}),
    "a key of Python's": ("params: unknown key '__class__'", {**reply(), "__class__": "Owner"}),
    "an unknown key in a part": (
        "params.parts[0]: unknown key 'amount'",
        {**reply(), "parts": [{"verb": "web.reply", "room": "room", "text": "x", "amount": 10**30}]},
    ),
    "no parts at all": ("params: missing key 'parts'", {"agent": "agent-ada", "source": "web", "event": "e1"}),
    "parts that are no list": ("params.parts: expected a list", {**reply(), "parts": {"0": {}}}),
    "more parts than the wire carries": (
        "params.parts: 1001 items, at most 1000 are taken",
        parts(*[("", "", "")] * 1_001),
    ),
    "a text that is a number": (
        "params.parts[0].text: expected a string, got a number",
        {**reply(), "parts": [{"verb": "web.reply", "room": "room", "text": 1}]},
    ),
    "an agent that is a list": ("params.agent: expected a string, got a list", {**reply(), "agent": ["agent-ada"]}),
    "an event that is null": ("params.event: expected a string, got null", {**reply(), "event": None}),
    "a label that is an object": ("params.label: expected a string, got an object", {**reply(), "label": {}}),
    "an agent that is a huge number": ("params.agent: expected a string, got a number", {**reply(), "agent": 10**4000}),
    "a lone surrogate in the text": ("params.parts[0].text: a lone surrogate is not text", reply("e1", "a\ud800b")),
    "a lone surrogate in the room": ("params.parts[0].room: a lone surrogate is not text", reply(room="\udfff")),
    "a lone surrogate in a key": ("params: unknown key '\\ud800'", {**reply(), "\ud800": 1}),
    "a text beyond what the wire carries": (
        "params.parts[0].text: 65537 characters, at most 65536 are taken",
        reply("e1", "x" * (strict.TEXT_LIMIT + 1)),
    ),
    "params that are a list": ("params must be an object", [reply()]),
}


@in_one_vault
@pytest.mark.parametrize(("says", "params"), list(MALFORMED.values()), ids=list(MALFORMED))
async def test_a_malformed_submission_is_told_what_is_wrong_and_nothing_leaves(
    long_siege: Siege, says: str, params: Json
) -> None:
    async with long_siege.unmoved(), long_siege.mind() as mind:
        told = await mind.ask("effect.submit", params)
        next_one = await mind.ask("effect.submit", reply("never-said"))

    assert (told["id"], told["error"]["code"]) == (1, frames.BAD_PARAMS)
    assert told["error"]["message"].startswith(says)
    assert next_one["error"]["data"] == {"rule": "base.event-not-witnessed"}


@in_one_vault
@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"\x00" * 1000, id="zero bytes"),
        pytest.param(b"[" * 200_000, id="nested without end"),
        pytest.param(
            b"[" + json.dumps({"jsonrpc": "2.0", "id": 1, "method": "effect.submit"}).encode() + b"]", id="a batch"
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","id":' + b"9" * 100_000 + b',"method":"effect.submit"}', id="an endless number"
        ),
        pytest.param(b"GET / HTTP/1.1", id="another protocol"),
    ],
)
async def test_a_line_that_is_no_request_is_refused_and_the_next_one_is_heard(long_siege: Siege, line: bytes) -> None:
    async with long_siege.unmoved(), long_siege.mind() as mind:
        await mind.write(line + b"\n")
        told = await mind.answer()
        next_one = await mind.ask("effect.submit", reply("never-said"))

    assert told["error"]["code"] in (frames.PARSE, frames.INVALID)
    assert next_one["error"]["data"] == {"rule": "base.event-not-witnessed"}


async def test_a_message_without_an_end_closes_the_connection_only(siege: Siege) -> None:
    async with siege.mind() as mind:
        await mind.write(b"x" * (frames.LINE_LIMIT + 1))
        assert await mind.is_closed()

    assert len(await siege.vault.submit(reply("e1", "hello"))) == 1


# -- what other roles may

NOT_THE_MINDS = {
    "effect.outcome": {"id": "0b1c5a52-6ff2-4a67-9d3b-0c4f7a1f6f10", "state": "delivered"},
    "event.witness": witness("forged"),
    "secret.get": {"name": "ada/MODEL_KEY"},
    "secret.rotate": {"name": "ada/MODEL_KEY", "version": 1, "value": "mine"},
    "effect.due": {},
    "effect.in_room": {"agent": "agent-ada", "room": "room"},
    "request": {"body": "{}", "key": "", "signature": ""},
    "configure": configure([config("Mallory")]),
    "recall": {},
    "stop": {"agents": ["agent-ada"]},
    "resume": {},
    "secret.set": {"name": "ada/MODEL_KEY", "value": "mine"},
    "secret.names": {},
    "statement": {"agent": "agent-ada"},
    "checkpoint": {"agent": "agent-ada"},
    "sign": {"bytes": "00"},
    "methods": {},
    "__class__": {},
}


@in_one_vault
@pytest.mark.parametrize("method", list(NOT_THE_MINDS))
async def test_what_is_for_another_role_does_not_exist_for_the_mind(long_siege: Siege, method: str) -> None:
    async with long_siege.unmoved(), long_siege.mind() as mind:
        told = await mind.ask(method, NOT_THE_MINDS[method])

    assert told["error"] == {"code": frames.NO_METHOD, "message": f"the mind role has no {method!r}"}
    assert told["id"] == 1


async def test_a_forged_witness_gives_no_right_to_answer(siege: Siege) -> None:
    async with siege.mind() as mind:
        await mind.ask("event.witness", witness("forged"))

    assert await siege.refused(reply("forged")) == "base.event-not-witnessed"


async def test_a_forged_outcome_settles_nothing(siege: Siege) -> None:
    (effect,) = await siege.vault.submit(reply("e1", "hello"))
    async with siege.mind() as mind:
        await mind.ask("effect.outcome", {"id": effect["id"], "state": "failed"})

    assert (await siege.vault.gate("effect.due"))["effects"] == [effect]
    assert (await siege.vault.public("receipt", {"effect": effect["id"]}))["state"] == "due"


async def test_no_secret_reaches_the_mind(tmp_path: Path) -> None:
    canary = "sk-canary-5f0c7e"
    async with vault_process(tmp_path, config("Ada"), secrets={"ada/MODEL_KEY": canary}) as vault:
        heard = []
        async with connected(vault.socket("mind")) as mind:
            await mind.ask("subscribe")
            for method in [*NOT_THE_MINDS][: server.STRIKES - 1]:
                heard.append(await mind.ask(method, NOT_THE_MINDS[method]))
            heard.append(await mind.ask("effect.for_event", {"agent": "agent-ada", "source": "web", "event": "e1"}))
            heard += mind.pushed
        to_the_gate = await vault.gate("secret.get", {"name": "ada/MODEL_KEY"})

        assert to_the_gate["value"] == canary
        assert canary not in json.dumps(heard)
        assert canary not in vault.log_text()


async def test_a_mind_that_listens_hears_of_outcomes_and_of_nothing_else(siege: Siege) -> None:
    async with siege.mind() as mind:
        await mind.ask("subscribe")
        (effect,) = (await mind.ask("effect.submit", reply("e1", "hello")))["result"]["effects"]
        await siege.vault.owner("stop")
        await siege.vault.owner("resume")
        await siege.vault.gate("effect.outcome", {"id": effect["id"], "state": "delivered"})
        heard = await mind.read()

    assert (heard["method"], heard["params"]["id"]) == ("effect.settled", effect["id"])
    assert mind.pushed == []


# -- the owner's socket, should the mind ever reach it


@contextlib.asynccontextmanager
async def at_the_owners_door(siege: Siege) -> AsyncIterator[RawPeer]:
    """A raw connection to the owner's socket; afterwards nobody is stopped and no log has grown."""
    before = await siege.sizes()
    async with connected(siege.vault.socket("owner")) as peer:
        yield peer
    assert await siege.sizes() == before
    assert not any(one["stopped"] for one in (await siege.vault.public("agents"))["agents"])


@pytest.mark.parametrize("method", ["stop", "configure", "resume", "secret.set", "effect.submit", "event.witness"])
async def test_an_unsigned_order_does_not_exist(siege: Siege, method: str) -> None:
    async with at_the_owners_door(siege) as peer:
        told = await peer.ask(method, {"agents": []})

    assert told["error"]["code"] == frames.NO_METHOD


async def test_an_order_signed_by_another_key_is_refused(siege: Siege, tmp_path: Path) -> None:
    mallory = Owner(tmp_path / "mallory-key")

    async with at_the_owners_door(siege) as peer:
        told = await peer.ask("request", envelope(mallory, LATER, "stop", {}))

    assert told["error"]["data"] == {"rule": "owner.key-unknown"}


async def test_an_order_under_the_owners_key_that_another_signed_is_refused(siege: Siege, tmp_path: Path) -> None:
    forged = envelope(Owner(tmp_path / "mallory-key"), LATER, "stop", {})

    async with at_the_owners_door(siege) as peer:
        told = await peer.ask("request", forged | {"key": siege.vault.owner_key.public.hex()})

    assert told["error"]["data"] == {"rule": "owner.signature"}


@pytest.mark.parametrize("signature", ["", "00" * 64, "no hex"])
async def test_an_order_with_a_bad_signature_is_refused(siege: Siege, signature: str) -> None:
    order = envelope(siege.vault.owner_key, LATER, "stop", {}) | {"signature": signature}

    async with at_the_owners_door(siege) as peer:
        told = await peer.ask("request", order)

    assert told["error"]["data"] == {"rule": "owner.signature"}


async def test_an_order_altered_on_its_way_is_refused(siege: Siege) -> None:
    order = envelope(siege.vault.owner_key, LATER, "stop", {"agents": ["agent-ada"]})
    order["body"] = order["body"].replace("agent-ada", "agent-eve")

    async with at_the_owners_door(siege) as peer:
        told = await peer.ask("request", order)

    assert told["error"]["data"] == {"rule": "owner.signature"}


async def test_an_order_that_was_heard_is_not_heard_again(siege: Siege) -> None:
    order = envelope(siege.vault.owner_key, LATER, "stop", {})
    async with connected(siege.vault.socket("owner")) as peer:
        heard = await peer.ask("request", order)
        await peer.ask("request", envelope(siege.vault.owner_key, LATER + 1, "resume", {}))

    async with at_the_owners_door(siege) as peer:
        again = await peer.ask("request", order)
        older = await peer.ask("request", envelope(siege.vault.owner_key, 7, "stop", {}))

    assert heard["result"] == {"changed": ["Ada", "Eve"]}
    assert again["error"]["data"] == {"rule": "owner.replayed"}
    assert older["error"]["data"] == {"rule": "owner.replayed"}


# -- floods


async def test_a_room_gets_its_cap_of_replies_a_minute_whatever_is_submitted(tmp_path: Path) -> None:
    cap = 7
    async with besieged(tmp_path, replies_per_room_minute=cap) as siege:
        for number in range(cap + 50):
            await siege.someone_says(f"f{number}")
        told = await asyncio.gather(
            *(siege.vault.submit(reply(f"f{number}")) for number in range(cap + 50)), return_exceptions=True
        )
        rules = Counter(one.rule for one in told if isinstance(one, Refused))
        leaves = [one for one in await siege.vault.verified() if isinstance(one, leaf.Intent)]

    windows = Counter(one.at // 60_000 for one in leaves)  # two, should a minute have ended just now
    assert max(windows.values()) == cap
    assert rules == {"base.rate-cap": cap + 50 - len(leaves)}


async def test_a_flood_of_refused_submissions_leaves_the_vault_answering_and_its_logs_alone(siege: Siege) -> None:
    before = await siege.sizes()
    wave = request("effect.submit", reply("nobody-said")) * 500

    async def attack() -> Counter[str]:
        rules = Counter[str]()
        async with siege.mind() as mind:
            for _ in range(5):
                writing = asyncio.ensure_future(mind.write(wave))
                for _ in range(500):
                    rules[(await mind.answer())["error"]["data"]["rule"]] += 1
                await writing
        return rules

    attacks = asyncio.gather(attack(), attack())
    asked = 0
    while not attacks.done():
        async with asyncio.timeout(1.0):
            await siege.someone_says(f"during-the-flood-{asked}")
        asked += 1
    rules = sum(await attacks, Counter[str]())

    assert rules == {"base.event-not-witnessed": 5000}
    assert asked > 0
    assert await siege.sizes() == before
    async with asyncio.timeout(1.0):
        await siege.vault.submit(reply("e1", "hello"))


async def test_a_mind_that_floods_and_never_reads_holds_up_nobody_else(siege: Siege) -> None:
    async with siege.mind() as deaf:
        writing = asyncio.ensure_future(deaf.write(request("effect.submit", reply("nobody-said")) * 20_000))
        for number in range(20):
            await asyncio.sleep(0)
            async with asyncio.timeout(1.0):
                await siege.someone_says(f"during-the-flood-{number}")
        async with asyncio.timeout(1.0):
            await siege.vault.submit(reply("e1", "hello"))
        writing.cancel()
        await asyncio.wait([writing])

    assert len(await siege.vault.leaving()) == 1


async def test_a_flood_of_nonsense_is_cut_off_after_a_few_strikes(siege: Siege) -> None:
    async with siege.mind() as mind:
        await mind.write(b"nonsense\n" * 5000)
        assert await mind.is_closed()

    assert siege.vault.log_text().count("request_refused") == server.STRIKES
    async with asyncio.timeout(1.0):
        await siege.vault.submit(reply("e1", "hello"))


async def test_a_crowd_of_connections_leaves_the_vault_answering(siege: Siege) -> None:
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(siege.mind()) for _ in range(300)]
        for mind in crowd:
            await mind.write(b'{"jsonrpc":"2.0","id":1,')
        async with asyncio.timeout(1.0):
            effects = await siege.vault.submit(reply("e1", "hello"))

    assert len(effects) == 1


FLOODS = {
    "refused submissions": request("effect.submit", reply("nobody-said")) * 900,
    "malformed submissions": request("effect.submit", {"agent": []}) * 900,
    "submissions as long as they may be": request("effect.submit", parts(*[FINE] * strict.OBJECTS_LIMIT)) * 40,
    "submissions longer than they may be": request("effect.submit", parts(*[FINE] * 10_000)) * 4,
    "questions as long as they may be": request("effect.settled", {"effects": ["x"] * strict.LIST_LIMIT}) * 20,
    "messages as long as they may be": request("effect.for_event", {"agent": "x" * 1_000_000}) * 4,
    "nonsense": b"nonsense\n" * 5000,
}


@contextlib.asynccontextmanager
async def flooded(path: Path, payload: bytes, *, connections: int = 20) -> AsyncIterator[None]:
    """All the while, many connections write `payload` and come back when they are cut off."""

    async def attack() -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                async with connected(path) as mind:
                    writing = asyncio.ensure_future(mind.write(payload))
                    try:
                        while await mind.reader.read(1 << 20):
                            pass
                    finally:
                        writing.cancel()
                        await asyncio.wait([writing])

    attacks = [asyncio.ensure_future(attack()) for _ in range(connections)]
    try:
        yield
    finally:
        for one in attacks:
            one.cancel()
        await asyncio.wait(attacks)


@pytest.mark.parametrize("payload", list(FLOODS.values()), ids=list(FLOODS))
async def test_an_owners_stop_halts_within_a_second_whatever_the_mind_floods(siege: Siege, payload: bytes) -> None:
    """I12, with the gate's witnessing beside it."""
    loop = asyncio.get_running_loop()
    took = []
    async with flooded(siege.vault.socket("mind"), payload):
        for number in range(6):
            await asyncio.sleep(0.05)  # lets the flood rise again; nothing announces that
            before = loop.time()
            await siege.vault.owner(("stop", "resume")[number % 2])
            await siege.someone_says(f"during-the-flood-{number}")
            took.append(loop.time() - before)

    assert max(took) < 1.0
    assert [one.type for one in await siege.vault.verified()] == ["genesis", *["stop", "resume"] * 3]


async def test_nothing_else_leaves_whatever_a_mind_tries(siege: Siege) -> None:
    """Two thousand submissions put together by chance from true and forged pieces; `holds` says what left."""
    chance = random.Random(7)
    for number in range(40):
        await siege.someone_says(
            f"r{number}",
            agent=AGENTS[number % 2],
            source=("web", "terminal")[number % 3 % 2],
            room=f"room {number % 5}",
        )

    def forged() -> Json:
        source = chance.choice(["web", "web", "terminal", "telegram", ""])
        named = [
            (
                chance.choice([f"{source}.reply"] * 3 + ["web.reply", "terminal.reply", "evm.transfer", "x.post"]),
                f"room {chance.randrange(6)}",
                chance.choice(["hello", "hello there", "", " ", "x" * 4001]),
            )
            for _ in range(chance.choice([0, 1, 1, 1, 1, 2, 5]))
        ]
        label = chance.choice(["stranger", "stranger", "memory", "owner", "root"])
        agent = chance.choice([*AGENTS, *AGENTS, "agent-nobody"])
        submission: Json = parts(*named, label=label, key=chance.choice(["", "k"]))
        return submission | {
            "agent": agent,
            "source": source,
            "event": chance.choice(["", *(f"r{n}" for n in range(45))]),
        }

    told = await asyncio.gather(*(siege.vault.submit(forged()) for _ in range(2000)), return_exceptions=True)

    rules = {one.rule for one in told if isinstance(one, Refused)}
    assert all(isinstance(one, Refused | list) for one in told)
    assert all(rule.startswith("base.") for rule in rules)
    assert {"base.value-verb", "base.event-not-witnessed", "base.room-mismatch", "base.label-raised"} <= rules
    assert 0 < len(await siege.vault.leaving()) <= 40 * 4


async def test_every_refusal_is_in_the_vaults_log_with_its_rule(siege: Siege) -> None:
    for _, submission in SUBMISSIONS.values():
        await siege.refused(submission)

    logged = [json.loads(line) for line in siege.vault.log_text().splitlines()]
    refusals = [line for line in logged if line["event"] == "request_refused"]
    assert [line["error"].split(":")[0] for line in refusals] == [rule for rule, _ in SUBMISSIONS.values()]
    assert {line["role"] for line in refusals} == {"mind"}
