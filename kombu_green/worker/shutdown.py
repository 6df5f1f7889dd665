"""Stopping a worker without losing a message.

In this order: cancel the consumers and requeue what was not begun; let running callbacks finish until the deadline;
kill the slots that still run one; close the channels, which requeues their messages.  The worker closes its
connections after that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import gevent
from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.ipc.phases import Phase
from kombu_green.worker.consumer import QueueConsumer

__all__ = ["Shutdown"]

_KILL_TIMEOUT: Final = 1.0  # seconds, for slots that were killed to end


class Shutdown:
    """One stop of a worker; :meth:`hasten` brings its deadline forward while it is under way."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._hastened = Event()

    def hasten(self, deadline: Deadline) -> None:
        left, asked = self._deadline.remaining(), deadline.remaining()
        if asked is not None and (left is None or asked < left):
            self._deadline = deadline
            self._hastened.set()

    def run(self, consumers: Sequence[QueueConsumer], on_phase: Callable[[Phase], None]) -> int:
        """Returns how many messages were requeued unfinished; *on_phase* is called at each step."""
        on_phase(Phase.QUIET)
        for consumer in consumers:
            consumer.quiet()
        on_phase(Phase.DRAINING)
        for consumer in consumers:
            self._wait(consumer.slots.idle)
        unfinished = sum(consumer.slots.busy for consumer in consumers)
        on_phase(Phase.STOPPING)
        for consumer in consumers:
            consumer.stop(Deadline.after(_KILL_TIMEOUT))
        return unfinished

    def _wait(self, idle: Event) -> None:
        while not idle.is_set() and not self._deadline.expired:
            gevent.wait([idle, self._hastened], timeout=self._deadline.remaining(), count=1)
            self._hastened.clear()
