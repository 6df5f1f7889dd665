"""Frames that the client writes: methods, contents, heartbeats; each function returns whole frames as bytes.

A frame is a type, a channel number, a payload size, that many bytes of payload and an end octet (specification,
section 4.2.3).  A method is named by one number: its class in the upper 16 bits, its own number in the lower 16
(section 1.1).  Methods that are sent for every message are packed here by hand; all others are in :mod:`.rpc`.

Every module of this package is pure: bytes and values, no socket, no greenlet, no clock.  All of them can be compiled
by mypyc: they are typed, and use no closures.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from kombu_green.exceptions import EncodeError

__all__ = [
    "BASIC_ACK",
    "BASIC_DELIVER",
    "BASIC_GET_OK",
    "BASIC_NACK",
    "BASIC_PUBLISH",
    "BASIC_RETURN",
    "BODY",
    "FRAME_END",
    "HEADER",
    "HEARTBEAT",
    "HEARTBEAT_TYPE",
    "METHOD",
    "content_frames",
    "method_frame",
    "publish_frame",
    "shortstr",
]

# frame types
METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT_TYPE: Final = 8

FRAME_END: Final = 0xCE

#: the whole heartbeat frame
HEARTBEAT: Final = b"\x08\0\0\0\0\0\0\xce"

# methods of class 60, basic
BASIC_PUBLISH: Final = 60 << 16 | 40
BASIC_RETURN: Final = 60 << 16 | 50
BASIC_DELIVER: Final = 60 << 16 | 60
BASIC_GET_OK: Final = 60 << 16 | 71
BASIC_ACK: Final = 60 << 16 | 80
BASIC_NACK: Final = 60 << 16 | 120

_frame: Final = Struct(">BHI").pack  # type, channel, size
_method: Final = Struct(">BHII").pack  # type, channel, size, method
_header: Final = Struct(">BHIHHQ").pack  # type, channel, size, class, weight, body size
_END: Final = b"\xce"


def method_frame(channel: int, method: int, arguments: bytes) -> bytes:
    """The whole frame of a method without content."""
    return b"".join((_method(METHOD, channel, 4 + len(arguments), method), arguments, _END))


def publish_frame(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """The whole frame of a basic.publish; the content's frames must follow it on the channel."""
    names = shortstr(exchange, "exchange") + shortstr(routing_key, "routing key")
    # arguments: reserved-1, the two names, the bits mandatory and immediate
    start = _method(METHOD, channel, 4 + 2 + len(names) + 1, BASIC_PUBLISH)
    return b"".join((start, b"\0\0", names, b"\1" if mandatory else b"\0", _END))


def content_frames(channel: int, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """Header frame and body frames of a content; *properties* as :mod:`.properties` packs them.

    A body is cut into frames of *frame_max* bytes at most.  A header cannot be cut, and a broker closes the connection
    over one that is too large: that raises :exc:`~kombu_green.exceptions.EncodeError` instead.
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


def shortstr(text: str, what: str, errors: str = "strict") -> bytes:
    """*text* as AMQP's short string: UTF-8, 255 bytes at most, its length in front.

    *what* names it in the :exc:`~kombu_green.exceptions.EncodeError`: the broker closes the connection over a longer
    one, and over a method's name that is not UTF-8.  In properties any bytes are allowed; with *errors*
    ``surrogateescape`` those that were read with it are written back unchanged.
    """
    try:
        raw = text.encode("utf-8", errors)
    except UnicodeEncodeError as error:
        raise EncodeError(f"{what} {text!r} cannot be written as UTF-8: {error.reason}") from None
    if len(raw) > 255:
        raise EncodeError(f"{what} {text[:40]!r}… has {len(raw)} bytes in UTF-8, and AMQP allows 255")
    return bytes((len(raw),)) + raw
