"""Who has held a message for half of the time after which the broker takes it back: told to the log, once.

RabbitMQ closes the channel of whoever holds a message for longer than its ``consumer_timeout``, and no client can renew
that.  The flight recorder says since when each callback runs; a look at it is due when the first of them may have
reached its half.  So a message costs nothing, and an idle process next to nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Final

import gevent

from kombu_green.clock import Deadline
from kombu_green.entity import Queue
from kombu_green.green.group import Group, Restart
from kombu_green.ipc.recorder import Recorder, Row
from kombu_green.service import Service
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["Overstays", "longest_stays", "overstaying"]

log = logging.getLogger(__name__)

_SOONEST: Final = 0.01  # seconds between two looks, at least
Beginning = tuple[int, float]  # a row's number and its since: no other message has both


def longest_stays(specs: Iterable[ConsumerSpec], otherwise: float) -> dict[str, float]:
    """Seconds that a message of each queue may be held: as the queue says itself (``x-consumer-timeout``, in ms), or
    *otherwise*.  A queue with no end (0) is not in it, nor one whose messages are acked early: nobody holds them."""
    found = {spec.queue.name: _own_stay(spec.queue) or otherwise for spec in specs if not spec.early}
    return {queue: seconds for queue, seconds in found.items() if seconds}


def _own_stay(queue: Queue) -> float | None:
    own = queue.queue_arguments.get("x-consumer-timeout")
    return own / 1000 if type(own) is int and own > 0 else None


def overstaying(
    rows: Iterable[Row], stays: Mapping[str, float], told: frozenset[Beginning], now: float
) -> tuple[list[Row], float]:
    """The rows that have reached half of what *stays* allows their queue, without those that were *told*; and when to
    look again."""
    found, looks = [], [now + min(stays.values()) / 2]
    for row in rows:
        stay = stays.get(row.queue)
        if stay is None or (row.number, row.since) in told:
            continue
        half = row.since + stay / 2
        if half <= now:
            found.append(row)
        else:
            looks.append(half)
    return found, min(looks)


class Overstays(Service):
    """Tells of callbacks that run for half of *stays*: seconds by queue; a queue that is not in it has no end."""

    def __init__(self, recorder: Recorder, stays: Mapping[str, float]) -> None:
        self._recorder: Final = recorder
        self._stays: Final = stays
        self._told: frozenset[Beginning] = frozenset()
        self._group: Group

    def on_start(self) -> None:
        self._group = Group("overstays", lambda name, error: None)
        self._group.start()
        if self._stays:
            self._group.spawn(self._watch, name="watch", on_end=Restart())

    def on_stop(self, deadline: Deadline) -> None:
        self._group.stop(deadline)

    def _watch(self) -> None:
        while True:
            now = monotonic()
            rows = self._recorder.running()
            found, next_look = overstaying(rows, self._stays, self._told, now)
            for row in found:
                self._tell(row, now - row.since)
            present = {(row.number, row.since) for row in rows}
            self._told = (self._told & present).union((row.number, row.since) for row in found)
            gevent.sleep(max(_SOONEST, next_look - monotonic()))

    def _tell(self, row: Row, seconds: float) -> None:
        stay = self._stays[row.queue]
        log.warning(
            "%s runs for %.1f s, half of the %g s for which the broker lets a message be held: after that it closes the"
            " consumer's channel, and hands out again this message and all that are held beside it. Work that takes"
            " longer wants ack = early in its [consumer:NAME], a longer x-consumer-timeout of the queue, or a longer"
            " consumer_timeout of the broker",
            row,
            seconds,
            stay,
            extra={
                "event": "overstays",
                "queue": row.queue,
                "callback": row.callback,
                "key": row.key.hex(),
                "message_id": row.message_id,
                "seconds": seconds,
                "limit": stay,
            },
        )
