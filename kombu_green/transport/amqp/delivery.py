"""A message as it came over AMQP: nothing of it is decoded before somebody looks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time
from typing import Any, Final, TypeVar

from kombu_green.dispatch.history import UNREADABLE
from kombu_green.exceptions import DecodeError, ProtocolError
from kombu_green.message import UNDECODED, Message, Settles
from kombu_green.transport.amqp.delay import PREFIX, arrived
from kombu_green.transport.amqp.events import Delivery, Got
from kombu_green.transport.amqp.methods import Route, read_route
from kombu_green.transport.amqp.properties import Properties, PropertyReader, as_published

__all__ = ["AMQPMessage", "Decoder"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Remembered(dict[bytes, T]):
    """What *read* makes of bytes that come again and again; looked up without a call."""

    MOST: Final = 1024
    LARGEST: Final = 1024  # bytes

    def __init__(self, read: Callable[[bytes], T]) -> None:
        self._read: Final = read

    def __missing__(self, raw: bytes) -> T:
        found = self._read(raw)
        if len(raw) <= self.LARGEST:
            if len(self) >= self.MOST:
                self.clear()
            self[raw] = found
        return found


class Decoder:
    """What is read from the bytes of a delivery; one for a connection, as it remembers what it has read before."""

    __slots__ = ("_properties", "published", "routes")

    def __init__(self) -> None:
        #: property blocks without what a broker adds when it delivers a message again
        self.published: Final = _Remembered(as_published)
        #: exchanges and routing keys
        self.routes: Final[_Remembered[Route]] = _Remembered(read_route)
        self._properties: Final = PropertyReader()

    def properties(self, event: Delivery | Got) -> Properties:
        return self._properties.read(event.properties)


class AMQPMessage(Message):
    """Properties, headers and delivery info are read from the bytes at the first look at one of them.

    RabbitMQ passes on what no reader should follow: tables nested without end.  Such a message has no properties here,
    its bytes stand in one header, and decoding it raises, so that it goes where other undecodable ones go.
    """

    __slots__ = ("_consumer_tag", "_decoder", "_event", "expires", "trouble")

    #: why the properties could not be read
    trouble: ProtocolError | None

    #: seconds since 1970, for a message that came through the ladder of delays and has an expiration
    expires: float | None

    def __init__(self, event: Delivery | Got, channel: Settles, decoder: Decoder, consumer_tag: str | None) -> None:
        # The base class's own would decode everything; what is left out here is filled in by __getattr__.
        self.body = event.body
        self.channel = channel
        self.delivery_tag = event.delivery_tag
        self.accept = None
        self._state = "RECEIVED"
        self._payload = UNDECODED
        self._event = event
        self._decoder = decoder
        self._consumer_tag = consumer_tag

    def __getattr__(self, name: str) -> Any:
        # called for a slot that is empty, and for a name that there is not
        if name not in _LAZY:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._look()
        return getattr(self, name)

    def decode(self) -> Any:
        if self.trouble is not None:
            raise DecodeError(f"its properties cannot be read: {self.trouble}") from self.trouble
        return super().decode()

    def fingerprint(self) -> tuple[bytes, bytes]:
        event = self._event
        return self._decoder.published[event.properties], event.body

    def outlived(self) -> bool:
        """Whether it came through the ladder of delays and nobody wants it any more."""
        return self._event.route.startswith(_DELAYED, 1) and self.expires is not None and self.expires < time()

    def _look(self) -> None:
        event, decoder = self._event, self._decoder
        self.trouble = None
        try:
            found = decoder.properties(event)
        except ProtocolError as error:
            log.warning("a message's properties cannot be read: %s", error)
            self.trouble = error
            found = Properties(None, None, {UNREADABLE: event.properties}, {})
        self.content_type, self.content_encoding, self.headers, self.properties = found
        exchange, routing_key = decoder.routes[event.route]
        self.expires = None
        if event.route.startswith(_DELAYED, 1):
            exchange, self.expires = arrived(self.headers, self.properties)
        self.delivery_info = {
            "exchange": exchange,
            "routing_key": routing_key,
            "redelivered": bool(event.redelivered),
            "consumer_tag": self._consumer_tag,
        }


_LAZY: Final = frozenset(
    ("content_type", "content_encoding", "headers", "properties", "delivery_info", "expires", "trouble")
)
_DELAYED: Final = PREFIX.encode()
