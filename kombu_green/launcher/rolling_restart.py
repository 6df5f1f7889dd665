"""Replacing processes without a gap: successors are started beside the old ones, and take over when all of them serve.

A reload (SIGHUP) replaces the processes of all slots by a new generation, with the ini file and the code as they are
then.  A process that passes a soft limit is replaced in the same way, alone.  If one successor fails, all of them are
ended, and the old processes stay.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Final

from kombu_green.config.logs import configure
from kombu_green.launcher.child import Child, ChildEnd
from kombu_green.launcher.child_states import ChildState, Lifecycle
from kombu_green.launcher.limits import resident_memory
from kombu_green.launcher.plan import Plan
from kombu_green.launcher.process_slot import ProcessSlot
from kombu_green.retry import Backoff

__all__ = ["Generations", "ReloadReport", "RestartProgress", "RollingRestart", "successor_progress"]

log = logging.getLogger("kombu_green.launcher")

_NOT_YET: Final = frozenset({ChildState.STARTING, ChildState.AWAY})  # a successor that may serve in a moment
_CHECK_EVERY: Final = 1.0  # seconds between two checks of the soft limits
_RETRY_AFTER: Final = 30.0  # seconds from a rolling restart that failed to the next check


class RestartProgress(Enum):
    WAITING = "waiting"
    DONE = "done"  # the successor is ready, or stands by
    FAILED = "failed"


def successor_progress(lifecycle: Lifecycle, start_timeout: float, now: float) -> RestartProgress:
    """How far a successor is that may take *start_timeout* seconds from its start until it serves.

    One that stops again will fail; its end is waited for, since it says why, and that may be after the timeout.  One
    that has sent no heartbeat is hung after the timeout: then its stacks are requested first, which changes its state.
    """
    if lifecycle.serving:
        return RestartProgress.DONE
    if lifecycle.stopping:
        return RestartProgress.WAITING
    in_time = lifecycle.last_heartbeat is None or now < lifecycle.started_at + start_timeout
    if lifecycle.state in _NOT_YET and in_time:
        return RestartProgress.WAITING
    return RestartProgress.FAILED


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What became of the last reload, at the monotonic time *at*; *reason* says why it did not succeed."""

    outcome: str  # "under way", "done", "failed" or "given up"
    reason: str = ""
    at: float = 0.0


class RollingRestart:
    """Successors by *plan* for the children of *slots*; *why* says in the log what began it.

    *surplus* are slots that are retired when it succeeds.  *whole* is true for a new generation of all processes, which
    a slot that is added meanwhile belongs to.  :attr:`failure` says in words why it failed; None while it has not.
    """

    def __init__(
        self,
        plan: Plan,
        slots: Sequence[ProcessSlot],
        why: str,
        *,
        surplus: Sequence[ProcessSlot] = (),
        whole: bool = False,
    ) -> None:
        self.plan: Final = plan
        self.slots: Final = list(slots)
        self.surplus: Final = list(surplus)
        self.why: Final = why
        self.whole: Final = whole
        self.failure: str | None = None
        self._not_started: Final = list(slots)

    @property
    def is_void(self) -> bool:
        """Whether all of its slots were retired meanwhile."""
        return all(slot.retired for slot in self.slots)

    def add(self, slot: ProcessSlot) -> None:
        """Replace the child of *slot*, too."""
        self.slots.append(slot)
        self._not_started.append(slot)

    def start_successors(self, lifeline: int, selector: selectors.BaseSelector) -> None:
        """Start the successors that are not started yet."""
        while self._not_started:
            slot = self._not_started.pop(0)
            if slot.retired:
                continue
            try:
                slot.successor = Child.start(slot.number, self.plan, lifeline, selector)
            except OSError as error:
                self.failure = f"process {slot.number} could not be started ({error})"
                return

    def progress(self, now: float) -> RestartProgress:
        """How far all successors are together; sets :attr:`failure` when one of them has failed."""
        if self.failure is not None:
            return RestartProgress.FAILED
        progress = RestartProgress.DONE
        for child in self._successors():
            match successor_progress(child.lifecycle, self.plan.timeouts.start, now):
                case RestartProgress.FAILED:
                    self.failure = self._failure_of(child)
                    return RestartProgress.FAILED
                case RestartProgress.WAITING:
                    progress = RestartProgress.WAITING
        return progress

    def due_at(self) -> float | None:
        """When the first successor is late."""
        waiting = (one.lifecycle for one in self._successors() if one.lifecycle.state in _NOT_YET)
        return min((lifecycle.started_at + self.plan.timeouts.start for lifecycle in waiting), default=None)

    def complete(self) -> None:
        """Put the successors in the place of the old children, which drain."""
        for slot in self.slots:
            if slot.successor is not None:
                slot.promote_successor()
        for slot in self.surplus:
            slot.retire()

    def abandon(self) -> None:
        """End the successors; the old children stay."""
        for slot in self.slots:
            slot.discard_successor()
            if slot.child is None and slot.start_at is None:
                slot.retired = True  # it was added for this restart, and never had a child

    def _successors(self) -> list[Child]:
        return [slot.successor for slot in self.slots if slot.successor is not None]

    def _failure_of(self, child: Child) -> str:
        if child.served:
            return f"{child.name} is {child.lifecycle.state}"
        return f"{child.name} was not ready within {self.plan.timeouts.start:g} s"


class Generations:
    """The process slots of a launcher, the plan in effect, and the rolling restart under way: one at a time.

    While it is under way its plan is for its successors only.  Once it is complete its plan is for every new child.
    """

    def __init__(self, plan: Plan, backoff: Backoff) -> None:
        self.plan = plan
        self.slots: Final = [ProcessSlot(number, backoff) for number in range(1, plan.processes + 1)]
        self._backoff: Final = backoff
        self._current: RollingRestart | None = None
        self._next: RollingRestart | None = None  # begins at the end of this pass of the launcher's loop
        self._check_at = time.monotonic() + _CHECK_EVERY
        self._warned_of_soft_memory = False  # for this plan
        #: of the last reload; None before the first one
        self.last_reload: ReloadReport | None = None

    def due_times(self) -> Iterator[float]:
        """When something has to be done if nothing is heard until then."""
        for slot in self.slots:
            yield from slot.due_times()
        if self._current is not None and (due := self._current.due_at()) is not None:
            yield due

    def advance(self, lifeline: int, selector: selectors.BaseSelector) -> None:
        """Take the rolling restart under way a step further, check the soft limits, and begin the next restart."""
        now = time.monotonic()
        if self._current is not None:
            self._current.start_successors(lifeline, selector)
            self._finish_if_decided(self._current, now)
        if self._next is None and self._current is None and now >= self._check_at:
            self._check_at = now + _CHECK_EVERY
            self._check_soft_limits(now)
        if self._next is not None:
            self._current, self._next = self._next, None
            self._current.start_successors(lifeline, selector)

    def remove_empty_slots(self) -> None:
        """Remove the slots that are retired and have no children left."""
        self.slots[:] = [slot for slot in self.slots if not slot.retired or any(slot.children())]

    # -- rolling restarts

    def replace_all(self, plan: Plan, why: str) -> None:
        """Begin a new generation of all processes; a rolling restart under way is abandoned for it."""
        self._abandon("a newer one begins")
        staying = self.staying()
        kept, surplus = staying[: plan.processes], staying[plan.processes :]
        added = [self._add(vacant=True) for _ in range(plan.processes - len(kept))]
        self.report_reload("under way")
        self._begin(RollingRestart(plan, [*kept, *added], why, surplus=surplus, whole=True))

    def report_reload(self, outcome: str, reason: str = "") -> None:
        """Note what became of the last reload, for ``kombu-worker status``."""
        self.last_reload = ReloadReport(outcome, reason, time.monotonic())

    def _check_soft_limits(self, now: float) -> None:
        """Begin to replace the first process that has passed a soft limit."""
        limits = self.plan.soft_limits
        for slot in self.staying():
            child = slot.child
            if child is None or not child.lifecycle.serving:
                continue
            why = limits.messages_exceeded(child.counters, child.message_share) or self._memory_exceeded(child, now)
            if why is not None:
                self._begin(RollingRestart(self.plan, [slot], f"{child.name} is replaced: {why}"))
                return

    def _memory_exceeded(self, child: Child, now: float) -> str | None:
        """In words, that *child* has too much memory; once for each plan, a warning that the limit may be too low."""
        limits = self.plan.soft_limits
        memory = resident_memory(child.pid) if limits.memory else None
        if memory is None:
            return None
        age = now - child.lifecycle.started_at
        too_low = limits.too_low(memory, age)
        if too_low is not None and not self._warned_of_soft_memory:
            self._warned_of_soft_memory = True
            fields = {"event": "soft_memory", "child": child.pid, "memory": memory, "limit": limits.memory}
            log.warning("%s: %s", child.name, too_low, extra=fields)
        return limits.memory_exceeded(memory, age)

    def _begin(self, restart: RollingRestart) -> None:
        self._next = restart
        number = len(restart.slots)
        fields = {"event": "renewing", "why": restart.why, "processes": number}
        log.info("%s: starting %d new process%s", restart.why, number, "es" * (number > 1), extra=fields)

    def _finish_if_decided(self, restart: RollingRestart, now: float) -> None:
        match restart.progress(now):
            case RestartProgress.DONE:
                self._complete(restart)
            case RestartProgress.FAILED:
                self._fail(restart)

    def _complete(self, restart: RollingRestart) -> None:
        self._current = None
        is_reload = restart.plan is not self.plan
        self.plan = restart.plan
        if is_reload:
            self._warned_of_soft_memory = False
        if is_reload and restart.plan.logging is not None:
            configure(restart.plan.logging)
        log.info("%s: all new processes serve, the old ones drain", restart.why, extra={"event": "renewed"})
        if restart.whole:
            self.report_reload("done")
        restart.complete()

    def _fail(self, restart: RollingRestart) -> None:
        self._current = None
        fields = {"event": "not renewed", "reason": restart.failure}
        log.error("%s: the old processes stay: %s", restart.why, restart.failure, extra=fields)
        if restart.whole:
            self.report_reload("failed", restart.failure or "")
        restart.abandon()
        self._check_at = time.monotonic() + _RETRY_AFTER

    def successor_ended(self, child: Child, end: ChildEnd) -> None:
        """A successor has ended before it took over: the rolling restart has failed."""
        if self._current is not None and self._current.failure is None:
            reason = str(end) if end.problems is None else "cannot boot: " + "; ".join(end.problems)
            self._current.failure = f"{child.name} {reason}"

    def _abandon(self, reason: str) -> None:
        for restart in self._under_way():
            log.info("%s: given up: %s", restart.why, reason, extra={"event": "given up", "reason": reason})
            if restart.whole:
                self.report_reload("given up", reason)
            restart.abandon()
        self._current = self._next = None

    def _under_way(self) -> list[RollingRestart]:
        return [restart for restart in (self._current, self._next) if restart is not None]

    def stop(self) -> None:
        """Begin no other rolling restart; the successors of the current one are children like any other."""
        self._next = self._current = None

    # -- the number of processes

    def grow(self) -> None:
        """Add a process slot; a new generation that is under way replaces its child with the others."""
        slot = self._add(vacant=False)
        for restart in self._under_way():
            if restart.whole:
                restart.add(slot)
        self._log_number("SIGTTIN")

    def shrink(self) -> None:
        """Retire the last process slot, but for the only one."""
        staying = self.staying()
        if len(staying) == 1:
            log.warning("SIGTTOU: one process stays", extra={"event": "processes", "processes": 1})
            return
        staying[-1].retire()
        if any(restart.is_void for restart in self._under_way()):
            self._abandon("SIGTTOU took away its process slot")
        self._log_number("SIGTTOU")

    def _log_number(self, why: str) -> None:
        number = len(self.staying())
        log.info("%s: %d processes", why, number, extra={"event": "processes", "processes": number})

    def _add(self, *, vacant: bool) -> ProcessSlot:
        """Add a slot with the lowest number that is free."""
        taken = {slot.number for slot in self.slots}
        number = next(number for number in count(1) if number not in taken)
        slot = ProcessSlot(number, self._backoff, vacant=vacant)
        self.slots.append(slot)
        return slot

    def staying(self) -> Sequence[ProcessSlot]:
        """The slots that are not retired, by number."""
        return sorted((slot for slot in self.slots if not slot.retired), key=lambda slot: slot.number)
