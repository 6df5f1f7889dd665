"""The broker at the other end of a connection: whether it is alive, and whether it accepts publishes."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from gevent.hub import Hub

from kombu_green.clock import Deadline
from kombu_green.exceptions import BrokerBlocked
from kombu_green.transport.amqp.socket.waiters import WaitQueue

__all__ = ["BlockedState", "HeartbeatTimer"]

log = logging.getLogger(__name__)


class HeartbeatTimer:
    """When a heartbeat is due, and when the broker counts as gone.  *interval*: seconds; 0 is no heartbeats at all.

    Both sides send something at least every half interval, and close the connection after two intervals of silence
    (specification, section 4.2.7; https://www.rabbitmq.com/heartbeats.html).
    """

    __slots__ = ("_last_sent", "_sends", "interval")

    def __init__(self, interval: float, now: float) -> None:
        self.interval: Final = interval
        self._sends = 0
        self._last_sent = now

    @property
    def pause(self) -> float:
        """Seconds between two checks."""
        return min(self.interval / 4, 1.0) if self.interval else 1.0

    def due(self, now: float, sends: int) -> bool:
        """Whether to send a heartbeat; *sends* counts all writes so far, as any write takes a heartbeat's place."""
        if sends != self._sends:
            self._sends = sends
            self._last_sent = now
        return bool(self.interval) and now - self._last_sent >= self.interval / 2 - self.pause

    def silent(self, now: float, heard: float) -> bool:
        """Whether two intervals have passed since *heard*, when the broker sent something last."""
        return bool(self.interval) and now - heard > 2 * self.interval


class BlockedState:
    """Whether the broker accepts publishes: it sends connection.blocked when memory or disk is short, and unblocked.

    Both changes are logged (https://www.rabbitmq.com/connection-blocked.html).
    """

    def __init__(self, hub: Hub, name: str) -> None:
        #: the broker's reason while it accepts no publishes, else None
        self.reason: str | None = None
        #: how often it has blocked this connection
        self.times = 0
        self._name: Final = name
        self._since = 0.0
        self._waiting: Final = WaitQueue(hub)

    def block(self, reason: str) -> None:
        """The broker sent connection.blocked."""
        if self.reason is None:
            self.times += 1
            self._since = monotonic()
            log.warning("%s: the broker takes no messages for now: %s", self._name, reason)
        self.reason = reason or "no reason given"

    def unblock(self) -> None:
        """The broker sent connection.unblocked."""
        if self.reason is not None:
            seconds = monotonic() - self._since
            log.info("%s: the broker takes messages again, after %.1f s", self._name, seconds)
        self.reason = None
        self._waiting.wake_all()

    def wait(self, deadline: Deadline, what: str) -> None:
        """Until it is unblocked or the connection has ended; ``TimeoutError`` at *deadline*."""
        self._waiting.wait(deadline, what)

    def connection_ended(self) -> None:
        """Wake all that wait; they find out themselves that the connection has ended."""
        self._waiting.wake_all()

    def deadline_error(self, error: TimeoutError) -> Exception:
        """The error for a publish whose deadline passed: *error*, or :exc:`BrokerBlocked` if that is the cause."""
        if self.reason is None:
            return error
        return BrokerBlocked(f"{error}: the broker takes no messages: {self.reason}")
