"""A message as it came over AMQP: nothing of it is decoded before somebody looks."""

from __future__ import annotations

from time import time
from typing import Any, Final

from kombu_green.message import UNDECODED, Message, Settles
from kombu_green.transport.amqp.delay import PREFIX, arrived
from kombu_green.transport.amqp.events import Delivery, Got
from kombu_green.transport.amqp.methods import Route, read_route
from kombu_green.transport.amqp.properties import Properties, PropertyReader

__all__ = ["AMQPMessage", "Decoder"]

#: pairs of exchange and routing key that are remembered
_REMEMBERED: Final = 1024


class Decoder:
    """What is read from the bytes of a delivery; one for a connection, as it remembers what it has read before."""

    __slots__ = ("_properties", "_routes")

    def __init__(self) -> None:
        self._properties: Final = PropertyReader()
        self._routes: Final[dict[bytes, Route]] = {}

    def properties(self, event: Delivery | Got) -> Properties:
        return self._properties.read(event.properties)

    def route(self, raw: bytes) -> Route:
        """Exchange and routing key."""
        found = self._routes.get(raw)
        if found is None:
            if len(self._routes) >= _REMEMBERED:
                self._routes.clear()
            found = self._routes[raw] = read_route(raw)
        return found


class AMQPMessage(Message):
    """Properties, headers and delivery info are read from the bytes at the first look at one of them."""

    __slots__ = ("_consumer_tag", "_decoder", "_event", "expires")

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

    def outlived(self) -> bool:
        """Whether it came through the ladder of delays and nobody wants it any more."""
        return self._event.route.startswith(_DELAYED, 1) and self.expires is not None and self.expires < time()

    def _look(self) -> None:
        event, decoder = self._event, self._decoder
        self.content_type, self.content_encoding, self.headers, self.properties = decoder.properties(event)
        exchange, routing_key = decoder.route(event.route)
        self.expires = None
        if event.route.startswith(_DELAYED, 1):
            exchange, self.expires = arrived(self.headers, self.properties)
        self.delivery_info = {
            "exchange": exchange,
            "routing_key": routing_key,
            "redelivered": bool(event.redelivered),
            "consumer_tag": self._consumer_tag,
        }


_LAZY: Final = frozenset(("content_type", "content_encoding", "headers", "properties", "delivery_info", "expires"))
_DELAYED: Final = PREFIX.encode()
