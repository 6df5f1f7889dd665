"""The bounded pool that connections, channels and producers are lent from.

A thing that is lent, made or ended holds one permit, whatever happens meanwhile: who waits for it may be killed, its
``create`` or ``prepare`` may fail, the pool may be closed.  So the size never drifts.  A pool belongs to one hub, as
the sockets of its things do.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from kombu_green.clock import Deadline
from kombu_green.exceptions import LimitExceeded
from kombu_green.green.permits import Permit, Permits

__all__ = ["Resource"]

log = logging.getLogger(__name__)
T = TypeVar("T")


class Resource(Generic[T]):
    """At most *limit* things of one kind, in use and idle together; None is no limit.

    *create* makes one and *prepare* makes it ready each time that it is lent; both get the deadline of the ``acquire``
    that asks.  *close* ends one that is not wanted any more.  *lend*, if given, is told how this very loan is given
    back, so that ``thing.release()`` can do it; doing it twice is doing it once, even if somebody else has the thing by
    then.  What came back last is lent first.  After a fork the child starts empty and leaves its parent's things alone.
    """

    def __init__(
        self,
        limit: int | None,
        *,
        create: Callable[[Deadline], T],
        prepare: Callable[[T, Deadline], None] | None = None,
        close: Callable[[T], None] | None = None,
        lend: Callable[[T, Callable[[], None]], None] | None = None,
        exhausted: type[LimitExceeded] = LimitExceeded,
        name: str = "pool",
    ) -> None:
        self.name: Final = name
        self._create = create
        self._prepare = prepare
        self._end = close
        self._lend = lend
        self._exhausted = exhausted
        self._permits = Permits(limit, name=name, exhausted=exhausted)
        self._idle: list[T] = []
        self._lent: dict[int, tuple[T, Permit]] = {}
        self._pid = os.getpid()

    # -- looking

    @property
    def in_use(self) -> int:
        """Things that are lent, and those being made or ended just now."""
        return self._permits.out

    @property
    def idle(self) -> int:
        """Things that wait to be lent."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Greenlets that wait for one."""
        return self._permits.waiting

    @property
    def closed(self) -> bool:
        return self._permits.closed

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"limit {self.limit}"
        return f"<{self.name}: {self.in_use} in use, {self.idle} idle, {self.waiting} waiting, {state}>"

    # -- lending

    def acquire(self, block: bool = False, timeout: float | None = None) -> T:
        """Lend one, ready for use; give it back with :meth:`release`, or :meth:`replace` when it is broken.

        Without *block* one must be free.  With it up to *timeout* seconds are waited (None: without end), first come,
        first served; create and prepare are given what is left of them.  Raises the pool's
        :exc:`~kombu_green.exceptions.LimitExceeded`, ``RuntimeError`` when it is closed, and what those two raise.
        """
        self._leave_parents_alone()
        deadline = Deadline.after(timeout)
        permit = self._permits.acquire(block, deadline)
        made: list[T] = []
        try:
            self._permits.check_open()
            made.append(self._idle.pop() if self._idle else self._create(deadline))
            thing = made[0]
            if self._prepare is not None:
                self._prepare(thing, deadline)
            self._permits.check_open()  # both may have taken their time
            if self._lend is not None:
                self._lend(thing, lambda: self._give_back(thing, permit))
        except BaseException:
            self._end_and_release(made, permit)
            raise
        self._lent[id(thing)] = (thing, permit)
        return thing

    @contextmanager
    def lease(self, timeout: float | None = None) -> Iterator[T]:
        """Lend one for the time of a ``with`` block; waits for it."""
        thing = self.acquire(block=True, timeout=timeout)
        try:
            yield thing
        finally:
            self.release(thing)

    def release(self, thing: T) -> None:
        """Give it back.  What is not lent (any more, or by this pool) is let be."""
        self._give_back(thing, None)

    def replace(self, thing: T) -> None:
        """Give it back to be closed: it is broken, and the next one who asks gets another."""
        self._leave_parents_alone()
        loan = self._lent.pop(id(thing), None)
        if loan is not None:
            self._end_and_release([thing], loan[1])

    def preload(self, count: int, timeout: float | None = None) -> None:
        """Have *count* of them ready, or as many as the limit allows; raises what :meth:`acquire` raises."""
        deadline = Deadline.after(timeout)
        ready: list[T] = []
        try:
            while len(ready) < count and self._permits.free():
                ready.append(self.acquire(block=True, timeout=deadline.remaining()))
        finally:
            for thing in ready:
                self.release(thing)

    # -- size and end

    @property
    def limit(self) -> int | None:
        return self._permits.limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        """A higher one lets waiters in at once; a lower one ends idle things now and others when they come back."""
        self._permits.limit = limit
        while limit is not None and self._idle and len(self._idle) + self._permits.out > limit:
            self._end_one(self._idle.pop(0))

    def close(self) -> None:
        """Lend no more: waiters get an error, idle things are ended now, lent ones when they come back."""
        self._leave_parents_alone()
        self._permits.close()
        while self._idle:
            self._end_one(self._idle.pop())

    def force_close_all(self, close_pool: bool = True) -> None:
        """End all things, lent ones too, under the hands of whoever has them; then *close_pool*, or start afresh."""
        self._leave_parents_alone()
        if close_pool:
            self._permits.close()
        while self._idle:
            self._end_one(self._idle.pop())
        while self._lent:
            thing, permit = self._lent.popitem()[1]
            self._end_and_release([thing], permit)

    # -- inside

    def _give_back(self, thing: T, permit: Permit | None) -> None:
        """End the loan of *thing*, if it is the one that *permit* stands for (None: whichever it is)."""
        self._leave_parents_alone()
        loan = self._lent.get(id(thing))
        if loan is None or permit not in (None, loan[1]):
            return
        del self._lent[id(thing)]
        if self.closed or (self.limit is not None and self._permits.out > self.limit):
            self._end_and_release([thing], loan[1])
        else:
            self._idle.append(thing)
            self._permits.release(loan[1])

    def _end_and_release(self, things: list[T], permit: Permit) -> None:
        # in this order: brokers bound connections and channels too, and one that is not closed yet still counts
        try:
            for thing in things:
                self._end_one(thing)
        finally:
            self._permits.release(permit)

    def _end_one(self, thing: T) -> None:
        try:
            if self._end is not None:
                self._end(thing)
        except Exception:
            log.warning("%s: closing %r failed; it is given up", self.name, thing, exc_info=True)

    def _leave_parents_alone(self) -> None:
        """In the child of a fork: forget what the parent has; closing its sockets would cut the parent off."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        before, self._permits = self._permits, Permits(self.limit, name=self.name, exhausted=self._exhausted)
        if before.closed:
            self._permits.close()
        before.close()
        self._idle, self._lent = [], {}
