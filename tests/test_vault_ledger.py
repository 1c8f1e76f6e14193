"""The effect ledger: the row, its leaf, its budget and the mark on its event stand or fall together."""

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teehee.errors import Refused, TeeheeError
from teehee.evidence import leaf
from teehee.vault import doors
from teehee.wire import strict
from teehee.wire.messages import Outcome, Submission, Witness
from teehee.wire.strict import Malformed
from vaults import Vault, config, encodings, intents, on_disk, outcomes, post, reply, rule_of, vault_at, witness

Json = Any
MINUTE = 60_000
DAY = 86_400_000


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with vault_at(tmp_path, config("Ada", posts_per_day={"x.post": 2}), config("Eve")) as one:
        yield one


async def outcome(vault: Vault, effect: Json, state: str = "delivered", **more: str) -> bool:
    told = await vault.gate("effect.outcome", {"id": effect["id"], "state": state, **more})
    return bool(told["new"])


async def at(vault: Vault, now: int, submission: Json) -> list[str]:
    """Witnesses the event of a submission and submits it, both at the moment `now`; gives the effects' ids."""
    wanted = strict.parse(Submission, submission)
    seen = strict.parse(Witness, witness(wanted.event, agent=wanted.agent, room=wanted.parts[0].room))

    def operation() -> list[str]:
        if wanted.event:
            vault.core.ledger.witness(seen, now)
        return [effect.id for effect in vault.core.ledger.submit(wanted, now)[0]]

    return await vault.core.commit.run(operation)


# -- what was seen


async def test_an_event_is_new_once(vault: Vault) -> None:
    first = await vault.gate("event.witness", witness("e1"))
    second = await vault.gate("event.witness", witness("e1"))

    assert (first, second) == ({"new": True}, {"new": False})


async def test_the_first_telling_of_an_event_is_kept(vault: Vault) -> None:
    await vault.gate("event.witness", witness("e1", room="room"))
    await vault.gate("event.witness", witness("e1", room="another"))

    assert await rule_of(vault.submit(reply("e1", room="another"))) == "base.room-mismatch"
    assert len(await vault.submit(reply("e1", room="room"))) == 1


async def test_one_event_id_from_two_sources_is_two_events(vault: Vault) -> None:
    web = await vault.answered("e1", source="web")
    terminal = await vault.answered("e1", source="terminal")

    assert web[0]["id"] != terminal[0]["id"]


async def test_an_event_of_an_agent_that_is_not_here_is_refused(vault: Vault) -> None:
    assert await rule_of(vault.gate("event.witness", witness(agent="agent-nobody"))) == "base.agent-unknown"


# -- what may leave


async def test_an_answer_becomes_a_due_effect_with_its_place_in_the_log(vault: Vault) -> None:
    (effect,) = await vault.answered("e1", "hello")
    _, intent = await vault.verified()

    facts = {
        name: effect[name] for name in ("agent", "source", "event", "part", "verb", "room", "text", "leaf", "state")
    }
    assert facts == {
        "agent": "agent-ada", "source": "web", "event": "e1", "part": 0, "verb": "web.reply", "room": "room",
        "text": "hello", "leaf": 1, "state": "due",
    }  # fmt: skip
    assert isinstance(intent, leaf.Intent)
    assert (intent.effect, intent.verb, intent.budget) == (effect["id"], "web.reply", "replies")


async def test_the_gate_is_told_of_what_is_due(vault: Vault) -> None:
    effects = await vault.answered("e1", "one", "two")

    assert vault.pushed == [("gate", "effect.due", {"effects": effects})]
    assert await vault.gate("effect.due") == {"effects": effects}


async def test_the_same_answer_again_is_the_same_effect_and_no_news(vault: Vault) -> None:
    first = await vault.answered("e1", "one", "two")
    again = await vault.submit(reply("e1", "one", "two"))

    assert again == first
    assert len(vault.pushed) == 1
    assert len(await vault.verified()) == 3


@pytest.mark.parametrize("texts", [("one",), ("two", "one"), ("one", "two", "three"), ("other", "two")])
async def test_another_answer_to_the_same_event_is_refused(vault: Vault, texts: tuple[str, ...]) -> None:
    await vault.answered("e1", "one", "two")

    assert await rule_of(vault.submit(reply("e1", *texts))) == "base.already-answered"
    assert len(await vault.verified()) == 3


async def test_an_effect_is_named_after_what_it_answers_and_by_whom(vault: Vault) -> None:
    ids = {
        (await vault.answered(event, source=source, agent=agent))[0]["id"]
        for event in ("e1", "e2")
        for source in ("web", "terminal")
        for agent in ("agent-ada", "agent-eve")
    }

    assert len(ids) == 8


async def test_the_log_tells_nobody_what_was_said_or_where(vault: Vault) -> None:
    await vault.gate("event.witness", witness("event-canary", room="room-canary"))
    await vault.submit(reply("event-canary", "text-canary", room="room-canary"))

    text = "".join((await vault.public("leaves", {"agent": "agent-ada"}))["leaves"])

    assert "intent" in text
    assert "canary" not in text


async def test_a_leaf_commits_to_text_room_and_event_and_opens_with_its_salt(vault: Vault) -> None:
    (effect,) = await vault.answered("e1", "hello")
    _, intent = await vault.verified()
    (salt,) = vault.core.db.execute("SELECT salt FROM effects WHERE id=?", (effect["id"],)).fetchone()

    assert isinstance(intent, leaf.Intent)
    assert intent.payload == leaf.commit("payload", salt, b"hello")
    assert intent.room == leaf.commit("room", salt, b"room")
    assert intent.event == leaf.commit("event", salt, b"e1")


async def test_what_was_said_lies_on_no_disk_in_the_clear(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config()) as vault:
        await vault.answered("e1", "a text canary")
        while_open = on_disk(tmp_path)
    after = on_disk(tmp_path)

    assert b"agent-ada" in while_open
    assert not [form for form in encodings(b"a text canary") if form in while_open + after]


# -- all or nothing


async def test_an_answer_that_does_not_fit_the_cap_leaves_nothing_of_itself(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(replies_per_room_minute=3)) as vault:
        await at(vault, 0, reply("e1", "one", "two"))
        refusal = await rule_of(at(vault, 0, reply("e2", "three", "four")))
        rows = vault.core.db.execute("SELECT COUNT(*) FROM effects").fetchone()
        budgets = vault.core.db.execute("SELECT cap, reserved, spent FROM budgets").fetchall()

        assert refusal == "base.rate-cap"
        assert rows == (2,)
        assert budgets == [(3, 2, 0)]
        assert len(await vault.verified()) == 3


async def test_the_log_is_whole_after_an_answer_that_did_not_fit(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(replies_per_room_minute=3)) as vault:
        await at(vault, 0, reply("e1", "one", "two"))
        await rule_of(at(vault, 0, reply("e2", "three", "four")))
        await at(vault, 0, reply("e3", "five"))
        leaves = await vault.verified()

        assert len(intents(leaves)) == 3
    async with vault_at(tmp_path, config()) as vault:
        assert [one.type for one in await vault.verified()] == [
            "genesis",
            "intent",
            "intent",
            "intent",
            "epoch",
            "policy",
        ]


async def test_the_log_is_whole_when_such_an_answer_shares_its_commit(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(replies_per_room_minute=3)) as vault:
        asked = [at(vault, 0, reply(f"e{number}", "one", "two")) for number in range(3)]
        last = at(vault, 0, reply("e9", "one"))
        told = await asyncio.gather(*asked, last, return_exceptions=True)
        leaves = await vault.verified()

    assert [isinstance(one, Refused) for one in told] == [False, True, True, False]
    assert len(intents(leaves)) == 3


# -- caps


async def test_a_room_gets_no_more_replies_a_minute_than_its_cap(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(replies_per_room_minute=5)) as vault:
        told = await asyncio.gather(
            *(at(vault, 7 * MINUTE + number, reply(f"e{number}")) for number in range(55)), return_exceptions=True
        )
        rules = Counter(one.rule for one in told if isinstance(one, Refused))

        assert rules == {"base.rate-cap": 50}
        assert len(intents(await vault.verified())) == 5


async def test_the_next_minute_and_other_rooms_have_caps_of_their_own(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config(replies_per_room_minute=1)) as vault:
        await at(vault, 0, reply("e1"))
        refusal = await rule_of(at(vault, MINUTE - 1, reply("e2")))
        await at(vault, MINUTE - 1, reply("e3", room="another"))
        await at(vault, MINUTE, reply("e2"))

    assert refusal == "base.rate-cap"


async def ended(vault: Vault, state: str) -> None:
    """A reply that uses up the room's cap, and how it ended."""
    (effect,) = await at(vault, 0, reply("e1"))
    await vault.core.commit.run(lambda: vault.core.ledger.settle(Outcome(effect, state), 1))


@pytest.mark.parametrize("state", ["failed", "expired"])
async def test_what_surely_did_not_leave_gives_its_budget_back(tmp_path: Path, state: str) -> None:
    async with vault_at(tmp_path, config(replies_per_room_minute=1)) as vault:
        await ended(vault, state)

        assert len(await at(vault, 2, reply("e2"))) == 1


@pytest.mark.parametrize("state", ["delivered", "unknown"])
async def test_what_may_have_left_counts_as_having_left(tmp_path: Path, state: str) -> None:
    async with vault_at(tmp_path, config(replies_per_room_minute=1)) as vault:
        await ended(vault, state)

        assert await rule_of(at(vault, 2, reply("e2"))) == "base.rate-cap"


# -- unprompted posts


async def test_a_post_that_the_policy_schedules_may_leave(vault: Vault) -> None:
    (effect,) = await vault.submit(post("k1", "a thought"))
    _, intent = await vault.verified()

    assert (effect["event"], effect["verb"], effect["room"]) == ("", "x.post", "tl")
    assert isinstance(intent, leaf.Intent)
    assert (intent.event, intent.budget) == ("", "posts")


async def test_the_same_post_again_is_the_same_effect(vault: Vault) -> None:
    first = await vault.submit(post("k1", "a thought"))
    again = await vault.submit(post("k1", "a thought"))

    assert again == first
    assert len(intents(await vault.verified())) == 1


async def test_another_post_under_a_used_key_is_refused_by_a_rule(vault: Vault) -> None:
    await vault.submit(post("k1", "a thought"))

    assert (await rule_of(vault.submit(post("k1", "another")))).startswith("base.")
    assert len(intents(await vault.verified())) == 1


async def test_a_day_has_no_more_posts_than_its_cap(vault: Vault) -> None:
    await at(vault, 0, post("k1"))
    await at(vault, DAY - 1, post("k2"))
    refusal = await rule_of(at(vault, DAY - 1, post("k3")))
    await at(vault, DAY, post("k3"))

    assert refusal == "base.rate-cap"


async def test_a_post_never_takes_the_place_of_an_answer(vault: Vault) -> None:
    scheduled = {**post("k1"), "source": "web"}
    await vault.submit(scheduled)

    for event in ("k1", "/k1"):
        (effect,) = await vault.answered(event, "hello")

        assert effect["event"] == event


# -- how it ended


async def test_an_outcome_is_a_leaf_and_news_for_the_mind(vault: Vault) -> None:
    (effect,) = await vault.answered("e1")
    assert await outcome(vault, effect)

    leaves = await vault.verified()

    assert outcomes(leaves) == [(effect["id"], "delivered")]
    assert vault.pushed[-1] == (
        "mind", "effect.settled",
        {"id": effect["id"], "seq": effect["seq"], "agent": "agent-ada", "source": "web", "event": "e1",
         "state": "delivered"},
    )  # fmt: skip
    assert await vault.gate("effect.due") == {"effects": []}


async def test_the_first_outcome_stands(vault: Vault) -> None:
    (effect,) = await vault.answered("e1")
    await outcome(vault, effect, "unknown")

    assert not await outcome(vault, effect, "delivered")
    assert not await outcome(vault, effect, "unknown")
    assert outcomes(await vault.verified()) == [(effect["id"], "unknown")]
    assert len([role for role, _, _ in vault.pushed if role == "mind"]) == 1


async def test_an_outcome_that_there_is_not_is_refused(vault: Vault) -> None:
    (effect,) = await vault.answered("e1")

    assert await rule_of(outcome(vault, effect, "due")) == "base.outcome-unknown"
    assert await rule_of(outcome(vault, effect, "")) == "base.outcome-unknown"


async def test_an_outcome_of_what_was_never_committed_is_refused(vault: Vault) -> None:
    assert await rule_of(outcome(vault, {"id": "0b1c5a52-6ff2-4a67-9d3b-0c4f7a1f6f10"})) == "base.effect-unknown"


@pytest.mark.parametrize("detail", ["timed out", "x" * 65, "é", "a\nb"])
async def test_a_detail_that_no_leaf_can_hold_is_malformed_and_the_effect_stays_open(vault: Vault, detail: str) -> None:
    (effect,) = await vault.answered("e1")

    with pytest.raises(Malformed, match="detail: expected at most 64 printable ASCII characters without spaces"):
        await outcome(vault, effect, "failed", detail=detail)

    assert await outcome(vault, effect, "failed", detail="telegram.timeout")
    assert len(await vault.verified()) == 3


async def test_what_nobody_came_for_in_a_day_is_expired_for_good(vault: Vault) -> None:
    now = vault.core.now_ms()
    (old,) = await at(vault, now - doors.EXPIRY_MS - 1000, reply("e1"))
    (young,) = await at(vault, now - doors.EXPIRY_MS + 60_000, reply("e2"))
    await vault.doors.expire()

    assert outcomes(await vault.verified()) == [(old, "expired")]
    assert [one["id"] for one in (await vault.gate("effect.due"))["effects"]] == [young]
    assert not await outcome(vault, {"id": old})


async def test_however_much_is_old_all_of_it_is_expired(vault: Vault) -> None:
    old = vault.core.now_ms() - doors.EXPIRY_MS - 1000
    await asyncio.gather(*(at(vault, old, reply(f"e{number}", room=f"room {number}")) for number in range(600)))
    await vault.doors.expire()

    assert await vault.gate("effect.due") == {"effects": []}
    assert Counter(state for _, state in outcomes(await vault.verified())) == {"expired": 600}


async def test_what_expires_does_not_wait_behind_agents_that_are_not_here(tmp_path: Path) -> None:
    async with vault_at(tmp_path, config("Ada"), config("Eve")) as vault:
        old = vault.core.now_ms() - doors.EXPIRY_MS - 1000
        ada = (at(vault, old, reply(f"e{number}", room=f"room {number}")) for number in range(510))
        await asyncio.gather(*ada, at(vault, old, reply("e", agent="agent-eve")))

    async with vault_at(tmp_path, config("Eve")) as vault:
        await vault.doors.expire()

        assert [state for _, state in outcomes(await vault.verified("agent-eve"))] == ["expired"]


# -- what can be asked


async def test_a_room_is_told_what_comes_after_what_it_has(vault: Vault) -> None:
    effects = [(await vault.answered(f"e{number}", str(number)))[0] for number in range(5)]
    elsewhere = await vault.answered("f", "elsewhere", room="another")

    async def pulled(**how: Json) -> list[str]:
        asked = {"agent": "agent-ada", "room": "room", **how}
        return [one["text"] for one in (await vault.gate("effect.in_room", asked))["effects"]]

    assert await pulled() == ["0", "1", "2", "3", "4"]
    assert await pulled(after=effects[2]["seq"]) == ["3", "4"]
    assert await pulled(limit=2) == ["0", "1"]
    assert await pulled(after=elsewhere[0]["seq"]) == []


async def test_a_room_that_says_how_far_it_is_tells_what_it_has_seen(vault: Vault) -> None:
    effects = [(await vault.answered(f"e{number}", str(number)))[0] for number in range(3)]

    asked = {"agent": "agent-ada", "room": "room", "after": effects[1]["seq"]}
    told = await vault.gate("effect.in_room", asked)

    assert told["seen"] == [effects[0]["id"], effects[1]["id"]]


async def test_a_room_sees_what_was_delivered_and_never_what_failed(vault: Vault) -> None:
    states = ("delivered", "failed", "unknown", "expired")
    for state in states:
        (effect,) = await vault.answered(f"event-{state}", state)
        await outcome(vault, effect, state)

    told = await vault.gate("effect.in_room", {"agent": "agent-ada", "room": "room"})

    assert [one["text"] for one in told["effects"]] == ["delivered"]


async def test_a_mind_that_was_away_is_told_how_its_effects_ended(vault: Vault) -> None:
    done, still_open = (await vault.answered("e1"))[0], (await vault.answered("e2"))[0]
    await outcome(vault, done)

    told = await vault.mind("effect.settled", {"effects": [done["id"], still_open["id"], "no such effect"]})

    assert [(one["id"], one["state"]) for one in told["settled"]] == [(done["id"], "delivered")]


async def test_an_event_without_an_answer_has_no_effects(vault: Vault) -> None:
    await vault.gate("event.witness", witness("e1"))

    asked = {"agent": "agent-ada", "source": "web", "event": "e1"}

    assert await vault.mind("effect.for_event", asked) == {"effects": []}


async def test_a_receipt_proves_intent_and_outcome(vault: Vault) -> None:
    (effect,) = await vault.answered("e1")
    before = await vault.public("receipt", {"effect": effect["id"]})
    await outcome(vault, effect)
    after = await vault.public("receipt", {"effect": effect["id"]})

    assert [one["type"] for one in before["leaves"]] == ["intent"]
    assert [one["type"] for one in after["leaves"]] == ["intent", "outcome"]
    assert (before["state"], after["state"]) == ("due", "delivered")


# -- what must always hold

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["witness", "answer", "answer", "answer", "post", "settle", "stop", "resume", "forge", "group"]
        ),
        st.integers(0, 5),  # which event
        st.integers(1, 3),  # how many parts
        st.sampled_from(["delivered", "failed", "unknown", "expired", "nonsense"]),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=40)
@given(STEPS)
def test_every_effect_has_its_leaf_and_no_budget_is_passed(steps: list[tuple[str, int, int, str]]) -> None:
    """I1, I3 and I11 over any interleaving; `group` ends a group of operations that share one commit."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live(Path(folder), steps))


async def _live(folder: Path, steps: list[tuple[str, int, int, str]]) -> None:
    policy: Json = {"replies_per_room_minute": 4, "parts_per_reply": 2, "posts_per_day": {"x.post": 2}}
    async with vault_at(folder, config("Ada", **policy)) as vault:
        group: list[Any] = []
        for kind, event, parts, state in steps:
            if kind == "group":
                _only_ours(await asyncio.gather(*group, return_exceptions=True))
                group = []
                await _holds(vault)
            else:
                group.append(asyncio.ensure_future(_step(vault, kind, event, parts, state)))
        _only_ours(await asyncio.gather(*group, return_exceptions=True))
        await _holds(vault)
    async with vault_at(folder) as vault:
        await vault.owner("recall")
        await _holds(vault)


async def _step(vault: Vault, kind: str, event: int, parts: int, state: str) -> None:
    texts = [f"text {number}" for number in range(parts)]
    room = f"room {event % 2}"
    if kind == "witness":
        await vault.gate("event.witness", witness(f"e{event}", room=room))
    elif kind == "answer":
        await vault.submit(reply(f"e{event}", *texts, room=room))
    elif kind == "post":
        await vault.submit(post(f"k{event}"))
    elif kind == "forge":
        await vault.submit(reply(f"e{event}", *texts, room="another room"))
    elif kind == "settle":
        due = (await vault.gate("effect.due"))["effects"]
        if due:
            await outcome(vault, due[event % len(due)], state)
    else:
        await vault.owner(kind)


def _only_ours(told: list[Any]) -> None:
    """Whatever went wrong is a rule, never a crash."""
    for one in told:
        if isinstance(one, BaseException) and not isinstance(one, TeeheeError):
            raise one


async def _holds(vault: Vault) -> None:
    leaves = await vault.verified()
    rows = vault.core.db.execute("SELECT id, leaf, outcome_leaf, state FROM effects").fetchall()

    assert Counter(intents(leaves)) == Counter(row[0] for row in rows)
    settled = [(row[0], row[3]) for row in rows if row[3] != "due"]
    assert Counter(outcomes(leaves)) == Counter(settled)
    for effect, intent_at, outcome_at, _ in rows:
        intent = leaves[intent_at]
        assert isinstance(intent, leaf.Intent)
        assert intent.effect == effect
        if outcome_at is not None:
            ended = leaves[outcome_at]
            assert isinstance(ended, leaf.Outcome)
            assert ended.effect == effect
            assert outcome_at > intent_at
    for cap, reserved, spent in vault.core.db.execute("SELECT cap, reserved, spent FROM budgets"):
        assert 0 <= reserved + spent <= cap
    (reserved,) = vault.core.db.execute("SELECT COALESCE(SUM(reserved), 0) FROM budgets").fetchone()
    assert reserved == sum(row[3] == "due" for row in rows)
    answered = vault.core.db.execute("SELECT event FROM events WHERE answered_at IS NOT NULL").fetchall()
    with_effects = vault.core.db.execute("SELECT DISTINCT event FROM effects WHERE event != ''").fetchall()
    assert sorted(answered) == sorted(with_effects)


async def test_the_table_itself_takes_no_second_row_for_one_effect(vault: Vault) -> None:
    await vault.answered("e1")
    columns = "id, agent, source, event, part, verb, room, payload, digest, salt, leaf, budget, epoch, at"

    with pytest.raises(sqlite3.IntegrityError):
        vault.core.db.execute(f"INSERT INTO effects ({columns}) SELECT {columns} FROM effects")
