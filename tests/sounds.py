"""Ogg Opus recordings put together by hand: right in every page, silent in every frame."""

import struct

TWENTY_MS = b"\x08" + bytes(20)  # SILK, narrow, 20 ms, one frame


def page(packets: list[bytes], number: int, *, kind: int = 0, stream: int = 1) -> bytes:
    """A page of whole packets."""
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, kind, 0, stream, number, 0, len(table))
    return head + table + b"".join(packets)


def ogg(seconds: int = 3, packet: bytes = TWENTY_MS) -> bytes:
    """So many seconds of voice, if every packet has 20 ms."""
    head = struct.pack("<8sBBHIHB", b"OpusHead", 1, 1, 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 4) + b"test" + struct.pack("<I", 0)
    pages = [page([packet] * 50, number + 2) for number in range(seconds)]
    return page([head], 0, kind=2) + page([tags], 1) + b"".join(pages)
