"""How long a recording plays is counted from its frames, whatever its headers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sounds import ogg, page
from teehee.gate import sound


@pytest.mark.parametrize(
    ("packet", "seconds"),
    [
        (b"\x08" + bytes(20), 3.0),  # SILK 20 ms
        (b"\x00" + bytes(20), 1.5),  # SILK 10 ms
        (b"\x18" + bytes(20), 9.0),  # SILK 60 ms
        (b"\x60" + bytes(20), 1.5),  # hybrid 10 ms
        (b"\x80" + bytes(20), 0.375),  # CELT 2.5 ms
        (b"\xf9" + bytes(20), 6.0),  # CELT 20 ms, two frames
        (b"\x1b\x02" + bytes(20), 18.0),  # SILK 60 ms, two frames, counted
        (b"\x08" + bytes(600), 3.0),  # longer than a segment
    ],
)
def test_a_recording_is_as_long_as_its_frames(packet: bytes, seconds: float) -> None:
    if len(packet) > 255:
        whole = ogg(0) + b"".join(page([packet] * 50, number) for number in range(3))
        assert sound.seconds(whole) == seconds
    assert sound.seconds(ogg(3, packet)) == seconds


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"ID3" + bytes(100), id="mp3"),
        pytest.param(ogg()[:-1], id="cut"),
        pytest.param(ogg() + b"ID3", id="more-behind-it"),
        pytest.param(ogg(1) + ogg(1).replace(b"\x01\x00\x00\x00", b"\x02\x00\x00\x00"), id="a-second-stream"),
        pytest.param(page([b"\x01vorbis"], 0), id="vorbis"),
    ],
)
def test_what_is_not_one_opus_stream_is_none(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"Opus|page|stream"):
        sound.seconds(content)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_give_seconds_or_a_value_error(content: bytes, at: int) -> None:
    whole = ogg(1)
    for one in (content, whole[:at] + content, whole[:at] + content + whole[at + len(content) :]):
        try:
            assert sound.seconds(one) >= 0
        except ValueError:
            pass
