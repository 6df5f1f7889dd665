"""The life cycle of a worker process as the launcher follows it, and what the launcher has to do when.

The phases are those that the process reports (:mod:`kombu_green.ipc.phases`).  A report counts if the phase may follow
the current one.  The launcher adds states for what it does to the process::

    STARTING, STANDBY, READY, AWAY ──drain──> QUIET, DRAINING, STOPPING ──release──> RELEASING
               │                                    │                              │
               └──────────hung, overdue─────────────┤                              │
                                                    v                              │
                                    DUMPING ──> ABORTING ─────────kill─────────> KILLED      from each: exit ──> GONE

A process that hangs, or has a message over its hard time limit, is asked to print the stacks of its greenlets, then
gets SIGABRT, on which it prints the stacks of its threads, and then SIGKILL if it has not ended.  A process that does
not drain in time is told to release, and killed if it does not do that in time.  One over its memory limit is killed at
once.

This module only decides; :class:`kombu_green.launcher.child.Child` acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.phases import LEAVING, MOVES, SERVING, Phase

__all__ = [
    "DRAINABLE",
    "TRANSITIONS",
    "ChildEvent",
    "ChildState",
    "ChildTimeouts",
    "Lifecycle",
    "next_state",
    "next_step",
]


class ChildState(StrEnum):
    """A phase that the process has reported, or what the launcher has done to it."""

    STARTING = Phase.STARTING.value
    STANDBY = Phase.STANDBY.value
    READY = Phase.READY.value
    AWAY = Phase.AWAY.value
    QUIET = Phase.QUIET.value
    DRAINING = Phase.DRAINING.value
    STOPPING = Phase.STOPPING.value
    RELEASING = "releasing"  # it was told to give back what is unfinished
    DUMPING = "dumping"  # it was asked to print the stacks of its greenlets
    ABORTING = "aborting"  # it was sent SIGABRT
    KILLED = "killed"  # it was sent SIGKILL
    GONE = Phase.GONE.value


class ChildEvent(StrEnum):
    """What changes the state: a phase that the process reports, or what the launcher sees or does."""

    STANDBY = "standby"  # reported
    READY = "ready"  # reported
    AWAY = "away"  # reported
    QUIET = "quiet"  # reported
    DRAINING = "draining"  # reported
    STOPPING = "stopping"  # reported
    DRAIN = "drain"  # it is told to drain
    RELEASE = "release"  # it is told to release
    HUNG = "hung"  # no heartbeat came in time
    OVER_TIME_LIMIT = "overdue"  # a message is over its hard time limit
    OVER_MEMORY_LIMIT = "too-large"  # the process is over hard_memory
    ABORT = "abort"  # SIGABRT is sent
    KILL = "kill"  # SIGKILL is sent
    EXIT = "exit"  # it has exited


_REPORTED: Final = (
    ChildEvent.STANDBY,
    ChildEvent.READY,
    ChildEvent.AWAY,
    ChildEvent.QUIET,
    ChildEvent.DRAINING,
    ChildEvent.STOPPING,
)
#: the states in which a process may be told to drain
DRAINABLE: Final = frozenset({ChildState.STARTING, ChildState.STANDBY, ChildState.READY, ChildState.AWAY})

_PHASES: Final = frozenset(phase.value for phase in Phase)


def _reports(state: ChildState) -> dict[ChildEvent, ChildState]:
    """Where a reported phase leads from *state*.

    A report may be late: "ready" can be on its way while the process is told to drain.  It changes nothing then.
    """
    moves = dict.fromkeys(_REPORTED, state)
    if state.value in _PHASES:
        reachable = {ChildState(phase.value) for phase in MOVES[Phase(state.value)]}
        moves |= {event: ChildState(event.value) for event in _REPORTED if ChildState(event.value) in reachable}
    return moves


_WHILE_IT_WORKS: Final = {
    ChildEvent.RELEASE: ChildState.RELEASING,
    ChildEvent.HUNG: ChildState.DUMPING,
    ChildEvent.OVER_TIME_LIMIT: ChildState.DUMPING,
    ChildEvent.OVER_MEMORY_LIMIT: ChildState.KILLED,
    ChildEvent.EXIT: ChildState.GONE,
}

#: by state, and by what may happen in it: the next state
TRANSITIONS: Final[Mapping[ChildState, Mapping[ChildEvent, ChildState]]] = {
    **{
        state: {**_reports(state), ChildEvent.DRAIN: ChildState.QUIET, **_WHILE_IT_WORKS} for state in sorted(DRAINABLE)
    },
    **{
        state: {**_reports(state), ChildEvent.DRAIN: state, **_WHILE_IT_WORKS}
        for state in (ChildState.QUIET, ChildState.DRAINING, ChildState.STOPPING)
    },
    ChildState.RELEASING: {
        **_reports(ChildState.RELEASING),
        ChildEvent.KILL: ChildState.KILLED,
        ChildEvent.EXIT: ChildState.GONE,
    },
    ChildState.DUMPING: {
        **_reports(ChildState.DUMPING),
        ChildEvent.ABORT: ChildState.ABORTING,
        ChildEvent.EXIT: ChildState.GONE,
    },
    ChildState.ABORTING: {
        **_reports(ChildState.ABORTING),
        ChildEvent.KILL: ChildState.KILLED,
        ChildEvent.EXIT: ChildState.GONE,
    },
    ChildState.KILLED: {**_reports(ChildState.KILLED), ChildEvent.EXIT: ChildState.GONE},
    ChildState.GONE: {},
}


def next_state(state: ChildState, event: ChildEvent) -> ChildState:
    """The state after *event*; ``AssertionError`` for an event that cannot happen in *state*."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise AssertionError(f"a process that is {state} cannot see {event}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildTimeouts:
    """How long the launcher waits for what, in seconds."""

    start: float = 60.0  # from the start of the process to its first heartbeat
    heartbeat: float = 30.0  # between two heartbeats
    graceful: float = 30.0  # for running callbacks while the process drains; the process keeps to it by itself
    margin: float = 5.0  # after graceful, until the process is told to release
    release: float = 5.0  # from there to SIGKILL
    stack_dump: float = 2.0  # for the stacks of its greenlets, until SIGABRT
    abort: float = 5.0  # from SIGABRT to SIGKILL

    @classmethod
    def from_settings(cls, settings: WorkerSettings) -> ChildTimeouts:
        return cls(
            start=settings.start_timeout, heartbeat=settings.heartbeat_timeout, graceful=settings.graceful_timeout
        )


@dataclass(slots=True)
class Lifecycle:
    """The state of a process and since when it has it; all times are on the monotonic clock."""

    started_at: float
    state: ChildState = ChildState.STARTING
    entered_at: float = 0.0  # when this state began
    leaving_since: float | None = None  # when it entered the first of the phases of a stop
    last_heartbeat: float | None = None

    def __post_init__(self) -> None:
        self.entered_at = self.started_at

    @property
    def serving(self) -> bool:
        """Whether it does what it was started for: it is ready, or stands by."""
        return self.state.value in SERVING

    @property
    def stopping(self) -> bool:
        """Whether it is in one of the phases of a stop that goes as it should."""
        return self.state.value in LEAVING

    @property
    def working(self) -> bool:
        """Whether it starts, serves or stops, and has not been told to release, aborted or killed."""
        return self.state in DRAINABLE or self.stopping

    def enter(self, event: ChildEvent, now: float) -> None:
        """Go to the state after *event*, which happened at *now*."""
        state = next_state(self.state, event)
        if state is self.state:
            return
        self.state, self.entered_at = state, now
        if self.stopping and self.leaving_since is None:
            self.leaving_since = now

    def extend(self, seconds: float) -> None:
        """Allow *seconds* more for the next heartbeat: the launcher itself stood still for as long."""
        self.started_at += seconds
        if self.last_heartbeat is not None:
            self.last_heartbeat += seconds

    def hung_at(self, timeouts: ChildTimeouts) -> float:
        """When the process counts as hung.  Before its first heartbeat it imports, and its hub need not run."""
        if self.last_heartbeat is None:
            return self.started_at + timeouts.start
        return self.last_heartbeat + timeouts.heartbeat


def next_step(lifecycle: Lifecycle, timeouts: ChildTimeouts) -> tuple[float, ChildEvent] | None:
    """What is to be done next to a process that reports nothing more, and when; None: nothing but wait for its end."""
    match lifecycle.state:
        case ChildState.STARTING | ChildState.STANDBY | ChildState.READY | ChildState.AWAY:
            return lifecycle.hung_at(timeouts), ChildEvent.HUNG
        case ChildState.QUIET | ChildState.DRAINING | ChildState.STOPPING:
            began = lifecycle.entered_at if lifecycle.leaving_since is None else lifecycle.leaving_since
            hung = lifecycle.hung_at(timeouts), ChildEvent.HUNG
            return min(hung, (began + timeouts.graceful + timeouts.margin, ChildEvent.RELEASE))
        case ChildState.RELEASING:
            return lifecycle.entered_at + timeouts.release, ChildEvent.KILL
        case ChildState.DUMPING:
            return lifecycle.entered_at + timeouts.stack_dump, ChildEvent.ABORT
        case ChildState.ABORTING:
            return lifecycle.entered_at + timeouts.abort, ChildEvent.KILL
        case ChildState.KILLED | ChildState.GONE:
            return None
