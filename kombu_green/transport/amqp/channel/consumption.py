"""The consuming side of a channel: get, consume, ack, reject, recover, and handing deliveries to callbacks."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from gevent.hub import Waiter
from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import (
    ConnectionLost,
    MessageStateError,
    NotFound,
    OperationalError,
    PreconditionFailed,
    ProtocolError,
    UnsupportedOption,
)
from kombu_green.message import Message
from kombu_green.transport.amqp.channel.declarations import Declarations
from kombu_green.transport.amqp.channel.delivery import AMQPConsumer, AMQPMessage, DeliveryDecoder
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.acks import ConsumerAcks
from kombu_green.transport.amqp.protocol.errors import copy_error
from kombu_green.transport.amqp.protocol.parser import Confirmed, Delivery, GetOk, Oversized, Returned, read_route
from kombu_green.transport.amqp.socket.connection import AMQPConnection
from kombu_green.transport.amqp.socket.inbox import Arrival
from kombu_green.transport.amqp.socket.waiters import wait, wake
from kombu_green.transport.amqp.socket.wire_channel import Answer, WireChannel

__all__ = ["ConsumingChannel"]

log = logging.getLogger(__name__)

_NEVER: Final = Deadline.never()


class ConsumingChannel:
    """Consumes over one AMQP channel, which is opened when it is needed first.

    Deliveries go to the connection's inbox, for ``drain_events``, or straight to the callbacks while a greenlet is in
    :meth:`serve`.  A message can be acked or rejected as long as the AMQP channel that delivered it is open.  After
    that the broker has requeued it: acking it raises :exc:`MessageStateError`, and nothing is sent.
    """

    def __init__(self, connection: AMQPConnection, declarations: Declarations, decoder: DeliveryDecoder) -> None:
        self._connection: Final = connection
        self._declarations: Final = declarations
        self._decoder: Final = decoder
        self._opening: Final = BoundedSemaphore()
        self._wire: WireChannel | None = None
        self._ended: OperationalError | None = None
        self._consumers: dict[bytes, AMQPConsumer] = {}  # by tag
        self._last_queue = ""
        self._prefetch = 0
        self._prefetch_sent = 0
        self._flowing = True
        self._recovering = False
        self._served: Waiter[Any] | None = None  # while a greenlet is in serve
        self._acks: ConsumerAcks | None = None  # None: no AMQP channel is open
        self._acks_made = 0
        self._acks_confirmed = 0

    # -- the AMQP channel

    @property
    def is_open(self) -> bool:
        return self._ended is None and self._connection.is_open

    def _check_open(self) -> None:
        if self._ended is not None:
            raise copy_error(self._ended)
        self._connection.check()

    def _opened(self, deadline: Deadline) -> WireChannel:
        """The AMQP channel, opened at the first call."""
        self._check_open()
        if self._wire is None:
            if not self._opening.acquire(timeout=deadline.remaining()):
                raise TimeoutError("opening a channel: the deadline passed")
            try:
                if self._wire is None:
                    wire = self._connection.open_channel(self, deadline)
                    if self._ended is not None:  # closed meanwhile
                        wire.close(deadline)
                        self._check_open()
                    self._acks = ConsumerAcks(wire.number)
                    self._wire = wire
            finally:
                self._opening.release()
        return self._wire

    # -- get and consume

    def basic_get(self, queue: str, *, no_ack: bool = False) -> Message | None:
        name = queue or self._last_queue
        self._declarations.require_queue(name, _NEVER)
        while True:
            answer = self._opened(_NEVER).call(rpc.get(name, no_ack), _NEVER, None if no_ack else self._received_get_ok)
            if isinstance(answer, Oversized):
                _log_oversized(name, answer, no_ack=no_ack)
                continue
            if not isinstance(answer, GetOk):
                return None
            message = AMQPMessage(answer, self, self._decoder, None)
            if not message.expired_in_delay():
                return message
            if not no_ack:
                message.reject()

    def _received_get_ok(self, answer: Answer, wanted: bool) -> None:
        found = answer.content if isinstance(answer, Oversized) else answer
        if isinstance(found, GetOk) and self._acks is not None:
            self._acks.delivered(found.delivery_tag)
            if not wanted:
                self.basic_reject(found.delivery_tag, requeue=True)
            elif found is not answer:
                self.basic_reject(found.delivery_tag)

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
            # RabbitMQ would close the connection (530)
            raise PreconditionFailed(f"there is a consumer {tag!r} on this channel already")
        self._declarations.require_queue(name, _NEVER)
        wire = self._opened(_NEVER)
        if self._prefetch_sent != self._prefetch:
            wire.call(rpc.qos(self._prefetch), _NEVER)
            self._prefetch_sent = self._prefetch
        consumer = AMQPConsumer(tag, name, callback, self, self._decoder, no_ack, exclusive, dict(arguments or {}))
        if not self._flowing:
            consumer.paused = True
        self._consumers[tag.encode()] = consumer
        if self._flowing:
            self._start(wire, consumer)
        return tag

    def _start(self, wire: WireChannel, consumer: AMQPConsumer) -> None:
        try:
            wire.call(consumer.consume_call(), _NEVER)
        except BaseException:
            consumer.cancelled = True
            if wire.is_open:  # the caller has given up, and the broker may still start the consumer
                self._connection.call_later(lambda deadline: self._cancel(wire, consumer, deadline))
            else:
                self._consumers.pop(consumer.tag.encode(), None)
            raise

    def basic_cancel(self, consumer_tag: str) -> None:
        consumer = self._consumers.get(consumer_tag.encode())
        if consumer is None or self._wire is None:
            return
        consumer.cancelled = True
        if consumer.paused:
            self._drop(consumer)
        else:
            self._cancel(self._wire, consumer, _NEVER)
        if self._declarations.deleted_with_last_consumer(consumer.queue):
            self._declarations.forget_queue(consumer.queue)

    def _cancel(self, wire: WireChannel, consumer: AMQPConsumer, deadline: Deadline) -> None:
        wire.call(rpc.cancel(consumer.tag), deadline, lambda *_: self._drop(consumer))

    def _drop(self, consumer: AMQPConsumer) -> None:
        """No more deliveries will arrive for *consumer*: requeue those that were not handed over."""
        self._consumers.pop(consumer.tag.encode(), None)
        if not consumer.no_ack:  # else the broker has deleted them, and drain_events still hands them over
            self._requeue(self._connection.inbox.take_out((consumer,)))

    def _requeue(self, arrivals: Iterable[Arrival]) -> None:
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
        """Pause all consumers: they are cancelled, and later started again with the same tags.

        AMQP's channel.flow is not used: RabbitMQ closes a connection that sends it (540).
        """
        if active == self._flowing:
            return
        if not active:
            for consumer in self._consumers.values():
                if self._declarations.deleted_with_last_consumer(consumer.queue):
                    raise UnsupportedOption(
                        f"flow: queue {consumer.queue!r} would be deleted when its consumer stops (auto_delete)"
                    )
        self._flowing = active
        for consumer in list(self._consumers.values()):
            wire = self._opened(_NEVER)
            consumer.paused = not active
            if active:
                self._start(wire, consumer)
            else:
                wire.call(rpc.cancel(consumer.tag), _NEVER)

    def serve(self, deadline: Deadline) -> None:
        self._check_open()
        if self._served is not None:
            raise RuntimeError("this channel is served by another greenlet already")
        connection = self._connection
        waiter = self._served = Waiter(connection.hub)
        connection.batch.deferring += 1
        try:
            for arrival in connection.inbox.take_out(tuple(self._consumers.values())):
                arrival.consumer.hand_over(arrival.delivery)
            connection.outbox.flush_soon()
            error = self._wait_until_ended(waiter, deadline)
        finally:
            self._served = None
            connection.batch.deferring -= 1
            connection.outbox.flush()
        if error is not None:
            raise error

    def _wait_until_ended(self, waiter: Waiter[Any], deadline: Deadline) -> BaseException | None:
        try:
            ended = wait(waiter, deadline, "serve")
        except TimeoutError:
            return None
        return copy_error(ended) if isinstance(ended, OperationalError) else ended

    def basic_recover(self, requeue: bool = True) -> None:
        if not requeue:
            raise UnsupportedOption(
                "RabbitMQ recovers by putting back in the queue only, and closes the connection else"
            )
        if self._wire is not None:
            self._recovering = True
            self._wire.call(rpc.recover(), _NEVER, self._recovered)

    def _recovered(self, *_: object) -> None:
        self._recovering = False
        if self._acks is not None:
            self._acks.forget()
        self._connection.inbox.take_out([each for each in self._consumers.values() if not each.no_ack])

    # -- acks and rejects

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        if self._connection.in_other_thread:
            self._from_other_thread(self.basic_ack, delivery_tag, multiple)
            return
        acks = self._acks
        if acks is None:
            raise self._ended_error(delivery_tag)
        pending = acks.pending
        acks.ack(delivery_tag, multiple)
        self._send_acks(acks, pending)

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        if self._connection.in_other_thread:
            self._from_other_thread(self.basic_reject, delivery_tag, requeue)
            return
        acks = self._acks
        if acks is None:
            raise self._ended_error(delivery_tag)
        pending = acks.pending
        acks.reject(delivery_tag, requeue)
        self._send_acks(acks, pending)

    def _from_other_thread(self, settle: Callable[[int, bool], None], tag: int, flag: bool) -> None:
        """Ack or reject for an offloaded callback: a moment later, in the connection's own thread."""

        def settle_here() -> None:
            try:
                settle(tag, flag)
            except MessageStateError as error:
                log.warning("an ack or reject from another thread failed: %s", error)

        self._connection.hub.loop.run_callback_threadsafe(settle_here)

    def _send_acks(self, acks: ConsumerAcks, pending_before: int) -> None:
        self._acks_made += 1
        if not pending_before:
            self._connection.batch.add_acks(acks)
        self._connection.write_unanswered()

    def _ended_error(self, tag: object) -> MessageStateError:
        why = f": {self._ended}" if self._ended is not None else ""
        return MessageStateError(f"delivery {tag!r} is the broker's again, as its channel has ended{why}")

    def confirm_acks(self, deadline: Deadline) -> None:
        """Return when the broker has dealt with every ack and reject that was made on this channel so far.

        AMQP has no answer to an ack.  But the broker handles the methods of a channel in order, so the answer to any
        later call means that it has the acks before.
        """
        made = self._acks_made
        if made > self._acks_confirmed and self._wire is not None:
            self._wire.call(rpc.qos(self._prefetch_sent), deadline)
            self._acks_confirmed = max(self._acks_confirmed, made)

    # -- events, called by the reader

    @property
    def awaits_confirms(self) -> bool:
        return False

    def delivered(self, event: Delivery) -> None:
        consumer = self._consumers.get(event.consumer_tag)
        if consumer is None:
            self._check_closing(event)
            return
        if not consumer.no_ack:
            if self._recovering:
                return  # the broker requeues it with all others
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
        except BaseException as error:  # noqa: BLE001  serve raises it
            self._end_serve(error)

    def _check_closing(self, event: Delivery) -> None:
        """For a delivery without a consumer: :exc:`ProtocolError` unless this channel is being closed.

        When it is closed the broker requeues what is unacked.
        """
        if self._ended is None:
            raise ProtocolError(f"a message came for consumer {event.consumer_tag!r}, which there is not")

    def oversized(self, event: Oversized) -> None:
        """Reject a delivery whose body was dropped, so that the broker dead-letters it, and others are not harmed."""
        delivery = event.content
        if not isinstance(delivery, Delivery):
            return
        consumer = self._consumers.get(delivery.consumer_tag)
        if consumer is None:
            self._check_closing(delivery)
            return
        if not consumer.no_ack:
            if self._recovering:
                return
            assert self._acks is not None
            self._acks.delivered(delivery.delivery_tag)
            self.basic_reject(delivery.delivery_tag, requeue=consumer.cancelled)
        if not consumer.cancelled:
            _log_oversized(consumer.queue, event, no_ack=consumer.no_ack)

    def check_confirms(self, elapsed: float) -> None: ...

    def confirmed(self, event: Confirmed) -> None: ...

    def returned(self, event: Returned) -> None: ...

    def cancelled(self, consumer_tag: str) -> None:
        consumer = self._consumers.pop(consumer_tag.encode(), None)
        if consumer is not None:
            self._declarations.forget_queue(consumer.queue)
            self._report(
                NotFound(
                    f"the broker cancelled the consumer of queue {consumer.queue!r}: it was deleted or its node fails"
                )
            )

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        """The AMQP channel has ended, and the broker requeues all unacked deliveries."""
        self._ended = error
        self._acks = None
        self._connection.inbox.take_out(tuple(self._consumers.values()))
        if self._connection.closing:
            self._end_serve(None)
        elif self._consumers or self._served is not None:
            self._report(error)
        self._consumers.clear()

    def _report(self, error: OperationalError) -> None:
        """Let serve, or else the next drain_events, raise *error*."""
        if not self._end_serve(error):
            self._connection.inbox.put_error(error)

    def _end_serve(self, error: BaseException | None) -> bool:
        """End a running serve, which raises *error*; returns whether there is one."""
        if self._served is None:
            return False
        wake(self._connection.hub, self._served, error)
        return True

    # -- closing

    def close(self) -> None:
        """Close the AMQP channel, so that the broker requeues what is unacked; closing twice does nothing."""
        wire, self._wire = self._wire, None
        if self._ended is None:
            self._ended = ConnectionLost("this channel is closed")
        self._end_serve(None)
        self._connection.inbox.take_out(tuple(self._consumers.values()))
        self._consumers.clear()
        try:
            if wire is not None:
                wire.close(Deadline.after(self._connection.answer_within))
        finally:
            self._acks = None


def _log_oversized(queue: str, event: Oversized, *, no_ack: bool) -> None:
    exchange, routing_key = read_route(event.content.route)
    log.error(
        "queue %r: a message of %d bytes (exchange %r, routing key %r) is %s: largest_message allows %d",
        queue,
        event.size,
        exchange,
        routing_key,
        "lost, as it needs no ack" if no_ack else "rejected, and dead-lettered if the queue says where",
        event.allowed,
    )
