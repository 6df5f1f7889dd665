"""Acks, and whatever else nobody waits for: when it goes out.

At once, since a plain script may never let the hub turn again.  But while messages are handed over one after another,
or by a greenlet that serves a channel, the hub is sure to turn soon, and what is written until then goes out together:
that makes one acknowledgement of many, and one call of the system.  Not of too many: what is told early is replaced by
the broker while the rest is still being settled.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from kombu_green.transport.amqp.acks import Acks

__all__ = ["Collected"]

#: writes that are collected at most, and seconds that one of them waits while messages are handed over
MOST_WRITES: Final = 16
LONGEST: Final = 0.005


class Collected:
    """What one connection has collected."""

    __slots__ = ("_acks", "_since", "_writes", "relaxed")

    def __init__(self) -> None:
        #: above 0 while whoever writes is sure to let the hub turn soon
        self.relaxed = 0
        self._acks: list[Acks] = []
        self._writes = 0
        self._since = 0.0

    def settled(self, acks: Acks) -> None:
        """*acks* has something to tell."""
        self._acks.append(acks)

    def add(self) -> bool:
        """One write more; whether it is the first since the last :meth:`take`."""
        self._writes += 1
        if self._writes > 1:
            return False
        self._since = monotonic()
        return True

    @property
    def many(self) -> bool:
        """Whether there are so many that they should not wait for the others of this turn."""
        return self._writes >= MOST_WRITES

    @property
    def enough(self) -> bool:
        """Whether it should wait no longer."""
        writes = self._writes
        return writes >= MOST_WRITES or (writes > 0 and monotonic() - self._since >= LONGEST)

    def take(self) -> bytes:
        """The frames that tell what was settled; nothing is collected afterwards."""
        self._writes = 0
        acks = self._acks
        if not acks:
            return b""
        self._acks = []
        return b"".join([each.frames() for each in acks])
