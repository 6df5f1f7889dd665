"""A channel of a broker that speaks AMQP: all of its verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kombu_green.channel import QueueDeclared
from kombu_green.clock import Deadline
from kombu_green.exceptions import NotFound, OperationalError, Unroutable
from kombu_green.message import Content
from kombu_green.transport.amqp.connection import AMQPConnection
from kombu_green.transport.amqp.consuming import ConsumingChannel
from kombu_green.transport.amqp.events import Confirmed, Returned
from kombu_green.transport.amqp.flight import Flight
from kombu_green.transport.amqp.ladder import Ladder
from kombu_green.transport.amqp.publisher import Publisher
from kombu_green.transport.amqp.topology import DIRECT_REPLY, Topology

__all__ = ["AMQPChannel"]

_NEVER: Final = Deadline.never()


class AMQPChannel(ConsumingChannel):
    """Up to two of AMQP's channels, opened when they are needed: one takes and settles, one publishes.

    So a publish that the broker refuses never ends the consumers beside it.  What is declared, bound and deleted goes
    over a third one that all channels of the connection share.
    """

    def __init__(self, connection: AMQPConnection, topology: Topology, ladder: Ladder, *, confirm: bool) -> None:
        super().__init__(connection, topology)
        self._ladder: Final = ladder
        self._confirm: Final = confirm
        self._publisher: Final = Publisher(connection, confirm=confirm)
        self._asking: Publisher | None = None  # with direct replies

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
        self.confirm_acks(_NEVER)

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
            content, exchange = self._delayed(content, exchange, routing_key, delay, mandatory, deadline)
        self._publisher_for(content, deadline).publish(content, exchange, routing_key, mandatory, deadline)

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
        Flight(self._publisher, self._connection.hub, deadline).publish(contents, exchange, routing_key, mandatory)

    def _delayed(
        self, content: Content, exchange: str, routing_key: str, delay: float, mandatory: bool, deadline: Deadline
    ) -> tuple[Content, str]:
        try:
            prepared = self._ladder.prepare(content, exchange, routing_key, delay, deadline)
        except NotFound:
            if exchange:
                raise
            if mandatory:
                raise Unroutable(exchange, routing_key) from None
            return content, exchange  # for no queue, and so nothing that could be delayed
        return prepared.content, prepared.exchange

    def _publisher_for(self, content: Content, deadline: Deadline) -> Publisher:
        if content.properties.get("reply_to") != DIRECT_REPLY:
            return self._publisher
        # RabbitMQ knows whose the replies are by the channel, which must be the one that consumes them
        if self._asking is None:
            asking = Publisher(self._connection, confirm=self._confirm)
            asking.adopt(self._opened(self, deadline), deadline)
            self._asking = asking
        return self._asking

    # -- told by the reader, of what was published on the channel that takes

    @property
    def expects(self) -> bool:
        return self._asking is not None and self._asking.expects

    def confirmed(self, event: Confirmed) -> None:
        if self._asking is not None:
            self._asking.confirmed(event)

    def returned(self, event: Returned) -> None:
        if self._asking is not None:
            self._asking.returned(event)

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        if self._asking is not None:
            self._asking.ended(error, code, text)
        super().ended(error, code, text)

    # -- ending

    def close(self) -> None:
        super().close()
        self._publisher.close(Deadline.after(self._connection.answer_within))

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<AMQPChannel {state} consumers={len(self._consumers)} of {self._connection.name}>"
