"""What the broker says on the hot path, as values: deliveries, returns, confirms, and all else as a method."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812  it is a class
from typing import Final, NamedTuple, TypeAlias

from kombu_green.exceptions import ProtocolError
from kombu_green.transport.amqp.methods import BASIC_ACK, BASIC_DELIVER, BASIC_GET_OK

__all__ = ["Confirmed", "Delivery", "Event", "Got", "Method", "Returned", "read_confirm", "read_content"]

_tag_and_bits: Final = Struct(">QB").unpack_from


class Delivery(NamedTuple):
    """basic.deliver; ``route`` is for :func:`~.methods.read_route`, ``properties`` for :mod:`.properties`."""

    channel: int
    consumer_tag: bytes
    delivery_tag: int
    redelivered: int
    route: bytes
    properties: bytes
    body: bytes


class Got(NamedTuple):
    """basic.get-ok."""

    channel: int
    delivery_tag: int
    redelivered: int
    route: bytes
    properties: bytes
    body: bytes


class Returned(NamedTuple):
    """basic.return: ``route`` and body of a mandatory message that no queue takes."""

    channel: int
    code: int
    text: bytes
    route: bytes
    properties: bytes
    body: bytes


class Confirmed(NamedTuple):
    """basic.ack, or basic.nack, of what was published."""

    channel: int
    delivery_tag: int
    multiple: bool
    positive: bool


class Method(NamedTuple):
    """Any other method; ``arguments`` as they came."""

    channel: int
    method: int
    arguments: bytes


Event: TypeAlias = Delivery | Got | Returned | Confirmed | Method


def read_confirm(channel: int, method: int, arguments: bytes) -> Confirmed:
    if len(arguments) != 9:
        raise ProtocolError(f"a confirm of {len(arguments)} bytes came")
    tag, bits = _tag_and_bits(arguments, 0)
    return Confirmed(channel, tag, bool(bits & 1), method == BASIC_ACK)


def read_content(channel: int, method: int, arguments: bytes, properties: bytes, body: bytes) -> Event:
    try:
        if method == BASIC_DELIVER:
            mark = arguments[0] + 1
            tag, redelivered = _tag_and_bits(arguments, mark)
            return Delivery(channel, arguments[1:mark], tag, redelivered, arguments[mark + 9 :], properties, body)
        if method == BASIC_GET_OK:
            tag, redelivered = _tag_and_bits(arguments, 0)
            return Got(channel, tag, redelivered, arguments[9:-4], properties, body)
        mark = arguments[2] + 3
        code = arguments[0] << 8 | arguments[1]
        return Returned(channel, code, arguments[3:mark], arguments[mark:], properties, body)
    except (IndexError, StructError):
        raise ProtocolError(f"the method before a content on channel {channel} is too short") from None
