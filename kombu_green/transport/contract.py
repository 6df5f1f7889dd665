"""What a connection needs from a transport.  Kept soft until a real socket has been through it."""

from __future__ import annotations

from typing import Protocol

from kombu_green.capabilities import Capabilities
from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec

__all__ = ["Transport"]


class Transport(Protocol):
    """One connection to one broker.  Any greenlet may call any method at any time."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def connected(self) -> bool: ...

    def connect(self, deadline: Deadline) -> None:
        """Reach the broker, or raise; connecting twice does nothing."""
        ...

    def check(self, declared: QueueSpec | ExchangeSpec) -> None:
        """Raise ``UnsupportedOption`` for what it cannot honour; asks no broker."""
        ...

    def create_channel(self) -> Channel: ...

    def drain_events(self, deadline: Deadline) -> None:
        """Hand one delivery to its consumer; ``TimeoutError`` when none came in time.

        A deadline that has passed already still looks once.
        """
        ...

    def close(self) -> None:
        """Close its channels, which gives back what is unsettled, and then itself."""
        ...
