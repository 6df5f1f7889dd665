"""A bounded pool of resources: connections, channels, producers.

A resource that is lent, created or closed holds one permit, so the size stays correct even if a waiting greenlet is
killed, ``create`` or ``prepare`` fails, or the pool is closed meanwhile.  A pool belongs to one hub, as the sockets of
its resources do.
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
    """At most *limit* resources of one kind, lent and idle together; None is no limit.

    *create* makes one; *prepare* is called each time before it is lent; both get the deadline of the ``acquire``.
    *close* ends a resource.  *lend*, if given, gets the resource and a function that ends this loan, so that
    ``resource.release()`` can call it; a second call does nothing, even if the resource is lent again by then.  The
    resource that was released last is lent first.  After a fork the child's pool is empty, and the resources of the
    parent stay open.
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
        """The number of resources that are lent, or being created or closed."""
        return self._permits.out

    @property
    def idle(self) -> int:
        """The number of resources that can be lent."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """The number of greenlets that wait for a resource."""
        return self._permits.waiting

    @property
    def closed(self) -> bool:
        return self._permits.closed

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"limit {self.limit}"
        return f"<{self.name}: {self.in_use} in use, {self.idle} idle, {self.waiting} waiting, {state}>"

    # -- lending

    def acquire(self, block: bool = False, timeout: float | None = None) -> T:
        """Lend a resource, ready for use; return it with :meth:`release`, or :meth:`replace` if it is broken.

        With *block* this waits for up to *timeout* seconds (None: without end), first come, first served; *create* and
        *prepare* get what is left of that time.  Raises the pool's :exc:`~kombu_green.exceptions.LimitExceeded` if all
        are lent, ``RuntimeError`` if the pool is closed, and what *create* and *prepare* raise.
        """
        self._reset_after_fork()
        deadline = Deadline.after(timeout)
        permit = self._permits.acquire(block, deadline)
        made: list[T] = []
        try:
            self._permits.check_open()
            made.append(self._idle.pop() if self._idle else self._create(deadline))
            thing = made[0]
            if self._prepare is not None:
                self._prepare(thing, deadline)
            self._permits.check_open()  # it may have been closed during create or prepare
            if self._lend is not None:
                self._lend(thing, lambda: self._give_back(thing, permit))
        except BaseException:
            self._end_and_release(made, permit)
            raise
        self._lent[id(thing)] = (thing, permit)
        return thing

    @contextmanager
    def lease(self, timeout: float | None = None) -> Iterator[T]:
        """Lend a resource for a ``with`` block; waits like :meth:`acquire` with *block*."""
        thing = self.acquire(block=True, timeout=timeout)
        try:
            yield thing
        finally:
            self.release(thing)

    def release(self, thing: T) -> None:
        """Return *thing* to the pool.  Does nothing if this pool has not lent it, or not any more."""
        self._give_back(thing, None)

    def replace(self, thing: T) -> None:
        """Return *thing*, which is broken: it is closed, and a new one is created when needed."""
        self._reset_after_fork()
        loan = self._lent.pop(id(thing), None)
        if loan is not None:
            self._end_and_release([thing], loan[1])

    def preload(self, count: int, timeout: float | None = None) -> None:
        """Create resources until *count* are idle, or the limit is reached; raises what :meth:`acquire` raises."""
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
        """A higher limit serves waiters at once; a lower one closes idle resources now, lent ones on release."""
        self._permits.limit = limit
        while limit is not None and self._idle and len(self._idle) + self._permits.out > limit:
            self._end_one(self._idle.pop(0))

    def close(self) -> None:
        """Lend no more.  Waiters get ``RuntimeError``; idle resources are closed now, lent ones on release."""
        self._reset_after_fork()
        self._permits.close()
        while self._idle:
            self._end_one(self._idle.pop())

    def force_close_all(self, close_pool: bool = True) -> None:
        """Close all resources now, lent ones too, and the pool unless *close_pool* is False."""
        self._reset_after_fork()
        if close_pool:
            self._permits.close()
        while self._idle:
            self._end_one(self._idle.pop())
        while self._lent:
            thing, permit = self._lent.popitem()[1]
            self._end_and_release([thing], permit)

    # -- inside

    def _give_back(self, thing: T, permit: Permit | None) -> None:
        """End the loan of *thing* that holds *permit* (None: the present loan); do nothing if that has ended."""
        self._reset_after_fork()
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
        # closed before its permit is released: the broker limits connections and channels, and counts open ones
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

    def _reset_after_fork(self) -> None:
        """In the child of a fork, start empty: closing the sockets of the parent would end its connections."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        before, self._permits = self._permits, Permits(self.limit, name=self.name, exhausted=self._exhausted)
        if before.closed:
            self._permits.close()
        before.close()
        self._idle, self._lent = [], {}
