"""Who may get how much: consumers with their prefetch, and the fair split of what was taken.  Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kombu_green.message import Message

__all__ = ["UNLIMITED_BATCH", "Consumer", "Share", "fair_shares", "rotated"]

#: how many a consumer without a prefetch limit takes at once
UNLIMITED_BATCH = 100


@dataclass(slots=True, eq=False)
class Consumer:
    """One basic.consume.  ``held`` counts what was asked for, waits in the inbox, or is not settled yet."""

    tag: str
    queue: str
    callback: Callable[[Message], None]
    prefetch: int  # 0 is no limit
    no_ack: bool = False
    held: int = 0
    cancelled: bool = False

    @property
    def free(self) -> int:
        """How many more it may hold."""
        return UNLIMITED_BATCH if not self.prefetch or self.no_ack else max(0, self.prefetch - self.held)


@dataclass(slots=True, eq=False)
class Share:
    """What one consumer asks for in one take."""

    consumer: Consumer
    count: int


def fair_shares(consumers: Iterable[Consumer]) -> tuple[list[Share], Mapping[str, int]]:
    """What each may still hold, and the same summed by queue; consumers that are full have no share."""
    shares = [Share(consumer, consumer.free) for consumer in consumers if not consumer.cancelled and consumer.free]
    wants: Counter[str] = Counter()
    for share in shares:
        wants[share.consumer.queue] += share.count
    return shares, wants


def takers(shares: Sequence[Share]) -> Mapping[str, Iterator[Consumer]]:
    """For each queue its consumers in turn, each as often as its share allows."""
    by_queue: dict[str, deque[Share]] = {}
    for share in shares:
        by_queue.setdefault(share.consumer.queue, deque()).append(share)
    return {queue: _in_turn(waiting) for queue, waiting in by_queue.items()}


def _in_turn(waiting: deque[Share]) -> Iterator[Consumer]:
    left = {id(share): share.count for share in waiting}
    while waiting:
        share = waiting.popleft()
        yield share.consumer
        left[id(share)] -= 1
        if left[id(share)]:
            waiting.append(share)


def rotated(consumers: Sequence[Consumer], start: int) -> Sequence[Consumer]:
    """The same consumers, beginning with another one: so that the first is not always first."""
    if len(consumers) < 2:
        return consumers
    cut = start % len(consumers)
    return [*consumers[cut:], *consumers[:cut]]
