"""Consumers with their prefetch limits, and the fair division of a take among them.  Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kombu_green.message import Message

__all__ = ["UNLIMITED_BATCH", "Share", "VirtualConsumer", "fair_shares", "rotated", "takers"]

#: how many messages a consumer without a prefetch limit takes at once
UNLIMITED_BATCH: Final = 100


@dataclass(slots=True, eq=False)
class VirtualConsumer:
    """A consumer that basic.consume began.

    ``held`` counts the messages that were asked for, are queued for its callback, or are not settled yet.
    """

    tag: str
    queue: str
    callback: Callable[[Message], None]
    prefetch: int  # 0 is no limit
    no_ack: bool = False
    held: int = 0
    cancelled: bool = False

    @property
    def free(self) -> int:
        """How many more messages it may take."""
        return UNLIMITED_BATCH if not self.prefetch or self.no_ack else max(0, self.prefetch - self.held)


@dataclass(slots=True, eq=False)
class Share:
    """How many messages one consumer asks for in one take."""

    consumer: VirtualConsumer
    count: int


def fair_shares(consumers: Iterable[VirtualConsumer]) -> tuple[list[Share], Mapping[str, int]]:
    """What each consumer may still take, and the sum by queue.  Consumers that are full or cancelled have no share."""
    shares = [Share(consumer, consumer.free) for consumer in consumers if not consumer.cancelled and consumer.free]
    wants: Counter[str] = Counter()
    for share in shares:
        wants[share.consumer.queue] += share.count
    return shares, wants


def takers(shares: Sequence[Share]) -> Mapping[str, Iterator[VirtualConsumer]]:
    """For each queue its consumers in turn, each as often as its share allows."""
    by_queue: dict[str, deque[Share]] = {}
    for share in shares:
        by_queue.setdefault(share.consumer.queue, deque()).append(share)
    return {queue: _in_turn(waiting) for queue, waiting in by_queue.items()}


def _in_turn(waiting: deque[Share]) -> Iterator[VirtualConsumer]:
    left = {id(share): share.count for share in waiting}
    while waiting:
        share = waiting.popleft()
        yield share.consumer
        left[id(share)] -= 1
        if left[id(share)]:
            waiting.append(share)


def rotated(consumers: Sequence[VirtualConsumer], start: int) -> Sequence[VirtualConsumer]:
    """The same consumers, beginning at position *start* modulo their number, so that no one is always first."""
    if len(consumers) < 2:
        return consumers
    cut = start % len(consumers)
    return [*consumers[cut:], *consumers[:cut]]
