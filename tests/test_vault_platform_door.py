"""What connectors ask of the vault: one attempt at most, commands, owners' words, buttons, accounts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teehee.evidence import leaf, receipt
from teehee.vault import lately
from teehee.wire.strict import Malformed
from vaults import Vault, config, rule_of, vault_at, witness

Json = Any
OWNER, STRANGER = "telegram:7", "telegram:8"
CHAT = "telegram:-100"
SAY = "telegram.send_message"
LIFE = "0123456789abcdef"
LATER = 4_000_000_000_000  # milliseconds since 1970: a clock that tests move on
WEB = {"verb": "web.reply", "room": "room", "text": "hello"}


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    ada = config("Ada", verbs={"telegram": [SAY, "telegram.set_reaction"]}, owners=[OWNER])
    async with vault_at(tmp_path, ada) as one:
        yield one


def seen(event: str, kind: str = "message", principal: str = STRANGER, room: str = CHAT) -> Json:
    return witness(event, source="telegram", room=room, principal=principal, kind=kind)


def marks(effect: Json, by: str = LIFE) -> Json:
    return {"effects": [effect["id"]], "by": by}


def answer(event: str, text: str = "hello", room: str = CHAT, **part: Json) -> Json:
    parts = [{"verb": SAY, "room": room, "text": text, **part}]
    return {"agent": "agent-ada", "source": "telegram", "event": event, "parts": parts}


async def said(vault: Vault, event: str, **part: Json) -> Json:
    """An effect that is due, answering a message."""
    await vault.gate("event.witness", seen(event))
    (effect,) = (await vault.mind("effect.submit", answer(event, **part)))["effects"]
    return effect


async def delivered(vault: Vault, event: str, reference: str, **part: Json) -> Json:
    effect = await said(vault, event, **part)
    await vault.gate("effect.outcome", {"id": effect["id"], "state": "delivered", "reference": reference})
    return effect


# -- at most one attempt


async def test_an_effect_is_handed_out_for_sending_once(vault: Vault) -> None:
    effect = await said(vault, "e1")

    first = await vault.gate("effect.sending", marks(effect))
    other = await vault.gate("effect.sending", marks(effect, "anothercourier"))

    assert (first, other) == ({"effects": [effect["id"]]}, {"effects": []})
    assert [due["state"] for due in (await vault.gate("effect.due"))["effects"]] == ["sending"]


async def test_who_asks_again_because_the_answer_was_lost_is_told_the_same(vault: Vault) -> None:
    effect = await said(vault, "e1")

    first = await vault.gate("effect.sending", marks(effect))
    again = await vault.gate("effect.sending", marks(effect))

    assert first == again == {"effects": [effect["id"]]}


@pytest.mark.parametrize("by", ["", "short", "a b c d e f g h", "x" * 65])
async def test_a_mark_needs_the_name_of_a_courier(vault: Vault, by: str) -> None:
    effect = await said(vault, "e1")

    with pytest.raises(Malformed):
        await vault.gate("effect.sending", marks(effect, by))


async def test_what_certainly_did_not_leave_is_due_again(vault: Vault) -> None:
    effect = await said(vault, "e1")
    await vault.gate("effect.sending", marks(effect))

    await vault.gate("effect.unsent", {"id": effect["id"]})

    assert await vault.gate("effect.sending", marks(effect)) == {"effects": [effect["id"]]}


async def test_what_was_delivered_is_never_due_again(vault: Vault) -> None:
    effect = await delivered(vault, "e1", f"{CHAT}/55")

    await vault.gate("effect.unsent", {"id": effect["id"]})

    assert await vault.gate("effect.sending", marks(effect)) == {"effects": []}
    assert await vault.gate("effect.due") == {"effects": []}


async def test_nothing_of_a_stopped_agent_is_handed_out(vault: Vault) -> None:
    effect = await said(vault, "e1")
    await vault.owner("stop", {"agents": ["agent-ada"]})

    assert await vault.gate("effect.sending", marks(effect)) == {"effects": []}


async def test_what_was_marked_and_never_heard_of_again_is_unknown_after_a_day(vault: Vault) -> None:
    sent, due = await said(vault, "e1"), await said(vault, "e2")
    await vault.gate("effect.sending", {"effects": [sent["id"]], "by": "alife123"})
    now = vault.core.now_ms() + 1

    ended = await vault.core.commit.run(lambda: vault.core.ledger.expire(now, now))

    assert [(one.id, one.state) for one in ended] == [(sent["id"], "unknown"), (due["id"], "expired")]


# -- what a platform's limits still count


async def test_what_left_lately_is_told_oldest_first_with_what_is_on_its_way(vault: Vault) -> None:
    vault.core._last_ms = LATER
    await delivered(vault, "long ago", "7/1")
    vault.core._last_ms = LATER + 100_000
    await delivered(vault, "first", "7/2")
    vault.core._last_ms = LATER + 100_500
    lost = await said(vault, "second")
    await vault.gate("effect.outcome", {"id": lost["id"], "state": "unknown", "detail": "gate-restarted"})
    await vault.gate("event.witness", witness("elsewhere", room="room"))
    web = await vault.mind("effect.submit", {**answer("elsewhere", room="room"), "source": "web", "parts": [WEB]})
    await vault.gate("effect.outcome", {"id": web["effects"][0]["id"], "state": "delivered"})
    going = await said(vault, "third")
    await vault.gate("effect.sending", marks(going))
    await said(vault, "not yet")
    vault.core._last_ms = LATER + 101_000

    asked = {"agent": "agent-ada", "source": "telegram", "since": LATER + 99_000}
    told = await vault.gate("effect.lately", asked)

    assert told["gone"] == [
        {"room": CHAT, "event": "first", "at": LATER + 100_000},
        {"room": CHAT, "event": "second", "at": LATER + 100_500},
        {"room": CHAT, "event": "third", "at": LATER + 101_000},
    ]


async def test_what_left_lately_is_found_in_a_long_log_and_no_further_back_than_it_must(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lately, "PIECE", 4)
    read: list[int] = []
    leaves = vault.core.log.leaves

    def counted(log: int, start: int, limit: int) -> list[bytes]:
        read.append(start)
        return leaves(log, start, limit)

    monkeypatch.setattr(vault.core.log, "leaves", counted)
    for number in range(20):
        vault.core._last_ms = LATER + number * 1000
        await delivered(vault, f"e{number}", f"7/{number}")

    async def told(since: int) -> list[str]:
        asked = {"agent": "agent-ada", "source": "telegram", "since": since}
        return [one["event"] for one in (await vault.gate("effect.lately", asked))["gone"]]

    assert await told(LATER + 17_000) == ["e17", "e18", "e19"]
    assert len(read) == 2
    assert await told(0) == [f"e{number}" for number in range(20)]
    monkeypatch.setattr(lately, "MOST", 10)
    assert await told(0) == ["e15", "e16", "e17", "e18", "e19"]


# -- receipts by the platform's own name of a message


async def test_a_message_is_found_by_the_name_the_platform_gave_it(vault: Vault) -> None:
    effect = await delivered(vault, "e1", f"{CHAT}/55")

    found = await vault.gate("effect.referred", {"agent": "agent-ada", "reference": f"{CHAT}/55"})

    assert (found["id"], found["text"]) == (effect["id"], "hello")
    assert await vault.gate("effect.referred", {"agent": "agent-ada", "reference": f"{CHAT}/56"}) == {}


async def test_a_forgotten_message_has_no_name_any_more(vault: Vault) -> None:
    await delivered(vault, "e1", f"{CHAT}/55")

    await vault.gate("person.forget", {"agent": "agent-ada", "principal": STRANGER})

    assert await vault.gate("effect.referred", {"agent": "agent-ada", "reference": f"{CHAT}/55"}) == {}


# -- who may answer what


@pytest.mark.parametrize("kind", ["heard", "edit", "reaction", "moved", "command"])
async def test_the_mind_answers_nothing_that_was_not_said_to_it(vault: Vault, kind: str) -> None:
    await vault.gate("event.witness", seen("e1", kind))

    assert await rule_of(vault.mind("effect.submit", answer("e1"))) == "base.kind"


@pytest.mark.parametrize("kind", ["heard", "message", "choice", "schedule"])
async def test_the_gate_answers_commands_only(vault: Vault, kind: str) -> None:
    await vault.gate("event.witness", seen("e1", kind))

    assert await rule_of(vault.gate("command.answer", answer("e1"))) == "base.kind"


async def test_a_command_is_answered_by_the_gate_once_and_pushed_to_it(vault: Vault) -> None:
    await vault.gate("event.witness", seen("e1", "command"))

    first = await vault.gate("command.answer", answer("e1", "I am Ada."))
    second = await vault.gate("command.answer", answer("e1", "I am Ada."))

    assert first == second
    assert [method for _, method, _ in vault.pushed] == ["effect.due"]


async def test_a_verb_that_the_policy_does_not_name_for_the_source_is_refused(vault: Vault) -> None:
    await vault.gate("event.witness", seen("e1"))
    wrong = answer("e1") | {"parts": [{"verb": "web.reply", "room": CHAT, "text": "hello"}]}

    assert await rule_of(vault.mind("effect.submit", wrong)) == "base.verb-source"


@pytest.mark.parametrize("verbs", [{"web": ["web.shout"]}, {"evm": ["evm.transfer"]}, {"telegram": ["x.post"]}])
async def test_a_policy_cannot_name_verbs_that_are_not_their_sources_own(tmp_path: Path, verbs: Json) -> None:
    with pytest.raises(Malformed, match=r"policy\.verbs"):
        async with vault_at(tmp_path, config("Ada", verbs=verbs)):
            pass


async def test_a_schedule_is_answered_only_where_the_policy_allows_posts(tmp_path: Path) -> None:
    verbs = {"telegram": [SAY]}
    ada, eve = config("Ada", verbs=verbs), config("Eve", verbs=verbs, posts_per_day={SAY: 1})
    async with vault_at(tmp_path, ada, eve) as one:
        for agent, event in [("agent-ada", "a1"), ("agent-eve", "e1"), ("agent-eve", "e2")]:
            await one.gate("event.witness", seen(event, "schedule") | {"agent": agent})

        assert await rule_of(one.mind("effect.submit", answer("a1"))) == "base.unprompted"
        assert len((await one.mind("effect.submit", answer("e1") | {"agent": "agent-eve"}))["effects"]) == 1
        assert await rule_of(one.mind("effect.submit", answer("e2") | {"agent": "agent-eve"})) == "base.rate-cap"


# -- an owner's word


async def order(vault: Vault, event: str, what: str, text: str = "Stopped.") -> Json:
    return await vault.gate("owner.word", answer(event, text) | {"order": what, "by": LIFE})


async def test_an_owner_named_by_the_policy_stops_the_agent_and_is_answered(vault: Vault) -> None:
    waiting = await said(vault, "e0")
    await vault.gate("event.witness", seen("e1", "command", OWNER))

    told = await order(vault, "e1", "stop")

    assert told["changed"]
    assert [(effect["text"], effect["state"]) for effect in told["effects"]] == [("Stopped.", "sending")]
    assert await rule_of(vault.mind("effect.submit", answer("e9"))) == "base.stopped"
    assert waiting["id"] not in [due["id"] for due in (await vault.gate("effect.due"))["effects"]]
    stops = [entry for entry in await vault.verified() if isinstance(entry, leaf.Stop)]
    assert [(stop.by, stop.seq) for stop in stops] == [(OWNER, 0)]


async def test_an_order_given_twice_is_obeyed_and_answered_once(vault: Vault) -> None:
    await vault.gate("event.witness", seen("e1", "command", OWNER))

    first, second = await order(vault, "e1", "stop"), await order(vault, "e1", "stop")

    assert (len(first["effects"]), second) == (1, {"changed": False, "effects": []})


async def test_an_old_order_brought_again_is_no_new_one(vault: Vault) -> None:
    for event, what in [("e1", "stop"), ("e2", "resume")]:
        await vault.gate("event.witness", seen(event, "command", OWNER))
        await order(vault, event, what)

    assert await order(vault, "e1", "stop") == {"changed": False, "effects": []}
    assert (await vault.gate("agent.today", {"agent": "agent-ada"}))["stopped"] is False


async def test_an_owner_lets_the_agent_go_on(vault: Vault) -> None:
    for event, what in [("e1", "stop"), ("e2", "resume")]:
        await vault.gate("event.witness", seen(event, "command", OWNER))
        told = await order(vault, event, what)

    assert told["changed"]
    assert len(told["effects"]) == 1
    assert (await said(vault, "e3"))["state"] == "due"


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        (seen("e1", "command", STRANGER), "base.not-owner"),
        (seen("e1", "message", OWNER), "base.event-not-witnessed"),
        (seen("e2", "command", OWNER), "base.event-not-witnessed"),
    ],
    ids=["a stranger", "an owner who did not command", "nobody"],
)
async def test_nobody_else_stops_the_agent(vault: Vault, event: Json, rule: str) -> None:
    await vault.gate("event.witness", event)

    assert await rule_of(order(vault, "e1", "stop")) == rule
    assert (await vault.gate("agent.today", {"agent": "agent-ada"}))["stopped"] is False


async def test_an_old_command_of_an_owners_does_not_count(vault: Vault) -> None:
    await vault.gate("event.witness", seen("e1", "command", OWNER))
    vault.core.db.execute("UPDATE events SET at = at - 600001")

    assert await rule_of(order(vault, "e1", "stop")) == "base.event-not-witnessed"


# -- buttons


def press(principal: str = STRANGER, option: int = 0, event: str = "p1", **more: Json) -> Json:
    where = {"agent": "agent-ada", "source": "telegram", "room": CHAT, "reference": f"{CHAT}/55"}
    return {**where, "event": event, "principal": principal, "option": option, **more}


async def test_the_one_who_asked_presses_a_button_and_it_becomes_a_witnessed_choice(vault: Vault) -> None:
    await delivered(vault, "e1", f"{CHAT}/55", choices=["Approve", "Deny"])

    told = await vault.gate("choice.press", press(option=1))

    assert (told["state"], told["label"]) == ("taken", "Deny")
    assert len((await vault.mind("effect.submit", answer("p1", "As you wish.")))["effects"]) == 1


async def test_a_choice_is_made_once_and_the_first_one_stands(vault: Vault) -> None:
    await delivered(vault, "e1", f"{CHAT}/55", choices=["Approve", "Deny"])
    await vault.gate("choice.press", press(option=1))

    assert (await vault.gate("choice.press", press(option=1)))["state"] == "taken"  # the same press, told again
    assert await vault.gate("choice.press", press(option=0, event="p2")) == {"state": "again", "label": "Deny"}
    assert await rule_of(vault.mind("effect.submit", answer("p2"))) == "base.event-not-witnessed"


@pytest.mark.parametrize(
    ("who", "principal", "state"),
    [
        ("asker", STRANGER, "taken"), ("asker", OWNER, "theirs-not"), ("owner", OWNER, "taken"),
        ("owner", STRANGER, "theirs-not"), ("anyone", "telegram:99", "taken"),
    ],
)  # fmt: skip
async def test_a_button_is_for_whom_it_was_made(vault: Vault, who: str, principal: str, state: str) -> None:
    await delivered(vault, "e1", f"{CHAT}/55", choices=["Approve", "Deny"], who=who)

    assert (await vault.gate("choice.press", press(principal)))["state"] == state


@pytest.mark.parametrize("wrong", [{"option": 2}, {"option": -1}, {"reference": f"{CHAT}/56"}, {"room": "telegram:1"}])
async def test_a_button_that_is_not_there_cannot_be_pressed(vault: Vault, wrong: Json) -> None:
    await delivered(vault, "e1", f"{CHAT}/55", choices=["Approve", "Deny"])

    assert (await vault.gate("choice.press", press() | wrong))["state"] == "gone"


async def test_the_leaf_commits_to_the_buttons_too(vault: Vault) -> None:
    effect = await delivered(vault, "e1", f"{CHAT}/55", choices=["Approve", "Deny"])
    proof = await vault.public("receipt", {"effect": effect["id"]})
    payload = b'{"choices":["Approve","Deny"],"text":"hello","who":"asker"}'

    assert receipt.verify(proof, text=payload.decode(), salt=effect["salt"]).state == "delivered"


@pytest.mark.parametrize("choices", [["x"] * 9, ["y" * 41], [" "]])
async def test_too_many_or_unreadable_buttons_are_refused(vault: Vault, choices: list[str]) -> None:
    await vault.gate("event.witness", seen("e1"))

    assert await rule_of(vault.mind("effect.submit", answer("e1", choices=choices))) == "base.choices"


async def test_forgetting_takes_what_a_person_pressed(vault: Vault) -> None:
    await delivered(vault, "e1", f"{CHAT}/55", choices=["Approve", "Deny"], who="anyone")
    await vault.gate("choice.press", press("telegram:99"))

    await vault.gate("person.forget", {"agent": "agent-ada", "principal": "telegram:99"})

    assert vault.core.db.execute("SELECT * FROM choices").fetchall() == []


# -- silence in a chat


async def hush(vault: Vault, event: str, quiet: bool, room: str = CHAT) -> Json:
    await vault.gate("event.witness", seen(event, "command", room=room))
    asked = {"agent": "agent-ada", "source": "telegram", "event": event, "quiet": quiet}
    return await vault.gate("chat.quiet", asked)


async def test_in_a_quiet_chat_the_mind_says_nothing_in_any_topic_and_commands_are_answered(vault: Vault) -> None:
    await hush(vault, "c1", True, f"{CHAT}/7")
    await vault.gate("event.witness", seen("e1"))

    assert await rule_of(vault.mind("effect.submit", answer("e1"))) == "base.quiet-chat"
    assert len((await vault.gate("command.answer", answer("c1", room=f"{CHAT}/7")))["effects"]) == 1
    assert await vault.gate("chat.quiet.list", {"agent": "agent-ada"}) == {"chats": [CHAT]}


async def test_silence_ends_and_is_of_one_chat_only(vault: Vault) -> None:
    await hush(vault, "c1", True)
    await vault.gate("event.witness", seen("e1", room="telegram:-200"))
    assert len((await vault.mind("effect.submit", answer("e1", room="telegram:-200")))["effects"]) == 1

    assert await hush(vault, "c2", False) == {"changed": True}
    assert (await said(vault, "e2"))["state"] == "due"


async def test_a_chat_that_moved_may_take_its_silence_along_and_not_lose_it_so(vault: Vault) -> None:
    await vault.gate("event.witness", seen("m1", "moved"))
    asked = {"agent": "agent-ada", "source": "telegram", "event": "m1"}

    assert await vault.gate("chat.quiet", asked | {"quiet": True}) == {"changed": True}
    assert await rule_of(vault.gate("chat.quiet", asked | {"quiet": False})) == "base.event-not-witnessed"
    assert await vault.gate("chat.quiet.list", {"agent": "agent-ada"}) == {"chats": [CHAT]}


async def test_silence_needs_a_witnessed_command(vault: Vault) -> None:
    asked = {"agent": "agent-ada", "source": "telegram", "event": "c9", "quiet": True}

    assert await rule_of(vault.gate("chat.quiet", asked)) == "base.event-not-witnessed"


# -- accounts


async def test_an_account_stands_in_the_next_statement(vault: Vault) -> None:
    account = {"agent": "agent-ada", "platform": "telegram", "id": "4711"}

    assert await vault.gate("account.report", account) == {"changed": True}
    assert await vault.gate("account.report", account) == {"changed": False}
    identity = vault.core.identities.get("agent-ada").identity
    assert vault.core.identities.accounts(identity.key_id) == {"telegram": "4711"}


@pytest.mark.parametrize("wrong", [{"id": "ada_bot"}, {"platform": "Telegram"}, {"id": ""}])
async def test_an_account_is_a_platform_and_a_number(vault: Vault, wrong: Json) -> None:
    with pytest.raises(Malformed, match="account"):
        await vault.gate("account.report", {"agent": "agent-ada", "platform": "telegram", "id": "1"} | wrong)


async def test_an_account_is_told_with_who_gave_what_opens_it(vault: Vault) -> None:
    await vault.owner("secret.set", {"name": "ada/MANAGER", "value": "one"})
    await vault.gate("secret.rotate", {"name": "ada/TOKEN", "version": 0, "value": "two"})
    account = {"agent": "agent-ada", "platform": "telegram", "id": "4711"}

    await vault.gate("account.report", account | {"secrets": ["ada/TOKEN", "ada/MANAGER", "ada/NONE"]})

    ((told,), identity) = (
        (await vault.public("accounts", {"agent": "agent-ada"}))["accounts"],
        vault.core.identities.get("agent-ada").identity,
    )
    assert (told["platform"], told["id"]) == ("telegram", "4711")
    assert [(one["name"], one["giver"]) for one in told["secrets"]] == [("ada/TOKEN", "gate"), ("ada/MANAGER", "owner")]
    assert vault.core.identities.accounts(identity.key_id) == {"telegram": "4711"}  # all that a statement says


async def test_another_token_for_an_account_leaves_it_the_account_it_was(vault: Vault) -> None:
    account = {"agent": "agent-ada", "platform": "telegram", "id": "4711"}
    await vault.gate("account.report", account)
    (before,) = (await vault.public("accounts", {"agent": "agent-ada"}))["accounts"]

    assert await vault.gate("account.report", account | {"secrets": ["ada/TOKEN"]}) == {"changed": False}
    assert await vault.gate("account.report", account | {"id": "4712"}) == {"changed": True}

    (after,) = (await vault.public("accounts", {"agent": "agent-ada"}))["accounts"]
    assert after["since"] >= before["since"]
    assert after["id"] == "4712"
