"""What a connection needs from a transport."""

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

    @property
    def waiting_since(self) -> float | None:
        """The monotonic time since which a call waits for the broker's answer; None if none does, or if not known."""
        ...

    def connect(self, deadline: Deadline) -> None:
        """Connect to the broker, or raise; does nothing if it is connected."""
        ...

    def check(self, declared: QueueSpec | ExchangeSpec) -> None:
        """Raise ``UnsupportedOption`` for an argument that it cannot honour; sends nothing."""
        ...

    def create_channel(self) -> Channel: ...

    def drain_events(self, deadline: Deadline) -> None:
        """Call the callback of one consumer with its next message; ``TimeoutError`` when none came in time.

        A message that is there already is delivered even if the deadline has passed.
        """
        ...

    def close(self) -> None:
        """Close its channels, which requeues what is unacked, and then the connection."""
        ...
