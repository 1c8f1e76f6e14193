"""The action log: it only grows, every leaf can be proved, and any two sizes are one history."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from teehee import commit
from teehee.errors import Refused, VerificationError
from teehee.evidence import checkpoint, leaf, merkle
from teehee.vault import schema
from teehee.vault.actionlog import ActionLog
from teehee.vault.keyring import LogKey
from teehee.wire.messages import Identity

ADA, EVE = 1, 2
KEY = LogKey(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
IDENTITY = Identity(
    slot="ada.json", agent="ada", name="Ada", key_id="ada-7f3c", origin="teehee/ada-7f3c", log_key=KEY.public.hex(),
    policy_hash="d" * 64, epoch=1, stopped=False, log=ADA,
)  # fmt: skip
VKEY = checkpoint.vkey(IDENTITY.origin, KEY.public)


@contextlib.contextmanager
def opened(path: Path | str = ":memory:") -> Iterator[ActionLog]:
    db = commit.open_database(Path(path), what="store")
    try:
        commit.migrate(db, schema.MIGRATIONS, what="store")
        yield ActionLog(db)
    finally:
        db.close()


@pytest.fixture
def log() -> Iterator[ActionLog]:
    with opened() as one:
        yield one


def entry(number: int) -> leaf.Leaf:
    return leaf.Stop(agent="ada-7f3c", at=1_767_225_600_000 + number, epoch=1, by="a" * 64, seq=number)


def grow(log: ActionLog, leaves: int, number: int = ADA) -> list[bytes]:
    """Appends leaves; gives the root at every size from the one before them on."""
    roots = [log.root(number)]
    for _ in range(leaves):
        log.append(number, entry(log.size(number)))
        roots.append(log.root(number))
    return roots


def hashes(log: ActionLog, number: int = ADA) -> list[bytes]:
    return [merkle.leaf_hash(data) for data in log.leaves(number, 0, 10_000)]


# -- growing


def test_an_empty_log_has_the_empty_root(log: ActionLog) -> None:
    assert (log.size(ADA), log.root(ADA)) == (0, merkle.EMPTY_ROOT)


def test_leaves_are_kept_in_the_order_they_came(log: ActionLog) -> None:
    indexes = [log.append(ADA, entry(number)) for number in range(20)]

    assert indexes == list(range(20))
    assert log.leaves(ADA, 0, 100) == [entry(number).encode() for number in range(20)]
    assert log.leaf(ADA, 7) == entry(7).encode()


def test_the_root_is_that_of_the_leaves(log: ActionLog) -> None:
    grow(log, 37)

    assert log.root(ADA) == merkle.root(hashes(log))


def test_a_page_of_leaves_begins_and_ends_where_it_was_asked_to(log: ActionLog) -> None:
    grow(log, 10)

    assert log.leaves(ADA, 3, 4) == [entry(number).encode() for number in range(3, 7)]
    assert log.leaves(ADA, 8, 100) == [entry(8).encode(), entry(9).encode()]


@pytest.mark.parametrize(
    ("start", "limit"), [(10, 5), (2**53, 5), (1 << 40, 5), (1 << 46, 5), (-5, 5), (0, -1), (0, 0)]
)
def test_a_page_outside_the_log_is_empty(log: ActionLog, start: int, limit: int) -> None:
    grow(log, 10)
    grow(log, 10, EVE)

    assert log.leaves(ADA, start, limit) == []


def test_agents_have_logs_of_their_own(log: ActionLog) -> None:
    for number in range(50):
        log.append((ADA, EVE)[number % 3 == 0], entry(number))

    ada, eve = log.leaves(ADA, 0, 100), log.leaves(EVE, 0, 100)

    assert (len(ada), len(eve)) == (33, 17)
    assert not set(ada) & set(eve)
    assert log.root(ADA) == merkle.root(map(merkle.leaf_hash, ada))
    assert log.root(EVE) == merkle.root(map(merkle.leaf_hash, eve))


def test_a_log_goes_on_where_it_was_when_the_vault_starts_again(tmp_path: Path) -> None:
    for _ in range(5):
        with opened(tmp_path / "vault.db") as log:
            grow(log, 7)

    with opened(tmp_path / "vault.db") as log:
        assert log.size(ADA) == 35
        assert log.root(ADA) == merkle.root(hashes(log))
        assert log.leaves(ADA, 0, 100) == [entry(number).encode() for number in range(35)]


def test_what_was_undone_is_in_no_tree(log: ActionLog) -> None:
    roots = grow(log, 5)
    log.db.execute("BEGIN")
    grow(log, 4)
    log.db.execute("ROLLBACK")
    log.forget_edges()

    assert (log.size(ADA), log.root(ADA)) == (5, roots[5])
    grow(log, 3)
    assert log.root(ADA) == merkle.root(hashes(log))


def test_a_leaf_is_never_written_over(log: ActionLog) -> None:
    grow(log, 5)
    other = ActionLog(log.db)
    grow(other, 1)

    with pytest.raises(sqlite3.IntegrityError):
        grow(log, 1)


# -- proving


def test_every_leaf_is_proved_to_be_in_the_tree(log: ActionLog) -> None:
    for size in range(1, 20):
        grow(log, 1)
        for index in range(size):
            proof = log.inclusion(ADA, index)
            merkle.verify_inclusion(merkle.leaf_hash(log.leaf(ADA, index)), index, size, proof, log.root(ADA))


def test_no_proof_is_given_for_a_leaf_that_there_is_not(log: ActionLog) -> None:
    grow(log, 3)

    with pytest.raises(Refused, match="the log has 3 leaves, none at 3") as caught:
        log.inclusion(ADA, 3)

    assert caught.value.rule == "log.no-such-leaf"


@pytest.mark.parametrize(("old", "new"), [(-1, 2), (2, 1), (0, 4), (4, 5), (-2, -1)])
def test_no_proof_is_given_between_sizes_that_there_are_not(log: ActionLog, old: int, new: int) -> None:
    grow(log, 3)

    with pytest.raises(Refused) as caught:
        log.consistency(ADA, old, new)

    assert caught.value.rule == "log.no-such-size"


def test_any_two_sizes_are_one_history() -> None:
    """I11: every older tree is the beginning of every newer one, exhaustively for the first trees."""
    with opened() as log:
        roots = grow(log, 33)

        for new in range(len(roots)):
            for old in range(new + 1):
                merkle.verify_consistency(old, roots[old], new, roots[new], log.consistency(ADA, old, new))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=8), st.data())
def test_the_log_only_grows_through_restarts_and_undone_work(runs: list[tuple[int, bool]], data: st.DataObject) -> None:
    """I11 over histories: some of the appended work is undone, after each the log is opened anew."""
    with opened() as log:
        roots = [log.root(ADA)]
        for leaves, is_kept in runs:
            log = ActionLog(log.db)
            log.db.execute("BEGIN")
            grown = grow(log, leaves)
            log.db.execute("COMMIT" if is_kept else "ROLLBACK")
            log.forget_edges()
            roots += grown[1:] if is_kept else []
            assert (log.size(ADA), log.root(ADA)) == (len(roots) - 1, roots[-1])
        new = data.draw(st.integers(0, len(roots) - 1))
        old = data.draw(st.integers(0, new))

        merkle.verify_consistency(old, roots[old], new, roots[new], log.consistency(ADA, old, new))
        assert roots[-1] == merkle.root(hashes(log))


# -- signing


def test_a_checkpoint_is_signed_by_the_logs_key(log: ActionLog) -> None:
    grow(log, 5)

    head = checkpoint.verify(log.checkpoint(IDENTITY, KEY), VKEY)

    assert (head.origin, head.size, head.root) == ("teehee/ada-7f3c", 5, log.root(ADA))


def test_the_same_size_always_has_the_same_checkpoint(log: ActionLog) -> None:
    grow(log, 5)
    first = log.checkpoint(IDENTITY, KEY)

    assert log.checkpoint(IDENTITY, KEY) == first
    grow(log, 1)
    assert log.checkpoint(IDENTITY, KEY) != first
    assert log.db.execute("SELECT size, state FROM checkpoints ORDER BY size").fetchall() == [
        (5, "signed"),
        (6, "signed"),
    ]


def test_a_checkpoint_holds_under_no_other_key(log: ActionLog) -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32).public_key().public_bytes_raw()

    with pytest.raises(VerificationError):
        checkpoint.verify(log.checkpoint(IDENTITY, KEY), checkpoint.vkey(IDENTITY.origin, other))


def test_a_vault_that_loses_a_leaf_can_prove_its_checkpoint_no_more(log: ActionLog) -> None:
    grow(log, 8)
    head = checkpoint.verify(log.checkpoint(IDENTITY, KEY), VKEY)
    log.db.execute("DELETE FROM leaves WHERE place=(SELECT MAX(place) FROM leaves)")
    shorter = ActionLog(log.db)

    assert merkle.root(hashes(shorter)) != head.root
    with pytest.raises(Refused):
        shorter.consistency(ADA, 0, head.size)
