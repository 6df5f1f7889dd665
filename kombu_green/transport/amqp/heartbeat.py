"""When a heartbeat is due and when silence means that the other side is gone.  Pure.

Both sides send something at least every half of the agreed interval, and give the other one up after two intervals of
silence (specification, section 4.2.7; https://www.rabbitmq.com/heartbeats.html).
"""

from __future__ import annotations

from typing import Final

__all__ = ["Heart"]


class Heart:
    """*interval*: seconds; 0 is no heartbeats at all."""

    __slots__ = ("_last_sent", "_sends", "interval")

    def __init__(self, interval: float, now: float) -> None:
        self.interval: Final = interval
        self._sends = 0
        self._last_sent = now

    @property
    def pause(self) -> float:
        """Seconds until it is worth looking again."""
        return min(self.interval / 4, 1.0) if self.interval else 1.0

    def due(self, now: float, sends: int) -> bool:
        """Whether to send one; *sends* counts what was written so far, which serves as well."""
        if sends != self._sends:
            self._sends = sends
            self._last_sent = now
        return bool(self.interval) and now - self._last_sent >= self.interval / 2 - self.pause

    def silent(self, now: float, heard: float) -> bool:
        """Whether nothing has come for so long that the other side is gone; *heard* is when something came."""
        return bool(self.interval) and now - heard > 2 * self.interval
