"""The phases of a worker process, and which may follow which: one table for the process and for the launcher.

::

    STARTING ──> READY, STANDBY <──> AWAY          STANDBY: an exclusive consumer waits for the one that holds the queue
        │              │              │
        └──────────────┴──────────────┴──> QUIET ──> DRAINING ──> STOPPING ──> GONE        from each: ──> GONE

READY and STANDBY may follow each other.  AWAY is no reason to restart a process: its broker is away for others, too.
A stop passes through QUIET, DRAINING and STOPPING even when it is urgent; then its deadline is near.  The process
checks each of its moves against this table and reports it.  The launcher follows what is reported, and adds states for
what it does to the process (:mod:`kombu_green.launcher.child_states`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["LEAVING", "MOVES", "SERVING", "Phase", "checked_move"]


class Phase(StrEnum):
    """What a worker process is doing, as it reports it."""

    STARTING = "starting"  # from the start of the process, before it has read its configuration
    STANDBY = "standby"  # all consumers are registered, except exclusive ones whose queue another process holds
    READY = "ready"  # every consumer is registered
    AWAY = "away"  # it was ready or stood by, and now a consumer is not registered, or the broker does not answer
    QUIET = "quiet"  # it takes no more messages, and gives back those that it has not begun
    DRAINING = "draining"  # it lets running callbacks finish
    STOPPING = "stopping"  # it gives back what is unfinished, sends the last acks and closes its connections
    GONE = "gone"  # it has exited


#: the phases of a process that does what it was started for
SERVING: Final = frozenset({Phase.STANDBY, Phase.READY})
#: the phases of a process that stops
LEAVING: Final = frozenset({Phase.QUIET, Phase.DRAINING, Phase.STOPPING})

#: by phase: the phases that may follow it
MOVES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.STARTING: frozenset({Phase.STANDBY, Phase.READY, Phase.QUIET, Phase.GONE}),
    Phase.STANDBY: frozenset({Phase.READY, Phase.AWAY, Phase.QUIET, Phase.GONE}),
    Phase.READY: frozenset({Phase.STANDBY, Phase.AWAY, Phase.QUIET, Phase.GONE}),
    Phase.AWAY: frozenset({Phase.STANDBY, Phase.READY, Phase.QUIET, Phase.GONE}),
    Phase.QUIET: frozenset({Phase.DRAINING, Phase.GONE}),
    Phase.DRAINING: frozenset({Phase.STOPPING, Phase.GONE}),
    Phase.STOPPING: frozenset({Phase.GONE}),
    Phase.GONE: frozenset(),
}


def checked_move(current: Phase, new: Phase) -> Phase:
    """*new*, which is *current* or may follow it; ``AssertionError`` when it may not."""
    if new is not current and new not in MOVES[current]:
        raise AssertionError(f"a process that is {current} cannot become {new}")
    return new
