"""Publishing over one AMQP channel: with confirms, any number in flight; or without; and many in one call."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from gevent.hub import Waiter
from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import (
    BrokerBlocked,
    ConfirmLost,
    ConnectionLost,
    EncodeError,
    OperationalError,
    PartlyPublished,
    Unroutable,
)
from kombu_green.message import Content
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.acks import PendingPublish, PublisherConfirms
from kombu_green.transport.amqp.protocol.errors import NOT_FOUND, copy_error, missing_exchange
from kombu_green.transport.amqp.protocol.frames import content_frames, publish_frame
from kombu_green.transport.amqp.protocol.parser import (
    Confirmed,
    Delivery,
    MessageRoute,
    Oversized,
    Returned,
    read_route,
)
from kombu_green.transport.amqp.protocol.properties import PropertyPacker
from kombu_green.transport.amqp.socket.connection import AMQPConnection
from kombu_green.transport.amqp.socket.waiters import wait, wake
from kombu_green.transport.amqp.socket.wire_channel import WireChannel

__all__ = ["WINDOW", "NotProcessed", "PublishWindow", "Publisher"]

log = logging.getLogger(__name__)

#: method frames that are cached, one for each pair of exchange and routing key
_CACHED_FRAMES: Final = 1024

#: unconfirmed messages of one publish_many at most; a thousand keep the broker busy, and more are not faster
WINDOW: Final = 1000

#: messages of publish_many after which is sent what was written, so that the broker begins while more are packed
SEND_AFTER: Final = 64


class NotProcessed(ConfirmLost):
    """The broker closed the channel before it processed this publish, so it can be published again."""


class Publisher:
    """Publishes of one channel.  With *confirm* each greenlet waits for the confirm of its own message only.

    The AMQP channel is opened at the first publish, and again when the broker has closed it: a publish to an exchange
    that does not exist fails, and others continue.
    """

    def __init__(self, connection: AMQPConnection, packer: PropertyPacker, *, confirm: bool) -> None:
        self._connection: Final = connection
        self._packer: Final = packer
        self._confirm: Final = confirm
        self._opening: Final = BoundedSemaphore()
        self._wire: WireChannel | None = None
        self._closed = False
        self._confirms = PublisherConfirms()
        self._frames: dict[tuple[str, str, bool], bytes] = {}
        self._failed: OperationalError | None = None  # why an unconfirmed publish failed: raised by the next one
        self._bytes_sent = 0  # by the connection, when the confirms were checked last
        self._unprocessed = False  # whether there were unconfirmed publishes since wait_until_processed

    @property
    def in_flight(self) -> int:
        """How many publishes are not confirmed yet."""
        return len(self._confirms)

    # -- publishing

    def publish(self, content: Content, exchange: str, routing_key: str, mandatory: bool, deadline: Deadline) -> None:
        """Publish and wait for the broker's confirm; without *confirm* return when it is written."""
        while True:
            pending = self.write(content, exchange, routing_key, mandatory, deadline)
            if pending is None:
                return
            try:
                self._wait(pending, deadline)
                return
            except NotProcessed:
                continue

    def write(
        self, content: Content, exchange: str, routing_key: str, mandatory: bool, deadline: Deadline
    ) -> PendingPublish | None:
        """Write the frames, and return what to wait for; without *confirm* send them, and return None."""
        self._connection.check_thread()
        properties = self._packer.pack(content)
        body = content.body
        connection = self._connection
        wire = self._wire
        while wire is None or not wire.is_open or connection.blocking.reason is not None or connection.outbox.full:
            connection.wait_for_room(deadline, "publish")
            wire = self._opened(deadline)
        method = self._frames.get((exchange, routing_key, mandatory))
        if method is None:
            method = self._method_frame(wire, exchange, routing_key, mandatory)
        if type(body) is not bytes:
            body = bytes(body)
        frames = method + content_frames(wire.number, properties, body, connection.tuning.frame_max)
        route = MessageRoute(exchange, routing_key)
        if self._confirm:
            connection.write_soon(frames)
            return self._confirms.published(route, body if mandatory else None)
        connection.outbox.put(frames)
        self._wrote_unconfirmed(wire, route, body, mandatory, deadline)
        return None

    def _method_frame(self, wire: WireChannel, exchange: str, routing_key: str, mandatory: bool) -> bytes:
        if len(self._frames) >= _CACHED_FRAMES:
            self._frames.clear()
        frame = self._frames[exchange, routing_key, mandatory] = publish_frame(
            wire.number, exchange, routing_key, mandatory
        )
        return frame

    def _wait(self, pending: PendingPublish, deadline: Deadline) -> None:
        waiter: Waiter[Any] = Waiter(self._connection.hub)
        pending.waiter = waiter
        try:
            wait(waiter, deadline, "publish: the broker has not confirmed it, and may have it or not")
        except TimeoutError as error:
            raise self._connection.blocking.deadline_error(error) from None
        finally:
            pending.waiter = None
            if not pending.settled:
                self.give_up(pending)
        if pending.error is not None:
            raise pending.error

    def give_up(self, pending: PendingPublish) -> None:
        """The caller of *pending* waits no longer for its confirm."""
        self._confirms.give_up(pending)
        self._connection.count_given_up()

    def _wrote_unconfirmed(
        self, wire: WireChannel, route: MessageRoute, body: bytes, mandatory: bool, deadline: Deadline
    ) -> None:
        self._unprocessed = True
        if mandatory:
            # a return, if there is one, arrives before the answer to a later call
            pending = self._confirms.published(route, body)
            try:
                self._call_and_wait(wire, deadline)
            finally:
                self._confirms.discard(pending)
            if pending.returned:
                raise Unroutable(*route)
        else:
            self._connection.write_unanswered()
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise copy_error(failed)

    def send(self) -> None:
        """Send what was written now, not at the end of the hub's iteration."""
        self._connection.outbox.flush()

    def deadline_error(self, error: TimeoutError) -> Exception:
        """The error of a publish whose deadline passed."""
        return self._connection.blocking.deadline_error(error)

    def wait_until_processed(self, deadline: Deadline) -> None:
        """Return when the broker has processed everything that was published without confirm."""
        if self._unprocessed and self._wire is not None and self._wire.is_open:
            self._call_and_wait(self._wire, deadline)

    def _call_and_wait(self, wire: WireChannel, deadline: Deadline) -> None:
        # The broker handles the methods of a channel in order, so any answer comes after what was published before.
        self._unprocessed = False
        wire.call(rpc.qos(0), deadline)

    # -- the channel

    def _opened(self, deadline: Deadline) -> WireChannel:
        self._check_open()
        if self._wire is None or not self._wire.is_open:
            if not self._opening.acquire(timeout=deadline.remaining()):
                raise TimeoutError("opening a channel: the deadline passed")
            try:
                if self._wire is None or not self._wire.is_open:
                    wire = self._connection.open_channel(self, deadline)
                    self.use(wire, deadline)
                    self._close_if_closed_meanwhile(deadline)
            finally:
                self._opening.release()
        assert self._wire is not None
        return self._wire

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionLost("this channel is closed")

    def _close_if_closed_meanwhile(self, deadline: Deadline) -> None:
        if self._closed:
            self.close(deadline)
            self._check_open()

    def use(self, wire: WireChannel, deadline: Deadline) -> None:
        """Publish over *wire*, whose listener must pass on its events to this object."""
        self._frames.clear()  # they contain the channel number
        if self._confirm:
            wire.call(rpc.select_confirms(), deadline)
        self._confirms = PublisherConfirms()
        self._wire = wire

    def close(self, deadline: Deadline) -> None:
        """Close the channel; publishes that are not confirmed fail."""
        wire, self._wire = self._wire, None
        self._closed = True
        try:
            if wire is not None:
                wire.close(deadline)
        finally:
            self._tell_given_up()
            self._fail_all(ConfirmLost("the channel was closed before the broker confirmed the message"))

    # -- events, called by the reader

    @property
    def awaits_confirms(self) -> bool:
        return self._confirm and bool(self._confirms)

    def confirmed(self, event: Confirmed) -> None:
        hub = self._connection.hub
        for pending in self._confirms.confirmed(event):
            if pending.waiter is not None:
                wake(hub, pending.waiter)
            elif pending.error is not None:
                log.warning("a publish failed whose caller had stopped waiting: %s", pending.error)

    def check_confirms(self, elapsed: float) -> None:
        """Fail publishes that have made no progress for the connection's ``answer_within``, counted by the connection.

        They have no timer each: that would cost more than the rest of their wait.
        """
        connection, confirms = self._connection, self._confirms
        if not self.awaits_confirms:
            return
        sent = connection.outbox.bytes_sent
        if connection.outbox.waiting and sent != self._bytes_sent:
            self._bytes_sent = sent
            confirms.progress()
            return
        within = connection.answer_within
        for pending in confirms.overdue(elapsed, within):
            late = TimeoutError(f"publish: not confirmed within {within:g} s; the broker may have it or not")
            pending.settle(connection.blocking.deadline_error(late))
            self.give_up(pending)
            if pending.waiter is not None:
                wake(connection.hub, pending.waiter)

    def returned(self, event: Returned) -> None:
        route = read_route(event.route)
        if self._confirms.returned(route, event.body) is None:
            log.warning("the broker returned a message that was not published here: %s", Unroutable(*route))

    def oversized(self, event: Oversized) -> None:
        """A message came back whose body was dropped."""
        route = read_route(event.content.route)
        if self._confirms.returned(route, event.size) is None:
            log.warning("the broker returned a message that was not published here: %s", Unroutable(*route))

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        """Settle each publish in flight.

        When the broker closed the channel because an exchange does not exist, its text names the exchange, and it has
        handled the publishes in order.  So publishes to that exchange have failed; others before the first of them may
        have arrived; others after it were not processed.
        """
        self._tell_given_up()
        if not self._confirm and code:
            log.error("an unconfirmed publish failed: %s", error)
            self._failed = error
        if not code:
            self._fail_all(ConfirmLost(f"{error}; the broker has not confirmed the message, and may have it or not"))
            return
        missing = missing_exchange(text) if code == NOT_FOUND else None
        found = False
        for pending in self._confirms.end():
            found = found or pending.route.exchange == missing
            if missing is None or pending.route.exchange == missing:
                self._settle(pending, copy_error(error))
            elif found:
                self._settle(pending, NotProcessed(str(error)))
            else:
                self._settle(pending, ConfirmLost(f"another publish closed the channel ({error}) before the confirm"))

    def _tell_given_up(self) -> None:
        if self._confirms.given_up:
            log.warning(
                "%s: a channel ends with %d publishes that were given up and never confirmed",
                self._connection.name,
                self._confirms.given_up,
            )

    def _fail_all(self, error: OperationalError) -> None:
        for pending in self._confirms.end():
            self._settle(pending, copy_error(error))

    def _settle(self, pending: PendingPublish, error: OperationalError) -> None:
        pending.settle(error)
        if pending.waiter is not None:
            wake(self._connection.hub, pending.waiter)

    def delivered(self, event: Delivery) -> None: ...

    def cancelled(self, consumer_tag: str) -> None: ...


class PublishWindow:
    """One call of publish_many: publishes in order, with at most :data:`WINDOW` of them unconfirmed."""

    def __init__(self, publisher: Publisher, connection: AMQPConnection, deadline: Deadline) -> None:
        self._publisher: Final = publisher
        self._hub: Final = connection.hub
        self._deadline: Final = deadline
        self._in_flight: deque[tuple[int, Content, PendingPublish]] = deque()
        self._failures: dict[int, Exception] = {}  # by the message's place in the call, from 0

    def publish(self, contents: Iterable[Content], exchange: str, routing_key: str, mandatory: bool) -> None:
        """Return when the broker has all of them; :exc:`PartlyPublished` says which ones it has not.

        When the connection is lost, the deadline has passed or confirms do not come, no more is taken from
        *contents*.  An error that *contents* itself raises is raised when all messages before it are confirmed.
        """
        taken = 0
        cause: Exception | None = None
        try:
            for number, content in enumerate(contents):
                taken = number + 1
                self._write(number, content, exchange, routing_key, mandatory)
                if len(self._in_flight) >= WINDOW:
                    self._wait_until_left(WINDOW // 2)
            self._wait_until_left(0)
        except (OperationalError, TimeoutError) as error:
            if taken < 2:
                raise
            cause = error
            for number, _, pending in self._in_flight:
                if pending.error is not None or not pending.settled:
                    self._failures[number] = pending.error or error
        except Exception:
            self._wait_until_left(0)  # raised by contents
            raise
        finally:
            for _, _, pending in self._in_flight:
                if not pending.settled:
                    self._publisher.give_up(pending)
        if self._failures:
            raise PartlyPublished(self._failures, taken) from cause

    def _write(self, number: int, content: Content, exchange: str, routing_key: str, mandatory: bool) -> None:
        try:
            pending = self._publisher.write(content, exchange, routing_key, mandatory, self._deadline)
        except (EncodeError, Unroutable) as error:
            self._failures[number] = error
            return
        except (OperationalError, TimeoutError) as error:
            self._failures[number] = error
            raise
        if pending is not None:
            self._in_flight.append((number, content, pending))
            if number % SEND_AFTER == SEND_AFTER - 1:
                self._publisher.send()

    def _wait_until_left(self, most: int) -> None:
        """Wait until no more than *most* are in flight."""
        while len(self._in_flight) > most:
            last = self._in_flight[len(self._in_flight) - most - 1][2]
            self._wait(self._in_flight[0][2] if last.settled else last)
            while self._in_flight and self._in_flight[0][2].settled:
                self._take_result(*self._in_flight.popleft())

    def _wait(self, pending: PendingPublish) -> None:
        if not pending.settled:
            pending.waiter = Waiter(self._hub)
            try:
                wait(pending.waiter, self._deadline, "publish_many: the broker has not confirmed all of them")
            except TimeoutError as error:
                raise self._publisher.deadline_error(error) from None
            finally:
                pending.waiter = None

    def _take_result(self, number: int, content: Content, pending: PendingPublish) -> None:
        if isinstance(pending.error, NotProcessed):
            exchange, routing_key = pending.route
            self._write(number, content, exchange, routing_key, pending.mandatory_body is not None)
        elif pending.error is not None:
            self._failures[number] = pending.error
            if isinstance(pending.error, TimeoutError | BrokerBlocked):
                raise pending.error
