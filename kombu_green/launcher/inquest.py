"""After a death: reads the dead process's recorder, says whom it blames, and answers for what comes back.

A broker hands out again within milliseconds, before the parent is told of the end.  So an answer waits until no child
is about to end: then every death that can be behind the redelivery has been judged.

A store hands out again what keeps a hub from turning: its lease is not renewed, and ends before the process is known to
hang.  So an answer waits, too, while its message would be blamed if a process that is silent hung: it would hang
another one.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Collection, Sequence
from typing import Final

from kombu_green.ipc.messages import Answer, Ask, Settled
from kombu_green.launcher.blame import Death, Finding, Manner, Record, Word, elsewhere, findings, manner, word
from kombu_green.launcher.ledger import Ledger
from kombu_green.launcher.process import Process, how_it_ended
from kombu_green.launcher.shortage import Shortage

__all__ = ["Inquest"]

log = logging.getLogger("kombu_green.launcher")

_COUNTED: Final = 10_000  # messages
_SILENT: Final = 0.25  # seconds without a heartbeat; every heartbeat is a reason to look again


class Inquest:
    """Knows every process of one launcher by what it hands in; *ledger* keeps what was found."""

    def __init__(self, ledger: Ledger, shortage: Shortage) -> None:
        self._ledger: Final = ledger
        self._shortage: Final = shortage
        self._asked: list[tuple[Process, Ask]] = []
        self._settled: list[tuple[Process, Settled, float]] = []  # and when it was said
        self._takes: Final[dict[str, int]] = {}  # of what was asked about and not settled, how often; the latest last
        self._suspect: tuple[Process, Ask] | None = None  # the one that runs
        self._parking: list[tuple[Process, Ask]] = []  # not settled yet
        self._parked = 0

    def hear(self, process: Process) -> None:
        """Take in what *process* asked since the last call, which :meth:`answer` comes back to, and what is over."""
        for note in process.questions:
            if isinstance(note, Ask):
                self._asked.append((process, note))
                self._count(note.key)
            else:
                self._clear(process, note)
                if not note.back:  # what did not begin is still to be blamed for what it did
                    self._settled.append((process, note, time.monotonic()))
        process.questions.clear()

    def _count(self, key: str) -> None:
        """It was taken here once more."""
        self._takes[key] = self._takes.pop(key, 0) + 1
        if len(self._takes) > _COUNTED:  # somebody else may have settled the oldest
            del self._takes[next(iter(self._takes))]

    def _forget_settled(self, ended: Process | None = None) -> None:
        """Forget what was settled once its process's hub has turned since: before that, the ack may not have left.

        One that has *ended* in order has sent everything.
        """
        settled, self._settled = self._settled, []
        for process, note, at in settled:
            if process is ended or (process.vitals.heard is not None and process.vitals.heard > at):
                self._ledger.forget(note.key)
                self._takes.pop(note.key, None)
            else:
                self._settled.append((process, note, at))

    def died(self, process: Process, code: int, *, ready: bool, leaving: bool) -> Collection[str]:
        """Judge the end of *process*; the queues of those that are blamed, or else marked."""
        recent = self._shortage.recent()
        death = _death(process, code, ready=ready, leaving=leaving, shortage=recent)
        suspect = self._suspect[1].key if self._suspect is not None and self._suspect[0] is process else None
        found = findings(death, suspect)
        self._ledger.charge(found)
        if death.manner is Manner.ORDERLY:
            self._forget_settled(process)
        else:
            self._tell(process, death, found)
        self._clear(process)
        self._settled = [one for one in self._settled if one[0] is not process]
        process.recording.close()
        return {one.row.queue for one in found if one.blames} or {one.row.queue for one in found}

    def answer(self, processes: Sequence[Process]) -> None:
        """Answer what can be answered; *processes* are all that were not buried."""
        self._forget_settled()
        self._shortage.look()
        if not self._asked or any(process.leaves() for process in processes):
            return
        kept = set().union(*map(_kept, processes))
        waiting, self._asked = self._asked, []
        for process, ask in sorted(waiting, key=self._comes_later):
            said, record = self._word(ask), self._ledger.get(ask.key)
            if said is not Word.PARK and (ask.key in kept or self._endangers(process, record)):
                said = Word.HOLD
            self._say(said, process, ask, record)

    def _comes_later(self, asked: tuple[Process, Ask]) -> bool:
        """Parked messages come first."""
        return self._word(asked[1]) is not Word.PARK

    def _word(self, ask: Ask) -> Word:
        record = self._ledger.get(ask.key)
        return word(record, suspect_runs=self._suspect is not None, elsewhere=self._elsewhere(ask, record))

    def _elsewhere(self, ask: Ask, record: Record | None) -> int:
        return elsewhere(ask.taken, self._takes.get(ask.key, 1) - 1, record)

    def _endangers(self, process: Process, record: Record | None) -> bool:
        """Whether it was blamed, and would run beside one that is just being parked: that would be parked twice."""
        return record is not None and record.blames > 0 and any(other is process for other, _ in self._parking)

    def _say(self, said: Word, process: Process, ask: Ask, record: Record | None) -> None:
        park = ""
        match said:
            case Word.HOLD:
                self._asked.append((process, ask))
                return
            case Word.PARK:
                assert record is not None
                self._parked += 1
                self._parking.append((process, ask))
                park = record.reason(self._elsewhere(ask, record))
            case Word.SUSPECT:
                self._suspect = process, ask
        process.say(Answer(ask.row, park))

    def counts(self) -> dict[str, int]:
        """Messages that are ``blamed``, that are ``suspects``, and that were ``parked`` since this began."""
        blamed, suspects = self._ledger.counts()
        return {"blamed": blamed, "suspects": suspects, "parked": self._parked}

    def _clear(self, process: Process, note: Settled | None = None) -> None:
        """Forget what *process* asked for, in the row of *note* or in all of them."""

        def gone(other: Process, ask: Ask) -> bool:
            return other is process and (note is None or ask.row == note.row)

        self._asked = [one for one in self._asked if not gone(*one)]
        self._parking = [one for one in self._parking if not gone(*one)]
        if self._suspect is not None and gone(*self._suspect):
            self._suspect = None

    def _tell(self, process: Process, death: Death, found: Collection[Finding]) -> None:
        blamed = [finding for finding in found if finding.blames]
        words = "; ".join(f"{finding.row}, which {finding.charge}" for finding in blamed[:5])
        if blamed:
            words = f"blamed is {words}"
        elif found:
            words = f"nobody had the hub: {len(found)} messages that ran are marked"
        else:
            words = "no message is blamed"
        said = {
            "event": "inquest",
            "place": process.number,
            "child": process.pid,
            "manner": death.manner.value,
            "blamed": [self._charge(finding) for finding in blamed],
            "marked": [finding.key for finding in found if not finding.blames],
        }
        log.warning("process %d (pid %d) %s: %s", process.number, process.pid, death.how, words, extra=said)

    def _charge(self, finding: Finding) -> dict[str, object]:
        record = self._ledger.get(finding.key)
        return {
            "key": finding.key,
            "id": finding.row.id,
            "queue": finding.row.queue,
            "callback": finding.row.callback,
            "charge": finding.charge.value,
            "blames": record.blames if record is not None else 0,
        }


def _kept(process: Process) -> set[str]:
    """The keys of what would be blamed if *process* hung; none as long as it is heard."""
    vitals = process.vitals
    if time.monotonic() - (vitals.heard or vitals.born) < _SILENT:
        return set()
    recording = process.recording
    supposed = Death(Manner.HUNG, "hangs", recording.hub, recording.rows())
    return {finding.key for finding in findings(supposed) if finding.blames}


def _death(process: Process, code: int, *, ready: bool, leaving: bool, shortage: bool | None) -> Death:
    recording, doom = process.recording, process.doom
    hub, rows = recording.hub, recording.rows()
    how = manner(
        code,
        leave=process.released is not None or process.problems is not None,
        doom=doom.manner if doom is not None else None,
        ready=ready,
        leaving=leaving,
        hub=hub,
    )
    words = how_it_ended(code) if doom is None else f"{_FOR[doom.manner]} ({how_it_ended(code)})"
    killed = code == -signal.SIGKILL and doom is None
    if killed and shortage:
        words += " while memory ran out"
    return Death(
        how,
        words,
        hub,
        rows,
        starved=killed and shortage is not False,
        overdue=() if doom is None else doom.overdue,
    )


_FOR: Final = {
    Manner.HUNG: "hung",
    Manner.OVERDUE: "was ended for a hard time limit",
    Manner.MEMORY: "was ended for its memory",
}
