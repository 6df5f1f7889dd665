"""The clock by which leases end: one that all processes of a machine share and that nobody sets.

The wall clock is set, by people and by NTP.  If leases went by it, an hour forward would hand out again what is being
handled, and an hour back would keep for an hour what a dead process had.  So they go by the time since the machine was
started, which goes on while it is suspended.  That time begins anew with each start, so the database remembers which
start its leases belong to; after another one all of them are over, since no process of before is left.

Delays and expiry go by the wall clock: they are times that people mean, and outlive a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

__all__ = ["LeaseClock", "system_lease_clock"]

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class LeaseClock(NamedTuple):
    """*now* returns seconds since the machine's start number *boot*; all processes of one database need the same clock.

    With *boot* 0 it is the wall clock, which outlives a restart.
    """

    now: Callable[[], float]
    boot: int

    @property
    def description(self) -> str:
        """One line for :attr:`Capabilities.leases <kombu_green.capabilities.Capabilities.leases>`."""
        if self.boot:
            return "by the time since the machine's start, over after a restart; delays, expiry: by the wall clock"
        return "by the wall clock, as this system does not number its starts: do not set it; delays, expiry too"


def system_lease_clock(boot_id: Path = _BOOT_ID) -> LeaseClock:
    """The clock of this machine: ``CLOCK_BOOTTIME``, or ``CLOCK_MONOTONIC`` where the system does not have it.

    Without a boot id (other systems than Linux, or ``/proc`` is not mounted) nothing tells a restart, and it is the
    wall clock.
    """
    try:
        boot = UUID(boot_id.read_text().strip())
    except (OSError, ValueError):
        return LeaseClock(time.time, 0)
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return LeaseClock(lambda: time.clock_gettime(clock), boot.int >> 65 | 1)  # 63 bits: what a database holds
