"""From a basic.deliver to the message that a callback gets, which is decoded on first use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any, Final, TypeVar

from kombu_green.compression import MAX_SIZE
from kombu_green.dispatch.history import UNREADABLE
from kombu_green.exceptions import DecodeError, ProtocolError
from kombu_green.message import UNDECODED, Message, Settles
from kombu_green.transport.amqp.delay_ladder import PREFIX, remove_delay
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.parser import Delivery, GetOk, MessageRoute, read_route
from kombu_green.transport.amqp.protocol.properties import Properties, PropertyReader, as_published

__all__ = ["AMQPConsumer", "AMQPMessage", "DeliveryDecoder"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class _ReadCache(dict[bytes, T]):
    """The results of *read* by the bytes that were read; a full cache is cleared.

    A dictionary, so that a value that is in the cache costs no call.
    """

    MOST: Final = 1024  # entries
    LARGEST: Final = 1024  # bytes of a key

    def __init__(self, read: Callable[[bytes], T]) -> None:
        self._read: Final = read

    def __missing__(self, raw: bytes) -> T:
        found = self._read(raw)
        if len(raw) <= self.LARGEST:
            if len(self) >= self.MOST:
                self.clear()
            self[raw] = found
        return found


class DeliveryDecoder:
    """Decodes the bytes of deliveries.  The channels of a connection share one, as it caches what it has read."""

    __slots__ = ("_properties", "published", "routes")

    def __init__(self) -> None:
        #: property block -> the same without what the broker adds when it delivers a message again
        self.published: Final = _ReadCache(as_published)
        #: route of an event -> exchange and routing key
        self.routes: Final[_ReadCache[MessageRoute]] = _ReadCache(read_route)
        self._properties: Final = PropertyReader()

    def properties(self, event: Delivery | GetOk) -> Properties:
        """The properties of *event*; :exc:`ProtocolError` when they are malformed."""
        return self._properties.read(event.properties)


class AMQPMessage(Message):
    """A message whose properties, headers and delivery info are decoded when one of them is used first.

    RabbitMQ delivers headers that are nested deeper than is read here.  Such a message has no properties; the undecoded
    bytes are in the header ``UNREADABLE``, and :meth:`decode` raises, so that it is handled as any other message that
    cannot be decoded.
    """

    __slots__ = ("_consumer_tag", "_decoder", "_event", "expires", "unreadable")

    #: why the properties could not be decoded; None when they were
    unreadable: ProtocolError | None

    #: seconds since 1970, for a message that was delayed and has an expiration, else None
    expires: float | None

    def __init__(
        self, event: Delivery | GetOk, channel: Settles, decoder: DeliveryDecoder, consumer_tag: str | None
    ) -> None:
        # Not Message.__init__, which needs decoded values.  __getattr__ fills in the attributes that are left out.
        self.body = event.body
        self.channel = channel
        self.delivery_tag = event.delivery_tag
        self.accept = None
        self.max_unpacked = MAX_SIZE
        self._state = "RECEIVED"
        self._payload = UNDECODED
        self._event = event
        self._decoder = decoder
        self._consumer_tag = consumer_tag

    def __getattr__(self, name: str) -> Any:
        # called for a slot that is empty, and for unknown names
        if name not in _LAZY:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._decode_event()
        return getattr(self, name)

    def decode(self) -> Any:
        if self.unreadable is not None:
            raise DecodeError(f"its properties cannot be read: {self.unreadable}") from self.unreadable
        return super().decode()

    def fingerprint(self) -> tuple[bytes, bytes]:
        event = self._event
        return self._decoder.published[event.properties], event.body

    def expired_in_delay(self) -> bool:
        """Whether it was delayed, and its expiration has passed since the delay ended."""
        return self._event.route.startswith(_DELAYED, 1) and self.expires is not None and self.expires < time()

    def _decode_event(self) -> None:
        event, decoder = self._event, self._decoder
        self.unreadable = None
        exchange = routing_key = ""
        try:
            exchange, routing_key = decoder.routes[event.route]
            found = decoder.properties(event)
        except ProtocolError as error:
            log.warning("a message's properties cannot be read: %s", error)
            self.unreadable = error
            found = Properties(None, None, {UNREADABLE: event.properties}, {})
        self.content_type, self.content_encoding, self.headers, self.properties = found
        self.expires = None
        if event.route.startswith(_DELAYED, 1):
            exchange, self.expires = remove_delay(self.headers, self.properties)
        self.delivery_info = {
            "exchange": exchange,
            "routing_key": routing_key,
            "redelivered": bool(event.redelivered),
            "consumer_tag": self._consumer_tag,
        }


_LAZY: Final = frozenset(
    ("content_type", "content_encoding", "headers", "properties", "delivery_info", "expires", "unreadable")
)
_DELAYED: Final = PREFIX.encode()


@dataclass(slots=True, eq=False)
class AMQPConsumer:
    """One basic.consume of a channel."""

    tag: str
    queue: str
    callback: Callable[[Message], None]
    channel: Settles
    decoder: DeliveryDecoder
    no_ack: bool
    exclusive: bool
    arguments: Mapping[str, Any]
    cancelled: bool = False  # deliveries that still arrive are requeued
    paused: bool = False  # by flow(False): it is cancelled at the broker

    def hand_over(self, delivery: Delivery) -> None:
        """Call the callback with the message, unless that has expired; raises what the callback raises."""
        message = AMQPMessage(delivery, self.channel, self.decoder, self.tag)
        if not message.expired_in_delay():
            self.callback(message)
        elif not self.no_ack:
            message.reject()

    def consume_call(self) -> rpc.RpcCall:
        """The basic.consume that starts it."""
        return rpc.consume(self.queue, self.tag, self.no_ack, self.exclusive, self.arguments)
