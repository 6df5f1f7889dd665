"""Deliveries that came and were not handed to their consumers yet, for ``drain_events``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container
from typing import Final, NamedTuple

from gevent.hub import Hub

from kombu_green.clock import Deadline
from kombu_green.exceptions import OperationalError
from kombu_green.transport.amqp.consumers import Consumer
from kombu_green.transport.amqp.errors import again
from kombu_green.transport.amqp.events import Delivery
from kombu_green.transport.amqp.waiting import Gate

__all__ = ["Arrival", "Inbox"]

#: messages, and bytes of their bodies, beyond which the socket is not read: without a prefetch nothing else ends them
MOST_MESSAGES: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024


class Arrival(NamedTuple):
    consumer: Consumer
    delivery: Delivery


class Inbox:
    """First in, first out; *has_room* is told when it is no longer full.

    What went wrong with a channel that has consumers stands in it too, and is raised once.
    """

    def __init__(self, hub: Hub, has_room: Callable[[], None]) -> None:
        self.arrivals: deque[Arrival] = deque()
        #: whether nothing more should be read: from the bound on, until it is half empty
        self.full = False
        self._bytes = 0
        self._has_room: Final = has_room
        self._troubles: deque[OperationalError] = deque()
        self._gate: Final = Gate(hub)

    def __len__(self) -> int:
        return len(self.arrivals)

    def put(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self._bytes += len(arrival.delivery.body)
        if len(self.arrivals) >= MOST_MESSAGES or self._bytes >= MOST_BYTES:
            self.full = True

    def pop(self) -> Arrival:
        arrival = self.arrivals.popleft()
        self._bytes -= len(arrival.delivery.body)
        if self.full:
            self._look_for_room()
        return arrival

    def _look_for_room(self) -> None:
        if len(self.arrivals) * 2 <= MOST_MESSAGES and self._bytes * 2 <= MOST_BYTES:
            self.full = False
            self._has_room()

    def trouble(self, error: OperationalError) -> None:
        """Let the next one who drains know."""
        self._troubles.append(error)
        self._gate.let_in(1)

    def raise_trouble(self) -> None:
        if self._troubles:
            raise again(self._troubles.popleft())

    def announce(self) -> None:
        """Let go on as many of those who wait as there is something for."""
        if self.arrivals and len(self._gate):
            self._gate.let_in(len(self.arrivals))

    def wait(self, deadline: Deadline) -> None:
        """Until something may be there; ``TimeoutError`` at *deadline*."""
        self._gate.wait(deadline, "no message came in time")

    def take_out(self, consumers: Container[Consumer]) -> list[Arrival]:
        """What came for *consumers* and was not handed over."""
        taken = [arrival for arrival in self.arrivals if arrival.consumer in consumers]
        if taken:
            self.arrivals = deque(arrival for arrival in self.arrivals if arrival.consumer not in consumers)
            self._bytes -= sum(len(arrival.delivery.body) for arrival in taken)
            if self.full:
                self._look_for_room()
        return taken

    def close(self) -> None:
        """Nobody will get anything any more."""
        self.arrivals.clear()
        self._bytes = 0
        self.full = False
        self._gate.open()
