"""A semaphore that is fair, waits until a deadline, can be resized and can be closed.

gevent's semaphore can be neither resized nor closed, and knows timeouts only.  Here a permit is handed to the first
waiter without a switch of greenlets, and a waiter that is killed or times out at that moment passes it on, so no permit
is lost.
"""

from __future__ import annotations

from typing import Final

from gevent.event import Event

from kombu_green.clock import Deadline
from kombu_green.exceptions import LimitExceeded

__all__ = ["Permit", "Permits"]


class Permit:
    """One permit.  It is an object of its own, so that releasing it twice changes nothing."""

    __slots__ = ()


class Permits:
    """At most *limit* permits are out at a time; None is no limit.  For the greenlets of one hub.

    *name* is in each error; *exhausted* is the class of the error when there is no permit.
    """

    def __init__(
        self, limit: int | None, *, name: str = "permits", exhausted: type[LimitExceeded] = LimitExceeded
    ) -> None:
        self.name: Final = name
        self._limit = _checked(limit)
        self._exhausted = exhausted
        self._closed = False
        self._out: set[Permit] = set()
        self._waiters: dict[Permit, Event] = {}  # by the permit that each will get, in order of arrival

    @property
    def out(self) -> int:
        """How many permits are out; more than the limit only after the limit was lowered."""
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
        """A permit: at once if one is free, else with *block* after all earlier waiters, until *deadline*.

        Raises :exc:`~kombu_green.exceptions.LimitExceeded` (the given subclass) if there is none, and ``RuntimeError``
        if this is closed before or while it waits.
        """
        self.check_open()
        permit = Permit()
        if self.free():  # a free permit means that no greenlet waits
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
        """Return *permit*; the greenlet that has waited longest gets it."""
        self._out.discard(permit)
        self._admit()

    def free(self) -> bool:
        """Whether a permit could be acquired now without waiting."""
        return self._limit is None or len(self._out) < self._limit

    def close(self) -> None:
        """Hand out no more permits, and raise in all waiters.  Permits that are out can still be released."""
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
            self.release(permit)  # it may have been handed over meanwhile
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
