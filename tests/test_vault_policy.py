"""The base policy: what may leave when nobody has said more, and which rule says no to the rest."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import Refused
from teehee.vault import policy
from teehee.vault.policy import Policy, Witnessed
from teehee.wire.messages import Part, Submission
from teehee.wire.strict import Malformed

Json = Any
BASE = Policy()
SEEN = Witnessed("room", answered=False)
PART = Part("web.reply", "room", "hello")
REPLY = Submission("ada", "web", "event", (PART,))
POSTING = Policy(posts_per_day={"x.post": 3})
POST = Submission("ada", "x", "", (Part("x.post", "timeline", "a thought"),), key="noon")


def refused(
    rule: str, submission: Submission, *, by: Policy = BASE, event: Witnessed | None = SEEN, stopped: bool = False
) -> str:
    with pytest.raises(Refused) as caught:
        policy.check(by, submission, event, stopped=stopped)
    assert caught.value.rule == rule
    return caught.value.reason


def with_part(**changes: Any) -> Submission:
    return replace(REPLY, parts=(replace(PART, **changes),))


# -- what is allowed


def test_an_answer_into_the_room_of_its_event_may_leave() -> None:
    policy.check(BASE, REPLY, SEEN, stopped=False)


@pytest.mark.parametrize("source", ["web", "terminal"])
def test_every_source_is_answered_by_its_own_verb(source: str) -> None:
    part = replace(PART, verb=f"{source}.reply")

    policy.check(BASE, replace(REPLY, source=source, parts=(part,)), SEEN, stopped=False)


@pytest.mark.parametrize("label", ["stranger", "memory"])
def test_the_mind_may_lower_trust(label: str) -> None:
    policy.check(BASE, replace(REPLY, label=label), SEEN, stopped=False)


def test_a_post_that_a_schedule_names_may_leave() -> None:
    policy.check(POSTING, POST, None, stopped=False)


def test_a_text_of_just_the_limit_may_leave() -> None:
    policy.check(BASE, with_part(text="ä" * 4000), SEEN, stopped=False)


# -- what is not, and by which rule


def test_nothing_of_a_stopped_agent_leaves() -> None:
    refused("base.stopped", REPLY, stopped=True)


@pytest.mark.parametrize("label", ["principal", "owner"])
def test_the_mind_cannot_raise_trust(label: str) -> None:
    assert refused("base.label-raised", replace(REPLY, label=label)) == (
        f"the mind may lower trust, not raise it to {label!r}"
    )


@pytest.mark.parametrize("label", ["", "Owner", "root", "OWNER ", "stranger\x00"])
def test_a_label_that_there_is_not_is_refused(label: str) -> None:
    refused("base.label-unknown", replace(REPLY, label=label))


@pytest.mark.parametrize("verb", ["evm.transfer", "evm.sign", "solana.transfer", "solana.", "evm.web.reply"])
def test_every_value_verb_is_denied(verb: str) -> None:
    refused("base.value-verb", with_part(verb=verb))


def test_a_value_verb_is_denied_even_where_a_schedule_names_it() -> None:
    generous = Policy(posts_per_day={"evm.transfer": 100})

    refused("base.value-verb", replace(POST, parts=(replace(PART, verb="evm.transfer"),)), by=generous, event=None)


@pytest.mark.parametrize("verb", ["", "web", "web.post", "web.reply ", "WEB.REPLY", "telegram.send_message", "evm"])
def test_a_verb_that_the_policy_does_not_know_is_refused(verb: str) -> None:
    refused("base.verb-unknown", with_part(verb=verb))


def test_no_event_of_one_source_is_answered_by_the_verb_of_another() -> None:
    refused("base.verb-source", with_part(verb="terminal.reply"))
    refused("base.verb-source", replace(REPLY, source="terminal"))
    refused("base.verb-source", replace(REPLY, source="telegram"))


def test_what_nobody_witnessed_is_not_answered() -> None:
    refused("base.event-not-witnessed", REPLY, event=None)


def test_what_has_its_answer_gets_no_second_one() -> None:
    refused("base.already-answered", REPLY, event=Witnessed("room", answered=True))


def test_no_reply_goes_into_another_room() -> None:
    refused("base.room-mismatch", with_part(room="another"))


def test_no_part_hides_behind_another() -> None:
    parts = (PART, replace(PART, room="another"))

    refused("base.room-mismatch", replace(REPLY, parts=parts))
    refused("base.value-verb", replace(REPLY, parts=(PART, replace(PART, verb="evm.transfer"))))
    refused("base.empty", replace(REPLY, parts=(PART, replace(PART, text=""))))


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u2003"])
def test_a_part_that_says_nothing_is_refused(text: str) -> None:
    refused("base.empty", with_part(text=text))


def test_a_submission_without_parts_is_refused() -> None:
    refused("base.empty", replace(REPLY, parts=()))


def test_a_text_beyond_the_limit_is_refused() -> None:
    refused("base.text-too-long", with_part(text="x" * 4001))


def test_more_parts_than_a_reply_may_have_are_refused() -> None:
    refused("base.too-many-parts", replace(REPLY, parts=(PART,) * 5))


@pytest.mark.parametrize("verb", ["web.reply", "terminal.reply"])
def test_nothing_is_posted_unprompted_without_a_schedule(verb: str) -> None:
    refused("base.unprompted", replace(with_part(verb=verb), event="", key="k"), event=None)


def test_a_schedule_for_one_verb_allows_no_other() -> None:
    refused("base.unprompted", replace(POST, parts=(replace(PART, verb="web.reply"),)), by=POSTING, event=None)


def test_an_unprompted_post_needs_a_key_of_its_own() -> None:
    refused("base.key-missing", replace(POST, key=""), by=POSTING, event=None)


def test_a_refusal_repeats_little_of_what_was_sent() -> None:
    reason = refused("base.verb-unknown", with_part(verb="v" * 60_000))

    assert len(reason) < 200


# -- the policy itself


def test_the_default_policy_lets_an_agent_talk_and_nothing_else() -> None:
    assert policy.parse({}) == BASE
    assert BASE.posts_per_day == {}


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(Malformed, match="policy: unknown key 'allow_all'"):
        policy.parse({"allow_all": True})


def test_every_change_of_a_policy_changes_its_hash() -> None:
    changed = [
        Policy(replies_per_room_minute=61),
        Policy(parts_per_reply=5),
        Policy(text_limit=4001),
        Policy(posts_per_day={"x.post": 1}),
        Policy(posts_per_day={"x.post": 2}),
        Policy(verbs={"telegram": ("telegram.send_message",)}),
        Policy(owners=("telegram:1",)),
    ]

    assert len({one.hash for one in [BASE, *changed]}) == len(changed) + 1
    assert len(fields(Policy)) == 6, "a new rule of the policy belongs into this test"


def test_the_same_policy_has_the_same_hash_in_any_order() -> None:
    one = policy.parse({"posts_per_day": {"x.post": 1, "farcaster.cast": 2}, "text_limit": 9})
    other = policy.parse({"text_limit": 9, "posts_per_day": {"farcaster.cast": 2, "x.post": 1}})

    assert one.hash == other.hash


VERBS = st.sampled_from(["web.reply", "terminal.reply", "x.post", "evm.transfer", "solana.x", "web.post", ""])
PARTS = st.builds(
    Part, verb=VERBS, room=st.sampled_from(["room", "other"]), text=st.sampled_from(["", " ", "hi", "x" * 50])
)
SUBMISSIONS = st.builds(
    Submission,
    agent=st.just("ada"),
    source=st.sampled_from(["web", "terminal", "x", ""]),
    event=st.sampled_from(["event", ""]),
    parts=st.lists(PARTS, max_size=4).map(tuple),
    key=st.sampled_from(["", "k"]),
    label=st.sampled_from([*policy.LABELS, "root"]),
)
POLICIES = st.builds(
    Policy,
    parts_per_reply=st.integers(0, 3),
    text_limit=st.integers(0, 60),
    posts_per_day=st.sampled_from([{}, {"x.post": 1}, {"evm.transfer": 1}]),
)
EVENTS = st.none() | st.builds(Witnessed, room=st.sampled_from(["room", "other"]), answered=st.booleans())


@given(POLICIES, SUBMISSIONS, EVENTS, st.booleans())
def test_whatever_passes_is_within_every_rule(
    by: Policy, submission: Submission, event: Witnessed | None, stopped: bool
) -> None:
    try:
        policy.check(by, submission, event, stopped=stopped)
    except Refused:
        return

    assert not stopped
    assert submission.label in ("memory", "stranger")
    assert 1 <= len(submission.parts) <= by.parts_per_reply
    for part in submission.parts:
        assert not part.verb.startswith(("evm.", "solana."))
        assert part.text.strip()
        assert len(part.text) <= by.text_limit
        if submission.event:
            assert event is not None
            assert not event.answered
            assert part.room == event.room
            assert part.verb == f"{submission.source}.reply"
        else:
            assert part.verb in by.posts_per_day
            assert submission.key
