"""AMQP 0-9-1's methods on the hot path, packed and unpacked by hand.

A method is known by one number: its class's in the upper 16 bits, its own in the lower (specification, section 1.1).
Nothing here knows a socket, and all of it can be compiled: typed, no closures, no imports of drivers.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from kombu_green.exceptions import EncodeError, ProtocolError

__all__ = [
    "BASIC_ACK",
    "BASIC_DELIVER",
    "BASIC_GET_OK",
    "BASIC_NACK",
    "BASIC_RETURN",
    "Route",
    "ack_frame",
    "nack_frame",
    "publish_frame",
    "read_route",
    "shortstr",
]

_END: Final = b"\xce"

BASIC_PUBLISH: Final = 60 << 16 | 40
BASIC_RETURN: Final = 60 << 16 | 50
BASIC_DELIVER: Final = 60 << 16 | 60
BASIC_GET_OK: Final = 60 << 16 | 71
BASIC_ACK: Final = 60 << 16 | 80
BASIC_NACK: Final = 60 << 16 | 120

_frame_and_method: Final = Struct(">BHII").pack  # type, channel, size, method
_settling: Final = Struct(">BHIIQBB").pack  # …, delivery tag, bits, frame end


class Route(NamedTuple):
    """Where a message was published to, and with what key."""

    exchange: str
    routing_key: str


def shortstr(text: str, what: str, errors: str = "strict") -> bytes:
    """*text* as AMQP's short string: UTF-8, 255 bytes at most; *what* names it in the error.

    The broker would answer a longer one, or in a method one that is no UTF-8, by closing the connection.  Properties
    may hold what is none (*errors* is then ``surrogateescape``): they come through, and go out again, as they are.
    """
    try:
        raw = text.encode("utf-8", errors)
    except UnicodeEncodeError as error:
        raise EncodeError(f"{what} {text!r} cannot be written as UTF-8: {error.reason}") from None
    if len(raw) > 255:
        raise EncodeError(f"{what} {text[:40]!r}… has {len(raw)} bytes in UTF-8, and AMQP allows 255")
    return bytes((len(raw),)) + raw


def publish_frame(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    """The whole frame of a basic.publish; the content's frames follow it."""
    names = shortstr(exchange, "exchange") + shortstr(routing_key, "routing key")
    # method, reserved-1, names, and the bits mandatory and immediate
    start = _frame_and_method(1, channel, 4 + 2 + len(names) + 1, BASIC_PUBLISH)
    return b"".join((start, b"\0\0", names, b"\1" if mandatory else b"\0", _END))


def ack_frame(channel: int, delivery_tag: int, multiple: bool) -> bytes:
    """The whole frame of a basic.ack."""
    return _settling(1, channel, 13, BASIC_ACK, delivery_tag, multiple, 0xCE)


def nack_frame(channel: int, delivery_tag: int, requeue: bool) -> bytes:
    """The whole frame of a basic.nack for one message."""
    return _settling(1, channel, 13, BASIC_NACK, delivery_tag, requeue << 1, 0xCE)


def read_route(raw: bytes) -> Route:
    """Exchange and routing key out of the two short strings that end a deliver, a get-ok or a return."""
    try:
        first = raw[0] + 1
        second = first + raw[first] + 1
        if second != len(raw):
            raise ProtocolError("an exchange and routing key are longer or shorter than they say")
    except IndexError:
        raise ProtocolError("an exchange and routing key end too early") from None
    # no reader fails because of a name; RabbitMQ lets no publisher put bytes there that are no UTF-8
    return Route(raw[1:first].decode("utf-8", "surrogateescape"), raw[first + 1 :].decode("utf-8", "surrogateescape"))
