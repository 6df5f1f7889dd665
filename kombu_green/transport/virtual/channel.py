"""A channel over a store: AMQP's verbs, each by a few calls of the storage contract."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final

from kombu_green import routing
from kombu_green.channel import QueueDeclared, refuse_mandatory_delay
from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import (
    ConnectionLost,
    MessageStateError,
    NotFound,
    PreconditionFailed,
    Unroutable,
    UnsupportedOption,
)
from kombu_green.green.timeouts import raise_at
from kombu_green.message import Content, Message
from kombu_green.routing import Binding
from kombu_green.storage.contract import Reserved
from kombu_green.transport.virtual.batches import publish_in_batches
from kombu_green.transport.virtual.death_headers import EXPIRED, REJECTED
from kombu_green.transport.virtual.prefetch import VirtualConsumer
from kombu_green.transport.virtual.queue_arguments import (
    check_consumer_arguments,
    check_delay,
    check_exchange_support,
    check_prefetch,
    check_properties,
    put_for,
)
from kombu_green.transport.virtual.store_connection import StoreConnection
from kombu_green.transport.virtual.unacked import Unacked

__all__ = ["VirtualChannel"]

_NEVER: Final = Deadline.never()
_NO_TIMEOUT: Final = nullcontext()


class VirtualChannel:
    """Delivery tags count up from 1.  When the channel closes, what is not settled is ready again, in its old position.

    *on_close* is called with the channel when it closes.
    """

    def __init__(self, connection: StoreConnection, on_close: Callable[[VirtualChannel], None]) -> None:
        self._connection: Final = connection
        self._store: Final = connection.store
        self._on_close: Final = on_close
        self._consumers: Final = connection.deliveries.add_channel(self._receive)
        self._unacked: Final = Unacked(connection.leases, self._wake)
        self._prefetch = 0
        self._last_queue = ""
        self._open = True

    @property
    def is_open(self) -> bool:
        return self._open and self._store.connected

    # -- exchanges and queues

    def exchange_declare(
        self,
        exchange: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = True,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        if passive:
            if self._store.bindings(exchange).spec is None:
                raise NotFound(f"there is no exchange {exchange!r}")
            return
        spec = ExchangeSpec(exchange, type, durable, auto_delete, dict(arguments or {}))
        check_exchange_support(spec)
        self._store.rebind(spec)

    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None:
        if if_unused and self._store.bindings(exchange).bindings:
            raise PreconditionFailed(f"exchange {exchange!r} has bindings, so it is in use")
        self._store.forget(exchange)

    def exchange_bind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        raise UnsupportedOption(
            f"exchange {destination!r}: this transport routes to queues, not from exchange to exchange"
        )

    exchange_unbind = exchange_bind

    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> QueueDeclared:
        if passive:
            found = self._store.describe(queue)
            if found is None:
                raise NotFound(f"there is no queue {queue!r}")
        else:
            name = queue or f"kombu-green.gen-{uuid.uuid4().hex}"
            spec = QueueSpec(name, durable, exclusive, auto_delete, dict(arguments or {}))
            found = self._connection.declare_queue(spec)
        self._last_queue = found.spec.name
        return QueueDeclared(found.spec.name, found.ready, self._connection.deliveries.consumer_count(found.spec.name))

    def queue_bind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        name = queue or self._last_queue
        if self._store.describe(name) is None:
            raise NotFound(f"there is no queue {name!r} to bind to exchange {exchange!r}")
        spec = self._exchange(exchange)
        binding = Binding(name, routing_key, dict(arguments or {}))
        routing.check(spec.type, binding)
        self._store.rebind(spec, add=[binding])

    def queue_unbind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        name = queue or self._last_queue
        self._store.rebind(self._exchange(exchange), remove=[Binding(name, routing_key, dict(arguments or {}))])

    def _exchange(self, name: str) -> ExchangeSpec:
        spec = self._store.bindings(name).spec
        if spec is None:
            raise NotFound(f"there is no exchange {name!r}: declare it first")
        return spec

    def queue_purge(self, queue: str) -> int:
        return self._store.purge(queue or self._last_queue)

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
        name = queue or self._last_queue
        found = self._store.describe(name)
        if found is None:
            return 0
        if if_unused and self._connection.deliveries.consumer_count(name):
            raise PreconditionFailed(f"queue {name!r} has consumers, so it is in use")
        if if_empty and found.ready:
            raise PreconditionFailed(f"queue {name!r} is not empty: {found.ready} messages are ready")
        self._connection.drop_queue(name)
        return found.ready

    # -- publishing

    def basic_publish(
        self,
        content: Content,
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        delay: float = 0.0,
        deadline: Deadline = _NEVER,
    ) -> None:
        self._check_open()
        if delay:
            check_delay(delay)
            if mandatory:
                refuse_mandatory_delay(exchange)
        if content.properties:
            check_properties(content.properties)
        with _NO_TIMEOUT if deadline.at is None else raise_at(deadline, "publish"):
            queues = self._connection.route(exchange, routing_key, content.headers)
            if queues:
                self._store.put([put_for(spec, content, exchange, routing_key, delay) for spec in queues])
            elif mandatory:
                raise Unroutable(exchange, routing_key)

    def publish_many(
        self,
        contents: Iterable[Content],
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        deadline: Deadline = _NEVER,
    ) -> None:
        self._check_open()
        publish_in_batches(self._put_all, contents, exchange, routing_key, mandatory, deadline)

    def _put_all(
        self, contents: Sequence[Content], exchange: str, routing_key: str, mandatory: bool, deadline: Deadline
    ) -> None:
        """Put all of *contents*, or none."""
        with _NO_TIMEOUT if deadline.at is None else raise_at(deadline, "publish"):
            puts = []
            for content in contents:
                if content.properties:
                    check_properties(content.properties)
                queues = self._connection.route(exchange, routing_key, content.headers)
                if mandatory and not queues:
                    raise Unroutable(exchange, routing_key)
                puts += [put_for(spec, content, exchange, routing_key, 0.0) for spec in queues]
            if puts:
                self._store.put(puts)

    # -- getting and consuming

    def basic_get(self, queue: str, *, no_ack: bool = False) -> Message | None:
        self._check_open()
        name = queue or self._last_queue
        while True:
            taken = self._store.reserve({name: 1}, lease=self._connection.lease)
            if not taken:
                if self._store.describe(name) is None:
                    raise NotFound(f"there is no queue {name!r}")
                return None
            message = self._receive(taken[0], None)
            if message is not None:
                if no_ack:
                    message.ack()
                return message

    def basic_consume(
        self,
        queue: str,
        callback: Callable[[Message], None],
        *,
        consumer_tag: str = "",
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        self._check_open()
        name = queue or self._last_queue
        if exclusive:
            raise UnsupportedOption(f"a consumer of {name!r} cannot keep others out here: leave exclusive out")
        if arguments:
            check_consumer_arguments(name, arguments)
        if self._store.describe(name) is None:
            raise NotFound(f"there is no queue {name!r} to consume from")
        tag = consumer_tag or f"ctag-{uuid.uuid4().hex}"
        if tag in self._consumers.by_tag:
            raise PreconditionFailed(f"there is a consumer {tag!r} on this channel already")
        self._consumers.by_tag[tag] = VirtualConsumer(tag, name, callback, self._prefetch, no_ack)
        self._wake()
        return tag

    def basic_cancel(self, consumer_tag: str) -> None:
        consumer = self._consumers.by_tag.pop(consumer_tag, None)
        if consumer is None:
            return
        consumer.cancelled = True
        self._release_undelivered(consumer)
        found = self._store.describe(consumer.queue)
        in_use = self._connection.deliveries.consumer_count(consumer.queue)
        if found is not None and found.spec.auto_delete and not in_use:
            self.queue_delete(consumer.queue)

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, a_global: bool = False) -> None:
        check_prefetch(prefetch_size, prefetch_count, a_global)
        self._prefetch = prefetch_count

    def flow(self, active: bool) -> None:
        self._consumers.active = active
        self._wake()

    def serve(self, deadline: Deadline) -> None:
        self._check_open()
        self._connection.deliveries.serve(self._consumers, deadline)

    def _receive(self, reserved: Reserved, consumer: VirtualConsumer | None) -> Message | None:
        """The message to hand to *consumer*, unacked until it is settled; None if it has expired.

        An expired message is moved to the dead-letter exchange of its queue, or deleted.
        """
        if reserved.expires is not None and reserved.expires <= time.time():
            self._connection.dead_letter(reserved, EXPIRED)
            return None
        return Message(
            reserved.content,
            channel=self,
            delivery_tag=self._unacked.add(reserved, consumer),
            delivery_info={
                "exchange": reserved.exchange,
                "routing_key": reserved.routing_key,
                "redelivered": reserved.takes > 1,
                "consumer_tag": consumer.tag if consumer else None,
                "takes": reserved.takes,
                "stored_as": reserved.receipt.id,
            },
        )

    def _release_undelivered(self, consumer: VirtualConsumer) -> None:
        """Release what was taken for a consumer that is cancelled, and was not handed to it yet."""
        tags = self._connection.deliveries.withdraw(consumer)
        if tags:
            taken = [delivery for tag in tags for delivery in self._unacked.take(tag)]
            self._unacked.settle(taken, self._store.release)

    def _wake(self) -> None:
        self._connection.deliveries.wake(self._consumers)

    # -- settling

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        _raise_if_lost(self._unacked.settle(self._unacked.take(delivery_tag, multiple), self._store.ack))

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        taken = self._unacked.take(delivery_tag)
        if requeue:
            _raise_if_lost(self._unacked.settle(taken, self._store.release))
            return
        (delivery,) = taken
        try:
            _raise_if_lost(int(delivery.lost))
            self._connection.dead_letter(delivery.reserved, REJECTED)
        except ConnectionLost:
            _raise_if_lost(int(not self._store.connected))
            raise
        finally:
            self._unacked.finish(delivery)

    def confirm_acks(self, deadline: Deadline) -> None:
        """Returns at once: an ack returns only when the store has it."""

    def basic_recover(self, requeue: bool = True) -> None:
        self._unacked.settle(self._unacked.take(0, multiple=True), self._store.release)

    # -- closing

    def close(self) -> None:
        if not self._open:
            return
        self._open = self._consumers.is_open = False
        for consumer in self._consumers.by_tag.values():
            consumer.cancelled = True
        try:
            for consumer in self._consumers.by_tag.values():
                self._release_undelivered(consumer)
            self.basic_recover()
        finally:
            self._on_close(self)
            self._connection.deliveries.remove_channel(self._consumers)

    def _check_open(self) -> None:
        if not self._open:
            raise ConnectionLost("this channel is closed")

    def __repr__(self) -> str:
        state = "open" if self._open else "closed"
        return f"<VirtualChannel {state} consumers={len(self._consumers.by_tag)} held={len(self._unacked)}>"


def _raise_if_lost(count: int) -> None:
    if count:
        raise MessageStateError(
            f"the lease of {count} message{'s' if count > 1 else ''} was lost before: handed out again"
        )
