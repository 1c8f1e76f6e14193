"""Merkle trees: hashes, growth, proofs, and the refusal of every proof that is not one."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teehee.errors import VerificationError
from teehee.evidence import merkle

MOST = 70
LEAVES = [merkle.leaf_hash(f"leaf {i}".encode()) for i in range(MOST)]

# The eight entries, and the roots of their first 1..8, that every Certificate Transparency implementation is tried on.
CLASSIC_ENTRIES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CLASSIC_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Store:
    """A store of complete subtrees that counts how often it is asked."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.nodes = {(0, i): leaf for i, leaf in enumerate(leaves)}
        self.frontier = merkle.Frontier()
        self.lookups = 0
        for leaf in leaves:
            self.nodes |= {(level, index): node for level, index, node in self.frontier.append(leaf)}

    def __call__(self, level: int, index: int) -> bytes:
        self.lookups += 1
        return self.nodes[level, index]


STORE = Store(LEAVES)


@cache
def naive_root(start: int, end: int) -> bytes:
    """RFC 9162 §2.1.1, word for word."""
    if end - start == 0:
        return merkle.EMPTY_ROOT
    if end - start == 1:
        return LEAVES[start]
    middle = start + naive_split(end - start)
    return merkle.node_hash(naive_root(start, middle), naive_root(middle, end))


def naive_inclusion(m: int, start: int, end: int) -> list[bytes]:
    """RFC 9162 §2.1.3.1, word for word."""
    if end - start == 1:
        return []
    k = naive_split(end - start)
    if m < k:
        return [*naive_inclusion(m, start, start + k), naive_root(start + k, end)]
    return [*naive_inclusion(m - k, start + k, end), naive_root(start, start + k)]


def naive_consistency(m: int, start: int, end: int, *, known: bool) -> list[bytes]:
    """RFC 9162 §2.1.4.1, word for word."""
    if m == end - start:
        return [] if known else [naive_root(start, end)]
    k = naive_split(end - start)
    if m <= k:
        return [*naive_consistency(m, start, start + k, known=known), naive_root(start + k, end)]
    return [*naive_consistency(m - k, start + k, end, known=False), naive_root(start, start + k)]


def naive_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def damaged(proof: list[bytes]) -> Iterator[list[bytes]]:
    """Every proof one fault away: a bit flipped in each node, a node left out, doubled, swapped, or put in."""
    for i, node in enumerate(proof):
        flipped = bytes([node[0], node[1] ^ 1]) + node[2:]
        yield [*proof[:i], flipped, *proof[i + 1 :]]
        yield [*proof[:i], *proof[i + 1 :]]
        yield [*proof[:i], node, *proof[i:]]
        yield [*proof[:i], node[:-1], *proof[i + 1 :]]
    yield from ([*proof[:i], b"\x00" * 32, *proof[i:]] for i in range(len(proof) + 1))
    if len(proof) > 1:
        yield proof[::-1]


def refused(step: str, check: Callable[..., None], *arguments: object) -> None:
    with pytest.raises(VerificationError) as caught:
        check(*arguments)
    assert caught.value.step == step


@pytest.mark.parametrize("size", range(1, 9))
def test_the_classic_tree_has_its_published_roots(size: int) -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(entry)) for entry in CLASSIC_ENTRIES[:size]]

    assert merkle.root(leaves).hex() == CLASSIC_ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing_as_root() -> None:
    assert merkle.root([]) == merkle.EMPTY_ROOT
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(MOST + 1))
def test_a_grown_tree_has_the_root_of_the_recursive_definition(size: int) -> None:
    assert merkle.root(LEAVES[:size]) == naive_root(0, size)


def test_append_returns_each_complete_subtree_once_and_right() -> None:
    frontier = merkle.Frontier()
    seen = {}

    for leaf in LEAVES[:64]:
        for level, index, node in frontier.append(leaf):
            assert (level, index) not in seen
            seen[level, index] = node

    assert seen == {
        (level, index): naive_root(index << level, (index + 1) << level)
        for level in range(1, 7)
        for index in range(64 >> level)
    }


def test_append_names_the_nodes_from_the_lowest_up() -> None:
    frontier = merkle.Frontier()
    for leaf in LEAVES[:7]:
        frontier.append(leaf)

    completed = frontier.append(LEAVES[7])

    assert [(level, index) for level, index, _ in completed] == [(1, 3), (2, 1), (3, 0)]


def test_the_edge_of_seven_leaves_is_named_left_to_right() -> None:
    assert merkle.edge(7) == [(2, 0), (1, 2), (0, 6)]
    assert merkle.edge(0) == []
    assert merkle.edge(8) == [(3, 0)]


@pytest.mark.parametrize("size", range(MOST))
def test_a_frontier_resumes_from_its_stored_edge(size: int) -> None:
    stored = [(level, STORE(level, index)) for level, index in merkle.edge(size)]

    resumed = merkle.Frontier(size, stored)

    assert resumed.root() == naive_root(0, size)
    assert resumed.edge == stored
    resumed.append(LEAVES[size])
    assert resumed.root() == naive_root(0, size + 1)


def test_a_copy_grows_alone() -> None:
    frontier = merkle.Frontier()
    frontier.append(LEAVES[0])

    twin = frontier.copy()
    twin.append(LEAVES[1])

    assert (frontier.size, frontier.root()) == (1, naive_root(0, 1))
    assert (twin.size, twin.root()) == (2, naive_root(0, 2))


@pytest.mark.parametrize(("size", "levels"), [(7, [2, 1]), (7, [0, 1, 2]), (0, [0]), (4, [1, 1]), (3, [])], ids=str)
def test_an_edge_of_the_wrong_shape_is_refused(size: int, levels: list[int]) -> None:
    with pytest.raises(ValueError, match="has levels"):
        merkle.Frontier(size, [(level, LEAVES[0]) for level in levels])


def test_a_hash_of_the_wrong_length_never_enters_a_tree() -> None:
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        merkle.Frontier().append(LEAVES[0][:31])
    with pytest.raises(ValueError, match="32 bytes, got 33"):
        merkle.Frontier(1, [(0, LEAVES[0] + b"\x00")])
    with pytest.raises(ValueError, match="32 bytes, got 0"):
        merkle.inclusion_proof(0, 2, lambda level, index: b"")
    with pytest.raises(ValueError, match="got -1"):
        merkle.edge(-1)


@pytest.mark.parametrize("size", range(1, MOST + 1))
def test_every_inclusion_proof_is_the_one_of_the_rfc_and_holds(size: int) -> None:
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, STORE)

        assert proof == naive_inclusion(index, 0, size)
        merkle.verify_inclusion(LEAVES[index], index, size, proof, naive_root(0, size))


@pytest.mark.parametrize("new_size", range(MOST + 1))
def test_every_consistency_proof_is_the_one_of_the_rfc_and_holds(new_size: int) -> None:
    for old_size in range(new_size + 1):
        proof = merkle.consistency_proof(old_size, new_size, STORE)

        assert proof == (naive_consistency(old_size, 0, new_size, known=True) if old_size else [])
        merkle.verify_consistency(old_size, naive_root(0, old_size), new_size, naive_root(0, new_size), proof)


def test_proofs_need_logarithmic_lookups() -> None:
    store = Store([merkle.leaf_hash(i.to_bytes(4)) for i in range(4095)])

    for position in (0, 1, 2047, 2048, 4093, 4094):
        store.lookups = 0
        merkle.inclusion_proof(position, 4095, store)
        assert store.lookups <= 2 * 12
        store.lookups = 0
        merkle.consistency_proof(position, 4095, store)
        assert store.lookups <= 2 * 12


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 31, 33, 64, 70])
def test_every_damaged_inclusion_proof_is_refused(size: int) -> None:
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, STORE)
        for bad in damaged(proof):
            with pytest.raises(VerificationError):
                merkle.verify_inclusion(LEAVES[index], index, size, bad, naive_root(0, size))


@pytest.mark.parametrize("new_size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 31, 33, 64, 70])
def test_every_damaged_consistency_proof_is_refused(new_size: int) -> None:
    for old_size in range(new_size + 1):
        proof = merkle.consistency_proof(old_size, new_size, STORE)
        for bad in damaged(proof):
            with pytest.raises(VerificationError):
                merkle.verify_consistency(old_size, naive_root(0, old_size), new_size, naive_root(0, new_size), bad)


@pytest.mark.parametrize("size", [2, 3, 5, 8, 13, 21])
def test_an_inclusion_proof_holds_at_no_other_place(size: int) -> None:
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, STORE)
        for other in set(range(-1, size + 2)) - {index}:
            with pytest.raises(VerificationError):
                merkle.verify_inclusion(LEAVES[index], other, size, proof, naive_root(0, size))
        with pytest.raises(VerificationError):
            merkle.verify_inclusion(LEAVES[index - 1], index, size, proof, naive_root(0, size))


@pytest.mark.parametrize("new_size", [2, 3, 5, 8, 13, 21])
def test_a_consistency_proof_holds_for_no_other_roots(new_size: int) -> None:
    for old_size in range(1, new_size):
        proof = merkle.consistency_proof(old_size, new_size, STORE)
        old, new = naive_root(0, old_size), naive_root(0, new_size)
        for one, two in ((new, old), (old, old), (new, new), (merkle.EMPTY_ROOT, new), (old, merkle.EMPTY_ROOT)):
            with pytest.raises(VerificationError):
                merkle.verify_consistency(old_size, one, new_size, two, proof)


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    entry = LEAVES[0] + LEAVES[1]

    assert merkle.leaf_hash(entry) != naive_root(0, 2)


def test_each_fault_of_an_inclusion_proof_has_its_step() -> None:
    proof, root = merkle.inclusion_proof(2, 5, STORE), naive_root(0, 5)
    leaf = LEAVES[2]

    refused("inclusion.1", merkle.verify_inclusion, leaf, 5, 5, proof, root)
    refused("inclusion.1", merkle.verify_inclusion, leaf, -1, 5, proof, root)
    refused("inclusion.1", merkle.verify_inclusion, leaf, 0, 0, [], root)
    refused("inclusion.2", merkle.verify_inclusion, leaf, 2, 5, proof[:-1], root)
    refused("inclusion.3", merkle.verify_inclusion, leaf[:-1], 2, 5, proof, root)
    refused("inclusion.3", merkle.verify_inclusion, leaf, 2, 5, proof, root[:-1])
    refused("inclusion.4", merkle.verify_inclusion, LEAVES[3], 2, 5, proof, root)


def test_each_fault_of_a_consistency_proof_has_its_step() -> None:
    proof, old, new = merkle.consistency_proof(6, 7, STORE), naive_root(0, 6), naive_root(0, 7)
    empty = merkle.EMPTY_ROOT

    refused("consistency.1", merkle.verify_consistency, 7, new, 6, old, proof)
    refused("consistency.1", merkle.verify_consistency, -1, old, 7, new, proof)
    refused("consistency.2", merkle.verify_consistency, 6, old, 7, new, [*proof, new])
    refused("consistency.2", merkle.verify_consistency, 0, empty, 7, new, proof)
    refused("consistency.2", merkle.verify_consistency, 7, new, 7, new, [new])
    refused("consistency.3", merkle.verify_consistency, 6, old, 7, new[:-1], proof)
    refused("consistency.4", merkle.verify_consistency, 0, old, 7, new, [])
    refused("consistency.4", merkle.verify_consistency, 0, old, 0, old, [])
    refused("consistency.4", merkle.verify_consistency, 7, new, 7, old, [])
    refused("consistency.5", merkle.verify_consistency, 6, new, 7, new, proof)
    refused("consistency.6", merkle.verify_consistency, 6, old, 7, old, proof)


def test_a_refusal_says_what_was_expected_and_what_came() -> None:
    with pytest.raises(VerificationError, match=f"expected root {LEAVES[1].hex()}, .* gives {LEAVES[0].hex()}"):
        merkle.verify_inclusion(LEAVES[0], 0, 1, [], LEAVES[1])
    with pytest.raises(VerificationError, match="expected 3 proof nodes, got 0"):
        merkle.verify_inclusion(LEAVES[2], 2, 5, [], naive_root(0, 5))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_no_proof_is_built_for_a_leaf_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="is not in a tree"):
        merkle.inclusion_proof(index, size, STORE)


@pytest.mark.parametrize(("old_size", "new_size"), [(6, 5), (-1, 5)])
def test_no_proof_is_built_for_a_tree_that_shrinks(old_size: int, new_size: int) -> None:
    with pytest.raises(ValueError, match="is no prefix of"):
        merkle.consistency_proof(old_size, new_size, STORE)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=300), st.data())
def test_any_log_proves_what_it_holds(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    store = Store(leaves)
    size = len(leaves)
    index = data.draw(st.integers(0, size - 1))
    old_size = data.draw(st.integers(0, size))

    inclusion = merkle.inclusion_proof(index, size, store)
    consistency = merkle.consistency_proof(old_size, size, store)

    merkle.verify_inclusion(leaves[index], index, size, inclusion, store.frontier.root())
    merkle.verify_consistency(old_size, merkle.root(leaves[:old_size]), size, store.frontier.root(), consistency)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=8), st.integers(-2, 100), st.integers(-2, 100))
def test_a_made_up_proof_is_refused_and_nothing_worse(proof: list[bytes], index: int, size: int) -> None:
    with pytest.raises(VerificationError):
        merkle.verify_inclusion(LEAVES[0], index, size, proof, LEAVES[1])
    with pytest.raises(VerificationError):
        merkle.verify_consistency(index, LEAVES[0], size, LEAVES[1], proof)
