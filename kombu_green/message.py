"""What travels: a content on its way out, a message on its way in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from kombu_green import compression, serialization
from kombu_green.exceptions import DecodeError, MessageStateError
from kombu_green.printable import printable

__all__ = ["COUNTED_BY_BROKERS", "PROPERTIES", "Content", "Message", "Settles"]

#: headers that a broker adds when it delivers a message again
COUNTED_BY_BROKERS: Final = frozenset({"x-delivery-count", "x-acquired-count"})


#: the names of AMQP's basic properties, besides those that a :class:`Content` has as fields
PROPERTIES: Final = frozenset(
    {
        "app_id",
        "cluster_id",
        "correlation_id",
        "delivery_mode",
        "expiration",
        "message_id",
        "priority",
        "reply_to",
        "timestamp",
        "type",
        "user_id",
    }
)


@dataclass(slots=True)
class Content:
    """A body in bytes and what AMQP calls its basic properties.

    ``properties`` holds the rest of them by AMQP's names: ``delivery_mode`` (1 or 2), ``priority`` (0 to 9, 9 is the
    most urgent), ``correlation_id``, ``reply_to``, ``expiration`` (milliseconds, a string), ``message_id``,
    ``timestamp``, ``type``, ``user_id``, ``app_id``, ``cluster_id``.  None means that the property is not there.
    """

    body: bytes
    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Settles(Protocol):
    """The part of a channel that a message needs to be settled."""

    def basic_ack(self, delivery_tag: Any, multiple: bool = False) -> None: ...

    def basic_reject(self, delivery_tag: Any, requeue: bool = False) -> None: ...


class Message:
    """One delivery: the raw body, its properties, and the means to settle it once.

    ``delivery_info`` holds ``exchange``, ``routing_key``, ``redelivered`` and ``consumer_tag``; from a store also
    ``takes``, which counts this delivery too, and ``stored_as``, the store's own number for it.  In a worker, a retry
    has the exchange and routing key that it was first published with, and ``delivered_with`` those of its own delivery.
    Nothing is decoded before :attr:`payload` or :meth:`decode` is asked.
    """

    __slots__ = (
        "_payload",
        "_state",
        "accept",
        "body",
        "channel",
        "content_encoding",
        "content_type",
        "delivery_info",
        "delivery_tag",
        "headers",
        "max_unpacked",
        "properties",
    )

    def __init__(
        self,
        content: Content,
        *,
        channel: Settles | None = None,
        delivery_tag: Any = None,
        delivery_info: dict[str, Any] | None = None,
        accept: frozenset[str] | None = None,
    ) -> None:
        self.body = content.body
        self.content_type = content.content_type
        self.content_encoding = content.content_encoding
        self.headers = content.headers
        self.properties = content.properties
        self.channel = channel
        self.delivery_tag = delivery_tag
        self.delivery_info = delivery_info if delivery_info is not None else {}
        self.accept = accept
        #: bytes that the body may have when it is decompressed
        self.max_unpacked = compression.MAX_SIZE
        self._state = "RECEIVED"
        self._payload: Any = UNDECODED

    @property
    def acknowledged(self) -> bool:
        """True once it is settled, in whatever way."""
        return self._state != "RECEIVED"

    @property
    def settled_as(self) -> str | None:
        """``ACK``, ``REJECTED`` or ``REQUEUED``; None while it is not settled."""
        return None if self._state == "RECEIVED" else self._state

    @property
    def content(self) -> Content:
        """The body and properties as they came, to be published again."""
        return Content(self.body, self.content_type, self.content_encoding, self.headers, self.properties)

    @property
    def payload(self) -> Any:
        """The decoded body; decoded at the first look and kept, falsy or not."""
        if self._payload is UNDECODED:
            self._payload = self.decode()
        return self._payload

    def decode(self) -> Any:
        """Decompress and decode the body.

        Raises :exc:`~kombu_green.exceptions.DecodeError` when it is malformed and
        :exc:`~kombu_green.exceptions.ContentDisallowed` when its type is not accepted here.
        """
        body = self.body
        try:
            method = self.headers.get("compression")
            if method is not None:
                body = compression.decompress(body, method, self.max_unpacked)
            return serialization.decode(body, self.content_type, self.content_encoding, accept=self.accept)
        except DecodeError:
            raise
        except Exception as error:  # a codec that somebody registered may raise anything
            raise DecodeError(f"{self.content_type}: {type(error).__name__}: {error}") from error

    def fingerprint(self) -> tuple[bytes, bytes]:
        """Two pieces that are the same each time this message is delivered, and another's as far as the two differ."""
        headers = {name: self.headers[name] for name in self.headers if name not in COUNTED_BY_BROKERS}
        parts = (
            self.content_type,
            self.content_encoding,
            sorted(headers.items(), key=str),
            sorted(self.properties.items(), key=str),
        )
        return repr(parts).encode("utf-8", "surrogateescape"), bytes(self.body)

    def ack(self, multiple: bool = False) -> None:
        """Tell the broker that it is done; ``multiple`` includes all earlier ones of its channel."""
        self._settle("ACK").basic_ack(self.delivery_tag, multiple)

    def reject(self, requeue: bool = False) -> None:
        """Give it up: to the queue's dead-letter exchange, or nowhere when it has none."""
        self._settle("REQUEUED" if requeue else "REJECTED").basic_reject(self.delivery_tag, requeue)

    def requeue(self) -> None:
        """Give it back: it is the next one of its queue again."""
        self.reject(requeue=True)

    def settle_through(self, channel: Settles) -> None:
        """Let *channel* settle it from now on, whoever delivered it; until that happens it is not settled."""
        self.channel, self._state = channel, "RECEIVED"

    def _settle(self, state: str) -> Settles:
        if self._state != "RECEIVED":
            raise MessageStateError(f"message {self.delivery_tag!r} is settled already: {self._state}")
        if self.channel is None:
            raise MessageStateError("this message was not delivered by a channel")
        self._state = state
        return self.channel

    def __repr__(self) -> str:
        where = self.delivery_info.get("routing_key")
        kind = printable(str(self.content_type))
        return f"<Message {self.delivery_tag!r} {self._state} {kind} {len(self.body)} bytes key={where!r}>"


UNDECODED = object()
