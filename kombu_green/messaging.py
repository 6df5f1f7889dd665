"""Producers and consumers: bodies in, bodies out, over any channel.

Also hands on the entities, as kombu 0.9.6's module of this name does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Protocol, Self, cast

from kombu_green import compression as codecs
from kombu_green import serialization
from kombu_green.channel import Channel
from kombu_green.clock import Deadline, deadline_scope
from kombu_green.dispatch.outcome import Failure
from kombu_green.entity import (
    PERSISTENT_DELIVERY_MODE,
    Exchange,
    Queue,
    binding,
    delivery_mode_of,
    entities,
    refuse_immediate,
)
from kombu_green.exceptions import DecodeError, EncodeError, Unroutable, UnsupportedOption
from kombu_green.message import PROPERTIES, Content, Message
from kombu_green.republish import dead_letter
from kombu_green.suggestions import did_you_mean

__all__ = ["Consumer", "Exchange", "Message", "Producer", "Queue", "binding"]

Callback = Callable[[Any, Message], Any]
DecodeErrorHandler = Callable[[Message, Exception], Any]
ReturnHandler = Callable[[Unroutable, str, str, Content], Any]


class HasDefaultChannel(Protocol):
    """What producers and consumers need of a connection."""

    @property
    def default_channel(self) -> Channel: ...


_NAMELESS: Final = Exchange("")
_PUBLISH_KEYWORDS: Final = (
    "compression",
    "content_encoding",
    "content_type",
    "declare",
    "delay",
    "exchange",
    "headers",
    "mandatory",
    "routing_key",
    "serializer",
    "timeout",
)  # what a misspelled keyword may be meant for, besides the properties
_tags = count(1)


class Producer:
    """Publishes to one exchange.

    *channel* is a channel, or a connection, whose default channel is opened at the first use.  Without a *serializer*
    ``str`` and ``bytes`` are sent as they are, and all other bodies as JSON.  When :meth:`publish` returns, the broker
    has the message.
    """

    def __init__(
        self,
        channel: Channel | HasDefaultChannel,
        exchange: Exchange | str | None = None,
        routing_key: str | None = None,
        serializer: str | None = None,
        auto_declare: bool | None = None,
        compression: str | None = None,
        on_return: ReturnHandler | None = None,
    ) -> None:
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange or _NAMELESS
        self.routing_key = routing_key or ""
        self.serializer = serializer
        self.compression = compression
        self.on_return = on_return
        self.auto_declare = True if auto_declare is None else auto_declare
        self._give_back: Callable[[], None] | None = None
        self.revive(channel)

    def revive(self, channel: Channel | HasDefaultChannel) -> None:
        """Go on with another channel or connection, after the old one was lost."""
        if _is_connection(channel):
            self._connection: HasDefaultChannel | None = cast("HasDefaultChannel", channel)
            self._channel: Channel | None = None
        else:
            self._connection = None
            self._open(cast("Channel", channel))

    @property
    def channel(self) -> Channel:
        """The channel; one of a connection is opened, and the exchange declared on it, at the first access."""
        found = self._channel
        if found is None or (self._connection is not None and not found.is_open):
            assert self._connection is not None
            found = self._open(self._connection.default_channel)
        return found

    def _open(self, channel: Channel) -> Channel:
        self._channel = channel
        self.exchange = self.exchange.bind(channel)
        if self.auto_declare:
            self.exchange.declare()
        return channel

    def declare(self) -> None:
        """Declare the exchange; done by itself unless ``auto_declare=False``."""
        self.exchange.bind(self.channel).declare()

    def maybe_declare(self, entity: Exchange | Queue) -> None:
        entity.maybe_bind(self.channel).declare()

    def publish(
        self,
        body: Any,
        routing_key: str | None = None,
        delivery_mode: int | str | None = None,
        mandatory: bool = False,
        immediate: bool = False,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        serializer: str | None = None,
        headers: Mapping[str, Any] | None = None,
        compression: str | None = None,
        exchange: Exchange | str | None = None,
        *,
        declare: Iterable[Exchange | Queue] | None = None,
        expiration: float | None = None,
        delay: float = 0.0,
        timeout: float | None = None,
        **properties: Any,
    ) -> None:
        """Send *body*; return when the broker has it.

        *expiration*: seconds after which it is not delivered any more.  *delay*: seconds before a consumer may see it.
        *timeout*: seconds of wall clock after which ``TimeoutError`` is raised; whether the broker has it is then
        unknown.
        *mandatory*: :exc:`~kombu_green.exceptions.Unroutable` when no queue takes it, or ``on_return`` is called with
        that error, exchange, routing key and content, when there is one.  With a delay that is refused
        (:exc:`~kombu_green.exceptions.UnsupportedOption`) unless the message goes to a queue by its name.
        *properties* are AMQP's (``message_id``,
        ``correlation_id``, ``reply_to``, …).

        Raises ``TypeError`` for a keyword that is no property, and ``ValueError`` for a negative *delay* or
        *expiration*.  kombu's ``retry=`` and ``retry_policy=`` are refused with
        :exc:`~kombu_green.exceptions.UnsupportedOption`: :meth:`Connection.ensure
        <kombu_green.connection.Connection.ensure>` repeats a publish.
        """
        if immediate:
            refuse_immediate(immediate)
        if properties:
            _check_names(properties)
        deadline = _NEVER if timeout is None else Deadline.after(timeout)
        channel = self._ready(declare, deadline)
        target, key = self._target(exchange), self.routing_key if routing_key is None else routing_key
        properties = _properties(properties, delivery_mode, target, priority, expiration)
        content = self._content(body, content_type, content_encoding, serializer, headers, compression, properties)
        try:
            channel.basic_publish(content, target.name, key, mandatory=mandatory, delay=delay, deadline=deadline)
        except Unroutable as returned:
            if self.on_return is None:
                raise
            self.on_return(returned, target.name, key, content)

    def publish_many(
        self,
        bodies: Iterable[Any],
        routing_key: str | None = None,
        delivery_mode: int | str | None = None,
        mandatory: bool = False,
        priority: int | None = None,
        serializer: str | None = None,
        headers: Mapping[str, Any] | None = None,
        compression: str | None = None,
        exchange: Exchange | str | None = None,
        *,
        declare: Iterable[Exchange | Queue] | None = None,
        expiration: float | None = None,
        timeout: float | None = None,
        **properties: Any,
    ) -> None:
        """Send each of *bodies* as :meth:`publish` would, many in flight at a time; return when the broker has all.

        *bodies* is read as they are sent, so it may be long.  If some of them fail,
        :exc:`~kombu_green.exceptions.PartlyPublished` has their errors; the others are published nevertheless.  A body
        that cannot be encoded ends it, after those before it were published.
        """
        if properties:
            _check_names(properties)
        deadline = _NEVER if timeout is None else Deadline.after(timeout)
        channel = self._ready(declare, deadline)
        target, key = self._target(exchange), self.routing_key if routing_key is None else routing_key
        known = _properties(properties, delivery_mode, target, priority, expiration)
        contents = (self._content(body, None, None, serializer, headers, compression, dict(known)) for body in bodies)
        channel.publish_many(contents, target.name, key, mandatory=mandatory, deadline=deadline)

    def _ready(self, declare: Iterable[Exchange | Queue] | None, deadline: Deadline) -> Channel:
        """The channel, with all that is to be declared on it declared."""
        if deadline is _NEVER:
            channel = self.channel
            for entity in declare or ():
                self.maybe_declare(entity)
            return channel
        with deadline_scope(deadline):
            return self._ready(declare, _NEVER)

    def _target(self, exchange: Exchange | str | None) -> Exchange:
        if exchange is None:
            return self.exchange
        return Exchange(exchange) if isinstance(exchange, str) else exchange

    def _content(
        self,
        body: Any,
        content_type: str | None,
        content_encoding: str | None,
        serializer: str | None,
        headers: Mapping[str, Any] | None,
        compression: str | None,
        properties: dict[str, Any],
    ) -> Content:
        if content_type is None:
            content_type, content_encoding, raw = serialization.encode(body, serializer or self.serializer)
        else:
            # a body with a content type is encoded already
            raw, content_encoding = _as_bytes(body, content_type, content_encoding)
        found = dict(headers) if headers else {}
        method = compression or self.compression
        if method:
            raw, found["compression"] = codecs.compress(raw, method)
        return Content(raw, content_type, content_encoding, found, properties)

    def release(self) -> None:
        """Return it to the pool it came from; does nothing if it came from none."""
        if self._give_back is not None:
            self._give_back()

    close = release

    def lent(self, give_back: Callable[[], None]) -> None:
        """Called by a pool: *give_back* ends this loan."""
        self._give_back = give_back

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Producer {self.exchange!r} key={self.routing_key!r}>"


class Consumer:
    """Receives from one or several queues over one channel.

    Callbacks get ``(body, message)``; *on_message*, when given, gets the raw message instead and nothing is decoded.
    A message whose body cannot be decoded, whose type is not in *accept* (by default JSON, plain text and bytes), or
    whose compressed body would have more than *max_unpacked* bytes, goes to *on_decode_error* with the error.  Without
    that it is published to ``<queue>.dead`` with its raw bytes and the reason.
    """

    def __init__(
        self,
        channel: Channel | HasDefaultChannel,
        queues: Queue | Sequence[Queue] = (),
        no_ack: bool | None = None,
        auto_declare: bool | None = None,
        callbacks: Iterable[Callback] | None = None,
        on_decode_error: DecodeErrorHandler | None = None,
        *,
        on_message: Callable[[Message], Any] | None = None,
        accept: Iterable[str] | None = None,
        max_unpacked: int = codecs.MAX_SIZE,
        prefetch_count: int | None = None,
        tag_prefix: str = "",
    ) -> None:
        self.no_ack = no_ack
        self.auto_declare = True if auto_declare is None else auto_declare
        self.callbacks: list[Callback] = list(callbacks or ())
        self.on_decode_error = on_decode_error
        self.on_message = on_message
        self.accept = serialization.prepare_accept_content(accept)
        self.max_unpacked = max_unpacked
        self.prefetch_count = prefetch_count
        self.tag_prefix = tag_prefix
        self._declared: list[Queue] = entities(queues)
        self._active: dict[str, str] = {}  # queue name -> consumer tag
        self.revive(channel)

    def revive(self, channel: Channel | HasDefaultChannel) -> None:
        """Go on with another channel, after the old one was lost; call :meth:`consume` again."""
        self.channel: Channel = (
            cast("HasDefaultChannel", channel).default_channel if _is_connection(channel) else cast("Channel", channel)
        )
        self._active.clear()
        self.queues = [queue.bind(self.channel) for queue in self._declared]
        if self.prefetch_count is not None:
            self.qos(prefetch_count=self.prefetch_count)
        if self.auto_declare:
            self.declare()

    def declare(self) -> None:
        """Declare queues, exchanges and bindings; done by itself unless ``auto_declare=False``."""
        for queue in self.queues:
            queue.declare()

    def register_callback(self, callback: Callback) -> None:
        """Add *callback*; all of them get every message, in the order they were added."""
        self.callbacks.append(callback)

    def add_queue(self, queue: Queue) -> Queue:
        """Take one more queue; :meth:`consume` starts it."""
        bound = queue.bind(self.channel)
        if self.auto_declare:
            bound.declare()
        self._declared.append(queue)
        self.queues.append(bound)
        return bound

    def consume(self, no_ack: bool | None = None) -> None:
        """Start to consume from every queue that is not consumed from yet."""
        wanted = self.no_ack if no_ack is None else no_ack
        for queue in self.queues:
            if queue.name not in self._active:
                tag = f"{self.tag_prefix}{next(_tags)}"
                self._active[queue.name] = queue.consume(tag, self._receive, no_ack=wanted)

    def consuming_from(self, queue: Queue | str) -> bool:
        return (queue.name if isinstance(queue, Queue) else queue) in self._active

    def cancel(self) -> None:
        """Take nothing more.  What was delivered can still be settled."""
        for name in list(self._active):
            self.cancel_by_queue(name)

    close = cancel

    def cancel_by_queue(self, queue: Queue | str) -> None:
        tag = self._active.pop(queue.name if isinstance(queue, Queue) else queue, None)
        if tag is not None:
            self.channel.basic_cancel(tag)

    def purge(self) -> int:
        """Delete what is ready in all its queues; returns how many."""
        return sum(queue.purge() for queue in self.queues)

    def flow(self, active: bool) -> None:
        self.channel.flow(active)

    def qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many unsettled messages each consumer started from now on may hold; 0 is no limit."""
        self.channel.basic_qos(prefetch_size, prefetch_count, apply_global)

    def recover(self, requeue: bool = True) -> None:
        """Give back everything of this channel that is not settled."""
        self.channel.basic_recover(requeue)

    def receive(self, body: Any, message: Message) -> None:
        """Hand one decoded message to the callbacks; subclasses may do something else."""
        if not self.callbacks:
            raise NotImplementedError("this consumer has no callback: register one before messages come")
        for callback in self.callbacks:
            callback(body, message)

    def _receive(self, message: Message) -> None:
        message.accept = self.accept
        message.max_unpacked = self.max_unpacked
        if self.on_message is not None:
            self.on_message(message)
            return
        try:
            body = message.payload
        except DecodeError as error:
            self._undecodable(message, error)
            return
        self.receive(body, message)

    def _undecodable(self, message: Message, error: DecodeError) -> None:
        if self.on_decode_error is not None:
            self.on_decode_error(message, error)
            return
        tag = message.delivery_info.get("consumer_tag")
        queue = next((name for name, known in self._active.items() if known == tag), "")
        dead_letter(self.channel, message, queue, reason="undecodable", failure=Failure.of(error))
        if not message.acknowledged and not self.no_ack:
            message.ack()

    def __enter__(self) -> Self:
        self.consume()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.channel.is_open:
            self.cancel()

    def __repr__(self) -> str:
        return f"<Consumer {', '.join(queue.name for queue in self.queues)}>"


_NEVER: Final = Deadline.never()


def _is_connection(thing: object) -> bool:
    # of the class, as reading the property of an instance would connect
    return hasattr(type(thing), "default_channel")


def _properties(
    given: dict[str, Any],
    delivery_mode: int | str | None,
    target: Exchange,
    priority: int | None,
    expiration: float | None,
) -> dict[str, Any]:
    """*given*, changed in place, with the properties that are arguments of their own."""
    given["delivery_mode"] = delivery_mode_of(delivery_mode) or target.delivery_mode or PERSISTENT_DELIVERY_MODE
    if priority is not None:
        given["priority"] = _checked_priority(priority)
    if expiration is not None:
        if not expiration >= 0:
            raise ValueError(f"expiration={expiration!r}: seconds, and not less than 0")
        given["expiration"] = str(round(expiration * 1000))
    return given


def _check_names(keywords: dict[str, Any]) -> None:
    """Refuse keywords of a publish that are no properties; kombu's ``retry`` and ``retry_policy`` may be off."""
    if PROPERTIES.issuperset(keywords):
        return
    for name in ("retry", "retry_policy"):
        if keywords.pop(name, None):
            raise UnsupportedOption(
                f"publish has no {name}=: Connection.ensure(producer, producer.publish, max_retries=3)(body, …)"
                " connects again and repeats it",
                name,
            )
    for name in keywords:
        if name not in PROPERTIES:
            known = (*PROPERTIES, *_PUBLISH_KEYWORDS)
            raise TypeError(
                f"publish has no argument {name!r}{did_you_mean(name, known)}"
                " (what is neither an argument nor one of AMQP's properties goes into headers=)"
            )


def _checked_priority(priority: int) -> int:
    if not isinstance(priority, int) or not 0 <= priority <= 255:
        raise EncodeError(f"priority {priority!r}: a whole number from 0 to 9 (queues with more levels: to 255)")
    return priority


def _as_bytes(body: Any, content_type: str, content_encoding: str | None) -> tuple[bytes, str]:
    if isinstance(body, str):
        encoding = content_encoding or "utf-8"
        return body.encode(encoding), encoding
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), content_encoding or "binary"
    raise EncodeError(
        f"content_type={content_type!r} says the body is encoded already, but it is {type(body).__name__}"
    )
