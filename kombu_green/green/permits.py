"""A bounded number of permits: first come, first served, until a deadline; can be resized and closed.

gevent's semaphore can do none of the last three.  Who waits is decided without waiting in between, so no permit is lost
at the moment of handing over: a waiter that is killed or times out passes on what it was just given.
"""

from __future__ import annotations

from typing import Final

from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.exceptions import LimitExceeded

__all__ = ["Permit", "Permits"]


class Permit:
    """One right to go on; a value, so that giving it back twice, or to somebody else, changes nothing."""

    __slots__ = ()


class Permits:
    """At most *limit* of them are out; None is no limit.  One hub's greenlets share them."""

    def __init__(
        self, limit: int | None, *, name: str = "permits", exhausted: type[LimitExceeded] = LimitExceeded
    ) -> None:
        self.name: Final = name
        self._limit = _checked(limit)
        self._exhausted = exhausted
        self._closed = False
        self._out: set[Permit] = set()
        self._waiters: dict[Permit, Event] = {}  # what they will get, in the order in which they came

    @property
    def out(self) -> int:
        """How many are out; more than the limit only after that was lowered."""
        return len(self._out)

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def limit(self) -> int | None:
        return self._limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self._limit = _checked(limit)
        self._admit()

    def acquire(self, block: bool, deadline: Deadline) -> Permit:
        """A permit: at once, or with *block* when those who came before have theirs and one is free.

        Raises :exc:`~kombu_green.exceptions.LimitExceeded` (the given class of it), and ``RuntimeError`` when closed,
        also to those who wait when it is.
        """
        self.check_open()
        permit = Permit()
        if self.free():  # then nobody waits: what comes free is given away at once
            self._out.add(permit)
            return permit
        if not block:
            raise self._exhausted(f"{self.name}: all {self._limit} are in use")
        self._wait(permit, deadline)
        if permit not in self._out:
            self.check_open()
            raise self._exhausted(f"{self.name}: all {self._limit} were in use until the deadline")
        return permit

    def release(self, permit: Permit) -> None:
        """Give it back; the one who has waited longest gets it."""
        self._out.discard(permit)
        self._admit()

    def free(self) -> bool:
        """Whether one could be given out now."""
        return self._limit is None or len(self._out) < self._limit

    def close(self) -> None:
        """Give out no more; who waits gets an error.  Those that are out can still come back."""
        self._closed = True
        waiters, self._waiters = self._waiters, {}
        for decided in waiters.values():
            decided.set()

    def check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self.name}: nothing can be acquired any more, it is closed")

    def _wait(self, permit: Permit, deadline: Deadline) -> None:
        decided = self._waiters[permit] = Event()
        try:
            decided.wait(deadline.remaining())
        except BaseException:
            self.release(permit)  # it may have been given meanwhile
            raise
        finally:
            self._waiters.pop(permit, None)

    def _admit(self) -> None:
        while self._waiters and self.free():
            permit = next(iter(self._waiters))
            self._out.add(permit)
            self._waiters.pop(permit).set()


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise ValueError(f"limit = {limit}: it must be 1 at least, or None for no limit")
    return limit
