"""A channel of this library over AMQP: declares, publishes, and by its base class consumes and acks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kombu_green.channel import QueueDeclared, refuse_mandatory_delay
from kombu_green.clock import Deadline
from kombu_green.exceptions import NotFound, OperationalError, Unroutable
from kombu_green.message import Content
from kombu_green.transport.amqp.channel.consumption import ConsumingChannel
from kombu_green.transport.amqp.channel.declarations import DIRECT_REPLY, Declarations
from kombu_green.transport.amqp.channel.delivery import DeliveryDecoder
from kombu_green.transport.amqp.channel.publisher import Publisher, PublishWindow
from kombu_green.transport.amqp.delay_ladder import DelayLadder
from kombu_green.transport.amqp.protocol.parser import Confirmed, Oversized, Returned
from kombu_green.transport.amqp.protocol.properties import PropertyPacker
from kombu_green.transport.amqp.socket.connection import AMQPConnection

__all__ = ["AMQPChannel", "AMQPSession"]

_NEVER: Final = Deadline.never()


@dataclass(frozen=True, slots=True)
class AMQPSession:
    """One connection, and what its channels share."""

    connection: AMQPConnection
    declarations: Declarations
    ladder: DelayLadder
    packer: PropertyPacker
    decoder: DeliveryDecoder
    confirm: bool  # whether publishes wait for the broker's confirm


class AMQPChannel(ConsumingChannel):
    """Uses up to three channels of the AMQP protocol, opened when they are needed.

    One consumes and acks (the base class), one publishes (:class:`.publisher.Publisher`), and one that all channels of
    the connection share declares, binds and deletes (:class:`.declarations.Declarations`).  The broker closes a channel
    on which it refuses something, so a refused publish or declare does not end the consumers.
    """

    def __init__(self, session: AMQPSession) -> None:
        super().__init__(session.connection, session.declarations, session.decoder)
        self._ladder: Final = session.ladder
        self._packer: Final = session.packer
        self._confirm: Final = session.confirm
        self._publisher: Final = Publisher(session.connection, session.packer, confirm=session.confirm)
        self._requests: Publisher | None = None  # publishes requests with direct replies, over the consuming channel

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
        self._declarations.declare_exchange(
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
        self._declarations.delete_exchange(exchange, if_unused, _NEVER)

    def exchange_bind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._check_open()
        self._declarations.bind_exchange(destination, source, routing_key, arguments or {}, _NEVER)

    def exchange_unbind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._check_open()
        self._declarations.unbind_exchange(destination, source, routing_key, arguments or {}, _NEVER)

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
            self._wait_until_processed()
        found = self._declarations.declare_queue(
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
        self._declarations.bind_queue(queue or self._last_queue, exchange, routing_key, arguments or {}, _NEVER)

    def queue_unbind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._check_open()
        self._declarations.unbind_queue(queue or self._last_queue, exchange, routing_key, arguments or {}, _NEVER)

    def queue_purge(self, queue: str) -> int:
        self._check_open()
        self._wait_until_processed()
        return self._declarations.purge_queue(queue or self._last_queue, _NEVER)

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
        self._check_open()
        self._wait_until_processed()
        return self._declarations.delete_queue(queue or self._last_queue, if_unused, if_empty, _NEVER)

    def _wait_until_processed(self) -> None:
        """Return when the broker has processed the publishes and acks of this channel.

        To be called before messages are counted or deleted over another AMQP channel: the broker keeps no order
        between channels.
        """
        self._publisher.wait_until_processed(_NEVER)
        self.confirm_acks(_NEVER)

    # -- publish

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
        if delay:
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
        PublishWindow(self._publisher, self._connection, deadline).publish(contents, exchange, routing_key, mandatory)

    def _delayed(
        self, content: Content, exchange: str, routing_key: str, delay: float, mandatory: bool, deadline: Deadline
    ) -> tuple[Content, str]:
        if not delay > 0:
            raise ValueError(f"delay={delay!r}: seconds, and not less than 0")
        if mandatory:
            refuse_mandatory_delay(exchange)
        try:
            prepared = self._ladder.prepare(content, exchange, routing_key, delay, deadline)
        except NotFound:
            if exchange:
                raise
            if mandatory:
                raise Unroutable(exchange, routing_key) from None
            return content, exchange  # there is no queue: publish it undelayed, and the broker drops it
        return prepared.content, prepared.exchange

    def _publisher_for(self, content: Content, deadline: Deadline) -> Publisher:
        if content.properties.get("reply_to") != DIRECT_REPLY:
            return self._publisher
        # RabbitMQ sends a direct reply over the channel of the request, which must therefore be the consuming one
        if self._requests is None:
            requests = Publisher(self._connection, self._packer, confirm=self._confirm)
            requests.use(self._opened(deadline), deadline)
            self._requests = requests
        return self._requests

    # -- events of the consuming AMQP channel, called by the reader

    @property
    def awaits_confirms(self) -> bool:
        return self._requests is not None and self._requests.awaits_confirms

    def check_confirms(self, elapsed: float) -> None:
        if self._requests is not None:
            self._requests.check_confirms(elapsed)

    def confirmed(self, event: Confirmed) -> None:
        if self._requests is not None:
            self._requests.confirmed(event)

    def returned(self, event: Returned) -> None:
        if self._requests is not None:
            self._requests.returned(event)

    def oversized(self, event: Oversized) -> None:
        if isinstance(event.content, Returned):
            if self._requests is not None:
                self._requests.oversized(event)
        else:
            super().oversized(event)

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        if self._requests is not None:
            self._requests.ended(error, code, text)
        super().ended(error, code, text)

    # -- closing

    def close(self) -> None:
        try:
            super().close()
        finally:
            deadline = Deadline.after(self._connection.answer_within)
            if self._requests is not None:
                self._requests.close(deadline)
            self._publisher.close(deadline)

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<AMQPChannel {state} consumers={len(self._consumers)} of {self._connection.name}>"
