"""One worker process as the launcher supervises it: it is listened to, told to stop, ended when it must, and reaped."""

from __future__ import annotations

import logging
import selectors
import signal
import time
from dataclasses import dataclass
from typing import Final

from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.messages import (
    AdmissionClosed,
    AdmissionReply,
    AdmissionRequest,
    CannotBoot,
    ChildAway,
    ChildFailed,
    ChildReady,
    ChildStandby,
    ChildStarted,
    ChildStopped,
    DrainOrder,
    Heartbeat,
    Malformed,
    Note,
    PhaseEntered,
    ReleaseOrder,
)
from kombu_green.ipc.phases import LEAVING
from kombu_green.launcher.child_process import ChildProcess, exit_text
from kombu_green.launcher.child_states import DRAINABLE, ChildEvent, ChildState, ChildTimeouts, Lifecycle, next_step
from kombu_green.launcher.death_rules import DeathKind
from kombu_green.launcher.limits import (
    Termination,
    message_share,
    next_check,
    over_memory_limit,
    over_time_limit,
    resident_memory,
)
from kombu_green.launcher.plan import Plan

__all__ = ["Child", "ChildEnd"]

log = logging.getLogger("kombu_green.launcher")

_STACKS_POLL: Final = 0.05  # seconds between two looks whether the stacks that were requested are printed


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a process ended."""

    pid: int
    code: int  # its exit code; negative: the signal
    released: int | None  # messages that it gave back unfinished; None when it did not report its stop
    problems: list[str] | None  # why it cannot boot; None when that is not how it ended
    failure: str = ""  # why it could not go on; empty when it did not say that

    def __str__(self) -> str:
        return f"{exit_text(self.code)}: {self.failure}" if self.failure else exit_text(self.code)


class Child:
    """A worker process, from its start until it is reaped.  It keeps the timeouts that it was started with."""

    def __init__(self, process: ChildProcess, timeouts: ChildTimeouts, hard_memory: int = 0) -> None:
        self.process: Final = process
        self.timeouts: Final = timeouts
        self.hard_memory: Final = hard_memory  # bytes; 0 is no limit
        self.lifecycle: Final = Lifecycle(time.monotonic())
        self.counters = Heartbeat()
        self.served = False  # it was ready, or stood by, once
        self.message_share: Final = message_share()
        #: messages that it reported to have given back unfinished; None while it has not reported its stop
        self.released: int | None = None
        #: why it is away; empty while it is not
        self.away = ""
        #: why it cannot go on; empty while it has not said that
        self.failure = ""
        #: why it cannot boot; None while it has not said that
        self.problems: list[str] | None = None
        #: what it said about redelivered messages, until admission takes it
        self.admission_notes: list[AdmissionRequest | AdmissionClosed] = []
        #: why the launcher has begun to end it
        self.termination: Termination | None = None
        self._check_at = self.lifecycle.started_at

    @classmethod
    def start(cls, number: int, plan: Plan, lifeline: int, selector: selectors.BaseSelector) -> Child:
        """Start the process with *number*, and listen to it; ``OSError`` when that is not possible."""
        child = cls(ChildProcess.start(number, plan.command, lifeline), plan.timeouts, plan.hard_memory)
        selector.register(child.process.control, selectors.EVENT_READ, child)
        child._log(logging.INFO, "started", "started")
        return child

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def name(self) -> str:
        return f"process {self.process.number} (pid {self.pid})"

    def due_at(self) -> float | None:
        """The monotonic time at which :meth:`supervise` has something to do if nothing is heard until then."""
        step = next_step(self.lifecycle, self.timeouts)
        if step is None:
            return None
        if self.lifecycle.state is ChildState.DUMPING:
            return min(step[0], time.monotonic() + _STACKS_POLL)
        return min(step[0], self._check_at) if self.lifecycle.working else step[0]

    # -- what it reports

    def on_readable(self, selector: selectors.BaseSelector) -> None:
        """Take in what it has sent."""
        if self.process.control.fileno() < 0:
            return
        notes, still_open = self.process.receive()
        if not still_open:
            self._hang_up(selector)
        for note in notes:
            self._take(note)

    def _take(self, note: Note | Malformed) -> None:
        match note:
            case Heartbeat():
                self.lifecycle.last_heartbeat, self.counters = time.monotonic(), note
            case ChildReady():
                self._take_serving(ChildEvent.READY, "is ready")
            case ChildStandby():
                self._take_serving(ChildEvent.STANDBY, "stands by: another process holds the queue of a consumer")
            case ChildAway(reason):
                self._take_away(reason)
            case ChildFailed(reason):
                self.failure = reason
            case PhaseEntered(phase) if phase in LEAVING:
                self.lifecycle.enter(ChildEvent(phase), time.monotonic())
                self._log(logging.DEBUG, phase, f"is {phase}")
            case AdmissionRequest() | AdmissionClosed():
                self.admission_notes.append(note)
            case ChildStopped(released):
                self.released = released
            case CannotBoot(problems):
                self.problems = problems
            case ChildStarted():
                self._log(logging.DEBUG, "configured", "has read its configuration")
            case _:
                self._log(logging.WARNING, "malformed", f"sent what is no note: {note}")

    def _take_serving(self, event: ChildEvent, text: str) -> None:
        now, before = time.monotonic(), self.lifecycle.state
        self.lifecycle.last_heartbeat, self.served, self.away = now, True, ""
        self.lifecycle.enter(event, now)
        if self.lifecycle.state is not before:
            self._log(logging.INFO, event, text)

    def _take_away(self, reason: str) -> None:
        before = self.lifecycle.state
        self.away = reason
        self.lifecycle.enter(ChildEvent.AWAY, time.monotonic())
        if self.lifecycle.state is not before:
            self._log(logging.WARNING, "away", f"is away, and not restarted for it: {reason}", reason=reason)

    # -- what the launcher does

    def supervise(self) -> None:
        """Do what is due: end it when it hangs or is over a hard limit, and take the next step of its end."""
        self._check_hard_limits()
        step = next_step(self.lifecycle, self.timeouts)
        dumped = self.lifecycle.state is ChildState.DUMPING and self.process.recorder.stacks_printed
        if step is None or (time.monotonic() < step[0] and not dumped):
            return
        match step[1]:
            case ChildEvent.HUNG:
                text = "hangs: no heartbeat in time; it prints its stacks and is replaced"
                self._terminate(Termination(DeathKind.HUNG, text))
                return
            case ChildEvent.ABORT:
                self.process.signal(signal.SIGABRT)
            case ChildEvent.RELEASE:
                self._log(logging.WARNING, "late", "has not drained in time, and shall give back what is left")
                self.process.send(ReleaseOrder())
            case ChildEvent.KILL:
                self._log(logging.ERROR, "killed", f"is still {self.lifecycle.state}, and is killed")
                self.process.kill()
        self.lifecycle.enter(step[1], time.monotonic())

    def _check_hard_limits(self) -> None:
        now = time.monotonic()
        if now < self._check_at or not self.lifecycle.working:
            return
        rows, hub = self.process.recorder.rows(), self.process.recorder.hub
        self._check_at = next_check(rows, self.hard_memory, now)
        memory = resident_memory(self.pid) if self.hard_memory else None
        termination = over_memory_limit(memory, self.hard_memory) or over_time_limit(
            rows, hub, self.lifecycle.last_heartbeat, now
        )
        if termination is not None:
            self._terminate(termination)

    def _terminate(self, termination: Termination) -> None:
        """Begin to end it; the death report will name the reason."""
        self.termination = termination
        self._log(logging.ERROR, termination.kind.value, termination.text)
        if termination.kind is DeathKind.OVER_MEMORY_LIMIT:
            self.process.kill()
            self.lifecycle.enter(ChildEvent.OVER_MEMORY_LIMIT, time.monotonic())
        else:
            self.process.recorder.request_stacks()
            hung = termination.kind is DeathKind.HUNG
            self.lifecycle.enter(ChildEvent.HUNG if hung else ChildEvent.OVER_TIME_LIMIT, time.monotonic())

    def drain(self) -> None:
        """Tell it to finish what runs, and to exit; nothing if it stops already."""
        if self.lifecycle.state in DRAINABLE:
            self.process.send(DrainOrder(self.timeouts.graceful))
            self.lifecycle.enter(ChildEvent.DRAIN, time.monotonic())

    def release(self) -> None:
        """Tell it to give back what is unfinished, and to exit now."""
        if self.lifecycle.working:
            self.process.send(ReleaseOrder())
            self.lifecycle.enter(ChildEvent.RELEASE, time.monotonic())

    def reply(self, reply: AdmissionReply) -> None:
        """Answer a request of it to start a redelivered message."""
        self.process.send(reply)

    def reap(self, selector: selectors.BaseSelector) -> ChildEnd | None:
        """How it ended, if it has; None while it runs."""
        code = self.process.reap()
        if code is None:
            return None
        self.on_readable(selector)  # its last notes; one call takes all that a socket buffer holds
        self._hang_up(selector)  # the other end may still be open, in a process that this one has started
        self.lifecycle.enter(ChildEvent.EXIT, time.monotonic())
        problems = self.problems
        if problems is None and code == ExitCode.CANNOT_BOOT and not self.served:
            problems = [f"process {self.process.number} cannot boot (exit code {code}), and did not say why"]
        return ChildEnd(self.pid, code, self.released, problems, self.failure)

    def _hang_up(self, selector: selectors.BaseSelector) -> None:
        control = self.process.control
        if control.fileno() >= 0:
            selector.unregister(control)
            control.close()

    # -- the log

    def log_state(self, role: str) -> None:
        """Write its state to the log, and have it print the stacks of its greenlets; *role* is its role in its slot."""
        if self.lifecycle.working:
            self.process.recorder.request_stacks()
        now = time.monotonic()
        state, counts = self.lifecycle.state, self.counters
        age, since = round(now - self.lifecycle.started_at, 1), now - self.lifecycle.entered_at
        text = (
            f"{self.name}, {role}: {state} for {since:.1f} s, {age} s old;"
            f" {counts.running} running, {counts.handled} handled, {counts.retried} retried,"
            f" {counts.dead_lettered} dead-lettered"
        )
        fields = {
            "event": "state",
            "process_number": self.process.number,
            "child": self.pid,
            "phase": str(state),
            "age": age,
            "running": counts.running,
            "handled": counts.handled,
            "retried": counts.retried,
            "dead_lettered": counts.dead_lettered,
        }
        log.info("%s", text, extra=fields)

    def _log(self, level: int, event: str, text: str, **more: str) -> None:
        fields = {"event": str(event), "process_number": self.process.number, "child": self.pid, **more}
        log.log(level, "%s %s", self.name, text, extra=fields)
