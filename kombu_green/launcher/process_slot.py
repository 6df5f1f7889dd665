"""One of the N process slots of a launcher: the child in it, the one that shall replace it, and those that stop."""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Iterator
from typing import Final

from kombu_green.launcher.child import Child
from kombu_green.launcher.plan import Plan
from kombu_green.retry import Backoff

__all__ = ["ProcessSlot"]

log = logging.getLogger("kombu_green.launcher")

_LONGEST_WAIT: Final = 1000  # as a number of failures: every backoff has reached its ceiling by then


class ProcessSlot:
    """Starts a child, and another one after its end when the launcher says so.

    *number* is the process number, from 1.  A rolling restart starts a *successor* beside the *child*, and puts it in
    its place.  *leaving* are the children that were told to end.  With *vacant* no child is started by itself.
    """

    def __init__(self, number: int, backoff: Backoff, *, vacant: bool = False) -> None:
        self.number: Final = number
        self.child: Child | None = None
        self.successor: Child | None = None
        self.leaving: Final[list[Child]] = []
        #: the monotonic time at which to start the next child; None: not by itself
        self.start_at: float | None = None if vacant else time.monotonic()
        self.ever_ready = False  # one of its children was ready, or stood by
        self.retired = False  # no child is started any more
        self.restarts = 0  # children that ended by themselves and were replaced
        self.last_end: str | None = None  # how the last one of those ended, in words
        self._backoff: Final = backoff
        self._failures = 0  # in a row, without a child that was ready

    def children(self) -> Iterator[Child]:
        """All children of this slot that were not reaped."""
        yield from (child for child in (self.child, self.successor) if child is not None)
        yield from self.leaving

    def role_of(self, child: Child) -> str:
        """``current``, ``successor`` or ``leaving``."""
        return "successor" if child is self.successor else "current" if child is self.child else "leaving"

    def due_times(self) -> Iterator[float]:
        """When something has to be done here if nothing is heard until then."""
        if self.child is None and self.start_at is not None:
            yield self.start_at
        yield from (due for child in self.children() if (due := child.due_at()) is not None)

    def start_if_due(self, plan: Plan, lifeline: int, selector: selectors.BaseSelector) -> None:
        """Start the next child if it is time."""
        if self.child is not None or self.start_at is None or time.monotonic() < self.start_at:
            return
        try:
            self.child = Child.start(self.number, plan, lifeline, selector)
        except OSError as error:
            self.restart_later(f"process {self.number} could not be started ({error})")
            return
        self.start_at = None

    def note_if_served(self) -> None:
        """Forget earlier failures once the child is ready or stands by."""
        if self.child is not None and self.child.served:
            self._failures, self.ever_ready = 0, True

    def restart_later(self, reason: str, *, cannot_boot: bool = False, overdrawn: int | None = None) -> None:
        """Start another child after a wait that grows with each failure in a row.

        *cannot_boot*: after the longest wait.  *overdrawn*: messages are blamed for the end, and the wait grows with
        the number of deaths beyond the restart budget of their queue; there is none while budget is left (0).
        """
        self._failures += overdrawn is None
        self.restarts, self.last_end = self.restarts + 1, reason
        failures = _LONGEST_WAIT if cannot_boot else self._failures if overdrawn is None else overdrawn
        wait = self._backoff.delay(failures) if failures else 0.0
        self.start_at = time.monotonic() + wait
        fields = {"event": "restarting", "process_number": self.number, "reason": reason, "seconds": round(wait, 3)}
        level = logging.ERROR if cannot_boot else logging.WARNING
        log.log(level, "%s: restarting in %.1f s", reason, wait, extra=fields)

    def promote_successor(self) -> None:
        """Make the successor the child of this slot, and drain the child before it."""
        assert self.successor is not None
        before, self.child, self.successor = self.child, self.successor, None
        self.start_at = None
        self.note_if_served()
        if before is not None:
            before.drain()
            self.leaving.append(before)

    def discard_successor(self) -> None:
        """End the successor, if there is one; the child stays."""
        if self.successor is not None:
            self.successor.release()
            self.leaving.append(self.successor)
            self.successor = None

    def retire(self) -> None:
        """Drain all children, and start no other."""
        self._stop_starting()
        for child in self.leaving:
            child.drain()

    def release(self) -> None:
        """End all children now, and start no other."""
        self._stop_starting()
        for child in self.leaving:
            child.release()

    def remove(self, child: Child) -> None:
        """Forget *child*, which was reaped."""
        if child is self.child:
            self.note_if_served()
            self.child = None
        elif child is self.successor:
            self.successor = None
        else:
            self.leaving.remove(child)

    def _stop_starting(self) -> None:
        self.retired = True
        self.start_at = None
        self.leaving.extend(child for child in (self.child, self.successor) if child is not None)
        self.child = self.successor = None
