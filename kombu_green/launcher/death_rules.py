"""The rules that say which messages the death of a worker process is blamed on, and what follows for them.

================================  =======================  =========================================
how the process died              a row had the hub        no row had the hub
================================  =======================  =========================================
stopped, or said why it could     none is blamed           none is blamed
not start
by a signal from outside          that message is blamed   none is blamed
crashed, hung, or over its        that message is blamed   the running suspect is blamed; without
memory limit                                               one, every running message is marked
over a message's hard time limit  the messages over        the messages over theirs
                                  theirs
================================  =======================  =========================================

A message that runs in a native thread (``offload``) needs no hub to do harm.  It is blamed, too, when its process
crashed, hung or was over its memory limit.  It is not blamed for a signal from outside, which no thread can cause, with
one exception: when memory runs out the kernel kills the largest process, whichever one used the memory up.  Then a
message in a thread is marked, or blamed if it is the running suspect.

Three blames *park* a message: it is dead-lettered.  Three marks make it a *suspect*.  One suspect at a time
runs, in all processes of the launcher together, so that the next death without a row at the hub can be blamed on it.

This module only decides.  :mod:`.death_records` remembers, and :mod:`.admission` acts.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Final

from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.recorder import IDLE, NO_ROW, Row, RowState

__all__ = [
    "BLAMES",
    "MARKS",
    "AdmissionDecision",
    "Attribution",
    "AttributionReason",
    "DeathKind",
    "DeathRecord",
    "DeathReport",
    "attribute",
    "death_kind",
    "decide_admission",
    "with_attribution",
]

#: blames that park a message
BLAMES: Final = 3
#: marks that make a message a suspect
MARKS: Final = 3

_FROM_OUTSIDE: Final = frozenset(-number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))


class DeathKind(StrEnum):
    """How a process ended."""

    ORDERLY = "orderly"  # it stopped, or said why it could not start
    FROM_OUTSIDE = "outside"  # by a signal that the launcher did not send
    CRASHED = "crashed"  # by itself: an exit code, or a signal such as SIGSEGV
    HUNG = "hung"  # ended by the launcher, because no heartbeat came in time
    OVER_TIME_LIMIT = "overdue"  # ended by the launcher, because a message was over its hard time limit
    OVER_MEMORY_LIMIT = "memory"  # ended by the launcher, because the process was over hard_memory


class AttributionReason(StrEnum):
    """Why a death is attributed to a message.  The last two are marks, the others are blames."""

    HAD_HUB = "had the hub"
    IN_THREAD = "ran in a native thread"
    OVER_TIME_LIMIT = "ran longer than its hard time limit"
    SUSPECT = "was the one suspect that ran"
    RAN_BESIDE = "ran while no message had the hub"
    IN_THREAD_WITHOUT_MEMORY = "ran in a native thread while memory ran out"

    @property
    def is_blame(self) -> bool:
        """Whether this is a blame; otherwise it is a mark."""
        return self not in (AttributionReason.RAN_BESIDE, AttributionReason.IN_THREAD_WITHOUT_MEMORY)


class AdmissionDecision(Enum):
    """What to answer when a redelivered message asks whether it may start."""

    START = "start"
    START_AS_SUSPECT = "start, as the one suspect that runs"
    WAIT = "wait"
    PARK = "park"


def death_kind(
    code: int,
    *,
    orderly: bool,
    ended_for: DeathKind | None = None,
    ready: bool = True,
    leaving: bool = False,
    hub: int = IDLE,
) -> DeathKind:
    """How a process ended that had the exit *code* (negative: the signal).

    *orderly*: it reported that it had stopped, or why it cannot boot.  *ended_for*: what the launcher ended it for.
    *ready*: it had been ready once.  *leaving*: it had been told to end.  *hub*: the row that had the hub.
    """
    no_row = hub in (IDLE, NO_ROW)
    if orderly:
        return DeathKind.ORDERLY
    if ended_for is not None:
        return ended_for
    if code in _FROM_OUTSIDE:
        return DeathKind.FROM_OUTSIDE
    if code == ExitCode.CRASHED or (no_row and code == ExitCode.CANNOT_BOOT and not ready):
        return DeathKind.ORDERLY
    if no_row and leaving and code in (ExitCode.DRAINED, ExitCode.RELEASED):
        return DeathKind.ORDERLY
    return DeathKind.CRASHED


@dataclass(frozen=True, slots=True)
class DeathReport:
    """The end of a process and what its flight recorder held.

    *how* is the end in words, *hub* the number of the row that had the hub.  *out_of_memory*: the process was killed
    from outside, perhaps by the kernel because memory ran out.  *over_limit* names the rows for whose time limits the
    launcher ended the process, each by its number and the time when its message began.
    """

    kind: DeathKind
    how: str
    hub: int = IDLE
    rows: Sequence[Row] = ()
    out_of_memory: bool = False
    over_limit: Collection[tuple[int, float]] = ()


@dataclass(frozen=True, slots=True)
class Attribution:
    """A death that is attributed to the message of *row*; *how* says in words how the process ended."""

    row: Row
    reason: AttributionReason
    how: str

    @property
    def key(self) -> str:
        """The message key in hex."""
        return self.row.key.hex()

    @property
    def is_blame(self) -> bool:
        """Whether this is a blame; otherwise it is a mark."""
        return self.reason.is_blame

    def __str__(self) -> str:
        return f"{self.row} {self.reason} when its process {self.how}"


def attribute(death: DeathReport, suspect: str | None = None) -> list[Attribution]:
    """The messages that *death* is attributed to, each key once.

    *suspect* is the key of the running suspect if it ran in this process.
    """
    found: dict[bytes, Attribution] = {}

    def add(rows: Iterable[Row], reason: AttributionReason) -> None:
        for row in rows:
            found.setdefault(row.key, Attribution(row, reason, death.how))

    if death.kind is DeathKind.ORDERLY:
        return []
    if death.kind is DeathKind.OVER_TIME_LIMIT:
        over_limit = (row for row in death.rows if (row.number, row.since) in death.over_limit)
        add(over_limit, AttributionReason.OVER_TIME_LIMIT)
        return list(found.values())
    add((row for row in death.rows if row.number == death.hub), AttributionReason.HAD_HUB)
    no_row_had_hub = not found
    in_threads = [row for row in death.rows if row.state is RowState.OFFLOADED]
    suspects = [row for row in death.rows if row.key.hex() == suspect]
    if death.kind is DeathKind.FROM_OUTSIDE:
        if death.out_of_memory:
            add((row for row in suspects if row in in_threads), AttributionReason.SUSPECT)
            add(in_threads, AttributionReason.IN_THREAD_WITHOUT_MEMORY)
        return list(found.values())
    add(in_threads, AttributionReason.IN_THREAD)
    if no_row_had_hub:
        add(suspects, AttributionReason.SUSPECT)
        if not suspects:
            add((row for row in death.rows if row.state is RowState.RUNNING), AttributionReason.RAN_BESIDE)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class DeathRecord:
    """What is known of one message.

    *seen* is the wall-clock time of its last attribution; *reasons* are its last blames, in words.  *message_id*,
    *queue* and *callback* are shown by ``status``; empty in records of earlier versions.
    """

    blames: int = 0
    marks: int = 0
    seen: float = 0.0
    reasons: Sequence[str] = field(default=())
    message_id: str = ""
    queue: str = ""
    callback: str = ""

    @property
    def summary(self) -> str:
        """Why the message is parked."""
        return f"its process died {self.blames} times because of it: it {'; '.join(self.reasons)}"


def with_attribution(record: DeathRecord | None, attribution: Attribution, now: float) -> DeathRecord:
    """*record* with *attribution* added at the wall-clock time *now*."""
    row = attribution.row
    record = replace(
        record or DeathRecord(), message_id=row.message_id, queue=row.queue, callback=row.callback, seen=now
    )
    if not attribution.is_blame:
        return replace(record, marks=record.marks + 1)
    reasons = (*record.reasons, f"{attribution.reason} when its process {attribution.how}")[-BLAMES:]
    return replace(record, blames=record.blames + 1, reasons=reasons)


def decide_admission(record: DeathRecord | None, *, suspect_runs: bool) -> AdmissionDecision:
    """Whether a redelivered message may start; *suspect_runs*: a suspect runs already, in one of the processes."""
    if record is None:
        return AdmissionDecision.START
    if record.blames >= BLAMES:
        return AdmissionDecision.PARK
    if record.marks >= MARKS:
        return AdmissionDecision.WAIT if suspect_runs else AdmissionDecision.START_AS_SUSPECT
    return AdmissionDecision.START
