"""One worker process in its parent's care: heard, hurried, killed and buried."""

from __future__ import annotations

import logging
import selectors
import signal
import time
from dataclasses import dataclass
from typing import Final

from kombu_green.exit_codes import ExitCode
from kombu_green.ipc.messages import (
    Ask,
    CannotBoot,
    Drain,
    Entered,
    Heartbeat,
    Malformed,
    Note,
    Ready,
    Release,
    Settled,
    Standby,
    Started,
    Stopped,
)
from kombu_green.ipc.phases import LEAVING
from kombu_green.launcher.blame import Manner
from kombu_green.launcher.hardlimits import Doom, next_look, overdue, too_large
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.process import Process, how_it_ended
from kombu_green.launcher.recycling import resident, share
from kombu_green.launcher.states import PRESENT, Event, State, Timing, Vitals, next_step

__all__ = ["End", "Tenant"]

log = logging.getLogger("kombu_green.launcher")

_TOLD_EVERY: Final = 0.05  # seconds between two looks whether it has told its stacks


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended."""

    pid: int
    code: int
    released: int | None  # messages it gave back unfinished; None when it did not say
    problems: list[str] | None  # why it cannot boot, when that is so

    def __str__(self) -> str:
        return how_it_ended(self.code)


class Tenant:
    """A process that has a place, shall have it, or had it.  It keeps the timing that it was started with."""

    def __init__(self, process: Process, timing: Timing, hard_memory: int = 0) -> None:
        self.process: Final = process
        self.timing: Final = timing
        self.hard_memory: Final = hard_memory
        self.counters = Heartbeat()
        self.served = False  # it was ready, or stood by, once
        self.share: Final = share()
        self._look_at = self.vitals.born

    @classmethod
    def start(cls, number: int, plan: Plan, lifeline: int, selector: selectors.BaseSelector) -> Tenant:
        """Raises ``OSError`` when that is not possible."""
        tenant = cls(Process.start(number, plan.command, lifeline), plan.timing, plan.hard_memory)
        selector.register(tenant.process.control, selectors.EVENT_READ, tenant)
        tenant._say(logging.INFO, "started", "started")
        return tenant

    @property
    def vitals(self) -> Vitals:
        return self.process.vitals

    @property
    def name(self) -> str:
        return f"process {self.process.number} (pid {self.process.pid})"

    def due(self) -> float | None:
        """When something has to be done to it, if nothing is heard meanwhile."""
        step = next_step(self.vitals, self.timing)
        if step is None:
            return None
        if self.vitals.state is State.TELLING:
            return min(step[0], time.monotonic() + _TOLD_EVERY)
        return min(step[0], self._look_at) if self._under_limits else step[0]

    def hear(self, selector: selectors.BaseSelector) -> None:
        """Take in what it has said."""
        if self.process.control.fileno() < 0:
            return
        notes, more = self.process.hear()
        if not more:
            _hang_up(self.process, selector)
        for note in notes:
            self._noted(note)

    def _noted(self, note: Note | Malformed) -> None:
        match note:
            case Heartbeat():
                self.vitals.heard, self.counters = time.monotonic(), note
            case Ready():
                self._serves(Event.READY, "is ready")
            case Standby():
                self._serves(Event.STANDBY, "stands by: another one has the place of a consumer")
            case Entered(phase) if phase in LEAVING:
                self.vitals.enter(Event(phase), time.monotonic())
                self._say(logging.DEBUG, phase, f"is {phase}")
            case Ask() | Settled():
                self.process.questions.append(note)
            case Stopped(released):
                self.process.released = released
            case CannotBoot(problems):
                self.process.problems = problems
            case Started():
                self._say(logging.DEBUG, "configured", "has read its configuration")
            case _:
                self._say(logging.WARNING, "malformed", f"said what nobody understands: {note}")

    def _serves(self, event: Event, words: str) -> None:
        now, before = time.monotonic(), self.vitals.state
        self.vitals.heard, self.served = now, True
        self.vitals.enter(event, now)
        if self.vitals.state is not before:
            self._say(logging.INFO, event, words)

    def judge(self) -> None:
        """Do what is due: abort what hangs or is beyond a limit, hurry what is late, kill what does not listen."""
        self._look()
        step = next_step(self.vitals, self.timing)
        told = self.vitals.state is State.TELLING and self.process.recording.told_stacks
        if step is None or (time.monotonic() < step[0] and not told):
            return
        match step[1]:
            case Event.HUNG:
                self._doom(Doom(Manner.HUNG, "hangs: no heartbeat in time; it prints its stacks and is replaced"))
                return
            case Event.ABORT:
                self.process.signal(signal.SIGABRT)
            case Event.RELEASE:
                self._say(logging.WARNING, "late", "has not drained in time, and shall give back what is left")
                self.process.say(Release())
            case Event.KILL:
                self._say(logging.ERROR, "killed", f"is still {self.vitals.state}, and is killed")
                self.process.kill()
        self.vitals.enter(step[1], time.monotonic())

    @property
    def _under_limits(self) -> bool:
        return self.vitals.state in PRESENT or self.vitals.state.value in LEAVING

    def _look(self) -> None:
        """End it when it is beyond a limit."""
        now = time.monotonic()
        if now < self._look_at or not self._under_limits:
            return
        process = self.process
        rows, hub = process.recording.rows(), process.recording.hub
        self._look_at = next_look(rows, self.hard_memory, now)
        memory = resident(process.pid) if self.hard_memory else None
        doom = too_large(memory, self.hard_memory) or overdue(rows, hub, self.vitals.heard, now)
        if doom is not None:
            self._doom(doom)

    def _doom(self, doom: Doom) -> None:
        """Begin to end it, for a reason that the inquest will ask for."""
        self.process.doom = doom
        self._say(logging.ERROR, doom.manner.value, doom.words)
        if doom.manner is Manner.MEMORY:
            self.process.kill()
            self.vitals.enter(Event.TOO_LARGE, time.monotonic())
        else:
            self.process.recording.ask_for_stacks()
            event = Event.HUNG if doom.manner is Manner.HUNG else Event.OVERDUE
            self.vitals.enter(event, time.monotonic())

    def drain(self) -> None:
        """Let it finish what runs."""
        if self.vitals.state in PRESENT:
            self.process.say(Drain(self.timing.graceful))
            self.vitals.enter(Event.DRAIN, time.monotonic())

    def release(self) -> None:
        """End it now."""
        if self.vitals.state in PRESENT or self.vitals.state.value in LEAVING:
            self.process.say(Release())
            self.vitals.enter(Event.RELEASE, time.monotonic())

    def reap(self, selector: selectors.BaseSelector) -> End | None:
        """How it ended, once; None while it runs."""
        process = self.process
        code = process.ended()
        if code is None:
            return None
        self.hear(selector)  # its last words; one call takes all that a socket's buffer holds
        _hang_up(process, selector)  # its end may be open still, in something that it left behind
        self.vitals.enter(Event.EXIT, time.monotonic())
        problems = process.problems
        if problems is None and code == ExitCode.CANNOT_BOOT and not self.served:
            problems = [f"process {process.number} says that it cannot boot (exit code {code}), and not why"]
        return End(process.pid, code, process.released, problems)

    def tell(self, place: str) -> None:
        """Write its state to the log, and have it write every greenlet's stack; *place* says what it is there."""
        if self._under_limits:
            self.process.recording.ask_for_stacks()
        age = round(time.monotonic() - self.vitals.born, 1)
        counts = self.counters
        since = time.monotonic() - self.vitals.entered
        words = (
            f"{self.name}, {place}: {self.vitals.state} for {since:.1f} s, {age} s old;"
            f" {counts.running} running, {counts.handled} handled, {counts.retried} retried,"
            f" {counts.dead_lettered} dead-lettered"
        )
        said = {
            "event": "state",
            "place": self.process.number,
            "child": self.process.pid,
            "phase": str(self.vitals.state),
            "age": age,
            "running": counts.running,
            "handled": counts.handled,
            "retried": counts.retried,
            "dead_lettered": counts.dead_lettered,
        }
        log.info("%s", words, extra=said)

    def _say(self, level: int, event: str, words: str) -> None:
        said = {"event": str(event), "place": self.process.number, "child": self.process.pid}
        log.log(level, "%s %s", self.name, words, extra=said)


def _hang_up(process: Process, selector: selectors.BaseSelector) -> None:
    if process.control.fileno() >= 0:
        selector.unregister(process.control)
        process.control.close()
