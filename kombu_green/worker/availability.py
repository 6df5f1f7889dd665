"""Whether a worker does what it was started for, and since when and why not.

A worker is *away* while one of its consumers is not registered, or while the broker does not answer.  The first is
known when a connection is lost or an operation is refused.  The second is looked at twice a second: a store whose
database is locked by another program ends no connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

import gevent

from kombu_green.clock import Deadline
from kombu_green.green.group import Group
from kombu_green.ipc.phases import Phase
from kombu_green.service import Service
from kombu_green.worker.consumer import QueueConsumer

__all__ = ["UNANSWERED", "BrokerAvailability", "OutageLog"]

log = logging.getLogger(__name__)

#: why a worker is away whose consumers are registered
UNANSWERED: Final = "the broker has not answered a call for 2 s or more"

_LOOK_EVERY: Final = 0.5  # seconds
_UNANSWERED_AFTER: Final = 1.5  # seconds; two looks have to find that the same call waits so long
_FIRST_AGAIN: Final = 30.0  # seconds from the first line about an outage to the second one
_LONGEST_AGAIN: Final = 3600.0  # seconds between two lines, at most


class OutageLog:
    """When to write a line about an outage: after 30 s, then after twice as long each time, at last every hour."""

    def __init__(self, began: float) -> None:
        self.began: Final = began
        self._gap = _FIRST_AGAIN
        self._next = began + self._gap

    def due(self, now: float) -> bool:
        """Whether to write a line now; after that the next one is due later."""
        if now < self._next:
            return False
        self._gap = min(2 * self._gap, _LONGEST_AGAIN)
        self._next = now + self._gap
        return True


class BrokerAvailability(Service):
    """Calls *on_phase* when a worker becomes ready, stands by, or is away.

    *waiting_since* returns the monotonic time since which a call waits for the broker's answer, None if none does.
    Before the worker was ready or stood by for the first time it is not away: it starts.
    """

    def __init__(
        self,
        consumers: Sequence[QueueConsumer],
        waiting_since: Callable[[], float | None],
        on_phase: Callable[[Phase], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        #: why it is away; empty while it is not
        self.reason = ""
        self._consumers: Final = consumers
        self._waiting_since: Final = waiting_since
        self._on_phase: Final = on_phase
        self._on_failure: Final = on_failure
        self._served = False
        self._waits: float | None = None  # what the last look found that a call waits since
        self._unanswered = False
        self._outage: OutageLog | None = None
        self._told = False  # about this outage, here
        self._group: Group

    def on_start(self) -> None:
        self._group = Group("availability", lambda name, error: self._on_failure(error or RuntimeError(name)))
        self._group.start()
        self._group.spawn(self._look_again_and_again, name="availability")

    def on_stop(self, deadline: Deadline) -> None:
        self._group.stop(deadline)

    def update(self) -> None:
        """A consumer was registered, stands by, or is not registered any more."""
        if not self.running:
            return
        self.reason = self._reason()
        self._log(monotonic())
        if self.reason:
            if self._served:
                self._on_phase(Phase.AWAY)
            return
        self._served = True
        self._on_phase(Phase.READY if all(one.ready.is_set() for one in self._consumers) else Phase.STANDBY)

    def _reason(self) -> str:
        absent = [one for one in self._consumers if not one.ready.is_set() and not one.stands_by]
        if absent:
            others = f" (and {len(absent) - 1} other queues)" if len(absent) > 1 else ""
            return f"{absent[0].queue.name}{others}: {absent[0].trouble or 'not consuming yet'}"
        return UNANSWERED if self._unanswered else ""

    def _look_again_and_again(self) -> None:
        while True:
            gevent.sleep(_LOOK_EVERY)
            before, self._waits = self._waits, self._waiting_since()
            self._unanswered = (
                self._waits is not None and self._waits == before and monotonic() - self._waits > _UNANSWERED_AFTER
            )
            if self._outage is not None or self._unanswered:
                self.update()

    def _log(self, now: float) -> None:
        """What the consumers do not say: that the broker does not answer, and that an outage goes on."""
        if not self.reason:
            if self._outage is not None and self._told:
                log.info("the broker answers again, after %.0f s", now - self._outage.began)
            self._outage, self._told = None, False
            return
        if self._outage is None:
            self._outage = OutageLog(now)
        if self._outage.due(now):
            log.warning("not consuming for %.0f s: %s", now - self._outage.began, self.reason)
            self._told = True
        elif self.reason == UNANSWERED and not self._told:
            log.warning("%s: another program may have locked it, or it is overloaded; waiting", self.reason)
            self._told = True
