"""One socket and its actor: whatever any greenlet writes goes through one outbox, whatever comes is read by one reader.

A greenlet of its own reads what a ``recv`` brings, at once and whole, and hands it on: answers to those who wait for
them, deliveries to their channels.  It also goes on with writing when the socket has not taken everything.  Another
one sends heartbeats and notices when none come.  When the connection ends, for whatever reason, everybody who waits is
told why, the socket is closed, and both greenlets end.
"""

from __future__ import annotations

import logging
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
from kombu_green.green.group import Group, MayEnd
from kombu_green.transport.amqp import calls
from kombu_green.transport.amqp.blocking import Blocking
from kombu_green.transport.amqp.collecting import Collected
from kombu_green.transport.amqp.delivery import Decoder
from kombu_green.transport.amqp.errors import again, connection_error
from kombu_green.transport.amqp.events import Confirmed, Delivery, Event, Got, Method
from kombu_green.transport.amqp.frames import HEARTBEAT, method_frame
from kombu_green.transport.amqp.handshake import Tuning
from kombu_green.transport.amqp.heartbeat import Heart
from kombu_green.transport.amqp.inbox import Inbox
from kombu_green.transport.amqp.outbox import Outbox
from kombu_green.transport.amqp.parser import FrameParser
from kombu_green.transport.amqp.properties import PropertyPacker
from kombu_green.transport.amqp.rawchannel import NOBODY, Owner, RawChannel
from kombu_green.transport.amqp.waiting import wait, wake
from kombu_green.transport.amqp.watching import Watch

__all__ = ["AMQPConnection"]

log = logging.getLogger(__name__)

#: bytes that one ``recv`` may bring
CHUNK: Final = 256 * 1024


class AMQPConnection:
    """An open connection; made by :func:`~.opening.open_connection`.

    *answer_within*: seconds that the broker may take to answer a call; after that the connection is given up.
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
        self.server: Final = server  # the properties that the broker has introduced itself with
        self.packer: Final = PropertyPacker()
        self.decoder: Final = Decoder()
        self.collected: Final = Collected()
        self.blocking: Final = Blocking(self.hub, name)
        self._watch: Final = Watch(self.hub, socket.fileno())
        self.inbox: Final = Inbox(self.hub, self._watch.poke)
        self.outbox: Final = Outbox(self.hub, socket, self.collected.take, self._broken, self._watch.poke)
        self._socket: Final = socket
        self._parser: Final = parser
        self._channels: dict[int, RawChannel] = {}
        parser.channels = self._channels
        self._last_number = 0
        self._heard = monotonic()
        self._ended: OperationalError | None = None
        self._closing: Waiter[Any] | None = None
        self._stopped: Final = Signal()
        self._group: Final = Group(name, self._greenlet_failed)
        self._group.start()
        self._group.spawn(self._read_and_write, name="reader", on_end=MayEnd())
        self._group.spawn(self._keep, name="heartbeat", on_end=MayEnd())

    @property
    def blocked(self) -> str | None:
        """What the broker said when it asked publishers to wait; None while it takes messages."""
        return self.blocking.reason

    @property
    def is_open(self) -> bool:
        return self._ended is None and self._closing is None

    @property
    def closing(self) -> bool:
        """Whether this side is ending it, or has ended it."""
        return self._closing is not None

    def check(self) -> None:
        """Raise why it ended, if it did."""
        if self._ended is not None:
            raise again(self._ended)
        if self._closing is not None:
            raise ConnectionLost(f"{self.name} is being closed")

    @property
    def elsewhere(self) -> bool:
        """Whether the caller is in another native thread than the one that opened it: in an offloaded callback."""
        return get_hub() is not self.hub

    def check_thread(self) -> None:
        """Raise ``RuntimeError`` :attr:`elsewhere`."""
        if self.elsewhere:
            raise RuntimeError(
                f"{self.name} belongs to the native thread that opened it, and this is another one:"
                " a callback that is offloaded publishes over a connection of its own"
            )

    # -- channels

    def open_channel(self, owner: Owner, deadline: Deadline) -> RawChannel:
        """A new channel; :exc:`ChannelLimitExceeded` when the broker allows no more, which it would punish."""
        self.check()
        raw = RawChannel(self, self._free_number(), owner)
        self._channels[raw.number] = raw
        try:
            raw.call(calls.open_channel(), deadline)
        except BaseException:
            if raw.is_open:  # nobody waits for the answer; when it comes the channel shall not stay
                raw.owner = NOBODY
                self.later(raw.close)
            raise
        return raw

    def later(self, function: Callable[[Deadline], object]) -> None:
        """Call *function* in a greenlet of its own: something that has to be put right, and nobody can wait for."""
        if self._ended is None:
            self._group.spawn(self._quietly, function, name="afterwards", on_end=MayEnd())

    def _quietly(self, function: Callable[[Deadline], object]) -> None:
        try:
            function(Deadline.after(self.answer_within))
        except (OperationalError, TimeoutError) as error:
            log.debug("%s: afterwards: %s", self.name, error)

    def _free_number(self) -> int:
        # in turn: a number that was just given up may still be spoken of
        most = self.tuning.channel_max
        for _ in range(most):
            self._last_number = self._last_number % most + 1
            if self._last_number not in self._channels:
                return self._last_number
        raise ChannelLimitExceeded(f"{self.name}: all {most} channels that the broker allows are open")

    def forget(self, raw: RawChannel) -> None:
        """It has ended, so its number is free."""
        self._channels.pop(raw.number, None)

    # -- writing

    def write_soon(self, frames: bytes) -> None:
        """Frames that go out at the end of the hub's turn, for which the caller then waits.

        What was settled before goes out before: a channel's acks must not come after its end.
        """
        settled = self.collected.take()
        self.outbox.put(settled + frames if settled else frames)
        self.outbox.flush_soon()
        if self.inbox.full:
            self._watch.poke()  # the answer has to be read, whatever stands before it

    def wrote(self) -> None:
        """Something is to be sent for which nobody waits: at once, unless the hub is sure to turn soon."""
        collected = self.collected
        if not collected.relaxed:
            self.outbox.flush()
        elif collected.add():
            self.outbox.flush_soon()
        elif collected.many:
            self.outbox.flush()

    def wait_for_room(self, deadline: Deadline, what: str) -> None:
        """Wait until the broker takes messages and the socket has room; :exc:`BrokerBlocked`, or ``TimeoutError``."""
        while True:
            self.check()
            try:
                if self.blocking.reason is not None:
                    self.blocking.wait(deadline, what)
                elif self.outbox.full:
                    self.outbox.wait_for_room(deadline, what)
                else:
                    return
            except TimeoutError as error:
                raise self.blocking.too_late(error) from None

    # -- reading

    def read(self) -> None:
        """Take in what is there now; never waits."""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(error)
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
            self._refuse(error)
        self.inbox.announce()

    def _dispatch(self, event: Event) -> None:
        if event.channel == 0:
            self._about_itself(event)
            return
        if self._closing is not None or self._ended is not None:
            return
        raw = self._channels.get(event.channel)
        if raw is None:
            if isinstance(event, Method) and event.method == calls.CHANNEL_CLOSE_OK:
                return  # both sides closed it at the same time
            raise ProtocolError(f"something came on channel {event.channel}, which is not open")
        if isinstance(event, Delivery):
            raw.owner.delivered(event)
        elif isinstance(event, Confirmed):
            raw.owner.confirmed(event)
        elif isinstance(event, Method):
            raw.received(event)
        elif isinstance(event, Got):
            raw.got(event)
        else:
            raw.owner.returned(event)

    def _about_itself(self, event: Event) -> None:
        method = event.method if isinstance(event, Method) else 0
        arguments = event.arguments if isinstance(event, Method) else b""
        if method == calls.CONNECTION_CLOSE:
            code, text = calls.read_close(arguments)
            self.outbox.put(method_frame(0, calls.CONNECTION_CLOSE_OK, b""))
            self.outbox.flush()
            self.fail(connection_error(code, text, opening=False))
        elif method == calls.CONNECTION_CLOSE_OK and self._closing is not None:
            wake(self.hub, self._closing)
        elif method == calls.CONNECTION_BLOCKED:
            self.blocking.begin(calls.read("s", arguments)[0])
        elif method == calls.CONNECTION_UNBLOCKED:
            self.blocking.end()
        else:
            raise ProtocolError(f"method {method:#x} came on channel 0")

    def drain(self, deadline: Deadline) -> None:
        """Hand one delivery to its consumer; ``TimeoutError`` when none came by *deadline*."""
        inbox = self.inbox
        if not inbox.arrivals:
            self._await_arrival(deadline)
        arrival = inbox.pop()
        self.collected.relaxed += 1
        try:
            arrival.consumer.hand_over(arrival.delivery)
        finally:
            self.collected.relaxed -= 1
            if not inbox.arrivals or self.collected.enough:
                self.outbox.flush()

    def _await_arrival(self, deadline: Deadline) -> None:
        inbox = self.inbox
        self.outbox.flush()
        self.check()
        self.read()
        while not inbox.arrivals:
            self.check()
            inbox.raise_trouble()
            inbox.wait(deadline)

    # -- its greenlets

    @property
    def _paused(self) -> bool:
        return self.inbox.full and not any(raw.expects for raw in self._channels.values())

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

    def _keep(self) -> None:
        heart = Heart(self.tuning.heartbeat, monotonic())
        while not self._stopped.wait(heart.pause):
            now = monotonic()
            if heart.due(now, self.outbox.sends):
                self.outbox.put(HEARTBEAT)
                self.outbox.flush()
            if heart.silent(now, self._heard) and not self._paused:
                self.read()  # the hub may have been held up, and what has come waits to be read
                if heart.silent(now, self._heard):
                    self.fail(ConnectionLost(f"{self.name}: nothing was heard for {now - self._heard:.0f} s"))
            self._look_for_the_unanswered(now)

    def _look_for_the_unanswered(self, now: float) -> None:
        times = [raw.unanswered_since for raw in self._channels.values()]
        if self.blocking.reason is None and any(since and now - since > self.answer_within for since in times):
            self.fail(ConnectionLost(f"{self.name}: a call was not answered within {self.answer_within:g} s"))

    def _greenlet_failed(self, name: str, error: BaseException | None) -> None:
        self.fail(ConnectionLost(f"{self.name}: {name} failed: {error!r}"))

    # -- the end

    def _broken(self, error: OSError) -> None:
        self.fail(ConnectionLost(f"{self.name} broke: {error}"))

    def _refuse(self, error: ProtocolError) -> None:
        """Say goodbye with the reason, as far as that still works."""
        log.error("%s: %s; the connection is closed", self.name, error)
        self.outbox.put(method_frame(0, calls.CONNECTION_CLOSE, calls.arguments("BsBB", 501, str(error)[:200], 0, 0)))
        self.outbox.flush()
        self.fail(error)

    def fail(self, error: OperationalError) -> None:
        """It has ended because of *error*: tell everybody.  Never waits; the second time does nothing."""
        if self._ended is not None:
            return
        self._ended = error
        self.outbox.close()
        for raw in list(self._channels.values()):
            raw.end(error)
        self.inbox.close()
        self.blocking.let_go()
        self._stopped.set()
        if self._closing is not None:
            wake(self.hub, self._closing)
        self._watch.poke()

    def close(self, deadline: Deadline) -> None:
        """End it in good order: what was written goes out first.  Closing twice does nothing."""
        if self._ended is None and self._closing is None:
            self._closing = Waiter(self.hub)
            self.write_soon(method_frame(0, calls.CONNECTION_CLOSE, calls.close_connection().arguments))
            try:
                wait(self._closing, deadline, "connection.close")
            except TimeoutError:
                log.warning("%s: the broker did not say goodbye in time", self.name)
            finally:
                self.fail(ConnectionLost(f"{self.name} was closed"))
        self._group.stop(deadline.sooner(1.0))
