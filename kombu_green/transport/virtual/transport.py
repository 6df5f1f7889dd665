"""The transport over any store: opens the store, makes channels, and closes both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kombu_green.capabilities import Capabilities
from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import ConnectionLost
from kombu_green.green.timeouts import raise_at
from kombu_green.storage.contract import Storage
from kombu_green.transport.virtual.channel import VirtualChannel
from kombu_green.transport.virtual.queue_arguments import check_exchange_support, check_queue_support
from kombu_green.transport.virtual.store_connection import StoreConnection

__all__ = ["DEFAULT_LEASE", "VirtualTransport"]

#: seconds; renewed while a message is held, so it only bounds how late the messages of a dead process are handed out
DEFAULT_LEASE: Final = 60.0


class VirtualTransport:
    """One connection to the store that *open_store* opens; :meth:`connect` calls it.  *lease* is in seconds.

    To close the transport closes the store.
    """

    def __init__(self, open_store: Callable[[], Storage], lease: float = DEFAULT_LEASE) -> None:
        self.lease: Final = lease
        self.store_connection: StoreConnection | None = None
        self._open_store: Final = open_store
        self._channels: list[VirtualChannel] = []

    @property
    def capabilities(self) -> Capabilities:
        return self._opened().store.capabilities

    @property
    def connected(self) -> bool:
        return self.store_connection is not None and self.store_connection.store.connected

    def connect(self, deadline: Deadline) -> None:
        if not self.connected:
            self.close()
            with raise_at(deadline, "opening the store"):
                store = self._open_store()
            self.store_connection = StoreConnection(store, self.lease)

    def check(self, declared: QueueSpec | ExchangeSpec) -> None:
        if isinstance(declared, QueueSpec):
            check_queue_support(declared, self.capabilities)
        else:
            check_exchange_support(declared)

    def create_channel(self) -> VirtualChannel:
        channel = VirtualChannel(self._opened(), on_close=self._channels.remove)
        self._channels.append(channel)
        return channel

    def drain_events(self, deadline: Deadline) -> None:
        self._opened().deliveries.drain(deadline)

    def close(self) -> None:
        connection, self.store_connection = self.store_connection, None
        if connection is None:
            return
        connection.deliveries.stop()
        lost = not connection.store.connected
        if lost:
            connection.leases.lose_all("the store they were from is not there any more")
        try:
            for channel in list(self._channels):
                channel.close()
            if not lost:
                connection.drop_exclusive_queues()
        finally:
            connection.close()

    def _opened(self) -> StoreConnection:
        if self.store_connection is None:
            raise ConnectionLost("this connection is not open")
        return self.store_connection
