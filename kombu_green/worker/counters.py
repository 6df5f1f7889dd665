"""What a worker process has done since its start."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """Counts of messages."""

    handled: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    #: settled too late: the lease or connection was gone, so somebody else has them, too
    lost_leases: int = 0
    #: the broker could not be reached when they were to be settled
    unsettled: int = 0
