"""The life cycle of a worker process: start the worker, follow the launcher's orders, stop in time, report the result.

One greenlet decides.  Everything that happens (an order, a change of phase, a failure, the end of a start or stop) is
put as a value into one queue, and that greenlet takes them one by one.  Calls that block are made by greenlets of its
group.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import gevent
from gevent.event import AsyncResult
from gevent.queue import Queue

from kombu_green.child.launcher_link import LauncherLink, Order
from kombu_green.clock import Deadline
from kombu_green.config.problems import PERMANENT_ERRORS
from kombu_green.exit_codes import ExitCode
from kombu_green.green.group import Group, MayEnd
from kombu_green.ipc.messages import (
    AdmissionClosed,
    AdmissionReply,
    AdmissionRequest,
    ChildAway,
    ChildFailed,
    ChildReady,
    ChildStandby,
    ChildStopped,
    DrainOrder,
    Heartbeat,
    PhaseEntered,
    ReleaseOrder,
)
from kombu_green.ipc.phases import LEAVING, Phase, checked_move

__all__ = ["SupervisedWorker", "WorkerProcess"]

log = logging.getLogger("kombu_green.child")

_LONGEST_REASON: Final = 500  # characters, in a note
RELEASE_WITHIN: Final = 2.0  # seconds to give back unfinished messages; the launcher waits longer than that


class SupervisedWorker(Protocol):
    """What a :class:`WorkerProcess` needs of :class:`~kombu_green.worker.app.Worker`; tests pass one of their own."""

    on_phase: Callable[[Phase], None]
    """Called with each phase that the worker enters between the first and the last; set before it is started."""

    @property
    def failed(self) -> AsyncResult[Any]:
        """Set to the error when the worker cannot go on; the process ends then, and the launcher starts another."""
        ...

    @property
    def released(self) -> int:
        """The number of messages that the last stop gave back unfinished."""
        ...

    @property
    def away_reason(self) -> str:
        """Why it does not consume, though it did before; of the phase AWAY."""
        ...

    def record(self, fd: int | None = None, *, block_warning: float = 1.0, consumer_timeout: float = 1800.0) -> None:
        """Keep a flight recorder from the start on, in the shared memory file *fd* that the launcher reads.

        Log what blocks the hub for *block_warning* seconds, and messages that are held for half of *consumer_timeout*
        seconds, if the broker takes them back after that.  0 switches either off.
        """
        ...

    def guard(self, say: Callable[[AdmissionRequest | AdmissionClosed], None]) -> None:
        """Send an ``Ask`` with *say* before a redelivered message starts, and wait for its answer."""
        ...

    def answered(self, answer: AdmissionReply) -> None:
        """Take the answer to an ``Ask``; never blocks."""
        ...

    def start(self) -> None: ...

    def stop(self, deadline: Deadline) -> None:
        """Let running callbacks finish by *deadline*, then give back unfinished messages.

        May be called again from another greenlet while a stop is under way: the sooner deadline counts for both.  A
        start that is under way is killed before.
        """
        ...

    def counters(self) -> Heartbeat: ...

    def describe(self) -> list[tuple[str, str]]:
        """Pairs of a name and a text for ``--check``: what the transport promises, and which queues are consumed."""
        ...


@dataclass(frozen=True, slots=True)
class _StartReturned:
    """``worker.start`` returned, or raised *error*."""

    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _PhaseChanged:
    """The worker entered *phase*."""

    phase: Phase
    reason: str = ""  # of AWAY


@dataclass(frozen=True, slots=True)
class _WorkerFailed:
    """The worker, or a greenlet of this process, cannot go on: *error* is an exception or a text."""

    error: object


@dataclass(frozen=True, slots=True)
class _LauncherEnded:
    """The launcher has ended before this process."""


@dataclass(frozen=True, slots=True)
class _StopReturned:
    """``worker.stop`` returned and gave back *released* messages, or raised *error*."""

    released: int
    error: BaseException | None = None


class WorkerProcess:
    """Runs one worker until an order to stop, a failure, or the launcher's end.

    *heartbeat* is the time between two heartbeats in seconds; they show the launcher that this process's hub turns.
    """

    def __init__(self, link: LauncherLink, worker: SupervisedWorker, *, heartbeat: float) -> None:
        self._link: Final = link
        self._worker: Final = worker
        self._heartbeat: Final = heartbeat
        self._events: Final[Queue[Any]] = Queue()
        self._group: Final = Group("process", self._greenlet_failed)
        self._starter: gevent.Greenlet[..., Any] | None = None
        self._stopping = False
        self._phase = Phase.STARTING
        self._away_reason = ""  # as the launcher knows it
        self._exit_code = 0
        self.orphaned = False
        """Whether the launcher ended before this process."""

    def receive(self, order: Order) -> None:
        """Take an order, from any greenlet.  An answer goes to the waiting slot at once, other orders in turn."""
        if isinstance(order, AdmissionReply):
            self._worker.answered(order)
        else:
            self._events.put_nowait(order)

    def run(self) -> int:
        """Block until the worker has stopped; returns the exit code.

        Raises one of :data:`~kombu_green.config.problems.PERMANENT_ERRORS` if the worker cannot start.
        """
        self._group.start()
        try:
            self._group.spawn(self._send_heartbeats, name="heartbeat")
            if self._link.has_launcher:
                self._worker.guard(self._link.send)
                self._group.spawn(self._receive_orders, name="orders", on_end=MayEnd())
            self._worker.on_phase = self._phase_changed
            self._starter = self._group.spawn(self._start_worker, name="start", on_end=MayEnd())
            while True:
                event = self._events.get()
                if isinstance(event, _StopReturned):
                    return self._report_stop(event)
                self._handle(event)
        finally:
            self._group.stop(Deadline.after(0))

    def _handle(self, event: Any) -> None:
        match event:
            case DrainOrder(timeout):
                self._stop(Deadline.after(timeout))
            case ReleaseOrder():
                self._stop(Deadline.after(RELEASE_WITHIN))
            case _LauncherEnded():
                self.orphaned = True
                log.error("the launcher is gone: this process gives back what is unfinished, and ends")
                self._stop(Deadline.after(RELEASE_WITHIN), ExitCode.RELEASED)
            case _PhaseChanged(phase, reason) if phase in LEAVING or not self._stopping:
                self._enter(phase, reason)
            case _StartReturned(error) if isinstance(error, PERMANENT_ERRORS) and not self._stopping:
                raise error
            case _StartReturned(error) | _WorkerFailed(error) if error is not None and not self._stopping:
                log.error("this process cannot go on: %s: %s", type(error).__name__, error)
                self._link.send(ChildFailed(f"{type(error).__name__}: {error}"[:_LONGEST_REASON]))
                self._stop(Deadline.after(RELEASE_WITHIN), ExitCode.CRASHED)

    def _phase_changed(self, phase: Phase) -> None:
        self._events.put_nowait(_PhaseChanged(phase, self._worker.away_reason))

    def _enter(self, phase: Phase, reason: str = "") -> None:
        """Note the new phase and tell the launcher; do nothing if this is the current one, for the same reason."""
        if phase is self._phase and (phase is not Phase.AWAY or reason == self._away_reason):
            return
        self._phase, self._away_reason = checked_move(self._phase, phase), reason
        match phase:
            case Phase.AWAY:
                self._link.send(ChildAway(reason[:_LONGEST_REASON]))
            case Phase.READY:
                self._link.send(ChildReady())
            case Phase.STANDBY:
                self._link.send(ChildStandby())
            case _:
                self._link.send(PhaseEntered(phase))

    def _stop(self, deadline: Deadline, exit_code: int = 0) -> None:
        """Begin to stop, or hasten a stop that is under way; the highest exit code counts."""
        self._exit_code = max(self._exit_code, exit_code)
        if not self._stopping:
            self._stopping = True
            self._enter(Phase.QUIET)
        self._group.spawn(self._stop_worker, deadline, name="stop", on_end=MayEnd())

    def _report_stop(self, stop: _StopReturned) -> int:
        """Log and send how the stop went; returns the exit code."""
        if stop.error is not None:
            log.error("stopping failed: what was unfinished comes back by itself", exc_info=stop.error)
            return max(self._exit_code, ExitCode.RELEASED)
        if stop.released:
            log.warning("the deadline passed: %d messages were given back unfinished", stop.released)
        if self._exit_code != ExitCode.CRASHED:
            self._link.send(self._worker.counters())  # what was handled since the last heartbeat
        self._link.send(ChildStopped(stop.released))
        return self._exit_code or (ExitCode.RELEASED if stop.released else 0)

    # -- what runs in greenlets of the group

    def _start_worker(self) -> None:
        try:
            self._worker.start()
        except Exception as error:
            if not isinstance(error, PERMANENT_ERRORS):
                log.error("starting failed", exc_info=error)
            self._events.put(_StartReturned(error))
            return
        self._events.put(_StartReturned())
        self._group.spawn(self._await_failure, name="failure", on_end=MayEnd())

    def _await_failure(self) -> None:
        self._worker.failed.wait()
        self._events.put(_WorkerFailed(self._worker.failed.value or self._worker.failed.exception))

    def _stop_worker(self, deadline: Deadline) -> None:
        if self._starter is not None:
            self._starter.kill(timeout=deadline.remaining())
        try:
            self._worker.stop(deadline)
            self._events.put(_StopReturned(self._worker.released))
        except Exception as error:  # noqa: BLE001  _report_stop logs it
            self._events.put(_StopReturned(0, error))

    def _send_heartbeats(self) -> None:
        while True:
            self._link.send(self._worker.counters())
            gevent.sleep(self._heartbeat)

    def _receive_orders(self) -> None:
        self._link.receive_orders(self.receive)
        self._events.put(_LauncherEnded())

    def _greenlet_failed(self, name: str, error: BaseException | None) -> None:
        self._events.put(_WorkerFailed(error or f"{name} returned"))
