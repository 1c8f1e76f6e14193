"""Addresses of public keys: Ethereum's with its checksum (EIP-55), Solana's in base58."""

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def evm(public_key: bytes) -> str:
    """The address of a secp256k1 key, compressed or not. Raises ValueError for bytes that are no point."""
    from coincurve import PublicKey

    from teehee.evidence.keccak import keccak256

    digits = keccak256(PublicKey(public_key).format(compressed=False)[1:])[12:].hex()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(d.upper() if mark >= "8" else d for d, mark in zip(digits, marks, strict=False))


def base58(data: bytes) -> str:
    """`data` in Bitcoin's alphabet: for 32 bytes of Ed25519 the Solana address."""
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\x00"))) + digits
