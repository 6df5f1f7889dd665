"""The life of one worker process as a table, and when which step is due: decided here, done elsewhere.

::

    STARTING ──ready──> READY ──drain──> DRAINING ──release──> RELEASING
        │                 │                  │                     │
        └──────hung───────┴───────hung───────┘                     │
                          v                                        │
                      ABORTING ──────────────kill──────────────> KILLED      from each: exit ──> GONE

A process that hangs is aborted, so that its stacks are printed, and killed when it does not even die of that.  One that
does not drain in time is asked to release, and killed when it does not do that in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kombu_green.config.settings import WorkerSettings

__all__ = ["TRANSITIONS", "Event", "State", "Timing", "Vitals", "after", "next_step"]


class State(StrEnum):
    STARTING = "starting"  # it may not even have read its configuration
    READY = "ready"  # every consumer is registered
    DRAINING = "draining"  # it was told to finish what runs
    RELEASING = "releasing"  # it was told to give back what is unfinished
    ABORTING = "aborting"  # SIGABRT was sent
    KILLED = "killed"  # SIGKILL was sent
    GONE = "gone"  # the kernel says so


class Event(StrEnum):
    READY = "ready"  # it said so
    DRAIN = "drain"
    RELEASE = "release"
    HUNG = "hung"
    KILL = "kill"
    EXIT = "exit"


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.STARTING: {
        Event.READY: State.READY,
        Event.DRAIN: State.DRAINING,
        Event.RELEASE: State.RELEASING,
        Event.HUNG: State.ABORTING,
        Event.EXIT: State.GONE,
    },
    State.READY: {
        Event.READY: State.READY,
        Event.DRAIN: State.DRAINING,
        Event.RELEASE: State.RELEASING,
        Event.HUNG: State.ABORTING,
        Event.EXIT: State.GONE,
    },
    # "ready" may have been on its way when the process was told to stop, and changes nothing then
    State.DRAINING: {
        Event.READY: State.DRAINING,
        Event.RELEASE: State.RELEASING,
        Event.HUNG: State.ABORTING,
        Event.EXIT: State.GONE,
    },
    State.RELEASING: {Event.READY: State.RELEASING, Event.KILL: State.KILLED, Event.EXIT: State.GONE},
    State.ABORTING: {Event.READY: State.ABORTING, Event.KILL: State.KILLED, Event.EXIT: State.GONE},
    State.KILLED: {Event.READY: State.KILLED, Event.EXIT: State.GONE},
    State.GONE: {},
}


def after(state: State, event: Event) -> State:
    """The state that *event* leads to; ``AssertionError`` for one that cannot happen there."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise AssertionError(f"a process that is {state} cannot see {event}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the parent waits for what, in seconds."""

    start: float = 60.0  # from the start to the first heartbeat
    heartbeat: float = 30.0  # between two heartbeats
    graceful: float = 30.0  # for running callbacks, once told to drain; the process keeps to it by itself
    margin: float = 5.0  # beyond that, before it is told to release
    release: float = 5.0  # from there to SIGKILL
    abort: float = 5.0  # from SIGABRT to SIGKILL

    @classmethod
    def of(cls, settings: WorkerSettings) -> Timing:
        return cls(
            start=settings.start_timeout, heartbeat=settings.heartbeat_timeout, graceful=settings.graceful_timeout
        )


@dataclass(slots=True)
class Vitals:
    """What the parent knows of a process; times are on the monotonic clock."""

    born: float
    state: State = State.STARTING
    entered: float = 0.0  # when this state began
    heard: float | None = None  # the last heartbeat

    def __post_init__(self) -> None:
        self.entered = self.born

    def enter(self, event: Event, now: float) -> None:
        state = after(self.state, event)
        if state is not self.state:
            self.state, self.entered = state, now

    def forgive(self, seconds: float) -> None:
        """The parent itself did not run for so long, and could not hear."""
        self.born += seconds
        if self.heard is not None:
            self.heard += seconds


def next_step(vitals: Vitals, timing: Timing) -> tuple[float, Event] | None:
    """What has to be done next to a process of which nothing more is heard, and when; None: wait for its end."""
    match vitals.state:
        case State.STARTING | State.READY:
            return _hung(vitals, timing), Event.HUNG
        case State.DRAINING:
            return min(
                (_hung(vitals, timing), Event.HUNG), (vitals.entered + timing.graceful + timing.margin, Event.RELEASE)
            )
        case State.RELEASING:
            return vitals.entered + timing.release, Event.KILL
        case State.ABORTING:
            return vitals.entered + timing.abort, Event.KILL
        case State.KILLED | State.GONE:
            return None


def _hung(vitals: Vitals, timing: Timing) -> float:
    """When the process counts as hung.  Until its first heartbeat it may import, which no hub turns during."""
    return vitals.born + timing.start if vitals.heard is None else vitals.heard + timing.heartbeat
