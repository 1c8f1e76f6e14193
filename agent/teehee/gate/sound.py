"""How long an Ogg Opus recording plays, counted from its frames: no decoder can make more of it.

https://www.rfc-editor.org/rfc/rfc3533 (pages), https://www.rfc-editor.org/rfc/rfc6716#section-3.1 (frames)
"""

from collections.abc import Iterator

HEAD = 27  # bytes of a page before its table of segments
SILK, HYBRID, CELT = (10.0, 20.0, 40.0, 60.0), (10.0, 20.0), (2.5, 5.0, 10.0, 20.0)  # ms of one frame


def seconds(content: bytes) -> float:
    """Seconds of sound. Raises ValueError for what is not Ogg Opus from its first byte to its last."""
    packets = _packets(content)
    if not next(packets, b"").startswith(b"OpusHead"):
        raise ValueError("no Opus in it")
    return sum(_milliseconds(packet) for packet in packets if packet and not packet.startswith(b"Opus")) / 1000


def _packets(content: bytes) -> Iterator[bytes]:
    """The packets in their order; of one only its first bytes are given."""
    at, begun, streams = 0, b"", set[bytes]()
    while at < len(content):
        page = content[at : at + HEAD]
        if len(page) < HEAD or page[:5] != b"OggS\0":
            raise ValueError(f"no page begins at byte {at}")
        streams.add(page[14:18])
        table = content[at + HEAD : at + HEAD + page[26]]
        at += HEAD + page[26]
        if len(streams) > 1 or len(table) < page[26] or at + sum(table) > len(content):
            raise ValueError("more than one stream, or a page that is cut")
        for length in table:
            begun += content[at : at + min(length, 8)] if len(begun) < 8 else b""
            at += length
            if length < 255:
                yield begun
                begun = b""
    if begun:
        yield begun


def _milliseconds(packet: bytes) -> float:
    kind, code = packet[0] >> 3, packet[0] & 3
    frame = SILK[kind % 4] if kind < 12 else HYBRID[kind % 2] if kind < 16 else CELT[kind % 4]
    frames = (1, 2, 2)[code] if code < 3 else packet[1] & 63 if len(packet) > 1 else 0
    return frame * frames
