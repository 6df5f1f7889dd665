"""The life of a worker process, as it and its parent both know it: a table.

::

    STARTING ──> READY <──> STANDBY          STANDBY: an exclusive consumer waits for its place
        │          │           │
        └──────────┴───────────┴──> QUIET ──> DRAINING ──> STOPPING ──> GONE        from each: ──> GONE

QUIET takes nothing more and gives back what was not begun; DRAINING lets callbacks finish; STOPPING gives back what is
unfinished, sends the last acks and closes.  A stop in a hurry goes through all of them, too, with a deadline that is
near.  The process asserts its moves and says them; the parent follows by what it hears, and adds what it does itself
(:mod:`kombu_green.launcher.states`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["LEAVING", "MOVES", "SERVING", "Phase", "entered"]


class Phase(StrEnum):
    STARTING = "starting"  # it may not even have read its configuration
    STANDBY = "standby"  # all consumers are registered, but for those whose place another one has
    READY = "ready"  # every consumer is registered
    QUIET = "quiet"  # it takes nothing more
    DRAINING = "draining"  # it finishes what runs
    STOPPING = "stopping"  # it gives back what is unfinished, and closes
    GONE = "gone"  # the kernel says so


#: a process that can do what it was started for
SERVING: Final = frozenset({Phase.STANDBY, Phase.READY})
#: one that is on its way out
LEAVING: Final = frozenset({Phase.QUIET, Phase.DRAINING, Phase.STOPPING})

MOVES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.STARTING: frozenset({Phase.STANDBY, Phase.READY, Phase.QUIET, Phase.GONE}),
    Phase.STANDBY: frozenset({Phase.READY, Phase.QUIET, Phase.GONE}),
    Phase.READY: frozenset({Phase.STANDBY, Phase.QUIET, Phase.GONE}),
    Phase.QUIET: frozenset({Phase.DRAINING, Phase.GONE}),
    Phase.DRAINING: frozenset({Phase.STOPPING, Phase.GONE}),
    Phase.STOPPING: frozenset({Phase.GONE}),
    Phase.GONE: frozenset(),
}


def entered(now: Phase, then: Phase) -> Phase:
    """*then*, which may follow *now* or is the same; ``AssertionError`` for what cannot happen."""
    if then is not now and then not in MOVES[now]:
        raise AssertionError(f"a process that is {now} cannot become {then}")
    return then
