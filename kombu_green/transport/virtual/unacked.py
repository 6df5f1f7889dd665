"""Messages that were delivered and are not settled yet: by delivery tag, and with leases that are renewed meanwhile."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Final

import gevent

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost, MessageStateError, OperationalError
from kombu_green.green.group import Group, MayEnd
from kombu_green.storage.contract import Receipt, Reserved, Storage
from kombu_green.transport.virtual.prefetch import VirtualConsumer

__all__ = ["LeaseKeeper", "Unacked", "UnackedDelivery"]

log = logging.getLogger(__name__)

_RENEW_AGAIN: Final = 1.0  # seconds after a renewal that failed


class LeaseKeeper:
    """Renews the leases of all messages that one connection holds, every third of a lease (*lease* is in seconds).

    So leases can be short, and still do not end while their messages are handled.  The greenlet that renews begins with
    the first receipt.  It ends with :meth:`close`, or when nothing refers to the keeper any more: a connection that was
    dropped without closing must not hold its messages for ever.
    """

    def __init__(self, store: Storage, lease: float) -> None:
        self.store: Final = store
        self.lease: Final = lease
        self._held: dict[Receipt, Callable[[], None]] = {}
        self._group: Group | None = None

    def hold(self, receipt: Receipt, on_lost: Callable[[], None]) -> None:
        """Renew it until :meth:`drop`.  *on_lost* is called once if the store says that the lease was lost."""
        self._held[receipt] = on_lost
        if self._group is None:
            self._group = Group("leases", _log_end)
            self._group.start()
            self._group.spawn(_renew, weakref.ref(self), self.lease / 3, name="leases", on_end=MayEnd())

    def drop(self, receipt: Receipt) -> None:
        self._held.pop(receipt, None)

    def close(self) -> None:
        self._held.clear()
        if self._group is not None:
            self._group.stop(Deadline.after(1))
            self._group = None

    def lose_all(self, why: object) -> None:
        """The store is out of reach for good, and its leases with it."""
        held, self._held = self._held, {}
        if held:
            log.warning("lost %d lease%s: %s", len(held), "" if len(held) == 1 else "s", why)
        for on_lost in held.values():
            on_lost()

    def renew(self) -> bool:
        """Renew all of them now.  False if the store could not: then try again soon, before they end."""
        held = list(self._held)
        if not held:
            return True
        try:
            lost = self.store.extend(held, self.lease)
        except OperationalError as error:
            if not self.store.connected:
                self.lose_all(error)
                return True
            # the next renewal tries again, and the store will say which leases have ended by then
            log.warning("could not renew %d leases: %s", len(held), error)
            return False
        for receipt in lost:
            on_lost = self._held.pop(receipt, None)
            if on_lost is not None:
                log.warning("lost the lease of message %s of %s: it is handed out again", receipt.id, receipt.queue)
                on_lost()
        return True


def _log_end(name: str, error: BaseException | None) -> None:
    log.error("leases are not renewed any more, so messages may be handled twice: %r", error)


def _renew(keeper: weakref.ref[LeaseKeeper], interval: float) -> None:
    wait = interval
    while True:
        gevent.sleep(wait)
        found = keeper()
        if found is None:
            return
        wait = interval if found.renew() else min(interval, _RENEW_AGAIN)
        del found


class UnackedDelivery:
    """One delivery.  ``lost`` is True once the store has said that its lease was lost."""

    __slots__ = ("consumer", "lost", "reserved")

    def __init__(self, reserved: Reserved, consumer: VirtualConsumer | None) -> None:
        self.reserved: Final = reserved
        self.consumer: Final = consumer
        self.lost = False

    def lose(self) -> None:
        self.lost = True


class Unacked:
    """The unsettled deliveries of one channel by their delivery tags, which count up from 1.

    *on_free* is called when a consumer that was full may take more.
    """

    def __init__(self, leases: LeaseKeeper, on_free: Callable[[], None]) -> None:
        self._leases: Final = leases
        self._on_free: Final = on_free
        self._deliveries: Final[dict[int, UnackedDelivery]] = {}
        self._last_tag = 0

    def __len__(self) -> int:
        return len(self._deliveries)

    def add(self, reserved: Reserved, consumer: VirtualConsumer | None) -> int:
        """Return its delivery tag."""
        self._last_tag += 1
        delivery = self._deliveries[self._last_tag] = UnackedDelivery(reserved, consumer)
        self._leases.hold(reserved.receipt, delivery.lose)
        if consumer is not None:
            consumer.held += 1
        return self._last_tag

    def take(self, tag: int, multiple: bool = False) -> list[UnackedDelivery]:
        """Remove the delivery of *tag*.  With *multiple* all up to it, and with tag 0 and *multiple* all of them.

        The caller must pass each of them to :meth:`settle` or :meth:`finish`.
        """
        if not multiple:
            found = self._deliveries.pop(tag, None)
            if found is None:
                raise MessageStateError(f"delivery {tag} is not held by this channel: it is closed, or it was settled")
            return [found]
        return [self._deliveries.pop(each) for each in list(self._deliveries) if each <= tag or not tag]

    def settle(self, taken: Sequence[UnackedDelivery], how: Callable[[Sequence[Receipt]], Sequence[Receipt]]) -> int:
        """Settle what was taken by *how*, the store's ack or release.  Return how many leases were lost before."""
        for delivery in taken:  # before the store deletes it: a renewal meanwhile would report its lease as lost
            self._leases.drop(delivery.reserved.receipt)
        receipts = [delivery.reserved.receipt for delivery in taken if not delivery.lost]
        lost = len(taken) - len(receipts)
        try:
            return lost + len(how(receipts)) if receipts else lost
        except ConnectionLost:
            if self._leases.store.connected:
                raise
            return len(taken)  # with the store its leases are lost
        finally:
            for delivery in taken:
                self.finish(delivery)

    def finish(self, delivery: UnackedDelivery) -> None:
        """End the renewal of its lease, and let its consumer take another message."""
        self._leases.drop(delivery.reserved.receipt)
        consumer = delivery.consumer
        if consumer is not None:
            was_full = not consumer.free
            consumer.held -= 1
            if was_full and not consumer.cancelled:
                self._on_free()
