"""Looking through a queue without changing it: everything that is looked at is taken, held, and given back in the end.

A message that was given back at once would be the next one again.  So a look holds what it has seen until it is over:
others do not see those messages meanwhile, and cannot be given them twice.  They go back to where they were when the
channel closes; when the process is killed, as soon as the broker notices (RabbitMQ: at once, a store: at the end of a
lease, for which reason it is short here).

One thing does change: in a quorum queue each look counts as a delivery (dead queues that kombu_green declares are
classic ones, unless the virtual host has another default).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gevent.event import Event

from kombu_green.channel import Channel
from kombu_green.clock import Deadline, deadline_scope
from kombu_green.config.settings import Settings
from kombu_green.dead_letters.arguments import Arguments
from kombu_green.dispatch.accounts import Account
from kombu_green.exceptions import KombuError, NotFound, UnsupportedOption
from kombu_green.message import Message
from kombu_green.worker.connections import Connections
from kombu_green.worker.parts import connection_to

__all__ = ["Browser", "Letter", "NoSuchQueue", "browsing"]

_LEASE: Final = 20.0  # seconds; what is lost sight of by a kill -9 is back in its queue by then
_ANSWER_WITHIN: Final = 15.0  # seconds


class NoSuchQueue(KombuError):
    """There is no queue of that name."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, taken; ``number`` is its place among all that were there, from 1."""

    number: int
    message: Message
    account: Account


class Browser:
    """The dead letters of one queue, taken one after another; ``publish_on`` gives a channel for what goes out."""

    def __init__(self, connections: Connections, arguments: Arguments, stop: Event) -> None:
        self._connections: Final = connections
        self._arguments: Final = arguments
        self._stop: Final = stop
        self._channel: Final = connections.consuming.channel()
        #: how many could be taken at the beginning, and how many consumers there are that may hold more
        self.ready, self.consumers = self._look()
        self.seen = 0
        #: the highest count of deliveries that a quorum queue told
        self.deliveries = 0

    def letters(self) -> Iterator[Letter]:
        """Those that are asked for, oldest first: of as many as were there at the beginning, so that it ends.

        Ends early, too, once somebody wants to stop.
        """
        matched, now = 0, datetime.now(UTC)
        while self.seen < self.ready and not self._stop.is_set() and matched != self._arguments.limit:
            with deadline_scope(Deadline.after(_ANSWER_WITHIN)):
                message = self._channel.basic_get(self._arguments.queue)
            if message is None:  # somebody else was faster
                return
            self.seen += 1
            count = message.headers.get("x-delivery-count")
            self.deliveries = max(self.deliveries, count if isinstance(count, int) else 0)
            letter = Letter(self.seen, message, Account.of(message.headers, message.properties))
            if all(holds(letter.account, now) for holds in self._arguments.conditions):
                matched += 1
                yield letter

    def publishing(self) -> Channel:
        return self._connections.channel()

    def close(self) -> None:
        """Give back what was taken and not settled."""
        self._channel.close()

    def _look(self) -> tuple[int, int]:
        name = self._arguments.queue
        try:
            with deadline_scope(Deadline.after(_ANSWER_WITHIN)):
                found = self._channel.queue_declare(name, passive=True)
        except NotFound:
            raise NoSuchQueue(name) from None
        return found.message_count, found.consumer_count


@contextmanager
def browsing(settings: Settings, arguments: Arguments, stop: Event) -> Iterator[Browser]:
    """Connected, and what was taken is given back at the end; *stop* ends the look early."""
    connections = Connections(connection_to(settings, longest_lease=_LEASE))
    try:
        if not connections.consuming.connect().capabilities.shared:
            raise UnsupportedOption(
                f"{connections.consuming.as_uri()}: the queues of this broker are inside of the process that uses them:"
                " nobody else can look at its dead letters",
                "url",
            )
        browser = Browser(connections, arguments, stop)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        connections.close()
