"""The life of one worker process as its parent follows it, and when which step is due: decided here, done elsewhere.

The phases are the process's own (:mod:`kombu_green.ipc.phases`): it says them, and they count as far as they can
follow from what is known.  What the parent does comes on top::

    STARTING, STANDBY, READY ──drain──> QUIET, DRAINING, STOPPING ──release──> RELEASING
               │                                    │                              │
               └──────────hung, overdue─────────────┤                              │
                                                    v                              │
                                    TELLING ──> ABORTING ─────────kill─────────> KILLED      from each: exit ──> GONE

A process that hangs, or has a message beyond its hard time limit, is asked for its greenlets' stacks, aborted, so that
it prints those of its threads, and killed when it does not even die of that.  One that does not drain in time is asked
to release, and killed when it does not do that in time.  Too much memory kills at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kombu_green.config.settings import WorkerSettings
from kombu_green.ipc.phases import LEAVING, MOVES, SERVING, Phase

__all__ = ["PRESENT", "TRANSITIONS", "Event", "State", "Timing", "Vitals", "after", "next_step"]


class State(StrEnum):
    """A phase, or what the parent has done to the process."""

    STARTING = Phase.STARTING.value
    STANDBY = Phase.STANDBY.value
    READY = Phase.READY.value
    QUIET = Phase.QUIET.value
    DRAINING = Phase.DRAINING.value
    STOPPING = Phase.STOPPING.value
    RELEASING = "releasing"  # it was told to give back what is unfinished
    TELLING = "telling"  # it was asked for its stacks
    ABORTING = "aborting"  # SIGABRT was sent
    KILLED = "killed"  # SIGKILL was sent
    GONE = Phase.GONE.value


class Event(StrEnum):
    STANDBY = "standby"  # these five: it said so
    READY = "ready"
    QUIET = "quiet"
    DRAINING = "draining"
    STOPPING = "stopping"
    DRAIN = "drain"
    RELEASE = "release"
    HUNG = "hung"
    OVERDUE = "overdue"  # a message is beyond its hard time limit
    ABORT = "abort"
    TOO_LARGE = "too-large"
    KILL = "kill"
    EXIT = "exit"


_SAID: Final = (Event.STANDBY, Event.READY, Event.QUIET, Event.DRAINING, Event.STOPPING)
#: one that serves, or will; it may be told to drain
PRESENT: Final = frozenset({State.STARTING, State.STANDBY, State.READY})


_PHASES: Final = frozenset(phase.value for phase in Phase)


def _follows(state: State) -> dict[Event, State]:
    """Where what it says leads to.

    It may say a step that the parent takes to be behind it: "ready" may be on its way while it is told to drain.
    """
    found = dict.fromkeys(_SAID, state)
    if state.value in _PHASES:
        reachable = {State(phase.value) for phase in MOVES[Phase(state.value)]}
        found |= {event: State(event.value) for event in _SAID if State(event.value) in reachable}
    return found


_ORDERLY: Final = {
    Event.RELEASE: State.RELEASING,
    Event.HUNG: State.TELLING,
    Event.OVERDUE: State.TELLING,
    Event.TOO_LARGE: State.KILLED,
    Event.EXIT: State.GONE,
}

TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    **{state: {**_follows(state), Event.DRAIN: State.QUIET, **_ORDERLY} for state in sorted(PRESENT)},
    **{
        state: {**_follows(state), Event.DRAIN: state, **_ORDERLY}
        for state in (State.QUIET, State.DRAINING, State.STOPPING)
    },
    State.RELEASING: {**_follows(State.RELEASING), Event.KILL: State.KILLED, Event.EXIT: State.GONE},
    State.TELLING: {**_follows(State.TELLING), Event.ABORT: State.ABORTING, Event.EXIT: State.GONE},
    State.ABORTING: {**_follows(State.ABORTING), Event.KILL: State.KILLED, Event.EXIT: State.GONE},
    State.KILLED: {**_follows(State.KILLED), Event.EXIT: State.GONE},
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
    telling: float = 2.0  # for its stacks, before SIGABRT
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
    leaving: float | None = None  # when it began to leave
    heard: float | None = None  # the last heartbeat

    def __post_init__(self) -> None:
        self.entered = self.born

    @property
    def serving(self) -> bool:
        """Whether it does what it was started for: it is ready, or stands by."""
        return self.state.value in SERVING

    def enter(self, event: Event, now: float) -> None:
        state = after(self.state, event)
        if state is self.state:
            return
        self.state, self.entered = state, now
        if state.value in LEAVING and self.leaving is None:
            self.leaving = now

    def forgive(self, seconds: float) -> None:
        """The parent itself did not run for so long, and could not hear."""
        self.born += seconds
        if self.heard is not None:
            self.heard += seconds


def next_step(vitals: Vitals, timing: Timing) -> tuple[float, Event] | None:
    """What has to be done next to a process of which nothing more is heard, and when; None: wait for its end."""
    match vitals.state:
        case State.STARTING | State.STANDBY | State.READY:
            return _hung(vitals, timing), Event.HUNG
        case State.QUIET | State.DRAINING | State.STOPPING:
            began = vitals.entered if vitals.leaving is None else vitals.leaving
            return min((_hung(vitals, timing), Event.HUNG), (began + timing.graceful + timing.margin, Event.RELEASE))
        case State.RELEASING:
            return vitals.entered + timing.release, Event.KILL
        case State.TELLING:
            return vitals.entered + timing.telling, Event.ABORT
        case State.ABORTING:
            return vitals.entered + timing.abort, Event.KILL
        case State.KILLED | State.GONE:
            return None


def _hung(vitals: Vitals, timing: Timing) -> float:
    """When the process counts as hung.  Until its first heartbeat it may import, which no hub turns during."""
    return vitals.born + timing.start if vitals.heard is None else vitals.heard + timing.heartbeat
