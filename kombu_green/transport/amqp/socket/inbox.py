"""Deliveries that have arrived and wait for ``drain_events`` to hand them to their consumers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from typing import Final, NamedTuple, Protocol

from gevent.hub import Hub

from kombu_green.clock import Deadline
from kombu_green.exceptions import OperationalError
from kombu_green.transport.amqp.protocol.errors import copy_error
from kombu_green.transport.amqp.protocol.parser import Delivery
from kombu_green.transport.amqp.socket.waiters import WaitQueue

__all__ = ["Arrival", "DeliveryTarget", "Inbox"]

# The socket is not read while the inbox holds more than this many messages, or bytes of bodies: a consumer without
# prefetch has no other limit.
MOST_MESSAGES: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024


class DeliveryTarget(Protocol):
    """What a delivery is handed to: a consumer."""

    def hand_over(self, delivery: Delivery) -> None: ...


class Arrival(NamedTuple):
    """A delivery and its consumer."""

    consumer: DeliveryTarget
    delivery: Delivery


class Inbox:
    """A queue of arrivals; *has_room* is called when it is no longer :attr:`full`.

    Errors of channels that have consumers are kept here too; each is raised once, by the next ``drain_events``.
    """

    def __init__(self, hub: Hub, has_room: Callable[[], None]) -> None:
        self.arrivals: deque[Arrival] = deque()
        #: whether the socket must not be read: from the bound on, until the inbox is half empty
        self.full = False
        self._bytes = 0
        self._has_room: Final = has_room
        self._errors: deque[OperationalError] = deque()
        self._waiting: Final = WaitQueue(hub)

    def __len__(self) -> int:
        return len(self.arrivals)

    def put(self, arrival: Arrival) -> None:
        """Append *arrival*; :meth:`announce` wakes those that wait for it."""
        self.arrivals.append(arrival)
        self._bytes += len(arrival.delivery.body)
        if len(self.arrivals) >= MOST_MESSAGES or self._bytes >= MOST_BYTES:
            self.full = True

    def pop(self) -> Arrival:
        """Take the oldest arrival."""
        arrival = self.arrivals.popleft()
        self._bytes -= len(arrival.delivery.body)
        if self.full:
            self._check_room()
        return arrival

    def _check_room(self) -> None:
        if len(self.arrivals) * 2 <= MOST_MESSAGES and self._bytes * 2 <= MOST_BYTES:
            self.full = False
            self._has_room()

    def put_error(self, error: OperationalError) -> None:
        """Let one greenlet that drains raise *error*."""
        self._errors.append(error)
        self._waiting.wake_first(1)

    def raise_error(self) -> None:
        """Raise the oldest error, if there is one."""
        if self._errors:
            raise copy_error(self._errors.popleft())

    def announce(self) -> None:
        """Wake as many waiting greenlets as there are arrivals."""
        if self.arrivals and len(self._waiting):
            self._waiting.wake_first(len(self.arrivals))

    def wait(self, deadline: Deadline) -> None:
        """Until there may be an arrival or an error; ``TimeoutError`` at *deadline*."""
        self._waiting.wait(deadline, "no message came in time")

    def take_out(self, consumers: Container[DeliveryTarget]) -> list[Arrival]:
        """Remove all arrivals of *consumers*, and return them in order."""
        taken = [arrival for arrival in self.arrivals if arrival.consumer in consumers]
        if taken:
            self.arrivals = deque(arrival for arrival in self.arrivals if arrival.consumer not in consumers)
            self._bytes -= sum(len(arrival.delivery.body) for arrival in taken)
            if self.full:
                self._check_room()
        return taken

    def close(self) -> None:
        """Drop all arrivals, and wake all that wait."""
        self.arrivals.clear()
        self._bytes = 0
        self.full = False
        self._waiting.wake_all()
