"""A channel of a broker that speaks AMQP: all of its verbs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kombu_green.channel import QueueDeclared
from kombu_green.clock import Deadline
from kombu_green.message import Content
from kombu_green.transport.amqp.connection import AMQPConnection
from kombu_green.transport.amqp.consuming import ConsumingChannel
from kombu_green.transport.amqp.events import Confirmed, Returned
from kombu_green.transport.amqp.publisher import Publisher
from kombu_green.transport.amqp.topology import DIRECT_REPLY, Topology

__all__ = ["AMQPChannel"]

_NEVER: Final = Deadline.never()


class AMQPChannel(ConsumingChannel):
    """Up to two of AMQP's channels, opened when they are needed: one takes and settles, one publishes.

    So a publish that the broker refuses never ends the consumers beside it.  What is declared, bound and deleted goes
    over a third one that all channels of the connection share.
    """

    def __init__(self, connection: AMQPConnection, topology: Topology, *, confirm: bool) -> None:
        super().__init__(connection, topology)
        self._publisher: Final = Publisher(connection, confirm=confirm)

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
        self._check_open()
        self._topology.declare_exchange(
            exchange,
            type,
            passive=passive,
            durable=durable,
            auto_delete=auto_delete,
            arguments=arguments or {},
            deadline=_NEVER,
        )

    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None:
        self._check_open()
        self._topology.delete_exchange(exchange, if_unused, _NEVER)

    def exchange_bind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._check_open()
        self._topology.bind_exchange(destination, source, routing_key, arguments or {}, _NEVER)

    def exchange_unbind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._check_open()
        self._topology.unbind_exchange(destination, source, routing_key, arguments or {}, _NEVER)

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
        self._check_open()
        if passive:
            self._fence_all()
        found = self._topology.declare_queue(
            queue,
            passive=passive,
            durable=durable,
            exclusive=exclusive,
            auto_delete=auto_delete,
            arguments=arguments or {},
            deadline=_NEVER,
        )
        self._last_queue = found.queue
        return found

    def queue_bind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._check_open()
        self._topology.bind_queue(queue or self._last_queue, exchange, routing_key, arguments or {}, _NEVER)

    def queue_unbind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._check_open()
        self._topology.unbind_queue(queue or self._last_queue, exchange, routing_key, arguments or {}, _NEVER)

    def queue_purge(self, queue: str) -> int:
        self._check_open()
        self._fence_all()
        return self._topology.purge_queue(queue or self._last_queue, _NEVER)

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
        self._check_open()
        self._fence_all()
        return self._topology.delete_queue(queue or self._last_queue, if_unused, if_empty, _NEVER)

    def _fence_all(self) -> None:
        """The order between channels is not kept: what was done here must have happened before it is counted."""
        self._publisher.fence(_NEVER)
        self.fence(_NEVER)

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
        if not self.is_open:
            self._check_open()
        if delay > 0:
            raise NotImplementedError
        self._publisher_for(content).publish(content, exchange, routing_key, mandatory, deadline)

    def _publisher_for(self, content: Content) -> Publisher:
        return self._publisher

    # -- ending

    def close(self) -> None:
        super().close()
        self._publisher.close(Deadline.after(self._connection.answer_within))

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<AMQPChannel {state} consumers={len(self._consumers)} of {self._connection.name}>"


_ = DIRECT_REPLY, Confirmed, Returned
