"""From bytes to events: the frames that a ``recv`` brought, without a socket.

A method that carries a content is followed, on its channel, by a header frame and as many body frames as it takes;
other channels' frames may stand between them (specification, section 4.2.6).  Once something breaks the rules
nobody knows where a frame begins, so the connection must end; what came before it is still given.

It can be compiled: typed, no closures, no imports of drivers or of gevent.
"""

from __future__ import annotations

from collections.abc import Container
from struct import Struct
from typing import Final

from kombu_green.exceptions import ProtocolError
from kombu_green.transport.amqp.events import Event, Method, read_confirm, read_content
from kombu_green.transport.amqp.frames import BODY, FRAME_END, HEADER, HEARTBEAT_TYPE, METHOD
from kombu_green.transport.amqp.methods import BASIC_ACK, BASIC_DELIVER, BASIC_GET_OK, BASIC_NACK, BASIC_RETURN

__all__ = ["LARGEST_MESSAGE", "FrameParser"]

#: bytes of one body; RabbitMQ never takes larger ones
LARGEST_MESSAGE: Final = 512 * 1024 * 1024

_CARRY_CONTENT: Final = frozenset((BASIC_DELIVER, BASIC_GET_OK, BASIC_RETURN))
_CONFIRMS: Final = frozenset((BASIC_ACK, BASIC_NACK))

_frame: Final = Struct(">BHI").unpack_from  # type, channel, size
_header: Final = Struct(">HHQ").unpack_from  # class, weight, body size
_whole_header: Final = Struct(">BHIHHQ").unpack_from  # both
_long: Final = Struct(">I").unpack_from


class _Content:
    """A content of which not all has arrived."""

    __slots__ = ("arguments", "body", "left", "method", "properties", "size")

    def __init__(self, method: int, arguments: bytes) -> None:
        self.method = method
        self.arguments = arguments
        self.properties: bytes | None = None  # None: its header has not come
        self.size = 0
        self.left = 0
        self.body = bytearray()  # not a list of pieces: in tiny frames those would take many times their bytes


class FrameParser:
    """Fed whatever a ``recv`` brought; gives the events that are complete and keeps the rest.

    *frame_max* bounds a whole frame, *largest* a body.  Where :attr:`channels` is set, a content is taken in on those
    channels alone, so that nobody can begin one on each of 65 535.
    """

    def __init__(self, frame_max: int, largest: int = LARGEST_MESSAGE) -> None:
        self.frame_max = frame_max
        self._largest = largest
        self.broken: ProtocolError | None = None
        self.channels: Container[int] | None = None
        self._rest = b""
        self._contents: dict[int, _Content] = {}

    @property
    def frame_max(self) -> int:
        """Bytes of the largest frame, all of it."""
        return self._largest_payload + 8

    @frame_max.setter
    def frame_max(self, size: int) -> None:
        self._largest_payload = size - 8

    def feed(self, data: bytes) -> list[Event]:
        """The events that *data* completes.  What breaks the rules sets :attr:`broken`; nothing is read behind it."""
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
            if size > self._largest_payload:
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
        """Returns where the next frame begins."""
        if channel in self._contents:
            raise ProtocolError(f"a method came on channel {channel} amidst a content")
        if end - begin < 4:
            raise ProtocolError(f"a method frame of {end - begin} bytes came")
        (method,) = _long(buffer, begin)
        arguments = buffer[begin + 4 : end]
        if method in _CARRY_CONTENT:
            return self._content(buffer, end + 1, channel, method, arguments, events)
        if method in _CONFIRMS:
            events.append(read_confirm(channel, method, arguments))
        else:
            events.append(Method(channel, method, arguments))
        return end + 1

    def _content(self, buffer: bytes, at: int, channel: int, method: int, arguments: bytes, events: list[Event]) -> int:
        """What follows a method that carries a content; returns where the next frame begins.

        Mostly all of it is there, in two frames, and is taken at once.  In every other case, and in every doubt, it
        is left to the frames themselves.
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
                and 0 < body_size <= self._largest_payload
                and buffer[header_end] == FRAME_END
                and buffer[end] == FRAME_END
                and _frame(buffer, header_end + 1) == (BODY, channel, body_size)
            ):
                properties = buffer[at + 19 : header_end]
                events.append(read_content(channel, method, arguments, properties, buffer[header_end + 8 : end]))
                return end + 1
        if self.channels is not None and channel not in self.channels:
            raise ProtocolError(f"a content came on channel {channel}, which is not open")
        self._contents[channel] = _Content(method, arguments)
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
            raise ProtocolError(f"a body of {size} bytes was announced, and {self._largest} are allowed")
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
        content.body += payload
        if not content.left:
            self._finish(content, bytes(content.body), channel, events)

    def _finish(self, content: _Content, body: bytes, channel: int, events: list[Event]) -> None:
        del self._contents[channel]
        events.append(read_content(channel, content.method, content.arguments, content.properties or b"", body))
