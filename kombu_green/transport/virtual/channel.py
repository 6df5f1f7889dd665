"""A channel over a store: AMQP's verbs, each a few calls of the storage contract."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, Protocol

from kombu_green import routing
from kombu_green.capabilities import Capabilities
from kombu_green.channel import QueueDeclared
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
from kombu_green.storage.contract import Reserved, Storage
from kombu_green.transport.virtual.arguments import check_exchange, check_queue, put_for
from kombu_green.transport.virtual.deadletters import DeadLetters
from kombu_green.transport.virtual.death import EXPIRED, REJECTED
from kombu_green.transport.virtual.leases import LeaseKeeper
from kombu_green.transport.virtual.ledger import Ledger
from kombu_green.transport.virtual.many import publish_many
from kombu_green.transport.virtual.routes import Routes
from kombu_green.transport.virtual.window import Consumer

__all__ = ["VirtualChannel"]

_NEVER: Final = Deadline.never()
_AT_EASE: Final = nullcontext()


class Home(Protocol):
    """What a channel needs of the connection it belongs to."""

    storage: Storage
    routes: Routes
    leases: LeaseKeeper
    #: queues that go with the connection
    exclusive: set[str]

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def lease(self) -> float: ...

    def serve(self, channel: VirtualChannel, deadline: Deadline) -> None: ...

    def wake(self, channel: VirtualChannel) -> None: ...

    def consumer_count(self, queue: str) -> int: ...

    def discard_inbox(self, channel: VirtualChannel, consumer: Consumer) -> None: ...

    def channel_closed(self, channel: VirtualChannel) -> None: ...


class VirtualChannel:
    """Delivery tags count up from 1; what is not settled when the channel closes goes back to its queue, in front."""

    def __init__(self, transport: Home) -> None:
        self.transport: Final = transport
        self.consumers: dict[str, Consumer] = {}
        self.active = True
        self._storage: Final = transport.storage
        self._prefetch = 0
        self._ledger: Final = Ledger(transport.leases, lambda: transport.wake(self))
        self._dead_letters: Final = DeadLetters(transport.storage, transport.routes)
        self._last_queue = ""
        self._open = True

    @property
    def is_open(self) -> bool:
        return self._open

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
            if self._storage.bindings(exchange).spec is None:
                raise NotFound(f"there is no exchange {exchange!r}")
            return
        spec = ExchangeSpec(exchange, type, durable, auto_delete, dict(arguments or {}))
        check_exchange(spec)
        self._storage.rebind(spec)

    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None:
        if if_unused and self._storage.bindings(exchange).bindings:
            raise PreconditionFailed(f"exchange {exchange!r} has bindings, so it is in use")
        self._storage.forget(exchange)

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
            found = self._storage.describe(queue)
            if found is None:
                raise NotFound(f"there is no queue {queue!r}")
        else:
            name = queue or f"kombu-green.gen-{uuid.uuid4().hex}"
            spec = QueueSpec(name, durable, exclusive, auto_delete, dict(arguments or {}))
            check_queue(spec, self.transport.capabilities)
            found = self._storage.declare(spec)
            self.transport.routes.forget_queue(name)
            if exclusive:
                self.transport.exclusive.add(name)
        self._last_queue = found.spec.name
        return QueueDeclared(found.spec.name, found.ready, self.transport.consumer_count(found.spec.name))

    def queue_bind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        name = queue or self._last_queue
        if self._storage.describe(name) is None:
            raise NotFound(f"there is no queue {name!r} to bind to exchange {exchange!r}")
        spec = self._exchange(exchange)
        binding = Binding(name, routing_key, dict(arguments or {}))
        routing.check(spec.type, binding)
        self._storage.rebind(spec, add=[binding])

    def queue_unbind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        name = queue or self._last_queue
        self._storage.rebind(self._exchange(exchange), remove=[Binding(name, routing_key, dict(arguments or {}))])

    def _exchange(self, name: str) -> ExchangeSpec:
        spec = self._storage.bindings(name).spec
        if spec is None:
            raise NotFound(f"there is no exchange {name!r}: declare it first")
        return spec

    def queue_purge(self, queue: str) -> int:
        return self._storage.purge(queue or self._last_queue)

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
        name = queue or self._last_queue
        found = self._storage.describe(name)
        if found is None:
            return 0
        if if_unused and self.transport.consumer_count(name):
            raise PreconditionFailed(f"queue {name!r} has consumers, so it is in use")
        if if_empty and found.ready:
            raise PreconditionFailed(f"queue {name!r} is not empty: {found.ready} messages are ready")
        self._storage.drop(name)
        self.transport.routes.forget_queue(name)
        self.transport.exclusive.discard(name)
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
        with _AT_EASE if deadline.at is None else raise_at(deadline, "publish"):
            queues = self.transport.routes.route(exchange, routing_key, content.headers)
            if queues:
                self._storage.put([put_for(spec, content, exchange, routing_key, delay) for spec in queues])
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
        publish_many(self._put_all, contents, exchange, routing_key, mandatory, deadline)

    def _put_all(
        self, contents: Sequence[Content], exchange: str, routing_key: str, mandatory: bool, deadline: Deadline
    ) -> None:
        """All or none."""
        with _AT_EASE if deadline.at is None else raise_at(deadline, "publish"):
            puts = []
            for content in contents:
                queues = self.transport.routes.route(exchange, routing_key, content.headers)
                if mandatory and not queues:
                    raise Unroutable(exchange, routing_key)
                puts += [put_for(spec, content, exchange, routing_key, 0.0) for spec in queues]
            if puts:
                self._storage.put(puts)

    # -- getting and consuming

    def basic_get(self, queue: str, *, no_ack: bool = False) -> Message | None:
        self._check_open()
        name = queue or self._last_queue
        while True:
            taken = self._storage.reserve({name: 1}, lease=self.transport.lease)
            if not taken:
                if self._storage.describe(name) is None:
                    raise NotFound(f"there is no queue {name!r}")
                return None
            if not self.buried_if_expired(taken[0]):
                message = self.deliver(taken[0], None)
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
        if self._storage.describe(name) is None:
            raise NotFound(f"there is no queue {name!r} to consume from")
        tag = consumer_tag or f"ctag-{uuid.uuid4().hex}"
        if tag in self.consumers:
            raise PreconditionFailed(f"there is a consumer {tag!r} on this channel already")
        self.consumers[tag] = Consumer(tag, name, callback, self._prefetch, no_ack)
        self.transport.wake(self)
        return tag

    def basic_cancel(self, consumer_tag: str) -> None:
        consumer = self.consumers.pop(consumer_tag, None)
        if consumer is None:
            return
        consumer.cancelled = True
        self.transport.discard_inbox(self, consumer)
        found = self._storage.describe(consumer.queue)
        if found is not None and found.spec.auto_delete and not self.transport.consumer_count(consumer.queue):
            self.queue_delete(consumer.queue)

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, a_global: bool = False) -> None:
        self._prefetch = prefetch_count

    def flow(self, active: bool) -> None:
        self.active = active
        self.transport.wake(self)

    def serve(self, deadline: Deadline) -> None:
        self._check_open()
        self.transport.serve(self, deadline)

    def deliver(self, reserved: Reserved, consumer: Consumer | None) -> Message:
        """The message for what was taken; this channel holds it until it is settled."""
        tag = self._ledger.enter(reserved, consumer)
        return Message(
            reserved.content,
            channel=self,
            delivery_tag=tag,
            delivery_info={
                "exchange": reserved.exchange,
                "routing_key": reserved.routing_key,
                "redelivered": reserved.takes > 1,
                "consumer_tag": consumer.tag if consumer else None,
                "takes": reserved.takes,
                "stored_as": reserved.receipt.id,
            },
        )

    def buried_if_expired(self, reserved: Reserved) -> bool:
        """Whether it had outlived its time; then it is at its queue's dead-letter exchange now, or deleted."""
        if reserved.expires is None or reserved.expires > time.time():
            return False
        self._dead_letters.dead_letter(reserved, EXPIRED)
        return True

    def give_back(self, tags: Sequence[int]) -> None:
        """Release deliveries that nobody has seen."""
        self._ledger.settle([held for tag in tags for held in self._ledger.take(tag)], self._storage.release)

    # -- settling

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        _tell_lost(self._ledger.settle(self._ledger.take(delivery_tag, multiple), self._storage.ack))

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        taken = self._ledger.take(delivery_tag)
        if requeue:
            _tell_lost(self._ledger.settle(taken, self._storage.release))
            return
        (held,) = taken
        try:
            _tell_lost(int(held.lost))
            self._dead_letters.dead_letter(held.reserved, REJECTED)
        finally:
            self._ledger.let_go(held)

    def confirm_acks(self, deadline: Deadline) -> None:
        """Returns at once: an ack returns only when the store has it."""

    def basic_recover(self, requeue: bool = True) -> None:
        self._ledger.settle(self._ledger.take(0, multiple=True), self._storage.release)

    # -- ending

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        for consumer in self.consumers.values():
            consumer.cancelled = True
        try:
            for consumer in self.consumers.values():
                self.transport.discard_inbox(self, consumer)
            self.basic_recover()
        finally:
            self.transport.channel_closed(self)

    def _check_open(self) -> None:
        if not self._open:
            raise ConnectionLost("this channel is closed")

    def __repr__(self) -> str:
        state = "open" if self._open else "closed"
        return f"<VirtualChannel {state} consumers={len(self.consumers)} held={len(self._ledger)}>"


def _tell_lost(count: int) -> None:
    if count:
        raise MessageStateError(
            f"the lease of {count} message{'s' if count > 1 else ''} was lost before: handed out again to somebody else"
        )
