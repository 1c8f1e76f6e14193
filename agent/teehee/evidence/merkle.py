"""Merkle trees of an append-only log: hash leaves, grow the tree, build proofs, check them.

Source: RFC 9162 §2.1 (the same hashes as RFC 6962 §2.1). A tree of 7 leaves, its nodes named (level, index):

    level 2             (2,0)
    level 1      (1,0)         (1,1)         (1,2)
    level 0   (0,0) (0,1)   (0,2) (0,3)   (0,4) (0,5)   (0,6)

Only complete subtrees have names, so a named node never changes once it exists, and a store may keep it for ever.
The right edge of this tree is (2,0) (1,2) (0,6); its root hashes the edge together, from the right.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from teehee.errors import VerificationError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

NodeLookup = Callable[[int, int], bytes]
"""The hash of the complete subtree (level, index); level 0 are the leaf hashes."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry: SHA-256 of 0x00 and its bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256 of 0x01 and its two children."""
    return sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaf hashes; `EMPTY_ROOT` when there are none."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


def edge(size: int) -> list[tuple[int, int]]:
    """The complete subtrees (level, index) that make the right edge of a tree of `size` leaves, left to right."""
    if size < 0:
        raise ValueError(f"a tree has 0 or more leaves, got {size!r}")
    return _covering(0, size)


class Frontier:
    """The right edge of a growing tree: all that is needed to append to it and to know its root."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, stored: Sequence[tuple[int, bytes]] = ()) -> None:
        """Resume at `size` leaves from the stored (level, hash) of each subtree in `edge(size)`."""
        levels = [level for level, _ in stored]
        expected = [level for level, _ in edge(size)]
        if levels != expected:
            raise ValueError(f"the edge of a tree of {size} leaves has levels {expected}, got {levels}")
        self.size = size
        self._hashes = [_sized(node) for _, node in stored]

    @property
    def edge(self) -> list[tuple[int, bytes]]:
        """The (level, hash) of each subtree on the edge, left to right, as the constructor takes it."""
        return [(level, node) for (level, _), node in zip(edge(self.size), self._hashes, strict=True)]

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add one leaf hash; returns the nodes above the leaves that it completed, as (level, index, hash)."""
        node, level, index = _sized(leaf), 0, self.size
        completed = []
        while index & 1:
            node = node_hash(self._hashes.pop(), node)
            level, index = level + 1, index >> 1
            completed.append((level, index, node))
        self._hashes.append(node)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root of the tree as it stands."""
        return _fold(self._hashes)

    def copy(self) -> "Frontier":
        """The same edge, to grow without touching this one."""
        return Frontier(self.size, self.edge)


def inclusion_proof(index: int, size: int, node: NodeLookup) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, lowest node first (RFC 9162 §2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    return _path_above(0, index, size, node)


def consistency_proof(old_size: int, new_size: int, node: NodeLookup) -> list[bytes]:
    """The proof that the tree of `old_size` leaves is a prefix of the one of `new_size` (RFC 9162 §2.1.4.1).

    It is empty when the sizes are equal, or when the old tree is: every tree grows out of nothing.
    """
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {old_size} leaves is no prefix of one of {new_size}")
    if old_size in (0, new_size):
        return []
    level = _lowest_bit(old_size)
    path = _path_above(level, old_size - 1, new_size, node)
    if old_size == 1 << level:  # the path starts at the old root, which the verifier has
        return path
    return [_sized(node(level, (old_size >> level) - 1)), *path]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Check that `leaf` is the leaf hash at `index` of the tree with this size and root (RFC 9162 §2.1.3.2).

    1. The index lies in the tree.
    2. The proof has exactly the nodes such a path has.
    3. Every hash has 32 bytes.
    4. Leaf and path lead to the root.
    """
    if not 0 <= index < size:  # 1
        raise VerificationError("inclusion.1", f"expected a leaf of a tree of {size}, got index {index}")
    inner, border = _path_shape(index, size)
    if len(proof) != inner + border:  # 2
        raise VerificationError("inclusion.2", f"expected {inner + border} proof nodes, got {len(proof)}")
    _check_lengths("inclusion.3", (leaf, expected_root, *proof))  # 3
    got = leaf
    for step, sibling in enumerate(proof):
        on_the_left = step >= inner or index >> step & 1
        got = node_hash(sibling, got) if on_the_left else node_hash(got, sibling)
    _check_root("inclusion.4", "leaf and proof", expected_root, got)  # 4


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the new tree holds the old one, unchanged, as its first leaves (RFC 9162 §2.1.4.2).

    1. The sizes are not negative and do not shrink.
    2. The proof has exactly the nodes such a proof has.
    3. Every hash has 32 bytes.
    4. A tree without leaves has the empty root; trees of equal size have equal roots.
    5. The proof leads to the old root.
    6. The proof leads to the new root.
    """
    if not 0 <= old_size <= new_size:  # 1
        raise VerificationError("consistency.1", f"expected {old_size} leaves or more, got {new_size}")
    needed = _consistency_length(old_size, new_size)
    if len(proof) != needed:  # 2
        raise VerificationError("consistency.2", f"expected {needed} proof nodes, got {len(proof)}")
    _check_lengths("consistency.3", (old_root, new_root, *proof))  # 3
    if old_size in (0, new_size):  # 4
        if old_size == 0:
            _check_root("consistency.4", "no leaves", EMPTY_ROOT, old_root)
        if old_size == new_size:
            _check_root("consistency.4", "the same size", old_root, new_root)
        return
    got_old, got_new = _roots_from(old_size, new_size, old_root, proof)
    _check_root("consistency.5", "the proof", old_root, got_old)  # 5
    _check_root("consistency.6", "the proof", new_root, got_new)  # 6


def _roots_from(old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root, as the proof has them: both climb from the last complete subtree of the old tree."""
    level = _lowest_bit(old_size)
    index = (old_size - 1) >> level
    inner = _path_shape(old_size - 1, new_size)[0] - level
    seed, rest = (old_root, proof) if old_size == 1 << level else (proof[0], proof[1:])
    got_old = got_new = seed
    for step, sibling in enumerate(rest[:inner]):
        if index >> step & 1:
            got_old, got_new = node_hash(sibling, got_old), node_hash(sibling, got_new)
        else:  # what lies to the right is no part of the old tree
            got_new = node_hash(got_new, sibling)
    for left in rest[inner:]:
        got_old, got_new = node_hash(left, got_old), node_hash(left, got_new)
    return got_old, got_new


def _path_above(level: int, index: int, size: int, node: NodeLookup) -> list[bytes]:
    """The siblings from the complete subtree of `level` that holds leaf `index` up to the root, lowest first."""
    path = []
    start, end = 0, size
    while end - start > 1 << level:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    return path[::-1]


def _path_shape(index: int, size: int) -> tuple[int, int]:
    """How many nodes of a leaf's path lie below the right border of the tree, and how many along it."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _consistency_length(old_size: int, new_size: int) -> int:
    if old_size in (0, new_size):
        return 0
    level = _lowest_bit(old_size)
    return sum(_path_shape(old_size - 1, new_size)) - level + (old_size != 1 << level)


def _lowest_bit(number: int) -> int:
    return (number & -number).bit_length() - 1


def _split(leaves: int) -> int:
    """The largest power of two below `leaves`: where RFC 9162 cuts a tree in two."""
    return 1 << ((leaves - 1).bit_length() - 1)


def _covering(start: int, end: int) -> list[tuple[int, int]]:
    """The complete subtrees over leaves `start` to `end`, where `start` is a multiple of a power of two >= the span."""
    span = end - start
    return [(level, (end >> level) - 1) for level in reversed(range(span.bit_length())) if span >> level & 1]


def _range_root(start: int, end: int, node: NodeLookup) -> bytes:
    return _fold([_sized(node(level, index)) for level, index in _covering(start, end)])


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The root over the complete subtrees of an edge, left to right."""
    if not hashes:
        return EMPTY_ROOT
    total = hashes[-1]
    for left in hashes[-2::-1]:
        total = node_hash(left, total)
    return total


def _sized(node: bytes) -> bytes:
    if len(node) != HASH_BYTES:
        raise ValueError(f"a node hash has {HASH_BYTES} bytes, got {len(node)}")
    return node


def _check_lengths(step: str, hashes: Iterable[bytes]) -> None:
    for got in hashes:
        if len(got) != HASH_BYTES:
            raise VerificationError(step, f"expected hashes of {HASH_BYTES} bytes, got one of {len(got)}")


def _check_root(step: str, source: str, expected: bytes, got: bytes) -> None:
    if got != expected:
        raise VerificationError(step, f"expected root {expected.hex()}, but {source} gives {got.hex()}")
