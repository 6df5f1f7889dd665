"""AMQP's frames on their way out, each a piece of bytes.

A frame is a type, a channel, a size, that many bytes of payload and an end octet (specification, section 4.2.3).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from kombu_green.exceptions import EncodeError

__all__ = ["BODY", "FRAME_END", "HEADER", "HEARTBEAT", "HEARTBEAT_TYPE", "METHOD", "content_frames", "method_frame"]

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT_TYPE: Final = 8
FRAME_END: Final = 0xCE

#: the whole heartbeat frame
HEARTBEAT: Final = b"\x08\0\0\0\0\0\0\xce"

_frame: Final = Struct(">BHI").pack
_method: Final = Struct(">BHII").pack
_header: Final = Struct(">BHIHHQ").pack
_END: Final = b"\xce"


def method_frame(channel: int, method: int, arguments: bytes) -> bytes:
    """The whole frame of a method without content."""
    return b"".join((_method(METHOD, channel, 4 + len(arguments), method), arguments, _END))


def content_frames(channel: int, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """Header and body of a content, as they follow their method; *properties* as :mod:`.properties` packs them.

    A body is cut into frames of *frame_max* bytes at most.  A header cannot be, and a broker that gets too large a one
    closes the connection, so that it is an :exc:`~kombu_green.exceptions.EncodeError`.
    """
    size = len(body)
    if len(properties) > frame_max - 20:
        raise EncodeError(
            f"properties and headers have {len(properties)} bytes, and a frame to this broker holds {frame_max - 20}:"
            " what is large belongs into the body"
        )
    header = _header(HEADER, channel, 12 + len(properties), 60, 0, size)
    if size == 0:
        return b"".join((header, properties, _END))
    if size <= frame_max - 8:
        return b"".join((header, properties, _END, _frame(BODY, channel, size), body, _END))
    parts = [header, properties, _END]
    step = frame_max - 8
    for start in range(0, size, step):
        chunk = body[start : start + step]
        parts += (_frame(BODY, channel, len(chunk)), chunk, _END)
    return b"".join(parts)
