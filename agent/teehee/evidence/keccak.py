"""Keccak with the padding it had before SHA-3 was settled: what Ethereum hashes with, and no OpenSSL offers.

Source: the Keccak reference, version 3.0 (https://keccak.team/files/Keccak-reference-3.0.pdf), sections 1.2 and 2.
A millisecond a block in plain Python, where the C libraries cost a tenth of a second to load: a vault and a
verifier hash a dozen claims.
"""

from collections.abc import Sequence

LANES = 25
MASK = (1 << 64) - 1
# Where each lane goes and how far it turns, along the walk of pi: (1, 0), (0, 2), (2, 1) ...
_WALK = (10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1)
_TURNS = tuple((step + 1) * (step + 2) // 2 % 64 for step in range(24))


def keccak256(data: bytes) -> bytes:
    """The 32 bytes Ethereum means by `keccak256`."""
    return keccak(data, 256)


def keccak(data: bytes, bits: int) -> bytes:
    """The digest of 224, 256, 384 or 512 `bits`."""
    rate = 200 - bits // 4
    padded = data + b"\x01" + bytes(-(len(data) + 1) % rate)
    padded = padded[:-1] + bytes([padded[-1] | 0x80])
    state = [0] * LANES
    for start in range(0, len(padded), rate):
        for lane in range(rate // 8):
            state[lane] ^= int.from_bytes(padded[start + 8 * lane : start + 8 * lane + 8], "little")
        state = _permuted(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state)[: bits // 8]


def _permuted(state: list[int]) -> list[int]:
    """The 24 rounds of Keccak-f[1600]; lane x + 5y is that at (x, y)."""
    for constant in _CONSTANTS:
        column = [state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20] for x in range(5)]
        turned = [(lane << 1 | lane >> 63) & MASK for lane in column]
        mixed = [column[x - 1] ^ turned[(x + 1) % 5] for x in range(5)]
        state = [lane ^ mixed[at % 5] for at, lane in enumerate(state)]  # theta
        carried = state[1]
        for at, turn in zip(_WALK, _TURNS, strict=True):  # rho and pi
            state[at], carried = (carried << turn | carried >> (64 - turn)) & MASK, state[at]
        for y in range(0, LANES, 5):  # chi
            row = state[y : y + 5]
            state[y : y + 5] = [row[x] ^ (~row[(x + 1) % 5] & MASK & row[(x + 2) % 5]) for x in range(5)]
        state[0] ^= constant  # iota
    return state


def _constants() -> Sequence[int]:
    """The 24 constants of iota: bits of the register x^8 + x^6 + x^5 + x^4 + 1, at places 2^j - 1."""
    register, found = 1, []
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (register & 1) << ((1 << j) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        found.append(constant)
    return found


_CONSTANTS = _constants()
