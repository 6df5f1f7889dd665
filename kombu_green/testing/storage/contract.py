"""The whole suite in one class."""

from __future__ import annotations

from kombu_green.testing.storage.contents import Contents
from kombu_green.testing.storage.crowds import Crowds
from kombu_green.testing.storage.leases import Leases
from kombu_green.testing.storage.order import Order
from kombu_green.testing.storage.queues import Queues
from kombu_green.testing.storage.topology import Exchanges
from kombu_green.testing.storage.waiting import Waiting

__all__ = ["StorageContract"]


class StorageContract(Queues, Order, Leases, Exchanges, Contents, Waiting, Crowds):
    """Subclass it, name the class ``Test…``, and write the fixture ``open_store``.

    ``open_store`` gives a function without arguments.  Its first call opens a store without any queue; each further
    call in the same test opens another handle on the same data, as another connection or process would.  The suite
    closes what it opened.

    Nothing is mocked and no clock is turned: where a lease or a delay has to end, the suite waits for it with
    ``Wakeups``.  Tests of what ``capabilities`` deny are skipped.
    """
