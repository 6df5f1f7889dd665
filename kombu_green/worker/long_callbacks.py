"""Names in the log each callback that has held its message for half of the broker's limit, once.

RabbitMQ closes the channel of a consumer that holds a message for longer than ``consumer_timeout``, and a client cannot
extend that time.  The rows of the flight recorder say since when each callback runs, so that handling a message costs
nothing for this.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Final

import gevent

from kombu_green.clock import Deadline
from kombu_green.green.group import Group, Restart
from kombu_green.ipc.recorder import Recorder, Row
from kombu_green.service import Service
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["LongCallbacks", "hold_limits"]

log = logging.getLogger(__name__)

_LOOKS: Final = 20  # at the rows, within the shortest limit

_ADVICE: Final = (
    "%s runs for %.1f s, half of the %g s for which the broker lets a message be held: after that it closes the"
    " consumer's channel, and delivers again this message and all that are held beside it. For work that takes longer,"
    " set ack = early in its [consumer:NAME], a longer x-consumer-timeout of the queue, or a longer consumer_timeout of"
    " the broker"
)


def hold_limits(specs: Iterable[ConsumerSpec], consumer_timeout: float) -> dict[str, float]:
    """Seconds that a message of each queue may be held: the queue's ``x-consumer-timeout`` (ms), or *consumer_timeout*.

    A limit of 0 is none, and its queue is left out.  So is a queue whose messages are acked early: they are not held.
    """
    limits = {spec.queue.name: _own_limit(spec) or consumer_timeout for spec in specs if not spec.early}
    return {queue: seconds for queue, seconds in limits.items() if seconds}


def _own_limit(spec: ConsumerSpec) -> float | None:
    own = spec.queue.queue_arguments.get("x-consumer-timeout")
    return own / 1000 if type(own) is int and own > 0 else None


class LongCallbacks(Service):
    """Looks at the rows of *recorder*; *limits* are seconds by queue, and a queue that is not in them has none."""

    def __init__(self, recorder: Recorder, limits: Mapping[str, float]) -> None:
        self._recorder: Final = recorder
        self._limits: Final = limits
        self._group: Group

    def on_start(self) -> None:
        self._group = Group("long callbacks", lambda name, error: None)
        self._group.start()
        if self._limits:
            self._group.spawn(self._watch, name="watch", on_end=Restart())

    def on_stop(self, deadline: Deadline) -> None:
        self._group.stop(deadline)

    def _watch(self) -> None:
        named: set[tuple[int, float]] = set()  # number and since of a row: no two messages share both
        while True:
            gevent.sleep(min(self._limits.values()) / _LOOKS)
            rows, now = self._recorder.running(), monotonic()
            named &= {(row.number, row.since) for row in rows}
            for row in rows:
                limit = self._limits.get(row.queue)
                if limit is not None and now - row.since >= limit / 2 and (row.number, row.since) not in named:
                    named.add((row.number, row.since))
                    _warn(row, now - row.since, limit)


def _warn(row: Row, seconds: float, limit: float) -> None:
    fields = {
        "event": "long callback",
        "queue": row.queue,
        "callback": row.callback,
        "key": row.key.hex(),
        "message_id": row.message_id,
        "seconds": seconds,
        "limit": limit,
    }
    log.warning(_ADVICE, row, seconds, limit, extra=fields)
