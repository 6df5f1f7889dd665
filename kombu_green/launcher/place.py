"""One of the N places of a launcher: the process that has it now, or when the next one is started."""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kombu_green.control.messages import CannotBoot, Drain, Heartbeat, Malformed, Note, Ready, Release, Started, Stopped
from kombu_green.launcher.ending import ExitCode
from kombu_green.launcher.process import Process, how_it_ended
from kombu_green.launcher.states import Event, State, Timing, next_step
from kombu_green.retry import Backoff

__all__ = ["End", "Place"]

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


class Place:
    """Starts, hears, judges and buries its process; whether another one follows is the launcher's business."""

    def __init__(self, number: int, timing: Timing, backoff: Backoff) -> None:
        self.number: Final = number
        self.process: Process | None = None
        self.start_at: float | None = time.monotonic()
        self.unfit = False  # the last one could not boot
        self.ever_ready = False
        self._timing: Final = timing
        self._backoff: Final = backoff
        self._failures = 0  # in a row, without one that was ready

    def due(self) -> float | None:
        """When something has to be done here, if nothing is heard meanwhile."""
        if self.process is None:
            return self.start_at
        step = next_step(self.process.vitals, self._timing)
        return None if step is None else step[0]

    def start(self, command: Sequence[str], lifeline: int, selector: selectors.BaseSelector) -> None:
        """Start the next process, if it is time."""
        if self.process is not None or self.start_at is None or time.monotonic() < self.start_at:
            return
        try:
            self.process = Process.start(self.number, command, lifeline)
        except OSError as error:
            self.again(f"process {self.number} could not be started ({error})")
            return
        self.start_at = None
        selector.register(self.process.control, selectors.EVENT_READ, self)
        self._say(logging.INFO, "started", "started")

    def again(self, reason: str, *, last_resort: bool = False) -> None:
        """Start another one after a wait that grows with each failure; *last_resort*: after the longest wait."""
        self._failures += 1
        wait = self._backoff.delay(1000 if last_resort else self._failures)
        self.start_at = time.monotonic() + wait
        said = {"event": "restarting", "place": self.number, "reason": reason, "seconds": round(wait, 3)}
        log.warning("%s: restarting in %.1f s", reason, wait, extra=said)

    def hear(self, selector: selectors.BaseSelector) -> None:
        """Take in what the process has said."""
        process = self.process
        if process is None or process.control.fileno() < 0:
            return
        notes, more = process.hear()
        if not more:
            _hang_up(process, selector)
        for note in notes:
            self._noted(process, note)

    def _noted(self, process: Process, note: Note | Malformed) -> None:
        now = time.monotonic()
        match note:
            case Heartbeat():
                process.vitals.heard = now
            case Ready():
                process.vitals.heard = now
                if process.vitals.state is State.STARTING:
                    self._say(logging.INFO, "ready", "is ready")
                process.vitals.enter(Event.READY, now)
                self._failures, self.unfit, self.ever_ready = 0, False, True
            case Stopped(released):
                process.released = released
            case CannotBoot(problems):
                process.problems = problems
            case Started():
                self._say(logging.DEBUG, "configured", "has read its configuration")
            case _:
                self._say(logging.WARNING, "malformed", f"said what nobody understands: {note}")

    def judge(self) -> None:
        """Do what is due: abort what hangs, hurry what is late, kill what does not listen."""
        process = self.process
        step = next_step(process.vitals, self._timing) if process is not None else None
        if process is None or step is None or time.monotonic() < step[0]:
            return
        match step[1]:
            case Event.HUNG:
                self._say(logging.ERROR, "hung", "hangs: no heartbeat in time; it prints its stacks and is replaced")
                process.signal(signal.SIGABRT)
            case Event.RELEASE:
                self._say(logging.WARNING, "late", "has not drained in time, and shall give back what is left")
                process.say(Release())
            case Event.KILL:
                self._say(logging.ERROR, "killed", f"is still {process.vitals.state}, and is killed")
                process.kill()
        process.vitals.enter(step[1], time.monotonic())

    def drain(self) -> None:
        """Let the process finish, and start no other."""
        self.start_at = None
        if self.process is not None and self.process.vitals.state in (State.STARTING, State.READY):
            self.process.say(Drain(self._timing.graceful))
            self.process.vitals.enter(Event.DRAIN, time.monotonic())

    def release(self) -> None:
        """End the process now, and start no other."""
        self.start_at = None
        if self.process is not None and self.process.vitals.state in (State.STARTING, State.READY, State.DRAINING):
            self.process.say(Release())
            self.process.vitals.enter(Event.RELEASE, time.monotonic())

    def bury(self, selector: selectors.BaseSelector) -> End | None:
        """How the process ended, once; None while it runs, or there is none."""
        process = self.process
        code = process.ended() if process is not None else None
        if process is None or code is None:
            return None
        self.hear(selector)  # its last words; one call takes all that a socket's buffer holds
        _hang_up(process, selector)  # its end may be open still, in something that it left behind
        process.vitals.enter(Event.EXIT, time.monotonic())
        self.process = None
        problems = process.problems
        if problems is None and code == ExitCode.CANNOT_BOOT:
            problems = [f"process {self.number} says that it cannot boot (exit code {code}), and not why"]
        return End(process.pid, code, process.released, problems)

    def _say(self, level: int, event: str, words: str) -> None:
        assert self.process is not None
        said = {"event": event, "place": self.number, "child": self.process.pid}
        log.log(level, "process %d (pid %d) %s", self.number, self.process.pid, words, extra=said)


def _hang_up(process: Process, selector: selectors.BaseSelector) -> None:
    if process.control.fileno() >= 0:
        selector.unregister(process.control)
        process.control.close()
