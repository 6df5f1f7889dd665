"""Exchanges, queues and bindings: declarations that become operations once they are bound to a channel.

Calling an entity with a channel gives a bound copy and leaves the original as it is::

    video = Queue("video", Exchange("media"), routing_key="video")
    video(channel).declare()
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any, Self

from kombu_green.channel import Channel
from kombu_green.exceptions import NotBoundError, UnsupportedOption
from kombu_green.message import Content, Message

__all__ = ["PERSISTENT_DELIVERY_MODE", "TRANSIENT_DELIVERY_MODE", "Entity", "Exchange", "Queue", "binding"]

TRANSIENT_DELIVERY_MODE = 1
PERSISTENT_DELIVERY_MODE = 2

DELIVERY_MODES = {"transient": TRANSIENT_DELIVERY_MODE, "persistent": PERSISTENT_DELIVERY_MODE}


class Entity:
    """What exchanges and queues share: binding, equality by declaration, pickling without the channel."""

    _channel: Channel | None = None
    #: the attributes that make up the declaration, in order
    fields: tuple[str, ...] = ()

    def __call__(self, channel: Channel) -> Self:
        """A copy of this declaration, bound to *channel*."""
        return self.bind(channel)

    def bind(self, channel: Channel) -> Self:
        bound = copy(self)
        bound._channel = channel
        bound.when_bound()
        return bound

    def maybe_bind(self, channel: Channel | None) -> Self:
        """Bind when there is a channel and it is not bound yet; else the entity as it is."""
        return self.bind(channel) if channel is not None and self._channel is None else self

    def when_bound(self) -> None:
        """Called on the new copy each time an entity is bound; a hook for subclasses."""

    @property
    def is_bound(self) -> bool:
        return self._channel is not None

    @property
    def channel(self) -> Channel:
        """The channel it is bound to; :exc:`NotBoundError` when it is not."""
        return self._bound("channel")

    def _bound(self, operation: str) -> Channel:
        if self._channel is None:
            raise NotBoundError(
                f"{type(self).__name__}.{operation} needs a channel: bind {self!r} first, by calling it with one"
            )
        return self._channel

    def as_dict(self) -> dict[str, Any]:
        """The declaration as plain values; ``from_dict`` reads it."""
        return {
            name: value.as_dict() if isinstance(value := getattr(self, name), Entity) else value for name in self.fields
        }

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state.pop("_channel", None)
        return state

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.fields)

    def __hash__(self) -> int:
        return hash((type(self), getattr(self, "name", None)))

    def __repr__(self) -> str:
        shown = " ".join(f"{name}={getattr(self, name)!r}" for name in self.fields[:3])
        return f"<{'' if self._channel is None else 'bound '}{type(self).__name__} {shown}>"


class Exchange(Entity):
    """Where messages are published to.

    *type* is direct (the default), fanout, topic or headers.  *delivery_mode* 2 (or ``"persistent"``) keeps messages
    over a broker's restart, 1 (``"transient"``) does not.  ``name=""`` is the nameless exchange, which routes to the
    queue named by the routing key and is never declared.
    """

    fields = ("name", "type", "durable", "auto_delete", "delivery_mode", "arguments", "no_declare", "passive")

    def __init__(
        self,
        name: str = "",
        type: str = "",
        channel: Channel | None = None,
        *,
        durable: bool = True,
        auto_delete: bool = False,
        delivery_mode: int | str | None = None,
        arguments: Mapping[str, Any] | None = None,
        no_declare: bool = False,
        passive: bool = False,
    ) -> None:
        self.name = name
        self.type = type or "direct"
        self.durable = durable
        self.auto_delete = auto_delete
        self.delivery_mode = delivery_mode_of(delivery_mode)
        self.arguments = dict(arguments or {})
        self.no_declare = no_declare
        self.passive = passive
        self._channel = channel

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(**values)

    def declare(self, passive: bool | None = None) -> None:
        """Create it, or compare it with what is there.  The nameless one and ``no_declare`` ones are left alone."""
        channel = self._bound("declare")
        if self.name and not self.no_declare:
            channel.exchange_declare(
                self.name,
                self.type,
                passive=self.passive if passive is None else passive,
                durable=self.durable,
                auto_delete=self.auto_delete,
                arguments=self.arguments,
            )

    def Message(
        self,
        body: bytes | str,
        delivery_mode: int | str | None = None,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        properties: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Content:
        """A content to be published here: *body* as it is, in bytes (a string becomes UTF-8)."""
        found = dict(properties or {})
        found["delivery_mode"] = delivery_mode_of(delivery_mode) or self.delivery_mode or PERSISTENT_DELIVERY_MODE
        if priority is not None:
            found["priority"] = priority
        raw = body.encode() if isinstance(body, str) else body
        return Content(raw, content_type, content_encoding, dict(headers or {}), found)

    def publish(
        self, message: Content, routing_key: str = "", mandatory: bool = False, immediate: bool = False
    ) -> None:
        refuse_immediate(immediate)
        self._bound("publish").basic_publish(message, self.name, routing_key, mandatory=mandatory)

    def bind_to(
        self, exchange: Exchange | str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Have what *exchange* routes by this key and these arguments; not every transport can."""
        self._bound("bind_to").exchange_bind(self.name, _name_of(exchange), routing_key, dict(arguments or {}))

    def unbind_from(
        self, exchange: Exchange | str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._bound("unbind_from").exchange_unbind(self.name, _name_of(exchange), routing_key, dict(arguments or {}))

    def delete(self, if_unused: bool = False) -> None:
        self._bound("delete").exchange_delete(self.name, if_unused=if_unused)

    def __str__(self) -> str:
        return f"Exchange {self.name or '(nameless)'}({self.type})"


class binding:
    """One more way into a queue: an exchange, a routing key, and arguments for headers exchanges."""

    def __init__(
        self,
        exchange: Exchange | None = None,
        routing_key: str = "",
        arguments: Mapping[str, Any] | None = None,
        unbind_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.exchange = exchange
        self.routing_key = routing_key
        self.arguments = dict(arguments or {})
        self.unbind_arguments = dict(unbind_arguments or arguments or {})

    def declare(self, channel: Channel) -> None:
        """Declare its exchange."""
        if self.exchange is not None:
            self.exchange(channel).declare()

    def bind(self, queue: Queue) -> None:
        if self.exchange is not None and self.exchange.name:
            queue.channel.queue_bind(queue.name, self.exchange.name, self.routing_key, self.arguments)

    def unbind(self, queue: Queue) -> None:
        if self.exchange is not None and self.exchange.name:
            queue.channel.queue_unbind(queue.name, self.exchange.name, self.routing_key, self.unbind_arguments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, binding) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.exchange, self.routing_key))

    def __repr__(self) -> str:
        return f"<binding {self.exchange and self.exchange.name!r} -> {self.routing_key!r}>"


class Queue(Entity):
    """Where messages wait, and how they get there.

    *exclusive* queues belong to their connection and go with it, so they imply *auto_delete*.  Times (*expires*,
    *message_ttl*) are seconds.  ``key=`` is accepted for programs written after kombu 0.9.6's overview, which never
    read it; use *routing_key*.
    """

    fields = (
        "name",
        "exchange",
        "routing_key",
        "durable",
        "exclusive",
        "auto_delete",
        "queue_arguments",
        "binding_arguments",
        "consumer_arguments",
        "bindings",
        "no_ack",
        "alias",
        "no_declare",
    )

    def __init__(
        self,
        name: str = "",
        exchange: Exchange | str | None = None,
        routing_key: str = "",
        channel: Channel | None = None,
        bindings: Iterable[binding] | None = None,
        on_declared: Callable[..., Any] | None = None,
        *,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        no_ack: bool = False,
        alias: str | None = None,
        no_declare: bool = False,
        expires: float | None = None,
        message_ttl: float | None = None,
        max_length: int | None = None,
        max_length_bytes: int | None = None,
        max_priority: int | None = None,
        queue_arguments: Mapping[str, Any] | None = None,
        binding_arguments: Mapping[str, Any] | None = None,
        consumer_arguments: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> None:
        if key is not None:
            warnings.warn(
                f"Queue({name!r}, key=…) is ignored, as it always was: write routing_key=",
                DeprecationWarning,
                stacklevel=2,
            )
        self.name = name
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange
        self.routing_key = routing_key
        self.bindings = list(bindings or ())
        self.on_declared = on_declared
        self.durable = durable
        self.exclusive = exclusive
        self.auto_delete = auto_delete or exclusive
        self.no_ack = no_ack
        self.alias = alias
        self.no_declare = no_declare
        self.queue_arguments = {
            **_limits(expires, message_ttl, max_length, max_length_bytes, max_priority),
            **(queue_arguments or {}),
        }
        self.binding_arguments = dict(binding_arguments or {})
        self.consumer_arguments = dict(consumer_arguments or {})
        self._channel = channel
        if channel is not None:
            self.when_bound()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        found = dict(values)
        if isinstance(found.get("exchange"), Mapping):
            found["exchange"] = Exchange.from_dict(found["exchange"])
        return cls(**found)

    def when_bound(self) -> None:
        if self.exchange is not None and self._channel is not None:
            self.exchange = self.exchange(self._channel)

    def declare(self) -> str:
        """Declare the exchanges, the queue, and bind them; returns the queue's name, which the broker may have made."""
        channel = self._bound("declare")
        if self.no_declare:
            return self.name
        if self.exchange is not None:
            self.exchange.declare()
        for extra in self.bindings:
            extra.declare(channel)
        self.queue_declare()
        self.queue_bind()
        return self.name

    def queue_declare(self, passive: bool = False) -> tuple[str, int, int]:
        """Only the queue itself; returns its name, the messages ready in it and its consumers."""
        declared = self._bound("queue_declare").queue_declare(
            self.name,
            passive=passive,
            durable=self.durable,
            exclusive=self.exclusive,
            auto_delete=self.auto_delete,
            arguments=self.queue_arguments,
        )
        self.name = declared.queue
        if self.on_declared is not None:
            self.on_declared(*declared)
        return declared

    def queue_bind(self) -> None:
        channel = self._bound("queue_bind")
        if self.exchange is not None and self.exchange.name:
            channel.queue_bind(self.name, self.exchange.name, self.routing_key, self.binding_arguments)
        for extra in self.bindings:
            extra.bind(self)

    def bind_to(
        self, exchange: Exchange | str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        name = exchange.name if isinstance(exchange, Exchange) else exchange
        self._bound("bind_to").queue_bind(self.name, name, routing_key, arguments)

    def unbind_from(
        self, exchange: Exchange | str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        name = exchange.name if isinstance(exchange, Exchange) else exchange
        self._bound("unbind_from").queue_unbind(self.name, name, routing_key, arguments)

    def unbind(self) -> None:
        channel = self._bound("unbind")
        if self.exchange is not None and self.exchange.name:
            channel.queue_unbind(self.name, self.exchange.name, self.routing_key, self.binding_arguments)
        for extra in self.bindings:
            extra.unbind(self)

    def get(self, no_ack: bool | None = None, accept: frozenset[str] | None = None) -> Message | None:
        """The next message if there is one now; to be settled unless *no_ack*."""
        channel = self._bound("get")
        message = channel.basic_get(self.name, no_ack=self.no_ack if no_ack is None else no_ack)
        if message is not None and accept is not None:
            message.accept = accept
        return message

    def purge(self) -> int:
        """Delete what is ready; returns how many."""
        return self._bound("purge").queue_purge(self.name)

    def consume(
        self, consumer_tag: str = "", callback: Callable[[Message], None] | None = None, no_ack: bool | None = None
    ) -> str:
        """Start a consumer that hands raw messages to *callback*; returns its tag."""
        channel = self._bound("consume")
        if callback is None:
            raise TypeError(f"{self!r}: consume needs a callback")
        return channel.basic_consume(
            self.name,
            callback,
            consumer_tag=consumer_tag,
            no_ack=self.no_ack if no_ack is None else no_ack,
            arguments=self.consumer_arguments,
        )

    def cancel(self, consumer_tag: str) -> None:
        self._bound("cancel").basic_cancel(consumer_tag)

    def delete(self, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete it with its messages; returns how many were ready."""
        return self._bound("delete").queue_delete(self.name, if_unused=if_unused, if_empty=if_empty)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        # an exchange is bound along with its queue
        if self.exchange is not None and self.exchange.is_bound:
            state["exchange"] = unbound = copy(self.exchange)
            unbound._channel = None
        return state


def _name_of(exchange: Exchange | str) -> str:
    return exchange if isinstance(exchange, str) else exchange.name


def delivery_mode_of(value: int | str | None) -> int | None:
    """1 or 2 for a delivery mode by number or name; None stays None."""
    if isinstance(value, str):
        try:
            return DELIVERY_MODES[value]
        except KeyError:
            raise ValueError(f"delivery mode {value!r}: write transient (1) or persistent (2)") from None
    return value


def refuse_immediate(immediate: bool) -> None:
    """AMQP's ``immediate`` flag: RabbitMQ answers it by closing the connection, so it is refused here."""
    if immediate:
        raise UnsupportedOption("immediate is not supported: RabbitMQ closes the connection that sends it")


def _limits(
    expires: float | None,
    message_ttl: float | None,
    max_length: int | None,
    max_length_bytes: int | None,
    max_priority: int | None,
) -> dict[str, int]:
    """RabbitMQ's queue arguments; seconds become its milliseconds."""
    wanted = {
        "x-expires": None if expires is None else round(expires * 1000),
        "x-message-ttl": None if message_ttl is None else round(message_ttl * 1000),
        "x-max-length": max_length,
        "x-max-length-bytes": max_length_bytes,
        "x-max-priority": max_priority,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def entities(queues: Queue | Sequence[Queue]) -> list[Queue]:
    """One queue or several, as a new list."""
    return [queues] if isinstance(queues, Queue) else list(queues)
