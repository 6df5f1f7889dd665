"""The life of a worker process: start the work, obey orders, stop in time, say how it went.

One greenlet decides.  Whatever happens (an order, the work moving on or failing, a stop coming back) is put into one
queue as a value, and it takes them one after another; what blocks is done by greenlets of its group.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent.queue import Queue

from kombu_green.child.parent import Order, Parent
from kombu_green.child.work import Work
from kombu_green.clock import Deadline
from kombu_green.config.problems import PERMANENT_ERRORS
from kombu_green.exit_codes import ExitCode
from kombu_green.green.group import Group, MayEnd
from kombu_green.ipc.messages import (
    AdmissionReply,
    ChildReady,
    ChildStandby,
    ChildStopped,
    DrainOrder,
    PhaseEntered,
    ReleaseOrder,
)
from kombu_green.ipc.phases import LEAVING, Phase, checked_move

__all__ = ["Process"]

log = logging.getLogger("kombu_green.child")

RELEASE_WITHIN: Final = 2.0  # seconds to give back what is unfinished; the parent waits longer than that


@dataclass(frozen=True, slots=True)
class _Begun:
    """``start`` came back, or raised."""

    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Moved:
    """The work is in another phase."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class _Failed:
    """The work, or a greenlet of this process, cannot go on."""

    error: object


@dataclass(frozen=True, slots=True)
class _Orphaned:
    """The parent is gone."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """``stop`` came back, or raised."""

    released: int
    error: BaseException | None = None


class Process:
    """Runs one :class:`Work` until an order, a failure or the parent's end.

    *heartbeat* is the number of seconds between two heartbeats, which say that this process's hub turns.
    """

    def __init__(self, parent: Parent, work: Work, *, heartbeat: float) -> None:
        self._parent: Final = parent
        self._work: Final = work
        self._heartbeat: Final = heartbeat
        self._happened: Final[Queue[Any]] = Queue()
        self._group: Final = Group("process", self._greenlet_failed)
        self._starter: gevent.Greenlet[..., Any] | None = None
        self._stopping = False
        self._phase = Phase.STARTING
        self._exit_code = 0
        self.orphaned = False  # the parent died before this process

    def obey(self, order: Order) -> None:
        """Put *order* in line; from any greenlet.  An answer goes straight to whoever waits for it."""
        if isinstance(order, AdmissionReply):
            self._work.answered(order)
        else:
            self._happened.put_nowait(order)

    def run(self) -> int:
        """Block until the work has ended; returns the exit code.

        Raises one of ``PERMANENT_ERRORS`` when it cannot start.
        """
        self._group.start()
        try:
            self._group.spawn(self._beat, name="heartbeat")
            if self._parent.present:
                self._work.guard(self._parent.say)
                self._group.spawn(self._listen, name="orders", on_end=MayEnd())
            self._work.on_phase = lambda phase: self._happened.put_nowait(_Moved(phase))
            self._starter = self._group.spawn(self._start, name="start", on_end=MayEnd())
            while True:
                happened = self._happened.get()
                if isinstance(happened, _Ended):
                    return self._ended(happened)
                self._handle(happened)
        finally:
            self._group.stop(Deadline.after(0))

    def _handle(self, happened: Any) -> None:
        match happened:
            case DrainOrder(timeout):
                self._stop(Deadline.after(timeout))
            case ReleaseOrder():
                self._stop(Deadline.after(RELEASE_WITHIN))
            case _Orphaned():
                self.orphaned = True
                log.error("the launcher is gone: this process gives back what is unfinished, and ends")
                self._stop(Deadline.after(RELEASE_WITHIN), ExitCode.RELEASED)
            case _Moved(phase) if phase in LEAVING or not self._stopping:
                self._enter(phase)
            case _Begun(error) if isinstance(error, PERMANENT_ERRORS) and not self._stopping:
                raise error
            case _Begun(error) | _Failed(error) if error is not None and not self._stopping:
                log.error("this process cannot go on: %s: %s", type(error).__name__, error)
                self._stop(Deadline.after(RELEASE_WITHIN), ExitCode.CRASHED)

    def _enter(self, phase: Phase) -> None:
        """Say that this process is in *phase* now, if it was not before."""
        if phase is self._phase:
            return
        self._phase = checked_move(self._phase, phase)
        match phase:
            case Phase.READY:
                self._parent.say(ChildReady())
            case Phase.STANDBY:
                self._parent.say(ChildStandby())
            case _:
                self._parent.say(PhaseEntered(phase))

    def _stop(self, deadline: Deadline, exit_code: int = 0) -> None:
        """Begin to stop, or hasten the stop that is under way."""
        self._exit_code = max(self._exit_code, exit_code)
        if not self._stopping:
            self._stopping = True
            self._enter(Phase.QUIET)
        self._group.spawn(self._stop_work, deadline, name="stop", on_end=MayEnd())

    def _ended(self, ended: _Ended) -> int:
        if ended.error is not None:
            log.error("stopping failed: what was unfinished comes back by itself", exc_info=ended.error)
            return max(self._exit_code, ExitCode.RELEASED)
        if ended.released:
            log.warning("the deadline passed: %d messages were given back unfinished", ended.released)
        self._parent.say(ChildStopped(ended.released))
        return self._exit_code or (ExitCode.RELEASED if ended.released else 0)

    # greenlets of the group

    def _start(self) -> None:
        try:
            self._work.start()
        except Exception as error:
            if not isinstance(error, PERMANENT_ERRORS):
                log.error("starting failed", exc_info=error)
            self._happened.put(_Begun(error))
            return
        self._happened.put(_Begun())
        self._group.spawn(self._await_failure, name="failure", on_end=MayEnd())

    def _await_failure(self) -> None:
        self._work.failed.wait()
        self._happened.put(_Failed(self._work.failed.value or self._work.failed.exception))

    def _stop_work(self, deadline: Deadline) -> None:
        if self._starter is not None:
            self._starter.kill(timeout=deadline.remaining())
        try:
            self._work.stop(deadline)
            self._happened.put(_Ended(self._work.released))
        except Exception as error:  # noqa: BLE001  it is told as a value
            self._happened.put(_Ended(0, error))

    def _beat(self) -> None:
        while True:
            self._parent.say(self._work.counters())
            gevent.sleep(self._heartbeat)

    def _listen(self) -> None:
        self._parent.listen(self.obey)
        self._happened.put(_Orphaned())

    def _greenlet_failed(self, name: str, error: BaseException | None) -> None:
        self._happened.put(_Failed(error or f"{name} returned"))
