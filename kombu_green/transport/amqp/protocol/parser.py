"""Frames that the broker writes: from the bytes of a ``recv`` to events.

A method that carries a content (deliver, get-ok, return) is followed on its channel by a header frame and by as many
body frames as the body takes; frames of other channels may stand between them (specification, section 4.2.6).  A body
that is larger than allowed is dropped as it streams in, and its message is told as :class:`Oversized`.  Events
keep routes and properties as bytes: they are decoded when a callback looks at them (:mod:`.properties`).
"""

from __future__ import annotations

from collections.abc import Container
from struct import Struct
from struct import error as StructError  # noqa: N812  it is a class
from typing import Final, NamedTuple, TypeAlias

from kombu_green.exceptions import ProtocolError
from kombu_green.transport.amqp.protocol.frames import (
    BASIC_ACK,
    BASIC_DELIVER,
    BASIC_GET_OK,
    BASIC_NACK,
    BASIC_RETURN,
    BODY,
    FRAME_END,
    HEADER,
    HEARTBEAT_TYPE,
    METHOD,
)

__all__ = [
    "LARGEST_HEADER",
    "LARGEST_MESSAGE",
    "Confirmed",
    "Delivery",
    "Event",
    "FrameParser",
    "GetOk",
    "MessageRoute",
    "Method",
    "Oversized",
    "Returned",
    "read_route",
]

#: bytes of one body; RabbitMQ accepts no larger ones
LARGEST_MESSAGE: Final = 512 * 1024 * 1024

#: bytes of a header frame's payload.  RabbitMQ does not split headers, and adds its own (``x-death``,
#: ``x-delivery-count``) to those of a publisher, which may have filled a frame already.
LARGEST_HEADER: Final = 1024 * 1024

#: bytes of a body that is dropped as it streams in; no broker takes larger ones
LARGEST_DROPPED: Final = 4 * 1024 * 1024 * 1024

_CARRY_CONTENT: Final = frozenset((BASIC_DELIVER, BASIC_GET_OK, BASIC_RETURN))
_CONFIRMS: Final = frozenset((BASIC_ACK, BASIC_NACK))

_frame: Final = Struct(">BHI").unpack_from  # type, channel, size
_header: Final = Struct(">HHQ").unpack_from  # class, weight, body size
_whole_header: Final = Struct(">BHIHHQ").unpack_from  # both
_long: Final = Struct(">I").unpack_from
_tag_and_bits: Final = Struct(">QB").unpack_from

# -- events


class Delivery(NamedTuple):
    """basic.deliver with its content; ``route`` is for :func:`read_route`, ``properties`` for :mod:`.properties`."""

    channel: int
    consumer_tag: bytes
    delivery_tag: int
    redelivered: int  # 0 or 1
    route: bytes
    properties: bytes
    body: bytes


class GetOk(NamedTuple):
    """basic.get-ok with its content."""

    channel: int
    delivery_tag: int
    redelivered: int
    route: bytes
    properties: bytes
    body: bytes


class Returned(NamedTuple):
    """basic.return with its content: a mandatory message that was routed to no queue."""

    channel: int
    code: int
    text: bytes
    route: bytes
    properties: bytes
    body: bytes


class Oversized(NamedTuple):
    """A message whose body of *size* bytes was dropped, as *allowed* are; the body of *content* is empty."""

    channel: int
    content: Delivery | GetOk | Returned
    size: int
    allowed: int


class Confirmed(NamedTuple):
    """basic.ack (``positive``) or basic.nack of one publish, or with ``multiple`` of all up to ``delivery_tag``."""

    channel: int
    delivery_tag: int
    multiple: bool
    positive: bool


class Method(NamedTuple):
    """Any other method; ``arguments`` are its packed bytes."""

    channel: int
    method: int
    arguments: bytes


Event: TypeAlias = Delivery | GetOk | Returned | Oversized | Confirmed | Method


class MessageRoute(NamedTuple):
    """The exchange that a message was published to, and its routing key."""

    exchange: str
    routing_key: str


def read_route(raw: bytes) -> MessageRoute:
    """Decode the ``route`` of an event: the two short strings that end the arguments of deliver, get-ok and return.

    Bytes that are not UTF-8 are kept by ``surrogateescape``, though RabbitMQ lets no publisher send them.
    """
    try:
        first = raw[0] + 1
        second = first + raw[first] + 1
        if second != len(raw):
            raise ProtocolError("an exchange and routing key are longer or shorter than they say")
    except IndexError:
        raise ProtocolError("an exchange and routing key end too early") from None
    return MessageRoute(
        raw[1:first].decode("utf-8", "surrogateescape"), raw[first + 1 :].decode("utf-8", "surrogateescape")
    )


def _read_confirm(channel: int, method: int, arguments: bytes) -> Confirmed:
    if len(arguments) != 9:
        raise ProtocolError(f"a confirm of {len(arguments)} bytes came")
    tag, bits = _tag_and_bits(arguments, 0)
    return Confirmed(channel, tag, bool(bits & 1), method == BASIC_ACK)


def _read_content(
    channel: int, method: int, arguments: bytes, properties: bytes, body: bytes
) -> Delivery | GetOk | Returned:
    try:
        if method == BASIC_DELIVER:
            mark = arguments[0] + 1
            tag, redelivered = _tag_and_bits(arguments, mark)
            return Delivery(channel, arguments[1:mark], tag, redelivered, arguments[mark + 9 :], properties, body)
        if method == BASIC_GET_OK:
            tag, redelivered = _tag_and_bits(arguments, 0)
            # between the redelivered bit and the 4 bytes of the message count
            return GetOk(channel, tag, redelivered, arguments[9:-4], properties, body)
        mark = arguments[2] + 3
        code = arguments[0] << 8 | arguments[1]
        return Returned(channel, code, arguments[3:mark], arguments[mark:], properties, body)
    except (IndexError, StructError):
        raise ProtocolError(f"the method before a content on channel {channel} is too short") from None


# -- parser


class _PartialContent:
    """A content whose frames have not all arrived."""

    __slots__ = ("arguments", "body", "dropped", "left", "method", "properties", "size")

    def __init__(self, method: int, arguments: bytes) -> None:
        self.method = method
        self.arguments = arguments
        self.properties: bytes | None = None  # None until the header frame came
        self.size = 0
        self.left = 0  # bytes of the body that have not arrived
        self.dropped = False  # whether the body is larger than allowed, and not kept
        self.body = bytearray()  # a list of tiny chunks would take many times their bytes


class FrameParser:
    """Takes bytes in whatever pieces ``recv`` returns them, gives the events that are complete, keeps the rest.

    *frame_max* bounds a whole frame, *largest* a body, both in bytes; header frames have a bound of their own
    (:data:`LARGEST_HEADER`).  While :attr:`channels` is set, contents are
    accepted on those channels only; otherwise a hostile broker could begin one on each of 65 535 channels.

    A violation of the protocol sets :attr:`broken`: where the next frame begins is unknown then, so nothing more is
    parsed and the connection must be closed.  Events before the violation are still returned.
    """

    def __init__(self, frame_max: int, largest: int = LARGEST_MESSAGE) -> None:
        self._largest = largest
        self.frame_max = frame_max
        self.broken: ProtocolError | None = None
        self.channels: Container[int] | None = None
        self._rest = b""
        self._contents: dict[int, _PartialContent] = {}

    @property
    def frame_max(self) -> int:
        """Bytes of the largest frame, header and end octet included."""
        return self._largest_payload + 8

    @frame_max.setter
    def frame_max(self, size: int) -> None:
        self._largest_payload = size - 8
        self._largest_in_one_frame = min(self._largest_payload, self._largest)

    def feed(self, data: bytes) -> list[Event]:
        """The events that *data* completes, in order."""
        events: list[Event] = []
        if self.broken is None:
            try:
                self._feed(self._rest + data if self._rest else data, events)
            except ProtocolError as error:
                self.broken = error
                self._rest = b""
        return events

    def _feed(self, buffer: bytes, events: list[Event]) -> None:
        length = len(buffer)
        at = 0
        while length - at > 6:
            kind, channel, size = _frame(buffer, at)
            begin = at + 7
            end = begin + size
            if size > self._largest_payload and (kind != HEADER or size > LARGEST_HEADER):
                raise ProtocolError(f"a frame of {size + 8} bytes came, and {self._largest_payload + 8} were agreed on")
            if end >= length:
                break
            if buffer[end] != FRAME_END:
                raise ProtocolError(f"a frame of type {kind} does not end where it says")
            at = end + 1
            if kind == METHOD:
                at = self._method(buffer, begin, end, channel, events)
            elif kind == BODY:
                self._body(buffer[begin:end], channel, events)
            elif kind == HEADER:
                self._header(buffer[begin:end], channel, events)
            elif kind != HEARTBEAT_TYPE:
                raise ProtocolError(f"a frame of unknown type {kind} came")
        self._rest = buffer[at:]

    def _method(self, buffer: bytes, begin: int, end: int, channel: int, events: list[Event]) -> int:
        """Handle a method frame; returns the offset of the next frame that was not handled."""
        if channel in self._contents:
            raise ProtocolError(f"a method came on channel {channel} amidst a content")
        if end - begin < 4:
            raise ProtocolError(f"a method frame of {end - begin} bytes came")
        (method,) = _long(buffer, begin)
        arguments = buffer[begin + 4 : end]
        if method in _CARRY_CONTENT:
            return self._content(buffer, end + 1, channel, method, arguments, events)
        if method in _CONFIRMS:
            events.append(_read_confirm(channel, method, arguments))
        else:
            events.append(Method(channel, method, arguments))
        return end + 1

    def _content(self, buffer: bytes, at: int, channel: int, method: int, arguments: bytes, events: list[Event]) -> int:
        """Handle the frames behind a method that carries a content; returns the offset of the next unhandled frame.

        Usually the whole content is in the buffer as one header and one body frame, and is taken in one step.  If
        anything differs from that, the method is remembered and ``_feed`` goes through the frames one by one.
        """
        length = len(buffer)
        if length - at > 22:
            kind, other, size, class_id, _, body_size = _whole_header(buffer, at)
            header_end = at + 7 + size
            end: int = header_end + 8 + body_size
            if (
                kind == HEADER
                and other == channel
                and class_id == 60
                and size >= 14
                and end < length
                and 0 < body_size <= self._largest_in_one_frame
                and buffer[header_end] == FRAME_END
                and buffer[end] == FRAME_END
                and _frame(buffer, header_end + 1) == (BODY, channel, body_size)
            ):
                properties = buffer[at + 19 : header_end]
                events.append(_read_content(channel, method, arguments, properties, buffer[header_end + 8 : end]))
                return end + 1
        if self.channels is not None and channel not in self.channels:
            raise ProtocolError(f"a content came on channel {channel}, which is not open")
        self._contents[channel] = _PartialContent(method, arguments)
        return at

    def _header(self, payload: bytes, channel: int, events: list[Event]) -> None:
        content = self._contents.get(channel)
        if content is None or content.properties is not None:
            raise ProtocolError(f"a header came on channel {channel} that belongs to nothing")
        if len(payload) < 14:
            raise ProtocolError(f"a header frame of {len(payload)} bytes came")
        class_id, _, size = _header(payload, 0)
        if class_id != 60:
            raise ProtocolError(f"a header of class {class_id} came")
        if size > self._largest:
            if size > LARGEST_DROPPED:
                raise ProtocolError(f"a body of {size} bytes was announced, and {self._largest} are allowed")
            content.dropped = True
        content.properties = payload[12:]
        content.size = content.left = size
        if not size:
            self._finish(content, b"", channel, events)

    def _body(self, payload: bytes, channel: int, events: list[Event]) -> None:
        content = self._contents.get(channel)
        if content is None or content.properties is None:
            raise ProtocolError(f"a body came on channel {channel} without a header")
        content.left -= len(payload)
        if content.left < 0:
            raise ProtocolError(f"a body on channel {channel} is longer than the {content.size} bytes announced")
        if not content.left and not content.body:
            self._finish(content, payload, channel, events)
            return
        if not content.dropped:
            content.body += payload
        if not content.left:
            self._finish(content, bytes(content.body), channel, events)

    def _finish(self, content: _PartialContent, body: bytes, channel: int, events: list[Event]) -> None:
        del self._contents[channel]
        properties = content.properties or b""
        if content.dropped:
            found = _read_content(channel, content.method, content.arguments, properties, b"")
            events.append(Oversized(channel, found, content.size, self._largest))
        else:
            events.append(_read_content(channel, content.method, content.arguments, properties, body))
