"""Whether a redelivered message may start, and the report on each process that has died.

A message that kills its process comes back.  So a worker process asks before it starts a message that was delivered
before.  The answer must not come before the death that may have led to the redelivery has been examined:

* A broker delivers again within milliseconds, before the launcher knows of the end of the process.  So no request is
  answered while a child is exiting or waits to be reaped.
* A store delivers again what keeps a hub from running: its lease is not renewed, and ends before the process counts as
  hung.  So a request waits, too, while its message would be blamed if a silent process hung: it would hang another one.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Collection, Sequence
from typing import Final

from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest
from kombu_green.launcher.child import Child
from kombu_green.launcher.child_process import exit_text
from kombu_green.launcher.death_records import DeathRecords
from kombu_green.launcher.death_rules import (
    AdmissionDecision,
    Attribution,
    DeathKind,
    DeathRecord,
    DeathReport,
    attribute,
    death_kind,
    decide_admission,
)
from kombu_green.launcher.limits import OomKills

__all__ = ["Admission"]

log = logging.getLogger("kombu_green.launcher")

_SHOWN: Final = 100  # records, by status
_SILENT: Final = 0.25  # seconds without a heartbeat after which a process may hang
_ENDED_FOR: Final = {
    DeathKind.HUNG: "hung",
    DeathKind.OVER_TIME_LIMIT: "was ended for a hard time limit",
    DeathKind.OVER_MEMORY_LIMIT: "was ended for its memory",
}


class Admission:
    """Answers the admission requests of all children of one launcher, and attributes their deaths to messages.

    *records* keeps the attributions; *oom_kills* tells whether a SIGKILL may have come from the kernel.
    """

    def __init__(self, records: DeathRecords, oom_kills: OomKills) -> None:
        self._records: Final = records
        self._oom_kills: Final = oom_kills
        self._waiting: list[tuple[Child, AdmissionRequest]] = []
        self._settled: list[tuple[Child, AdmissionClosed, float]] = []  # and when that was received
        self._suspect: tuple[Child, AdmissionRequest] | None = None  # the one that runs
        self._parking: list[tuple[Child, AdmissionRequest]] = []  # told to be parked, and not settled yet
        self._parked = 0

    def counts(self) -> dict[str, int]:
        """Messages that are ``blamed``, that are ``suspects``, and that were ``parked`` since the launcher started."""
        blamed, suspects = self._records.counts()
        return {"blamed": blamed, "suspects": suspects, "parked": self._parked}

    def latest_records(self) -> list[tuple[str, DeathRecord]]:
        """The keys and records of the messages that a death was attributed to last: 100 of them at most."""
        return self._records.latest(_SHOWN)

    def close(self) -> None:
        """The launcher ends: write what could not be written so far."""
        self._records.write_changes(at_last=True)

    # -- requests

    def collect(self, child: Child) -> None:
        """Take the requests that *child* has sent, for :meth:`answer`, and what it has closed."""
        for note in child.admission_notes:
            if isinstance(note, AdmissionRequest):
                self._waiting.append((child, note))
            else:
                self._close(child, note)
                if not note.back:  # a message that did not start keeps its record
                    self._settled.append((child, note, time.monotonic()))
        child.admission_notes.clear()

    def answer(self, children: Sequence[Child]) -> None:
        """Answer the requests that can be answered; *children* are all that were not reaped."""
        self._forget_settled()
        self._records.write_changes()
        self._oom_kills.poll()
        if not self._waiting or any(child.process.is_exiting() for child in children):
            return
        may_hang = set().union(*map(_blamed_if_hung, children))
        waiting, self._waiting = self._waiting, []
        for child, request in sorted(waiting, key=self._is_not_parked):
            decision, record = self._decide(request), self._records.get(request.key)
            if decision is not AdmissionDecision.PARK and (
                request.key in may_hang or self._endangers_parking(child, record)
            ):
                decision = AdmissionDecision.WAIT
            self._act(decision, child, request, record)

    def _is_not_parked(self, waiting: tuple[Child, AdmissionRequest]) -> bool:
        """Sorts the requests for messages that are to be parked to the front."""
        return self._decide(waiting[1]) is not AdmissionDecision.PARK

    def _decide(self, request: AdmissionRequest) -> AdmissionDecision:
        return decide_admission(self._records.get(request.key), suspect_runs=self._suspect is not None)

    def _endangers_parking(self, child: Child, record: DeathRecord | None) -> bool:
        """Whether a blamed message would run beside one that *child* is about to dead-letter.

        If it killed the process before that is done, the other message would be dead-lettered twice.
        """
        return record is not None and record.blames > 0 and any(other is child for other, _ in self._parking)

    def _act(
        self, decision: AdmissionDecision, child: Child, request: AdmissionRequest, record: DeathRecord | None
    ) -> None:
        park = ""
        match decision:
            case AdmissionDecision.WAIT:
                self._waiting.append((child, request))
                return
            case AdmissionDecision.PARK:
                assert record is not None
                self._parked += 1
                self._parking.append((child, request))
                park = record.summary
            case AdmissionDecision.START_AS_SUSPECT:
                self._suspect = child, request
        child.reply(AdmissionReply(request.row, park))

    def _close(self, child: Child, note: AdmissionClosed | None = None) -> None:
        """Drop the request of *child* for the row of *note*; without one, all of its requests."""

        def closed(other: Child, request: AdmissionRequest) -> bool:
            return other is child and (note is None or request.row == note.row)

        self._waiting = [one for one in self._waiting if not closed(*one)]
        self._parking = [one for one in self._parking if not closed(*one)]
        if self._suspect is not None and closed(*self._suspect):
            self._suspect = None

    def _forget_settled(self, stopped: Child | None = None) -> None:
        """Remove the records of settled messages once a heartbeat has come from their process since.

        Before that the ack may not have left the process.  *stopped* has stopped in order: all of its acks were sent.
        """
        settled, self._settled = self._settled, []
        for child, note, at in settled:
            heartbeat = child.lifecycle.last_heartbeat
            if child is stopped or (heartbeat is not None and heartbeat > at):
                self._records.forget(note.key)
            else:
                self._settled.append((child, note, at))

    # -- deaths

    def record_death(self, child: Child, code: int, *, leaving: bool) -> Collection[str]:
        """Attribute the end of *child*, which was reaped with *code*, to messages, and log it.

        *leaving*: it had been told to end.  Returns the queues of the messages that are blamed; without any, of those
        that are marked.
        """
        death = _report(child, code, leaving=leaving, oom_kill=self._oom_kills.recent())
        suspect = self._suspect[1].key if self._suspect is not None and self._suspect[0] is child else None
        attributions = attribute(death, suspect)
        self._records.add(attributions)
        if death.kind is DeathKind.ORDERLY:
            self._forget_settled(child)
        else:
            self._log(child, death, attributions)
        self._close(child)
        self._settled = [one for one in self._settled if one[0] is not child]
        child.process.recorder.close()
        blamed = {one.row.queue for one in attributions if one.is_blame}
        return blamed or {one.row.queue for one in attributions}

    def _log(self, child: Child, death: DeathReport, attributions: Collection[Attribution]) -> None:
        blamed = [one for one in attributions if one.is_blame]
        if blamed:
            text = "blamed is " + "; ".join(f"{one.row}, which {one.reason}" for one in blamed[:5])
        elif attributions:
            text = f"no message had the hub: {len(attributions)} messages that ran are marked"
        else:
            text = "no message is blamed"
        fields = {
            "event": "death",
            "process_number": child.process.number,
            "child": child.pid,
            "kind": death.kind.value,
            "blamed": [self._fields(one) for one in blamed],
            "marked": [one.key for one in attributions if not one.is_blame],
        }
        log.warning("%s %s: %s", child.name, death.how, text, extra=fields)

    def _fields(self, attribution: Attribution) -> dict[str, object]:
        record = self._records.get(attribution.key)
        return {
            "key": attribution.key,
            "id": attribution.row.message_id,
            "queue": attribution.row.queue,
            "callback": attribution.row.callback,
            "reason": attribution.reason.value,
            "blames": record.blames if record is not None else 0,
        }


def _blamed_if_hung(child: Child) -> set[str]:
    """The keys of the messages that would be blamed if *child* hung; none while it sends heartbeats."""
    last_sign = child.lifecycle.last_heartbeat or child.lifecycle.started_at
    if time.monotonic() - last_sign < _SILENT:
        return set()
    recorder = child.process.recorder
    death = DeathReport(DeathKind.HUNG, "hangs", recorder.hub, recorder.rows())
    return {one.key for one in attribute(death) if one.is_blame}


def _report(child: Child, code: int, *, leaving: bool, oom_kill: bool | None) -> DeathReport:
    """The death report of *child*; *oom_kill*: whether the kernel has just killed a process (None: it does not say)."""
    recorder, termination = child.process.recorder, child.termination
    hub, rows = recorder.hub, recorder.rows()
    kind = death_kind(
        code,
        orderly=child.released is not None or child.problems is not None,
        ended_for=None if termination is None else termination.kind,
        ready=child.served,
        leaving=leaving,
        hub=hub,
    )
    how = exit_text(code) if termination is None else f"{_ENDED_FOR[termination.kind]} ({exit_text(code)})"
    killed = code == -signal.SIGKILL and termination is None
    if killed and oom_kill:
        how += " while memory ran out"
    return DeathReport(
        kind,
        how,
        hub,
        rows,
        out_of_memory=killed and oom_kill is not False,
        over_limit=() if termination is None else termination.over_limit,
    )
