"""The parent: keeps N processes running, judges them from outside, renews them, and ends them in order.

One thread, one selector, no gevent: whoever judges a hung hub must not share it.  The loop waits until a child speaks
or ends, a signal comes, or a step is due at one of the places, and then looks at all of them in turn.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from kombu_green.config.problems import ConfigError
from kombu_green.launcher.credit import Credit
from kombu_green.launcher.ending import Mode, Outcome, hopeless
from kombu_green.launcher.generations import Generations
from kombu_green.launcher.inquest import Inquest
from kombu_green.launcher.ledger import Ledger
from kombu_green.launcher.place import Place
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.reception import Reception, Visitor
from kombu_green.launcher.report import report
from kombu_green.launcher.shortage import Shortage
from kombu_green.launcher.signals import Signals
from kombu_green.launcher.tenant import End, Tenant
from kombu_green.retry import Backoff

__all__ = ["Launcher"]

log = logging.getLogger("kombu_green.launcher")

_LONGEST_SLEEP: Final = 1.0  # seconds; so that standing still (SIGSTOP, Ctrl-Z) shows as a longer one
_OVERSLEPT: Final = 1.0  # seconds beyond that: the children may have stood still, too, and are forgiven as much
_SIGNALS: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)


class Launcher:
    """Runs *plan* until it is told to stop; *reread* gives the plan that a SIGHUP asks for.

    ``--protocol P --control-fd N --lifeline-fd M --recorder-fd L`` is added to the plan's command.  What is said over
    the control socket is :mod:`kombu_green.ipc.messages`; the lifeline is a pipe that is never written to: it ends
    with the parent; the layout of the recorder's file is :mod:`kombu_green.ipc.recorder`.

    SIGTERM and SIGINT drain; a second SIGINT, and SIGQUIT, give back at once.  SIGHUP replaces all processes by new
    ones, SIGTTIN and SIGTTOU start one more and end one, SIGUSR1 writes the state of everything to the log.

    *state* is the folder in which it keeps over restarts which messages were blamed for the death of a process, and in
    which whoever asks is answered (:mod:`kombu_green.launcher.enquiry`); *file* is told to them.  It drains, too, when
    *guardian*, the pid of its parent, has ended.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        reread: Callable[[], Plan] | None = None,
        backoff: Backoff | None = None,
        shortage: Shortage | None = None,
        state: Path | None = None,
        file: Path | None = None,
        guardian: int | None = None,
    ) -> None:
        self._generations: Final = Generations(plan, backoff or Backoff(first=1.0, ceiling=30.0))
        self._reread: Final = reread or (lambda: plan)
        self._inquest: Final = Inquest(Ledger(state), shortage or Shortage())
        self._credit: Final = Credit()
        self._outcome: Final = Outcome()
        self._selector: Final[selectors.BaseSelector] = selectors.DefaultSelector()
        self._state: Final = state
        self._file: Final = file
        self._guardian: Final = guardian
        self._born: Final = time.monotonic()
        self._reception: Reception | None = None
        self._interrupts = 0
        self._told: set[str] = set()

    def run(self) -> int:
        """Block until everything has ended; return the exit code.  Once for each launcher, in the main thread."""
        with ExitStack() as stack:
            stack.enter_context(self._selector)
            signals = stack.enter_context(Signals(*_SIGNALS))
            self._selector.register(signals, selectors.EVENT_READ)
            if self._state is not None:
                self._reception = stack.enter_context(Reception(self._state, self._report, self._selector))
            lifeline, ours = os.pipe()
            stack.callback(os.close, lifeline)
            stack.callback(os.close, ours)
            while not self._over():
                self._turn(signals, lifeline)
        code = self._outcome.exit_code()
        log.info("all processes have ended: exit code %d", code, extra={"event": "ended", "code": int(code)})
        return code

    @property
    def _running(self) -> bool:
        return self._outcome.mode is Mode.RUNNING

    @property
    def _places(self) -> Sequence[Place]:
        return self._generations.places

    def _tenants(self) -> Iterator[Tenant]:
        for place in self._places:
            yield from place.tenants()

    def _over(self) -> bool:
        return not self._running and not any(self._tenants())

    def _turn(self, signals: Signals, lifeline: int) -> None:
        began = time.monotonic()
        timeout = max(0.0, min([began + _LONGEST_SLEEP, *self._generations.dues()]) - began)
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, Tenant | Reception | Visitor):
                key.data.hear(self._selector)
            if isinstance(key.data, Tenant):
                self._inquest.hear(key.data.process)
        if self._reception is not None:
            self._reception.tidy()
        self._look_at_the_clock(time.monotonic() - began - timeout)
        for number in signals.take():
            self._signalled(signal.Signals(number))
        if self._running and self._guardian not in (None, os.getppid()):
            self._drain("the parent has ended")
        for place in list(self._places):
            self._tend(place, lifeline)
        self._inquest.answer([tenant.process for tenant in self._tenants()])
        if self._running:
            self._generations.go_on(lifeline, self._selector)
        self._generations.tidy()

    def _report(self) -> Mapping[str, Any]:
        mode, counts = self._outcome.mode, self._inquest.counts()
        return report(self._places, file=self._file, mode=mode, born=self._born, messages=counts)

    def _tend(self, place: Place, lifeline: int) -> None:
        for tenant in list(place.tenants()):
            end = tenant.reap(self._selector)
            if end is None:
                tenant.judge()
            else:
                self._ended(place, tenant, end)
        place.look()
        place.start(self._generations.plan, lifeline, self._selector)

    def _look_at_the_clock(self, late: float) -> None:
        if late <= _OVERSLEPT:
            return
        log.warning("the launcher stood still for %.1f s", late, extra={"event": "stood still", "seconds": late})
        for tenant in self._tenants():
            tenant.vitals.forgive(late)

    # -- signals

    def _signalled(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGINT | signal.SIGTERM:
                self._interrupts += number == signal.SIGINT
                if number == signal.SIGINT and self._interrupts == 2:
                    self._release(Mode.INTERRUPTED, "second SIGINT")
                elif self._running:
                    self._drain(number.name)
            case signal.SIGQUIT:
                self._release(Mode.DRAINING if self._running else self._outcome.mode, "SIGQUIT")
            case signal.SIGUSR1:
                self._tell_state()
            case signal.SIGHUP if self._running:
                self._reload()
            case signal.SIGTTIN if self._running:
                self._generations.grow()
            case signal.SIGTTOU if self._running:
                self._generations.shrink()

    def _drain(self, reason: str) -> None:
        log.info("%s: draining", reason, extra={"event": "draining", "reason": reason})
        self._outcome.mode = Mode.DRAINING
        self._generations.stop()
        for place in self._places:
            place.retire()

    def _release(self, mode: Mode, reason: str) -> None:
        log.info("%s: ending at once", reason, extra={"event": "releasing", "reason": reason})
        self._outcome.mode = mode
        self._generations.stop()
        for place in self._places:
            place.release()

    def _reload(self) -> None:
        """Begin a new generation by what the file says now; one that has problems changes nothing."""
        try:
            plan = self._reread()
        except ConfigError as error:
            for problem in error.problems:
                log.error("SIGHUP: nothing is changed: %s", problem, extra={"event": "not reloaded"})
            return
        self._told.clear()
        self._say_what_stays(plan)
        self._generations.renew_all(plan, "SIGHUP")

    def _say_what_stays(self, plan: Plan) -> None:
        """A launcher keeps its state folder: its socket is there, and what it knows of messages was read from it."""
        kept, wanted = self._state, plan.state
        if kept is None or wanted is None or kept.resolve() == wanted.resolve():
            return
        words = (
            "SIGHUP: [worker] state stays %s: %s counts when kombu-worker is restarted;"
            " until then, kombu-worker status finds it with --set worker.state=%s"
        )
        said = {"event": "kept", "key": "worker.state", "kept": str(kept), "wanted": str(wanted)}
        log.warning(words, kept, wanted, kept, extra=said)

    def _tell_state(self) -> None:
        for place in self._places:
            for tenant in place.tenants():
                tenant.tell(place.part_of(tenant))
        mode = self._outcome.mode.value
        log.info("%d places, %s", len(self._places), mode, extra={"event": "state", "mode": mode})

    # -- ends

    def _ended(self, place: Place, tenant: Tenant, end: End) -> None:
        leaving = self._outcome.mode is not Mode.RUNNING or tenant.vitals.leaving is not None
        for other in self._tenants():
            self._credit.hear(other.process.pid, other.process.recording.survived())
        self._credit.forget(end.pid)
        queues = self._inquest.died(tenant.process, end.code, ready=tenant.served, leaving=leaving)
        successor, current = tenant is place.successor, tenant is place.tenant
        place.forget(tenant)
        if not self._running:
            self._ended_while_stopping(tenant, end)
        elif successor:
            self._generations.lost_successor(tenant, end)
        elif not current:
            self._say_stopped(tenant, end)
        elif end.problems is None:
            place.again(f"{tenant.name} {end}", overdrawn=self._credit.charge(queues) if queues else None)
        else:
            self._cannot_boot(place, tenant, end.problems)

    def _ended_while_stopping(self, tenant: Tenant, end: End) -> None:
        if end.problems is not None:
            self._tell(end.problems)
            return
        self._outcome.count(end.code, end.released)
        self._say_stopped(tenant, end)

    def _cannot_boot(self, place: Place, tenant: Tenant, problems: Sequence[str]) -> None:
        place.unfit = True
        self._tell(problems)
        others = self._generations.staying()
        if hopeless(any(other.ever_ready for other in others), [other.unfit for other in others]):
            self._release(Mode.REFUSED, "cannot boot")
        else:
            place.again(f"{tenant.name} cannot boot", last_resort=True)

    def _say_stopped(self, tenant: Tenant, end: End) -> None:
        said = {"event": "stopped", "place": tenant.process.number, "child": end.pid, "code": end.code}
        log.info("%s %s", tenant.name, end, extra=said)

    def _tell(self, problems: Sequence[str]) -> None:
        """Print each problem once, however many processes have it."""
        for problem in problems:
            if problem not in self._told:
                self._told.add(problem)
                log.error("%s", problem, extra={"event": "cannot boot"})
