"""Frames that the client writes: as py-amqp packs them, and no larger than both sides have agreed on."""

from __future__ import annotations

import pytest
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import EncodeError
from kombu_green.transport.amqp.protocol.frames import BASIC_PUBLISH, FRAME_END, content_frames, publish_frame, shortstr
from kombu_green.transport.amqp.protocol.parser import FrameParser

FRAME_MAX = 4096

names = st.text(max_size=60)


def sizes(stream: bytes) -> list[int]:
    """The bytes of each frame, all of it."""
    found = []
    while stream:
        size = int.from_bytes(stream[3:7], "big") + 8
        assert stream[size - 1] == FRAME_END
        found.append(size)
        stream = stream[size:]
    return found


@pytest.mark.parametrize("size", [0, 1, FRAME_MAX - 9, FRAME_MAX - 8, FRAME_MAX - 7, 3 * (FRAME_MAX - 8)])
def test_a_body_is_cut_into_frames(size: int) -> None:
    frames = sizes(content_frames(1, b"\0\0", b"x" * size, FRAME_MAX))
    assert max(frames) <= FRAME_MAX
    assert sum(frames[1:]) == size + 8 * (len(frames) - 1)
    assert len(frames) == 1 + -(-size // (FRAME_MAX - 8))


def test_a_header_of_exactly_frame_max_is_written() -> None:
    stream = content_frames(1, b"x" * (FRAME_MAX - 20), b"", FRAME_MAX)
    assert sizes(stream) == [FRAME_MAX]
    parser = FrameParser(FRAME_MAX)
    parser.feed(stream)
    assert "belongs to nothing" in str(parser.broken)  # and not that it is too large


def test_a_header_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EncodeError, match="4077 bytes, and a frame to this broker holds 4076"):
        content_frames(1, b"x" * (FRAME_MAX - 19), b"", FRAME_MAX)


def parts(frame: bytes) -> tuple[int, int, int, bytes]:
    """Type, channel, method and arguments of a whole frame, whose size and end are right."""
    assert int.from_bytes(frame[3:7], "big") == len(frame) - 8
    assert frame[-1] == 0xCE
    return frame[0], int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[7:11], "big"), frame[11:-1]


@given(st.integers(1, 65535), names, names, st.booleans())
def test_a_publish_is_packed_as_py_amqp_packs_it(channel: int, exchange: str, key: str, mandatory: bool) -> None:
    expected = dumps("Bssbb", (0, exchange, key, mandatory, False))
    assert parts(publish_frame(channel, exchange, key, mandatory)) == (1, channel, BASIC_PUBLISH, expected)


def test_a_name_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(EncodeError, match=r"routing key '.udcff' cannot be written"):
        shortstr("\udcff", "routing key")


@pytest.mark.parametrize("text", ["x" * 256, "é" * 128, "\ud800"])
def test_a_name_over_which_the_broker_would_close_the_connection_is_refused(text: str) -> None:
    with pytest.raises(EncodeError, match="routing key"):
        shortstr(text, "routing key")
