"""One connection to a store: its channels, what they take from the store, and waiting for more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from gevent.lock import BoundedSemaphore

from kombu_green.capabilities import Capabilities
from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import ConnectionLost, MessageStateError
from kombu_green.green.timeouts import raise_at
from kombu_green.message import Message
from kombu_green.storage.contract import Receipt, Reserved, Storage, Wakeups
from kombu_green.transport.virtual.arguments import check_exchange, check_queue
from kombu_green.transport.virtual.channel import VirtualChannel
from kombu_green.transport.virtual.leases import LeaseKeeper
from kombu_green.transport.virtual.routes import Routes
from kombu_green.transport.virtual.window import Consumer, Share, fair_shares, rotated, takers

__all__ = ["DEFAULT_LEASE", "VirtualTransport"]

#: seconds; renewed while a message is held, so it only bounds how late the messages of a dead process are handed out
DEFAULT_LEASE: Final = 60.0


class _Arrival(NamedTuple):
    channel: VirtualChannel
    consumer: Consumer
    message: Message


class VirtualTransport:
    """Made from a function that opens its store, which :meth:`connect` calls; closing it closes that store."""

    storage: Storage
    routes: Routes
    leases: LeaseKeeper

    def __init__(self, open_store: Callable[[], Storage], lease: float = DEFAULT_LEASE) -> None:
        self.lease: Final = lease
        self.exclusive: set[str] = set()
        self._open_store: Final = open_store
        self._channels: list[VirtualChannel] = []
        self._inbox: deque[_Arrival] = deque()
        self._drain_turn = BoundedSemaphore()
        self._serving: dict[VirtualChannel, Wakeups] = {}
        self._turns = 0
        self._open = False

    @property
    def capabilities(self) -> Capabilities:
        self._check_open()
        return self.storage.capabilities

    @property
    def connected(self) -> bool:
        return self._open

    def connect(self, deadline: Deadline) -> None:
        if self._open:
            return
        with raise_at(deadline, "opening the store"):
            self.storage = self._open_store()
        self.routes = Routes(self.storage)
        self.leases = LeaseKeeper(self.storage, self.lease)
        self._wakeups: Wakeups = self.storage.wakeups()
        self._open = True

    def check(self, declared: QueueSpec | ExchangeSpec) -> None:
        if isinstance(declared, QueueSpec):
            check_queue(declared, self.capabilities)
        else:
            check_exchange(declared)

    def create_channel(self) -> VirtualChannel:
        self._check_open()
        channel = VirtualChannel(self)
        self._channels.append(channel)
        return channel

    # -- delivering

    def drain_events(self, deadline: Deadline) -> None:
        self._hand_over(self._inbox.popleft() if self._inbox else self._next(deadline))

    def _next(self, deadline: Deadline) -> _Arrival:
        """The next arrival.  One greenlet at a time asks the store, so that no two of them take for the same window."""
        if not self._drain_turn.acquire(timeout=deadline.remaining()):
            raise TimeoutError("no message came in time")
        try:
            while not self._inbox:
                self._check_open()
                channels = [channel for channel in self._channels if channel not in self._serving]
                self._inbox.extend(self._take(channels))
                if self._inbox:
                    break
                if deadline.expired:
                    raise TimeoutError("no message came in time")
                self._wakeups.wait(_hungry(channels), deadline)
            return self._inbox.popleft()
        finally:
            self._drain_turn.release()

    def serve(self, channel: VirtualChannel, deadline: Deadline) -> None:
        """Hand over what comes for *channel* alone, until it closes."""
        wakeups = self._serving[channel] = self.storage.wakeups()
        try:
            while channel.is_open and not deadline.expired:
                arrivals = self._take([channel])
                for arrival in arrivals:
                    self._hand_over(arrival)
                if not arrivals:
                    wakeups.wait(_hungry([channel]), deadline)
        finally:
            del self._serving[channel]
            wakeups.close()

    def wake(self, channel: VirtualChannel) -> None:
        """Something changed for *channel*'s consumers: whoever waits for work shall look again."""
        self._serving.get(channel, self._wakeups).interrupt()

    def _hand_over(self, arrival: _Arrival) -> None:
        _, consumer, message = arrival
        if consumer.no_ack:
            try:
                message.ack()
            except MessageStateError:
                return  # it waited here for longer than its lease, and is somebody else's now
        consumer.callback(message)

    def _take(self, channels: Sequence[VirtualChannel]) -> list[_Arrival]:
        """Take from the store what the consumers of *channels* may still hold, and share it out among them."""
        owners = {
            consumer: channel for channel in channels if channel.active for consumer in channel.consumers.values()
        }
        self._turns += 1
        shares, wants = fair_shares(rotated(list(owners), self._turns))
        if not wants:
            return []
        for share in shares:
            share.consumer.held += share.count
        try:
            taken = self.storage.reserve(wants, lease=self.lease)
        finally:
            for share in shares:
                share.consumer.held -= share.count
        return self._share_out(taken, shares, owners)

    def _share_out(
        self, taken: Iterable[Reserved], shares: Sequence[Share], owners: dict[Consumer, VirtualChannel]
    ) -> list[_Arrival]:
        turns = takers(shares)
        arrivals: list[_Arrival] = []
        unwanted: list[Receipt] = []
        for reserved in taken:
            consumer = next(turns[reserved.receipt.queue])
            channel = owners[consumer]
            if consumer.cancelled or not channel.is_open:
                unwanted.append(reserved.receipt)  # cancelled while the store was asked
            elif channel.buried_if_expired(reserved):
                continue
            else:
                arrivals.append(_Arrival(channel, consumer, channel.deliver(reserved, consumer)))
        if unwanted:
            self.storage.release(unwanted)
        return arrivals

    def discard_inbox(self, channel: VirtualChannel, consumer: Consumer) -> None:
        """Give back what came for a consumer that is gone and was not handed over yet."""
        kept: deque[_Arrival] = deque()
        given_back = [arrival.message for arrival in self._inbox if arrival.consumer is consumer]
        kept.extend(arrival for arrival in self._inbox if arrival.consumer is not consumer)
        self._inbox = kept
        if given_back:
            channel.give_back([message.delivery_tag for message in given_back])

    # -- ending

    def consumer_count(self, queue: str) -> int:
        """Consumers of *queue* on this connection; a store does not know of others."""
        return sum(consumer.queue == queue for channel in self._channels for consumer in channel.consumers.values())

    def channel_closed(self, channel: VirtualChannel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)
        self.wake(channel)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            for channel in list(self._channels):
                channel.close()
            for queue in self.exclusive:
                self.storage.drop(queue)
        finally:
            self.leases.close()
            self._wakeups.interrupt()
            self._wakeups.close()
            self.storage.close()

    def _check_open(self) -> None:
        if not self._open:
            raise ConnectionLost("this connection is not open")


def _hungry(channels: Iterable[VirtualChannel]) -> set[str]:
    """The queues of which somebody may hold more."""
    return {
        consumer.queue
        for channel in channels
        if channel.active
        for consumer in channel.consumers.values()
        if consumer.free
    }
