"""The parent: keeps N processes running, judges them from outside, and ends them in order.

One thread, one selector, no gevent: whoever judges a hung hub must not share it.  The loop waits until a child speaks
or ends, a signal comes, or a step is due at one of the places, and then looks at all of them in turn.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from kombu_green.launcher.ending import Mode, Outcome, hopeless
from kombu_green.launcher.place import End, Place
from kombu_green.launcher.signals import Signals
from kombu_green.launcher.states import Timing
from kombu_green.retry import Backoff

__all__ = ["Launcher"]

log = logging.getLogger("kombu_green.launcher")

_LONGEST_SLEEP: Final = 1.0  # seconds; so that standing still (SIGSTOP, Ctrl-Z) shows as a longer one
_OVERSLEPT: Final = 1.0  # seconds beyond that: the children may have stood still, too, and are forgiven as much


class Launcher:
    """Runs *command* in *processes* children until it is told to stop.

    The command is an argument list; ``--control-fd N --lifeline-fd M`` is added to it.  What is said over the control
    socket is :mod:`kombu_green.control.messages`; the lifeline is a pipe that is never written to: it ends with the
    parent.  SIGTERM and SIGINT drain, a second SIGINT releases at once.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        processes: int = 1,
        timing: Timing | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        timing = timing or Timing()
        backoff = backoff or Backoff(first=1.0, ceiling=30.0)
        self._command: Final = list(command)
        self._places: Final = [Place(number, timing, backoff) for number in range(1, processes + 1)]
        self._outcome: Final = Outcome()
        self._selector: Final[selectors.BaseSelector] = selectors.DefaultSelector()
        self._interrupts = 0
        self._told: set[str] = set()

    def run(self) -> int:
        """Block until everything has ended; return the exit code.  Once for each launcher, in the main thread."""
        with ExitStack() as stack:
            stack.enter_context(self._selector)
            signals = stack.enter_context(Signals(signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
            self._selector.register(signals, selectors.EVENT_READ)
            lifeline, ours = os.pipe()
            stack.callback(os.close, lifeline)
            stack.callback(os.close, ours)
            while not self._over():
                self._turn(signals, lifeline)
        code = self._outcome.exit_code()
        log.info("all processes have ended: exit code %d", code, extra={"event": "ended", "code": int(code)})
        return code

    def _over(self) -> bool:
        return self._outcome.mode is not Mode.RUNNING and not any(place.process for place in self._places)

    def _turn(self, signals: Signals, lifeline: int) -> None:
        began = time.monotonic()
        dues = [due for place in self._places if (due := place.due()) is not None]
        timeout = max(0.0, min([began + _LONGEST_SLEEP, *dues]) - began)
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, Place):
                key.data.hear(self._selector)
        self._look_at_the_clock(time.monotonic() - began - timeout)
        for number in signals.take():
            self._signalled(number)
        for place in self._places:
            end = place.bury(self._selector)
            if end is not None:
                self._ended(place, end)
            place.judge()
            place.start(self._command, lifeline, self._selector)

    def _look_at_the_clock(self, late: float) -> None:
        if late <= _OVERSLEPT:
            return
        log.warning("the launcher stood still for %.1f s", late, extra={"event": "stood still", "seconds": late})
        for place in self._places:
            if place.process is not None:
                place.process.vitals.forgive(late)

    def _signalled(self, number: int) -> None:
        if number == signal.SIGINT:
            self._interrupts += 1
        if number == signal.SIGINT and self._interrupts == 2:
            self._release(Mode.INTERRUPTED, "second SIGINT")
        elif number in (signal.SIGINT, signal.SIGTERM) and self._outcome.mode is Mode.RUNNING:
            name = signal.Signals(number).name
            log.info("%s: draining", name, extra={"event": "draining", "signal": name})
            self._outcome.mode = Mode.DRAINING
            for place in self._places:
                place.drain()

    def _release(self, mode: Mode, reason: str) -> None:
        log.info("%s: ending at once", reason, extra={"event": "releasing", "reason": reason})
        self._outcome.mode = mode
        for place in self._places:
            place.release()

    def _ended(self, place: Place, end: End) -> None:
        stopping = self._outcome.mode is not Mode.RUNNING
        if end.problems is not None:
            place.unfit = True
            self._tell(end.problems)
            if not stopping and hopeless(self._ever_ready, [other.unfit for other in self._places]):
                self._release(Mode.REFUSED, "cannot boot")
            elif not stopping:
                place.again(f"process {place.number} (pid {end.pid}) cannot boot", last_resort=True)
        elif stopping:
            self._outcome.count(end.code, end.released)
            said = {"event": "stopped", "place": place.number, "child": end.pid, "code": end.code}
            log.info("process %d (pid %d) %s", place.number, end.pid, end, extra=said)
        else:
            place.again(f"process {place.number} (pid {end.pid}) {end}")

    @property
    def _ever_ready(self) -> bool:
        return any(place.ever_ready for place in self._places)

    def _tell(self, problems: Sequence[str]) -> None:
        """Print each problem once, however many processes have it."""
        for problem in problems:
            if problem not in self._told:
                self._told.add(problem)
                log.error("%s", problem, extra={"event": "cannot boot"})
