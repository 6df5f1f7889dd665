"""The launcher: keeps N worker processes running, supervises them from outside, replaces them, and ends them in order.

One thread, one selector, no gevent: what judges a hub that hangs must not share it.  The loop waits until a child sends
something or ends, a signal comes, or a step is due for one of the children.  Then it looks at all of them in turn.
Nothing in the loop blocks.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from kombu_green.config.problems import ConfigError
from kombu_green.exit_codes import ExitCode
from kombu_green.launcher.admission import Admission
from kombu_green.launcher.child import Child, ChildEnd
from kombu_green.launcher.death_records import DeathRecords
from kombu_green.launcher.limits import OomKills
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.process_slot import ProcessSlot
from kombu_green.launcher.restart_budget import RestartBudget
from kombu_green.launcher.rolling_restart import Generations
from kombu_green.launcher.signals import SignalPipe
from kombu_green.launcher.status_server import StatusConnection, StatusServer, status_document
from kombu_green.retry import Backoff

__all__ = ["Launcher", "LauncherMode", "LauncherOutcome", "gives_up"]

log = logging.getLogger("kombu_green.launcher")

_LONGEST_WAIT: Final = 1.0  # seconds in the selector, so that a longer pass shows that the launcher stood still
_STOOD_STILL: Final = 1.0  # seconds beyond that: SIGSTOP, Ctrl-Z, a suspended machine
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


class LauncherMode(Enum):
    """What the launcher does."""

    RUNNING = "running"
    DRAINING = "draining"  # after the first SIGTERM or SIGINT
    INTERRUPTED = "interrupted"  # after the second SIGINT
    REFUSED = "refused"  # its processes cannot boot


@dataclass(slots=True)
class LauncherOutcome:
    """How it went: the mode, and what its children left undone while they stopped.

    *released*: messages that were given back unfinished.  *unclean*: children that were killed, or died.
    """

    mode: LauncherMode = LauncherMode.RUNNING
    released: int = 0
    unclean: int = 0

    def count(self, code: int, released: int | None) -> None:
        """A child that was told to end has exited with *code*; *released* is None when it did not report its stop."""
        self.released += released or 0
        self.unclean += released is None and code != 0

    def exit_code(self) -> ExitCode:
        if self.mode is LauncherMode.REFUSED:
            return ExitCode.CANNOT_BOOT
        if self.mode is LauncherMode.INTERRUPTED:
            return ExitCode.INTERRUPTED
        return ExitCode.RELEASED if self.released or self.unclean else ExitCode.DRAINED


def gives_up(ever_ready: bool, cannot_boot: Collection[bool]) -> bool:
    """Whether the launcher ends because a process could not boot; *cannot_boot* is about the last one of each slot.

    Before any process was ever ready it does, so that its user reads why.  Later the processes that run
    go on, and the slot is tried again, until there is no slot left whose process boots.
    """
    return not ever_ready or all(cannot_boot)


class Launcher:
    """Runs *plan* until it is told to stop; *reread* returns the plan that a SIGHUP asks for.

    ``--protocol P --control-fd N --lifeline-fd M --recorder-fd L`` is added to the plan's command.  The notes on the
    control socket are those of :mod:`kombu_green.ipc.messages`.  The lifeline is a pipe that nothing is written to; it
    is closed when the launcher ends.  The layout of the recorder's file is that of :mod:`kombu_green.ipc.recorder`.

    SIGTERM and SIGINT drain; a second SIGINT, and SIGQUIT, end at once.  SIGHUP replaces all processes by new ones,
    SIGTTIN and SIGTTOU add and remove one, SIGUSR1 writes the state of everything to the log.

    *state* is the folder for the death records and for the socket of ``kombu-worker status``; *file* is the ini file
    that the status names.  The launcher also drains when *guardian*, the pid of its parent, has ended.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        reread: Callable[[], Plan] | None = None,
        backoff: Backoff | None = None,
        oom_kills: OomKills | None = None,
        state: Path | None = None,
        file: Path | None = None,
        guardian: int | None = None,
    ) -> None:
        self._generations: Final = Generations(plan, backoff or Backoff(first=1.0, ceiling=30.0))
        self._reread: Final = reread or (lambda: plan)
        self._admission: Final = Admission(DeathRecords(state), oom_kills or OomKills())
        self._budget: Final = RestartBudget()
        self._outcome: Final = LauncherOutcome()
        self._selector: Final[selectors.BaseSelector] = selectors.DefaultSelector()
        self._state: Final = state
        self._file: Final = file
        self._guardian: Final = guardian
        self._started_at: Final = time.monotonic()
        self._status_server: StatusServer | None = None
        self._interrupts = 0
        self._logged_problems: set[str] = set()

    def run(self) -> int:
        """Block until all processes have ended; return the exit code.  To be called once, in the main thread."""
        with ExitStack() as stack:
            stack.enter_context(self._selector)
            signals = stack.enter_context(SignalPipe(*_SIGNALS))
            self._selector.register(signals, selectors.EVENT_READ)
            if self._state is not None:
                self._status_server = stack.enter_context(StatusServer(self._state, self._status, self._selector))
            lifeline, ours = os.pipe()
            stack.callback(os.close, lifeline)
            stack.callback(os.close, ours)
            while self._running or any(self._children()):
                self._run_once(signals, lifeline)
        code = self._outcome.exit_code()
        log.info("all processes have ended: exit code %d", code, extra={"event": "ended", "code": int(code)})
        return code

    @property
    def _running(self) -> bool:
        return self._outcome.mode is LauncherMode.RUNNING

    @property
    def _slots(self) -> Sequence[ProcessSlot]:
        return self._generations.slots

    def _children(self) -> Iterator[Child]:
        for slot in self._slots:
            yield from slot.children()

    def _run_once(self, signals: SignalPipe, lifeline: int) -> None:
        """One pass of the loop."""
        began = time.monotonic()
        timeout = max(0.0, min([began + _LONGEST_WAIT, *self._generations.due_times()]) - began)
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, Child):
                key.data.on_readable(self._selector)
                self._admission.collect(key.data)
            elif isinstance(key.data, StatusServer | StatusConnection):
                key.data.on_ready()
        if self._status_server is not None:
            self._status_server.close_late()
        self._check_clock(time.monotonic() - began - timeout)
        for number in signals.take():
            self._on_signal(signal.Signals(number))
        if self._running and self._guardian not in (None, os.getppid()):
            self._drain("the parent has ended")
        for slot in list(self._slots):
            self._tend(slot, lifeline)
        self._admission.answer(list(self._children()))
        if self._running:
            self._generations.advance(lifeline, self._selector)
        self._generations.remove_empty_slots()

    def _tend(self, slot: ProcessSlot, lifeline: int) -> None:
        """Reap or supervise the children of *slot*, and start the next one if it is time."""
        for child in list(slot.children()):
            end = child.reap(self._selector)
            if end is None:
                child.supervise()
            else:
                self._on_end(slot, child, end)
        slot.note_if_served()
        slot.start_if_due(self._generations.plan, lifeline, self._selector)

    def _check_clock(self, late: float) -> None:
        """Give the children more time if this pass took longer than it could: they may have stood still, too."""
        if late <= _STOOD_STILL:
            return
        log.warning("the launcher stood still for %.1f s", late, extra={"event": "stood still", "seconds": late})
        for child in self._children():
            child.lifecycle.extend(late)

    def _status(self) -> Mapping[str, Any]:
        return status_document(
            self._slots,
            file=self._file,
            mode=self._outcome.mode.value,
            running=self._running,
            started_at=self._started_at,
            messages=self._admission.counts(),
        )

    # -- signals

    def _on_signal(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGINT | signal.SIGTERM:
                self._interrupts += number == signal.SIGINT
                if number == signal.SIGINT and self._interrupts == 2:
                    self._release(LauncherMode.INTERRUPTED, "second SIGINT")
                elif self._running:
                    self._drain(number.name)
            case signal.SIGQUIT:
                self._release(LauncherMode.DRAINING if self._running else self._outcome.mode, "SIGQUIT")
            case signal.SIGUSR1:
                self._log_state()
            case signal.SIGHUP if self._running:
                self._reload()
            case signal.SIGTTIN if self._running:
                self._generations.grow()
            case signal.SIGTTOU if self._running:
                self._generations.shrink()

    def _drain(self, reason: str) -> None:
        log.info("%s: draining", reason, extra={"event": "draining", "reason": reason})
        self._outcome.mode = LauncherMode.DRAINING
        self._generations.stop()
        for slot in self._slots:
            slot.retire()

    def _release(self, mode: LauncherMode, reason: str) -> None:
        log.info("%s: ending at once", reason, extra={"event": "releasing", "reason": reason})
        self._outcome.mode = mode
        self._generations.stop()
        for slot in self._slots:
            slot.release()

    def _reload(self) -> None:
        """Begin a new generation with the ini file as it is now; a file with problems changes nothing."""
        try:
            plan = self._reread()
        except ConfigError as error:
            for problem in error.problems:
                log.error("SIGHUP: nothing is changed: %s", problem, extra={"event": "not reloaded"})
            return
        self._logged_problems.clear()
        self._warn_of_new_state_folder(plan)
        self._generations.replace_all(plan, "SIGHUP")

    def _warn_of_new_state_folder(self, plan: Plan) -> None:
        """A launcher keeps its state folder: its socket is there, and its death records were read from there."""
        kept, wanted = self._state, plan.state
        if kept is None or wanted is None or kept.resolve() == wanted.resolve():
            return
        text = (
            "SIGHUP: [worker] state stays %s: %s counts when kombu-worker is restarted;"
            " until then, kombu-worker status finds it with --set worker.state=%s"
        )
        fields = {"event": "kept", "key": "worker.state", "kept": str(kept), "wanted": str(wanted)}
        log.warning(text, kept, wanted, kept, extra=fields)

    def _log_state(self) -> None:
        for slot in self._slots:
            for child in slot.children():
                child.log_state(slot.role_of(child))
        mode = self._outcome.mode.value
        log.info("%d process slots, %s", len(self._slots), mode, extra={"event": "state", "mode": mode})

    # -- ends

    def _on_end(self, slot: ProcessSlot, child: Child, end: ChildEnd) -> None:
        """*child* of *slot* was reaped: examine its death, and have it replaced if it has ended by itself."""
        leaving = not self._running or child.lifecycle.leaving_since is not None
        for one in self._children():
            self._budget.give_back(one.pid, one.process.recorder.finished_by_queue())
        self._budget.forget(end.pid)
        queues = self._admission.record_death(child, end.code, leaving=leaving)
        was_successor, was_current = child is slot.successor, child is slot.child
        slot.remove(child)
        if not self._running:
            self._on_end_while_stopping(child, end)
        elif was_successor:
            self._generations.successor_ended(child, end)
        elif not was_current:
            self._log_stopped(child, end)
        elif end.problems is None:
            slot.restart_later(f"{child.name} {end}", overdrawn=self._budget.record_death(queues) if queues else None)
        else:
            self._on_cannot_boot(slot, child, end.problems)

    def _on_end_while_stopping(self, child: Child, end: ChildEnd) -> None:
        if end.problems is not None:
            self._log_problems(end.problems)
            return
        self._outcome.count(end.code, end.released)
        self._log_stopped(child, end)

    def _on_cannot_boot(self, slot: ProcessSlot, child: Child, problems: Sequence[str]) -> None:
        slot.cannot_boot = True
        self._log_problems(problems)
        staying = self._generations.staying()
        if gives_up(any(one.ever_ready for one in staying), [one.cannot_boot for one in staying]):
            self._release(LauncherMode.REFUSED, "cannot boot")
        else:
            slot.restart_later(f"{child.name} cannot boot", cannot_boot=True)

    def _log_stopped(self, child: Child, end: ChildEnd) -> None:
        fields = {
            "event": "stopped",
            "process_number": child.process.number,
            "child": end.pid,
            "code": end.code,
        }
        log.info("%s %s", child.name, end, extra=fields)

    def _log_problems(self, problems: Sequence[str]) -> None:
        """Log each problem once, however many processes have it."""
        for problem in problems:
            if problem not in self._logged_problems:
                self._logged_problems.add(problem)
                log.error("%s", problem, extra={"event": "cannot boot"})
