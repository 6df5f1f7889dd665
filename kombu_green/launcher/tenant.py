"""One worker process in its parent's care: heard, hurried, killed and buried."""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kombu_green.control.messages import (
    CannotBoot,
    Drain,
    Entered,
    Heartbeat,
    Malformed,
    Note,
    Ready,
    Release,
    Standby,
    Started,
    Stopped,
)
from kombu_green.control.phases import LEAVING
from kombu_green.launcher.ending import ExitCode
from kombu_green.launcher.process import Process, how_it_ended
from kombu_green.launcher.recycling import share
from kombu_green.launcher.states import PRESENT, Event, Timing, Vitals, next_step

__all__ = ["End", "Tenant"]

log = logging.getLogger("kombu_green.launcher")


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

    def __init__(self, process: Process, timing: Timing) -> None:
        self.process: Final = process
        self.timing: Final = timing
        self.counters = Heartbeat()
        self.served = False  # it was ready, or stood by, once
        self.share: Final = share()

    @classmethod
    def start(
        cls, number: int, command: Sequence[str], timing: Timing, lifeline: int, selector: selectors.BaseSelector
    ) -> Tenant:
        """Raises ``OSError`` when that is not possible."""
        tenant = cls(Process.start(number, command, lifeline), timing)
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
        return None if step is None else step[0]

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
        """Do what is due: abort what hangs, hurry what is late, kill what does not listen."""
        step = next_step(self.vitals, self.timing)
        if step is None or time.monotonic() < step[0]:
            return
        match step[1]:
            case Event.HUNG:
                self._say(logging.ERROR, "hung", "hangs: no heartbeat in time; it prints its stacks and is replaced")
                self.process.signal(signal.SIGABRT)
            case Event.RELEASE:
                self._say(logging.WARNING, "late", "has not drained in time, and shall give back what is left")
                self.process.say(Release())
            case Event.KILL:
                self._say(logging.ERROR, "killed", f"is still {self.vitals.state}, and is killed")
                self.process.kill()
        self.vitals.enter(step[1], time.monotonic())

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

    def bury(self, selector: selectors.BaseSelector) -> End | None:
        """How it ended, once; None while it runs."""
        process = self.process
        code = process.ended()
        if code is None:
            return None
        self.hear(selector)  # its last words; one call takes all that a socket's buffer holds
        _hang_up(process, selector)  # its end may be open still, in something that it left behind
        self.vitals.enter(Event.EXIT, time.monotonic())
        problems = process.problems
        if problems is None and code == ExitCode.CANNOT_BOOT:
            problems = [f"process {process.number} says that it cannot boot (exit code {code}), and not why"]
        return End(process.pid, code, process.released, problems)

    def tell(self, place: str) -> None:
        """Write its state to the log; *place* says what it is there."""
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
