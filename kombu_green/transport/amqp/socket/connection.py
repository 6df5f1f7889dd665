"""The actor of one socket: one greenlet reads it, all greenlets write through one outbox.

The reader greenlet takes whatever ``recv`` returns, passes answers to the greenlets that wait for them and deliveries
to their channels, and continues a write that the socket has not accepted completely.  A second greenlet sends
heartbeats and notices when the broker sends none.  When the connection ends, for whatever reason, all waiting greenlets
raise the error, the socket is closed, and both greenlets end.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

from gevent import get_hub
from gevent.event import Event as Signal
from gevent.hub import Hub, Waiter
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.clock import Deadline
from kombu_green.exceptions import (
    ChannelLimitExceeded,
    ConnectionLost,
    OperationalError,
    ProtocolError,
)
from kombu_green.green.fork import forks
from kombu_green.green.group import Group, MayEnd
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.errors import connection_error, copy_error
from kombu_green.transport.amqp.protocol.frames import HEARTBEAT, method_frame
from kombu_green.transport.amqp.protocol.parser import Confirmed, Delivery, Event, FrameParser, GetOk, Method, Oversized
from kombu_green.transport.amqp.socket.broker_state import BlockedState, HeartbeatTimer
from kombu_green.transport.amqp.socket.handshake import Tuning
from kombu_green.transport.amqp.socket.inbox import Inbox
from kombu_green.transport.amqp.socket.outbox import AckBatch, Outbox
from kombu_green.transport.amqp.socket.waiters import SocketWatch, wait, wake
from kombu_green.transport.amqp.socket.wire_channel import IGNORE_EVENTS, ChannelListener, WireChannel

__all__ = ["AMQPConnection"]

log = logging.getLogger(__name__)

#: bytes of one ``recv`` at most
CHUNK: Final = 256 * 1024


class AMQPConnection:
    """An open connection, made by :func:`~.login.open_connection`.

    *name* is for logs and errors.  *answer_within*: seconds that the broker may take to answer a call, after which the
    connection is closed, and to confirm a publish or to accept one.  *server*: the properties with which the broker has
    introduced itself.
    """

    def __init__(
        self,
        name: str,
        socket: Socket,
        parser: FrameParser,
        tuning: Tuning,
        answer_within: float,
        server: Mapping[str, Any],
    ) -> None:
        self.name: Final = name
        self.hub: Final[Hub] = get_hub()
        self.tuning: Final = tuning
        self.answer_within: Final = answer_within
        self.server: Final = server
        #: publishes whose caller has stopped waiting for the confirm
        self.given_up = 0
        self.batch: Final = AckBatch()
        self.blocking: Final = BlockedState(self.hub, name)
        self._watch: Final = SocketWatch(self.hub, socket.fileno())
        self.inbox: Final = Inbox(self.hub, self._watch.wake)
        self.outbox: Final = Outbox(self.hub, socket, self.batch.take, self._socket_failed, self._watch.wake)
        self._socket: Final = socket
        self._parser: Final = parser
        self._channels: dict[int, WireChannel] = {}
        parser.channels = self._channels
        self._last_number = 0
        self._heard = monotonic()  # when something was received last
        self._ended: OperationalError | None = None
        self._closing: Waiter[Any] | None = None  # waits for the answer of connection.close
        self._stopped: Final = Signal()
        self._group: Final = Group(name, self._greenlet_failed)
        forks.add(self)
        self._group.start()
        self._group.spawn(self._read_and_write, name="reader", on_end=MayEnd())
        self._group.spawn(self._heartbeat, name="heartbeat", on_end=MayEnd())

    @property
    def blocked(self) -> str | None:
        """The broker's reason while it accepts no publishes, else None."""
        return self.blocking.reason

    @property
    def is_open(self) -> bool:
        return self._ended is None and self._closing is None

    @property
    def closing(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closing is not None

    def check(self) -> None:
        """Raise the error with which it has ended, if it has."""
        if self._ended is not None:
            raise copy_error(self._ended)
        if self._closing is not None:
            raise ConnectionLost(f"{self.name} is being closed")

    @property
    def in_other_thread(self) -> bool:
        """Whether the caller runs in another native thread than the connection, as an offloaded callback does."""
        return get_hub() is not self.hub

    def check_thread(self) -> None:
        """Raise ``RuntimeError`` when called :attr:`in_other_thread`."""
        if self.in_other_thread:
            raise RuntimeError(
                f"{self.name} belongs to the native thread that opened it, and this is another one:"
                " a callback that is offloaded publishes over a connection of its own"
            )

    # -- channels

    def open_channel(self, listener: ChannelListener, deadline: Deadline) -> WireChannel:
        """Open a channel whose events go to *listener*.

        :exc:`ChannelLimitExceeded` when all channel numbers are in use: the broker would close the connection.
        """
        self.check()
        channel = WireChannel(self, self._free_number(), listener)
        self._channels[channel.number] = channel
        try:
            channel.call(rpc.open_channel(), deadline)
        except BaseException:
            if channel.is_open:  # the caller has given up before the answer: close the channel when it comes
                channel.listener = IGNORE_EVENTS
                self.call_later(channel.close)
            raise
        return channel

    def call_later(self, function: Callable[[Deadline], object]) -> None:
        """Call *function* in a greenlet of its own, to clean up after a call whose caller has given up."""
        if self._ended is None:
            self._group.spawn(self._call_quietly, function, name="afterwards", on_end=MayEnd())

    def _call_quietly(self, function: Callable[[Deadline], object]) -> None:
        try:
            function(Deadline.after(self.answer_within))
        except (OperationalError, TimeoutError) as error:
            log.debug("%s: afterwards: %s", self.name, error)

    def _free_number(self) -> int:
        # numbers are used in turn, as late frames may still arrive for one that was freed just now
        most = self.tuning.channel_max
        for _ in range(most):
            self._last_number = self._last_number % most + 1
            if self._last_number not in self._channels:
                return self._last_number
        raise ChannelLimitExceeded(f"{self.name}: all {most} channels that the broker allows are open")

    def forget_channel(self, channel: WireChannel) -> None:
        """*channel* has ended: its number is free."""
        self._channels.pop(channel.number, None)

    # -- writing

    def write_soon(self, frames: bytes) -> None:
        """Send *frames* at the end of the hub's iteration; for frames whose answer the caller waits for.

        Acks that were made before are sent before: they must not follow the close of their channel.
        """
        acks = self.batch.take()
        self.outbox.put(acks + frames if acks else frames)
        self.outbox.flush_soon()
        if self.inbox.full:
            self._watch.wake()  # the reader is paused, and must read up to the answer

    def write_unanswered(self) -> None:
        """Send acks, or a publish without confirm, that were put in the batch or the outbox just now.

        They are sent at once, unless :attr:`batch` is deferring (see :mod:`.outbox`).
        """
        batch = self.batch
        if not batch.deferring:
            self.outbox.flush()
        elif batch.count_write():
            self.outbox.flush_soon()
        elif batch.full:
            self.outbox.flush()

    def wait_for_room(self, deadline: Deadline, what: str) -> None:
        """Wait until the broker accepts publishes and the outbox has room.

        At *deadline*, and after :attr:`answer_within` seconds without progress, :exc:`BrokerBlocked` or
        ``TimeoutError``, which name *what* had to wait.
        """
        while True:
            self.check()
            limit = deadline.sooner(self.answer_within)
            try:
                if self.blocking.reason is not None:
                    self.blocking.wait(limit, what)
                elif self.outbox.full:
                    self.outbox.wait_for_room(limit, what)
                else:
                    return
            except TimeoutError as error:
                raise self.blocking.deadline_error(error) from None

    def count_given_up(self) -> None:
        """A caller has stopped waiting for the confirm of its publish.  Logged the 1st, 2nd, 4th, 8th, … time."""
        self.given_up += 1
        if not self.given_up & (self.given_up - 1):
            log.warning("%s: %d publishes were given up before the broker confirmed them", self.name, self.given_up)

    # -- reading

    def read(self) -> None:
        """Read once from the socket and dispatch what has arrived.  Never waits."""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._socket_failed(error)
            return
        if not data:
            self.fail(ConnectionLost(f"{self.name}: the other side closed the connection"))
            return
        self._heard = monotonic()
        try:
            for event in self._parser.feed(data):
                self._dispatch(event)
            if self._parser.broken is not None:
                raise self._parser.broken
        except ProtocolError as error:
            self._close_with(error)
        self.inbox.announce()

    def _dispatch(self, event: Event) -> None:
        if event.channel == 0:
            self._connection_event(event)
            return
        if self._closing is not None or self._ended is not None:
            return
        channel = self._channels.get(event.channel)
        if channel is None:
            if isinstance(event, Method) and event.method == rpc.CHANNEL_CLOSE_OK:
                return  # both sides have closed it at the same time
            raise ProtocolError(f"something came on channel {event.channel}, which is not open")
        if isinstance(event, Delivery):
            channel.listener.delivered(event)
        elif isinstance(event, Confirmed):
            channel.listener.confirmed(event)
        elif isinstance(event, Method):
            channel.received(event)
        elif isinstance(event, GetOk):
            channel.received_get_ok(event)
        elif isinstance(event, Oversized):
            channel.received_oversized(event)
        else:
            channel.listener.returned(event)

    def _connection_event(self, event: Event) -> None:
        method = event.method if isinstance(event, Method) else 0
        arguments = event.arguments if isinstance(event, Method) else b""
        if method == rpc.CONNECTION_CLOSE:
            code, text = rpc.read_close(arguments)
            self.outbox.put(method_frame(0, rpc.CONNECTION_CLOSE_OK, b""))
            self.outbox.flush()
            self.fail(connection_error(code, text, opening=False))
        elif method == rpc.CONNECTION_CLOSE_OK and self._closing is not None:
            wake(self.hub, self._closing)
        elif method == rpc.CONNECTION_BLOCKED:
            self.blocking.block(rpc.read_arguments("s", arguments)[0])
        elif method == rpc.CONNECTION_UNBLOCKED:
            self.blocking.unblock()
        else:
            raise ProtocolError(f"method {method:#x} came on channel 0")

    def drain(self, deadline: Deadline) -> None:
        """Hand one delivery to its consumer; ``TimeoutError`` when none has arrived by *deadline*."""
        inbox = self.inbox
        if not inbox.arrivals:
            self._await_arrival(deadline)
        arrival = inbox.pop()
        self.batch.deferring += 1
        try:
            arrival.consumer.hand_over(arrival.delivery)
        finally:
            self.batch.deferring -= 1
            if not inbox.arrivals or self.batch.due:
                self.outbox.flush()

    def _await_arrival(self, deadline: Deadline) -> None:
        inbox = self.inbox
        self.outbox.flush()
        self.check()
        self.read()
        while not inbox.arrivals:
            self.check()
            inbox.raise_error()
            inbox.wait(deadline)

    # -- its greenlets

    @property
    def _paused(self) -> bool:
        """Whether the socket is not read: the inbox is full, and no greenlet waits for anything but deliveries."""
        return self.inbox.full and not any(channel.awaits_answer for channel in self._channels.values())

    def _read_and_write(self) -> None:
        try:
            while self._ended is None:
                self._watch.wait(read=not self._paused, write=self.outbox.stalled)
                if self.outbox.stalled:
                    self.outbox.resume()
                if self._ended is None and not self._paused:
                    self.read()
        finally:
            self.fail(ConnectionLost(f"{self.name} was ended"))
            self._watch.close()
            self._socket.close()

    def _heartbeat(self) -> None:
        last = monotonic()
        timer = HeartbeatTimer(self.tuning.heartbeat, last)
        pause = min(timer.pause, self.answer_within / 4)
        while not self._stopped.wait(pause):
            now = monotonic()
            elapsed, last = min(now - last, 2 * pause), now  # when the hub was blocked, confirms were not read either
            if timer.due(now, self.outbox.sends):
                self.outbox.put(HEARTBEAT)
                self.outbox.flush()
            if timer.silent(now, self._heard) and not self._paused:
                self.read()  # when the hub was blocked, what has arrived was not read yet
                if timer.silent(now, self._heard):
                    self.fail(ConnectionLost(f"{self.name}: nothing was heard for {now - self._heard:.0f} s"))
            self._check_unanswered(now)
            for channel in list(self._channels.values()):
                channel.listener.check_confirms(elapsed)

    def _check_unanswered(self, now: float) -> None:
        times = [channel.unanswered_since for channel in self._channels.values()]
        if self.blocking.reason is None and any(since and now - since > self.answer_within for since in times):
            self.fail(ConnectionLost(f"{self.name}: a call was not answered within {self.answer_within:g} s"))

    def _greenlet_failed(self, name: str, error: BaseException | None) -> None:
        self.fail(ConnectionLost(f"{self.name}: {name} failed: {error!r}"))

    # -- the end

    def _socket_failed(self, error: OSError) -> None:
        self.fail(ConnectionLost(f"{self.name} broke: {error}"))

    def _close_with(self, error: ProtocolError) -> None:
        """Send connection.close with the reason, and end; the broker's answer is not awaited."""
        log.error("%s: %s; the connection is closed", self.name, error)
        self.outbox.put(method_frame(0, rpc.CONNECTION_CLOSE, rpc.pack_arguments("BsBB", 501, str(error)[:200], 0, 0)))
        self.outbox.flush()
        self.fail(error)

    def fail(self, error: OperationalError) -> None:
        """End with *error*, which all waiting greenlets raise.  Never waits; the second time does nothing."""
        if self._ended is not None:
            return
        self._ended = error
        self.outbox.close()
        for channel in list(self._channels.values()):
            channel.end(error)
        self.inbox.close()
        self.blocking.connection_ended()
        self._stopped.set()
        if self._closing is not None:
            wake(self.hub, self._closing)
        self._watch.wake()

    def after_fork(self) -> None:
        """In the child of a fork, let go of the socket, which the parent goes on using."""
        if self._ended is None:
            self._ended = ConnectionLost(f"{self.name} belongs to the parent process")
            self.outbox.close()
        raw: Any = self._socket._sock  # type: ignore[attr-defined]  # the socket below gevent's
        if raw.fileno() >= 0:
            os.close(raw.detach())

    def close(self, deadline: Deadline) -> None:
        """Send what was written, then connection.close, and wait for its answer.  Closing twice does nothing."""
        if self._ended is None and self._closing is None:
            self._closing = Waiter(self.hub)
            self.write_soon(method_frame(0, rpc.CONNECTION_CLOSE, rpc.close_connection().arguments))
            try:
                wait(self._closing, deadline, "connection.close")
            except TimeoutError:
                log.warning("%s: the broker did not say goodbye in time", self.name)
            finally:
                self.fail(ConnectionLost(f"{self.name} was closed"))
        self._group.stop(deadline.sooner(1.0))
