"""The leaves of the action log: one canonical form each, and nothing else is a leaf."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import VerificationError
from teehee.evidence import leaf
from teehee.evidence.canonical import canonical, loads
from teehee.evidence.leaf import Epoch, Forget, Genesis, Intent, Leaf, Outcome, Policy, Restored, Resume, Stop

A, B, C, D = (letter * 64 for letter in "abcd")
EFFECT = "0b1c5a52-6ff2-4a67-9d3b-0c4f7a1f6f10"

INTENT = Intent(
    agent="ada-7f3c",
    at=1_767_225_600_000,
    epoch=3,
    effect=EFFECT,
    verb="telegram.send_message",
    room=A,
    event=B,
    payload=C,
    policy=D,
    budget="chat",
)
OUTCOME = Outcome(
    agent="ada-7f3c", at=1_767_225_600_000, epoch=3, effect=EFFECT, state="unknown", detail="telegram.timeout"
)
STOP = Stop(agent="ada-7f3c", at=1_767_225_600_000, epoch=3, by=A, seq=1)
RESUME = Resume(agent="ada-7f3c", at=1_767_225_600_000, epoch=3, by=A, seq=2)
POLICY = Policy(agent="ada-7f3c", at=1_767_225_600_000, epoch=3, policy=D)
EPOCH = Epoch(agent="ada-7f3c", at=1_767_225_600_000, epoch=3, keys={"log": A, "evm": "02" + B}, package=C)
GENESIS = Genesis(agent="ada-7f3c", at=1_767_225_600_000, epoch=0, keys={"log": A}, package=C)
RESTORED = Restored(agent="ada-7f3c", at=1_767_225_600_000, epoch=4, size=7, root=A, taken=1_767_225_500_000)
WRONG: list[object] = [None, True, -1, "~ ~", [], {"": ""}]
FORGET = Forget(agent="ada-7f3c", at=1_767_225_600_000, epoch=3, effects=7, person=D)
LEAVES: list[Leaf] = [INTENT, OUTCOME, STOP, RESUME, POLICY, EPOCH, GENESIS, RESTORED, FORGET]


def refused(step: str, says: str, data: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        leaf.parse(data)
    assert caught.value.step == step
    assert says in str(caught.value)


def changed(one: Leaf, **members: object) -> bytes:
    return canonical({**loads(one.encode(), limit=leaf.MAX_LEAF_BYTES), **members})


def without(one: Leaf, name: str) -> bytes:
    members = loads(one.encode(), limit=leaf.MAX_LEAF_BYTES)
    del members[name]
    return canonical(members)


def test_an_intent_has_this_form() -> None:
    assert INTENT.encode().decode() == (
        f'{{"agent":"ada-7f3c","at":1767225600000,"budget":"chat","effect":"{EFFECT}","epoch":3,"event":"{B}",'
        f'"payload":"{C}","policy":"{D}","room":"{A}","type":"intent","v":1,"verb":"telegram.send_message"}}'
    )


def test_an_outcome_has_this_form() -> None:
    assert OUTCOME.encode().decode() == (
        f'{{"agent":"ada-7f3c","at":1767225600000,"detail":"telegram.timeout","effect":"{EFFECT}","epoch":3,'
        '"state":"unknown","type":"outcome","v":1}'
    )


def test_the_other_leaves_have_these_forms() -> None:
    head = '"agent":"ada-7f3c","at":1767225600000'

    assert STOP.encode().decode() == f'{{{head},"by":"{A}","epoch":3,"seq":1,"type":"stop","v":1}}'
    assert RESUME.encode().decode() == f'{{{head},"by":"{A}","epoch":3,"seq":2,"type":"resume","v":1}}'
    assert POLICY.encode().decode() == f'{{{head},"epoch":3,"policy":"{D}","type":"policy","v":1}}'
    assert EPOCH.encode().decode() == (
        f'{{{head},"epoch":3,"keys":{{"evm":"02{B}","log":"{A}"}},"package":"{C}","type":"epoch","v":1}}'
    )
    assert GENESIS.encode().decode() == (
        f'{{{head},"epoch":0,"keys":{{"log":"{A}"}},"package":"{C}","type":"genesis","v":1}}'
    )
    assert RESTORED.encode().decode() == (
        f'{{{head},"epoch":4,"root":"{A}","size":7,"taken":1767225500000,"type":"restored","v":1}}'
    )


@pytest.mark.parametrize("one", LEAVES, ids=lambda one: one.type)
def test_every_leaf_comes_back_as_it_was(one: Leaf) -> None:
    parsed = leaf.parse(one.encode())

    assert parsed == one
    assert type(parsed) is type(one)
    assert parsed.encode() == one.encode()


def test_an_unprompted_intent_has_no_event() -> None:
    assert leaf.parse(changed(INTENT, event="")).members()["event"] == ""


@pytest.mark.parametrize("one", LEAVES, ids=lambda one: one.type)
def test_every_missing_key_is_refused_by_name(one: Leaf) -> None:
    for name in loads(one.encode(), limit=leaf.MAX_LEAF_BYTES):
        step = {"v": "leaf.2", "type": "leaf.3"}.get(name, "record.3")

        refused(step, f"'{name}'", without(one, name))


@pytest.mark.parametrize("one", LEAVES, ids=lambda one: one.type)
def test_an_unknown_key_is_refused_by_name(one: Leaf) -> None:
    refused("record.2", "expected no key 'note'", changed(one, note="hello"))


@pytest.mark.parametrize("one", LEAVES, ids=lambda one: one.type)
def test_every_wrong_type_is_refused_by_name(one: Leaf) -> None:
    for name in loads(one.encode(), limit=leaf.MAX_LEAF_BYTES):
        for wrong in WRONG:
            step = {"v": "leaf.2", "type": "leaf.3"}.get(name, "record.4")

            refused(step, f"{name}", changed(one, **{name: wrong}))


@pytest.mark.parametrize(
    ("one", "name", "value", "says"),
    [
        (INTENT, "agent", "", "agent: expected a key id"),
        (INTENT, "agent", "a/b", "got 'a/b'"),
        (INTENT, "agent", "a" * 65, "agent: expected a key id of 1 to 64"),
        (INTENT, "effect", EFFECT.upper(), "effect: expected a lower-case UUID"),
        (INTENT, "effect", EFFECT.replace("-", ""), "effect: expected a lower-case UUID"),
        (INTENT, "verb", "post", "verb: expected a verb such as"),
        (INTENT, "verb", "X.post", "verb: expected a verb such as"),
        (INTENT, "verb", "x." + "p" * 63, "verb: expected a verb such as"),
        (INTENT, "room", "", "room: expected 64 lower-case hex digits"),
        (INTENT, "room", A.upper(), "room: expected 64 lower-case hex digits"),
        (INTENT, "event", A[:-1], "event: expected 64 lower-case hex digits, or nothing"),
        (INTENT, "payload", A + "a", "payload: expected 64 lower-case hex digits"),
        (INTENT, "budget", "", "budget: expected a name"),
        (OUTCOME, "state", "sent", "state: expected 'delivered', 'failed', 'unknown' or 'expired', got 'sent'"),
        (OUTCOME, "detail", "two words", "detail: expected at most 64 printable ASCII"),
        (OUTCOME, "detail", "d" * 65, "detail: expected at most 64 printable ASCII"),
        (OUTCOME, "detail", "caf\u00e9", "detail: expected at most 64 printable ASCII"),
        (STOP, "by", "aa" * 31, "by: expected an owner's public key"),
        (STOP, "by", A + "a", "by: expected an owner's public key"),
        (EPOCH, "keys", {"log": "no"}, "keys['log']: expected a public key"),
        (EPOCH, "keys", {"a b": A}, "keys, name: expected a name"),
        (EPOCH, "keys", {f"k{i}": A for i in range(65)}, "keys: expected an object of at most 64 entries"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused_by_name(one: Leaf, name: str, value: object, says: str) -> None:
    refused("record.4", says, changed(one, **{name: value}))


@pytest.mark.parametrize("version", [0, 2, "1", True, None, 2**53])
def test_another_version_is_refused(version: object) -> None:
    refused("leaf.2", "'v': expected 1, got", changed(POLICY, v=version))


def test_an_unknown_type_is_refused() -> None:
    refused(
        "leaf.3",
        "expected one of intent, outcome, stop, resume, policy, epoch, genesis, restored, forget, got 'spend'",
        changed(POLICY, type="spend"),
    )
    refused("record.2", "Stop: expected no key 'policy'", changed(POLICY, type="stop"))


def test_bytes_in_another_form_are_refused() -> None:
    data = POLICY.encode()

    refused("json.8", "canonical", data.replace(b",", b", "))
    refused("json.8", "canonical", data + b"\n")
    refused("json.8", "canonical", b'{"v":1,' + data[1:].replace(b',"v":1', b""))
    refused("json.5", "'v' twice", data.replace(b'"v":1', b'"v":1,"v":1'))
    refused("json.6", "got 1.0", data.replace(b'"v":1', b'"v":1.0'))
    refused("json.4", "expected JSON", data[:-1])
    refused("json.1", "at most 32768 bytes", b" " * 32_769)
    refused("leaf.1", "expected a JSON object, got a list", b"[]")


def test_a_leaf_that_could_not_be_read_back_is_not_made() -> None:
    with pytest.raises(ValueError, match="policy: expected 64 lower-case hex digits"):
        Policy(agent="ada", at=0, epoch=0, policy="none")


def test_the_largest_leaf_is_read_back() -> None:
    keys = {f"{i:0>128}": "ff" * 128 for i in range(64)}

    largest = Genesis(agent="a" * 64, at=2**53, epoch=2**53, keys=keys, package=A)

    assert leaf.parse(largest.encode()) == largest


@given(
    st.integers(0, 2**53), st.text("!~a", max_size=64), st.sampled_from(["delivered", "failed", "unknown", "expired"])
)
def test_any_outcome_survives_the_round_trip(at: int, detail: str, state: str) -> None:
    outcome = Outcome(agent="ada", at=at, epoch=0, effect=EFFECT, state=state, detail=detail)

    assert leaf.parse(outcome.encode()) == outcome


@pytest.mark.parametrize("one", LEAVES, ids=lambda one: one.type)
def test_a_leaf_cut_anywhere_is_refused(one: Leaf) -> None:
    data = one.encode()

    for end in range(len(data)):
        with pytest.raises(VerificationError):
            leaf.parse(data[:end])


# Commitments

SALT = bytes(range(16))


def test_a_commitment_has_this_form() -> None:
    preimage = (
        b"teehee/commit/v1\x00"
        + (4).to_bytes(8) + b"room"
        + (16).to_bytes(8) + SALT
        + (5).to_bytes(8) + b"hello"
    )  # fmt: skip

    assert leaf.commit("room", SALT, b"hello") == sha256(preimage).hexdigest()
    assert leaf.commit("room", SALT, b"hello") == "06cbd2083e9017ee59086f452239013ebf8939c3c6857a02839c6fb7b656e8c2"


def test_what_is_moved_between_the_parts_gives_another_commitment() -> None:
    commitments = {
        leaf.commit("room", SALT, b"hello"),
        leaf.commit("roo", SALT, b"hello"),
        leaf.commit("event", SALT, b"hello"),
        leaf.commit("room", SALT + b"h", b"ello"),
        leaf.commit("room", SALT + b"hello", b""),
        leaf.commit("", SALT, b"hello"),
        leaf.commit("room", SALT[::-1], b"hello"),
    }

    assert len(commitments) == 7


@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_short_salt_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"at least 16 bytes, got {size}"):
        leaf.commit("room", bytes(size), b"hello")
