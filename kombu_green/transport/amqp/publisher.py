"""Publishing over one AMQP channel: confirmed and pipelined, or unconfirmed."""

from __future__ import annotations

import logging
from typing import Any, Final

from gevent.hub import Waiter
from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConfirmLost, OperationalError, Unroutable
from kombu_green.message import Content
from kombu_green.transport.amqp import calls
from kombu_green.transport.amqp.confirms import Confirms, Pending
from kombu_green.transport.amqp.connection import AMQPConnection
from kombu_green.transport.amqp.errors import NOT_FOUND, again, missing_exchange
from kombu_green.transport.amqp.events import Confirmed, Delivery, Returned
from kombu_green.transport.amqp.frames import content_frames
from kombu_green.transport.amqp.methods import Route, publish_frame, read_route
from kombu_green.transport.amqp.rawchannel import RawChannel
from kombu_green.transport.amqp.waiting import wait, wake

__all__ = ["NotProcessed", "Publisher"]

log = logging.getLogger(__name__)

#: method frames that are remembered, one for each pair of exchange and routing key
_REMEMBERED: Final = 1024


class NotProcessed(ConfirmLost):
    """The broker has not even looked at it, so it can be published again."""


class Publisher:
    """Any greenlet may publish at any time; with *confirm* each waits for its own message, and all share one flight.

    The channel is opened at the first publish, and again after the broker has closed it: that a message was for an
    exchange that is not there is the matter of its publisher alone.
    """

    def __init__(self, connection: AMQPConnection, *, confirm: bool) -> None:
        self._connection: Final = connection
        self._confirm: Final = confirm
        self._opening: Final = BoundedSemaphore()
        self._raw: RawChannel | None = None
        self._confirms = Confirms()
        self._frames: dict[tuple[str, str, bool], bytes] = {}
        self._trouble: OperationalError | None = None  # of unconfirmed publishes: told to the next one
        self._unfenced = False

    @property
    def in_flight(self) -> int:
        """Publishes that are not confirmed yet."""
        return len(self._confirms)

    def publish(self, content: Content, exchange: str, routing_key: str, mandatory: bool, deadline: Deadline) -> None:
        """Return when the broker has it, or without *confirm* when it is written."""
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
    ) -> Pending | None:
        """Into the outbox, whole; what is returned is to be waited for.  Without *confirm* it is sent, too."""
        self._connection.check_thread()
        properties = self._connection.packer.pack(content)
        body = content.body
        connection = self._connection
        raw = self._raw
        while raw is None or not raw.is_open or connection.blocking.reason is not None or connection.outbox.full:
            connection.wait_for_room(deadline, "publish")
            raw = self._opened(deadline)
        method = self._frames.get((exchange, routing_key, mandatory))
        if method is None:
            method = self._remembered(raw, exchange, routing_key, mandatory)
        if type(body) is not bytes:
            body = bytes(body)
        frames = method + content_frames(raw.number, properties, body, connection.tuning.frame_max)
        route = Route(exchange, routing_key)
        if self._confirm:
            connection.write_soon(frames)
            return self._confirms.published(route, body if mandatory else None)
        connection.outbox.put(frames)
        self._unconfirmed(raw, route, body, mandatory, deadline)
        return None

    def _remembered(self, raw: RawChannel, exchange: str, routing_key: str, mandatory: bool) -> bytes:
        if len(self._frames) >= _REMEMBERED:
            self._frames.clear()
        frame = self._frames[exchange, routing_key, mandatory] = publish_frame(
            raw.number, exchange, routing_key, mandatory
        )
        return frame

    def _wait(self, pending: Pending, deadline: Deadline) -> None:
        waiter: Waiter[Any] = Waiter(self._connection.hub)
        pending.waiter = waiter
        try:
            wait(waiter, deadline, "publish: the broker has not confirmed it, and may have it or not")
        except TimeoutError as error:
            raise self._connection.blocking.too_late(error) from None
        finally:
            pending.waiter = None
        if pending.error is not None:
            raise pending.error

    def _unconfirmed(self, raw: RawChannel, route: Route, body: bytes, mandatory: bool, deadline: Deadline) -> None:
        self._unfenced = True
        if mandatory:
            pending = self._confirms.published(route, body)
            try:
                self._fence(raw, deadline)
            finally:
                self._confirms.discard(pending)
            if pending.returned:
                raise Unroutable(*route)
        else:
            self._connection.wrote()
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise again(trouble)

    def send(self) -> None:
        """Send what was written without waiting for the hub's turn to end."""
        self._connection.outbox.flush()

    def too_late(self, error: TimeoutError) -> Exception:
        """What a publisher is told at its deadline."""
        return self._connection.blocking.too_late(error)

    def fence(self, deadline: Deadline) -> None:
        """Return when the broker has dealt with all that was published unconfirmed."""
        if self._unfenced and self._raw is not None and self._raw.is_open:
            self._fence(self._raw, deadline)

    def _fence(self, raw: RawChannel, deadline: Deadline) -> None:
        # what is answered on a channel is answered after what came before on it
        self._unfenced = False
        raw.call(calls.qos(0), deadline)

    def _opened(self, deadline: Deadline) -> RawChannel:
        if self._raw is None or not self._raw.is_open:
            if not self._opening.acquire(timeout=deadline.remaining()):
                raise TimeoutError("opening a channel: the deadline passed")
            try:
                if self._raw is None or not self._raw.is_open:
                    self._open(deadline)
            finally:
                self._opening.release()
        assert self._raw is not None
        return self._raw

    def _open(self, deadline: Deadline) -> None:
        self.adopt(self._connection.open_channel(self, deadline), deadline)

    def adopt(self, raw: RawChannel, deadline: Deadline) -> None:
        """Publish over *raw*, whose owner passes on what this one is told."""
        self._frames.clear()  # the channel's number stands in them
        if self._confirm:
            raw.call(calls.select_confirms(), deadline)
        self._confirms = Confirms()
        self._raw = raw

    def close(self, deadline: Deadline) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close(deadline)
            self._give_up(ConfirmLost("the channel was closed before the broker confirmed the message"))

    # -- told by the reader

    @property
    def expects(self) -> bool:
        return self._confirm and bool(self._confirms)

    def confirmed(self, event: Confirmed) -> None:
        hub = self._connection.hub
        for pending in self._confirms.confirmed(event):
            if pending.waiter is not None:
                wake(hub, pending.waiter)
            elif pending.error is not None:
                log.warning("%s, of which nobody waited to hear", pending.error)

    def returned(self, event: Returned) -> None:
        route = read_route(event.route)
        if self._confirms.returned(route, event.body) is None:
            log.warning("the broker returned a message that was not published here: %s", Unroutable(*route))

    def ended(self, error: OperationalError, code: int, text: str) -> None:
        """Judge each publish in flight.

        A missing exchange was named by the broker, which works in order: what came before the first publish to it may
        have arrived, that publish and others like it are refused, and what came later was not looked at.
        """
        if not self._confirm and code:
            log.error("an unconfirmed publish failed: %s", error)
            self._trouble = error
        if not code:
            self._give_up(ConfirmLost(f"{error}; the broker has not confirmed the message, and may have it or not"))
            return
        culprit = missing_exchange(text) if code == NOT_FOUND else None
        met = False
        for pending in self._confirms.end():
            met = met or pending.route.exchange == culprit
            if culprit is None or pending.route.exchange == culprit:
                self._settle(pending, again(error))
            elif met:
                self._settle(pending, NotProcessed(str(error)))
            else:
                self._settle(pending, ConfirmLost(f"another publish closed the channel ({error}) before the confirm"))

    def _give_up(self, error: OperationalError) -> None:
        for pending in self._confirms.end():
            self._settle(pending, again(error))

    def _settle(self, pending: Pending, error: OperationalError) -> None:
        pending.settle(error)
        if pending.waiter is not None:
            wake(self._connection.hub, pending.waiter)

    def delivered(self, event: Delivery) -> None: ...

    def cancelled(self, consumer_tag: str) -> None: ...
