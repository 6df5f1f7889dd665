"""Frames on their way out, as large as both sides have agreed on and no larger."""

from __future__ import annotations

import pytest

from kombu_green.exceptions import EncodeError
from kombu_green.transport.amqp.frames import FRAME_END, content_frames
from kombu_green.transport.amqp.parser import FrameParser

FRAME_MAX = 4096


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
def test_a_body_is_cut_to_frames(size: int) -> None:
    frames = sizes(content_frames(1, b"\0\0", b"x" * size, FRAME_MAX))
    assert max(frames) <= FRAME_MAX
    assert sum(frames[1:]) == size + 8 * (len(frames) - 1)
    assert len(frames) == 1 + -(-size // (FRAME_MAX - 8))


def test_a_header_that_fits_just_so() -> None:
    stream = content_frames(1, b"x" * (FRAME_MAX - 20), b"", FRAME_MAX)
    assert sizes(stream) == [FRAME_MAX]
    parser = FrameParser(FRAME_MAX)
    parser.feed(stream)
    assert "belongs to nothing" in str(parser.broken)  # and not that it is too large


def test_a_header_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EncodeError, match="4077 bytes, and a frame to this broker holds 4076"):
        content_frames(1, b"x" * (FRAME_MAX - 19), b"", FRAME_MAX)
