"""What every store must do: the suite, one module for each side of the contract."""

from __future__ import annotations

from kombu_green.testing.storage.concurrent_calls import ConcurrentCallTests
from kombu_green.testing.storage.leases import LeaseTests
from kombu_green.testing.storage.message_content import MessageContentTests
from kombu_green.testing.storage.message_order import MessageOrderTests
from kombu_green.testing.storage.queues_and_exchanges import ExchangeTests, QueueTests
from kombu_green.testing.storage.wakeups import WakeupTests

__all__ = ["StorageContract"]


class StorageContract(
    QueueTests,
    MessageOrderTests,
    LeaseTests,
    ExchangeTests,
    MessageContentTests,
    WakeupTests,
    ConcurrentCallTests,
):
    """Subclass it, name the class ``Test…``, and write the fixture ``open_store``.

    ``open_store`` returns a function without arguments.  Its first call opens a store without any queue; each further
    call in the same test opens another handle on the same data, as another connection or process would.  The suite
    closes what it opened.

    Nothing is mocked and no clock is set: where a lease or a delay has to end, the suite waits for it with
    ``Wakeups``.  Tests of what ``capabilities`` deny are skipped.
    """
