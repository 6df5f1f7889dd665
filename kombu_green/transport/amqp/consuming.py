"""The half of a channel that takes: get, consume, settle, recover, and handing over what comes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from gevent.hub import Waiter

from kombu_green.clock import Deadline
from kombu_green.exceptions import (
    ConnectionLost,
    NotFound,
    OperationalError,
    PreconditionFailed,
    ProtocolError,
    UnsupportedOption,
)
from kombu_green.message import Message
from kombu_green.transport.amqp import calls
from kombu_green.transport.amqp.connection import AMQPConnection
from kombu_green.transport.amqp.consumers import Consumer
from kombu_green.transport.amqp.delivery import AMQPMessage
from kombu_green.transport.amqp.errors import again
from kombu_green.transport.amqp.events import Confirmed, Delivery, Got, Method, Returned
from kombu_green.transport.amqp.inbox import Arrival
from kombu_green.transport.amqp.rawchannel import RawChannel
from kombu_green.transport.amqp.settling import SettlingChannel
from kombu_green.transport.amqp.topology import Topology
from kombu_green.transport.amqp.waiting import wait, wake

__all__ = ["ConsumingChannel"]

_NEVER: Final = Deadline.never()


class ConsumingChannel(SettlingChannel):
    """Messages go to the connection's inbox, for ``drain_events``, or straight to the callbacks while it is served."""

    def __init__(self, connection: AMQPConnection, topology: Topology) -> None:
        super().__init__(connection)
        self._topology: Final = topology
        self._consumers: dict[bytes, Consumer] = {}
        self._prefetch = 0
        self._last_queue = ""
        self._flowing = True
        self._recovering = False
        self._served: Waiter[Any] | None = None

    # -- getting and consuming

    def basic_get(self, queue: str, *, no_ack: bool = False) -> Message | None:
        name = queue or self._last_queue
        self._topology.require_queue(name, _NEVER)
        while True:
            answer = self._opened(self, _NEVER).call(calls.get(name, no_ack), _NEVER, None if no_ack else self._got)
            if not isinstance(answer, Got):
                return None
            message = AMQPMessage(answer, self, self._connection.decoder, None)
            if not message.outlived():
                return message
            if not no_ack:
                message.reject()

    def _got(self, answer: Method | Got, wanted: bool) -> None:
        if isinstance(answer, Got) and self._acks is not None:
            self._acks.delivered(answer.delivery_tag)
            if not wanted:
                self.basic_reject(answer.delivery_tag, requeue=True)

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
        name = queue or self._last_queue
        tag = consumer_tag or f"kombu-green-{uuid.uuid4().hex}"
        if tag.encode() in self._consumers:
            # RabbitMQ closes the connection (530)
            raise PreconditionFailed(f"there is a consumer {tag!r} on this channel already")
        self._topology.require_queue(name, _NEVER)
        raw = self._opened(self, _NEVER)
        if self._prefetch_told != self._prefetch:
            raw.call(calls.qos(self._prefetch), _NEVER)
            self._prefetch_told = self._prefetch
        consumer = Consumer(
            tag, name, callback, self, self._connection.decoder, no_ack, exclusive, dict(arguments or {})
        )
        if not self._flowing:
            consumer.resting = True
        self._consumers[tag.encode()] = consumer
        if self._flowing:
            self._begin(raw, consumer)
        return tag

    def _begin(self, raw: RawChannel, consumer: Consumer) -> None:
        try:
            raw.call(consumer.call(), _NEVER)
        except BaseException:
            consumer.cancelled = True
            if raw.is_open:  # it was given up, and the broker may still begin to deliver
                self._connection.later(lambda deadline: self._cancel(raw, consumer, deadline))
            else:
                self._consumers.pop(consumer.tag.encode(), None)
            raise

    def basic_cancel(self, consumer_tag: str) -> None:
        consumer = self._consumers.get(consumer_tag.encode())
        if consumer is None or self._raw is None:
            return
        consumer.cancelled = True
        if consumer.resting:
            self._drop(consumer)
        else:
            self._cancel(self._raw, consumer, _NEVER)
        if self._topology.goes_with_its_consumer(consumer.queue):
            self._topology.forget_queue(consumer.queue)

    def _cancel(self, raw: RawChannel, consumer: Consumer, deadline: Deadline) -> None:
        raw.call(calls.cancel(consumer.tag), deadline, lambda *_: self._drop(consumer))

    def _drop(self, consumer: Consumer) -> None:
        """Nothing more comes for it: give back what nobody has seen."""
        self._consumers.pop(consumer.tag.encode(), None)
        if not consumer.no_ack:  # else the broker has forgotten it, and handing it over late is better than never
            self._give_back(self._connection.inbox.take_out((consumer,)))

    def _give_back(self, arrivals: Iterable[Arrival]) -> None:
        for arrival in arrivals:
            self.basic_reject(arrival.delivery.delivery_tag, requeue=True)

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, a_global: bool = False) -> None:
        if prefetch_size:
            raise UnsupportedOption("RabbitMQ has no prefetch by size, and closes the connection that asks for it")
        if a_global:
            raise UnsupportedOption(
                "a prefetch for all consumers together is refused by quorum queues: each has its own"
            )
        if not 0 <= prefetch_count <= 0xFFFF:
            raise UnsupportedOption(f"a prefetch of {prefetch_count}: AMQP allows 0 to 65535")
        self._prefetch = prefetch_count

    def flow(self, active: bool) -> None:
        """Stop and go: consumers are cancelled, and begin again with the same tags.

        RabbitMQ itself has no such thing: it closes the connection that asks for it (540).
        """
        if active == self._flowing:
            return
        if not active:
            for consumer in self._consumers.values():
                if self._topology.goes_with_its_consumer(consumer.queue):
                    raise UnsupportedOption(
                        f"flow: queue {consumer.queue!r} would be deleted when its consumer stops (auto_delete)"
                    )
        self._flowing = active
        for consumer in list(self._consumers.values()):
            raw = self._opened(self, _NEVER)
            consumer.resting = not active
            if active:
                self._begin(raw, consumer)
            else:
                raw.call(calls.cancel(consumer.tag), _NEVER)

    def serve(self, deadline: Deadline) -> None:
        self._check_open()
        if self._served is not None:
            raise RuntimeError("this channel is served by another greenlet already")
        connection = self._connection
        waiter = self._served = Waiter(connection.hub)
        connection.collected.relaxed += 1
        try:
            for arrival in connection.inbox.take_out(tuple(self._consumers.values())):
                arrival.consumer.hand_over(arrival.delivery)
            connection.outbox.flush_soon()
            error = self._wait_until_ended(waiter, deadline)
        finally:
            self._served = None
            connection.collected.relaxed -= 1
            connection.outbox.flush()
        if error is not None:
            raise error

    def _wait_until_ended(self, waiter: Waiter[Any], deadline: Deadline) -> BaseException | None:
        try:
            ended = wait(waiter, deadline, "serve")
        except TimeoutError:
            return None
        return again(ended) if isinstance(ended, OperationalError) else ended

    def basic_recover(self, requeue: bool = True) -> None:
        if not requeue:
            raise UnsupportedOption(
                "RabbitMQ recovers by putting back in the queue only, and closes the connection else"
            )
        if self._raw is not None:
            self._recovering = True
            self._raw.call(calls.recover(), _NEVER, self._recovered)

    def _recovered(self, *_: object) -> None:
        self._recovering = False
        if self._acks is not None:
            self._acks.forget()
        self._connection.inbox.take_out([each for each in self._consumers.values() if not each.no_ack])

    # -- told by the reader

    @property
    def expects(self) -> bool:
        return False

    def delivered(self, event: Delivery) -> None:
        consumer = self._consumers.get(event.consumer_tag)
        if consumer is None:
            raise ProtocolError(f"a message came for consumer {event.consumer_tag!r}, which there is not")
        if not consumer.no_ack:
            if self._recovering:
                return  # the broker takes it back with all the others
            assert self._acks is not None
            self._acks.delivered(event.delivery_tag)
            if consumer.cancelled:
                self.basic_reject(event.delivery_tag, requeue=True)
                return
        if self._served is None:
            self._connection.inbox.put(Arrival(consumer, event))
            return
        try:
            consumer.hand_over(event)
        except BaseException as error:  # noqa: BLE001  it is raised by serve
            self._wake_server(error)

    def confirmed(self, event: Confirmed) -> None: ...

    def returned(self, event: Returned) -> None: ...

    def cancelled(self, consumer_tag: str) -> None:
        consumer = self._consumers.pop(consumer_tag.encode(), None)
        if consumer is not None:
            self._topology.forget_queue(consumer.queue)
            self._trouble(
                NotFound(
                    f"the broker cancelled the consumer of queue {consumer.queue!r}: it was deleted or its node fails"
                )
            )

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        """The channel and all its deliveries are gone."""
        self._ended = error
        self._acks = None
        self._connection.inbox.take_out(tuple(self._consumers.values()))
        if self._connection.closing:
            self._wake_server(None)
        elif self._consumers or self._served is not None:
            self._trouble(error)
        self._consumers.clear()

    def _trouble(self, error: OperationalError) -> None:
        """Whoever waits for this channel's deliveries must not wait on."""
        if not self._wake_server(error):
            self._connection.inbox.trouble(error)

    def _wake_server(self, error: BaseException | None) -> bool:
        if self._served is None:
            return False
        wake(self._connection.hub, self._served, error)
        return True

    # -- ending

    def close(self) -> None:
        """Give back what is unsettled; closing twice does nothing."""
        raw, self._raw = self._raw, None
        if self._ended is None:
            self._ended = ConnectionLost("this channel is closed")
        self._wake_server(None)
        self._connection.inbox.take_out(tuple(self._consumers.values()))
        self._consumers.clear()
        if raw is not None:
            raw.close(Deadline.after(self._connection.answer_within))
        self._acks = None
