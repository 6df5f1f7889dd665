"""What the death of a process means for the messages it worked on: decided here, done by :mod:`.inquest`.

================================  ======================  =========================================
how it died                       a row had the hub       the hub was idle, or nobody's
================================  ======================  =========================================
it took leave, or said why not    nobody is blamed        nobody is blamed
by a signal from outside          that row is blamed      nobody is blamed
crashed, hung, or out of memory   that row is blamed      the running suspect is; without one,
                                                          all rows are marked
over a row's hard time limit      the rows beyond theirs  the rows beyond theirs
================================  ======================  =========================================

Rows that were offloaded to threads are blamed, too, when it crashed, hung, or was out of memory: a thread needs no hub.
A signal from outside is nothing that a thread can bring on, but the kernel's when memory runs out.  That hits the
largest process, whoever it was in there or elsewhere; so then they are marked, and a suspect among them is blamed.

Three blames park a message.  Three marks make it a suspect: suspects run one at a time, and a death as the running
suspect is a blame like any other.

What happened on other hosts is known to a broker only, and only how often it handed a message out, to the guilty and to
those beside them.  So that alone says nothing.  But of one that was handed out often to others two *sure* blames are
enough: it had the hub when its process ended by itself, or passed its hard time limit.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Final

from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.recorder import IDLE, NOBODY, Row, RowState

__all__ = [
    "ELSEWHERE",
    "MARKS",
    "Charge",
    "Death",
    "Finding",
    "Manner",
    "Record",
    "Word",
    "charged",
    "elsewhere",
    "findings",
    "manner",
    "word",
]

BLAMES: Final = 3  # park a message
MARKS: Final = 3  # make it a suspect
SURE: Final = 2  # blames that are sure park a message that was taken elsewhere so often:
ELSEWHERE: Final = 5
_FROM_OUTSIDE: Final = frozenset(-number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))


class Manner(StrEnum):
    """How a process came to its end."""

    ORDERLY = "orderly"
    OUTSIDE = "outside"
    CRASHED = "crashed"
    HUNG = "hung"  # these three: the parent ended it
    OVERDUE = "overdue"
    MEMORY = "memory"


class Charge(StrEnum):
    HUB = "had the hub"
    OFFLOADED = "ran in a native thread"
    OVERDUE = "ran longer than its hard time limit"
    SUSPECT = "was the one suspect that ran"
    PRESENT = "ran while nobody had the hub"  # these two are marks; the others are blames
    STARVED = "ran in a native thread while memory ran out"


class Word(Enum):
    """The answer to a redelivered message."""

    START = "start"
    SUSPECT = "start, as the one suspect that runs"
    HOLD = "hold"
    PARK = "park"


def manner(
    code: int, *, leave: bool, doom: Manner | None = None, ready: bool = True, leaving: bool = False, hub: int = IDLE
) -> Manner:
    """How a process ended that had the exit *code*.

    *leave*: it said that it stopped, or why it cannot boot.  *doom* is what the parent ended it for.  *ready*: it had
    been ready; *leaving*: it was told to end.
    """
    nobody = hub in (IDLE, NOBODY)
    if leave:
        return Manner.ORDERLY
    if doom is not None:
        return doom
    if code in _FROM_OUTSIDE:
        return Manner.OUTSIDE
    if code == ExitCode.CRASHED or (nobody and code == ExitCode.CANNOT_BOOT and not ready):
        return Manner.ORDERLY
    if nobody and leaving and code in (ExitCode.DRAINED, ExitCode.RELEASED):
        return Manner.ORDERLY
    return Manner.CRASHED


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process, and what its recorder says; *how* is the end in words.

    *starved*: if it was ended from outside, that may have been the kernel, as memory ran out.
    """

    manner: Manner
    how: str
    hub: int = IDLE
    rows: Sequence[Row] = ()
    starved: bool = False
    overdue: Collection[tuple[int, float]] = ()  # of the rows for whose limits it was ended, numbers and since


@dataclass(frozen=True, slots=True)
class Finding:
    """What one row is charged with."""

    row: Row
    charge: Charge
    how: str
    outside: bool = False  # its process was ended by somebody

    @property
    def sure(self) -> bool:
        """Whether it is a blame that hardly meets another one."""
        return not self.outside and self.charge in (Charge.HUB, Charge.OVERDUE)

    @property
    def key(self) -> str:
        return self.row.key.hex()

    @property
    def blames(self) -> bool:
        """Whether it is a blame, not a mark."""
        return self.charge not in (Charge.PRESENT, Charge.STARVED)

    def __str__(self) -> str:
        return f"{self.row} {self.charge} when its process {self.how}"


def findings(death: Death, suspect: str | None = None) -> list[Finding]:
    """Who is charged, each key once; *suspect* is the key of the running suspect when that ran in this process."""
    charges: dict[bytes, Finding] = {}

    def charge(rows: Iterable[Row], with_what: Charge) -> None:
        for row in rows:
            charges.setdefault(row.key, Finding(row, with_what, death.how, death.manner is Manner.OUTSIDE))

    if death.manner is Manner.ORDERLY:
        return []
    if death.manner is Manner.OVERDUE:
        charge((row for row in death.rows if (row.number, row.since) in death.overdue), Charge.OVERDUE)
        return list(charges.values())
    charge((row for row in death.rows if row.number == death.hub), Charge.HUB)
    nobody = not charges
    threads = [row for row in death.rows if row.state is RowState.OFFLOADED]
    suspects = [row for row in death.rows if row.key.hex() == suspect]
    if death.manner is Manner.OUTSIDE:
        if death.starved:
            charge((row for row in suspects if row in threads), Charge.SUSPECT)
            charge(threads, Charge.STARVED)
        return list(charges.values())
    charge(threads, Charge.OFFLOADED)
    if nobody:
        charge(suspects, Charge.SUSPECT)
        if not suspects:
            charge((row for row in death.rows if row.state is RowState.RUNNING), Charge.PRESENT)
    return list(charges.values())


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one message; ``seen`` is on the wall clock, ``words`` say the last blames.

    ``sure`` are those of the blames that are.
    """

    blames: int = 0
    marks: int = 0
    seen: float = 0.0
    words: Sequence[str] = field(default=())
    sure: int = 0

    def reason(self, elsewhere: int = 0) -> str:
        """Why it is parked; the more so when it was taken *elsewhere* so often."""
        words = f"its process died {self.blames} times because of it: it {'; '.join(self.words)}"
        return (
            words if self.blames >= BLAMES else f"{words}; and {elsewhere} times it was taken elsewhere and came back"
        )


def charged(record: Record | None, finding: Finding, now: float) -> Record:
    """*record* with *finding* added."""
    record = record or Record()
    if not finding.blames:
        return replace(record, marks=record.marks + 1, seen=now)
    words = (*record.words, f"{finding.charge} when its process {finding.how}")[-BLAMES:]
    return replace(record, blames=record.blames + 1, seen=now, words=words, sure=record.sure + finding.sure)


def elsewhere(taken: int, here: int, record: Record | None) -> int:
    """How often others took a message that was *taken* so often before.

    So often *here*, as far as that is known; each death that it was charged with was a time, too.
    """
    charges = 0 if record is None else record.blames + record.marks
    return max(0, taken - max(here, charges))


def word(record: Record | None, *, suspect_runs: bool, elsewhere: int = 0) -> Word:
    """May a redelivered message start?

    *suspect_runs*: a suspect runs already, in whatever process.  *elsewhere*: it was taken so often by others.
    """
    if record is None:
        return Word.START
    if record.blames >= BLAMES or (record.sure >= SURE and elsewhere >= ELSEWHERE):
        return Word.PARK
    if record.marks >= MARKS:
        return Word.HOLD if suspect_runs else Word.SUSPECT
    return Word.START
