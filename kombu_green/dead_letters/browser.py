"""Reading the dead letters of a queue without changing it: they are taken, held, and given back at the end.

A message that was given back at once would be the next one that the broker delivers.  So all messages that were read
are held until the end; other consumers do not get them meanwhile.  When the channel is closed they return to their
places in the queue.  When this process is killed they return as soon as the broker notices that: RabbitMQ at once, a
store at the end of the lease, which is short here for that reason.

One thing does change: in a quorum queue each reading counts as a delivery.  (The dead queues that kombu_green declares
are classic queues, unless the virtual host has another default.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gevent.event import Event

from kombu_green.channel import Channel
from kombu_green.clock import Deadline, deadline_scope
from kombu_green.config.settings import Settings
from kombu_green.dead_letters.conditions import Condition
from kombu_green.dead_letters.record import DeadLetterRecord
from kombu_green.exceptions import KombuError, NotFound, UnsupportedOption
from kombu_green.message import Message
from kombu_green.worker.connections import Connections
from kombu_green.worker.parts import connection_to

__all__ = ["DeadLetterBrowser", "DeadLetterMessage", "NoSuchQueue", "Selection", "open_browser"]

_LEASE: Final = 20.0  # seconds after which a killed browser's messages are back in their queue
_ANSWER_WITHIN: Final = 15.0  # seconds for each answer of the broker


class NoSuchQueue(KombuError):
    """The queue does not exist."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant: the first *limit* (None: all) in *queue* for which all *conditions* hold."""

    queue: str
    conditions: Sequence[Condition] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterMessage:
    """A dead letter that is held; ``number`` counts all messages of the queue from 1, oldest first."""

    number: int
    message: Message
    record: DeadLetterRecord


class DeadLetterBrowser:
    """Takes the dead letters of one queue, one after another, until *stop* is set.

    Raises :exc:`NoSuchQueue`.  ``ready`` is the number of messages in the queue at the beginning that no consumer held,
    ``consumers`` the number of consumers that may hold more, and ``seen`` the number of messages taken so far.
    """

    def __init__(self, connections: Connections, selection: Selection, stop: Event) -> None:
        self._connections: Final = connections
        self._selection: Final = selection
        self._stop: Final = stop
        self._channel: Final = connections.consuming.channel()
        self.ready, self.consumers = self._queue_size()
        self.seen = 0
        self.most_deliveries = 0
        """The highest delivery count of the messages seen; only quorum queues count."""

    def dead_letters(self) -> Iterator[DeadLetterMessage]:
        """The selected dead letters, oldest first.

        At most :attr:`ready` messages are taken, so that this ends even if new ones arrive all the time.
        """
        matched, now = 0, datetime.now(UTC)
        while self.seen < self.ready and not self._stop.is_set() and matched != self._selection.limit:
            with deadline_scope(Deadline.after(_ANSWER_WITHIN)):
                message = self._channel.basic_get(self._selection.queue)
            if message is None:  # another consumer took the rest
                return
            self.seen += 1
            count = message.headers.get("x-delivery-count")
            self.most_deliveries = max(self.most_deliveries, count if isinstance(count, int) else 0)
            record = DeadLetterRecord.of(message.headers, message.properties)
            if all(holds(record, now) for holds in self._selection.conditions):
                matched += 1
                yield DeadLetterMessage(self.seen, message, record)

    def publish_channel(self) -> Channel:
        """A channel to publish on; some transports publish over a connection of their own."""
        return self._connections.channel()

    def close(self) -> None:
        """Give back all messages that were not settled."""
        self._channel.close()

    def _queue_size(self) -> tuple[int, int]:
        queue = self._selection.queue
        try:
            with deadline_scope(Deadline.after(_ANSWER_WITHIN)):
                found = self._channel.queue_declare(queue, passive=True)
        except NotFound:
            raise NoSuchQueue(queue) from None
        return found.message_count, found.consumer_count


@contextmanager
def open_browser(settings: Settings, selection: Selection, stop: Event) -> Iterator[DeadLetterBrowser]:
    """A browser on the broker of *settings*; at the end of the ``with`` block all that is held is given back.

    Raises :exc:`~kombu_green.exceptions.UnsupportedOption` if other processes cannot reach the broker's queues.
    """
    connections = Connections(connection_to(settings, longest_lease=_LEASE))
    try:
        if not connections.consuming.connect().capabilities.shared:
            raise UnsupportedOption(
                f"{connections.consuming.as_uri()}: the queues of this broker are inside of the process that uses them:"
                " another process cannot look at its dead letters",
                "url",
            )
        browser = DeadLetterBrowser(connections, selection, stop)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        connections.close()
