"""Leases are renewed as long as this process holds the message, so they can be short and still never end under it."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from typing import Final

import gevent

from kombu_green.clock import Deadline
from kombu_green.exceptions import OperationalError
from kombu_green.green.group import Group, MayEnd
from kombu_green.storage.contract import Receipt, Storage

__all__ = ["LeaseKeeper"]

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Extends everything held, every third of the lease; says whose lease was lost.

    Its greenlet begins with the first receipt and ends with :meth:`close`, or when nobody refers to the keeper any
    more: a connection that was dropped without closing must not keep its messages for ever.
    """

    def __init__(self, storage: Storage, lease: float) -> None:
        self.storage: Final = storage
        self.lease: Final = lease
        self._held: dict[Receipt, Callable[[], None]] = {}
        self._group: Group | None = None

    def hold(self, receipt: Receipt, on_lost: Callable[[], None]) -> None:
        """Keep it until :meth:`drop`; *on_lost* is called once if the store says that the lease was lost."""
        self._held[receipt] = on_lost
        if self._group is None:
            self._group = Group("leases", _failed)
            self._group.start()
            self._group.spawn(_renew, weakref.ref(self), self.lease / 3, name="leases", on_end=MayEnd())

    def drop(self, receipt: Receipt) -> None:
        self._held.pop(receipt, None)

    def close(self) -> None:
        self._held.clear()
        if self._group is not None:
            self._group.stop(Deadline.after(1))
            self._group = None

    def renew(self) -> None:
        """Extend all of them now."""
        held = list(self._held)
        if not held:
            return
        try:
            lost = self.storage.extend(held, self.lease)
        except OperationalError as error:
            # the next turn tries again; a lease that ends meanwhile is told by the store then
            log.warning("could not renew %d leases: %s", len(held), error)
            return
        for receipt in lost:
            on_lost = self._held.pop(receipt, None)
            if on_lost is not None:
                log.warning("lost the lease of message %s of %s: it is handed out again", receipt.id, receipt.queue)
                on_lost()


def _failed(name: str, error: BaseException | None) -> None:
    log.error("leases are not renewed any more, so messages may be handled twice: %r", error)


def _renew(keeper: weakref.ref[LeaseKeeper], interval: float) -> None:
    while True:
        gevent.sleep(interval)
        found = keeper()
        if found is None:
            return
        found.renew()
        del found
